"""Cumulative sums, products, extremes and `logsumexp` along an axis.

Element i of the result combines the elements up to i, or from i on if `reverse`. Sums and products
of bools and of integers narrower than 64 bits are int64 or uint64, as those of `sum`. NaN
propagates to all that follows.
"""

from __future__ import annotations

from typing import SupportsIndex

from graphc.dtypes import DTypeLike, bool_
from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend.composites import as_float
from graphc.frontend.operands import apply, as_node, cast, fail, normalise_axis
from graphc.frontend.padding import pad
from graphc.frontend.reductions import sum_dtype
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node

__all__ = [
    "cumulative_logsumexp", "cumulative_max", "cumulative_min", "cumulative_prod",
    "cumulative_sum",
]  # fmt: skip


def cumulative_sum(
    x: TensorLike,
    axis: SupportsIndex | None = None,
    dtype: DTypeLike | None = None,
    *,
    include_initial: bool = False,
    reverse: bool = False,
) -> Tensor:
    """Return the sums of the elements up to each along `axis`, computed in `dtype`.

    `axis` may be left out where there is one. With `include_initial` the sum of no elements, 0,
    goes before the first, so that the axis is one longer.

    >>> import graphc
    >>> graphc.evaluate(cumulative_sum([1, 2, 3]))
    array([1, 3, 6])
    """
    node = as_node(x)
    wide = cast(node, sum_dtype(node, dtype))
    result = _along("cumulative_sum", wide, axis, reverse)
    return _with_initial(result, axis, 0, reverse) if include_initial else result


def cumulative_prod(
    x: TensorLike,
    axis: SupportsIndex | None = None,
    dtype: DTypeLike | None = None,
    *,
    include_initial: bool = False,
    reverse: bool = False,
) -> Tensor:
    """Return the products of the elements up to each along `axis`, computed in `dtype`.

    `axis` may be left out where there is one. With `include_initial` the product of no elements, 1,
    goes before the first. The derivative is exact where elements are zero.
    """
    node = as_node(x)
    wide = cast(node, sum_dtype(node, dtype))
    result = _along("cumulative_prod", wide, axis, reverse)
    return _with_initial(result, axis, 1, reverse) if include_initial else result


def cumulative_max(
    x: TensorLike, axis: SupportsIndex | None = None, *, reverse: bool = False
) -> Tensor:
    """Return the greatest of the elements up to each along `axis`.

    The first of equal elements gets the gradient.
    """
    return _along("cumulative_max", _numbers("cumulative_max", x), axis, reverse)


def cumulative_min(
    x: TensorLike, axis: SupportsIndex | None = None, *, reverse: bool = False
) -> Tensor:
    """Return the least of the elements up to each along `axis`.

    The first of equal elements gets the gradient.
    """
    return _along("cumulative_min", _numbers("cumulative_min", x), axis, reverse)


def cumulative_logsumexp(
    x: TensorLike, axis: SupportsIndex | None = None, *, reverse: bool = False
) -> Tensor:
    """Return log(sum(exp)) of the elements up to each along `axis`, without overflow."""
    wide, result = as_float(x)
    return _along("cumulative_logsumexp", wide.node, axis, reverse).astype(result)


def _numbers(name: str, x: TensorLike) -> Node:
    node = as_node(x)
    if node.type.dtype is bool_:
        fail(GraphcTypeError, f"{name} is not defined for bool", [node], "convert it: x.astype")
    return node


def _along(name: str, node: Node, axis: SupportsIndex | None, reverse: bool) -> Tensor:
    if axis is None and len(node.shape) != 1:
        fail(GraphcValueError, f"{name}: {node.shape} has not one axis: which is meant?", [node])
    place = normalise_axis(name, 0 if axis is None else axis, len(node.shape), node)
    return Tensor(apply(name, node, axis=place, reverse=bool(reverse)))


def _with_initial(x: Tensor, axis: SupportsIndex | None, value: int, reverse: bool) -> Tensor:
    place = normalise_axis("axis", 0 if axis is None else axis, x.ndim)
    width = [(0, 0)] * x.ndim
    width[place] = (0, 1) if reverse else (1, 0)
    return pad(x, width, constant_values=value)
