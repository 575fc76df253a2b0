"""Polynomials whose coefficients depend on the interval in which the variable lies.

An interval is one of sixteen of equal width, and so its coefficients are entries of tables of
sixteen words, which fill one register of the widest vectors and are read by one instruction
(`lookup`). In a narrow interval few terms do: the formula has no division, no exponential and no
other reduction than the distance from the middle of the interval.

Always: the distance is rounded once; NaN gives NaN; no step traps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from graphc import dtypes
from graphc.scalar import Scalar, fma, lookup

_SHIFTER = 1.5 * 2.0**23
# For each power of the distance, lowest first, its coefficient in each interval.
Coefficients: TypeAlias = "Sequence[Sequence[float]]"


def locate(x: Scalar, width: float) -> tuple[Scalar, Scalar]:
    """Return a number that is that of the interval of float32 `x` modulo 16, and the distance of x
    from its middle.

    The middles are the multiples of `width`. The shifter makes the addition round to an integer,
    which then stands in its low bits.
    """
    shifted = fma(x, 1.0 / width, _SHIFTER)
    distance = fma(shifted - _SHIFTER, -width, x)
    return shifted.bitcast(dtypes.uint32), distance


def piecewise(interval: Scalar, distance: Scalar, coefficients: Coefficients) -> Scalar:
    """Return the polynomial of the interval at the distance, by Horner's rule."""
    result = lookup(interval, coefficients[-1], distance.dtype)
    for entries in reversed(coefficients[:-1]):
        result = fma(result, distance, lookup(interval, entries, distance.dtype))
    return result
