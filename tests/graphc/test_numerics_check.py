"""`check_numerics=True` names the first op that makes NaN or infinity, and loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import dtypes, ops
from graphc.body import Body
from graphc.errors import NumericsError
from graphc.frontend.tensor import Tensor
from graphc.graph import Graph
from graphc.graph_compilation import Settings, compile_graph
from graphc.node import Node, fresh_number
from graphc.ops.loops import items
from graphc.passes import Options
from graphc.tensor_type import TensorType

ZERO_ONE = np.array([0, 1], np.float32)
HUGE = np.array([3e38, 1], np.float32)

FAULTS: dict[str, tuple[Callable[[Any], Any], Any, str, str]] = {
    "log of zero": (graphc.log, ZERO_ONE, "log", "infinite"),
    "of a negative": (lambda x: graphc.sqrt(x - 1), ZERO_ONE, "sqrt", "NaN"),
    "later": (lambda x: graphc.exp(graphc.log(x - 1) * 0), ZERO_ONE, "log", "NaN"),
    "overflow": (lambda x: (x * x).sum(), HUGE, "multiply", "infinite"),
    "of infinities": (lambda x: graphc.log(x) - graphc.log(x), ZERO_ONE, "subtract", "NaN"),
    "gradient": (graphc.grad(lambda x: graphc.sqrt(x).sum()), ZERO_ONE, "divide", "infinite"),
    "argument": (lambda x: x + 1, np.array([np.nan], np.float32), "input", "NaN"),
    "16 bits": (
        lambda x: x.astype("float16") * 2,
        np.array([60000], np.float32),
        "multiply",
        "infinite",
    ),
    "bfloat16": (lambda x: graphc.log(x.astype("bfloat16")), ZERO_ONE, "log", "infinite"),
}


@pytest.mark.parametrize("backend", ["llvm", "reference"])
@pytest.mark.parametrize("name", FAULTS)
def test_the_first_op_is_named_with_its_line(name: str, backend: Any) -> None:
    function, argument, op, kind = FAULTS[name]
    checked = graphc.compile(function, check_numerics=True, backend=backend)
    with pytest.raises(NumericsError, match=f"is {kind}") as caught:
        checked(argument)
    assert caught.value.op == op
    assert "test_numerics_check.py" in caught.value.line


def test_where_an_infinity_came_from_is_told() -> None:
    checked = graphc.compile(FAULTS["of infinities"][0], check_numerics=True)
    with pytest.raises(NumericsError, match="operand 0: infinite, log at"):
        checked(ZERO_ONE)


def test_what_is_finite_in_the_end_passes() -> None:
    masked = graphc.compile(
        lambda x: graphc.softmax(graphc.where(x > 0, x, -np.inf)), check_numerics=True
    )
    np.testing.assert_array_equal(masked(ZERO_ONE), [0, 1])
    counted = graphc.compile(lambda n: (n + 1, n > 2), check_numerics=True)
    assert counted(np.arange(2))[0].tolist() == [1, 2]


def test_variables_keep_their_values() -> None:
    weights, count = graphc.Variable(ZERO_ONE, name="weights"), graphc.Variable(0)

    @graphc.compile(check_numerics=True)
    def step(rate: Any) -> Any:
        loss = graphc.sqrt(weights).sum()
        weights.assign(weights - rate * graphc.grad(loss, weights))
        count.assign(count + 1)
        return loss

    with pytest.raises(NumericsError, match="new value of the variable weights is") as caught:
        step(np.float32(1))
    assert caught.value.op == "divide" and "loss = graphc.sqrt" in caught.value.line
    np.testing.assert_array_equal(weights.value, ZERO_ONE)
    assert count.value == 0
    weights.assign([1, 4])
    assert step(np.float32(1)) == 3 and count.value == 1


def test_graphs_and_donations() -> None:
    x = graphc.input((2,), name="x")
    program = graphc.compile([graphc.log(x)], inputs=[x], check_numerics=True, donate=x)
    given = ZERO_ONE.copy()
    with pytest.raises(NumericsError, match="made by log"):
        program(given)
    np.testing.assert_array_equal(given, ZERO_ONE)


# --- inside loops --------------------------------------------------------------------------------

SCALAR = TensorType((), dtypes.float32)
FIVE = TensorType((5,), dtypes.float32)


def leaf(type_: TensorType) -> Node:
    return ops.input_(number=fresh_number(), name="x", shape=type_.shape, dtype=type_.dtype)


def body(count: int, function: Callable[..., Any]) -> Body:
    inputs = [leaf(SCALAR) for _ in range(count)]
    results = function(*map(Tensor, inputs))
    return Body(Graph(inputs, [result.node for result in results], name="body"))


def assert_blamed(inputs: list[Node], output: Node, arrays: list[Any], op: str) -> None:
    settings = Settings("reference", Options(), check_numerics=True)
    program = compile_graph(Graph(inputs, [output]), settings)
    with pytest.raises(NumericsError, match="in the body of") as caught:
        program(*arrays)
    assert caught.value.op == op
    assert "the culprit" in caught.value.line


def test_in_the_body_of_a_scan_the_step_is_found() -> None:
    made = body(2, lambda h, x: (h + graphc.log(x), h))  # the culprit
    h, xs = leaf(SCALAR), leaf(FIVE)
    for reverse in (False, True):
        node = ops.scan(h, xs, body=made, carries=1, constants=0, length=5, reverse=reverse)
        for result in items(node):
            assert_blamed([h, xs], result, [0, [1, 1, 0, 2, 1]], "log")


def test_in_a_while_loop_and_in_a_branch() -> None:
    condition = body(1, lambda h: (h > -10,))
    made = body(1, lambda h: (graphc.sqrt(h) - 0.5,))  # the culprit
    h, index = leaf(SCALAR), leaf(TensorType((), dtypes.int32))
    (last,) = items(ops.while_loop(h, condition=condition, body=made, carries=1))
    assert_blamed([h], last, [0.2], "sqrt")
    (chosen,) = items(ops.switch(index, h, branches=(body(1, lambda h: (h,)), made)))
    assert_blamed([index, h], chosen, [7, -1.0], "sqrt")


def test_a_rule_of_ones_own_is_blamed_on_its_line() -> None:
    @graphc.custom_vjp
    def double(x: Any) -> Any:
        return x * 2

    def backward(x: Any, cotangent: Any) -> Any:
        return (cotangent / (x - 1),)

    double.defvjp(lambda x: (double(x), x), backward)
    slope = graphc.compile(graphc.grad(lambda x: double(x).sum()), check_numerics=True)
    with pytest.raises(NumericsError, match="infinite") as caught:
        slope(np.ones(3, np.float32))
    assert "return (cotangent / (x - 1),)" in caught.value.line
