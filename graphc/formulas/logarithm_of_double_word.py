"""log(1 + u) for u >= 0 given as a double word: the kernel of the inverse hyperbolic functions.

1 + u = 2**k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), and log(1 + f) by the series of
atanh(f / (2 + f)) as in FreeBSD's e_log.c, with a minimax polynomial. The relative accuracy is kept
for small u. Negative u, infinities and NaN give unspecified values: the callers select.
"""

from __future__ import annotations

from graphc import dtypes
from graphc.dtypes import DType
from graphc.formulas.double_word import fast_two_sum, two_sum
from graphc.scalar import Scalar, fma, polynomial

# (2 atanh(s) / s - 2) / s**2 in s**2 for |s| <= 3 - sqrt(8), relative error 2**-59.4 and 2**-30.2
_SERIES = {
    dtypes.float64: (
        0.6666666666666735, 0.39999999999409136, 0.2857142874378151, 0.2222219841461009,
        0.18183573267095943, 0.15313806697164178, 0.1479851722828909,
    ),
    dtypes.float32: (0.6666677642081332, 0.3997752797803022, 0.2987228489899261),
}  # fmt: skip
_LOG2_HIGH = float.fromhex("0x1.62e42feep-1")
_LOG2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
_ONE = 0x3FF << 52
_HALF_ROOT = 0x3FE6A09E << 32  # bits of sqrt(1/2)
_INTEGERS = 2.0**52  # the float64s from here on are the integers


def log1p(high: Scalar, low: Scalar | None, accuracy: DType) -> Scalar:
    """Return log(1 + high + low) in float64, good to the precision of `accuracy`.

    `high` is a float64 in [0, 2**1022] or so; `low`, None for 0, is below a unit in its last place.
    """
    total, rest = two_sum(high.literal(1.0), high)
    rest = rest if low is None else rest + low
    biased = (total.bitcast(dtypes.uint64) + (_ONE - _HALF_ROOT)) >> 52
    scale = ((2046 - biased) << 52).bitcast(dtypes.float64)
    integer = (biased | (0x433 << 52)).bitcast(dtypes.float64) - (_INTEGERS + 1023.0)
    f, rest = fast_two_sum(fma(total, scale, -1.0), rest * scale)
    s = f / (f + 2.0)
    half, square = f * f * 0.5, s * s
    bent = s * fma(square, polynomial(square, _SERIES[accuracy]), half)
    leading, error = fast_two_sum(integer * _LOG2_HIGH, f)
    rest = fma(rest, fma(f, f - 1.0, 1.0), integer * _LOG2_LOW) + error
    return leading + (bent + rest - half)
