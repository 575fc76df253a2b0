"""Roots, powers, exponentials, logarithms, and the functions made of them.

The derivative of sigmoid is written with its result, r (1 - r): its absolute error is that of r.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from graphc import scalar
from graphc.arithmetic import filled, zeros_like
from graphc.formulas import error_function, exponential, integers, logarithm
from graphc.formulas import gelu as gelu_formulas
from graphc.formulas import power as power_formulas
from graphc.node import Node
from graphc.op import Algebra, Domain, Op
from graphc.ops.comparison import equal, greater, isinf, less
from graphc.ops.conversion import where
from graphc.ops.declare import BINARY, FLAT, NOT_ZERO, POSITIVE, UNARY, Array, elementwise
from graphc.ops.logic import logical_and
from graphc.ops.type_rules import FLOAT, NUMERIC
from graphc.scalar import Formula, Scalar

_Pair = tuple[Node, Node]


def _power(x: Scalar, y: Scalar) -> Scalar:
    return integers.power(x, y) if x.dtype.is_integer else power_formulas.power(x, y)


def _power_reference(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return np.power(x, y)
    ordinary = np.power(x, np.maximum(y, 0))
    inverse = np.select([x == 1, (x == -1) & (y % 2 != 0), x == -1], [1, -1, 1], 0)
    return np.where(y < 0, inverse.astype(x.dtype), ordinary)


def _power_pullback(g: Node, r: Node, x: Node, y: Node) -> _Pair:
    """Leave out y x**(y-1) where y is 0 and r log(x) where x is not positive: no NaN is made."""
    y_is_zero, x_is_positive = equal(y, zeros_like(y)), greater(x, zeros_like(x))
    one, zero = filled(x.type, 1), zeros_like(x)
    by_x = y * power(x, where(y_is_zero, one, y - 1))
    by_y = r * log(where(x_is_positive, x, one))
    return where(y_is_zero, zero, g * by_x), where(x_is_positive, g * by_y, zero)


def _hypot_pullback(g: Node, r: Node, x: Node, y: Node) -> _Pair:
    """Take 0 at the origin, where there is no derivative."""
    length = where(equal(r, zeros_like(r)), filled(r.type, 1), r)
    return g * (x / length), g * (y / length)


def _logaddexp_pullback(g: Node, r: Node, x: Node, y: Node) -> _Pair:
    same_infinity = logical_and(isinf(x), equal(x, y))
    difference = where(same_infinity, zeros_like(x), x - y)
    return g * sigmoid(difference), g * sigmoid(-difference)


def _gelu_reference(x: Array) -> Array:
    """Return x erfc(-x / sqrt(2)) / 2, with the rounding error of the quotient put right."""
    held = np.clip(x, -40, 40)
    high = held * -math.sqrt(0.5)
    quotient = np.vectorize(lambda v, w: float(_exact_share(v) - Fraction(w)), otypes=[np.float64])
    low = np.where(np.isnan(x), np.nan, quotient(np.nan_to_num(held), np.nan_to_num(high)))
    complement = np.vectorize(math.erfc, otypes=[np.float64])(high)
    share = complement - low * np.exp(-high * high) * (2 / math.sqrt(math.pi))
    return np.where(x < -40, -0.0, np.where(x < -40, 0.0, x) * (share / 2))


def _exact_share(x: float) -> Fraction:
    """Return -x / sqrt(2), but for an error of 2**-105."""
    return Fraction(x) * -(Fraction(math.isqrt(1 << 209), 1 << 105))


def _gelu_pullback(g: Node, r: Node, x: Node) -> Node:
    """Return g (F(x) + x F'(x)), at -1000 below it: infinity times zero is no number."""
    lowest = filled(x.type, -1000)
    x = where(less(x, lowest), lowest, x)
    share = 0.5 + 0.5 * erf(x * math.sqrt(0.5))
    density = exp(-0.5 * (x * x)) * (1 / math.sqrt(2 * math.pi))
    return g * (share + x * density)


def _sigmoid_reference(x: Array) -> Array:
    return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))


def _unary(
    name: str,
    formula: Formula,
    reference: Callable[..., Array],
    pullback: Callable[[Node, Node, Node], Node],
    summary: str,
    domain: Domain = FLAT,
) -> Op:
    return elementwise(
        name, UNARY, formula, reference,
        kinds=FLOAT, pullback=pullback, domain=domain, in_float64=True, summary=summary,
    )  # fmt: skip


sqrt = elementwise(
    "sqrt", UNARY, scalar.sqrt, np.sqrt,
    kinds=FLOAT, pullback=lambda g, r, x: 0.5 * g / r, domain=POSITIVE,
    summary="the square root",
)  # fmt: skip
exp = _unary("exp", exponential.exp, np.exp, lambda g, r, x: g * r, "e**x")
expm1 = _unary(
    "expm1", exponential.expm1, np.expm1, lambda g, r, x: g * (r + 1), "e**x - 1, exact near 0"
)
log = _unary("log", logarithm.log, np.log, lambda g, r, x: g / x, "the natural logarithm", POSITIVE)
log1p = _unary(
    "log1p", logarithm.log1p, np.log1p, lambda g, r, x: g / (1 + x),
    "log(1 + x), exact near 0", Domain(-0.9, 3.0),
)  # fmt: skip
log2 = _unary(
    "log2", logarithm.log2, np.log2, lambda g, r, x: g * (1 / math.log(2)) / x,
    "the logarithm to base 2", POSITIVE,
)  # fmt: skip
log10 = _unary(
    "log10", logarithm.log10, np.log10, lambda g, r, x: g * (1 / math.log(10)) / x,
    "the logarithm to base 10", POSITIVE,
)  # fmt: skip
sigmoid = _unary(
    "sigmoid", exponential.sigmoid, _sigmoid_reference, lambda g, r, x: g * (r * (1 - r)),
    "1 / (1 + e**-x)",
)  # fmt: skip
erf = _unary(
    "erf", error_function.erf, np.vectorize(math.erf, otypes=[np.float64]),
    lambda g, r, x: g * (2 / math.sqrt(math.pi)) * exp(-(x * x)),
    "the error function",
)  # fmt: skip
gelu = _unary(
    "gelu", gelu_formulas.gelu, _gelu_reference, _gelu_pullback,
    "x times the distribution function of the normal distribution at x",
)  # fmt: skip
power = elementwise(
    "power", BINARY, _power, _power_reference,
    kinds=NUMERIC, pullback=_power_pullback, domain=(Domain(0.2, 3.0), Domain(-2.0, 2.0)),
    in_float64=True, summary="x**y",
)  # fmt: skip
hypot = elementwise(
    "hypot", BINARY, power_formulas.hypot, np.hypot,
    kinds=FLOAT, pullback=_hypot_pullback, domain=NOT_ZERO,
    in_float64=True, summary="sqrt(x*x + y*y) without overflow",
)  # fmt: skip
logaddexp = elementwise(
    "logaddexp", BINARY, logarithm.logaddexp, np.logaddexp,
    kinds=FLOAT, pullback=_logaddexp_pullback, algebra=Algebra(commutative=True),
    in_float64=True, summary="log(e**x + e**y) without overflow",
)  # fmt: skip
