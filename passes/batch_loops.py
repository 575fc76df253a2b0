"""Batching of loops and branches: their bodies are batched, and stay bodies.

A carry has the new axis if its first value has it, or if what the body makes of the carries does:
a fixed point, so that counters which all examples share stay numbers. A `while_loop` whose
condition differs from example to example runs until none wants more, and examples that have stopped
keep their carries. A `switch` whose number differs runs every branch and chooses by example.
Stacked values keep their steps first: the examples are their second axis inside the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from graphc import ops
from graphc.arithmetic import filled
from graphc.body import Body
from graphc.capture import new_parameter
from graphc.graph import Graph
from graphc.node import Node
from graphc.op import Scan, Switch, While
from graphc.ops.loops import items
from graphc.ops.views import reshaped

if TYPE_CHECKING:
    from graphc.passes.batch import Image, Operands

Flags: TypeAlias = tuple[bool, ...]
Batch: TypeAlias = "Callable[[Sequence[Node], Mapping[Node, Node], int], tuple[Image, ...]]"
Rule: TypeAlias = "Callable[[Node, Operands, Batch], list[Image]]"


def _scan(node: Node, operands: Operands, batch: Batch) -> list[Image]:
    body, carries, constants = (node.attributes[k] for k in ("body", "carries", "constants"))
    flags = _with_carries(body, operands.flags, carries, operands.size, batch)
    wide = widened_body(body, flags, flags[:carries], operands.size, batch)
    stacked = [
        _swapped(operands.plain(n)) if flags[n] else operands.plain(n)
        for n in range(carries + constants, len(flags))
    ]
    first = _chosen(operands, flags[: carries + constants])
    attributes = {**node.attributes, "body": wide.body}
    results = items(node.op(*first, *stacked, **attributes))
    last = list(zip(results[:carries], flags[:carries], strict=True))
    outputs = zip(results[carries:], wide.flags[carries:], strict=True)
    return last + [(_swapped(r) if is_wide else r, is_wide) for r, is_wide in outputs]


def _while_loop(node: Node, operands: Operands, batch: Batch) -> list[Image]:
    condition, body, carries = (node.attributes[k] for k in ("condition", "body", "carries"))
    size = operands.size
    flags = _with_carries(body, operands.flags, carries, size, batch)
    asked = widened_body(condition, flags, (), size, batch)
    if asked.flags[0]:
        flags = (True,) * carries + flags[carries:]
        asked = widened_body(condition, flags, (), size, batch)
    wide = widened_body(body, flags, flags[:carries], size, batch)
    attributes = {**node.attributes, "condition": asked.body, "body": wide.body}
    if asked.flags[0]:
        attributes["condition"] = _any_wants_more(asked.body)
        attributes["body"] = _only_where_wanted(wide.body, asked.body, carries)
    results = items(node.op(*_chosen(operands, flags), **attributes))
    return list(zip(results, flags[:carries], strict=True))


def _switch(node: Node, operands: Operands, batch: Batch) -> list[Image]:
    branches: tuple[Body, ...] = node.attributes["branches"]
    size, flags = operands.size, operands.flags[1:]
    made = [widened_body(branch, flags, (), size, batch) for branch in branches]
    chosen = tuple(any(column) for column in zip(*(m.flags for m in made), strict=True))
    if operands.flags[0]:
        chosen = (True,) * len(chosen)
    bodies = tuple(widened_body(b, flags, chosen, size, batch).body for b in branches)
    given = operands.all_plain()
    if not operands.flags[0]:
        results: Sequence[Node] = items(node.op(*given, branches=bodies))
        return list(zip(results, chosen, strict=True))
    columns = zip(*(body.apply(*given[1:]) for body in bodies), strict=True)
    return [(_chosen_by_example(given[0], column), True) for column in columns]


RULES: Mapping[type, Rule] = {Scan: _scan, While: _while_loop, Switch: _switch}


class WidenedBody:
    """A body over operands of which some have the new axis, and which of its results have it."""

    def __init__(self, body: Body, flags: Flags) -> None:
        self.body, self.flags = body, flags


def widened_body(body: Body, flags: Flags, forced: Flags, size: int, batch: Batch) -> WidenedBody:
    """Return a body with the flagged parameters batched, and the `forced` results in any case."""
    fresh = {
        node: new_parameter(node.type.with_shape((size, *node.shape)))
        for node, is_wide in zip(body.inputs, flags, strict=True)
        if is_wide
    }
    images = list(batch(body.outputs, fresh, size))
    for number, is_forced in enumerate(forced):
        image, is_wide = images[number]
        if is_forced and not is_wide:
            images[number] = ops.broadcast_to(image, shape=(size, *image.shape)), True
    inputs = [fresh.get(node, node) for node in body.inputs]
    graph = Graph(inputs, [image for image, _ in images], name="body")
    return WidenedBody(Body(graph), tuple(is_wide for _, is_wide in images))


def _with_carries(body: Body, flags: Flags, carries: int, size: int, batch: Batch) -> Flags:
    """Return the flags of the operands once every carry has the axis that some step gives it."""
    while True:
        made = widened_body(body, flags, (), size, batch).flags[:carries]
        grown = tuple(a or b for a, b in zip(flags[:carries], made, strict=True))
        if grown == flags[:carries]:
            return flags
        flags = grown + flags[carries:]


def _chosen(operands: Operands, flags: Flags) -> list[Node]:
    return [operands.wide(n) if is_wide else operands.plain(n) for n, is_wide in enumerate(flags)]


def _swapped(node: Node) -> Node:
    """Return a node with its first two axes, examples and steps, in the other order."""
    return ops.permute_dims(node, axes=(1, 0, *range(2, len(node.shape))))


def _any_wants_more(condition: Body) -> Body:
    (wanted,) = condition.outputs
    return Body(Graph(condition.inputs, [ops.any_(wanted, axes=(0,))], name="body"))


def _only_where_wanted(body: Body, condition: Body, carries: int) -> Body:
    (wanted,) = condition.apply(*body.inputs)
    pairs = zip(body.outputs, body.inputs[:carries], strict=True)
    kept = [ops.where(_column(wanted, new), new, old) for new, old in pairs]
    return Body(Graph(body.inputs, kept, name="body"))


def _chosen_by_example(index: Node, branches: Sequence[Node]) -> Node:
    """Return the result of the branch that each example names; numbers out of range are moved."""
    found = branches[0]
    for number, result in enumerate(branches[1:], 1):
        reached = ops.greater_equal(index, filled(index.type, number))
        found = ops.where(_column(reached, result), result, found)
    return found


def _column(flags: Node, like: Node) -> Node:
    """Return one bool an example as a tensor of the shape of `like`."""
    column = reshaped(flags, (flags.shape[0], *(1 for _ in like.shape[1:])))
    return column if column.shape == like.shape else ops.broadcast_to(column, shape=like.shape)
