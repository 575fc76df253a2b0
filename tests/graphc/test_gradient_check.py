"""`check_grads` passes what is right, and finds a wrong derivative planted in any op."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import nn
from graphc.arithmetic import filled, zeros_like
from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.gradient_check import GradientError, check_grads, check_graph
from graphc.graph import Graph
from graphc.node import Node
from graphc.op import Op
from tests.passes.test_differentiate import DIFFERENTIABLE, smooth_cases
from tests.samples import Case, as_graph

X = np.random.default_rng(3).uniform(0.3, 1.7, (3, 4)).astype(np.float32)
INTENDED = {"floor", "ceil", "trunc", "round", "sign"}  # their derivative is 0, wherever it exists


MOVED = (np.float64, np.complex128)


def floats(case: Case) -> list[int]:
    return [n for n, a in enumerate(case.operands) if a.dtype in MOVED and a.size]


def judged_case(op: Op) -> tuple[Case, Graph]:
    """Return a case of `op` where differences mean something, with every float operand moved."""
    for case in smooth_cases(op):
        graph = as_graph(op, case)
        if len(floats(case)) == sum(a.dtype in MOVED for a in case.operands) > 0:
            report = check_graph(graph, case.operands, order=1)
            if not report.kinks and graph.outputs[0].type.size:
                return case, graph
    raise AssertionError(f"no case of {op.name} is smooth")


@contextmanager
def planted(op: Op, number: int) -> Iterator[None]:
    """Let the derivative by one operand be wrong by a bit more than a tenth of the cotangent.

    Of a complex operand it is wrong in the real part alone.
    """
    declared: Any = op.derivative

    def wrong(node: Node, cotangent: Node) -> list[Node | None]:
        pulled = list(declared(node, cotangent))
        operand = node.inputs[number]
        right = pulled[number] if pulled[number] is not None else zeros_like(operand)
        pulled[number] = right + filled(operand.type, 0.125)
        return pulled

    object.__setattr__(op, "derivative", wrong)
    try:
        yield
    finally:
        object.__setattr__(op, "derivative", declared)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
def test_a_wrong_derivative_of_any_operand_of_any_op_is_found(op: Op) -> None:
    case, graph = judged_case(op)
    assert check_graph(graph, case.operands).is_right
    for number in floats(case):
        with planted(op, number), pytest.raises(GradientError) as caught:
            check_graph(graph, case.operands, order=1)
        assert {(f.op, f.operand) for f in caught.value.report.faults} == {(op.name, number)}


RIGHT: dict[str, Callable[..., Any]] = {
    "tanh": lambda x: graphc.tanh(x) ** 2,
    "softmax of a product": lambda x: nn.softmax(x @ x.T),
    "nested results": lambda x: {"a": x.sum(), "b": (x[0] * 2, graphc.argmax(x))},
    "stopped": lambda x: x * graphc.stop_gradient(x),
    "integers between": lambda x: graphc.take(x * x, graphc.argmax(x, axis=0), axis=0),
    "linear": lambda x: 3 * x,
    "constant": lambda x: x.sum() * 0 + graphc.ones(3),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_derivatives_pass(name: str) -> None:
    report = check_grads(RIGHT[name], X)
    assert report.is_right and not report.kinks
    assert [c.order for c in report.comparisons] == [1, 2]
    assert all(max(c.forward, c.reverse) < 1e-5 for c in report.comparisons)


def test_the_parameters_of_a_model_are_moved_too() -> None:
    model = nn.Linear(4, 2, seed=0)
    before = model.weight.value
    labels = np.array([0, 1, 1])
    assert check_grads(lambda m, x: nn.cross_entropy(m(x), labels), model, X).is_right
    assert (model.weight.value == before).all()
    tanh = graphc.ops.tanh
    with planted(tanh, 0), pytest.raises(GradientError) as caught:
        check_grads(lambda m: graphc.tanh(m.weight).sum(), model)
    assert {fault.op for fault in caught.value.report.faults} == {"tanh"}


def test_the_line_is_blamed() -> None:
    sin = graphc.ops.sin

    def function(x: Any) -> Any:
        doubled = 2 * x
        return graphc.sin(doubled).sum()  # the line to blame

    with planted(sin, 0), pytest.raises(GradientError, match="the line to blame"):
        check_grads(function, X)


def test_a_wrong_rule_of_ones_own_is_found_however_the_function_is_wrapped() -> None:
    @graphc.custom_vjp
    def doubled_square(x: Any) -> Any:
        return 2 * x * x

    def half(x: Any, cotangent: Any) -> Any:
        return (2 * x * cotangent,)

    doubled_square.defvjp(lambda x: (doubled_square(x), x), half)
    for function in (doubled_square, graphc.compile(doubled_square), lambda x: doubled_square(+x)):
        with pytest.raises(GradientError, match="custom_vjp") as caught:
            check_grads(function, X, order=1)
        assert [fault.operand for fault in caught.value.report.faults] == [0]


def test_a_rule_need_not_speak_of_constants_that_the_function_reads() -> None:
    weights = graphc.constant(X) + 1

    @graphc.custom_vjp
    def weighted(x: Any) -> Any:
        return weights * x

    weighted.defvjp(lambda x: (weighted(x), None), lambda _, cotangent: (weights * cotangent,))
    assert check_grads(weighted, X).is_right


def test_a_wrong_derivative_of_a_derivative_is_found_in_the_second_order() -> None:
    cos = graphc.ops.cos
    with planted(cos, 0):
        assert check_grads(graphc.sin, X, order=1).is_right
        with pytest.raises(GradientError) as caught:
            check_grads(graphc.sin, X, order=2)
    assert {(fault.op, fault.order) for fault in caught.value.report.faults} == {("cos", 2)}


def test_kinks_and_steps_are_named_and_not_judged() -> None:
    for function in (nn.relu, graphc.abs, graphc.floor, lambda x: graphc.where(x > 0, x, 5 * x)):
        report = check_grads(function, np.zeros(3))
        assert report.is_right and report.kinks, function


def test_what_has_no_derivatives_is_refused() -> None:
    with pytest.raises(GraphcTypeError, match="takes no floats"):
        check_grads(lambda n: n * 1.0, np.arange(3))
    with pytest.raises(GraphcTypeError, match="gives no floats"):
        check_grads(graphc.argmax, X)
    with pytest.raises(GraphcValueError, match="not finite here, the first of log"):
        check_grads(graphc.log, -X)
    with pytest.raises(GraphcValueError, match="order"):
        check_grads(graphc.sin, X, order=3)


INSIDE: dict[str, Callable[..., Any]] = {
    "scan": lambda f, x: graphc.scan(lambda c, v: (c + f(v), f(c)), x[0, 0], x[:, 0]),
    "scan in scan": lambda f, x: graphc.map(lambda r: graphc.map(f, r), x),
    "reversed": lambda f, x: graphc.scan(lambda c, v: (c, f(v)), 0.0, x, reverse=True)[1],
    "cond": lambda f, x: graphc.cond(x[0, 0] > 9, lambda x: x, f, x),
    "while_loop": lambda f, x: graphc.while_loop(
        lambda c: c.sum() < 99, lambda c: f(c) + c + 1, abs(x), max_iterations=2
    ),
    "checkpoint": lambda f, x: graphc.checkpoint(f)(x),
}


@pytest.mark.parametrize("name", INSIDE)
def test_the_line_in_a_body_is_blamed(name: str) -> None:
    def wrong(x: Any) -> Any:
        return graphc.sin(x)  # the line to blame

    assert check_grads(lambda x: INSIDE[name](wrong, x), X).is_right
    with planted(graphc.ops.sin, 0), pytest.raises(GradientError, match="the line to blame") as e:
        check_grads(lambda x: INSIDE[name](wrong, x), X, order=1)
    assert {fault.op for fault in e.value.report.faults} == {"sin"}
