"""Cumulative combinations along an axis: element i combines those up to i, or from i if `reverse`.

They are combined one after the other in the operand's compute dtype, and each is rounded once. The
derivatives are sums in which each term is the one before times a factor (`_chain`), so that none
divides: that of the product is exact at zeros too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.arithmetic import filled, zeros_like
from graphc.dtypes import DType
from graphc.node import Node
from graphc.op import Cumulative, Op
from graphc.ops.comparison import equal, isnan, less
from graphc.ops.conversion import where
from graphc.ops.declare import Array
from graphc.ops.exponential import exp
from graphc.ops.logic import logical_and, logical_not, logical_or
from graphc.ops.pairs import componentwise
from graphc.ops.type_rules import FLOAT, NUMBER, NUMERIC, check_axis, check_kind
from graphc.ops.views import cut, pad
from graphc.tensor_type import TensorType


def _rule(name: str, kinds: tuple[str, ...]) -> Callable[..., TensorType]:
    def rule(x: TensorType, axis: int, reverse: bool) -> TensorType:
        check_kind(name, x.dtype, kinds)
        check_axis(name, axis, x.rank)
        return x

    return rule


_WIDE: dict[str, Any] = {"float": np.float64, "complex": np.complex128}


def _accumulated(function: Any, *, wide: bool) -> Callable[..., Array]:
    """Make the reference of a NumPy function, floats in float64 where that bounds the error."""

    def reference(x: Array, result: TensorType, axis: int, reverse: bool) -> Array:
        compute = result.dtype.compute.numpy
        accumulator = _WIDE.get(result.dtype.kind, compute) if wide else compute
        turned = np.flip(x, axis) if reverse else x
        with np.errstate(all="ignore"):
            combined = function.accumulate(turned.astype(accumulator), axis)
            rounded = combined.astype(compute).astype(result.dtype.numpy)
        return np.asarray(np.flip(rounded, axis) if reverse else rounded)

    return reference


def _extreme(function: Any, sign: float) -> Callable[..., Array]:
    """Make the reference of a running maximum or minimum, in which +0.0 is above -0.0."""

    def reference(x: Array, result: TensorType, axis: int, reverse: bool) -> Array:
        compute = result.dtype.compute.numpy
        turned = np.moveaxis(np.flip(x, axis) if reverse else x, axis, 0).astype(compute)
        found = function.accumulate(turned, 0)
        if result.dtype.is_float:
            key = np.where(turned == 0, np.copysign(1.0, turned), -sign * np.inf)
            zero = np.copysign(0.0, function.accumulate(key, 0)).astype(compute)
            found = np.where(found == 0, zero, found)
        found = np.moveaxis(found, 0, axis).astype(result.dtype.numpy)
        return np.asarray(np.flip(found, axis) if reverse else found)

    return reference


# --- derivatives ---------------------------------------------------------------------------------


def _shifted(node: Node, distance: int, value: float, axis: int, *, later: bool) -> Node:
    """Return what stands `distance` places later along `axis`, or earlier; beyond it `value`."""
    extent = node.shape[axis]
    distance = min(distance, extent)
    start, low, high = [0] * len(node.shape), [0] * len(node.shape), [0] * len(node.shape)
    shape = list(node.shape)
    shape[axis] -= distance
    start[axis] = distance if later else 0
    (high if later else low)[axis] = distance
    block = cut(node, tuple(start), tuple(shape))
    outside = filled(node.type.with_shape(()), value)
    return pad(block, outside, low=tuple(low), high=tuple(high))


def _chain(factor: Node, term: Node, axis: int, *, later: bool) -> Node:
    """Return s with s[i] = term[i] + factor[i] * s[i + 1] (i - 1 if not `later`), by doubling."""
    total, reach, distance = term, factor, 1
    while distance < term.shape[axis]:
        total = total + reach * _shifted(total, distance, 0, axis, later=later)
        reach = reach * _shifted(reach, distance, 0, axis, later=later)
        distance *= 2
    return total


def _directions(node: Node) -> tuple[int, bool]:
    return node.attributes["axis"], not node.attributes["reverse"]


def _sum_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    axis, later = _directions(node)
    return (cumulative_sum(cotangent, axis=axis, reverse=later),)


def _prod_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    """Multiply the product of those before by the sum of all later products, each taken from i."""
    axis, later = _directions(node)
    x = node.inputs[0]
    before = _shifted(node, 1, 1, axis, later=not later)
    following = _shifted(x, 1, 0, axis, later=later)
    return (before * _chain(following, cotangent, axis, later=later),)


def _logsumexp_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    """Scale by exp(x[i] - y[i]) the sum of g[j] exp(y[i] - y[j]): no exponent is above 0."""
    axis, later = _directions(node)
    following = _shifted(node, 1, math.inf, axis, later=later)  # of which nothing comes
    total = _chain(_power(node, following), cotangent, axis, later=later)
    return (_power(node.inputs[0], node) * total,)


def _power(low: Node, high: Node) -> Node:
    """Return exp(low - high), 1 where they are equal (both infinite)."""
    alike = equal(low, high)
    zero = zeros_like(low)
    return exp(where(alike, zero, low - where(alike, zero, high)))


def _extreme_derivative(sign: int) -> Callable[[Node, Node], tuple[Node]]:
    """Give each cotangent to the first element that is the extreme so far, or the first NaN."""

    def derivative(node: Node, cotangent: Node) -> tuple[Node]:
        axis, later = _directions(node)
        x = node.inputs[0]
        before = _shifted(node, 1, -sign * math.inf, axis, later=not later)
        is_better = less(before, x) if sign > 0 else less(x, before)
        first = logical_and(isnan(x), logical_not(isnan(before)))
        start = _shifted(zeros_like(x), 1, 1, axis, later=not later)
        is_start = equal(start, filled(x.type, 1))
        is_new = logical_or(logical_or(is_better, first), is_start)
        goes_on = where(is_new, zeros_like(x), filled(x.type, 1))
        total = _chain(_shifted(goes_on, 1, 0, axis, later=later), cotangent, axis, later=later)
        return (where(is_new, total, zeros_like(x)),)

    return derivative


# --- declarations --------------------------------------------------------------------------------


def _lowest(dtype: DType) -> int | float:
    return -math.inf if dtype.is_float else int(np.iinfo(dtype.numpy).min)


def _highest(dtype: DType) -> int | float:
    return math.inf if dtype.is_float else int(np.iinfo(dtype.numpy).max)


def _batch(node: Node, operands: tuple[Node, ...]) -> Node:
    return node.op(operands[0], **{**node.attributes, "axis": node.attributes["axis"] + 1})


def _declare(
    name: str,
    lowering: Cumulative,
    reference: Callable[..., Array],
    derivative: Callable[[Node, Node], tuple[Node]],
    summary: str,
    kinds: tuple[str, ...] = NUMERIC,
) -> Op:
    return Op(
        on_pairs=componentwise if "complex" in kinds else None,
        name=name,
        operands=("x",),
        attributes=("axis", "reverse"),
        type_rule=_rule(name, kinds),
        reference=reference,
        lowering=lowering,
        derivative=derivative,
        kinds=kinds,
        batch=_batch,
        summary=f"{summary} of the elements up to each along an axis, or from each",
    )


cumulative_sum: Op = _declare(
    "cumulative_sum",
    Cumulative("add", lambda d: -0.0 if d.is_float else 0),
    _accumulated(np.add, wide=True),
    _sum_derivative,
    "the sum",
    NUMBER,
)
cumulative_prod = _declare(
    "cumulative_prod",
    Cumulative("multiply", lambda _: 1),
    _accumulated(np.multiply, wide=True),
    _prod_derivative,
    "the product",
)
cumulative_max = _declare(
    "cumulative_max",
    Cumulative("maximum", _lowest),
    _extreme(np.maximum, 1.0),
    _extreme_derivative(1),
    "the greatest",
)
cumulative_min = _declare(
    "cumulative_min",
    Cumulative("minimum", _highest),
    _extreme(np.minimum, -1.0),
    _extreme_derivative(-1),
    "the least",
)
cumulative_logsumexp = _declare(
    "cumulative_logsumexp",
    Cumulative("logaddexp", lambda _: -math.inf),
    _accumulated(np.logaddexp, wide=True),
    _logsumexp_derivative,
    "the logarithm of the sum of exponentials",
    FLOAT,
)
