"""Caches of a row: values that several passes over one row use are kept, if they cost much to
repeat.

A kernel with reductions goes over each row once for each reduction and once for its results. An
elementwise value that two of these passes need is computed in the first and kept in a scratch row
for the later ones, if it costs more than reading it back and the caches of a row fit their limit.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.kernel import Scope
from graphc.node import Node
from graphc.op import Indices
from graphc.passes.iteration_space import Space, is_accumulator, strip
from graphc.passes.lower_emitter import Emitter
from graphc.passes.operation_cost import weight
from graphc.tensor_type import TensorType

_MOST_BYTES = 64 * 1024
_WORTH_KEEPING = 8


def make_row_caches(
    emitter: Emitter, space: Space, rows: Indices, passes: Sequence[Node]
) -> dict[Node, list[Node]]:
    """Make the scratch rows of the costly values that several of `passes` use.

    Each pass is a reduction, which goes over its operand, or a result of the full space. Returns
    for each pass the values whose caches it fills. Only rows of adjacent elements are kept.
    """
    fills: dict[Node, list[Node]] = {}
    if not space.reduced or space.reduced[0] != len(space.kept):
        return fills
    left = _MOST_BYTES
    for node, first in _used_again(emitter, space, passes).items():
        type_ = TensorType(space.reduced_extents, node.type.dtype)
        if type_.nbytes <= left:
            left -= type_.nbytes
            emitter.cache[node] = (emitter.scratch("row", type_, Scope.CACHE), rows)
            fills.setdefault(first, []).append(node)
    return fills


def _used_again(emitter: Emitter, space: Space, passes: Sequence[Node]) -> dict[Node, Node]:
    """Return the costly values that a pass after their first uses, each with that first pass."""
    first: dict[Node, Node] = {}
    again: dict[Node, Node] = {}
    results = [node for node in passes if not is_accumulator(node)]
    for node in passes:
        current = results[0] if results and not is_accumulator(node) else node
        pending = [node.inputs[0]] if is_accumulator(node) else [node]
        while pending:
            value = pending.pop()
            if not _is_of_row(emitter, space, value) or first.get(value) is current:
                continue
            if value in first and _cost(emitter, value) >= _WORTH_KEEPING:
                again[value] = first[value]
                continue
            first.setdefault(value, current)
            pending.extend(value.inputs)
    return again


def _is_of_row(emitter: Emitter, space: Space, node: Node) -> bool:
    is_computed = node in emitter.members and node.op.is_elementwise
    return is_computed and strip(node.shape) == space.extents


def _cost(emitter: Emitter, node: Node) -> int:
    """Return what computing the value takes, at most about `_WORTH_KEEPING`."""
    total, pending, seen = 0, [node], {node}
    while pending and total < _WORTH_KEEPING:
        value = pending.pop()
        total += weight(value)
        for operand in value.inputs:
            if operand not in seen and operand in emitter.members and operand.op.is_elementwise:
                seen.add(operand)
                pending.append(operand)
    return total
