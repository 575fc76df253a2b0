"""The sign of a number and its neighbours among the floats."""

from __future__ import annotations

from graphc import dtypes
from graphc.scalar import Scalar, is_nan, select

_WORDS = {16: dtypes.uint16, 32: dtypes.uint32, 64: dtypes.uint64}


def sign(x: Scalar) -> Scalar:
    """Return 1, 0 or -1; +0.0 for both zeros, NaN for NaN."""
    if not x.dtype.is_signed:
        return select(x != 0, x.literal(1), 0)
    rest = select(x == 0, 0, x)
    return select(x > 0, 1, select(x < 0, -1, rest))


def nextafter(x: Scalar, y: Scalar) -> Scalar:
    """Return the float next to `x` towards `y`; `y` where the two are equal (IEEE 754 nextUp)."""
    word = _WORDS[x.dtype.bits]
    bits = x.bitcast(word)
    a, b = x.convert(x.dtype.compute), y.convert(y.dtype.compute)
    grows = (a < b) == (a > 0)
    stepped = select(grows, bits + 1, bits - 1)
    least = (y.bitcast(word) & (1 << (word.bits - 1))) | 1
    moved = select(a == 0, least, stepped).bitcast(x.dtype)
    ordered = select(a == b, y, moved)
    return select(is_nan(a), x, select(is_nan(b), y, ordered))
