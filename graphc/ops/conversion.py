"""`where` and `cast`: elements chosen, elements converted.

A cast to an integer truncates, saturates at the ends of the range and makes NaN 0; between integers
it wraps; to bool it is `x != 0`; to a float it rounds once, to nearest even. Complex numbers are
cast to complex numbers and bool alone; what is cast to one gets the imaginary part 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import dtypes
from graphc.arithmetic import zeros_like
from graphc.dtypes import DType, as_dtype
from graphc.errors import GraphcTypeError
from graphc.node import Node
from graphc.ops.declare import Array, elementwise
from graphc.ops.pairs import apply, for_both_parts, paired, parts
from graphc.ops.type_rules import ANY, PARTS, where_rule
from graphc.scalar import Scalar, select
from graphc.tensor_type import TensorType


def _where_pullback(g: Node, y: Node, condition: Node, a: Node, b: Node) -> tuple[Node | None, ...]:
    zero = zeros_like(g)
    return None, where(condition, g, zero), where(condition, zero, g)


def _where_pairs(node: Node, operands: tuple[Node, ...]) -> Node:
    condition, x, y = operands
    return where(for_both_parts(condition, node.shape), x, y)


where = elementwise(
    "where", ("condition", "x", "y"), select, np.where,
    kinds=ANY, type_rule=where_rule, pullback=_where_pullback, native_16_bit=True,
    on_pairs=_where_pairs,
    summary="x where the condition holds, else y",
)  # fmt: skip


def _cast_rule(x: TensorType, dtype: DType) -> TensorType:
    if x.dtype.is_complex and dtype.kind not in ("complex", "bool"):
        raise GraphcTypeError(f"{x.dtype} does not convert to {dtype}", hint=PARTS)
    return x.with_dtype(dtype)


def _cast_formula(x: Scalar, result: DType) -> Scalar:
    return x.convert(result)


def _cast_reference(x: Array, result: TensorType, dtype: DType) -> Array:
    source = as_dtype(x.dtype)
    with np.errstate(all="ignore"):
        if dtype is dtypes.bool_:
            return np.asarray(x != 0)
        if source.is_float and dtype.is_integer:
            return _to_integer(x.astype(np.float64), dtype)
        if source is dtypes.bfloat16:
            x = x.astype(np.float32)
        return _to_bfloat16(x) if dtype is dtypes.bfloat16 else x.astype(dtype.numpy)


def _to_integer(x: Array, dtype: DType) -> Array:
    """Clip to the floats inside the range first; the end above it may be no float."""
    limits = np.iinfo(dtype.numpy)
    above, below = x >= 2.0 ** (dtype.bits - dtype.is_signed), x <= float(limits.min)
    whole = np.where(np.isnan(x) | above | below, 0.0, x).astype(dtype.numpy)
    highest, lowest = dtype.numpy.type(limits.max), dtype.numpy.type(limits.min)
    return np.select([above, below], [highest, lowest], whole)


def _to_bfloat16(x: Array) -> Array:
    """Round to a multiple of the unit in the last place of 8 bits, all of it exact but for that."""
    if as_dtype(x.dtype).is_integer:
        x = _keep_leading_bits(x)
    wide = x.astype(np.float64)
    _, exponent = np.frexp(wide)
    unit = np.ldexp(1.0, np.maximum(exponent - 8, -133))
    rounded = np.where(np.isfinite(wide), np.rint(wide / unit) * unit, wide)
    return rounded.astype(np.float32).astype(dtypes.bfloat16.numpy)


def _keep_leading_bits(x: Array) -> Array:
    """Convert integers to float64; from 2**53 on, low bits become one that says they are not 0."""
    magnitude = np.where(x < 0, -x.astype(np.uint64), x.astype(np.uint64)).astype(np.uint64)
    low = magnitude & np.uint64(0xFFF)
    kept = (magnitude - low + np.where(low > 0, np.uint64(0x800), np.uint64(0))).astype(np.float64)
    exact = np.where(magnitude < np.uint64(2**53), magnitude.astype(np.float64), kept)
    return np.where(x < 0, -exact, exact)


def _cast_derivative(node: Node, cotangent: Node) -> tuple[Node | None]:
    source: Any = node.inputs[0].type.dtype
    if not source.is_inexact:
        return (None,)
    if cotangent.type.dtype.is_complex and not source.is_complex:
        cotangent = apply("real", cotangent)
    return (cast(cotangent, dtype=source),)


def _cast_pairs(node: Node, operands: tuple[Node, ...]) -> Node:
    (x,), dtype = operands, node.attributes["dtype"]
    if dtype is dtypes.bool_:
        return apply("logical_or", *(cast(each, dtype=dtype) for each in parts(x)))
    if node.inputs[0].type.dtype.is_complex:
        return cast(x, dtype=dtype.real)
    real = cast(x, dtype=dtype.real)
    return paired(real, zeros_like(real))


cast = elementwise(
    "cast", ("x",), _cast_formula, _cast_reference,
    kinds=ANY, type_rule=_cast_rule, attributes=("dtype",), takes_result=True, native_16_bit=True,
    on_pairs=_cast_pairs,
    pullback=lambda g, y, x: _cast_derivative(y, g),
    summary="x converted to another dtype",
)  # fmt: skip
