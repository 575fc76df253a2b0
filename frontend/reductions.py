"""Functions that combine elements along axes: sums, products, extremes, means, and their places.

`axis` is None (all axes), an integer or a tuple; `keepdims` keeps reduced axes with extent 1. As in
NumPy, sums and products of bools and of integers narrower than 64 bits are int64 or uint64, and
means of integers are float64. float16 and bfloat16 are summed in float32; means, variances and
`logsumexp` of them are computed in float32 throughout and rounded once. NaN propagates.

>>> from graphc.frontend import input
>>> sum(input((2, 3), "int8"), axis=1).type
TensorType(shape=(2,), dtype=graphc.int64)
"""

from __future__ import annotations

import math
from typing import SupportsIndex

from graphc.dtypes import DType, DTypeLike, as_dtype, bool_, float64, int64, uint64
from graphc.errors import GraphcTypeError, ShapeError
from graphc.frontend import elementwise, shapes
from graphc.frontend.operands import (
    apply,
    as_node,
    broadcast_to,
    cast,
    fail,
    normalise_axes,
    normalise_axis,
)
from graphc.frontend.tensor import AxisLike, Tensor, TensorLike
from graphc.node import Node

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "logsumexp",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]


def _reduce(name: str, node: Node, axis: AxisLike, keepdims: bool) -> Tensor:
    axes = normalise_axes(name, axis, len(node.shape), node)
    result = apply(name, node, axes=axes) if axes else node
    return Tensor(shapes.expand_node(result, axes) if keepdims else result)


def sum_dtype(node: Node, dtype: DTypeLike | None) -> DType:
    """Return the dtype of sums and products of `node` where `dtype` is asked for."""
    given = node.type.dtype
    if dtype is not None:
        return as_dtype(dtype)
    if given.is_inexact:
        return given
    return uint64 if given.kind == "uint" else int64


def sum(
    x: TensorLike, axis: AxisLike = None, dtype: DTypeLike | None = None, keepdims: bool = False
) -> Tensor:
    """Return the sum over `axis`, computed in `dtype`; over no elements 0."""
    node = as_node(x)
    return _reduce("sum", cast(node, sum_dtype(node, dtype)), axis, keepdims)


def prod(
    x: TensorLike, axis: AxisLike = None, dtype: DTypeLike | None = None, keepdims: bool = False
) -> Tensor:
    """Return the product over `axis`, computed in `dtype`; over no elements 1."""
    node = as_node(x)
    return _reduce("prod", cast(node, sum_dtype(node, dtype)), axis, keepdims)


def max(x: TensorLike, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Return the greatest element over `axis`, NaN if there is one.

    Raises ShapeError where there are no elements to choose from.
    """
    return _extreme("max", x, axis, keepdims)


def min(x: TensorLike, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Return the smallest element over `axis`, NaN if there is one.

    Raises ShapeError where there are no elements to choose from.
    """
    return _extreme("min", x, axis, keepdims)


def _extreme(name: str, x: TensorLike, axis: AxisLike, keepdims: bool) -> Tensor:
    node = as_node(x)
    axes = normalise_axes(name, axis, len(node.shape), node)
    _check_not_empty(name, node, axes)
    if node.type.dtype is bool_:
        return _reduce("any" if name == "max" else "all", node, axis, keepdims)
    return _reduce(name, node, axis, keepdims)


def _check_not_empty(name: str, node: Node, axes: tuple[int, ...]) -> None:
    if 0 in (node.shape[a] for a in axes):
        fail(ShapeError, f"{name}: no elements along axes {axes} of {node.shape}", [node])


def any(x: TensorLike, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Return whether any element over `axis` is true (not zero; NaN is true)."""
    return _reduce("any", as_node(x, bool_), axis, keepdims)


def all(x: TensorLike, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Return whether all elements over `axis` are true (not zero; NaN is true)."""
    return _reduce("all", as_node(x, bool_), axis, keepdims)


def argmax(x: TensorLike, axis: SupportsIndex | None = None, keepdims: bool = False) -> Tensor:
    """Return the first place, an int64, of the greatest element along `axis`, or of the first NaN.

    Without `axis` it is the place among all elements in row-major order. Raises ShapeError if
    empty.
    """
    return _place("argmax", x, axis, keepdims)


def argmin(x: TensorLike, axis: SupportsIndex | None = None, keepdims: bool = False) -> Tensor:
    """Return the first place, an int64, of the smallest element along `axis`, or of the first NaN.

    Without `axis` it is the place among all elements in row-major order. Raises ShapeError if
    empty.
    """
    return _place("argmin", x, axis, keepdims)


def _place(name: str, x: TensorLike, axis: SupportsIndex | None, keepdims: bool) -> Tensor:
    node = as_node(x)
    rank = len(node.shape)
    if axis is None:
        flat = shapes.reshape_node(node, (node.type.size,))
        found = _place(name, Tensor(flat), 0, keepdims=False)
        return Tensor(shapes.expand_node(found.node, range(rank))) if keepdims else found
    if isinstance(axis, tuple | list):
        fail(GraphcTypeError, f"{name}: one axis or None is needed, not {axis}", [node])
    place = normalise_axis(name, axis, rank, node)
    _check_not_empty(name, node, (place,))
    if node.type.dtype is bool_:
        node = cast(node, as_dtype("uint8"))
    result = apply(name, node, axis=place)
    return Tensor(shapes.expand_node(result, (place,)) if keepdims else result)


def mean(
    x: TensorLike, axis: AxisLike = None, dtype: DTypeLike | None = None, keepdims: bool = False
) -> Tensor:
    """Return the mean over `axis`, in `dtype`; NaN over no elements."""
    node = as_node(x)
    if node.type.dtype.is_complex and dtype is None:
        return _mean(Tensor(node), axis, keepdims)
    result, wide = _float_dtypes(node, dtype)
    return _mean(Tensor(as_node(x, wide)), axis, keepdims).astype(result)


def _mean(x: Tensor, axis: AxisLike, keepdims: bool) -> Tensor:
    return sum(x, axis, keepdims=keepdims) / float(_count("mean", x.node, axis))


def _count(name: str, node: Node, axis: AxisLike) -> int:
    return math.prod(node.shape[a] for a in normalise_axes(name, axis, len(node.shape), node))


def _float_dtypes(node: Node, dtype: DTypeLike | None) -> tuple[DType, DType]:
    """Return the dtype of a result that is a float, and the dtype to compute it in."""
    given = node.type.dtype
    result = as_dtype(dtype) if dtype is not None else given if given.is_float else float64
    return result, result.compute


def var(
    x: TensorLike, axis: AxisLike = None, *, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """Return the variance over `axis`: the squared distances from the mean, summed, over N -
    correction.

    Two passes, so it is never negative and does not cancel. NaN where N is 0; infinite or NaN where
    N is at most `correction`.
    """
    result, wide = _float_dtypes(as_node(x), None)
    return _var(Tensor(as_node(x, wide)), axis, correction, keepdims).astype(result)


def _var(x: Tensor, axis: AxisLike, correction: float, keepdims: bool) -> Tensor:
    count = _count("var", x.node, axis)
    distance = x - _mean(x, axis, keepdims=True)
    freedom = count - correction
    total = sum(elementwise.square(distance), axis, keepdims=keepdims)
    return total / float(freedom if freedom > 0 else 0)


def std(
    x: TensorLike, axis: AxisLike = None, *, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """Return the standard deviation over `axis`, the root of `var`."""
    result, wide = _float_dtypes(as_node(x), None)
    spread = _var(Tensor(as_node(x, wide)), axis, correction, keepdims)
    return elementwise.sqrt(spread).astype(result)


def logsumexp(x: TensorLike, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Return log(sum(exp(x))) over `axis` without overflow on the way; -inf over no elements.

    The greatest element is subtracted first; it is a constant to differentiation, since its share
    of the gradient cancels.
    """
    result, wide = _float_dtypes(as_node(x), None)
    node = as_node(x, wide)
    axes = normalise_axes("logsumexp", axis, len(node.shape), node)
    if 0 in (node.shape[a] for a in axes):
        shape = sum(Tensor(node), axis, keepdims=keepdims).shape
        return Tensor(broadcast_to(as_node(-math.inf, result), shape))
    top = elementwise.stop_gradient(max(Tensor(node), axis, keepdims=True))
    top = elementwise.where(elementwise.isfinite(top), top, 0)
    total = sum(elementwise.exp(Tensor(node) - top), axis, keepdims=True)
    answer = elementwise.log(total) + top
    return (answer if keepdims else shapes.squeeze(answer, axes)).astype(result)
