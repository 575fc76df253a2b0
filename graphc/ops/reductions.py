"""Reductions over axes, and the places of the greatest and the least element.

The order in which elements are combined is `graphc.reduction_order`. The references of sum and prod
accumulate in float64, so that tests can bound the error of a float32 sum by them. The sum of no
elements is 0, the product 1, any False, all True; max, min, argmax and argmin of no elements are
refused. Tied elements share the cotangent of max and min equally.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc import dtypes
from graphc.arithmetic import filled, zeros_like
from graphc.dtypes import DType
from graphc.errors import ShapeError
from graphc.formulas import comparison
from graphc.node import Node
from graphc.op import Op, Reduction, Selection
from graphc.ops.comparison import equal
from graphc.ops.conversion import cast, where
from graphc.ops.declare import Array
from graphc.ops.pairs import componentwise
from graphc.ops.type_rules import (
    BOOL,
    NUMBER,
    NUMERIC,
    TypeRule,
    check_axes,
    check_axis,
    check_kind,
)
from graphc.ops.views import broadcast_to, cut, pad, permute_dims, reshaped
from graphc.tensor_type import TensorType

Axes = tuple[int, ...]


def _rule(name: str, kinds: tuple[str, ...], *, needs_elements: bool = False) -> TypeRule:
    def rule(x: TensorType, axes: Axes) -> TensorType:
        check_kind(name, x.dtype, kinds)
        check_axes(name, axes, x.rank)
        result = x.with_shape(tuple(n for a, n in enumerate(x.shape) if a not in axes))
        if needs_elements and result.size and not x.size:
            raise ShapeError(f"{name} of no elements: {x.shape} over the axes {axes}")
        return result

    return rule


def _over_axes(node: Node, reduced: Node) -> Node:
    """Return `reduced`, of the shape of the reduction `node`, repeated over the reduced axes."""
    operand, axes = node.inputs[0], node.attributes["axes"]
    kept = tuple(1 if a in axes else n for a, n in enumerate(operand.shape))
    column = reshaped(reduced, kept)
    return column if kept == operand.shape else broadcast_to(column, shape=operand.shape)


# --- sum and prod --------------------------------------------------------------------------------


def _accumulate(function: Callable[..., Any], float_start: float) -> Callable[..., Array]:
    def reference(x: Array, result: TensorType, axes: Axes) -> Array:
        with np.errstate(all="ignore"):
            if result.dtype.is_integer:
                return np.asarray(function(x, axis=axes, dtype=x.dtype))
            start = float_start if x.size else abs(float_start)
            if result.dtype.is_complex:
                both = (function(part, axis=axes, initial=start) for part in _wide_parts(x))
                return _from_parts(*both).astype(result.dtype.numpy)
            wide = function(x.astype(np.float64), axis=axes, initial=start)
            compute = np.asarray(wide).astype(result.dtype.compute.numpy)
            return compute.astype(result.dtype.numpy)

    return reference


def _wide_parts(x: Array) -> tuple[Array, Array]:
    wide = x.astype(np.complex128)
    return wide.real, wide.imag


def _from_parts(real: Any, imaginary: Any) -> Array:
    """Return real + i imaginary without computing: 1j * inf would be NaN + inf i."""
    result = np.empty(np.shape(real), np.complex128)
    result.real, result.imag = real, imaginary
    return result


def _sum_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    return (_over_axes(node, cotangent),)


def _prod_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    """Multiply by the product of the other elements, formed without division (zeros are safe)."""
    operand, axes = node.inputs[0], node.attributes["axes"]
    kept = tuple(a for a in range(len(operand.shape)) if a not in axes)
    order: Axes = (*kept, *axes)
    moved = permute_dims(operand, axes=order)
    rows = reshaped(moved, (math.prod(node.shape), math.prod(operand.shape[a] for a in axes)))
    others = reshaped(_running(rows, before=True) * _running(rows, before=False), moved.shape)
    back = tuple(order.index(a) for a in range(len(order)))
    return (_over_axes(node, cotangent) * permute_dims(others, axes=back),)


def _running(rows: Node, *, before: bool) -> Node:
    """Return the product of the elements before (or after) each in its row, by doubling steps."""
    count, distance = rows.shape[1], 1
    product = _shifted(rows, 1, before=before)
    while distance < count - 1:
        product = product * _shifted(product, distance, before=before)
        distance *= 2
    return product


def _shifted(rows: Node, distance: int, *, before: bool) -> Node:
    """Return the rows moved by `distance` to the right (or left), ones where nothing was."""
    height, width = rows.shape
    distance = min(distance, width)
    block = cut(rows, (0, 0 if before else distance), (height, width - distance))
    low, high = ((0, distance), (0, 0)) if before else ((0, 0), (0, distance))
    return pad(block, filled(rows.type.with_shape(()), 1), low=low, high=high)


sum_ = Op(
    name="sum",
    operands=("x",),
    attributes=("axes",),
    type_rule=_rule("sum", NUMBER),
    reference=_accumulate(np.sum, -0.0),
    lowering=Reduction("add", lambda d: -0.0 if d.is_float else 0, lambda d: 0),
    derivative=_sum_derivative,
    kinds=NUMBER,
    on_pairs=componentwise,
    summary="the sum over axes",
)
prod = Op(
    name="prod",
    operands=("x",),
    attributes=("axes",),
    type_rule=_rule("prod", NUMERIC),
    reference=_accumulate(np.prod, 1.0),
    lowering=Reduction("multiply", lambda d: 1),
    derivative=_prod_derivative,
    kinds=NUMERIC,
    summary="the product over axes",
)

# --- max and min ---------------------------------------------------------------------------------


def _lowest(dtype: DType) -> int | float:
    return -math.inf if dtype.is_float else int(np.iinfo(dtype.numpy).min)


def _highest(dtype: DType) -> int | float:
    return math.inf if dtype.is_float else int(np.iinfo(dtype.numpy).max)


def _extreme(function: Callable[..., Any], limit: Callable[[DType], Any]) -> Callable[..., Array]:
    """Make the reference of max or min: NaN propagates, and +0.0 is above -0.0."""

    def reference(x: Array, result: TensorType, axes: Axes) -> Array:
        start = limit(result.dtype)
        wide = x.astype(result.dtype.compute.numpy)
        found = np.asarray(function(wide, axis=axes, initial=start))
        if result.dtype.is_float:
            key = np.where(np.signbit(wide), -1.0, 1.0)
            zero_sign = function(np.where(wide == 0, key, start), axis=axes, initial=start)
            found = np.where(found == 0, np.copysign(0.0, zero_sign), found)
        return found.astype(result.dtype.numpy)

    return reference


def _extreme_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    operand = node.inputs[0]
    is_extreme = equal(operand, _over_axes(node, node))
    count = sum_(cast(is_extreme, dtype=operand.type.dtype), axes=node.attributes["axes"])
    share = _over_axes(node, cotangent / count)
    return (where(is_extreme, share, zeros_like(operand)),)


max_ = Op(
    name="max",
    operands=("x",),
    attributes=("axes",),
    type_rule=_rule("max", NUMERIC, needs_elements=True),
    reference=_extreme(np.max, _lowest),
    lowering=Reduction("maximum", _lowest),
    derivative=_extreme_derivative,
    kinds=NUMERIC,
    summary="the greatest element over axes",
)
min_ = Op(
    name="min",
    operands=("x",),
    attributes=("axes",),
    type_rule=_rule("min", NUMERIC, needs_elements=True),
    reference=_extreme(np.min, _highest),
    lowering=Reduction("minimum", _highest),
    derivative=_extreme_derivative,
    kinds=NUMERIC,
    summary="the least element over axes",
)

# --- any and all ---------------------------------------------------------------------------------

any_ = Op(
    name="any",
    operands=("x",),
    attributes=("axes",),
    type_rule=_rule("any", BOOL),
    reference=lambda x, result, axes: np.any(x, axis=axes),
    lowering=Reduction("logical_or", lambda d: False),
    kinds=BOOL,
    summary="whether one element or more over axes holds",
)
all_ = Op(
    name="all",
    operands=("x",),
    attributes=("axes",),
    type_rule=_rule("all", BOOL),
    reference=lambda x, result, axes: np.all(x, axis=axes),
    lowering=Reduction("logical_and", lambda d: True),
    kinds=BOOL,
    summary="whether every element over axes holds",
)

# --- argmax and argmin ---------------------------------------------------------------------------


def _place_rule(name: str) -> TypeRule:
    def rule(x: TensorType, axis: int) -> TensorType:
        check_kind(name, x.dtype, NUMERIC)
        check_axis(name, axis, x.rank)
        result = TensorType(x.shape[:axis] + x.shape[axis + 1 :], dtypes.int64)
        if result.size and not x.size:
            raise ShapeError(f"{name} of no elements: axis {axis} of {x.shape}")
        return result

    return rule


def _place(function: Callable[..., Any]) -> Callable[..., Array]:
    def reference(x: Array, result: TensorType, axis: int) -> Array:
        if not result.size:
            return np.zeros(result.shape, np.int64)
        wide = x.astype(dtypes.as_dtype(x.dtype).compute.numpy)
        return np.asarray(function(wide, axis=axis), dtype=np.int64)

    return reference


argmax = Op(
    name="argmax",
    operands=("x",),
    attributes=("axis",),
    type_rule=_place_rule("argmax"),
    reference=_place(np.argmax),
    lowering=Selection(comparison.is_greater),
    kinds=NUMERIC,
    summary="the place of the first greatest element along an axis; NaN is the greatest",
)
argmin = Op(
    name="argmin",
    operands=("x",),
    attributes=("axis",),
    type_rule=_place_rule("argmin"),
    reference=_place(np.argmin),
    lowering=Selection(comparison.is_less),
    kinds=NUMERIC,
    summary="the place of the first least element along an axis; NaN is the least",
)
