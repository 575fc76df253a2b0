"""Elements at places: `x[…]`, `take`, `take_along_axis`, `one_hot`.

Integers, slices with any step, `...` and None make views. Axes may be indexed by integers in arrays
or tensors, which broadcast against each other; a NumPy bool array of one axis stands for the places
where it holds. The axes of such indices stand where NumPy puts them. Negative indices count from
the end.
An index out of range that is known raises GraphcIndexError here; one that is not raises when the
program runs.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np

from graphc.dtypes import DTypeLike, as_dtype, bool_, int64, uint64
from graphc.errors import (
    GraphcIndexError,
    GraphcTypeError,
    GraphcValueError,
    InternalError,
    ShapeError,
)
from graphc.frontend import elementwise, shapes
from graphc.frontend.operands import (
    apply,
    as_node,
    broadcast,
    broadcast_shapes,
    broadcast_to,
    cast,
    fail,
    normalise_axis,
)
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node, constant_value, is_constant
from graphc.ops.gather import valid_indices

__all__ = ["one_hot", "take", "take_along_axis"]

_WHOLE = slice(None)


def get_item(x: TensorLike, key: Any) -> Tensor:
    """Return `x[key]`; raises GraphcIndexError for a key out of bounds or of a wrong kind."""
    node = as_node(x)
    given = key if isinstance(key, tuple) else (key,)
    items = _expand_ellipsis(node, given)
    arrays = [i for i, item in enumerate(items) if _is_array(item)]
    if not arrays:
        return Tensor(_basic(node, items))
    ellipsis = next((i for i, item in enumerate(given) if item is Ellipsis), 0)
    return _with_arrays(node, items, arrays, ellipsis)


def _expand_ellipsis(node: Node, items: tuple[Any, ...]) -> list[Any]:
    rank = len(node.shape)
    consumed = sum(item is not None and item is not Ellipsis for item in items)
    ellipses = sum(item is Ellipsis for item in items)
    if ellipses > 1:
        fail(GraphcIndexError, "an index has at most one ellipsis (...)", [node])
    if consumed > rank:
        fail(GraphcIndexError, f"{consumed} indices for a tensor with {rank} axes", [node])
    wholes = [_WHOLE] * (rank - consumed)
    if not ellipses:
        return [*items, *wholes]
    place = next(i for i, item in enumerate(items) if item is Ellipsis)
    return [*items[:place], *wholes, *items[place + 1 :]]


def _is_array(item: Any) -> bool:
    return isinstance(item, Tensor | np.ndarray | list | bool | np.bool_)


def _basic(node: Node, items: Sequence[Any]) -> Node:
    """Slice by slices and integers, then drop the axes of integers and add those of None."""
    sliced = slice_node(node, [item for item in items if item is not None])
    shape: list[int] = []
    axis = 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        if isinstance(item, slice):
            shape.append(sliced.shape[axis])
        axis += 1
    return shapes.reshape_node(sliced, tuple(shape))


def slice_node(node: Node, key: Sequence[Any]) -> Node:
    """Return `node` sliced by a slice or an integer, which keeps its axis, for each first axis."""
    whole = [_WHOLE] * (len(node.shape) - len(key))
    ranges = [_as_range(node, axis, item) for axis, item in enumerate([*key, *whole])]
    if all(r == range(n) for r, n in zip(ranges, node.shape, strict=True)):
        return node
    start, stop, step = zip(*((r.start, r.stop, r.step) for r in ranges), strict=True)
    return apply("slice", node, start=start, stop=stop, step=step)


def _as_range(node: Node, axis: int, item: Any) -> range:
    """Return the places that `item` selects, as the one range that stands for them."""
    extent = node.shape[axis]
    if isinstance(item, slice):
        return _canonical(_slice_range(node, item, extent))
    try:
        index = operator.index(item)
    except TypeError:
        fail(
            GraphcIndexError,
            f"an index is an integer, a slice, ..., None or integers in an array, not {item!r}",
            [node],
        )
    if not -extent <= index < extent:
        fail(
            GraphcIndexError,
            f"index {index} is out of bounds for axis {axis} with extent {extent}",
            [node],
            f"valid indices are {-extent} … {extent - 1}" if extent else "the axis is empty",
        )
    return range(index % extent, index % extent + 1)


def _slice_range(node: Node, item: slice, extent: int) -> range:
    for part in (item.start, item.stop, item.step):
        if isinstance(part, Tensor):
            fail(
                GraphcIndexError,
                "the ends of a slice decide a shape and must be known while the graph is built",
                [node, part.node],
                "graphc.take(x, start + graphc.arange(length), axis) has a fixed length",
            )
    try:
        return range(extent)[item]
    except (TypeError, ValueError) as error:
        fail(GraphcIndexError, f"slice {item}: {error}", [node])


def _canonical(places: range) -> range:
    if len(places) == 0:
        return range(0)
    if len(places) == 1:
        return range(places[0], places[0] + 1)
    return range(places[0], places[-1] + (1 if places.step > 0 else -1), places.step)


def _with_arrays(node: Node, items: list[Any], arrays: list[int], ellipsis: int) -> Tensor:
    """Index by arrays; integers beside them are advanced indices too, as in NumPy.

    Their axes stand in the place of the first if all are side by side, else at the front; an
    ellipsis between them, before the item of number `ellipsis`, parts them though it be for none.
    """
    indices = [_index_node(items[place], node) for place in arrays]
    advanced = [i for i, item in enumerate(items) if i in arrays or _is_integer(item)]
    keep = [_WHOLE if i in arrays else item for i, item in enumerate(items)]
    basic = Tensor(_basic(node, keep))
    axes = [
        sum(1 for item in keep[:place] if item is None or isinstance(item, slice))
        for place in arrays
    ]
    result, rank = _taken(basic, indices, axes)
    is_parted = advanced[0] < ellipsis <= advanced[-1]
    side_by_side = advanced == list(range(advanced[0], advanced[-1] + 1)) and not is_parted
    first = axes[0] if side_by_side else 0
    return shapes.moveaxis(result, tuple(range(rank)), tuple(range(first, first + rank)))


def _taken(x: Tensor, indices: list[Node], axes: list[int]) -> tuple[Tensor, int]:
    """Return x at `indices` into `axes`, whose common axes come first, and how many these are."""
    if len(indices) == 1:
        index, rank = indices[0], len(indices[0].shape)
        taken = take(x, Tensor(index), axes[0])
        moved = tuple(range(axes[0], axes[0] + rank))
        return shapes.moveaxis(taken, moved, tuple(range(rank))), rank
    return _taken_at_places(x, broadcast("an index", indices), axes)


def _taken_at_places(x: Tensor, indices: list[Node], axes: list[int]) -> tuple[Tensor, int]:
    front = shapes.moveaxis(x, tuple(axes), tuple(range(len(axes))))
    extents = front.shape[: len(axes)]
    places: Tensor | None = None
    for axis, index, extent in zip(axes, indices, extents, strict=True):
        counted, _ = normalise_indices("an index", x.node, Tensor(index), axis, "raise")
        what = f"an index is out of bounds for axis {axis} of extent {extent}"
        checked = checked_index(counted, extent, what)
        places = checked if places is None else places * extent + checked
    assert places is not None
    flat = shapes.reshape(front, (math.prod(extents), *front.shape[len(axes) :]))
    return take(flat, places, 0, mode="clip"), places.ndim


def _is_integer(item: Any) -> bool:
    return item is not None and not isinstance(item, slice)


def _index_node(item: Any, node: Node) -> Node:
    """Return the integers of an index; the places where a known bool array of one axis holds."""
    if isinstance(item, bool | np.bool_):
        fail(GraphcIndexError, f"{item} is no index", [node])
    index = as_node([] if isinstance(item, list) and not item else item)
    if isinstance(item, list) and not item:
        return cast(index, int64)
    if index.type.dtype is bool_:
        if not is_constant(index) or len(index.shape) != 1:
            fail(
                GraphcIndexError,
                "a bool tensor cannot index: the shape of the result would depend on its values",
                [node, index],
                "graphc.where(mask, x, other) keeps the shape",
            )
        return as_node(np.flatnonzero(constant_value(index)))
    if index.type.dtype.is_float:
        fail(
            GraphcIndexError,
            f"an index is made of integers, not of {index.type.dtype}",
            [node, index],
            "convert it: index.astype(graphc.int64)",
        )
    return index


def take(
    x: TensorLike, indices: TensorLike, axis: SupportsIndex | None = None, mode: str = "raise"
) -> Tensor:
    """Return the elements of x at `indices` along `axis`, by default of the flattened x.

    The axis is replaced by the axes of `indices`, integers of any shape. Indices out of range raise
    GraphcIndexError under mode "raise" (negative ones count from the end), are limited under "clip"
    and taken modulo the extent under "wrap".

    >>> from graphc.frontend import input
    >>> take(input((5, 3)), [0, -1], axis=0).shape
    (2, 3)
    """
    node = as_node(x)
    if axis is None:
        node, axis = shapes.reshape_node(node, (node.type.size,)), 0
    place = normalise_axis("take", axis, len(node.shape), node)
    index, mode = normalise_indices("take", node, indices, place, mode)
    return Tensor(apply("take", node, index, axis=place, mode=mode))


def take_along_axis(
    x: TensorLike, indices: TensorLike, axis: SupportsIndex = -1, mode: str = "raise"
) -> Tensor:
    """Return, at each place of `indices`, the element of x at that place but along `axis`.

    x and indices have equally many axes and broadcast to each other outside `axis`; modes as in
    `take`.
    """
    node, given = as_node(x), as_node(indices)
    if len(node.shape) != len(given.shape):
        fail(
            ShapeError,
            f"take_along_axis: {len(given.shape)} axes of indices for {len(node.shape)} axes",
            [node, given],
            "add the missing axis: indices[..., None]"
            if len(given.shape) == len(node.shape) - 1
            else "",
        )
    place = normalise_axis("take_along_axis", axis, len(node.shape), node)
    index, mode = normalise_indices("take_along_axis", node, Tensor(given), place, mode)
    others = [tuple(n for a, n in enumerate(s.shape) if a != place) for s in (node, index)]
    try:
        common = broadcast_shapes(*others)
    except ValueError:
        fail(
            ShapeError,
            f"take_along_axis: {node.shape} and {index.shape} differ outside axis {place}",
            [node, given],
        )
    data = broadcast_to(node, (*common[:place], node.shape[place], *common[place:]))
    index = broadcast_to(index, (*common[:place], index.shape[place], *common[place:]))
    return Tensor(apply("take_along_axis", data, index, axis=place, mode=mode))


def normalise_indices(
    name: str, node: Node, indices: TensorLike, axis: int, mode: str
) -> tuple[Node, str]:
    """Return the indices as int64 with negative ones counted from the front, and the op's mode."""
    index = as_node(indices)
    dtype, extent = index.type.dtype, node.shape[axis]
    if index.type.size == 0 and is_constant(index) and dtype.is_float:
        return cast(index, int64), "clip" if extent else "raise"
    if not dtype.is_integer:
        fail(
            GraphcTypeError,
            f"{name}: indices are integers, not {dtype}",
            [node, index],
            "convert them: indices.astype(graphc.int64)",
        )
    if mode not in ("raise", "clip", "wrap"):
        fail(GraphcValueError, f'{name}: mode is "raise", "clip" or "wrap", not {mode!r}', [node])
    if extent == 0 and index.type.size:
        fail(GraphcIndexError, f"{name}: axis {axis} is empty, no index fits", [node, index])
    if is_constant(index):
        return _normalise_known(name, node, index, axis, mode), mode.replace("wrap", "raise")
    if dtype is uint64:
        index = elementwise.minimum(Tensor(index), np.uint64(2**63 - 1)).node
    wide = Tensor(cast(index, int64))
    if mode == "wrap":
        return elementwise.remainder(wide, extent).node, "raise"
    if mode == "clip" or not dtype.is_signed:
        return wide.node, mode
    return elementwise.where(wide < 0, wide + extent, wide).node, mode


def _normalise_known(name: str, node: Node, index: Node, axis: int, mode: str) -> Node:
    array, extent = constant_value(index), node.shape[axis]
    if mode == "wrap" and array.size:
        return as_node(np.remainder(array, extent).astype(np.int64))
    if mode == "clip":
        return as_node(np.clip(array, 0, max(extent - 1, 0)).astype(np.int64))
    low = 0 if not index.type.dtype.is_signed else -extent
    wrong = array[(array < low) | (array >= extent)] if array.size else array
    if wrong.size:
        fail(
            GraphcIndexError,
            f"{name}: index {wrong[0]} is out of bounds for axis {axis} with extent {extent}",
            [node, index],
            f"valid indices are {-extent} … {extent - 1}",
        )
    wide = array.astype(np.int64)
    return as_node(np.where(wide < 0, wide + extent, wide))


def checked_index(indices: Node, extent: int, what: str) -> Tensor:
    """Return integers as int64; one that is not in 0 … extent - 1 raises an error that says `what`.

    It is raised here if it is known already, else when the program runs.
    """
    if is_constant(indices):
        array = constant_value(indices)
        outside = (array < 0) | (array >= extent)
        if outside.any():
            message = f"{what}: {array[outside].flat[0]}{valid_indices(extent)}"
            fail(GraphcIndexError, message, [indices])
    if not indices.type.size or is_constant(indices):
        return Tensor(cast(indices, int64))
    return Tensor(apply("checked_index", indices, extent=extent, what=what))


def one_hot(
    labels: TensorLike, num_classes: int, dtype: DTypeLike = "float32", axis: SupportsIndex = -1
) -> Tensor:
    """Return 1 where a place along the new axis `axis`, of extent `num_classes`, is the label, else
    0.

    A label out of range gives zeros only. Raises GraphcTypeError unless labels are integers.

    >>> from graphc.frontend import input
    >>> one_hot(input((4,), "int32"), 10).shape
    (4, 10)
    """
    node = as_node(labels)
    if not node.type.dtype.is_integer:
        fail(
            GraphcTypeError,
            f"one_hot: labels are integers, not {node.type.dtype}",
            [node],
            "convert them: labels.astype(graphc.int64)",
        )
    if operator.index(num_classes) < 0:
        fail(GraphcValueError, f"one_hot: {num_classes} classes", [node])
    place = normalise_axis("one_hot", axis, len(node.shape) + 1, node)
    return elementwise.astype(label_mask(Tensor(node), num_classes, place), as_dtype(dtype))


def label_mask(labels: Tensor, num_classes: int, axis: int) -> Tensor:
    """Return whether the place along the new axis `axis` is the label."""
    wide = shapes.expand_dims(labels, axis)
    shape = (*wide.shape[:axis], num_classes, *wide.shape[axis + 1 :])
    if shape[axis] != num_classes:
        raise InternalError("the labels' new axis is not where it was put")
    places = apply("iota", shape=shape, axis=axis, dtype=int64)
    kind = uint64 if labels.dtype is uint64 else int64
    return elementwise.equal(wide.astype(kind), Tensor(cast(places, kind)))
