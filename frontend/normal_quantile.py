"""The quantile of the normal distribution, the inverse of its distribution function.

Both tails are given, so that neither is found by a subtraction that cancels: the result is as exact
far out as in the middle. One ratio of polynomials is evaluated for each element, with the
coefficients of the part in which it lies. Not part of the language: its derivative is that of the
polynomials, and random numbers need none.

Source: Wichura, Algorithm AS 241: The percentage points of the normal distribution (1988), PPND7
for float32 and PPND16 for float64; relative errors found are at most 5e-7 and 1e-15.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from graphc.dtypes import float64
from graphc.frontend import elementwise
from graphc.frontend.tensor import Tensor

MIDDLE = 0.425  # the greatest distance from 1/2 of the part in the middle
MIDDLE_SQUARED = 0.180625
NEAR, FAR = 1.6, 5.0  # subtracted from sqrt(-log(tail)) in the two outer parts; FAR divides them


class Ratio(NamedTuple):
    """A ratio of two polynomials: coefficients from the constant on."""

    numerator: Sequence[float]
    denominator: Sequence[float]


PPND7 = (
    Ratio(
        (3.3871327179, 50.434271938, 159.29113202, 59.109374720),
        (1.0, 17.895169469, 78.757757664, 67.187563600),
    ),
    Ratio(
        (1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103),
        (1.0, 0.73700164250, 0.12021132975, 0.0),
    ),
    Ratio(
        (6.6579051150, 3.0812263860, 0.42868294337, 0.017337203997),
        (1.0, 0.24197894225, 0.012258202635, 0.0),
    ),
)
PPND16 = (
    Ratio(
        (
            3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3,
            1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
            3.3430575583588128105e4, 2.5090809287301226727e3,
        ),
        (
            1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
            2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
            5.2264952788528545610e3,
        ),
    ),
    Ratio(
        (
            1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550,
            3.64784832476320460504, 1.27045825245236838258, 2.41780725177450611770e-1,
            2.27238449892691845833e-2, 7.74545014278341407640e-4,
        ),
        (
            1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1,
            1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
            1.05075007164441684324e-9,
        ),
    ),
    Ratio(
        (
            6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580,
            2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
            2.71155556874348757815e-5, 2.01033439929228813265e-7,
        ),
        (
            1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
            7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
            2.04426310338993978564e-15,
        ),
    ),
)  # fmt: skip


def normal_quantile(lower: Tensor, upper: Tensor, least: float = 0.0) -> Tensor:
    """Return the x below which a share `lower` lies, and above which `upper`: together 1.

    float32 or float64. Neither share is 0, nor less than `least`: where that says that no x is far
    out, the part that is far out is not computed.

    >>> from graphc.frontend import input
    >>> normal_quantile(input((3,)), input((3,))).type
    TensorType(shape=(3,), dtype=graphc.float32)
    """
    middle, near, far = PPND16 if lower.dtype is float64 else PPND7
    tail, distance = elementwise.minimum(lower, upper), lower - 0.5
    depth = elementwise.sqrt(-elementwise.log(tail))
    parts = [
        (tail >= 0.5 - MIDDLE, MIDDLE_SQUARED - elementwise.square(distance), middle),
        (depth <= FAR, depth - NEAR, near),
    ]
    if not least > math.exp(-(FAR**2)):
        parts.append((depth > FAR, depth - FAR, far))
    place = _first([(holds, at) for holds, at, _ in parts])

    def polynomial(name: Literal["numerator", "denominator"]) -> Tensor:
        table = [(holds, getattr(ratio, name)) for holds, _, ratio in parts]
        total: Tensor | None = None
        for power in reversed(range(len(table[0][1]))):
            numbers = [(holds, lower.dtype.numpy.type(row[power])) for holds, row in table]
            number: Tensor = _first(numbers)
            total = number if total is None else total * place + number
        assert total is not None
        return total

    ratio: Tensor = polynomial("numerator") / polynomial("denominator")
    outside = elementwise.copysign(ratio, distance)
    return elementwise.where(parts[0][0], distance * ratio, outside)


def _first(choices: Sequence[tuple[Tensor, Any]]) -> Any:
    """Return the value of the first choice whose condition holds; that of the last always does."""
    chosen = choices[-1][1]
    for holds, value in reversed(choices[:-1]):
        chosen = elementwise.where(holds, value, chosen)
    return chosen
