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
from graphc.ops import pairs
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
from graphc.ops.pairs import conjugate
from graphc.ops.type_rules import FIELD, FLOAT, NUMBER
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


def _multiply(x: Array, y: Array) -> Array:
    """Multiply as NumPy does, but for complex numbers, which it multiplies with fused additions."""
    if not np.iscomplexobj(x):
        return np.asarray(np.multiply(x, y))
    product = np.empty(np.broadcast_shapes(x.shape, y.shape), x.dtype)
    product.real = x.real * y.real - x.imag * y.imag
    product.imag = x.real * y.imag + x.imag * y.real
    return product


def _shared(g: Node, x: Node, y: Node, wins: Node) -> Node:
    return where(wins, g, where(equal(x, y), 0.5 * g, zeros_like(g)))


def _maximum_pullback(g: Node, r: Node, x: Node, y: Node) -> _Pair:
    return _shared(g, x, y, greater(x, y)), _shared(g, x, y, greater(y, x))


def _minimum_pullback(g: Node, r: Node, x: Node, y: Node) -> _Pair:
    return _shared(g, x, y, less(x, y)), _shared(g, x, y, less(y, x))


def _multiply_pullback(g: Node, r: Node, x: Node, y: Node) -> _Pair:
    return g * conjugate(y), g * conjugate(x)


def _divide_pullback(g: Node, r: Node, x: Node, y: Node) -> _Pair:
    by_x = g / conjugate(y)
    return by_x, -by_x * conjugate(r)


def _remainder_pullback(g: Node, r: Node, x: Node, y: Node) -> _Pair:
    return g, -g * floor_divide(x, y)


def _copysign_pullback(g: Node, r: Node, x: Node, y: Node) -> _Pair:
    return where(equal(signbit(x), signbit(y)), g, -g), None


def _absolute_pullback(g: Node, r: Node, x: Node) -> Node:
    return g * sign(x)


def _square_pullback(g: Node, r: Node, x: Node) -> Node:
    return g * (2 * conjugate(x))


add = elementwise(
    "add", BINARY, operator.add, np.add,
    kinds=NUMBER, pullback=lambda g, r, x, y: (g, g), on_pairs=pairs.componentwise,
    algebra=Algebra(commutative=True, identity=-0.0),
    summary="x + y",
)  # fmt: skip
subtract = elementwise(
    "subtract", BINARY, operator.sub, np.subtract,
    kinds=NUMBER, pullback=lambda g, r, x, y: (g, -g), on_pairs=pairs.componentwise,
    algebra=Algebra(identity=0.0),
    summary="x - y",
)  # fmt: skip
multiply = elementwise(
    "multiply", BINARY, operator.mul, _multiply,
    kinds=NUMBER, pullback=_multiply_pullback, on_pairs=pairs.multiply,
    algebra=Algebra(commutative=True, identity=1.0),
    summary="x * y",
)  # fmt: skip
divide = elementwise(
    "divide", BINARY, operator.truediv, np.divide,
    kinds=FIELD, pullback=_divide_pullback, on_pairs=pairs.divide,
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
    kinds=NUMBER, pullback=lambda g, r, x: -g, on_pairs=pairs.componentwise,
    algebra=Algebra(involution=True),
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
    "square", UNARY, lambda x: x * x, lambda x: _multiply(x, x),
    kinds=NUMBER, pullback=_square_pullback, on_pairs=pairs.square,
    summary="x * x",
)  # fmt: skip
reciprocal = elementwise(
    "reciprocal", UNARY, lambda x: 1 / x, lambda x: np.divide(1, x),
    kinds=FIELD, pullback=lambda g, r, x: -g * conjugate(r * r), on_pairs=pairs.reciprocal,
    domain=Domain(0.5, 3.0),
    summary="1 / x",
)  # fmt: skip
