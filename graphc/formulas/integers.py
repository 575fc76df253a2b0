"""Arithmetic of integers where the machine's own would trap or is undefined.

Division by zero gives 0 with remainder 0; INT_MIN // -1 wraps to INT_MIN with remainder 0. A count
of a shift that is negative or not below the width moves every bit out. Everything else wraps.
"""

from __future__ import annotations

from graphc.scalar import Scalar, primitive, select


def negative(x: Scalar) -> Scalar:
    """Return -x; an unsigned number wraps."""
    return -x if x.dtype.is_signed else 0 - x


def absolute(x: Scalar) -> Scalar:
    """Return |x|; INT_MIN stays."""
    return abs(x) if x.dtype.is_signed else x


def floor_divide(a: Scalar, b: Scalar) -> Scalar:
    """Return a / b rounded down."""
    divisor = _harmless(b)
    quotient = primitive("quotient", a, divisor)
    if a.dtype.is_signed:
        rest = primitive("modulus", a, divisor)
        quotient = select(_has_other_sign(rest, divisor), quotient - 1, quotient)
        quotient = select(b == -1, -a, quotient)
    return select(b == 0, 0, quotient)


def remainder(a: Scalar, b: Scalar) -> Scalar:
    """Return a - floor_divide(a, b) * b, which has the sign of b; 0 where b is 0."""
    divisor = _harmless(b)
    rest = primitive("modulus", a, divisor)
    if a.dtype.is_signed:
        rest = select(_has_other_sign(rest, divisor), rest + divisor, rest)
    return rest


def _harmless(b: Scalar) -> Scalar:
    """Return b, but 1 where division by it would trap."""
    traps = (b == 0) | (b == -1) if b.dtype.is_signed else b == 0
    return select(traps, 1, b)


def _has_other_sign(rest: Scalar, divisor: Scalar) -> Scalar:
    return (rest != 0) & ((rest ^ divisor) < 0)


def power(base: Scalar, exponent: Scalar) -> Scalar:
    """Return base ** exponent modulo 2**bits, by squaring: one step for each bit of the exponent.

    A negative exponent gives the exact power rounded towards zero: 1 for 1, 1 or -1 for -1, else 0
    (also for 0).
    """
    result, square = base.literal(1), base
    for k in range(exponent.dtype.bits - exponent.dtype.is_signed):
        square = square * square if k else square
        is_set = (exponent & (1 << k)) != 0
        result = select(is_set, result * square, result)
    if not exponent.dtype.is_signed:
        return result
    is_odd = (exponent & 1) != 0
    inverse = select(base == 1, 1, select(base == -1, select(is_odd, base, 1), base.literal(0)))
    return select(exponent < 0, inverse, result)


def left_shift(x: Scalar, count: Scalar) -> Scalar:
    """Return x * 2**count, wrapping."""
    inside = _is_inside_width(count)
    return select(inside, x << select(inside, count, 0), 0)


def right_shift(x: Scalar, count: Scalar) -> Scalar:
    """Return x / 2**count rounded down."""
    inside = _is_inside_width(count)
    if x.dtype.is_signed:
        return x >> select(inside, count, x.dtype.bits - 1)
    return select(inside, x >> select(inside, count, 0), 0)


def _is_inside_width(count: Scalar) -> Scalar:
    below = count < count.dtype.bits
    return (count >= 0) & below if count.dtype.is_signed else below
