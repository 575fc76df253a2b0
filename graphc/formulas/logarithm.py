"""The logarithm and its kin: log, log2, log10, log1p, logaddexp, for float32 and float64.

All write x = 2**k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)) and k log(2) + log(1 + f) as the sum
of k log(2), of f itself and of g = log(1 + f) - f, which is small against the larger of the two.
For float32 g is f**2 times a minimax polynomial, without a division; for float64 it is that of
FreeBSD's e_log.c, a polynomial in s = f / (2 + f) (both by Remez exchange in 50-digit arithmetic).

Always: NaN and negative values give NaN, zeros give -inf; no step traps; but for logaddexp the
float32 formulas use float32 alone. Subnormal arguments are scaled first and lose nothing. The
errors named are measured as in `graphc.formulas.exponential`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphc import dtypes
from graphc.dtypes import DType
from graphc.formulas.double_word import two_product
from graphc.formulas.exponential import exp
from graphc.scalar import Scalar, copysign, fma, polynomial, select


@dataclass(frozen=True, slots=True)
class _Constants:
    """What the reduction needs in one float type; `word` is the integer type of its bits."""

    word: DType
    mantissa: int
    bias: int
    least: int  # the bits of sqrt(1/2), the least value of 1 + f
    series: tuple[float, ...]


_CONSTANTS = {
    dtypes.float32: _Constants(
        word=dtypes.int32,
        mantissa=23,
        bias=127,
        least=0x3F3504F3,
        series=(  # (log(1 + f) - f) / f**2
            -0.5,
            0.3333331048488617,
            -0.2500002682209015,
            0.20002222061157227,
            -0.16667689383029938,
            0.14217649400234222,
            -0.12407304346561432,
            0.11901169270277023,
            -0.11676372587680817,
            0.06724967062473297,
        ),
    ),
    dtypes.float64: _Constants(
        word=dtypes.int64,
        mantissa=52,
        bias=1023,
        least=0x3FE6A09E667F3BCD,
        series=(  # (log((1 + s) / (1 - s)) - 2 s) / s**3 in powers of s**2
            0.6666666666666735,
            0.3999999999941316,
            0.2857142874275852,
            0.22222198531968085,
            0.18183566622919778,
            0.1531398802714896,
            0.14796611302623638,
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class _Base:
    """A base b: 1 / log(b) = high + low, and 2's logarithm to b as a short value and the rest."""

    high: float
    low: float
    two_short: float
    two_rest: float


_hex = float.fromhex
_BASES = {
    ("e", dtypes.float32): _Base(1.0, 0.0, _hex("0x1.62e4p-1"), _hex("0x1.7f7d1cp-20")),
    ("e", dtypes.float64): _Base(
        1.0, 0.0, _hex("0x1.62e42fefa3800p-1"), _hex("0x1.ef35793c76730p-45")
    ),
    ("2", dtypes.float32): _Base(_hex("0x1.715476p+0"), _hex("0x1.4ae0cp-26"), 1.0, 0.0),
    ("2", dtypes.float64): _Base(
        _hex("0x1.71547652b82fep+0"), _hex("0x1.777d0ffda0d24p-56"), 1.0, 0.0
    ),
    ("10", dtypes.float32): _Base(
        _hex("0x1.bcb7b2p-2"), _hex("-0x1.5b235ep-27"), _hex("0x1.3442p-2"), _hex("-0x1.95ecp-19")
    ),
    ("10", dtypes.float64): _Base(
        _hex("0x1.bcb7b1526e50ep-2"),
        _hex("0x1.95355baaafad3p-57"),
        _hex("0x1.34413509f7800p-2"),
        _hex("0x1.fef311f12b358p-46"),
    ),
}
# The short way of log in float32: log(2), and a series one degree lower.
_LOG2_HIGH, _LOG2_LOW = _hex("0x1.62e430p-1"), _hex("-0x1.05c610p-29")
_SHORT_SERIES = (
    -0.49999988079071045,
    0.33333325386047363,
    -0.25001585483551025,
    0.2000197470188141,
    -0.16609054803848267,
    0.14181776344776154,
    -0.13243184983730316,
    0.12904849648475647,
    -0.07621791213750839,
)


def reduce(x: Scalar, *, subnormals: bool = True) -> tuple[Scalar, Scalar, Scalar]:
    """Return k, as an integer and as a float, and f, for a positive finite x; else anything.

    Without `subnormals` a few instructions are saved, and they too give anything.
    """
    constants = _CONSTANTS[x.dtype]
    mantissa, word = constants.mantissa, constants.word
    scaled = x
    offset = least = x.literal(constants.least, word)
    if subnormals:
        subnormal = x < 2.0 ** (1 - constants.bias)
        scaled = select(subnormal, x * 2.0**mantissa, x)
        offset = select(subnormal, constants.least + (mantissa << mantissa), least)
    bits = scaled.bitcast(word) - offset
    k = bits >> mantissa
    fraction = ((bits & ((1 << mantissa) - 1)) + least).bitcast(x.dtype) - 1.0
    return k, _small_integer(k, x.dtype), fraction


def _small_integer(k: Scalar, dtype: DType) -> Scalar:
    """Convert an integer below 2**51 in magnitude; for int64 by bits, which every CPU can."""
    if dtype is dtypes.float32:
        return k.convert(dtype)
    shifter = 1.5 * 2.0**52
    return (k + 0x4338000000000000).bitcast(dtype) - shifter


def _remainder(f: Scalar) -> tuple[Scalar, Scalar, tuple[Scalar, ...]]:
    """Return a, b and terms, the smallest first, with log(1 + f) - f = a b + the sum of terms."""
    series = _CONSTANTS[f.dtype].series
    if f.dtype is dtypes.float32:
        return f * f, polynomial(f, series), ()
    s = f / (f + 2.0)
    z = s * s
    half_square, error = two_product(f * -0.5, f)
    return s, fma(z, polynomial(z, series), -half_square), (error, half_square)


def _sum(k: Scalar, f: Scalar, base: _Base, correction: Scalar | None = None) -> Scalar:
    """Return (k log(2) + log(1 + f) + correction) / log(base).

    The two largest terms are added without error; the rest is small against their sum.
    """
    a, b, terms = _remainder(f)
    high = f if base.high == 1.0 else f * base.high
    total = fma(k, base.two_short, high)
    low = fma(k, base.two_short, -total) + high
    low = fma(k, base.two_rest, low) if base.two_rest else low
    if base.high != 1.0:
        low = fma(f, base.high, -high) + fma(f, base.low, low)
        a = a * base.high
    for term in (*terms, correction):
        if term is not None:
            low = low + term if base.high == 1.0 else fma(term, base.high, low)
    return total + fma(a, b, low)


def _finish(x: Scalar, result: Scalar) -> Scalar:
    """Put the logarithms of zeros, infinities, negative values and NaN in their place."""
    infinity = math.inf
    outside = select(x == 0.0, x.literal(-infinity), math.nan)
    return select(x > 0.0, select(x < infinity, result, x), outside)


def _logarithm(x: Scalar, name: str) -> Scalar:
    _, k, f = reduce(x)
    return _finish(x, _sum(k, f, _BASES[name, x.dtype]))


def log(x: Scalar) -> Scalar:
    """Return the natural logarithm. Greatest error found: float32 0.876 ULP, float64 0.848."""
    if x.dtype is dtypes.float64:
        return _logarithm(x, "e")
    _, k, f = reduce(x)
    remainder = fma(f * f, polynomial(f, _SHORT_SERIES), k * _LOG2_LOW)
    return _finish(x, fma(k, _LOG2_HIGH, f + remainder))


def log2(x: Scalar) -> Scalar:
    """Return the logarithm to base 2, exact for powers of two.

    Greatest error found: float32 0.993 ULP, float64 0.895.
    """
    return _logarithm(x, "2")


def log10(x: Scalar) -> Scalar:
    """Return the logarithm to base 10. Greatest error found: float32 0.976 ULP, float64 0.879."""
    return _logarithm(x, "10")


def log1p(x: Scalar) -> Scalar:
    """Return log(1 + x) without cancellation; -0.0 stays.

    The rounding error c of 1 + x is carried: log(1 + x + c) = log(1 + x) + c / (1 + x), where
    1 / (1 + f) is near enough to 1 - f + f**2. Greatest error found: float32 0.954 ULP, float64
    0.866.
    """
    constants = _CONSTANTS[x.dtype]
    total = x + 1.0
    lost = select(x < 1.0, x - (total - 1.0), 1.0 - (total - x))
    integer, k, f = reduce(total)
    shrink = ((integer.literal(constants.bias) - integer) << constants.mantissa).bitcast(x.dtype)
    correction = select(x < 2.0**60, lost * shrink, 0.0)
    correction = fma(correction, f * (f - 1.0), correction)
    result = _finish(total, _sum(k, f, _BASES["e", x.dtype], correction))
    return copysign(result, x)


def logaddexp(x: Scalar, y: Scalar) -> Scalar:
    """Return log(e**x + e**y), the larger plus log1p(exp(-|x - y|)).

    float32 is computed in float64 and rounded once. Greatest error found in random pairs with a
    result of magnitude 1/4 or more: float32 0.501 ULP, float64 1.82. Nearer to the curve
    e**x + e**y = 1 the two terms cancel and the error is below 2**-52, in float32 before rounding.
    """
    if x.dtype is dtypes.float32:
        wide = logaddexp(x.convert(dtypes.float64), y.convert(dtypes.float64))
        return wide.convert(dtypes.float32)
    larger = select(x < y, y, x)
    distance = select(x == y, 0.0, abs(x - y))
    return larger + log1p(exp(-distance))
