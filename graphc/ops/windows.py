"""Windows over axes: views of blocks of neighbouring elements, and the adjoint of those views.

The window at place p of an axis holds the elements p * stride + o * dilation for o < size. Windows
lie inside the operand: there are as many as fit, none where one is longer than the axis. As with
`numpy.lib.stride_tricks.sliding_window_view` an axis becomes one of places and an axis of offsets
is added at the end. Nothing is copied: both ops are index maps.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc import dtypes
from graphc.arithmetic import filled, zeros_like
from graphc.errors import ShapeError
from graphc.index import Index, as_index
from graphc.node import Node
from graphc.op import Guarded, Indices, Op, View
from graphc.ops.conversion import where
from graphc.ops.declare import Array
from graphc.ops.type_rules import REAL, check_axes, check_same
from graphc.ops.views import broadcast_to, padded, permute_dims, reshaped, slice_, total
from graphc.tensor_type import Shape, TensorType


def places(extent: int, size: int, stride: int, dilation: int) -> int:
    """Return how many windows of `size` elements fit into an axis of this extent."""
    return max(0, (extent - (size - 1) * dilation - 1) // stride + 1)


def _check(
    name: str, rank: int, axes: Shape, sizes: Shape, strides: Shape, dilations: Shape
) -> None:
    check_axes(name, axes, rank)
    if not len(axes) == len(sizes) == len(strides) == len(dilations):
        raise ShapeError(f"{name}: sizes, strides and dilations are numbers for {len(axes)} axes")
    if min((1, *sizes, *strides, *dilations)) < 1:
        raise ShapeError(f"{name}: sizes, strides and dilations are 1 or more")


# --- windows -------------------------------------------------------------------------------------


def windows_rule(
    x: TensorType, axes: Shape, sizes: Shape, strides: Shape, dilations: Shape
) -> TensorType:
    """Return the type of windows over x."""
    _check("windows", x.rank, axes, sizes, strides, dilations)
    shape = list(x.shape)
    for axis, *window in zip(axes, sizes, strides, dilations, strict=True):
        shape[axis] = places(shape[axis], *window)
    return x.with_shape((*shape, *sizes))


def _reference(
    x: Array, result: TensorType, axes: Shape, sizes: Shape, strides: Shape, dilations: Shape
) -> Array:
    for axis, size, stride, dilation in zip(axes, sizes, strides, dilations, strict=True):
        count = max(0, len(range(0, x.shape[axis] - (size - 1) * dilation, stride)))
        elements = stride * np.arange(count)[:, None] + dilation * np.arange(size)
        x = np.moveaxis(np.take(x, elements, axis=axis), axis + 1, -1)
    return x


def _source(node: Node, indices: Indices) -> Indices:
    a = node.attributes
    rank = len(node.inputs[0].shape)
    source = list(indices[:rank])
    for n, axis in enumerate(a["axes"]):
        source[axis] = source[axis] * a["strides"][n] + indices[rank + n] * a["dilations"][n]
    return tuple(source)


def pull_back_windows(node: Node, cotangent: Node) -> Node:
    """Return the cotangent of what the `windows` node shows: of each element the sum."""
    a = node.attributes
    operand = node.inputs[0]
    axes: Shape = a["axes"]
    if a["sizes"] == a["strides"] and set(a["dilations"]) <= {1}:
        return _side_by_side(cotangent, operand, axes, a["sizes"])
    extents = tuple(operand.shape[axis] for axis in axes)
    zero = filled(operand.type.with_shape(()), 0)
    kept = {k: a[k] for k in ("axes", "strides", "dilations")}
    placed = place_windows(cotangent, zero, extents=extents, **kept)
    rank = len(operand.shape)
    return total(placed, tuple(range(rank, rank + len(axes))))


def _side_by_side(cotangent: Node, operand: Node, axes: Shape, sizes: Shape) -> Node:
    """Return the adjoint for windows that touch and do not overlap: every element is in one."""
    rank = len(operand.shape)
    order: list[int] = []
    for axis in range(rank):
        order.extend((axis, rank + axes.index(axis)) if axis in axes else (axis,))
    wide = dict(zip(axes, sizes, strict=True))
    covered = tuple(n * wide.get(axis, 1) for axis, n in enumerate(cotangent.shape[:rank]))
    joined = reshaped(permute_dims(cotangent, axes=tuple(order)), covered)
    high = tuple(n - c for n, c in zip(operand.shape, covered, strict=True))
    return padded(joined, (0,) * rank, high)


def _batch(node: Node, operands: tuple[Node, ...]) -> Node:
    return windows(operands[0], **_moved(node.attributes))


def _moved(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {**attributes, "axes": tuple(axis + 1 for axis in attributes["axes"])}


windows = Op(
    name="windows",
    operands=("x",),
    attributes=("axes", "sizes", "strides", "dilations"),
    type_rule=windows_rule,
    reference=_reference,
    lowering=View(_source),
    derivative=lambda node, cotangent: (pull_back_windows(node, cotangent),),
    batch=_batch,
    kinds=REAL,
    summary="blocks of neighbouring elements, whose offsets are new axes at the end",
)

# --- place_windows -------------------------------------------------------------------------------


def _place_rule(
    x: TensorType,
    value: TensorType,
    axes: Shape,
    extents: Shape,
    strides: Shape,
    dilations: Shape,
) -> TensorType:
    check_same("place_windows", x.with_shape(()), value)
    rank = x.rank - len(axes)
    sizes = x.shape[rank:]
    if rank < len(axes) or len(extents) != len(axes):
        raise ShapeError(f"place_windows: {x.shape} has no axes of offsets for the axes {axes}")
    _check("place_windows", rank, axes, sizes, strides, dilations)
    shape = list(x.shape)
    for axis, extent, *window in zip(axes, extents, sizes, strides, dilations, strict=True):
        if shape[axis] != places(extent, *window):
            raise ShapeError(f"place_windows: {extent} elements do not have {shape[axis]} windows")
        shape[axis] = extent
    return x.with_shape(tuple(shape))


def _place_reference(
    x: Array,
    value: Array,
    result: TensorType,
    axes: Shape,
    extents: Shape,
    strides: Shape,
    dilations: Shape,
) -> Array:
    placed = np.full(result.shape, value)
    rank = x.ndim - len(axes)
    for offset in itertools.product(*map(range, x.shape[rank:])):
        where_to = [np.arange(n) for n in x.shape[:rank]]
        for axis, o, stride, dilation in zip(axes, offset, strides, dilations, strict=True):
            where_to[axis] = where_to[axis] * stride + o * dilation
        part: Any = (..., *offset)
        placed[part][np.ix_(*where_to)] = x[part]
    return placed


def _place_source(node: Node, indices: Indices) -> Indices:
    rank = len(node.shape) - len(node.attributes["axes"])
    source = list(indices)
    for axis, quotient, _ in _quotients(node, indices, rank):
        source[axis] = quotient
    return tuple(source)


def _place_inside(node: Node, indices: Indices) -> tuple[tuple[Index, Index], ...]:
    rank = len(node.shape) - len(node.attributes["axes"])
    conditions: list[tuple[Index, Index]] = []
    for axis, quotient, remainder in _quotients(node, indices, rank):
        conditions.append((as_index(-1), quotient))
        conditions.append((quotient, as_index(node.inputs[0].shape[axis])))
        conditions.append((remainder, as_index(1)))
    return tuple(conditions)


def _quotients(node: Node, indices: Indices, rank: int) -> list[tuple[int, Index, Index]]:
    """Return for each axis of windows which window, and how far from its element, a place is."""
    a = node.attributes
    found = []
    for n, axis in enumerate(a["axes"]):
        first = indices[axis] - indices[rank + n] * a["dilations"][n]
        found.append((axis, first // a["strides"][n], first % a["strides"][n]))
    return found


def _place_derivative(node: Node, cotangent: Node) -> tuple[Node, Node]:
    x, attributes = node.inputs[0], node.attributes
    of_value = where(_outside(x.shape, attributes), cotangent, zeros_like(cotangent))
    every = tuple(range(len(node.shape)))
    return _taken_back(cotangent, x.shape, attributes), total(of_value, every)


def _outside(shape: Shape, attributes: Mapping[str, Any]) -> Node:
    """Return where `place_windows` of a tensor of this shape has its value."""
    false, true = (filled(TensorType(s, dtypes.bool_), v) for s, v in ((shape, False), ((), True)))
    return place_windows(false, true, **attributes)


def _place_batch(node: Node, operands: tuple[Node, ...]) -> Node:
    """Place among one value where that is all there is; else put the values there by `where`."""
    x, values = operands
    attributes = _moved(node.attributes)
    if values.op is broadcast_to and not values.inputs[0].shape:
        return place_windows(x, values.inputs[0], **attributes)
    inside = place_windows(x, filled(x.type.with_shape(()), 0), **attributes)
    column = reshaped(values, (values.shape[0], *(1,) * len(node.shape)))
    spread = broadcast_to(column, shape=inside.shape)
    return where(_outside(x.shape, attributes), spread, inside)


def _taken_back(placed: Node, shape: Shape, attributes: Mapping[str, Any]) -> Node:
    """Return what `place_windows` placed: of all windows the offset that is their own."""
    axes: Shape = attributes["axes"]
    rank = len(shape) - len(axes)
    sizes = shape[rank:]
    kept = {k: attributes[k] for k in ("axes", "strides", "dilations")}
    every = windows(placed, sizes=sizes, **kept)
    pairs = [e for n in range(len(axes)) for e in (rank + n, rank + len(axes) + n)]
    beside = permute_dims(every, axes=(*range(rank), *pairs))
    joined = reshaped(beside, (*shape[:rank], *(k * k for k in sizes)))
    step = (*(1 for _ in range(rank)), *(k + 1 for k in sizes))
    return slice_(joined, start=(0,) * len(shape), stop=joined.shape, step=step)


place_windows = Op(
    name="place_windows",
    operands=("x", "value"),
    attributes=("axes", "extents", "strides", "dilations"),
    type_rule=_place_rule,
    reference=_place_reference,
    lowering=Guarded(_place_source, _place_inside),
    derivative=_place_derivative,
    batch=_place_batch,
    kinds=REAL,
    summary="windows put back where their elements come from, apart for each offset; else a value",
)
