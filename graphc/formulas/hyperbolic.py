"""Hyperbolic functions and their inverses, for float32 and float64.

tanh of float32 is a float32 formula without a division: a polynomial of the seventh degree in each
of sixteen intervals. Everything else computes in float64, and float32 rounds once.
With |x| = n log(2) + r, sinh and cosh are sums of cosh(r) and sinh(r) with the exact weights
(2**n - 2**-n) / 2 and (2**n + 2**-n) / 2. The inverses are log(1 + u) of a double word u. The
polynomials are minimax (Remez exchange in 50-digit arithmetic).

Always: the sign of zero is kept, subnormals are exact, NaN gives NaN, and no step traps.
"""

from __future__ import annotations

import math

from graphc import dtypes
from graphc.formulas.argument_reduction import nearest
from graphc.formulas.double_word import (
    DoubleWord,
    fast_two_sum,
    quotient,
    two_product,
    two_sum,
)
from graphc.formulas.logarithm_of_double_word import log1p
from graphc.formulas.piecewise import locate, piecewise
from graphc.scalar import Scalar, copysign, fma, lookup, polynomial, select, sqrt

_LOG2_HIGH = float.fromhex("0x1.62e42feep-1")  # 32 bits, so that n * high is exact
_LOG2_LOW = float.fromhex("0x1.a39ef35793c76p-33")

# (sinh(r) / r - 1) / r**2 and (cosh(r) - 1) / r**2 in r**2, |r| <= log(2) / 2, with the relative
# errors of the results: 2**-65 and 2**-67 for float64, 2**-37 and 2**-34 for float32
_SINH = {
    dtypes.float64: (
        0.16666666666666666, 0.008333333333334428, 0.00019841269837066162,
        2.755732627239451e-06, 2.504673507455443e-08, 1.7594031297590375e-10,
    ),
    dtypes.float32: (0.16666666754078407, 0.00833328908131249, 0.0001990488500724395),
}  # fmt: skip
_COSH = {
    dtypes.float64: (
        0.5, 0.041666666666666685, 0.0013888888888873283,
        2.4801587349193216e-05, 2.75572518381681e-07, 2.0921779222776976e-09,
    ),
    dtypes.float32: (0.500000007913701, 0.04166626707437173, 0.0013946230132286903),
}  # fmt: skip
_SMALL = 2.0**-28  # below it every odd function here is its argument in float64
_LARGE = 2.0**60  # above it asinh and acosh are log(2 x) in float64


def sinh(x: Scalar) -> Scalar:
    """Return the hyperbolic sine.

    float32: at most 0.502 ULP over all 2**32 inputs. float64: at most 0.81 ULP over samples.
    """
    if x.dtype is dtypes.float32:
        return copysign(_of_float32(x)[0], x)
    magnitude = abs(x)
    high, low = _double_words(_at_most(magnitude, 710.5))[0]
    return select(magnitude < _SMALL, x, copysign((high + low) * 2.0, x))


def cosh(x: Scalar) -> Scalar:
    """Return the hyperbolic cosine.

    float32: at most 0.501 ULP over all 2**32 inputs. float64: at most 0.77 ULP over samples.
    """
    if x.dtype is dtypes.float32:
        return _of_float32(x)[1]
    high, low = _double_words(_at_most(abs(x), 710.5))[1]
    return (high + low) * 2.0


def tanh(x: Scalar) -> Scalar:
    """Return the hyperbolic tangent.

    float32: at most 0.915 ULP over all 2**32 inputs, in float32 and without a division.
    float64: at most 1.0 ULP over samples.
    """
    if x.dtype is dtypes.float32:
        return _tanh_of_float32(x)
    magnitude = abs(x)
    ratio = quotient(*_double_words(_at_most(magnitude, 22.0)))[0]
    return select(magnitude < _SMALL, x, copysign(ratio, x))


def asinh(x: Scalar) -> Scalar:
    """Return the inverse hyperbolic sine.

    float32: at most 0.514 ULP over all 2**32 inputs. float64: at most 0.96 ULP over samples.
    """
    if x.dtype is dtypes.float32:
        wide = abs(x).convert(dtypes.float64)
        result = log1p(wide + (sqrt(fma(wide, wide, 1.0)) - 1.0), None, dtypes.float32)
        result = copysign(result.convert(dtypes.float32), x)
        return select((abs(x) >= 2.0**-20) & (abs(x) < math.inf), result, x)
    magnitude = abs(x)
    root, correction = _square_root(magnitude, 1.0)
    high, low = two_sum(magnitude, root - 1.0)
    result = copysign(_log1p_or_log2x(magnitude, high, low + correction), x)
    return select((magnitude >= _SMALL) & (magnitude < math.inf), result, x)


def acosh(x: Scalar) -> Scalar:
    """Return the inverse hyperbolic cosine; NaN below 1.

    float32: at most 0.513 ULP over all 2**32 inputs. float64: at most 0.96 ULP over samples.
    """
    if x.dtype is dtypes.float32:
        wide = x.convert(dtypes.float64)
        beyond = wide - 1.0
        result = log1p(beyond + sqrt(beyond * (wide + 1.0)), None, dtypes.float32)
        result = result.convert(dtypes.float32)
    else:
        root, correction = _square_root(x, -1.0)
        high, low = two_sum(root, x - 1.0)
        result = select(x == 1.0, 0.0, _log1p_or_log2x(x, high, low + correction))
    return select(x < 1.0, math.nan, select(x < math.inf, result, x))


def atanh(x: Scalar) -> Scalar:
    """Return the inverse hyperbolic tangent; infinite at 1 and -1, NaN beyond.

    float32: at most 0.514 ULP over all 2**32 inputs. float64: at most 0.81 ULP over samples.
    """
    magnitude = abs(x)
    wide = magnitude.convert(dtypes.float64)
    if x.dtype is dtypes.float32:
        odds = log1p((wide + wide) / (1.0 - wide), None, dtypes.float32)
    else:
        ratio = quotient((wide + wide, wide.literal(0.0)), two_sum(wide.literal(1.0), -wide))
        odds = log1p(*ratio, dtypes.float64)
    result = copysign((odds * 0.5).convert(x.dtype), x)
    result = select(magnitude < 1.0, result, copysign(x.literal(math.inf), x))
    result = select(magnitude > 1.0, math.nan, result)
    return select(magnitude >= _SMALL, result, x)


# tanh of float32 in the distance of |x| from n times the width, less the distance itself where n is
# 0. The width is one for which all fifteen values in the middles are near float32 numbers.
_WIDTH = float.fromhex("0x1.2e2244p-1")
_ONE = 9.1  # tanh rounds to 1 from here on
_TANH = (
    (
        0.0, 0.52997124, 0.8275179, 0.943644, 0.98234195, 0.9945418, 0.99832, 0.9994836,
        0.99984133, 0.99995124, 0.99998504, 0.9999954, 0.99999857, 0.9999996, 0.9999999,
        0.99999994,
    ),
    (
        5.2552407e-10, 0.71913046, 0.31521407, 0.10953601, 0.03500433, 0.010886596, 0.0033571983,
        0.0010325802, 0.00031733673, 9.750103e-05, 2.9954706e-05, 9.202604e-06, 2.8271786e-06,
        8.6855005e-07, 2.668309e-07, 1.1e-07,
    ),
    (
        -1.6928428e-07, -0.3811176, -0.2608453, -0.1033611, -0.03438897, -0.010830714,
        -0.0033503135, -0.0010338398, -0.0003200168, -9.6498174e-05, -3.3360604e-05,
        -1.1600346e-05, 6.244658e-07, -4.344968e-06, -3.1646634e-06, 7.8e-08,
    ),
    (
        -0.33332446, -0.037727296, 0.11078405, 0.06102611, 0.022110876, 0.0071391515,
        0.0022268689, 0.0006873202, 0.00021145583, 6.4991415e-05, 1.9968771e-05, 6.13495e-06,
        1.8847901e-06, 5.7902946e-07, 1.7788628e-07, 0.0,
    ),
    (
        -0.00017297408, 0.14701398, -0.004714661, -0.023194537, -0.010174927, -0.0033829948,
        -0.0011439101, -0.00028817047, -2.2252367e-05, -6.2975785e-05, 9.4066745e-05,
        7.017534e-05, -0.00010637601, 0.00010590104, 8.842814e-05, 0.0,
    ),
    (
        0.1349082, -0.049335975, -0.026053987, 0.0039150324, 0.003487139, 0.0013359551,
        0.00043619308, 0.00013663684, 4.224429e-05, 1.298456e-05, 3.996731e-06, 1.2278044e-06,
        3.7658424e-07, 1.1589774e-07, 3.5603275e-08, 0.0,
    ),
    (
        -0.007011583, -0.031299006, 0.016984198, 0.0022764055, -0.0013965266, -0.0012326066,
        0.00014807042, -0.00046446352, -0.00065209693, 0.00022881864, -0.0007971782,
        -0.000560614, 0.00080628914, -0.0008122441, -0.0006770405, 0.0,
    ),
    (
        -0.040817954, 0.029367093, -0.0033158255, -0.001777838, -1.5942343e-05, 8.0535705e-05,
        3.9745497e-05, 1.2510178e-05, 3.7714144e-06, 1.2835424e-06, 3.553296e-07, 1.1125791e-07,
        3.883235e-08, 1.039332e-08, 3.2137166e-09, 0.0,
    ),
)  # fmt: skip


def _tanh_of_float32(x: Scalar) -> Scalar:
    """Return base + distance * polynomial, where the base is |x| itself in the first interval."""
    magnitude = _at_most(abs(x), _ONE)
    interval, distance = locate(magnitude, _WIDTH)
    middle = lookup(interval, _TANH[0], x.dtype)
    base = select(magnitude < 0.5 * _WIDTH, magnitude, middle)
    return copysign(fma(piecewise(interval, distance, _TANH[1:]), distance, base), x)


def _at_most(x: Scalar, limit: float) -> Scalar:
    """Return min(x, limit), and NaN for NaN."""
    return select(x > limit, limit, x)


def _of_float32(x: Scalar) -> DoubleWord:
    """Return sinh(|x|) and cosh(x) of float32 `x`."""
    magnitude = _at_most(abs(x), 200.0).convert(dtypes.float64)
    whole, word = nearest(magnitude * (1.0 / math.log(2.0)))
    reduced = fma(whole, -math.log(2.0), magnitude)
    large, small = _power(word + 1022), _power(1022 - word)
    square = reduced * reduced
    odd = fma(square * reduced, polynomial(square, _SINH[x.dtype]), reduced)
    even = fma(square, polynomial(square, _COSH[x.dtype]), 1.0)
    difference, total = large - small, large + small
    sine, cosine = fma(difference, even, total * odd), fma(total, even, difference * odd)
    return sine.convert(x.dtype), cosine.convert(x.dtype)


def _power(biased: Scalar) -> Scalar:
    """Return two to the power whose biased exponent is in the low eleven bits of `biased`."""
    return (biased << 52).bitcast(dtypes.float64)


def _double_words(x: Scalar) -> tuple[DoubleWord, DoubleWord]:
    """Return halves of sinh(x) and cosh(x) of float64 `x` in [0, 710.5] as double words."""
    whole, word = nearest(x * (1.0 / math.log(2.0)))
    rough, correction = fma(whole, -_LOG2_HIGH, x), whole * _LOG2_LOW
    high = rough - correction
    low = (rough - high) - correction
    large = _power(word + 1021)
    small = select(whole < 64.0, _power(1021 - word), 0.0)
    square = high * high
    odd = fma(square * high, polynomial(square, _SINH[x.dtype]), low)
    even = fma(high, low, square * polynomial(square, _COSH[x.dtype]))
    difference, total = fast_two_sum(large, -small), fast_two_sum(large, small)
    sine = _combine(difference, total, high, odd, even)
    return sine, _combine(total, difference, high, odd, even)


def _combine(
    even_weight: DoubleWord, odd_weight: DoubleWord, high: Scalar, odd: Scalar, even: Scalar
) -> DoubleWord:
    """Return even_weight * (1 + even) + odd_weight * (high + odd)."""
    product, error = two_product(odd_weight[0], high)
    leading, rest = fast_two_sum(even_weight[0], product)
    tail = fma(even_weight[0], even, fma(odd_weight[0], odd, error))
    return fast_two_sum(leading, rest + (tail + even_weight[1]))


def _square_root(x: Scalar, addend: float) -> DoubleWord:
    """Return the square root of x * x + addend as a double word; it may be NaN where that is 0."""
    product, error = two_product(x, x)
    square, rest = two_sum(product, addend)
    root = sqrt(square)
    return root, (fma(-root, root, square) + (rest + error)) * (0.5 / root)


def _log1p_or_log2x(x: Scalar, high: Scalar, low: Scalar) -> Scalar:
    """Return log(1 + high + low), or log(2 x) where x is so large that x**2 may overflow."""
    is_large = x > _LARGE
    result = log1p(select(is_large, x * 0.25, high), select(is_large, 0.0, low), dtypes.float64)
    return select(is_large, result + 3.0 * math.log(2.0), result)
