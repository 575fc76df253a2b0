"""What passes over loops share: results replaced, and nodes of a body computed for all steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from graphc.capture import new_parameter
from graphc.graph import Graph, rebuild, substitute
from graphc.node import Node, at_line
from graphc.op import Item
from graphc.passes.batch import batch, widened

Results: TypeAlias = Mapping[int, Node]
Rule: TypeAlias = Callable[[Node, Sequence[int]], Results]


def rewrite_results(graph: Graph, rules: Mapping[type, Rule]) -> Graph:
    """Return `graph` with the results of loops replaced, from operands to users.

    A rule, by the kind of lowering, gets the node and the numbers of the results that are read, and
    gives a node for each of them.
    """
    used: dict[Node, set[int]] = {}
    for node in graph.nodes:
        if isinstance(node.op.lowering, Item):
            used.setdefault(node.inputs[0], set()).add(node.attributes["index"])
    results: dict[Node, Results] = {}

    def replace(node: Node, inputs: tuple[Node, ...]) -> Node:
        rule = rules.get(type(node.op.lowering))
        if rule is not None:
            rebuilt = rebuild(node, inputs)
            with at_line(node.line):
                results[node] = rule(rebuilt, sorted(used[node]))
            return rebuilt
        if isinstance(node.op.lowering, Item) and node.inputs[0] in results:
            return results[node.inputs[0]][node.attributes["index"]]
        return rebuild(node, inputs)

    return graph.rewrite(replace) if used else graph


def over_steps(
    nodes: Sequence[Node], stacks: Mapping[Node, Node], outer: Mapping[Node, Node], length: int
) -> tuple[Node, ...]:
    """Return the values of nodes of a body at all steps, stacked, computed outside of it.

    stacks  for nodes of the body on which they depend their values at all steps
    outer   for parameters of the body that do not change their operands
    """
    inner = {node: new_parameter(node.type) for node in stacks}
    replaced = substitute(substitute(nodes, inner), outer)
    images = batch(replaced, {inner[node]: stack for node, stack in stacks.items()}, length)
    return tuple(widened(*image, length) for image in images)
