"""Error-free transformations: a rounded result and its rounding error, which is a float too.

They hold wherever nothing overflows or underflows. Source: T. J. Dekker, "A floating-point
technique for extending the available precision" (1971); Muller et al., "Handbook of Floating-Point
Arithmetic", chapter 4.
"""

from __future__ import annotations

from graphc.scalar import Scalar, fma


def fast_two_sum(a: Scalar, b: Scalar) -> tuple[Scalar, Scalar]:
    """Return s = a + b rounded and a + b - s exactly, for |a| >= |b| or a = 0."""
    total = a + b
    return total, (a - total) + b


def two_product(a: Scalar, b: Scalar) -> tuple[Scalar, Scalar]:
    """Return p = a * b rounded and a * b - p exactly."""
    product = a * b
    return product, fma(a, b, -product)
