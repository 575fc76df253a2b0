"""Division of floats with a whole quotient: floor_divide and remainder, as Python and NumPy define
them.

Both rest on the exact remainder of truncated division (C's fmod), found by long division: each step
shifts the rest by the width of the mantissa and takes off a whole multiple of the divisor with one
fused multiply-add, which is exact there. The number of steps covers the whole range of exponents.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphc import dtypes
from graphc.dtypes import DType
from graphc.scalar import Scalar, copysign, floor, fma, select, trunc


@dataclass(frozen=True, slots=True)
class _Format:
    word: DType
    mantissa: int
    bias: int
    steps: int


# steps: the largest difference of two exponents, subnormals included, over the mantissa's width
_FORMATS = {
    dtypes.float32: _Format(dtypes.int32, 23, 127, -(-(127 + 149) // 23)),
    dtypes.float64: _Format(dtypes.int64, 52, 1023, -(-(1023 + 1074) // 52)),
}


def floor_divide(a: Scalar, b: Scalar) -> Scalar:
    """Return the largest integer not above a / b, as NumPy computes it; a / b where b is zero."""
    rest = _truncated_remainder(a, b)
    quotient = (a - rest) / b
    quotient = select(_has_other_sign(rest, b), quotient - 1, quotient)
    whole = floor(quotient)
    whole = select(quotient - whole > 0.5, whole + 1, whole)
    zero = copysign(a.literal(0.0), a / b)
    return select(b == 0, a / b, select(quotient == 0, zero, whole))


def remainder(a: Scalar, b: Scalar) -> Scalar:
    """Return a - floor(a / b) * b with the sign of b, exact but for the sum that moves its sign."""
    rest = _truncated_remainder(a, b)
    moved = select(_has_other_sign(rest, b), rest + b, rest)
    return select(rest == 0, copysign(a.literal(0.0), b), moved)


def _has_other_sign(rest: Scalar, b: Scalar) -> Scalar:
    return (rest != 0) & ((rest < 0) != (b < 0))


def _truncated_remainder(a: Scalar, b: Scalar) -> Scalar:
    """Return a - trunc(a / b) * b exactly; NaN where a is infinite, b zero or one of them NaN."""
    dividend, divisor = abs(a), abs(b)
    form = _FORMATS[a.dtype]
    rest, exponent = _split(dividend, form)
    unit, scale = _split(divisor, form)
    shift = exponent - scale
    for _ in range(form.steps):
        step = select(shift > form.mantissa, form.mantissa, select(shift < 0, 0, shift))
        shift = shift - step
        rest = _reduce(rest * _power_of_two(step, form, a.dtype), unit)
    half = scale >> 1
    rest = rest * _power_of_two(half, form, a.dtype) * _power_of_two(scale - half, form, a.dtype)
    rest = select(dividend < divisor, dividend, rest)
    defined = (dividend < math.inf) & (divisor > 0)
    return select(defined, copysign(rest, a), math.nan)


def _reduce(rest: Scalar, unit: Scalar) -> Scalar:
    """Return rest modulo unit, both positive with a quotient that the mantissa holds.

    The rounded quotient is the whole one or one more, never less, and the difference is a multiple
    of the last place of `unit` and not above it, so the fma is exact.
    """
    rest = fma(-trunc(rest / unit), unit, rest)
    return select(rest < 0, rest + unit, rest)


def _split(x: Scalar, form: _Format) -> tuple[Scalar, Scalar]:
    """Return (m, e) with x = m * 2**e and m in [1, 2), for positive finite x."""
    is_subnormal = x < 2.0 ** (1 - form.bias)
    bits = select(is_subnormal, x * 2.0**form.mantissa, x).bitcast(form.word)
    offset = select(is_subnormal, bits.literal(form.bias + form.mantissa), form.bias)
    one = form.bias << form.mantissa
    mantissa = (bits & ((1 << form.mantissa) - 1)) | one
    return mantissa.bitcast(x.dtype), (bits >> form.mantissa) - offset


def _power_of_two(exponent: Scalar, form: _Format, dtype: DType) -> Scalar:
    return ((exponent + form.bias) << form.mantissa).bitcast(dtype)
