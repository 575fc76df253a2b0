"""Views that would be kernels of their own lie in the memory of what they view.

A reshape keeps the elements in row-major order, and a slice that is the first part of them is a
prefix of that memory, so one memory is an array of either type. Where fusion leaves such a view
alone, as it does before a loop, a host function or a contraction that wants a dense operand, its
call would copy bytes onto others of the same order. That call is left out here, and its readers
read what it would have copied; lifetimes are worked out after that, so the memory is kept for them.
A copy stays where the result must have memory of its own, as an output or an assigned value has,
and where a reader reads both arrays, since memory is taken over operand by operand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from graphc import ops
from graphc.graph import Graph
from graphc.kernel import Kernel
from graphc.node import Node
from graphc.plan import Call, Operand

Numbered = tuple[int, Call]  # a call with its place among all calls, which is that of its group


def share_views(calls: Sequence[Call], graph: Graph) -> list[Numbered]:
    """Return the calls but for such views, each with its number among `calls`."""
    fixed = {*graph.outputs, *(node for _, node in graph.assignments)}
    readers: dict[Operand, list[int]] = defaultdict(list)
    for number, call in enumerate(calls):
        for operand in set(call.operands):
            readers[operand].append(number)
    operands = [call.operands for call in calls]
    left_out = set()
    for number, call in enumerate(calls):
        result = _viewed(call)
        if result is None or result in fixed:
            continue
        source = operands[number][0]
        others = [other for other in readers[result] if other != number]
        if any(source in operands[other] for other in others):
            continue
        left_out.add(number)
        for other in others:
            operands[other] = tuple(source if o is result else o for o in operands[other])
        readers[source] += others
    return [
        (number, replace(call, operands=operands[number]))
        for number, call in enumerate(calls)
        if number not in left_out
    ]


def _viewed(call: Call) -> Node | None:
    """Return what a call writes if that is a prefix of what it reads, in its order."""
    if not isinstance(call.routine, Kernel) or len(call.operands) != 2:
        return None
    source, result = call.operands
    if not isinstance(source, Node) or not isinstance(result, Node):
        return None
    node = result
    while node is not source and (node.op is ops.reshape or _is_prefix(node)):
        node = node.inputs[0]
    return result if node is source and result is not source else None


def _is_prefix(node: Node) -> bool:
    """Return whether a node is a slice of the first rows of its operand."""
    if node.op is not ops.slice_:
        return False
    attributes, shape = node.attributes, node.inputs[0].shape
    is_plain = not any(attributes["start"]) and all(step == 1 for step in attributes["step"])
    return is_plain and node.shape[1:] == shape[1:]
