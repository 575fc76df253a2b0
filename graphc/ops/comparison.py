"""Comparisons and questions about floats; every one gives bool.

A comparison with NaN is false, but `not_equal` is true; 0.0 equals -0.0.
"""

from __future__ import annotations

import operator

import numpy as np

from graphc import dtypes
from graphc.formulas import comparison
from graphc.op import Algebra
from graphc.ops import pairs
from graphc.ops.declare import BINARY, UNARY, elementwise
from graphc.ops.type_rules import ANY, FLOAT, REAL
from graphc.scalar import is_nan

equal = elementwise(
    "equal", BINARY, operator.eq, np.equal,
    kinds=ANY, result=dtypes.bool_, algebra=Algebra(commutative=True), on_pairs=pairs.equal,
    summary="x == y",
)  # fmt: skip
not_equal = elementwise(
    "not_equal", BINARY, operator.ne, np.not_equal,
    kinds=ANY, result=dtypes.bool_, algebra=Algebra(commutative=True), on_pairs=pairs.not_equal,
    summary="x != y",
)  # fmt: skip
less = elementwise(
    "less", BINARY, operator.lt, np.less,
    kinds=REAL, result=dtypes.bool_, summary="x < y",
)  # fmt: skip
less_equal = elementwise(
    "less_equal", BINARY, operator.le, np.less_equal,
    kinds=REAL, result=dtypes.bool_, summary="x <= y",
)  # fmt: skip
greater = elementwise(
    "greater", BINARY, operator.gt, np.greater,
    kinds=REAL, result=dtypes.bool_, summary="x > y",
)  # fmt: skip
greater_equal = elementwise(
    "greater_equal", BINARY, operator.ge, np.greater_equal,
    kinds=REAL, result=dtypes.bool_, summary="x >= y",
)  # fmt: skip
isnan = elementwise(
    "isnan", UNARY, is_nan, np.isnan,
    kinds=FLOAT, result=dtypes.bool_, summary="whether x is NaN",
)  # fmt: skip
isinf = elementwise(
    "isinf", UNARY, comparison.is_infinite, np.isinf,
    kinds=FLOAT, result=dtypes.bool_, summary="whether x is infinite",
)  # fmt: skip
isfinite = elementwise(
    "isfinite", UNARY, comparison.is_finite, np.isfinite,
    kinds=FLOAT, result=dtypes.bool_, summary="whether x is neither infinite nor NaN",
)  # fmt: skip
signbit = elementwise(
    "signbit", UNARY, comparison.sign_bit, np.signbit,
    kinds=FLOAT, result=dtypes.bool_,
    summary="whether the sign bit is set: of negative numbers, -0.0 and some NaNs",
)  # fmt: skip
