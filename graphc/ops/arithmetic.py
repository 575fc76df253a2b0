"""Arithmetic: sums, products, quotients, powers of two operands, signs, and the larger and the
smaller.

Integers wrap. Division of integers by zero gives 0, with remainder 0; INT_MIN // -1 is INT_MIN. NaN
propagates through maximum and minimum, and +0.0 is larger than -0.0. At a tie each of the two
operands of maximum and minimum gets half of the cotangent.
"""

from __future__ import annotations

import operator

import numpy as np

from graphc import scalar
from graphc.arithmetic import zeros_like
from graphc.formulas import comparison, division, integers, rounding
from graphc.node import Node
from graphc.op import Algebra, Domain
from graphc.ops.comparison import equal, greater, less, signbit
from graphc.ops.conversion import where
from graphc.ops.declare import (
    BINARY,
    FLAT,
    NOT_ZERO,
    UNARY,
    Array,
    constant_in_steps,
    elementwise,
)  # fmt: skip
from graphc.ops.type_rules import FLOAT
from graphc.scalar import Scalar

_Pair = tuple[Node | None, Node | None]


def _floor_divide(x: Scalar, y: Scalar) -> Scalar:
    if x.dtype.is_integer:
        return integers.floor_divide(x, y)
    return division.floor_divide(x, y)


def _remainder(x: Scalar, y: Scalar) -> Scalar:
    if x.dtype.is_integer:
        return integers.remainder(x, y)
    return division.remainder(x, y)


def _maximum(x: Array, y: Array) -> Array:
    return np.where((x == 0) & (y == 0), x + y, np.maximum(x, y))


def _minimum(x: Array, y: Array) -> Array:
    return np.where((x == 0) & (y == 0), -(-x + -y), np.minimum(x, y))


def _shared(g: Node, x: Node, y: Node, wins: Node) -> Node:
    return where(wins, g, where(equal(x, y), 0.5 * g, zeros_like(g)))


def _maximum_pullback(g: Node, r: Node, x: Node, y: Node) -> _Pair:
    return _shared(g, x, y, greater(x, y)), _shared(g, x, y, greater(y, x))


def _minimum_pullback(g: Node, r: Node, x: Node, y: Node) -> _Pair:
    return _shared(g, x, y, less(x, y)), _shared(g, x, y, less(y, x))


def _divide_pullback(g: Node, r: Node, x: Node, y: Node) -> _Pair:
    return g / y, -(g / y) * r


def _remainder_pullback(g: Node, r: Node, x: Node, y: Node) -> _Pair:
    return g, -g * floor_divide(x, y)


def _copysign_pullback(g: Node, r: Node, x: Node, y: Node) -> _Pair:
    return where(equal(signbit(x), signbit(y)), g, -g), None


def _absolute_pullback(g: Node, r: Node, x: Node) -> Node:
    return g * sign(x)


def _square_pullback(g: Node, r: Node, x: Node) -> Node:
    return g * (2 * x)


add = elementwise(
    "add", BINARY, operator.add, np.add,
    pullback=lambda g, r, x, y: (g, g),
    algebra=Algebra(commutative=True, identity=-0.0),
    summary="x + y",
)  # fmt: skip
subtract = elementwise(
    "subtract", BINARY, operator.sub, np.subtract,
    pullback=lambda g, r, x, y: (g, -g),
    algebra=Algebra(identity=0.0),
    summary="x - y",
)  # fmt: skip
multiply = elementwise(
    "multiply", BINARY, operator.mul, np.multiply,
    pullback=lambda g, r, x, y: (g * y, g * x),
    algebra=Algebra(commutative=True, identity=1.0),
    summary="x * y",
)  # fmt: skip
divide = elementwise(
    "divide", BINARY, operator.truediv, np.divide,
    kinds=FLOAT, pullback=_divide_pullback,
    algebra=Algebra(identity=1.0), domain=(FLAT, Domain(0.5, 3.0)),
    summary="x / y",
)  # fmt: skip
floor_divide = elementwise(
    "floor_divide", BINARY, _floor_divide, np.floor_divide,
    pullback=constant_in_steps, domain=(Domain(1.2, 1.8), Domain(0.95, 1.1)),
    summary="x / y rounded down",
)  # fmt: skip
remainder = elementwise(
    "remainder", BINARY, _remainder, np.remainder,
    pullback=_remainder_pullback, domain=(Domain(1.2, 1.8), Domain(0.95, 1.1)),
    summary="x - floor(x / y) * y, with the sign of y",
)  # fmt: skip
maximum = elementwise(
    "maximum", BINARY, comparison.maximum, _maximum,
    pullback=_maximum_pullback,
    algebra=Algebra(commutative=True, idempotent=True, order_free=True),
    summary="the larger of x and y",
)  # fmt: skip
minimum = elementwise(
    "minimum", BINARY, comparison.minimum, _minimum,
    pullback=_minimum_pullback,
    algebra=Algebra(commutative=True, idempotent=True, order_free=True),
    summary="the smaller of x and y",
)  # fmt: skip
copysign = elementwise(
    "copysign", BINARY, scalar.copysign, np.copysign,
    kinds=FLOAT, pullback=_copysign_pullback, domain=NOT_ZERO,
    summary="|x| with the sign of y",
)  # fmt: skip
negative = elementwise(
    "negative", UNARY, integers.negative, np.negative,
    pullback=lambda g, r, x: -g, algebra=Algebra(involution=True),
    summary="-x",
)  # fmt: skip
abs_ = elementwise(
    "abs", UNARY, integers.absolute, np.abs,
    pullback=_absolute_pullback, domain=NOT_ZERO,
    summary="|x|",
)  # fmt: skip
sign = elementwise(
    "sign", UNARY, rounding.sign, np.sign,
    pullback=constant_in_steps, domain=NOT_ZERO,
    summary="-1, 0 or 1; NaN for NaN",
)  # fmt: skip
square = elementwise(
    "square", UNARY, lambda x: x * x, np.square,
    pullback=_square_pullback,
    summary="x * x",
)  # fmt: skip
reciprocal = elementwise(
    "reciprocal", UNARY, lambda x: 1 / x, np.reciprocal,
    kinds=FLOAT, pullback=lambda g, r, x: -g * (r * r), domain=Domain(0.5, 3.0),
    summary="1 / x",
)  # fmt: skip
