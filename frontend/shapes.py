"""Functions that rearrange elements without computing: reshape, transpose, concatenate and the
like.

Names, keywords and meaning are the array API's and NumPy's. Most become views (`reshape`,
`permute_dims`, `slice`, `broadcast_to`), which cost nothing of their own.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, SupportsIndex

import numpy as np

from graphc.errors import GraphcError, GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import indexing
from graphc.frontend.operands import (
    apply,
    as_node,
    broadcast,
    broadcast_shapes,
    fail,
    normalise_axes,
    normalise_axis,
    promote,
)
from graphc.frontend.operands import broadcast_to as broadcast_node
from graphc.frontend.tensor import AxisLike, Tensor, TensorLike
from graphc.node import Node
from graphc.tensor_type import Shape, ShapeLike, as_shape

__all__ = [
    "broadcast_arrays", "broadcast_to", "concat", "concatenate", "expand_dims", "flip",
    "matrix_transpose", "moveaxis", "permute_dims", "ravel", "repeat", "reshape", "roll",
    "split", "squeeze", "stack", "swapaxes", "tile", "transpose", "unstack",
]  # fmt: skip


def reshape(x: TensorLike, shape: ShapeLike) -> Tensor:
    """Return x in another shape, elements in row-major order; one extent may be -1.

    Raises ShapeError where the number of elements differs.

    >>> from graphc.frontend import input
    >>> reshape(input((2, 6)), (3, -1)).shape
    (3, 4)
    """
    node = as_node(x)
    target = _integers("reshape", shape, node)
    known = math.prod(extent for extent in target if extent != -1)
    if target.count(-1) == 1 and known > 0 and node.type.size % known == 0:
        target = tuple(node.type.size // known if extent == -1 else extent for extent in target)
    if min(target, default=0) < 0 or math.prod(target) != node.type.size:
        fail(
            ShapeError,
            f"reshape: shape {node.shape} has {node.type.size} elements, "
            f"which do not fill the shape {target}",
            [node],
            "one extent may be -1: it is then computed from the others" if -1 not in target else "",
        )
    return Tensor(reshape_node(node, target))


def reshape_node(node: Node, shape: Shape) -> Node:
    """Return `node` in `shape`; itself if it has that shape."""
    return node if node.shape == shape else apply("reshape", node, shape=shape)


def _integers(name: str, values: Any, node: Node) -> Shape:
    try:
        given = tuple(values) if isinstance(values, Iterable) else (values,)
        if not any(isinstance(v, bool) for v in given):
            return tuple(operator.index(v) for v in given)
    except GraphcError:
        raise
    except TypeError:
        pass
    fail(GraphcTypeError, f"{name}: integers are needed, not {values!r}", [node])


def ravel(x: TensorLike) -> Tensor:
    """Return the elements of x in row-major order along one axis."""
    return reshape(x, (-1,)) if as_node(x).type.size else reshape(x, (0,))


def permute_dims(x: TensorLike, axes: Sequence[SupportsIndex]) -> Tensor:
    """Return x with axis `axes[i]` at place i.

    Raises GraphcValueError where `axes` is no permutation of the axes of x.
    """
    node = as_node(x)
    order = tuple(normalise_axis("permute_dims", a, len(node.shape), node) for a in axes)
    if sorted(order) != list(range(len(node.shape))):
        fail(
            GraphcValueError,
            f"permute_dims: {tuple(axes)} is no permutation of {len(node.shape)} axes",
            [node],
        )
    return Tensor(permute_node(node, order))


def permute_node(node: Node, order: tuple[int, ...]) -> Node:
    """Return `node` with its axes in `order`; itself if that is their order."""
    is_identity = order == tuple(range(len(order)))
    return node if is_identity else apply("permute_dims", node, axes=order)


def transpose(x: TensorLike, axes: Sequence[SupportsIndex] | None = None) -> Tensor:
    """Return x with its axes permuted, by default reversed."""
    rank = len(as_node(x).shape)
    return permute_dims(x, tuple(range(rank))[::-1] if axes is None else axes)


def matrix_transpose(x: TensorLike) -> Tensor:
    """Return x with its last two axes exchanged; raises ShapeError for fewer than two."""
    node = as_node(x)
    if len(node.shape) < 2:
        fail(ShapeError, f"matrix_transpose: shape {node.shape} has fewer than two axes", [node])
    return swapaxes(x, -2, -1)


def swapaxes(x: TensorLike, axis1: SupportsIndex, axis2: SupportsIndex) -> Tensor:
    """Return x with two axes exchanged."""
    node = as_node(x)
    rank = len(node.shape)
    first, second = (normalise_axis("swapaxes", a, rank, node) for a in (axis1, axis2))
    order = list(range(rank))
    order[first], order[second] = second, first
    return Tensor(permute_node(node, tuple(order)))


def moveaxis(x: TensorLike, source: AxisLike, destination: AxisLike) -> Tensor:
    """Return x with the axes `source` moved to the places `destination`, the others in order."""
    node = as_node(x)
    rank = len(node.shape)
    places = []
    for given in (source, destination):
        axes = given if isinstance(given, tuple | list) else (given,)
        places.append([normalise_axis("moveaxis", a, rank, node) for a in axes])  # type: ignore[arg-type]  # None fails there
    moved, targets = places
    if len(moved) != len(targets) or len({*moved}) < len(moved) or len({*targets}) < len(targets):
        fail(GraphcValueError, f"moveaxis: {source} cannot move to {destination}", [node])
    order = [axis for axis in range(rank) if axis not in moved]
    for target, axis in sorted(zip(targets, moved, strict=True)):
        order.insert(target, axis)
    return Tensor(permute_node(node, tuple(order)))


def expand_dims(x: TensorLike, axis: SupportsIndex | tuple[SupportsIndex, ...]) -> Tensor:
    """Return x with axes of extent 1 at the places `axis` of the result."""
    node = as_node(x)
    count = len(axis) if isinstance(axis, tuple | list) else 1
    rank = len(node.shape) + count
    places = normalise_axes("expand_dims", axis, rank, node)
    return Tensor(expand_node(node, places))


def expand_node(node: Node, places: Iterable[int]) -> Node:
    """Return `node` with axes of extent 1 at `places`, ascending places of the result."""
    shape = list(node.shape)
    for place in places:
        shape.insert(place, 1)
    return reshape_node(node, tuple(shape))


def squeeze(x: TensorLike, axis: AxisLike = None) -> Tensor:
    """Return x without the axes `axis`, by default without all of extent 1.

    Raises ShapeError where an axis has another extent.
    """
    node = as_node(x)
    axes = normalise_axes("squeeze", axis, len(node.shape), node)
    if axis is None:
        axes = tuple(a for a in axes if node.shape[a] == 1)
    wrong = [a for a in axes if node.shape[a] != 1]
    if wrong:
        fail(ShapeError, f"squeeze: axis {wrong[0]} of {node.shape} has not the extent 1", [node])
    return Tensor(drop_axes(node, axes))


def drop_axes(node: Node, axes: Sequence[int]) -> Node:
    """Return `node` without `axes`, which have extent 1."""
    return reshape_node(node, tuple(n for a, n in enumerate(node.shape) if a not in axes))


def broadcast_to(x: TensorLike, shape: ShapeLike) -> Tensor:
    """Return x broadcast to `shape`; raises ShapeError where it does not fit."""
    node, target = as_node(x), as_shape(shape)
    try:
        fits = broadcast_shapes(node.shape, target) == target
    except ValueError:
        fits = False
    if not fits:
        fail(ShapeError, f"broadcast_to: shape {node.shape} does not broadcast to {target}", [node])
    return Tensor(broadcast_node(node, target))


def broadcast_arrays(*tensors: TensorLike) -> list[Tensor]:
    """Return all operands broadcast to their common shape."""
    return [Tensor(n) for n in broadcast("broadcast_arrays", [as_node(x) for x in tensors])]


def flip(x: TensorLike, axis: AxisLike = None) -> Tensor:
    """Return x with the elements along `axis`, by default along all axes, in reverse order."""
    node = as_node(x)
    axes = normalise_axes("flip", axis, len(node.shape), node)
    backwards, forwards = slice(None, None, -1), slice(None)
    key = [backwards if a in axes else forwards for a in range(len(node.shape))]
    return Tensor(indexing.slice_node(node, key))


def concat(arrays: Sequence[TensorLike], axis: SupportsIndex | None = 0) -> Tensor:
    """Return the operands side by side along `axis`; each is flattened first if that is None.

    They promote to one dtype. Raises ShapeError where the other axes differ.
    """
    if isinstance(arrays, Tensor):
        arrays = list(arrays)
    if not arrays:
        fail(GraphcValueError, "concat: at least one tensor is needed")
    nodes = promote(*arrays)
    if axis is None:
        nodes, axis = [reshape_node(n, (n.type.size,)) for n in nodes], 0
    first = nodes[0]
    if not first.shape:
        fail(ShapeError, "concat: tensors without axes cannot be joined", nodes, "use graphc.stack")
    place = normalise_axis("concat", axis, len(first.shape), first)
    for node in nodes[1:]:
        if len(node.shape) != len(first.shape) or any(
            a != b
            for i, (a, b) in enumerate(zip(first.shape, node.shape, strict=True))
            if i != place
        ):
            fail(
                ShapeError,
                f"concat: shapes {first.shape} and {node.shape} differ outside axis {place}",
                [first, node],
                "graphc.stack joins equal shapes along a new axis"
                if node.shape == first.shape
                else "",
            )
    return Tensor(first if len(nodes) == 1 else apply("concat", *nodes, axis=place))


concatenate = concat


def stack(arrays: Sequence[TensorLike], axis: SupportsIndex = 0) -> Tensor:
    """Return operands of one shape joined along a new axis; raises ShapeError if shapes differ."""
    if not len(arrays):
        fail(GraphcValueError, "stack: at least one tensor is needed")
    nodes = promote(*arrays)
    if len({node.shape for node in nodes}) > 1:
        fail(ShapeError, "stack: all shapes must be equal", nodes)
    place = normalise_axis("stack", axis, len(nodes[0].shape) + 1, nodes[0])
    return concat([Tensor(expand_node(node, (place,))) for node in nodes], place)


def unstack(x: TensorLike, *, axis: SupportsIndex = 0) -> tuple[Tensor, ...]:
    """Return the slices of x along `axis`, without that axis."""
    node = as_node(x)
    place = normalise_axis("unstack", axis, len(node.shape), node)
    key: list[Any] = [slice(None)] * place
    return tuple(indexing.get_item(Tensor(node), (*key, i)) for i in range(node.shape[place]))


def split(
    x: TensorLike, indices_or_sections: int | Sequence[int], axis: SupportsIndex = 0
) -> list[Tensor]:
    """Return x cut along `axis` into equal sections, or before each of the given indices.

    Raises ShapeError where the extent is no multiple of the number of sections.
    """
    node = as_node(x)
    place = normalise_axis("split", axis, len(node.shape), node)
    extent = node.shape[place]
    cuts: list[int | None]
    if isinstance(indices_or_sections, SupportsIndex) and not isinstance(
        indices_or_sections, np.ndarray
    ):
        sections = operator.index(indices_or_sections)
        if sections < 1 or extent % sections:
            fail(
                ShapeError, f"split: extent {extent} does not divide into {sections} parts", [node]
            )
        cuts = list(range(0, extent + 1, extent // sections)) if extent else [0] * (sections + 1)
    else:
        cuts = [0, *_integers("split", indices_or_sections, node), None]
    before: list[Any] = [slice(None)] * place
    return [
        Tensor(indexing.slice_node(node, [*before, slice(start, stop)]))
        for start, stop in pairwise(cuts)
    ]


def roll(x: TensorLike, shift: Any, axis: AxisLike = None) -> Tensor:
    """Return x with elements moved by `shift` places along `axis`, those at the end re-entering.

    Without `axis`, x is flattened, rolled and given its shape again.
    """
    node = as_node(x)
    if axis is None:
        total = sum(_integers("roll", shift, node))
        return Tensor(reshape_node(_roll_axis(ravel(x).node, total, 0), node.shape))
    given = axis if isinstance(axis, tuple | list) else (axis,)
    axes = [normalise_axis("roll", a, len(node.shape), node) for a in given]
    shifts = _integers("roll", shift, node)
    shifts = shifts * len(axes) if len(shifts) == 1 else shifts
    axes = axes * len(shifts) if len(axes) == 1 else axes
    if len(shifts) != len(axes):
        fail(GraphcValueError, f"roll: shifts {shift} and axes {axis} differ in number", [node])
    for amount, place in zip(shifts, axes, strict=True):
        node = _roll_axis(node, amount, place)
    return Tensor(node)


def _roll_axis(node: Node, shift: int, axis: int) -> Node:
    extent = node.shape[axis]
    cut = -shift % extent if extent else 0
    if cut == 0:
        return node
    before: list[Any] = [slice(None)] * axis
    tail = indexing.slice_node(node, [*before, slice(cut, None)])
    head = indexing.slice_node(node, [*before, slice(None, cut)])
    return apply("concat", tail, head, axis=axis)


def tile(x: TensorLike, repetitions: Any) -> Tensor:
    """Return x repeated as a whole, `repetitions[i]` times along axis i, as `numpy.tile`."""
    node = as_node(x)
    counts = as_shape(repetitions)
    rank = max(len(counts), len(node.shape))
    counts = (1,) * (rank - len(counts)) + counts
    shape = (1,) * (rank - len(node.shape)) + node.shape
    split_shape = tuple(e for n in shape for e in (1, n))
    wide = tuple(e for n, count in zip(shape, counts, strict=True) for e in (count, n))
    repeated = broadcast_node(reshape_node(node, split_shape), wide)
    return Tensor(reshape_node(repeated, tuple(map(operator.mul, shape, counts))))


def repeat(x: TensorLike, repeats: Any, axis: SupportsIndex | None = None) -> Tensor:
    """Return x with every element along `axis` repeated, by default of the flattened x.

    `repeats` is one integer or an array with one integer for each element along the axis; it must
    be known, since it decides the shape.
    """
    node = as_node(x)
    if axis is None:
        node, axis = reshape_node(node, (node.type.size,)), 0
    place = normalise_axis("repeat", axis, len(node.shape), node)
    counts = np.asarray(repeats)
    if counts.dtype.kind not in "iu" or counts.ndim > 1 or (counts < 0).any():
        fail(GraphcValueError, f"repeat: {repeats!r} are no numbers of repetitions", [node])
    extent = node.shape[place]
    if counts.size != 1:
        if counts.size != extent:
            fail(
                ShapeError,
                f"repeat: {counts.size} numbers do not fit the extent {extent} of axis {place}",
                [node],
            )
        return indexing.take(Tensor(node), np.repeat(np.arange(extent), counts), place)
    count = int(counts.reshape(()))
    wide = (*node.shape[: place + 1], count, *node.shape[place + 1 :])
    result = (*node.shape[:place], extent * count, *node.shape[place + 1 :])
    return Tensor(reshape_node(broadcast_node(expand_node(node, (place + 1,)), wide), result))
