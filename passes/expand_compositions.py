"""Put what an op is composed of in its place: afterwards no node is a `Composition`. Exact.

Requires nothing; guarantees that every new node carries the user's line of the node it stands for,
and that a graph without compositions is the same object. It runs for graphs that are not optimised
too, since kernels are made of the other kinds alone.
"""

from __future__ import annotations

from graphc.errors import InternalError
from graphc.graph import Graph, rebuild
from graphc.node import Node, at_line
from graphc.op import Composition


def expand_compositions(graph: Graph) -> Graph:
    """Return `graph` with every composition expanded, and those in what it expands to."""
    while any(isinstance(node.op.lowering, Composition) for node in graph.nodes):
        graph = graph.rewrite(lambda node, inputs: _expanded(rebuild(node, inputs)))
    return graph


def _expanded(node: Node) -> Node:
    lowering = node.op.lowering
    if not isinstance(lowering, Composition):
        return node
    with at_line(node.line):
        expanded = lowering.expand(node)
    if expanded.type != node.type:
        raise InternalError(f"{node.op.name} is a {node.type}, but expands to a {expanded.type}")
    return expanded
