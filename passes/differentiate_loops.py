"""Reverse-mode derivatives of loops and branches; that of `scan` is in `differentiate_scan`.

*switch*. The cotangents come of a switch over the derivatives of the branches, which compute what
they read of the forward branch again.

*while_loop*. It has no derivative in reverse mode: how many steps to keep is not known. The node of
`while_pullback` takes its place, since forward mode is the derivative of that by its cotangents,
for which a loop does that carries values and tangents. A program in which the node is left asks
for reverse mode, and is refused.

`differentiate(outputs, cotangents, wrt)` is that of a graph; it calls these rules for nested loops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from graphc import ops
from graphc.arithmetic import filled, zeros_like
from graphc.body import Body
from graphc.capture import new_parameter
from graphc.graph import Graph
from graphc.node import Node
from graphc.op import Op
from graphc.ops.loops import items, no_reverse_mode
from graphc.passes.differentiate_scan import Cotangents, Differentiate, pull_back_scan


def pull_back_switch(
    node: Node, cotangents: Cotangents, needed: Sequence[bool], differentiate: Differentiate
) -> Cotangents:
    """Return the cotangents of the operands of a switch that are `needed`."""
    given = [j for j, cotangent in enumerate(cotangents) if cotangent is not None]
    wanted = [i for i, is_needed in enumerate(needed[1:]) if is_needed]
    branches: list[Body] = []
    for branch in node.attributes["branches"]:
        outputs = [branch.outputs[j] for j in given]
        seeds = [new_parameter(output.type, "cotangent") for output in outputs]
        roots = differentiate(outputs, seeds, [branch.inputs[i] for i in wanted])
        branches.append(Body(Graph([*branch.inputs, *seeds], roots)))
    seeds = [c for c in cotangents if c is not None]
    pulled = items(node.op(*node.inputs, *seeds, branches=tuple(branches)))
    found = dict(zip(wanted, pulled, strict=True))
    return [None, *(found.get(i) for i in range(len(needed) - 1))]


def pull_back_while(
    node: Node, cotangents: Cotangents, needed: Sequence[bool], differentiate: Differentiate
) -> Cotangents:
    """Return the cotangents of the operands as results of a node that nothing can compute.

    They are linear in the cotangents given, and forward mode asks for that derivative alone.
    """
    floats = [i for i, operand in enumerate(node.inputs) if operand.type.dtype.is_inexact]
    seeds = [
        cotangents[j] or filled(t, 0) for j, t in enumerate(node.results) if t.dtype.is_inexact
    ]
    pulled = items(ops.while_pullback(*node.inputs, *seeds, **node.attributes))
    found = dict(zip(floats, pulled, strict=True))
    return [found.get(i) if is_needed else None for i, is_needed in enumerate(needed)]


def push_forward_while(
    node: Node, cotangents: Cotangents, needed: Sequence[bool], differentiate: Differentiate
) -> Cotangents:
    """Return the cotangents of the cotangents that a `while_pullback` takes.

    Its results' cotangents are tangents of the loop's operands. What comes out are those of its
    carries: a loop that carries values and tangents side by side.
    """
    body, count = node.attributes["body"], node.attributes["carries"]
    size = len(body.inputs)
    if any(needed[:size]):
        raise no_reverse_mode(node.line)
    floats = [i for i, parameter in enumerate(body.inputs) if parameter.type.dtype.is_inexact]
    tangents = {i: new_parameter(body.inputs[i].type, "tangent") for i in floats}
    carried = [i for i in floats if i < count]
    outputs = [body.outputs[j] for j in carried]
    seeds = [new_parameter(output.type, "cotangent") for output in outputs]
    pulled = differentiate(outputs, seeds, [body.inputs[i] for i in floats])
    pushed = differentiate(pulled, list(tangents.values()), seeds)
    starts = [c or zeros_like(body.inputs[i]) for i, c in zip(floats, cotangents, strict=True)]
    given = dict(zip(floats, starts, strict=True))
    carries = [*body.inputs[:count], *(tangents[i] for i in carried)]
    constants = [*body.inputs[count:], *(tangents[i] for i in floats if i >= count)]
    step = Body(Graph([*carries, *constants], [*body.outputs, *pushed]))
    condition = Body(Graph([*carries, *constants], node.attributes["condition"].outputs))
    operands = [
        *node.inputs[:count],
        *(given[i] for i in carried),
        *node.inputs[count:size],
        *(given[i] for i in floats if i >= count),
    ]
    loop = ops.while_loop(*operands, condition=condition, body=step, carries=len(carries))
    return [*[None] * size, *items(loop)[count:]]


RULES: Mapping[Op, Callable[..., Cotangents]] = {
    ops.scan: pull_back_scan,
    ops.switch: pull_back_switch,
    ops.while_loop: pull_back_while,
    ops.while_pullback: push_forward_while,
}
