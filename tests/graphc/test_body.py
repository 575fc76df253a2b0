"""Bodies: one for equal computations, closed, and found inside one another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc
from graphc import ops
from graphc.body import Body, bodies_of, nested_bodies, rewrite_nested
from graphc.errors import GraphcValueError, InternalError, VerificationError
from graphc.graph import Graph, substitute
from graphc.graph_digest import digest
from graphc.graph_text import parse_graph, print_graph
from graphc.graph_verifier import verify
from graphc.interpreter import interpret
from graphc.passes.simplify import simplify
from tests.graphc.loop_graphs import VECTOR, close, decay, nested_graph, scan_graph

GRAPHS = {"scan": scan_graph, "nested": nested_graph}


def test_equal_computations_are_one_body() -> None:
    assert decay() == decay() and hash(decay()) == hash(decay())
    assert decay() != decay(0.25)
    shape, dtype = (3,), graphc.float32
    assert decay().inputs[0] is ops.input_(number=-1, name="", shape=shape, dtype=dtype)
    first, second = scan_graph(), scan_graph()
    over = dict(zip(first.inputs, second.inputs, strict=True))
    assert substitute(first.roots, over) == second.roots


def test_a_body_may_return_parameters_and_constants_and_repeat_them() -> None:
    body = close(lambda x, y: (y, y, graphc.zeros(3)), VECTOR, VECTOR)
    x, y = np.ones(3, np.float32), np.arange(3, dtype=np.float32)
    assert [list(r) for r in body.run(x, y)] == [[0, 1, 2], [0, 1, 2], [0, 0, 0]]
    nodes = [graphc.input((3,)).node, graphc.input((3,)).node]
    assert body.apply(*nodes)[:2] == (nodes[1], nodes[1])


def test_bodies_are_closed() -> None:
    x, other = graphc.input((3,)), graphc.input((3,))
    with pytest.raises(GraphcValueError, match="not listed"):
        Body(Graph([x.node], [(x + other).node]))
    with pytest.raises(InternalError, match="no variables"):
        Body(Graph([x.node], [(x + graphc.Variable(np.ones(3))).node]))


def test_nested_bodies_are_listed_once_inner_ones_first() -> None:
    graph = nested_graph()
    found = nested_bodies(graph.nodes)
    assert len(found) == len(set(found)) == 5
    for place, body in enumerate(found):
        inside = {b for node in body.graph.nodes for b in bodies_of(node)}
        assert inside <= set(found[:place])


def test_passes_reach_every_body() -> None:
    seen: list[Graph] = []

    def note(graph: Graph) -> Graph:
        seen.append(graph)
        return simplify(graph)

    graph = nested_graph()
    rewritten = verify(rewrite_nested(graph, note))
    assert len(seen) == 6 and seen[-1].inputs == graph.inputs
    assert rewritten.roots != graph.roots  # abs(abs(c)) is abs(c)
    arrays = [np.ones(shape, np.float32) for shape in ((3,), (), (4, 3))]
    for left, right in zip(
        interpret(graph, arrays)[0], interpret(rewritten, arrays)[0], strict=True
    ):
        assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS)
def test_text_parses_back(make: Callable[[], Graph]) -> None:
    graph = make()
    text = print_graph(graph, full=True, lines=False)
    parsed = verify(parse_graph(text))
    assert print_graph(parsed, full=True, lines=False) == text
    assert nested_bodies(parsed.nodes) == nested_bodies(graph.nodes)
    assert digest(parsed) == digest(graph) is not None


def test_the_text_of_a_scan() -> None:
    lines = print_graph(scan_graph(number=2.0), lines=False).splitlines()
    assert lines[0] == "graph body_1(%0: float32[3], %1: float32[], %2: float32[3]) {"
    assert lines[-6:] == [
        "graph main(%start: float32[3], %rate: float32[], %stacked: float32[4, 3]) {",
        "  %3 = scan(%start, %rate, %stacked) {body=@body_1, carries=1, constants=1, length=4, "
        "reverse=False} : (float32[3], float32[4, 3])",
        "  %4 = item(%3) {index=0} : float32[3]",
        "  %5 = item(%3) {index=1} : float32[4, 3]",
        "  return %4, %5",
        "}",
    ]


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("@body_1", "@body_2", "line 12: @body_2 is no graph above"),
        ("length=4", "length=5", "line 12: scan: float32.4, 3. has no 5 slices"),
        ("(float32[3], float32[4, 3])", "float32[3]", "line 12: %3 is of type .float32"),
        ("graph main", "graph", "line 11: cannot read"),
    ],
)
def test_wrong_text_is_refused_with_its_line(old: str, new: str, match: str) -> None:
    text = print_graph(scan_graph(), full=True, lines=False)
    assert old in text
    with pytest.raises(graphc.ParseError, match=match):
        parse_graph(text.replace(old, new))


def test_the_digest_covers_bodies() -> None:
    digests = {digest(scan_graph(number=number)) for number in (0.5, 0.25)}
    digests |= {digest(scan_graph(5)), digest(scan_graph(reverse=True))}
    assert len(digests) == 4 and digest(scan_graph()) in digests


def test_the_verifier_looks_into_bodies() -> None:
    graph = nested_graph()
    verify(graph)
    inner = nested_bodies(graph.nodes)[0]
    broken = inner.outputs[0]
    kept, broken.type = broken.type, VECTOR_OF_FOUR
    try:
        with pytest.raises(VerificationError, match="should be of type"):
            verify(graph)
    finally:
        broken.type = kept


VECTOR_OF_FOUR = graphc.tensor_type((4,))


def test_results_are_taken_with_item_alone() -> None:
    node = scan_graph().outputs[0].inputs[0]
    assert node.is_tuple and [str(t) for t in node.results] == ["float32[3]", "float32[4, 3]"]
    with pytest.raises(InternalError, match="has several results"):
        node.type  # noqa: B018  # reading it is what is tested
    with pytest.raises(InternalError, match="has several results"):
        ops.sin(node)
    with pytest.raises(graphc.GraphcIndexError, match="no result 2 of 2"):
        ops.item(node, index=2)
    with pytest.raises(VerificationError, match="is a root"):
        verify(Graph(node.inputs, [node]))
