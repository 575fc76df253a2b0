"""Modules, layers and initialisers."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from scipy import stats

import graphc
import graphc.frontend as gc
from graphc import dtypes
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import initialisers, nn
from graphc.node import given_name
from tests.frontend.evaluation import Array, close, run, same, tensor


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


def test_fans_and_gains_of_initialisers() -> None:
    shape, random = (3, 3, 20, 40), initialisers.generator(0)
    for mode, fan in (("fan_in", 180), ("fan_out", 360), ("fan_average", 270)):
        for distribution in ("uniform", "normal", "truncated_normal"):
            draw = initialisers.variance_scaling(4.0, mode, distribution)
            array = draw(shape, random, dtypes.float64)
            assert abs(array.var() * fan / 4 - 1) < 0.06
    assert initialisers.gain("tanh") == 5 / 3
    assert initialisers.gain("leaky_relu", 0.5) == np.sqrt(1.6)
    for wrong in ({"mode": "both"}, {"distribution": "cauchy"}):
        with pytest.raises(GraphcValueError, match="is one of"):
            initialisers.variance_scaling(**wrong)
    with pytest.raises(GraphcValueError, match="an activation is one of"):
        initialisers.gain("step")


def test_truncated_normal_initialiser() -> None:
    random = initialisers.generator(0)
    draw = initialisers.truncated_normal(5.0, 2.0, -1, 1.5)
    array = draw((20_000,), random, dtypes.float64)
    standard = (array - 5) / 2
    assert stats.kstest(standard, stats.truncnorm(-1, 1.5).cdf).pvalue > 1e-3
    assert initialisers.truncated_normal()((3,), random, dtypes.float16).dtype == np.float16
    with pytest.raises(GraphcValueError, match="hardly any number"):
        initialisers.truncated_normal(low=3, high=2)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (2, 3, 4, 5)])
def test_orthogonal_initialiser(shape: tuple[int, ...]) -> None:
    random = initialisers.generator(0)
    kernel = initialisers.orthogonal(2.0)(shape, random, dtypes.float64)
    assert kernel.shape == shape
    matrix = kernel.reshape(-1, shape[-1])
    product = matrix.T @ matrix if len(matrix) >= shape[-1] else matrix @ matrix.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)
    signs = [initialisers.orthogonal()((1, 1), random, dtypes.float64)[0, 0] for _ in range(200)]
    assert 60 < sum(sign > 0 for sign in signs) < 140


def test_identity_initialiser() -> None:
    random = initialisers.generator(0)
    same(initialisers.identity(3)((2, 3), random, dtypes.float32), 3 * np.eye(2, 3, dtype="f4"))
    kernel = initialisers.identity()((3, 5, 2, 2), random, dtypes.float64)
    same(kernel[1, 2], np.eye(2))
    assert kernel.sum() == 2
    for draw in (initialisers.identity(), initialisers.orthogonal()):
        with pytest.raises(ShapeError, match="not that of a kernel"):
            draw((3,), random, dtypes.float32)


def test_simple_initialisers() -> None:
    random = initialisers.generator(0)
    same(initialisers.zeros((2,), random, dtypes.float32), np.zeros(2, np.float32))
    same(initialisers.ones((2,), random, dtypes.float16), np.ones(2, np.float16))
    same(initialisers.constant(3)((1,), random, dtypes.float64), np.full(1, 3.0))
    drawn = initialisers.uniform(2, 3)((1000,), random, dtypes.float32)
    assert 2 <= drawn.min() < drawn.max() <= 3
    assert abs(initialisers.normal(5, 2)((10_000,), random, dtypes.float64).std() - 2) < 0.1


@pytest.mark.parametrize("name", sorted(initialisers.NAMED))
def test_initialisers_are_called_both_ways_and_by_name(name: str) -> None:
    """`orthogonal`, `orthogonal()` and "orthogonal" are one initialiser to every layer."""
    maker, settings = getattr(initialisers, name), {"uniform": (-1, 1), "constant": (2,)}
    needed = settings.get(name, ())
    kernels = [nn.Linear(4, 3, seed=0, weight_initialiser=maker(*needed)).weight.value]
    if needed:
        with pytest.raises(GraphcTypeError, match=f"{name}: missing a required argument"):
            nn.Linear(4, 3, seed=0, weight_initialiser=name)
    else:
        kernels += [
            nn.Linear(4, 3, seed=0, weight_initialiser=w).weight.value for w in (maker, name)
        ]
        same(kernels[0], maker((4, 3), initialisers.generator(0), dtypes.float32))
    for kernel in kernels:
        same(kernel, kernels[0])


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ("xavier", GraphcValueError, "no initialiser is called 'xavier'"),
        (3, GraphcTypeError, "int is no initialiser"),
        (lambda shape: shape, GraphcTypeError, "is no initialiser: too many"),
        (lambda shape, random, dtype: np.ones(7), ShapeError, r"gives the shape \(7,\), not"),
    ],
)
def test_what_is_no_initialiser(wrong: Any, kind: type[Exception], message: str) -> None:
    """Every layer says so itself, and not what it calls."""
    makers: dict[str, Any] = {
        "Linear": lambda: nn.Linear(4, 3, seed=0, weight_initialiser=wrong),
        "Conv1d": lambda: nn.Conv1d(4, 3, 2, seed=0, weight_initialiser=wrong),
        "Embedding": lambda: nn.Embedding(4, 3, seed=0, weight_initialiser=wrong),
        "LSTMCell": lambda: nn.LSTM(4, 3, seed=0, initialiser=wrong),
    }
    for name, make in makers.items():
        with pytest.raises(kind, match=f"{name}: .*{message}"):
            make()


def test_an_initialiser_of_ones_own_gives_the_dtype_of_the_layer() -> None:
    def mine(shape: Any, random: np.random.Generator, dtype: Any) -> Array:
        return np.asarray(random.normal(size=shape))

    assert nn.Linear(4, 3, seed=0, weight_initialiser=mine).weight.dtype is dtypes.float32


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


class Moody(nn.Module):
    """Doubles while it is trained."""

    def __init__(self) -> None:
        self.inner = [nn.Module()]
        self.calls = gc.Variable(np.int64(0), trainable=False)
        self.scale = gc.Variable(np.float32(3))

    def forward(self, x: Any) -> Any:
        return x * 2 if self.training else x


def test_modes_reach_every_module_below() -> None:
    model = Moody()
    assert model.training and model.inner[0].training
    assert model.eval() is model
    assert not model.training and not model.inner[0].training
    assert not copy.deepcopy(model).training
    assert model.train().inner[0].training
    model.inner[0].eval()
    assert model.training and not model.inner[0].training


def test_a_variable_that_is_not_trainable_is_no_parameter() -> None:
    model = Moody()
    assert [name for name, _ in model.named_parameters()] == ["scale"]
    assert [name for name, _ in model.named_variables()] == ["calls", "scale"]
    assert [v.trainable for _, v in copy.deepcopy(model).named_variables()] == [False, True]


def test_a_change_of_mode_compiles_anew_and_keeps_both() -> None:
    model, other = Moody(), Moody()
    traced = []

    @graphc.compile
    def f(x: Any) -> Any:
        traced.append(1)
        return model(x)

    x = np.ones(3, np.float32)
    for training in (True, True, False, False, True, False):
        model.train(training)
        other.train(not training)  # of no concern to f
        for _ in range(2):
            same(f(x), x * (2 if training else 1))
            same(f(x=x), x * (2 if training else 1))
    assert len(traced) == 4 and len(f.programs) == 4  # by place and by name, in two modes


def test_modes_are_noted_through_derivatives() -> None:
    model = Moody()
    gradient = graphc.grad(lambda x: model(x).sum())
    x = np.ones(3, np.float32)
    same(gradient(x), 2 * x)
    model.eval()
    same(gradient(x), x)


def test_a_function_may_change_the_mode_for_itself() -> None:
    model = Moody()

    @graphc.compile
    def f(x: Any) -> Any:
        y = model.eval()(x)
        model.train()
        return y + model(x)

    x = np.ones(3, np.float32)
    for _ in range(3):
        same(f(x), 3 * x)
    assert len(f.programs) == 1


def test_a_compiled_model_has_the_parameters_of_its_forward() -> None:
    model, x = nn.Linear(3, 2, seed=0), np.ones((4, 3), np.float32)
    predict = graphc.compile(model)
    y = np.empty((4, 2), np.float32)
    assert predict(x, out=y) is y
    assert [given_name(node) for node in predict.programs[0].inputs] == ["x"]
    assert (graphc.compile(model, donate="x")(x.copy()) == y).all()


def test_attributes_have_no_dots() -> None:
    """The path of one would be that of another variable."""
    module = nn.Module()
    with pytest.raises(GraphcValueError, match=r"'a\.b' holds a dot"):
        setattr(module, "a.b", nn.Linear(1, 1, seed=0))
