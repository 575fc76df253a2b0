"""The laws of a graph, checked.

1. Every node is hash-consed: building it again gives the same object.
2. Every node has the type that its op's rule gives for its operands.
3. Operands come before users; every leaf `input` is listed; no input is listed twice.
4. An assignment's target is a variable, assigned once, and its value has the variable's type.
5. Nodes with several results are operands of `item` alone, and no roots.
6. The body of a loop or a branch obeys the same laws, and has no variables.

A graph that breaks one is the fault of a pass, so VerificationError names the node and the law.
"""

from __future__ import annotations

from graphc.body import nested_bodies
from graphc.errors import GraphcError, VerificationError
from graphc.graph import Graph
from graphc.node import Node, inferred_type


def verify(graph: Graph) -> Graph:
    """Return `graph` unchanged; raises VerificationError where it breaks a law."""
    for body in nested_bodies(graph.tuples):
        _verify(body.graph)
    _verify(graph)
    return graph


def _verify(graph: Graph) -> None:
    seen: set[Node] = set()
    for node in graph.nodes:
        _verify_node(node, seen)
        seen.add(node)
    listed = set(graph.inputs)
    for node in seen:
        if node.op.name == "input" and node not in listed:
            raise VerificationError(f"{node!r} is not listed among the inputs")
    several = next((root for root in graph.roots if root.is_tuple), None)
    if several is not None:
        raise VerificationError(f"{several!r} is a root: item takes one of its results")
    verify_assignments(graph)


def _verify_node(node: Node, seen: set[Node]) -> None:
    if not set(node.inputs) <= seen:
        raise VerificationError(f"{node!r} comes before one of its operands", line=str(node.line))
    try:
        again = node.op(*node.inputs, **node.attributes)
        expected = inferred_type(node)
    except GraphcError as error:
        raise VerificationError(f"{node!r} is ill-typed: {error}", line=str(node.line)) from error
    if expected != (node.results if node.is_tuple else node.type):
        raise VerificationError(f"{node!r} should be of type {expected}", line=str(node.line or ""))
    if again is not node:
        raise VerificationError(f"{node!r} is not hash-consed", line=str(node.line or ""))


def verify_assignments(graph: Graph) -> None:
    """Raise VerificationError where an assignment breaks law 4.

    The other laws hold of any graph whose nodes were made as `graphc.node` makes them.
    """
    targets = [target for target, _ in graph.assignments]
    if len(set(targets)) != len(targets):
        raise VerificationError("a variable is assigned twice")
    for target, value in graph.assignments:
        if target.op.name != "variable":
            raise VerificationError(f"{target!r} is assigned but is no variable")
        if target.type != value.type:
            raise VerificationError(f"{target!r} is assigned a value of type {value.type}")
