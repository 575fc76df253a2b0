"""Updates of elements at places: `scatter`, and gathers and scatters over several axes.

What comes back is a new tensor: `data` stays as it is. Updates that meet in one place are taken in
row-major order. Indices are integers; modes are those of `take`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np

from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import elementwise, shapes
from graphc.frontend.indexing import checked_index, normalise_indices
from graphc.frontend.operands import (
    apply,
    as_node,
    broadcast_shapes,
    broadcast_to,
    fail,
    is_scalar,
    normalise_axis,
)
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node, constant_value, is_constant
from graphc.tensor_type import Shape

__all__ = ["gather_nd", "scatter", "scatter_along_axis", "scatter_nd"]

_KINDS = {
    "set": "scatter_set",
    "add": "scatter_add",
    "max": "scatter_max",
    "min": "scatter_min",
    "mul": "scatter_multiply",
}


def scatter(  # the operands, and what `take` has
    data: TensorLike,
    indices: TensorLike,
    updates: TensorLike,
    axis: SupportsIndex = 0,
    mode: str = "raise",
    kind: str = "set",
) -> Tensor:
    """Return data with `updates` at the places that `take(data, indices, axis)` would read.

    kind   "set" (of several the last stays), "add", "max", "min" or "mul" (which has no derivative)
    updates  broadcast to the shape of that take; a Python number takes the dtype of data

    Tied elements share the cotangent of "max" and "min" equally.

    >>> from graphc.frontend import input
    >>> scatter(input((5, 3)), [0, 2], 1.0, axis=0).shape
    (5, 3)
    """
    node = as_node(data)
    place = normalise_axis("scatter", axis, len(node.shape), node)
    index, mode = normalise_indices("scatter", node, indices, place, mode)
    shape = (*node.shape[:place], *index.shape, *node.shape[place + 1 :])
    return Tensor(_scattered("scatter", node, index, updates, shape, place, mode, kind))


def scatter_along_axis(  # the operands, and what `take_along_axis` has
    data: TensorLike,
    indices: TensorLike,
    updates: TensorLike,
    axis: SupportsIndex = -1,
    mode: str = "raise",
    kind: str = "set",
) -> Tensor:
    """Return data with `updates` at the places that `take_along_axis(data, indices, axis)` reads.

    NumPy's `put_along_axis`, and with kind "add" PyTorch's `scatter_add`. `indices` have the axes
    of data and broadcast to it outside `axis`; updates and kinds as in `scatter`.

    >>> import graphc
    >>> graphc.evaluate(scatter_along_axis(graphc.zeros((2, 3)), [[0], [2]], 5.0))
    array([[5., 0., 0.],
           [0., 0., 5.]], dtype=float32)
    """
    name, node, given = "scatter_along_axis", as_node(data), as_node(indices)
    place = normalise_axis(name, axis, len(node.shape), node)
    if len(node.shape) != len(given.shape):
        message = f"{name}: {len(given.shape)} axes of indices for {len(node.shape)} axes"
        fail(ShapeError, message, [node, given])
    index, mode = normalise_indices(name, node, Tensor(given), place, mode)
    shape = (*node.shape[:place], index.shape[place], *node.shape[place + 1 :])
    try:
        fits = broadcast_shapes(index.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        message = f"{name}: {node.shape} and {given.shape} differ outside axis {place}"
        fail(ShapeError, message, [node, given])
    wide = broadcast_to(index, shape)
    return Tensor(_scattered(name, node, wide, updates, shape, place, mode, kind))


def _scattered(  # what an op of scatter takes
    name: str,
    node: Node,
    index: Node,
    updates: TensorLike,
    shape: Shape,
    axis: int,
    mode: str,
    kind: str,
) -> Node:
    if kind not in _KINDS:
        known = ", ".join(f'"{word}"' for word in _KINDS)
        fail(GraphcValueError, f"{name}: kind is one of {known}, not {kind!r}", [node])
    dtype = node.type.dtype
    new = as_node(updates, dtype) if is_scalar(updates) else as_node(updates)
    if new.type.dtype is not dtype:
        message = f"{name}: updates of {new.type.dtype} for data of {dtype}"
        fail(GraphcTypeError, message, [node, new], "cast one of them")
    try:
        fits = broadcast_shapes(new.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        message = f"{name}: updates of shape {new.shape} do not broadcast to {shape}"
        fail(ShapeError, message, [node, index, new])
    op = _KINDS[kind] + ("_along_axis" if name == "scatter_along_axis" else "")
    return apply(op, node, index, broadcast_to(new, shape), axis=axis, mode=mode)


def gather_nd(data: TensorLike, indices: TensorLike, mode: str = "raise") -> Tensor:
    """Return data[i, j, …] for each row (i, j, …) along the last axis of `indices`.

    The result has the other axes of `indices` and the axes of data that the rows do not reach.

    >>> from graphc.frontend import input
    >>> gather_nd(input((5, 4, 3)), [[0, 1], [2, -1]]).shape
    (2, 3)
    """
    flat, places, mode = _flattened("gather_nd", as_node(data), as_node(indices), mode)
    return Tensor(apply("take", flat, places, axis=0, mode=mode))


def scatter_nd(
    data: TensorLike,
    indices: TensorLike,
    updates: TensorLike,
    mode: str = "raise",
    kind: str = "set",
) -> Tensor:
    """Return data with `updates` at the places that `gather_nd(data, indices)` would read.

    Updates and kinds as in `scatter`.

    >>> from graphc.frontend import input
    >>> scatter_nd(input((5, 4, 3)), [[0, 1], [2, -1]], 1.0, kind="add").shape
    (5, 4, 3)
    """
    node = as_node(data)
    flat, places, mode = _flattened("scatter_nd", node, as_node(indices), mode)
    shape = (*places.shape, *flat.shape[1:])
    found = _scattered("scatter_nd", flat, places, updates, shape, 0, mode, kind)
    return Tensor(shapes.reshape_node(found, node.shape))


def _flattened(name: str, node: Node, indices: Node, mode: str) -> tuple[Node, Node, str]:
    """Return data whose indexed axes are one, places along it, and the mode for these.

    An index out of range on one axis may name a place within another row, and so each is checked.
    """
    count = indices.shape[-1] if indices.shape else 0
    if not 0 < count <= len(node.shape):
        message = f"{name}: rows of {count} indices for {len(node.shape)} axes"
        fail(ShapeError, message, [node, indices], "the last axis of indices is that of the rows")
    columns: Sequence[TensorLike]
    if is_constant(indices):
        columns = list(np.moveaxis(constant_value(indices), -1, 0))
    else:
        columns = shapes.unstack(Tensor(indices), axis=-1)
    extents = node.shape[:count]
    places: Tensor | None = None
    for axis, (column, extent) in enumerate(zip(columns, extents, strict=True)):
        node_of_axis = normalise_indices(name, node, column, axis, mode)[0]
        if mode == "clip":
            index = elementwise.clip(Tensor(node_of_axis), 0, max(extent - 1, 0))
        else:
            what = f"{name}: an index is out of bounds for axis {axis} of extent {extent}"
            index = checked_index(node_of_axis, extent, what)
        places = index if places is None else places * extent + index
    assert places is not None
    flat = shapes.reshape_node(node, (math.prod(extents), *node.shape[count:]))
    return flat, places.node, "clip"
