"""The digest of a graph: the same for the same program, another for every difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import ops
from graphc.graph import Graph
from graphc.graph_digest import digest
from graphc.node import ArrayData, Node, fresh_number
from graphc.op import forget
from graphc.ops.declare import UNARY, elementwise
from graphc.state import VariableState
from graphc.tensor_type import TensorType


def make_input(name: str = "x", shape: tuple[int, ...] = (4,), dtype: Any = None) -> Node:
    number = fresh_number()
    return ops.input_(number=number, name=name, shape=shape, dtype=dtype or graphc.float32)


def constant(*numbers: float, dtype: Any = np.float32) -> Node:
    return ops.constant(value=ArrayData(np.array(numbers, dtype)))


def variable(name: str = "v", shape: tuple[int, ...] = (4,)) -> Node:
    state = VariableState(TensorType(shape, graphc.float32), np.zeros(shape), name)
    return ops.variable(state=state)


def one(make: Callable[[Node], Node], **keywords: Any) -> Graph:
    x = make_input(**keywords)
    return Graph([x], [make(x)])


def training(*, order: int = 1, name: str = "v") -> Graph:
    x, v, w = make_input(), variable(name), variable("w")
    outputs = [ops.add(x, v), ops.multiply(x, w)][::order]
    return Graph([x], outputs, [(v, ops.subtract(v, x))])


def swapped(number: int) -> Graph:
    x, y = make_input("x"), make_input("x")
    pair = (x, y) if number else (y, x)
    return Graph([x, y], [ops.subtract(*pair)])


def assigned(number: int) -> Graph:
    x, v, w = make_input(), variable("v"), variable("v")
    target, other = (v, w) if number else (w, v)
    return Graph([x], [ops.add(v, x), ops.add(w, x)], [(target, ops.add(other, x))])


GRAPHS: dict[str, Callable[[], Graph]] = {
    "negative": lambda: one(ops.negative),
    "exp": lambda: one(ops.exp),
    "another name of the graph": lambda: Graph([x := make_input()], [ops.exp(x)], name="other"),
    "another name of the input": lambda: one(ops.exp, name="y"),
    "another shape": lambda: one(ops.exp, shape=(5,)),
    "another dtype": lambda: one(ops.exp, dtype=graphc.float64),
    "an output twice": lambda: Graph([x := make_input()], [ops.exp(x), ops.exp(x)]),
    "an input that nothing reads": lambda: Graph([x := make_input(), make_input()], [ops.exp(x)]),
    "a sum": lambda: one(lambda x: ops.add(x, constant(1, 2, 3, 4))),
    "the sum the other way": lambda: one(lambda x: ops.add(constant(1, 2, 3, 4), x)),
    "another constant": lambda: one(lambda x: ops.add(x, constant(1, 2, 3, 5))),
    "zero": lambda: one(lambda x: ops.add(x, constant(0, 0, 0, 0))),
    "minus zero": lambda: one(lambda x: ops.add(x, constant(0, 0, 0, -0.0))),
    "reshaped": lambda: one(lambda x: ops.reshape(x, shape=(2, 2))),
    "reshaped otherwise": lambda: one(lambda x: ops.reshape(x, shape=(1, 4))),
    "subtracted": lambda: swapped(0),
    "subtracted the other way": lambda: swapped(1),
    "training": training,
    "outputs the other way": lambda: training(order=-1),
    "another name of a variable": lambda: training(name="u"),
    "one assigned": lambda: assigned(0),
    "the other assigned": lambda: assigned(1),
}


def test_graphs_have_one_digest_each() -> None:
    found = {name: digest(make()) for name, make in GRAPHS.items()}
    assert None not in found.values()
    assert len(set(found.values())) == len(GRAPHS)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_made_again_has_the_same_digest(name: str) -> None:
    assert digest(GRAPHS[name]()) == digest(GRAPHS[name]())


def test_values_of_variables_and_lines_take_no_part() -> None:
    first, second = training(), training()
    second.variables[0].attributes["state"].assign(np.ones(4))
    assert digest(first) == digest(second)


def test_a_graph_with_an_op_of_the_users_has_none() -> None:
    op = elementwise("twice", UNARY, lambda x: x + x, lambda x: x + x, summary="x + x")
    try:
        assert digest(one(op)) is None
    finally:
        forget(op)
