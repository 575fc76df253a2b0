"""Put what an op is composed of in its place: afterwards no node is a `Composition`. Exact.

Requires nothing; guarantees that every new node carries the user's line of the node it stands for,
and that a graph without compositions is the same object. It runs for graphs that are not optimised
too, since kernels are made of the other kinds alone.
"""

from __future__ import annotations

from graphc.errors import InternalError
from graphc.graph import Graph, rebuild
from graphc.node import Node, at_line, shown_type
from graphc.op import Composition, Item


def expand_compositions(graph: Graph) -> Graph:
    """Return `graph` with every composition expanded, and those in what it expands to."""
    while any(map(_is_composed, graph.nodes)):
        graph = graph.rewrite(_Expansions().replace)
    return graph


def expansion(node: Node) -> tuple[Node, ...]:
    """Return the results of a composition, made of other ops."""
    lowering = node.op.lowering
    assert isinstance(lowering, Composition)
    with at_line(node.line):
        expanded = lowering.expand(node)
    results = expanded if isinstance(expanded, tuple) else (expanded,)
    if tuple(result.type for result in results) != node.results:
        raise InternalError(f"{node.op.name} is a {shown_type(node)}, but expands to others")
    return results


class _Expansions:
    """The results of compositions, each expanded once."""

    def __init__(self) -> None:
        self._known: dict[Node, tuple[Node, ...]] = {}

    def replace(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the image of `node` over other operands."""
        node = rebuild(node, inputs)
        if isinstance(node.op.lowering, Item) and _is_composed(node.inputs[0]):
            index: int = node.attributes["index"]
            return self._results(node.inputs[0])[index]
        if _is_composed(node) and not node.is_tuple:
            return self._results(node)[0]
        return node  # one with several results stays until its items are gone

    def _results(self, node: Node) -> tuple[Node, ...]:
        if node not in self._known:
            self._known[node] = expansion(node)
        return self._known[node]


def _is_composed(node: Node) -> bool:
    return isinstance(node.op.lowering, Composition)
