"""What the compiler says about itself: counts of bytes and operations, and a reason an edge."""

from __future__ import annotations

from typing import Any

import pytest

import graphc
from graphc.explain import bytes_moved, graph_operations, node_operations, operations
from graphc.group import Grouping, Reason

X = graphc.input((8, 16), name="x")


def grouping_of(program: graphc.Program) -> Grouping:
    grouping = program.stages.grouping
    assert grouping is not None
    return grouping


@pytest.mark.parametrize(
    ("tensor", "count"),
    [
        (X + X, 8 * 16),
        (X.sum(axis=1), 8 * 16),
        (graphc.argmax(X, axis=0), 8 * 16),
        (X @ X.mT, 2 * 8 * 8 * 16),
        (X[2:4], 0),
        (X.reshape(16, 8), 0),
    ],
)
def test_operations_of_a_node(tensor: Any, count: int) -> None:
    assert node_operations(tensor.node) == count


def test_bytes_and_operations_of_a_fused_chain() -> None:
    program = graphc.compile([graphc.exp(X) * X + 1], inputs=[X])
    (group,) = grouping_of(program).groups
    assert bytes_moved(group) == 2 * 8 * 16 * 4
    assert operations(group) == graph_operations(program.optimised) == 3 * 8 * 16


def test_softmax_is_one_kernel_and_says_why() -> None:
    program = graphc.compile([graphc.softmax(X)], inputs=[X])
    text = program.explain()
    assert "1 groups, 1 distinct kernels" in text and "not fused" not in text
    assert Reason.PROLOGUE in text and Reason.INDEX_MAP in text
    assert "reads   %x input float32[8, 16]" in text and "test_explain.py" in text


def test_every_edge_between_computed_nodes_has_one_reason() -> None:
    w = graphc.input((16, 4), name="w")
    hidden = graphc.relu(X @ w)
    program = graphc.compile([graphc.softmax(hidden), hidden.sum()], inputs=[X, w])
    grouping = grouping_of(program)
    graph, leaves = program.optimised, {"input", "variable", "constant"}
    edges = [
        (operand, node, place)
        for node in graph.nodes
        for place, operand in enumerate(node.inputs)
        if operand.op.name not in leaves
    ]
    decided = [(d.producer, d.consumer, d.operand) for d in grouping.decisions]
    assert len(set(decided)) == len(decided) and set(edges) <= set(decided)


def test_an_unfused_program_says_so() -> None:
    program = graphc.compile([graphc.exp(X) + 1], inputs=[X], optimise=False)
    assert Reason.DISABLED in program.explain()


def test_the_headline_counts_what_there_is() -> None:
    program = graphc.compile([graphc.exp(X)], inputs=[X], name="single")
    head = program.explain().splitlines()[0]
    assert head == (
        "single: 2 nodes traced, 2 after passes, 1 groups, 1 distinct kernels, 1 KiB moved, "
        "128 operations, arena 0 B"
    )


def test_every_edge_of_a_long_chain_is_explained() -> None:
    y = X
    for _ in range(5000):
        y = graphc.sin(y)
    text = graphc.compile([y], inputs=[X]).explain()
    assert text.count(" -> ") == 4999
