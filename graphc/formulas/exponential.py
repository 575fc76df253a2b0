"""The exponential and its kin: exp, exp2, expm1, sigmoid, for float32 and float64.

All reduce the argument by Cody and Waite: x = n log(2) + r with |r| <= log(2) / 2, so that
exp(x) = 2**n (1 + u) with u = r + r**2 q(r), q a minimax polynomial (Remez exchange in 50-digit
arithmetic). The integer n is read off the low bits of x / log(2) + shifter, where the shifter, 1.5
times the power of two whose last place is one, makes the addition round to an integer. A result is
scaled by 2**n in one rounding, so that a subnormal one is rounded once more and no more.

Always: float32 formulas use float32 alone; NaN gives NaN; no step traps. The errors named are the
greatest found, in units in the last place (ULP): for float32 over all 2**32 values against float64,
for float64 over 4 million values of all binades, half of them where the function bends, and 10
million in the hardest interval, against 64-bit and 113-bit arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc import dtypes
from graphc.dtypes import DType
from graphc.scalar import Scalar, fma, polynomial, scale, select


@dataclass(frozen=True, slots=True)
class _Constants:
    """What the reduction needs in one float type; `word` is the integer type of its bits."""

    word: DType
    mantissa: int
    bias: int
    reciprocal: float  # 1 / log(2)
    high: float  # log(2) = high + low
    low: float
    highest: float  # exp overflows from here on, and 2**(n - 1) does not
    lowest: float  # exp is below half the least subnormal from here down
    tail: tuple[float, ...]  # q(r) = (exp(r) - 1 - r) / r**2
    fine_tail: tuple[float, ...]  # the same, for expm1
    binary: tuple[float, ...]  # (2**f - 1) / f

    @property
    def shifter(self) -> float:
        return 1.5 * 2.0**self.mantissa


_TAIL64 = (
    0.5,
    0.16666666666666682,
    0.04166666666666609,
    0.008333333333316918,
    0.0013888888889117212,
    0.00019841269896680742,
    2.4801586924708828e-05,
    2.7557234559126833e-06,
    2.755758270946096e-07,
    2.5112144336751788e-08,
    2.0826561691334225e-09,
)

_CONSTANTS = {
    dtypes.float32: _Constants(
        word=dtypes.int32,
        mantissa=23,
        bias=127,
        reciprocal=float.fromhex("0x1.715476p+0"),
        high=float.fromhex("0x1.62e430p-1"),
        low=float.fromhex("-0x1.05c610p-29"),
        highest=89.0,
        lowest=-104.0,
        tail=(
            0.4999999403953552,
            0.1666651964187622,
            0.04166839271783829,
            0.008368778973817825,
            0.0013814456760883331,
        ),
        fine_tail=(
            0.5,
            0.1666666567325592,
            0.04166629537940025,
            0.008333497680723667,
            0.0013944758102297783,
            0.00019790275837294757,
        ),
        binary=(
            0.6931471824645996,
            0.24022650718688965,
            0.055504102259874344,
            0.009618038311600685,
            0.0013333935057744384,
            0.0001546678104205057,
            1.519614306744188e-05,
        ),
    ),
    dtypes.float64: _Constants(
        word=dtypes.int64,
        mantissa=52,
        bias=1023,
        reciprocal=float.fromhex("0x1.71547652b82fep+0"),
        high=float.fromhex("0x1.62e42fefa39efp-1"),
        low=float.fromhex("0x1.abc9e3b39803fp-56"),
        highest=710.0,
        lowest=-746.0,
        tail=_TAIL64,
        fine_tail=_TAIL64,
        binary=(
            0.6931471805599453,
            0.24022650695910072,
            0.05550410866482169,
            0.00961812910762833,
            0.0013333558146392634,
            0.00015403530393641104,
            1.5252733854377945e-05,
            1.321548659469206e-06,
            1.0178051915086985e-07,
            7.0549745259464856e-09,
            4.456574852285166e-10,
            2.5625400655399333e-11,
        ),
    ),
}


def round_to_integer(x: Scalar, factor: float, offset: int) -> tuple[Scalar, Scalar]:
    """Return the integer n nearest to `factor` * x, and a number that ends in n + `offset`."""
    shifter = _CONSTANTS[x.dtype].shifter + offset
    shifted = x + shifter if factor == 1.0 else fma(x, factor, shifter)
    return shifted - shifter, shifted


def clamp(x: Scalar, lowest: float, highest: float) -> Scalar:
    """Return x held inside the bounds; NaN stays. Each select is one `min` or `max` instruction."""
    below = select(x > highest, highest, x)
    return select(below < lowest, lowest, below)


def exp(x: Scalar) -> Scalar:
    """Return e**x. Greatest error found: float32 0.909 ULP (subnormals 0.859), float64 0.860.

    Source: W. J. Cody and W. Waite, "Software Manual for the Elementary Functions" (1980).
    """
    constants = _CONSTANTS[x.dtype]
    x = clamp(x, constants.lowest, constants.highest)
    n, _ = round_to_integer(x, constants.reciprocal, 0)
    r = fma(n, -constants.low, fma(n, -constants.high, x))
    return scale(polynomial(r, (1.0, 1.0, *constants.tail)), n)


def exp2(x: Scalar) -> Scalar:
    """Return 2**x, exact where x is an integer.

    The reduction x - n is exact. Greatest error found: float32 0.868 ULP, float64 0.885.
    """
    return exp2_of_sum(x, None)


def exp2_of_sum(x: Scalar, error: Scalar | None) -> Scalar:
    """Return 2**(x + error), where `error` is at most a last place of x."""
    constants = _CONSTANTS[x.dtype]
    x = clamp(x, -(constants.bias + constants.mantissa + 2.0), constants.bias + 2.0)
    n, _ = round_to_integer(x, 1.0, 0)
    f = x - n if error is None else (x - n) + error
    return scale(polynomial(f, (1.0, *constants.binary)), n)


def expm1(x: Scalar) -> Scalar:
    """Return e**x - 1 without cancellation; -0.0 stays.

    Half the result is 2**(n-1) (1 + r + r**2 q) - 1/2, summed from the largest term with its
    rounding errors carried; where |x| is so small that x**2 does not count, the result is x.
    Greatest error found: float32 0.908 ULP, float64 0.884.
    """
    constants = _CONSTANTS[x.dtype]
    held = clamp(x, -45.0, constants.highest)
    n, shifted = round_to_integer(held, constants.reciprocal, constants.bias - 1)
    exact = fma(n, -constants.high, held)
    r = fma(n, -constants.low, exact)
    r_error = fma(n, -constants.low, exact - r)
    power = (shifted.bitcast(constants.word) << constants.mantissa).bitcast(x.dtype)
    base = power - 0.5
    base_error = (power - base) - 0.5
    high = fma(power, r, base)
    high_error = fma(power, r, base - high) + base_error
    tail = fma(r * r, polynomial(r, constants.fine_tail), fma(r_error, r, r_error))
    result = (high + fma(power, tail, high_error)) * 2.0
    return select(abs(x) < 2.0 ** -(constants.mantissa + 2), x, result)


def sigmoid(x: Scalar) -> Scalar:
    """Return 1 / (1 + e**-x), right in both tails.

    With e**|x| = S (1 + u) / T, both S and T powers of two, w = 1 / (1 + e**|x|) is
    T / (S + T + S u); the denominator and its reciprocal are each corrected by their rounding
    error. The result is w for a negative x and 1 - w for another. Greatest error found: float32
    0.987 ULP (subnormals 0.886), float64 1.010.
    """
    constants = _CONSTANTS[x.dtype]
    mantissa, bias = constants.mantissa, constants.bias
    magnitude = abs(x)
    magnitude = select(magnitude > -constants.lowest, -constants.lowest, magnitude)
    n, shifted = round_to_integer(magnitude, constants.reciprocal, 2 * bias)
    r = fma(n, -constants.low, fma(n, -constants.high, magnitude))
    u = fma(r * r, polynomial(r, constants.tail), r)
    bits = shifted.bitcast(constants.word)
    half = bits >> 1
    first = (half << mantissa).bitcast(x.dtype)
    second = ((half - bits + 2 * bias) << mantissa).bitcast(x.dtype)
    denominator = fma(first, u, first + second)
    denominator_error = fma(first, u, (first - denominator) + second)
    reciprocal = 1.0 / denominator
    error = fma(-denominator_error, reciprocal, fma(-denominator, reciprocal, 1.0))
    w = fma(reciprocal, error, reciprocal) * second
    return select(x < 0.0, w, 1.0 - w)
