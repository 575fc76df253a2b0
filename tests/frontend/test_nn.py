"""Modules, layers and initialisers."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import graphc.frontend as gc
from graphc import dtypes
from graphc.errors import GraphcTypeError
from graphc.frontend import initialisers, nn
from tests.frontend.evaluation import close, run, same, tensor


class Model(nn.Module):
    def __init__(self) -> None:
        self.first = nn.Linear(4, 3, seed=0)
        self.blocks = [nn.Linear(3, 3, seed=1), {"deep": nn.Linear(3, 2, bias=False, seed=2)}]
        self.scale = gc.Variable(np.float32(2), name="scale")
        self.shared = self.first
        self.again = self.first.weight
        self.name = "model"

    def forward(self, x: Any) -> Any:
        return self.scale * self.blocks[1]["deep"](nn.relu(self.blocks[0](self.first(x))))  # type: ignore[index,operator]  # a list and a dict


def test_parameters_come_once_in_the_order_of_definition() -> None:
    model = Model()
    assert [name for name, _ in model.named_parameters()] == [
        "first.weight", "first.bias", "blocks.0.weight", "blocks.0.bias", "blocks.1.deep.weight",
        "scale",
    ]  # fmt: skip
    assert [p.shape for p in model.parameters()] == [(4, 3), (3,), (3, 3), (3,), (3, 2), ()]


def test_modules_that_hold_each_other_end() -> None:
    model = Model()
    model.parent = model
    assert len(model.parameters()) == 6
    assert "parent" not in repr(model)


def test_the_tree_is_printed() -> None:
    assert repr(Model()).splitlines() == [
        "Model()",
        "  first: Linear(4, 3)",
        "  0: Linear(3, 3)",
        "  deep: Linear(3, 2, bias=False)",
    ]


def test_a_variable_is_not_lost_by_mistake() -> None:
    model = Model()
    with pytest.raises(GraphcTypeError, match="scale is a variable and would be lost"):
        model.scale = model.scale * 2  # type: ignore[assignment]  # the mistake under test
    with pytest.raises(GraphcTypeError, match="would be lost"):
        model.scale += 1  # type: ignore[assignment]  # the mistake under test
    with pytest.raises(GraphcTypeError, match="would be lost"):
        model.scale = np.ones(3)  # type: ignore[assignment]  # the mistake under test
    model.scale = gc.Variable(1.0)
    model.name = "other"


def test_linear() -> None:
    layer = nn.Linear(4, 3, seed=7)
    x = np.random.default_rng(0).normal(size=(5, 2, 4)).astype(np.float32)
    layer.bias.assign([1.0, 2.0, 3.0])  # type: ignore[union-attr]  # it has one
    close(run(layer, x), x @ layer.weight.value + np.array([1, 2, 3], np.float32), 1e-5)
    assert run(layer, x[0, 0]).shape == (3,)
    assert nn.Linear(4, 3, seed=0, dtype="float16")(tensor(2, 4, dtype="float16")).dtype.bits == 16


def test_seeds_are_explicit_and_give_the_same_bits() -> None:
    first, again, other = (nn.Linear(4, 3, seed=s).weight.value for s in (5, 5, 6))
    same(first, again)
    assert (first != other).any()
    random = np.random.default_rng(5)
    one, two = (nn.Linear(4, 3, seed=random).weight.value for _ in range(2))
    same(one, first)
    assert (one != two).any()
    with pytest.raises(GraphcTypeError, match="a seed is an integer"):
        nn.Linear(4, 3, seed=None)  # type: ignore[arg-type]  # the mistake under test


def test_sequential_and_the_activations() -> None:
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(8, 4, seed=0), nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.SiLU(),
        nn.GELU(), nn.GELU("tanh"), nn.Softplus(), nn.ELU(), nn.LeakyReLU(0.2), gc.exp,
        nn.Softmax(),
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(5, 2, 4)).astype(np.float32)
    y = run(model, x)
    assert y.shape == (5, 4)
    close(y.sum(-1), np.ones(5, np.float32))
    assert len(model) == 13 and model[2] is list(model)[2]
    assert len(model.parameters()) == 2


def test_each_activation_is_its_function() -> None:
    x = np.linspace(-3, 3, 13, dtype=np.float32)
    names = {
        "ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "SiLU": "silu", "GELU": "gelu",
        "Softplus": "softplus", "ELU": "elu", "LeakyReLU": "leaky_relu", "Softmax": "softmax",
    }  # fmt: skip
    for layer, function in names.items():
        same(run(getattr(nn, layer)(), x), run(getattr(nn, function), x))


def test_a_copied_model_has_variables_of_its_own() -> None:
    model = Model()
    other = copy.deepcopy(model)
    assert len(other.parameters()) == 6
    model.scale.assign(7.0)
    assert other.scale.value == 2
    assert other.again.state is other.first.weight.state


def test_a_module_needs_forward() -> None:
    with pytest.raises(GraphcTypeError, match="Module defines no forward"):
        nn.Module()(1)


VARIANCES = {
    "xavier_uniform": 2 / 500, "xavier_normal": 2 / 500, "he_uniform": 2 / 300,
    "he_normal": 2 / 300, "lecun_uniform": 1 / 300, "lecun_normal": 1 / 300,
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANCES)
def test_variances_of_initialisers(name: str) -> None:
    draw = getattr(initialisers, name)
    array = draw((300, 200), initialisers.generator(0), dtypes.float32)
    assert array.dtype == np.float32
    assert abs(array.mean()) < 1e-3
    assert abs(array.var() / VARIANCES[name] - 1) < 0.03
    if name.endswith("uniform"):
        assert abs(array).max() <= np.sqrt(3 * VARIANCES[name])


def test_simple_initialisers() -> None:
    random = initialisers.generator(0)
    same(initialisers.zeros((2,), random, dtypes.float32), np.zeros(2, np.float32))
    same(initialisers.ones((2,), random, dtypes.float16), np.ones(2, np.float16))
    same(initialisers.constant(3)((1,), random, dtypes.float64), np.full(1, 3.0))
    drawn = initialisers.uniform(2, 3)((1000,), random, dtypes.float32)
    assert 2 <= drawn.min() < drawn.max() <= 3
    assert abs(initialisers.normal(5, 2)((10_000,), random, dtypes.float64).std() - 2) < 0.1


def test_parameters_are_named_after_their_paths() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            self.first = nn.Linear(2, 3, seed=0)
            self.rest = [nn.Linear(3, 3, seed=1), nn.Linear(3, 3, seed=2, name="mine")]
            self.scale = gc.Variable(np.ones(3))

    class Model(nn.Module):
        def __init__(self) -> None:
            self.encoder = Encoder()

    assert [p.name for p in Model().parameters()] == [
        "encoder.first.weight",
        "encoder.first.bias",
        "encoder.rest.0.weight",
        "encoder.rest.0.bias",
        "mine.weight",
        "mine.bias",
        "encoder.scale",
    ]
