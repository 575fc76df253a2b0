"""Logic of bool, and the bits of bool and integers.

A shift by a count that is negative or not below the width moves every bit out: the result is 0, or
of a right shift of a negative number -1.
"""

from __future__ import annotations

import operator

import numpy as np

from graphc.dtypes import as_dtype
from graphc.formulas import integers
from graphc.op import Algebra
from graphc.ops.declare import BINARY, UNARY, Array, elementwise
from graphc.ops.type_rules import BITS, BOOL, INTEGER


def _left_shift(x: Array, count: Array) -> Array:
    inside = (count >= 0) & (count < as_dtype(x.dtype).bits)
    return np.where(inside, np.left_shift(x, np.where(inside, count, 0).astype(x.dtype)), 0)


def _right_shift(x: Array, count: Array) -> Array:
    inside = (count >= 0) & (count < as_dtype(x.dtype).bits)
    shifted = np.right_shift(x, np.where(inside, count, 0).astype(x.dtype))
    return np.where(inside, shifted, np.where(x < 0, -1, 0).astype(x.dtype))


logical_and = elementwise(
    "logical_and", BINARY, operator.and_, np.logical_and,
    kinds=BOOL,
    algebra=Algebra(commutative=True, identity=1, absorbing=0, idempotent=True, order_free=True),
    summary="whether both hold",
)  # fmt: skip
logical_or = elementwise(
    "logical_or", BINARY, operator.or_, np.logical_or,
    kinds=BOOL,
    algebra=Algebra(commutative=True, identity=0, absorbing=1, idempotent=True, order_free=True),
    summary="whether one or both hold",
)  # fmt: skip
logical_xor = elementwise(
    "logical_xor", BINARY, operator.xor, np.logical_xor,
    kinds=BOOL, algebra=Algebra(commutative=True, identity=0, order_free=True),
    summary="whether exactly one holds",
)  # fmt: skip
logical_not = elementwise(
    "logical_not", UNARY, operator.invert, np.logical_not,
    kinds=BOOL, algebra=Algebra(involution=True), summary="whether x does not hold",
)  # fmt: skip
bitwise_and = elementwise(
    "bitwise_and", BINARY, operator.and_, np.bitwise_and,
    kinds=BITS, algebra=Algebra(commutative=True, absorbing=0, idempotent=True, order_free=True),
    summary="the bits set in both",
)  # fmt: skip
bitwise_or = elementwise(
    "bitwise_or", BINARY, operator.or_, np.bitwise_or,
    kinds=BITS, algebra=Algebra(commutative=True, identity=0, idempotent=True, order_free=True),
    summary="the bits set in one or both",
)  # fmt: skip
bitwise_xor = elementwise(
    "bitwise_xor", BINARY, operator.xor, np.bitwise_xor,
    kinds=BITS, algebra=Algebra(commutative=True, identity=0, order_free=True),
    summary="the bits set in exactly one",
)  # fmt: skip
bitwise_invert = elementwise(
    "bitwise_invert", UNARY, operator.invert, np.invert,
    kinds=BITS, algebra=Algebra(involution=True), summary="every bit the other way",
)  # fmt: skip
bitwise_left_shift = elementwise(
    "bitwise_left_shift", ("x", "count"), integers.left_shift, _left_shift,
    kinds=INTEGER, algebra=Algebra(identity=0), summary="x * 2**count, wrapping",
)  # fmt: skip
bitwise_right_shift = elementwise(
    "bitwise_right_shift", ("x", "count"), integers.right_shift, _right_shift,
    kinds=INTEGER, algebra=Algebra(identity=0), summary="x / 2**count, rounded down",
)  # fmt: skip
