"""Order of elements: maximum, minimum, what argmax and argmin call better, and kinds of floats.

NaN propagates through maximum and minimum, and is the best element of argmax and argmin, as in
NumPy. Of two zeros the maximum is +0.0 unless both are -0.0, the minimum -0.0 unless both are +0.0
(IEEE 754-2019, maximum and minimum).
"""

from __future__ import annotations

import math

from graphc import dtypes
from graphc.scalar import Scalar, is_nan, select

_UNSIGNED = {32: dtypes.uint32, 64: dtypes.uint64}
_SIGNED = {16: dtypes.int16, 32: dtypes.int32, 64: dtypes.int64}


def maximum(a: Scalar, b: Scalar) -> Scalar:
    """Return the larger of two numbers.

    `a > b ? a : b` and its mirror image, each one instruction on x86, differ in two cases: where
    the operands are zeros of both signs, or one is NaN, each result is another operand. All bits
    of both together are those of a NaN, whose exponent is all ones already; of a zero's sign both
    must be negative.
    """
    first = select(a > b, a, b)
    if not a.dtype.is_float:
        return first
    first, second = _words(first, select(b > a, b, a))
    all_but_sign = (1 << (first.dtype.bits - 1)) - 1
    return (((first | second) & first.literal(all_but_sign)) | (first & second)).bitcast(a.dtype)


def minimum(a: Scalar, b: Scalar) -> Scalar:
    """Return the smaller of two numbers: as the maximum, but one negative zero is enough."""
    first = select(a < b, a, b)
    if not a.dtype.is_float:
        return first
    first, second = _words(first, select(b < a, b, a))
    return (first | second).bitcast(a.dtype)


def _words(*values: Scalar) -> tuple[Scalar, ...]:
    return tuple(value.bitcast(_UNSIGNED[value.dtype.bits]) for value in values)


def is_greater(candidate: Scalar, best: Scalar) -> Scalar:
    """Return whether argmax prefers `candidate` to the earlier element `best`."""
    if not candidate.dtype.is_float:
        return candidate > best
    return (candidate > best) | (is_nan(candidate) & (best == best))  # noqa: PLR0124  # not NaN


def is_less(candidate: Scalar, best: Scalar) -> Scalar:
    """Return whether argmin prefers `candidate` to the earlier element `best`."""
    if not candidate.dtype.is_float:
        return candidate < best
    return (candidate < best) | (is_nan(candidate) & (best == best))  # noqa: PLR0124  # not NaN


def is_infinite(x: Scalar) -> Scalar:
    """Return whether `x` is an infinity."""
    return abs(x) == math.inf


def is_finite(x: Scalar) -> Scalar:
    """Return whether `x` is neither an infinity nor NaN."""
    return abs(x) < math.inf


def sign_bit(x: Scalar) -> Scalar:
    """Return whether the sign bit of `x` is set."""
    return x.bitcast(_SIGNED[x.dtype.bits]) < 0
