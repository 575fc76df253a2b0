"""scan, while_loop, switch and item: their NumPy meaning, and what their type rules refuse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc
from graphc import ops
from graphc.body import Body
from graphc.draw import to_dot
from graphc.dtypes import bool_, float32, int32, int64
from graphc.errors import GraphcTypeError
from graphc.explain import graph_operations
from graphc.graph import Graph
from graphc.interpreter import interpret
from graphc.node import Node
from graphc.ops.loops import items
from tests.graphc.loop_graphs import SCALAR, VECTOR, close, decay, scan_graph, scan_of


def node(shape: tuple[int, ...], dtype: graphc.DType = float32) -> Node:
    return graphc.input(shape, dtype).node


@pytest.mark.parametrize("length", [0, 1, 2, 7, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_runs_its_body_on_each_slice(length: int, reverse: bool) -> None:
    rng = np.random.default_rng(length)
    start, stacked = (rng.normal(size=s).astype(np.float32) for s in ((3,), (length, 3)))
    rate = np.float32(0.75)
    graph = scan_graph(length, reverse=reverse)
    (last, outputs), _ = interpret(graph, [start, np.asarray(rate), stacked])
    carry, rows = start, np.zeros((length, 3), np.float32)
    for step in range(length)[:: -1 if reverse else 1]:
        rows[step] = carry * stacked[step]
        carry = carry * np.float32(0.5) + rate * stacked[step]
    assert last.tobytes() == carry.tobytes() and outputs.tobytes() == rows.tobytes()
    assert outputs.shape == (length, 3)


def test_while_loop_runs_while_the_condition_holds() -> None:
    condition = close(lambda i, limit: (i < limit,), ((), int64), ((), int64))
    body = close(lambda i, limit: (i + 1,), ((), int64), ((), int64))
    start, limit = node((), int64), node((), int64)
    loop = ops.while_loop(start, limit, condition=condition, body=body, carries=1)
    graph = Graph([start, limit], items(loop))
    for first, end in ((0, 5), (5, 5), (9, 5)):
        ((last,), _) = interpret(graph, [np.asarray(first), np.asarray(end)])
        assert last == max(first, end)


@pytest.mark.parametrize("number", [-(2**40), -1, 0, 1, 2, 3, 2**40])
def test_switch_moves_its_number_into_range(number: int) -> None:
    branches = tuple(close(lambda x, k=k: (x + k, x), SCALAR) for k in range(3))
    index, x = node((), int64), node(())
    graph = Graph([index, x], items(ops.switch(index, x, branches=branches)))
    (chosen, same), _ = interpret(graph, [np.asarray(number), np.asarray(np.float32(0))])
    assert chosen == min(max(number, 0), 2) and same == 0


def test_no_other_branch_is_run() -> None:
    outside = close(lambda x: (graphc.take(x, (x * 9).astype(int64)).sum(),), VECTOR)
    inside = close(lambda x: (x.sum(),), VECTOR)
    index, x = node((), int32), node((3,))
    graph = Graph([index, x], items(ops.switch(index, x, branches=(inside, outside))))
    arrays = [np.asarray(0, np.int32), np.ones(3, np.float32)]
    assert interpret(graph, arrays)[0][0] == 3
    with pytest.raises(graphc.GraphcIndexError):
        interpret(graph, [np.asarray(1, np.int32), np.ones(3, np.float32)])


def scan(*operands: Node, body: Body, length: int = 4) -> Node:
    return scan_of(body, operands, length)


def loop(*operands: Node, condition: Body, body: Body) -> Node:
    return ops.while_loop(*operands, condition=condition, body=body, carries=1)


SUM = close(lambda x: (x.sum(),), VECTOR)
SAME = close(lambda x: (x,), VECTOR)
HOLDS = close(lambda x: (x.sum() > 0,), VECTOR)
REFUSED = [
    (lambda: scan(node((3,)), node(()), body=decay()), "2 values in the place of 3"),
    (lambda: scan(node((3,)), node(()), node((5, 3)), body=decay()), r"\[5, 3\] has no 4 slices"),
    (lambda: scan(node((3,)), node(()), node(()), body=decay()), r"\[\] has no 4 slices"),
    (lambda: scan(node((2,)), node(()), node((4, 3)), body=decay()), r"value 0 is float32\[2\]"),
    (
        lambda: ops.scan(node((3,)), body=SUM, carries=1, constants=0, length=2, reverse=False),
        r"carries of scan: value 0 is float32\[\], not float32\[3\]",
    ),
    (lambda: loop(node((3,)), condition=SUM, body=SAME), r"value 0 is float32\[\], not bool\[\]"),
    (lambda: loop(node((3,)), condition=HOLDS, body=SUM), "carries of while_loop"),
    (lambda: loop(node((2,)), condition=HOLDS, body=SAME), "operands of while_loop"),
    (lambda: ops.switch(node(()), node((3,)), branches=(SAME,)), "numbered by an int32"),
    (lambda: ops.switch(node((), bool_), node((3,)), branches=(SAME,)), "numbered by an int32"),
    (lambda: ops.switch(node((), int32), node((3,)), branches=()), "no branches"),
    (lambda: ops.switch(node((), int32), node((3,)), branches=(SAME, SUM)), "branches of switch"),
    (lambda: ops.switch(node((), int32), branches=(SAME,)), "operands of switch"),
]


@pytest.mark.parametrize(("make", "match"), REFUSED)
def test_type_rules_refuse_what_does_not_fit(make: Callable[[], Node], match: str) -> None:
    with pytest.raises(GraphcTypeError, match=match):
        make()


def test_operations_count_a_body_for_each_step() -> None:
    once = graph_operations(decay().graph)
    assert once > 0
    assert graph_operations(scan_graph(7)) == 7 * once


def test_pictures_show_loops() -> None:
    text = to_dot(scan_graph(7))
    assert "scan of 7 steps" in text and "result 1" in text and "float32[7, 3]" in text
