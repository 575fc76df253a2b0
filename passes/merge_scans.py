"""Make one scan of those that take the same steps and differ in what they stack. Exact.

    S  = scan(x…) {body: c, x -> c', y}         M = scan(x…) {body: c, x -> c', y, r}
    S' = scan(x…) {body: c, x -> c', r}    ->   items of S and of S' become items of M

Differentiation makes such pairs: the forward scan, and the same one that keeps residuals besides.
Scans are merged if they have the same operands and the same nodes compute their carries. Outer
graphs come before the bodies in them, since merging within a body changes what its loop compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc import ops
from graphc.body import Body, rewrite_outer_first
from graphc.graph import Graph, rebuild
from graphc.node import Node, at_line
from graphc.op import Scan

_COMMON = ("carries", "constants", "length", "reverse", "recompute")


def merge_scans(graph: Graph) -> Graph:
    """Return `graph` with scans over the same steps merged, in bodies too."""
    return rewrite_outer_first(graph, _merge)


def _merge(graph: Graph) -> Graph:
    alike: dict[Any, list[Node]] = {}
    for node in graph.nodes:
        if isinstance(node.op.lowering, Scan):
            alike.setdefault(_steps(node), []).append(node)
    bodies: dict[Node, Body] = {}
    for scans in alike.values():
        if len(scans) > 1:
            bodies.update(dict.fromkeys(scans, _union(scans)))
    return graph.rewrite(lambda node, inputs: _replace(node, inputs, bodies)) if bodies else graph


def _steps(node: Node) -> Any:
    """Return what scans have in common that take the same steps."""
    attributes = node.attributes
    counts = tuple(attributes[name] for name in _COMMON)
    body = attributes["body"]
    return node.inputs, counts, body.inputs, body.outputs[: attributes["carries"]]


def _union(scans: Sequence[Node]) -> Body:
    bodies = [node.attributes["body"] for node in scans]
    carries = scans[0].attributes["carries"]
    stacked = dict.fromkeys(output for body in bodies for output in body.outputs[carries:])
    return Body(Graph(bodies[0].inputs, [*bodies[0].outputs[:carries], *stacked]))


def _replace(node: Node, inputs: tuple[Node, ...], bodies: Mapping[Node, Body]) -> Node:
    source = node.inputs[0] if node.op is ops.item else None
    with at_line(node.line):
        if source is not None and source in bodies:
            return ops.item(inputs[0], index=_place(source, node.attributes["index"], bodies))
        if node not in bodies:
            return rebuild(node, inputs)
        return node.op(*inputs, **{**node.attributes, "body": bodies[node]})


def _place(node: Node, index: int, bodies: Mapping[Node, Body]) -> int:
    """Return the number in the merged scan of result `index` of `node`."""
    carries = node.attributes["carries"]
    output = node.attributes["body"].outputs[index]
    stacked = bodies[node].outputs[carries:]
    return index if index < carries else carries + stacked.index(output)
