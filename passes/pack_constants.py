"""Lay constant operands of products out as their kernels read them. Exact.

A contraction goes over its columns in panels of a few vectors (`schedule_tiles`), and copies what
does not lie like that in each call. A constant operand is copied once, here: the new constant holds
panel after panel, in each the summed elements in their order, and views show it in its old shape,
so that the graph means the same. Lowering composes the views into the index of the load, which then
is as a panel's.

Requires that constants are folded, and that no folding follows, which would undo it. Guarantees the
same bits. Only what several tiles of rows read is packed; the last panel is filled with zeros.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from graphc import ops
from graphc.dtypes import as_dtype
from graphc.graph import Graph, rebuild
from graphc.node import ArrayData, Node, at_line, constant_value, is_constant
from graphc.op import Contraction
from graphc.passes.schedule_panels import panel_width
from graphc.state import aligned_empty
from graphc.target import Target
from graphc.tensor_type import TensorType

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

FEWEST_ROWS = 8  # that share a panel


def pack_constants(graph: Graph, target: Target) -> Graph:
    """Return `graph` with the constant columns of contractions in panels for `target`, a CPU."""
    if target.kind != "cpu":
        return graph

    def replace(node: Node, inputs: tuple[Node, ...]) -> Node:
        node = rebuild(node, inputs)
        return _packed(node, target) if isinstance(node.op.lowering, Contraction) else node

    return graph.rewrite(replace)


def _packed(node: Node, target: Target) -> Node:
    """Return the contraction `node` over a packed operand, or `node` where none is to be packed."""
    out = node.attributes["out"]
    for side, other in (("lhs", "rhs"), ("rhs", "lhs")):
        labels, rows = node.attributes[side], node.attributes[other]
        number = 0 if side == "lhs" else 1
        operand = node.inputs[number]
        if not out or out[-1] not in labels or not is_constant(operand):
            continue
        extents = dict(zip(rows, node.inputs[1 - number].shape, strict=True))
        free = [label for label in rows if label in out]
        width = panel_width(target, node.type.dtype, operand.shape[labels.index(out[-1])])
        shared = set(labels) & set(free)
        if shared or max((extents[f] for f in free), default=1) < FEWEST_ROWS:
            continue
        summed = [label for label in node.attributes["lhs"] if label not in out]
        with at_line(node.line):
            view = _in_panels(operand, labels, out[-1], summed, width)
            inputs = (view, node.inputs[1]) if number == 0 else (node.inputs[0], view)
            return node.op(*inputs, **node.attributes)
    return node


def _in_panels(operand: Node, labels: str, column: str, summed: list[str], width: int) -> Node:
    """Return views, of the shape of `operand`, of a constant that holds it in panels.

    The axes of the constant: the other free labels, panels of the column, the summed labels in the
    order in which they are summed, the columns of a panel.
    """
    axis, array = labels.index(column), constant_value(operand)
    panels = -(-array.shape[axis] // width)
    places = {label: n + (n > axis) for n, label in enumerate(labels)}
    free = [label for label in labels if label != column and label not in summed]
    order = [*(places[f] for f in free), axis, *(places[s] for s in summed), axis + 1]
    packed = _reordered(array, axis, panels, width, order)
    return _as_before(packed, order, operand.shape, axis, panels * width)


def _reordered(array: Array, axis: int, panels: int, width: int, order: list[int]) -> Array:
    """Return `array`, `axis` split into panels and filled up with zeros, with axes in `order`."""
    split = (*array.shape[:axis], panels, width, *array.shape[axis + 1 :])
    shape = tuple(split[a] for a in order)
    packed = aligned_empty(TensorType(shape, as_dtype(array.dtype)))
    target = packed.transpose(np.argsort(order))  # with the axes of `split`
    whole, rest = divmod(array.shape[axis], width)
    before = (slice(None),) * axis
    first = array[(*before, slice(whole * width))]
    target[(*before, slice(whole))] = first.reshape(*split[:axis], whole, *split[axis + 1 :])
    if rest:
        target[(*before, whole, slice(rest))] = array[(*before, slice(whole * width, None))]
        target[(*before, whole, slice(rest, None))] = 0
    return packed


def _as_before(
    packed: Array, order: list[int], shape: tuple[int, ...], axis: int, filled: int
) -> Node:
    """Return `packed`, whose axes were brought into `order`, seen in its old order and `shape`."""
    inverse = tuple(order.index(a) for a in range(len(order)))
    whole = (*shape[:axis], filled, *shape[axis + 1 :])
    constant = ops.constant(value=ArrayData(packed, handed_over=True))
    node = ops.permute_dims(constant, axes=inverse)
    node = ops.reshape(node, shape=whole)
    if filled == shape[axis]:
        return node
    return ops.slice_(node, start=(0,) * len(shape), stop=shape, step=(1,) * len(shape))
