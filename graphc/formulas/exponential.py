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
from graphc.formulas.piecewise import locate, piecewise
from graphc.scalar import Scalar, fma, polynomial, rarely, scale, select


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


# 1 / (1 + e**-x) in the distance of x from n times the width; n is -8 ... 7 and stands at n modulo
# 16. The width is one for which all values in the middles are near float32 numbers.
_SIGMOID_WIDTH = float.fromhex("0x1.f47606p-1")
_SIGMOID_FAR = 7.33  # the end of the last interval
_SIGMOID = (
    (
        0.5, 0.7266045, 0.87598276, 0.9494245, 0.9803504, 0.9925148, 0.9971704, 0.99893343,
        0.00040157943, 0.0010665696, 0.0028296243, 0.007485196, 0.019649625, 0.050575495,
        0.12401723, 0.27339548,
    ),
    (
        0.24999973, 0.19865054, 0.10863696, 0.048017595, 0.019263512, 0.0074291676, 0.0028216178,
        0.0010654321, 0.00040141822, 0.0010654322, 0.002821618, 0.0074291676, 0.019263513,
        0.04801759, 0.108636975, 0.19865051,
    ),
    (
        2.8080342e-07, -0.045015108, -0.0408453, -0.021580292, -0.0092532355, -0.0036578598,
        -0.0014037957, -0.0005318831, 0.00020054755, 0.00053157925, 0.0014028236, 0.003658969,
        0.009253242, 0.021580327, 0.040845662, 0.045014836,
    ),
    (
        -0.02082367, -0.006358663, 0.0063038613, 0.005697998, 0.00283968, 0.0011829993,
        0.00046229566, 0.00017643122, 6.673875e-05, 0.0001764289, 0.0004622915, 0.0011829998,
        0.002839649, 0.005698029, 0.0063034724, -0.006358225,
    ),
    (
        -3.694794e-06, 0.005190625, 0.0010313079, -0.00076225004, -0.00059289957, -0.00029015035,
        -0.000102129554, -4.0353978e-05, 1.6634864e-05, 4.3737182e-05, 0.00011295662,
        0.00027780095, 0.00059281953, 0.0007617405, -0.0010343484, -0.0051869727,
    ),
    (
        0.0019992122, -0.00032741152, -0.0007583644, -7.223681e-05, 7.348965e-05, 4.858482e-05,
        2.1679205e-05, 8.660664e-06, 3.3346435e-06, 8.669006e-06, 2.1693544e-05, 4.8582275e-05,
        7.3597985e-05, -7.229688e-05, -0.0007568419, -0.0003287911,
    ),
    (
        1.0937705e-05, -0.00040471082, 0.0001446736, 6.391821e-05, 9.492093e-07, 2.8808648e-05,
        -3.3403994e-05, -1.080239e-05, 5.378562e-07, 1.371953e-06, 3.2167495e-06, 5.61636e-06,
        -7.298462e-07, -6.233837e-05, -0.00013781963, 0.00039377314,
    ),
)  # fmt: skip


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


def scaled_exp(x: Scalar, error: Scalar, factor: Scalar) -> Scalar:
    """Return factor * e**(x + error), where 3/8 <= factor <= 2.7, x in range, `error` near 0."""
    u, n = _reduced_expm1(x, error)
    return scale(fma(factor, u, factor), n)


def _reduced_expm1(x: Scalar, error: Scalar | None) -> tuple[Scalar, Scalar]:
    """Return u in [-0.3, 0.42] and an integer n such that e**(x + error) is 2**n (1 + u)."""
    constants = _CONSTANTS[x.dtype]
    n, _ = round_to_integer(x, constants.reciprocal, 0)
    r = fma(n, -constants.low, fma(n, -constants.high, x))
    r = r if error is None else r + error
    return fma(r * r, polynomial(r, constants.tail), r), n


def sigmoid(x: Scalar) -> Scalar:
    """Return 1 / (1 + e**-x), right in both tails.

    float32: at most 1.32 ULP over all 2**32 inputs, by a polynomial of the sixth degree in each of
    16 intervals; beyond, rarely met, by `exp`. float64: at most 1.010 ULP found.
    """
    if x.dtype is not dtypes.float32:
        return _sigmoid_by_division(x)
    interval, distance = locate(x, _SIGMOID_WIDTH)
    near = piecewise(interval, distance, _SIGMOID)
    return rarely(~(abs(x) < _SIGMOID_FAR), _sigmoid_far_out, near, x)


def _sigmoid_far_out(x: Scalar) -> Scalar:
    """Return e**-|x| (1 - e**-|x| + e**(-2|x|)), or 1 less that: the next term is 2**-32."""
    magnitude = clamp(abs(x), _SIGMOID_FAR, -_CONSTANTS[x.dtype].lowest)
    u, n = _reduced_expm1(-magnitude, None)
    small = scale(u + 1.0, n)
    factor = fma(small, small - 1.0, 1.0)
    w = scale(fma(factor, u, factor), n)
    return select(x < 0.0, w, 1.0 - w)


def _sigmoid_by_division(x: Scalar) -> Scalar:
    """Return the sigmoid of any float type.

    With e**|x| = S (1 + u) / T, both S and T powers of two, w = 1 / (1 + e**|x|) is
    T / (S + T + S u); the denominator and its reciprocal are each corrected by their rounding
    error. The result is w for a negative x and 1 - w for another.
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
