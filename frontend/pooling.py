"""Pooling: the greatest element or the mean of windows over the spatial axes.

Tensors have the channels last: (batch, spatial axes…, channels); `channels_first` says that they
are (batch, channels, spatial axes…). NaN propagates to every window that holds it, and to no other.
Of equal greatest elements the first in a window gets the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphc.dtypes import bool_
from graphc.errors import GraphcTypeError, ShapeError
from graphc.frontend import elementwise, indexing, reductions, shapes
from graphc.frontend.composites import as_float
from graphc.frontend.operands import apply, as_node, fail
from graphc.frontend.padding import pad
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.window_geometry import Extents, Geometry, Padding, geometry, numbers
from graphc.node import Node
from graphc.ops.type_rules import PARTS
from graphc.tensor_type import Shape

__all__ = [
    "adaptive_average_pool", "adaptive_max_pool", "average_pool", "global_average_pool",
    "global_max_pool", "max_pool",
]  # fmt: skip


def max_pool(
    x: TensorLike,
    size: Extents,
    stride: Extents | None = None,
    padding: Padding = "valid",
    dilation: Extents = 1,
    *,
    channels_first: bool = False,
) -> Tensor:
    """Return the greatest element of each window; windows are `stride`, by default `size`, apart.

    What is padded is less than any number. Raises ShapeError where no window fits.

    >>> from graphc.frontend import input
    >>> max_pool(input((8, 28, 28, 16)), 3, stride=2, padding="same").shape
    (8, 14, 14, 16)
    """
    node, axes = _operand("max_pool", x, channels_first)
    extents = tuple(node.shape[a] for a in axes)
    found = geometry(
        "max_pool", node, extents, size, size if stride is None else stride, padding, dilation
    )
    return _greatest(_padded(Tensor(node), axes, found, _least(node)), axes, found)


def average_pool(
    x: TensorLike,
    size: Extents,
    stride: Extents | None = None,
    padding: Padding = "valid",
    *,
    count_include_pad: bool = True,
    channels_first: bool = False,
) -> Tensor:
    """Return the mean of each window; windows are `stride`, by default `size`, apart.

    Padded zeros count as elements, unless `count_include_pad` is false. Integers become float64.

    >>> from graphc.frontend import input
    >>> average_pool(input((8, 28, 28, 16)), 2).shape
    (8, 14, 14, 16)
    """
    node, axes = _operand("average_pool", x, channels_first)
    wide, result = as_float(Tensor(node))
    extents = tuple(node.shape[a] for a in axes)
    found = geometry(
        "average_pool", node, extents, size, size if stride is None else stride, padding, 1
    )
    total = _total(_padded(wide, axes, found, 0), axes, found)
    if count_include_pad or not any(found.low + found.high):
        return (total / float(math.prod(found.sizes))).astype(result)
    counts = [
        _elements(extent, count, *window)
        for extent, count, *window in zip(
            extents, found.places(extents), found.sizes, found.strides, found.low, strict=True
        )
    ]
    return (total / _along(counts, axes, wide)).astype(result)


def _elements(extent: int, count: int, size: int, stride: int, low: int) -> np.ndarray:
    """Return how many elements along an axis each of `count` windows holds."""
    begin = np.arange(count) * stride - low
    return np.minimum(begin + size, extent) - np.maximum(begin, 0)


def _along(counts: Sequence[np.ndarray], axes: Shape, like: Tensor) -> Tensor:
    """Return the products of `counts`, each along its axis, broadcasting against `like`."""
    product = np.ones((1,) * like.ndim)
    for axis, count in zip(axes, counts, strict=True):
        product = product * count.reshape([-1 if a == axis else 1 for a in range(like.ndim)])
    return Tensor(as_node(product.astype(like.dtype.numpy)))


def global_max_pool(
    x: TensorLike, *, keepdims: bool = False, channels_first: bool = False
) -> Tensor:
    """Return the greatest element over all spatial axes: shape (batch, channels).

    With `keepdims` they stay, with extent 1.
    """
    node, axes = _operand("global_max_pool", x, channels_first)
    extents = tuple(node.shape[a] for a in axes)
    found = geometry("global_max_pool", node, extents, extents, 1, "valid", 1)
    result = _greatest(Tensor(node), axes, found)
    return result if keepdims else shapes.squeeze(result, axes)


def global_average_pool(
    x: TensorLike, *, keepdims: bool = False, channels_first: bool = False
) -> Tensor:
    """Return the mean over all spatial axes: shape (batch, channels).

    With `keepdims` they stay, with extent 1.

    >>> from graphc.frontend import input
    >>> global_average_pool(input((8, 7, 7, 512))).shape
    (8, 512)
    """
    node, axes = _operand("global_average_pool", x, channels_first)
    return reductions.mean(Tensor(node), axes, keepdims=keepdims)


def adaptive_max_pool(x: TensorLike, places: Extents, *, channels_first: bool = False) -> Tensor:
    """Return the greatest elements of `places` windows along each axis, which cover it.

    Window i of n elements begins at floor(i n / places) and ends before ceil((i + 1) n / places).
    """
    node, axes = _operand("adaptive_max_pool", x, channels_first)
    cut, found, _ = _adaptive("adaptive_max_pool", Tensor(node), axes, places, _least(node))
    return _greatest(cut, axes, found)


def adaptive_average_pool(
    x: TensorLike, places: Extents, *, channels_first: bool = False
) -> Tensor:
    """Return the means of `places` windows along each axis, which cover it.

    Window i of n elements begins at floor(i n / places) and ends before ceil((i + 1) n / places).

    >>> from graphc.frontend import input
    >>> adaptive_average_pool(input((8, 13, 9, 4)), (6, 3)).shape
    (8, 6, 3, 4)
    """
    node, axes = _operand("adaptive_average_pool", x, channels_first)
    wide, result = as_float(Tensor(node))
    cut, found, counts = _adaptive("adaptive_average_pool", wide, axes, places, 0)
    return (_total(cut, axes, found) / _along(counts, axes, wide)).astype(result)


def _adaptive(
    name: str, x: Tensor, axes: Shape, places: Extents, other: float
) -> tuple[Tensor, Geometry, list[np.ndarray]]:
    """Return x with windows of one size side by side, `other` where they are longer than wanted.

    With them come their geometry and how many elements each holds along each axis.
    """
    wanted = numbers(name, "number of places", places, len(axes), x.node)
    sizes, counts = [], []
    for axis, count in zip(axes, wanted, strict=True):
        extent = x.shape[axis]
        if not extent:
            fail(ShapeError, f"{name}: axis {axis} of {x.shape} has no elements", [x.node])
        begin = np.arange(count) * extent // count
        length = -(-np.arange(1, count + 1) * extent // count) - begin
        sizes.append(int(length.max()))
        counts.append(length)
        if extent == count * sizes[-1]:
            continue
        inside = np.arange(sizes[-1]) < length[:, None]
        elements = np.where(inside, begin[:, None] + np.arange(sizes[-1]), 0)
        x = indexing.take(x, elements.ravel(), axis=axis)
        mask = inside.reshape([-1 if a == axis else 1 for a in range(x.ndim)])
        x = elementwise.where(mask, x, other)
    none = (0,) * len(axes)
    size = tuple(sizes)
    return x, Geometry(size, size, (1,) * len(axes), none, none), counts


# --- windows -------------------------------------------------------------------------------------


def _operand(name: str, x: TensorLike, channels_first: bool) -> tuple[Node, Shape]:
    """Return x as a node, and its spatial axes."""
    node = as_node(x)
    rank = len(node.shape)
    if rank < 3:
        fail(
            ShapeError,
            f"{name}: x has axes of batch, space and channels, {node.shape} has {rank}",
            [node],
        )
    if node.type.dtype is bool_:
        fail(GraphcTypeError, f"{name} is not defined for bool", [node], "any and windows are")
    if node.type.dtype.is_complex:
        fail(GraphcTypeError, f"{name} is not defined for {node.type.dtype}", [node], PARTS)
    return node, tuple(range(2, rank)) if channels_first else tuple(range(1, rank - 1))


def _least(node: Node) -> float | int:
    dtype = node.type.dtype
    return -math.inf if dtype.is_float else int(np.iinfo(dtype.numpy).min)


def _padded(x: Tensor, axes: Shape, found: Geometry, value: float) -> Tensor:
    if not any(found.low + found.high):
        return x
    width = [(0, 0)] * x.ndim
    for axis, low, high in zip(axes, found.low, found.high, strict=True):
        width[axis] = (low, high)
    return pad(x, width, constant_values=value)


def _greatest(x: Tensor, axes: Shape, found: Geometry) -> Tensor:
    return Tensor(apply("max_pool", x.node, axes=axes, **found.windows))


def _total(x: Tensor, axes: Shape, found: Geometry) -> Tensor:
    """Return the sum of each window."""
    viewed = Tensor(apply("windows", x.node, axes=axes, **found.windows))
    return reductions.sum(viewed, tuple(range(x.ndim, viewed.ndim)))
