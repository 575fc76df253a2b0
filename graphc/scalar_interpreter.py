"""The NumPy meaning of scalar programs: one table, a row per primitive of `graphc.scalar`.

This is the definition that the code generators are tested against, so it is exact where hardware
is: integers wrap, `fma` rounds once, conversions saturate and round once, NaN and -0.0 survive.
Nothing here warns or traps, on any input; a division by zero or a shift past the width, which a
formula must guard, gives an unspecified value. It is not fast, and it does not allocate for speed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from graphc import dtypes
from graphc.dtypes import DType
from graphc.errors import InternalError
from graphc.scalar import PRIMITIVES, RARELY, Instruction, ScalarProgram, index_mask

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Resolve: TypeAlias = Callable[[str, tuple[DType, ...], DType], ScalarProgram]
_Row: TypeAlias = Callable[..., Any]

_SPLITTER = float(2**27 + 1)
_UINT64_ONE = np.uint64(1)


def apply(name: str, operands: Sequence[Array], dtype: DType, payload: Any = None) -> Array:
    """Return the primitive `name` of `operands`, which broadcast, as an array of type `dtype`.

    `dtype` and `payload` are those of the `Instruction`. Raises InternalError for an unknown name.
    """
    row = _ROWS.get(name)
    if row is None:
        raise InternalError(f"{name} is not a primitive")
    with np.errstate(all="ignore"):
        if name in _TYPED_ROWS:
            return np.asarray(row(dtype, payload, *operands))
        return np.asarray(row(*operands), dtype=dtype.numpy)


def evaluate(program: ScalarProgram, *arguments: Array, resolve: Resolve | None = None) -> Array:
    """Return the value of `program` at `arguments`, an array of their common broadcast shape.

    `resolve(name, dtypes, result)` gives the program of a declared op that this one calls. Raises
    InternalError where the arguments do not have the dtypes of the program's parameters, or where
    a declared op is called and there is no `resolve`.
    """
    given = tuple(dtypes.as_dtype(a.dtype) for a in arguments)
    if given != program.parameters:
        raise InternalError(f"{program.name}{program.parameters} of {given}")
    values: list[Array | None] = [np.asarray(a) for a in arguments]
    last_reader = _last_readers(program)
    for position, instruction in enumerate(program.instructions):
        operands = [_present(values[o]) for o in instruction.operands]
        if instruction.name == RARELY:
            condition, otherwise, *rest = operands
            rare = evaluate(instruction.payload, *rest, resolve=resolve)
            value = np.where(condition, rare, otherwise)
        elif instruction.name in PRIMITIVES:
            value = apply(instruction.name, operands, instruction.dtype, instruction.payload)
        else:
            value = _call(instruction, operands, resolve)
        values.append(value)
        for operand in instruction.operands:
            if last_reader[operand] == position:
                values[operand] = None
    shape = np.broadcast_shapes(*(a.shape for a in arguments))
    result = _present(values[program.result])
    return np.array(np.broadcast_to(result, shape))


def _present(value: Array | None) -> Array:
    if value is None:
        raise InternalError("a value of a scalar program was freed before its last use")
    return value


def _last_readers(program: ScalarProgram) -> dict[int, int]:
    """Return, for each value that an instruction reads, the last such instruction's position."""
    readers = {o: i for i, ins in enumerate(program.instructions) for o in ins.operands}
    readers[program.result] = len(program.instructions)
    return readers


def _call(called: Instruction, operands: Sequence[Array], resolve: Resolve | None) -> Array:
    if resolve is None:
        raise InternalError(f"{called.name} is called, and evaluate() was given no resolve")
    parameters = tuple(dtypes.as_dtype(o.dtype) for o in operands)
    program = resolve(called.name, parameters, called.dtype)
    return evaluate(program, *operands, resolve=resolve)


def _literal(dtype: DType, payload: Any) -> Array:
    return np.asarray(payload, dtype=dtype.numpy)


def _lookup(dtype: DType, payload: Any, index: Array) -> Array:
    mask = index_mask(payload)
    if mask >= 0:
        index = np.atleast_1d(index).view(f"u{index.itemsize}").reshape(index.shape) & mask
    return np.asarray(np.asarray(payload, dtype=dtype.numpy)[index])


def _bitcast(dtype: DType, _payload: Any, a: Array) -> Array:
    return a.view(dtype.numpy)


def _pair(dtype: DType, _payload: Any, a: Array, b: Array) -> Array:
    half = np.dtype(f"u{dtype.itemsize // 2}")
    low, high = (np.atleast_1d(x).view(half).astype(dtype.numpy) for x in (a, b))
    word: Array = low | (high << dtype.numpy.type(half.itemsize * 8))
    return word


def _dot_bfloat16(a: Array, b: Array, c: Array) -> Array:
    high = _fma(_upper_half(a), _upper_half(b), c)
    sixteen = np.uint32(16)
    return _fma(_upper_half(a << sixteen), _upper_half(b << sixteen), high)


def _dot_of_bytes(kind: Any) -> _Row:
    def row(a: Array, b: Array, c: Array) -> Array:
        left, right = (
            np.ascontiguousarray(w).view(kind).reshape(*w.shape, 4).astype(np.int64)
            for w in np.broadcast_arrays(a, b)
        )
        return np.asarray((c + (left * right).sum(-1)).astype(c.dtype))

    return row


def _upper_half(word: Array) -> Array:
    """Return the bfloat16 in the upper bits as a float32."""
    bits: Array = np.atleast_1d(word & np.uint32(0xFFFF0000)).view(np.float32)
    return bits


# --- division of integers ------------------------------------------------------------------------


def _quotient(a: Array, b: Array) -> Array:
    exact: Array = np.floor_divide(a - np.fmod(a, b), b)
    return exact


# --- fused multiply-add --------------------------------------------------------------------------


def _fma(a: Array, b: Array, c: Array) -> Array:
    a, b, c = np.broadcast_arrays(a, b, c)
    return _fma32(a, b, c) if a.dtype == np.float32 else _fma64(a, b, c)


def _fma32(a: Array, b: Array, c: Array) -> Array:
    """In float64 the product is exact; the sum is rounded to odd, then once to float32."""
    total = _add_rounding_to_odd(a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64))
    return total.astype(np.float32)


def _scale(a: Array, b: Array) -> Array:
    exact: Array = np.ldexp(a, np.nan_to_num(b).astype(np.int32))
    return exact


def _fma64(a: Array, b: Array, c: Array) -> Array:
    """Boldo and Melquiond, "Emulation of FMA and correctly rounded sums" (2008), and fractions.

    Their error-free transformations hold while nothing overflows or underflows; the few elements
    with extreme exponents are computed in exact rational arithmetic.
    """
    product = a * b
    high, low = product, _product_error(a, b, product)
    top, bottom = _two_sum(c, low)
    sum_high, sum_low = _two_sum(high, top)
    result: Array = np.asarray(sum_high + _add_rounding_to_odd(bottom, sum_low))
    finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
    simple = ~finite | (a == 0) | (b == 0)
    infinite_c = np.isinf(c) & np.isfinite(a) & np.isfinite(b)
    result = np.where(simple, np.where(infinite_c, c, product + c), result)
    safe = _is_moderate(a) & _is_moderate(b) & _is_moderate(product) & (_is_moderate(c) | (c == 0))
    for index in zip(*np.nonzero(np.atleast_1d(~simple & ~safe)), strict=True):
        where = index if a.ndim else ()
        result[where] = _exact_fma(float(a[where]), float(b[where]), float(c[where]))
    return result


def _is_moderate(a: Array) -> Array:
    magnitude = np.abs(a)
    moderate: Array = (magnitude > 2.0**-800) & (magnitude < 2.0**800)
    return moderate


def _exact_fma(a: float, b: float, c: float) -> float:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    sign = -1.0 if exact < 0 else 1.0
    try:
        return math.copysign(float(exact), sign)
    except OverflowError:
        return sign * math.inf


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    total = a + b
    shadow = total - a
    return total, (a - (total - shadow)) + (b - shadow)


def _product_error(a: Array, b: Array, product: Array) -> Array:
    """Return a * b - product exactly (Dekker 1971)."""
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    return np.asarray(
        a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    )


def _split(a: Array) -> tuple[Array, Array]:
    scaled = _SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high


def _add_rounding_to_odd(a: Array, b: Array) -> Array:
    """Return a + b, and where it is inexact, of the two neighbours the one with an odd last bit."""
    total, error = _two_sum(a, b)
    bits = np.atleast_1d(total).view(np.uint64)
    outward = np.signbit(error) == np.signbit(total)
    odd = np.where(outward, bits + _UINT64_ONE, bits - _UINT64_ONE)
    even = (bits & _UINT64_ONE) == 0
    moved = np.isfinite(total) & (error != 0) & even
    rounded: Array = np.where(moved, odd, bits).view(np.float64)
    return rounded.reshape(total.shape)


# --- conversions ---------------------------------------------------------------------------------


def _convert(dtype: DType, _payload: Any, a: Array) -> Array:
    source = dtypes.as_dtype(a.dtype)
    if source is dtype:
        return a
    if source is dtypes.bfloat16:
        return _convert(dtype, None, a.astype(np.float32))
    if dtype is dtypes.bool_:
        return np.asarray(a != 0)
    if dtype is dtypes.bfloat16:
        return _to_bfloat16(source, a)
    if source.is_float and dtype.is_integer:
        return _saturate(dtype, a.astype(np.float64))
    return a.astype(dtype.numpy)


def _saturate(dtype: DType, a: Array) -> Array:
    """Truncate towards zero into the range of an integer type; NaN gives 0."""
    limits = np.iinfo(dtype.numpy)
    whole = np.trunc(a)
    above, below = whole >= float(limits.max + 1), whole < float(limits.min)
    inside = np.where(above | below | np.isnan(a), 0.0, whole).astype(dtype.numpy)
    highest, lowest = dtype.numpy.type(limits.max), dtype.numpy.type(limits.min)
    return np.where(above, highest, np.where(below, lowest, inside))


def _to_bfloat16(source: DType, a: Array) -> Array:
    """Round once, by way of values rounded to odd in float64 and in float32."""
    if source.is_integer and source.bits == 64:
        large = (a > 2**52) if source is dtypes.uint64 else (a > 2**52) | (a < -(2**52))
        eleven = a.dtype.type(11)
        sticky = ((a & a.dtype.type(2047)) != 0).astype(a.dtype)
        a = np.where(large, ((a >> eleven) | sticky) << eleven, a)
    wide = a.astype(np.float64)
    narrow = np.atleast_1d(wide.astype(np.float32))
    bits = narrow.view(np.uint32)
    inexact = (narrow != wide) & np.isfinite(wide) & ((bits & np.uint32(1)) == 0)
    step = np.where(np.abs(narrow) > np.abs(wide), np.uint32(0xFFFFFFFF), np.uint32(1))
    odd = np.where(inexact, bits + step, bits).view(np.float32).reshape(wide.shape)
    return odd.astype(dtypes.bfloat16.numpy)


_TYPED_ROWS: dict[str, _Row] = {
    "literal": _literal,
    "lookup": _lookup,
    "bitcast": _bitcast,
    "pair": _pair,
    "convert": _convert,
}

_ROWS: dict[str, _Row] = {
    **_TYPED_ROWS,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "fma": _fma,
    "dot_bfloat16": _dot_bfloat16,
    "dot_int8": _dot_of_bytes(np.int8),
    "dot_uint8": _dot_of_bytes(np.uint8),
    "neg": np.negative,
    "abs": np.absolute,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "rint": np.rint,
    "copysign": np.copysign,
    "scale": _scale,
    "quotient": _quotient,
    "modulus": np.fmod,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
    "shl": np.left_shift,
    "shr": np.right_shift,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "select": np.where,
}
