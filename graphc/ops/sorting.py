"""The order of elements along an axis. NumPy computes it when the program runs.

The sort is stable: of equal elements the first comes first, in descending order too. NaN counts as
greater than all numbers; -0.0 and 0.0 are equal.
"""

from __future__ import annotations

import numpy as np

from graphc import dtypes
from graphc.ops.declare import Array
from graphc.ops.host import host_op
from graphc.ops.type_rules import REAL, check_axis, check_kind
from graphc.tensor_type import TensorType


def _rule(x: TensorType, axis: int, descending: bool) -> TensorType:
    check_kind("argsort", x.dtype, REAL)
    check_axis("argsort", axis, x.rank)
    return x.with_dtype(dtypes.int64)


def _reference(x: Array, axis: int, descending: bool) -> Array:
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    backwards = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    places: Array = x.shape[axis] - 1 - np.flip(backwards, axis)
    return places


argsort = host_op(
    "argsort",
    ("x",),
    _reference,
    attributes=("axis", "descending"),
    defaults={"descending": False},
    type_rule=_rule,
    kinds=REAL,
    summary="the places along an axis in the order of their elements, NaN as the greatest",
)
