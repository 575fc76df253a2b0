"""Inverse trigonometric functions in radians, for float32 and float64.

asin and acos evaluate one odd polynomial, of x itself or of sqrt((1 - |x|) / 2) where |x| > 1/2.
atan and atan2 divide once: the smaller coordinate by the larger, turned back by the nearest of the
angles atan(0), atan(1/2) and atan(1) (for float32, 0 and atan(1)) before the division. In float64
constants, square roots and quotients are double words; float32 computes in float64 without them and
rounds once. The reductions are those of FreeBSD's msun, the polynomials minimax (Remez exchange in
50-digit arithmetic).

Always: the sign of zero is kept, subnormals are exact, NaN gives NaN, and no step traps.
"""

from __future__ import annotations

import math

from graphc import dtypes
from graphc.dtypes import DType
from graphc.formulas.double_word import DoubleWord, fast_two_sum
from graphc.scalar import Scalar, copysign, fma, polynomial, select, sqrt

# (asin(x) / x - 1) / x**2 in x**2, |x| <= 1/2, relative error 2**-59.6 and 2**-27.6
_ASIN = {
    dtypes.float64: (
        0.1666666666666676, 0.0749999999997081, 0.044642857174699076, 0.030381942699431674,
        0.022372215319032274, 0.0173516047120174, 0.013980920228081064, 0.01139802520264597,
        0.010785496884635794, 0.0036859487981217754, 0.021758134967208267, -0.02107141399973851,
        0.032673999733055015,
    ),
    dtypes.float32: (
        0.16666752681331284, 0.07495288672341495, 0.045471607160226246,
        0.024172951627820884, 0.04217822990375076,
    ),
}  # fmt: skip
# (atan(t) / t - 1) / t**2 in t**2: |t| <= 7/16, relative error 2**-62; |t| <= tan(pi/8), 2**-30.5
_ATAN = {
    dtypes.float64: (
        -0.33333333333333315, 0.19999999999993198, -0.14285714284851542, 0.11111111056401589,
        -0.09090907056546836, 0.07692259418684627, -0.066658997294679, 0.0587398266171765,
        -0.0519983264410958, 0.0443183361537491, -0.031888126939651755, 0.013663572577468,
    ),
    dtypes.float32: (
        -0.33333315180358586, 0.19998470968638402, -0.14243522319439808,
        0.10593727540240856, -0.060779920937055615,
    ),
}  # fmt: skip
# slopes to turn back by: from which quotient on, the slope, and its angle as a double word
_TURNS = {
    dtypes.float64: (
        (7 / 16, 0.5, math.atan(0.5), 2.2698777452961687e-17),
        (11 / 16, 1.0, math.pi / 4, 3.061616997868383e-17),
    ),
    dtypes.float32: ((math.sqrt(2.0) - 1.0, 1.0, math.pi / 4, 0.0),),
}
_HALF_PI = (math.pi / 2, 6.123233995736766e-17)
_PI = (math.pi, 1.2246467991473532e-16)


def asin(x: Scalar) -> Scalar:
    """Return the inverse sine in [-pi/2, pi/2]; NaN beyond 1.

    float32: at most 0.583 ULP over all 2**32 inputs. float64: at most 0.63 ULP over samples.
    """
    wide = abs(x).convert(dtypes.float64)
    is_large = wide > 0.5
    root, tail = _inverse_sine(wide, is_large, x.dtype)
    high, low = (select(is_large, wide.literal(part), 0.0) for part in _HALF_PI)
    result = _affine((high, low), select(is_large, wide.literal(-2.0), 1.0), root, tail)
    return copysign(result.convert(x.dtype), x)


def acos(x: Scalar) -> Scalar:
    """Return the inverse cosine in [0, pi]; NaN beyond 1.

    float32: at most 0.582 ULP over all 2**32 inputs. float64: at most 0.61 ULP over samples.
    """
    wide = x.convert(dtypes.float64)
    is_large = abs(wide) > 0.5
    root, tail = _inverse_sine(abs(wide), is_large, x.dtype)
    is_negative = wide < 0.0
    high, low = (
        select(is_large, select(is_negative, wide.literal(pi), 0.0), half_pi)
        for pi, half_pi in zip(_PI, _HALF_PI, strict=True)
    )
    factor = select(is_large, copysign(wide.literal(2.0), wide), -copysign(wide.literal(1.0), wide))
    return _affine((high, low), factor, root, tail).convert(x.dtype)


def atan(x: Scalar) -> Scalar:
    """Return the inverse tangent in [-pi/2, pi/2].

    float32: at most 0.510 ULP over all 2**32 inputs. float64: at most 0.66 ULP over samples.
    """
    wide = abs(x).convert(dtypes.float64)
    height = select(wide > 2.0**60, 2.0**60, wide)
    angle = _angle(height, height.literal(1.0), None, x.dtype)
    return copysign(angle.convert(x.dtype), x)


def atan2(y: Scalar, x: Scalar) -> Scalar:
    """Return the angle of the point (x, y) in [-pi, pi], as C's atan2, signed zeros included.

    Over samples of all octants and binades, float32: at most 0.51 ULP; float64: at most 0.73 ULP.
    Source of the special values: C99, F.9.1.4.
    """
    word = dtypes.int32 if x.dtype is dtypes.float32 else dtypes.int64
    is_left = x.bitcast(word) < 0
    height, width = abs(y), abs(x)
    is_infinite = (height == math.inf) | (width == math.inf)
    height, width = (
        select(is_infinite, select(side == math.inf, side.literal(1.0), 0.0), side)
        for side in (height, width)
    )
    height, width = height.convert(dtypes.float64), width.convert(dtypes.float64)
    angle = copysign(_angle(height, width, is_left, x.dtype).convert(x.dtype), y)
    return select((x == x) & (y == y), angle, x + y)  # noqa: PLR0124  # neither is NaN


def _inverse_sine(x: Scalar, is_large: Scalar, accuracy: DType) -> DoubleWord:
    """Return asin(r) for r = sqrt((1 - x) / 2) where `is_large`, else r = x, as r and a tail."""
    square = select(is_large, fma(x, -0.5, 0.5), x * x)
    root = select(is_large, sqrt(square), x)
    tail = root * square * polynomial(square, _ASIN[accuracy])
    if accuracy is dtypes.float32:
        return root, tail
    rounding = fma(-root, root, square) / (root + root + 2.0**-1000)  # 0 / 0 at x = 1 is 0
    return root, tail + select(is_large, rounding, 0.0)


def _affine(base: DoubleWord, factor: Scalar, high: Scalar, low: Scalar) -> Scalar:
    """Return base + factor * (high + low) for a factor that is a power of two or its negative."""
    leading, error = fast_two_sum(base[0], factor * high)
    return leading + fma(factor, low, base[1] + error)


def _angle(height: Scalar, width: Scalar, is_left: Scalar | None, accuracy: DType) -> Scalar:
    """Return the angle in [0, pi] of (width, height), or (-width, height) where `is_left`.

    Both are finite, not negative, and float64; (0, 0) has the angle of (1, 0).
    """
    is_steep = height > width
    low_side, high_side = select(is_steep, width, height), select(is_steep, height, width)
    if accuracy is dtypes.float64:
        low_side, high_side = _scaled(low_side, high_side)
    high_side = select(high_side == 0.0, 1.0, high_side)
    turn, slope = (low_side.literal(0.0), low_side.literal(0.0)), low_side.literal(0.0)
    for least, next_slope, angle_high, angle_low in _TURNS[accuracy]:
        reached = high_side * least <= low_side
        turn = select(reached, angle_high, turn[0]), select(reached, angle_low, turn[1])
        slope = select(reached, next_slope, slope)
    numerator, denominator = fma(-slope, high_side, low_side), fma(slope, low_side, high_side)
    tangent, tail = _arctangent(numerator, denominator, accuracy)
    base, is_backward = _octant(is_steep, is_left)
    sign = select(is_backward, height.literal(-1.0), 1.0)
    leading, error = fast_two_sum(base[0], sign * turn[0])
    base = leading, fma(sign, turn[1], base[1] + error)
    return _affine(base, sign, tangent, tail)


def _scaled(low_side: Scalar, high_side: Scalar) -> DoubleWord:
    """Return both times a power of two that keeps their combinations from over- and underflow."""
    scale = select(high_side < 2.0**-900, high_side.literal(2.0**120), 1.0)
    scale = select(high_side > 2.0**1000, 2.0**-60, scale)
    return low_side * scale, high_side * scale


def _octant(is_steep: Scalar, is_left: Scalar | None) -> tuple[DoubleWord, Scalar]:
    """Return the angle from which to count, and whether to count down from it."""
    half_pi, pi = ([is_steep.literal(p, dtypes.float64) for p in c] for c in (_HALF_PI, _PI))
    if is_left is None:
        return (select(is_steep, half_pi[0], 0.0), select(is_steep, half_pi[1], 0.0)), is_steep
    flat = select(is_left, pi[0], 0.0), select(is_left, pi[1], 0.0)
    base = select(is_steep, half_pi[0], flat[0]), select(is_steep, half_pi[1], flat[1])
    return base, is_steep ^ is_left


def _arctangent(numerator: Scalar, denominator: Scalar, accuracy: DType) -> DoubleWord:
    """Return atan(numerator / denominator) as the quotient and a tail."""
    if accuracy is dtypes.float32:
        tangent = numerator / denominator
        correction = tangent.literal(0.0)
    else:
        inverse = 1.0 / denominator
        tangent = numerator * inverse
        correction = fma(-tangent, denominator, numerator) * inverse
    square = tangent * tangent
    return tangent, fma(tangent * square, polynomial(square, _ATAN[accuracy]), correction)
