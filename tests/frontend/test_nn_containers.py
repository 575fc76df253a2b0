"""Containers of modules, residual connections, and the table of a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc.frontend as gc
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import nn
from graphc.tensor_type import tensor_type
from tests.frontend.evaluation import close, run


class Stack(nn.Module):
    def __init__(self) -> None:
        self.blocks = nn.ModuleList(nn.Linear(4, 4, seed=i) for i in range(2))
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 2, seed=2)})
        self.heads["b"] = nn.Linear(4, 3, seed=3)
        self.blocks.append(nn.Residual(nn.Linear(4, 4, seed=4))).extend([nn.relu])

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.heads["a"](x), self.heads["b"](x)


def test_paths_are_places_and_names() -> None:
    paths = [path for path, _ in Stack().named_parameters()]
    assert paths[::2] == [
        "blocks.0.weight", "blocks.1.weight", "blocks.2.body.weight", "heads.a.weight",
        "heads.b.weight",
    ]  # fmt: skip


def test_containers_behave_like_a_list_and_a_dict() -> None:
    model = Stack()
    assert len(model.blocks) == 4 and len(model.blocks[1:3]) == 2
    assert model.blocks[-1] is nn.relu and isinstance(model.blocks[:2], nn.ModuleList)
    assert list(model.heads) == ["a", "b"] and "b" in model.heads and len(model.heads) == 2
    with pytest.raises(GraphcTypeError, match="a module or a function, not int"):
        nn.ModuleList([1])
    with pytest.raises(GraphcTypeError, match="without dots"):
        model.heads["a.b"] = nn.relu
    with pytest.raises(GraphcTypeError, match="defines no forward"):
        model.blocks(1)


def test_residual_adds() -> None:
    body, shortcut = nn.Linear(3, 2, seed=0), nn.Linear(3, 2, seed=1)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    expected = x @ body.weight.value + x @ shortcut.weight.value
    close(run(nn.Residual(body, shortcut), x), expected, 1e-5)
    square = nn.Linear(3, 3, seed=2)
    close(run(nn.Residual(square), x), x + x @ square.weight.value, 1e-5)
    with pytest.raises(ShapeError, match=r"the shortcut gives \(5, 3\), the body \(5, 2\)"):
        run(nn.Residual(body), x)


def test_the_table_has_types_parameters_and_their_sum() -> None:
    table = Stack().summary((8, 4))
    assert str(table).splitlines() == [
        "module                     output                         parameters",
        "Stack()                    float32[8, 2], float32[8, 3]",
        "  blocks: ModuleList()",
        "    0: Linear(4, 4)        float32[8, 4]                          20",
        "    1: Linear(4, 4)        float32[8, 4]                          20",
        "    2: Residual()          float32[8, 4]",
        "      body: Linear(4, 4)   float32[8, 4]                          20",
        "  heads: ModuleDict()",
        "    a: Linear(4, 2)        float32[8, 2]                          10",
        "    b: Linear(4, 3)        float32[8, 3]                          15",
        "total                                                             85",
    ]


def test_the_table_counts_shared_parameters_once_and_takes_types_and_arrays() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            self.first, self.second = nn.Linear(4, 4, seed=0), nn.Linear(4, 4, seed=1)
            self.second.weight = self.first.weight
            self.scale = gc.Variable(np.float32(1))

        def forward(self, x: Any) -> Any:
            return self.second(self.first(x)) * self.scale

    model = Tied()
    assert model.summary().parameters == 16 + 4 + 4 + 1
    assert [row.parameters for row in model.summary(tensor_type((2, 4))).rows] == [1, 20, 4]
    assert model.summary(np.zeros((2, 4))).rows[0].output == "float64[2, 4]"
    with pytest.raises(ShapeError, match="wants 4 as the last extent"):
        model.summary((2, 5))
    assert model.summary("float64[2, 4]").rows[0].output == "float64[2, 4]"
    with pytest.raises(GraphcTypeError, match="an example is a shape, a type or an array"):
        model.summary(None)
    with pytest.raises(GraphcValueError, match="'x' is no type; write it as"):
        model.summary("x")
    assert model.summary((2, 4)).rows[0].output == "float32[2, 4]"  # after an error too


def test_a_call_outside_of_the_table_records_nothing() -> None:
    model = nn.Linear(2, 2, seed=0)
    model.summary((1, 2))
    assert run(model, np.ones((3, 2), np.float32)).shape == (3, 2)
    assert model.summary().rows[0].output == ""


def test_the_table_shows_two_results_of_a_module_and_counts_the_others() -> None:
    lines = str(nn.LSTM(3, 4, 2, seed=0).summary((2, 5, 3))).splitlines()
    assert "float32[2, 5, 4], float32[2, 4], and 3 more" in lines[1]
    assert max(map(len, lines)) < 80


def test_a_shape_that_should_be_of_integers_hints_at_types() -> None:
    model = nn.Embedding(3, 4, seed=0)
    with pytest.raises(GraphcTypeError, match="takes integers") as caught:
        model.summary((2, 5))
    assert "summary('int64[2, 3]') says int64" in caught.value.__notes__[0]
    assert model.summary("int64[2, 5]").rows[0].output == "float32[2, 5, 4]"


def test_two_variables_of_one_path_are_refused() -> None:
    model = nn.Sequential(nn.Linear(1, 1, seed=0))
    model.parts = {"a": {"b": nn.Linear(1, 1, seed=1)}, "a.b": nn.Linear(1, 1, seed=2)}
    for look in (model.state_dict, model.parameters, lambda: model.load_state_dict({})):
        with pytest.raises(GraphcValueError, match=r"two variables have the path parts\.a\.b"):
            look()
