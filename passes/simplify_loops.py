"""Simplify loops and branches: what nobody reads, what does not change, what is known. Exact.

    scan, while_loop   results and carries that nothing reads are removed
                       carries that a step returns as they are become constants
                       what is the same at each step is computed once, before the loop
                       small constants move into the body, and slices of a broadcast with them
    scan               stacked outputs that do not change, or are stacked inputs, need no loop
                       no step, or one, needs none
    switch             a known number, or equal branches, need no branch
                       results that nothing reads, or that are one operand anyway, are removed

Loops are rebuilt as `graphc.capture` closes them. Bodies are not looked into: `rewrite_nested`
brings them here before the graph that holds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc import ops
from graphc.arithmetic import filled
from graphc.body import Body
from graphc.capture import (
    captured,
    close,
    depending,
    invariant,
    is_small_constant,
    new_parameter,
)
from graphc.graph import Graph, substitute, topological_order
from graphc.node import Node, constant_value, is_constant, scalar_value
from graphc.op import Scan, Switch, While
from graphc.ops.loops import items
from graphc.ops.views import reshaped
from graphc.passes.loop_results import Results, Rule, rewrite_results


def simplify_loops(graph: Graph) -> Graph:
    """Return `graph` with its loops and branches simplified, from operands to users."""
    return rewrite_results(graph, _RULES)


class _Loop:
    """The parameters of a loop's body while it is simplified, and what is known of them.

    `operands` are those of the loop. `inner` gives parameters values within the body, `outer` says
    what others are outside of it. Carries and slices that are in neither change from step to step.
    """

    def __init__(
        self, node: Node, parameters: Sequence[Node], carries: int, constants: int
    ) -> None:
        self.operands = dict(zip(parameters, node.inputs, strict=True))
        self.carries = tuple(parameters[:carries])
        self.slices = tuple(parameters[carries + constants :])
        self.inner: dict[Node, Node] = {}
        self.outer: dict[Node, Node] = {}
        first: dict[Node, Node] = {}
        for parameter in parameters[carries : carries + constants]:
            operand = self.operands[parameter]
            if (same := first.setdefault(operand, parameter)) is not parameter:
                self.inner[parameter] = self.inner.get(same, same)
            else:
                self.know(parameter)

    def know(self, parameter: Node) -> None:
        """Take note of a parameter that is the same at each step."""
        operand = self.operands[parameter]
        is_known = is_small_constant(operand) or scalar_value(operand) is not None
        (self.inner if is_known else self.outer)[parameter] = operand

    def know_slices(self) -> None:
        """Take note of the slices that are all alike: the operand is a broadcast along them."""
        for parameter in self.slices:
            operand = self.operands[parameter]
            if operand.op is not ops.broadcast_to:
                continue
            source = operand.inputs[0]
            if len(source.shape) == len(operand.shape):
                if source.shape[0] != 1:
                    continue
                source = reshaped(source, source.shape[1:])
            row = new_parameter(source.type)
            self.operands[row] = source
            self.know(row)
            self.inner[parameter] = _spread(self.inner.get(row, row), parameter.shape)

    def substituted(self, outputs: Sequence[Node]) -> tuple[Node, ...]:
        """Return results of the body with the `inner` values in place."""
        return substitute(outputs, self.inner)

    def fix_carries(self, outputs: Sequence[Node]) -> tuple[Node, ...]:
        """Take note of carries that the step returns as they are; return the results with that."""
        for parameter, output in zip(self.carries, outputs, strict=False):
            if parameter is output:
                self.know(parameter)
        return self.substituted(outputs)

    def is_moving(self, parameter: Node) -> bool:
        """Return whether a parameter may change from step to step."""
        return parameter not in self.inner and parameter not in self.outer

    def outside(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """Return nodes that do not change as nodes of the outer graph."""
        return substitute(nodes, self.outer)

    def needed_carries(self, outputs: Sequence[Node], roots: Sequence[Node]) -> list[int]:
        """Return the numbers of the moving carries that `roots` of the body depend on."""
        found: set[int] = set()
        while True:
            above = set(topological_order([*roots, *(outputs[j] for j in found)]))
            more = {j for j, p in enumerate(self.carries) if p in above and self.is_moving(p)}
            if more <= found:
                return sorted(found)
            found |= more


def _spread(node: Node, shape: tuple[int, ...]) -> Node:
    return node if node.shape == shape else ops.broadcast_to(node, shape=shape)


def _simplify_scan(node: Node, used: Sequence[int]) -> Results:
    length, count = node.attributes["length"], node.attributes["carries"]
    body = node.attributes["body"]
    if length <= 1:
        return _without_loop(node, used)
    loop = _Loop(node, body.inputs, count, node.attributes["constants"])
    loop.know_slices()
    outputs = loop.fix_carries(loop.substituted(body.outputs))
    moving = [p for p in (*loop.carries, *loop.slices) if loop.is_moving(p)]
    changing = depending(topological_order(outputs), moving)
    results: dict[int, Node] = {}
    for j in used:
        if j < count and not loop.is_moving(loop.carries[j]):
            results[j] = loop.operands[loop.carries[j]]
        elif j >= count and outputs[j] in loop.slices:
            results[j] = loop.operands[outputs[j]]
        elif j >= count and outputs[j] not in changing:
            (value,) = loop.outside([outputs[j]])
            lifted = reshaped(value, (1, *value.shape))
            results[j] = _spread(lifted, (length, *value.shape))
    left = [j for j in used if j not in results]
    return results | _rebuilt_scan(node, loop, outputs, left) if left else results


def _rebuilt_scan(
    node: Node, loop: _Loop, outputs: Sequence[Node], left: Sequence[int]
) -> dict[int, Node]:
    """Return the results `left` of a scan that computes nothing else."""
    count = len(loop.carries)
    finals = [j for j in left if j < count]
    stacked = list(dict.fromkeys(outputs[j] for j in left if j >= count))
    starts = [loop.carries[j] for j in finals]
    carried = loop.needed_carries(outputs, [*stacked, *starts])
    before = [loop.carries[j] for j in carried]
    roots = [*(outputs[j] for j in carried), *stacked]
    above = set(topological_order(roots))
    after = [p for p in loop.slices if p in above]
    body, constants = close(before, after, roots, invariant(roots, [*before, *after]))
    operands = [*_taken(loop, before), *loop.outside(constants), *_taken(loop, after)]
    counts = {"body": body, "carries": len(before), "constants": len(constants)}
    rebuilt = items(node.op(*operands, **{**node.attributes, **counts}))
    found = {j: rebuilt[carried.index(j)] for j in finals}
    places = {output: len(before) + place for place, output in enumerate(stacked)}
    return found | {j: rebuilt[places[outputs[j]]] for j in left if j >= count}


def _taken(loop: _Loop, parameters: Sequence[Node]) -> list[Node]:
    return [loop.operands[parameter] for parameter in parameters]


def _without_loop(node: Node, used: Sequence[int]) -> Results:
    """Return the results of a scan of one step, or of none."""
    count, body = node.attributes["carries"], node.attributes["body"]
    if node.attributes["length"] == 0:
        empty = {j: filled(node.results[j], 0) for j in used if j >= count}
        return empty | {j: node.inputs[j] for j in used if j < count}
    first = count + node.attributes["constants"]
    slices = [reshaped(x, x.shape[1:]) for x in node.inputs[first:]]
    values = body.apply(*node.inputs[:first], *slices)
    return {j: reshaped(values[j], node.results[j].shape) for j in used}


def _simplify_while(node: Node, used: Sequence[int]) -> Results:
    count = node.attributes["carries"]
    body, condition = node.attributes["body"], node.attributes["condition"]
    loop = _Loop(node, body.inputs, count, len(body.inputs) - count)
    outputs = loop.fix_carries(loop.substituted(body.outputs))
    (test,) = loop.substituted(condition.outputs)
    results = {
        j: _taken(loop, loop.carries)[j] for j in used if not loop.is_moving(loop.carries[j])
    }
    left = [j for j in used if j not in results]
    if not left:
        return results
    carried = loop.needed_carries(outputs, [test, *(loop.carries[j] for j in left)])
    before = [loop.carries[j] for j in carried]
    roots = [*(outputs[j] for j in carried), test]
    both, constants = close(before, (), roots, invariant(roots, before, runs=False))
    parts = (both.outputs[:-1], both.outputs[-1:])
    step, holds = (Body(Graph(both.inputs, part)) for part in parts)
    operands = [*_taken(loop, before), *loop.outside(constants)]
    rebuilt = items(node.op(*operands, body=step, condition=holds, carries=len(before)))
    return results | {j: rebuilt[carried.index(j)] for j in left}


def _simplify_switch(node: Node, used: Sequence[int]) -> Results:
    branches: tuple[Body, ...] = node.attributes["branches"]
    index, operands = node.inputs[0], node.inputs[1:]
    if is_constant(index) or len(set(branches)) == 1:
        number = int(constant_value(index)) if is_constant(index) else 0
        values = branches[min(max(number, 0), len(branches) - 1)].apply(*operands)
        return {j: values[j] for j in used}
    loop = _Loop(node, (new_parameter(index.type), *branches[0].inputs), 1, len(operands))
    outputs = [loop.substituted(branch.outputs) for branch in branches]
    results: dict[int, Node] = {}
    for j in used:
        same = {rows[j] for rows in outputs}
        if len(same) == 1 and next(iter(same)) in loop.outer:
            results[j] = loop.outer[same.pop()]
    left = [j for j in used if j not in results]
    if not left:
        return results
    roots = [rows[j] for rows in outputs for j in left]
    read = captured(roots, (), lambda n: n in loop.outer)
    inner = [new_parameter(n.type) for n in read]
    replaced = substitute(roots, dict(zip(read, inner, strict=True)))
    size = len(left)
    rows = [replaced[k * size : (k + 1) * size] for k in range(len(branches))]
    made = tuple(Body(Graph(inner, row)) for row in rows)
    rebuilt = items(node.op(index, *loop.outside(read), branches=made))
    return results | dict(zip(left, rebuilt, strict=True))


_RULES: Mapping[type, Rule] = {
    Scan: _simplify_scan,
    While: _simplify_while,
    Switch: _simplify_switch,
}
