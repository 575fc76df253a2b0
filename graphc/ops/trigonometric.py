"""Trigonometric and hyperbolic functions and their inverses; angles are in radians.

The derivative of tanh is written with its result, 1 - r*r: its absolute error is that of r.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphc.arithmetic import filled
from graphc.formulas import hyperbolic, inverse_trigonometric
from graphc.formulas import trigonometric as circular
from graphc.node import Node
from graphc.op import Domain, Op
from graphc.ops.declare import FLAT, NOT_ZERO, UNARY, Array, elementwise
from graphc.ops.exponential import hypot, sqrt
from graphc.ops.type_rules import FLOAT
from graphc.scalar import Formula


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


def _atan2_pullback(g: Node, r: Node, y: Node, x: Node) -> tuple[Node, Node]:
    """Divide by the radius twice; its square would overflow."""
    radius = hypot(y, x)
    return g * (x / radius / radius), -g * (y / radius / radius)


def _one_over_hypot(g: Node, r: Node, x: Node) -> Node:
    return g / hypot(x, filled(x.type, 1))


sin = _unary("sin", circular.sin, np.sin, lambda g, r, x: g * cos(x), "the sine")
cos: Op = _unary("cos", circular.cos, np.cos, lambda g, r, x: -g * sin(x), "the cosine")
tan = _unary(
    "tan", circular.tan, np.tan, lambda g, r, x: g * (1 + r * r), "the tangent", Domain(-1.2, 1.2)
)
asin = _unary(
    "asin", inverse_trigonometric.asin, np.arcsin,
    lambda g, r, x: g / sqrt((1 - x) * (1 + x)),
    "the inverse sine, in [-pi/2, pi/2]", Domain(-0.9, 0.9),
)  # fmt: skip
acos = _unary(
    "acos", inverse_trigonometric.acos, np.arccos,
    lambda g, r, x: -g / sqrt((1 - x) * (1 + x)),
    "the inverse cosine, in [0, pi]", Domain(-0.9, 0.9),
)  # fmt: skip
atan = _unary(
    "atan", inverse_trigonometric.atan, np.arctan, lambda g, r, x: g / (1 + x * x),
    "the inverse tangent, in [-pi/2, pi/2]",
)  # fmt: skip
atan2 = elementwise(
    "atan2", ("y", "x"), inverse_trigonometric.atan2, np.arctan2,
    kinds=FLOAT, pullback=_atan2_pullback, domain=NOT_ZERO, in_float64=True,
    summary="the angle of the point (x, y), in [-pi, pi]",
)  # fmt: skip
sinh = _unary("sinh", hyperbolic.sinh, np.sinh, lambda g, r, x: g * cosh(x), "the hyperbolic sine")
cosh: Op = _unary(
    "cosh", hyperbolic.cosh, np.cosh, lambda g, r, x: g * sinh(x), "the hyperbolic cosine"
)
tanh = _unary(
    "tanh", hyperbolic.tanh, np.tanh, lambda g, r, x: g * (1 - r * r), "the hyperbolic tangent"
)
asinh = _unary(
    "asinh", hyperbolic.asinh, np.arcsinh, _one_over_hypot, "the inverse hyperbolic sine"
)
acosh = _unary(
    "acosh", hyperbolic.acosh, np.arccosh, lambda g, r, x: g / sqrt((x - 1) * (x + 1)),
    "the inverse hyperbolic cosine", Domain(1.2, 4.0),
)  # fmt: skip
atanh = _unary(
    "atanh", hyperbolic.atanh, np.arctanh, lambda g, r, x: g / ((1 - x) * (1 + x)),
    "the inverse hyperbolic tangent", Domain(-0.9, 0.9),
)  # fmt: skip
