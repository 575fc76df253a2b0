"""Long reductions of few rows, split so that threads can share them. Exact.

A reduction of more than a block of elements for each lane forms every block apart, from the
identity, and combines the blocks in ascending order (`graphc.reduction_order`). Here these steps
become nodes: one reduction for all blocks, whose results are many and independent, one over the
blocks, and the tree over the lanes.

    sum(x) of 16 M elements  ->  x as [256 blocks, 1024 steps, 64 lanes]
                                 sum over the steps, sum over the blocks, ((l0+l32)+(l16+l48))+…

Requires reduced axes side by side, and guarantees the same order, so that every bit is the same.
What has enough rows for all threads stays as it is, and so do short reductions.
"""

from __future__ import annotations

import math

from graphc import ops
from graphc.arithmetic import apply, filled
from graphc.dtypes import DType
from graphc.graph import Graph, rebuild
from graphc.node import Node, at_line
from graphc.op import Reduction
from graphc.ops.views import cut, reshaped
from graphc.reduction_order import BLOCK, reduction_order
from graphc.target import Target

FEWEST_BLOCKS = 4  # that are worth a kernel of their own and a second one for their results
_TASKS = 4  # independent results a core, from which on nothing is split
PAGE = 4096  # bytes of a row that a thread should read in one piece


def split_reductions(graph: Graph, target: Target) -> Graph:
    """Return `graph` with every long reduction that `target` has too few rows of as two."""
    return graph.rewrite(lambda node, inputs: _split(rebuild(node, inputs), target))


def _split(node: Node, target: Target) -> Node:
    if not isinstance(node.op.lowering, Reduction):
        return node
    (x,), axes = node.inputs, node.attributes["axes"]
    if not axes or axes[-1] - axes[0] != len(axes) - 1:
        return node
    order = reduction_order(x.shape, axes)
    blocks = order.count // (order.lanes * BLOCK)
    rows, columns = math.prod(x.shape[: axes[0]]), math.prod(x.shape[axes[-1] + 1 :])
    tasks = rows * -(-columns * x.type.dtype.itemsize // PAGE)
    # more blocks than a block has steps would be combined in another order
    if not FEWEST_BLOCKS <= blocks <= BLOCK or tasks >= _TASKS * target.cores:
        return node
    with at_line(node.line):
        wide = _cast(reshaped(x, (rows, order.count, columns)), x.type.dtype.compute)
        whole = _combine_lanes(node, _in_blocks(node, wide, order.lanes, blocks), order.lanes)
        return _cast(reshaped(whole, node.shape), node.type.dtype)


def _in_blocks(node: Node, x: Node, lanes: int, blocks: int) -> Node:
    """Return [rows, lanes * columns] of `x`, [rows, elements, columns]; one of the two is 1."""
    rows, count, columns = x.shape
    width, size = lanes * columns, blocks * BLOCK * lanes
    main = reshaped(cut(x, (0, 0, 0), (rows, size, columns)), (rows, blocks, BLOCK, width))
    total = node.op(node.op(main, axes=(2,)), axes=(1,))
    if count == size:
        return total
    tail = cut(x, (0, size, 0), (rows, count - size, columns))
    steps = -(-(count - size) // lanes)
    filled_up = reshaped(_pad(node, tail, steps * lanes), (rows, steps, width))
    return _combine(node, total, node.op(filled_up, axes=(1,)))


def _pad(node: Node, x: Node, count: int) -> Node:
    """Return `x` with so many elements in each row, the last ones the identity."""
    missing = count - x.shape[1]
    if not missing:
        return x
    lowering = node.op.lowering
    assert isinstance(lowering, Reduction)
    dtype = x.type.dtype
    identity = filled(x.type.with_shape(()), lowering.identity(dtype))
    return ops.pad(x, identity, low=(0, 0, 0), high=(0, missing, 0))


def _combine_lanes(node: Node, x: Node, lanes: int) -> Node:
    """Return the tree over the lanes, the last axis of `x`; as it is for one lane."""
    rows = x.shape[0]
    while lanes > 1:
        lanes //= 2
        x = _combine(node, cut(x, (0, 0), (rows, lanes)), cut(x, (0, lanes), (rows, lanes)))
    return x


def _combine(node: Node, left: Node, right: Node) -> Node:
    lowering = node.op.lowering
    assert isinstance(lowering, Reduction)
    return apply(lowering.combine, left, right)


def _cast(x: Node, dtype: DType) -> Node:
    return x if x.type.dtype is dtype else ops.cast(x, dtype=dtype)
