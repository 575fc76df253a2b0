"""Reduction of an angle modulo pi, exact enough for every finite argument.

After M. Payne and R. Hanek, "Radian reduction for trigonometric functions" (1983): of the bits of
1 / pi only a window matters, since the bits above it contribute whole turns and the bits below it
nothing that shows. Here the window is a few floating-point constants, and products with the
argument are exact: 24 bits by 29 bits in float64 for float32 arguments, fused multiply-adds for
float64 arguments.

Always: no branch and no float-to-integer conversion (an integer is read off the low bits of a sum
with 1.5 * 2**52). Infinities and NaN reduce to NaN. Nothing here evaluates a sine.
"""

from __future__ import annotations

import math
from fractions import Fraction

from graphc import dtypes
from graphc.formulas.double_word import DoubleWord, fast_two_sum, two_product, two_sum
from graphc.scalar import Scalar, fma, lookup, rint, select

# the first 1280 bits of 1 / pi after the binary point
_FRACTION_BITS = 1280
_RECIPROCAL_PI = int(
    "517cc1b727220a94fe13abe8fa9a6ee06db14acc9e21c820ff28b1d5ef5de2b0"
    "db92371d2126e9700324977504e8c90e7f0ef58e5894d39f74411afa975da242"
    "74ce38135a2fbf209cc8eb1cc1a99cfa4e422fc5defc941d8ffc4bffef02cc07"
    "f79788c5ad05368fb69b3f6793e584dba7a31fb34f2ff516ba93dd63f5f2f8bd"
    "9e839cfbc529497535fdafd88fc6ae842b0198237e3db5d5f867de104d7a1b0e",
    16,
)
_SHIFTER = 1.5 * 2.0**52  # the float64s near it are the integers


def _bits(first: int, count: int) -> float:
    """Return the part of 1 / pi in `count` bits from bit `first` after the binary point on."""
    window = (_RECIPROCAL_PI >> (_FRACTION_BITS - first - count)) & ((1 << count) - 1)
    return math.ldexp(window, -first - count)


# For float32 arguments: three exact products and a rounded one. Bits 0 to 51 of 1 / pi times an
# argument of at least 2**76, a multiple of 2**53, are whole turns.
_WINDOWS = tuple(
    tuple(_bits(first + skip, count) for skip, count in ((0, 29), (29, 29), (58, 29), (87, 53)))
    for first in (0, 52)
)
_SECOND_WINDOW = 2.0**76


def half_turns(x: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """Return four float64 addends of x / pi modulo 2, for a float64 `x` that is a float32.

    The first two are at most 1 in magnitude, the third 2**22. Every partial sum of the four that
    cancels is exact, so the distance to the nearest multiple of 1/2 keeps its relative accuracy.
    """
    is_large = abs(x) >= _SECOND_WINDOW
    first, second, third, fourth = (
        x * select(is_large, x.literal(large), small)
        for small, large in zip(*_WINDOWS, strict=True)
    )
    return _modulo(first, 2.0), _modulo(second, 2.0), third, fourth


def nearest(x: Scalar) -> tuple[Scalar, Scalar]:
    """Return the integer n nearest to float64 x, as a float64 and in the low bits of a uint64.

    Right for |x| < 2**51; the upper bits of the uint64 are not those of n.
    """
    shifted = x + _SHIFTER
    return shifted - _SHIFTER, shifted.bitcast(dtypes.uint64)


def _modulo(x: Scalar, period: float) -> Scalar:
    """Return x less its nearest multiple of `period`, a power of two; exact."""
    return fma(rint(x * (1.0 / period)), -period, x)


# For float64 arguments: four words of 2 / pi for every sixteen binades. Entry b holds
# 2**(16 b + 1) / pi less what times a multiple of 2**-52 is a multiple of 4.
_BINADES = 16
_ENTRIES = 65


def _words(entry: int) -> list[float]:
    """Return entry `entry` of the table as four float64 words, each the rounded rest."""
    scale = _FRACTION_BITS - 1 - _BINADES * entry
    rest = _RECIPROCAL_PI if entry == 0 else _RECIPROCAL_PI & ((1 << (scale + 54)) - 1)
    words = []
    for _ in range(4):
        words.append(rest / (1 << scale))  # correctly rounded
        rest -= int(Fraction(words[-1]) * (1 << scale))
    return words


_TABLES = tuple(zip(*(_words(entry) for entry in range(_ENTRIES)), strict=True))
_HALF_PI = (math.pi / 2, 6.123233995736766e-17)


def quarter_turns(x: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """Return the quadrant of float64 |x|, in the low bits of a uint64, and |x| modulo pi/2.

    The latter is a double word within pi/4 of 0 (and a rounding error), with a relative error near
    2**-100; for 0 < |x| < 2**-900 it may have underflowed.
    """
    bits = abs(x).bitcast(dtypes.uint64)
    exponent = bits >> 52
    entry = select(exponent < 1023, exponent.literal(1023), exponent) - 1023 >> 4
    scaled = (bits - (entry << 56)).bitcast(dtypes.float64)
    words = [lookup(entry, table, dtypes.float64) for table in _TABLES]
    turns, quadrant = _quarters(scaled, words)
    turns = (select(bits < _INFINITY_BITS, turns[0], x - x), turns[1])
    high, low = two_product(turns[0], _HALF_PI[0])
    low = low + fma(turns[0], _HALF_PI[1], turns[1] * _HALF_PI[0])
    return quadrant, high, low


_INFINITY_BITS = 0x7FF << 52


def _quarters(x: Scalar, words: list[Scalar]) -> tuple[DoubleWord, Scalar]:
    """Return x times the sum of `words`, modulo 1, and the nearest integer modulo 4."""
    first, second = two_product(x, words[0])
    third, fourth = two_product(x, words[1])
    fifth, sixth = two_product(x, words[2])
    first, second, third = (_modulo(p, 4.0) for p in (first, second, third))
    whole, quadrant = nearest(first + second + third)
    total, low = first - whole, fma(x, words[3], sixth)
    for addend in (second, third, fourth, fifth):
        total, rest = two_sum(total, addend)
        low = low + rest
    return fast_two_sum(total, low), quadrant
