"""Double-word arithmetic: a number as the unevaluated sum of a float and a much smaller one.

The error-free transformations of Dekker (1971) and Knuth (TAOCP 2, 4.2.2) in terms of scalar code,
for formulas that need a few more bits than their type has. A double word is a pair (high, low) with
high = high + low rounded. Always: no step traps, and overflow gives infinities or NaN. The
transformations are exact only where no intermediate result underflows.
"""

from __future__ import annotations

from typing import TypeAlias

from graphc.scalar import Scalar, fma

DoubleWord: TypeAlias = tuple[Scalar, Scalar]


def two_sum(a: Scalar, b: Scalar | float) -> DoubleWord:
    """Return a + b and its rounding error (Knuth), for any magnitudes."""
    total = a + b
    rest = total - a
    return total, (a - (total - rest)) + (b - rest)


def fast_two_sum(a: Scalar, b: Scalar) -> DoubleWord:
    """Return a + b and its rounding error (Dekker), where |a| >= |b| or a is 0."""
    total = a + b
    return total, b - (total - a)


def two_product(a: Scalar, b: Scalar | float) -> DoubleWord:
    """Return a * b and its rounding error."""
    product = a * b
    return product, fma(a, b, -product)


def quotient(numerator: DoubleWord, denominator: DoubleWord) -> DoubleWord:
    """Return numerator / denominator with a relative error near 2**-(2 p - 4), p the precision.

    One division. The reciprocal of the denominator's high word must neither overflow nor underflow.
    """
    inverse = 1.0 / denominator[0]
    estimate = numerator[0] * inverse
    remainder = fma(-estimate, denominator[0], numerator[0])
    correction = fma(-estimate, denominator[1], remainder + numerator[1]) * inverse
    return fast_two_sum(estimate, correction)
