"""Rounding to whole numbers, and the float next to another. Zeros keep their signs."""

from __future__ import annotations

import numpy as np

from graphc import scalar
from graphc.formulas import rounding
from graphc.op import Domain
from graphc.ops.declare import UNARY, Array, constant_in_steps, elementwise
from graphc.ops.type_rules import FLOAT

_BETWEEN_INTEGERS = Domain(smooth_away_from=(-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0))
_BETWEEN_HALVES = Domain(smooth_away_from=(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5))


def _nextafter(x: Array, y: Array) -> Array:
    """Return y where x equals it: NumPy does so for every float but float16."""
    return np.where(x == y, y, np.nextafter(x, y))


floor = elementwise(
    "floor", UNARY, scalar.floor, np.floor,
    kinds=FLOAT, pullback=constant_in_steps, domain=_BETWEEN_INTEGERS,
    summary="the largest whole number not above x",
)  # fmt: skip
ceil = elementwise(
    "ceil", UNARY, scalar.ceil, np.ceil,
    kinds=FLOAT, pullback=constant_in_steps, domain=_BETWEEN_INTEGERS,
    summary="the smallest whole number not below x",
)  # fmt: skip
trunc = elementwise(
    "trunc", UNARY, scalar.trunc, np.trunc,
    kinds=FLOAT, pullback=constant_in_steps, domain=_BETWEEN_INTEGERS,
    summary="x without its fraction",
)  # fmt: skip
round_ = elementwise(
    "round", UNARY, scalar.rint, np.rint,
    kinds=FLOAT, pullback=constant_in_steps, domain=_BETWEEN_HALVES,
    summary="the nearest whole number, halves to the even one",
)  # fmt: skip
nextafter = elementwise(
    "nextafter", ("x", "y"), rounding.nextafter, _nextafter,
    kinds=FLOAT, native_16_bit=True,
    summary="the float next to x towards y",
)  # fmt: skip
