"""Loops before and after simplification, and scans before and after they are merged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import Tensor, ops
from graphc.graph import Graph
from graphc.graph_verifier import verify
from graphc.interpreter import interpret
from graphc.node import Node
from graphc.op import Scan, Switch, While
from graphc.ops.loops import items
from graphc.passes.fold_constants import fold_constants
from graphc.passes.merge_scans import merge_scans
from graphc.passes.simplify_loops import simplify_loops
from tests.graphc.loop_graphs import SCALAR, VECTOR, close, decay, scan_of

Function = Callable[..., Any]


def simplified(function: Function, *arrays: Any) -> Graph:
    """Return the simplified graph of a function, which has the bits that it had."""
    arrays = tuple(np.asarray(a) for a in arrays)
    graph = graphc.trace(function, arrays).graph
    simple = verify(simplify_loops(fold_constants(graph)))
    before, after = (interpret(g, arrays)[0] for g in (graph, simple))
    assert [a.tobytes() for a in before] == [a.tobytes() for a in after]
    return simple


def loops(graph: Graph) -> list[Node]:
    kinds = Scan | While | Switch
    return [node for node in graph.nodes if isinstance(node.op.lowering, kinds)]


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes if not node.op.is_leaf]


X, C = np.arange(12, dtype=np.float32).reshape(4, 3), np.ones(3, np.float32)


def test_results_that_nothing_reads_are_not_computed() -> None:
    def f(c: Tensor, x: Tensor) -> Any:
        def step(carry: Any, x: Tensor) -> Any:
            a, b = carry
            return (a + x, graphc.exp(b)), (graphc.sin(a), graphc.cos(b), a * x)

        return graphc.scan(step, (c, c), x)[1][2]

    (loop,) = loops(simplified(f, C, X))
    body = loop.attributes["body"]
    assert loop.attributes["carries"] == 1 and len(loop.results) == 2
    assert [n.op.name for n in body.graph.nodes if n.inputs] == ["add", "multiply"]


def test_carries_that_stay_become_constants() -> None:
    def f(c: Tensor, x: Tensor) -> Any:
        return graphc.scan(lambda s, x: ((s[0] * x, s[1]), s[1] + x), (c, c * 2), x)

    graph = simplified(f, C, X)
    (loop,) = loops(graph)
    assert (loop.attributes["carries"], loop.attributes["constants"]) == (1, 1)
    assert graph.outputs[1].op.name == "multiply"  # the second carry is what it was


def test_what_does_not_change_leaves_the_loop() -> None:
    body = close(lambda c, k, x: (c + graphc.exp(k) * x, graphc.sin(k)), VECTOR, SCALAR, VECTOR)
    start, rate, stacked = (graphc.input(shape).node for shape in ((3,), (), (4, 3)))
    inputs = [start, rate, stacked]
    graph = verify(simplify_loops(Graph(inputs, items(scan_of(body, inputs, 4)))))
    (loop,) = loops(graph)
    inside = [n.op.name for n in loop.attributes["body"].graph.nodes if n.inputs]
    assert inside == ["broadcast_to", "multiply", "add"]
    assert {"exp", "sin"} <= {n.op.name for n in graph.nodes}


def test_small_constants_and_equal_slices_move_into_the_body() -> None:
    def f(c: Tensor, k: Tensor) -> Any:
        xs = (graphc.ones((4, 3)), graphc.broadcast_to(k[None], (4, 3)))
        return graphc.scan(lambda c, x: (c * x[0] + x[1], None), c, xs)[0]

    (loop,) = loops(simplified(f, C, C))
    assert [i.op.name for i in loop.inputs] == ["input", "reshape"]
    assert loop.attributes["constants"] == 1


def test_slices_of_a_broadcast_along_other_axes_stay() -> None:
    def f(c: Tensor, k: Tensor) -> Any:
        return graphc.scan(lambda c, x: (c + x, None), c, graphc.broadcast_to(k, (4, 3)))[0]

    (loop,) = loops(simplified(f, C, np.arange(4, dtype=np.float32).reshape(4, 1)))
    assert loop.inputs[-1].shape == (4, 3)


def test_the_same_operand_is_passed_once() -> None:
    body = close(lambda c, k, m: (c * k + c * m,), VECTOR, VECTOR, VECTOR)
    c, k = graphc.input((3,)).node, graphc.input((3,)).node
    counts = {"carries": 1, "constants": 2, "length": 4, "reverse": False}
    graph = Graph([c, k], items(ops.scan(c, k, k, body=body, **counts)))
    (loop,) = loops(verify(simplify_loops(graph)))
    assert loop.inputs == (c, k)


def test_the_same_constant_twice_moves_into_the_body() -> None:
    def f(c: Tensor, p: Tensor) -> Any:
        zero = graphc.zeros(3)
        bodies = [lambda x, y: (x + y, x * y), lambda x, y: (x - y, x)]
        return graphc.cond(p, *bodies, zero, zero), graphc.cond(p, *bodies, c, c)

    assert [len(n.inputs) for n in loops(simplified(f, C, np.bool_(True)))] == [1, 2]


@pytest.mark.parametrize("length", [0, 1])
def test_loops_of_at_most_one_step_are_none(length: int) -> None:
    def f(c: Tensor, x: Tensor) -> Any:
        return graphc.scan(lambda c, x: (c * x, c + x), c, x)

    assert loops(simplified(f, C, X[:length])) == []


def test_a_scan_that_only_copies_is_none() -> None:
    def f(c: Tensor, x: Tensor) -> Any:
        return graphc.scan(lambda c, x: (c, (x, c)), c, x)

    assert names(simplified(f, C, X)) == ["reshape", "broadcast_to"]


def test_while_loops_keep_what_they_need() -> None:
    def f(n: Tensor, k: Tensor) -> Any:
        def step(s: Any) -> Any:
            n, fixed, unread = s
            return n + fixed.sum().astype(n.dtype), fixed, unread * 2

        return graphc.while_loop(lambda s: s[0] < 50, step, (n, k, k))[0]

    (loop,) = loops(simplified(f, np.int64(3), C))
    assert loop.attributes["carries"] == 1 and len(loop.inputs) == 2


def test_known_branches_are_taken_while_compiling() -> None:
    def f(x: Tensor) -> Any:
        return graphc.switch(7, [lambda: x, lambda: x * 2]), graphc.cond(
            True, lambda: -x, lambda: x
        )

    assert sorted(names(simplified(f, C))) == ["broadcast_to", "multiply", "negative"]


def test_equal_branches_are_one() -> None:
    def f(p: Tensor, x: Tensor) -> Any:
        return graphc.cond(p, lambda x: x * 2, lambda x: x * 2, x)

    assert loops(simplified(f, np.bool_(True), C)) == []


def test_switches_drop_results_and_operands() -> None:
    def f(p: Tensor, x: Tensor, y: Tensor) -> Any:
        a, b, _ = graphc.cond(p, lambda: (x * 2, y, y * 3), lambda: (x, y, y + 1))
        return a, b

    graph = simplified(f, np.bool_(True), C, C)
    (loop,) = loops(graph)
    assert len(loop.results) == 1 and len(loop.inputs) == 2
    assert graph.outputs[1].op.name == "input"


def test_scans_over_the_same_steps_are_merged() -> None:
    start, rate, stacked = (graphc.input(shape).node for shape in ((3,), (), (4, 3)))
    inputs = [start, rate, stacked]
    plain = scan_of(decay(), inputs, 4)
    more = close(lambda c, k, x: (c * 0.5 + k * x, k * x, c * x), VECTOR, SCALAR, VECTOR)
    results = [*items(plain), *items(scan_of(more, inputs, 4))]
    other = items(scan_of(decay(), inputs, 4, reverse=True))
    graph = Graph(inputs, [*results, *other])
    merged = verify(merge_scans(graph))
    first, second = loops(merged)
    assert len(first.results) == 3 and second.attributes["reverse"]
    arrays = [C, np.asarray(np.float32(0.25)), X]
    for left, right in zip(interpret(graph, arrays)[0], interpret(merged, arrays)[0], strict=True):
        assert left.tobytes() == right.tobytes()


def test_scans_of_other_carries_are_not_merged() -> None:
    inputs = [graphc.input(shape).node for shape in ((3,), (), (4, 3))]
    scans = [scan_of(decay(number), inputs, 4) for number in (0.5, 0.25)]
    graph = Graph(inputs, [output for scan in scans for output in items(scan)])
    assert merge_scans(graph) is graph


def test_scans_are_merged_in_bodies() -> None:
    def inner(c: Tensor, k: Tensor, x: Tensor) -> list[Tensor]:
        nodes = [c.node, k.node, x.node]
        more = close(lambda c, k, x: (c * 0.5 + k * x, c), VECTOR, SCALAR, VECTOR)
        last, _ = items(scan_of(decay(), nodes, 2))
        _, old = items(scan_of(more, nodes, 2))
        return [Tensor(last), Tensor(old)]

    body = close(inner, VECTOR, SCALAR, ((2, 3), graphc.float32))
    inputs = [graphc.input(shape).node for shape in ((3,), (), (4, 2, 3))]
    (outer,) = loops(verify(merge_scans(Graph(inputs, items(scan_of(body, inputs, 4))))))
    assert len(loops(outer.attributes["body"].graph)) == 1
