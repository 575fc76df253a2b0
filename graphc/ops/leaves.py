"""The leaves: values that are given, and `iota`, which counts.

`input` and `variable` have no reference of their own: an interpreter binds inputs and reads
variables. A complex variable is read as `pairs` where a graph has those in the place of complex
numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import dtypes
from graphc.dtypes import DType
from graphc.errors import InternalError
from graphc.index import Index
from graphc.node import ArrayData, Node
from graphc.op import FromIndex, Leaf, Op
from graphc.ops.declare import Array
from graphc.ops.pairs import paired_type
from graphc.ops.type_rules import NUMERIC, check_axis, check_kind
from graphc.state import VariableState
from graphc.tensor_type import Shape, TensorType


def _input_rule(number: int, name: str, shape: Shape, dtype: DType) -> TensorType:
    return TensorType(shape, dtype)


def _input_reference(result: TensorType, **attributes: Any) -> Array:
    raise InternalError(f"the input {attributes['name']} is bound to no array")


def _constant_rule(value: ArrayData) -> TensorType:
    return TensorType(value.array.shape, dtypes.as_dtype(value.array.dtype))


def _iota_rule(shape: Shape, axis: int, dtype: DType) -> TensorType:
    check_axis("iota", axis, len(shape))
    check_kind("iota", dtype, NUMERIC)
    return TensorType(shape, dtype)


def _iota_reference(result: TensorType, shape: Shape, axis: int, dtype: DType) -> Array:
    column = [1] * len(shape)
    column[axis] = shape[axis]
    with np.errstate(over="ignore"):
        count = np.arange(shape[axis]).astype(dtype.compute.numpy).astype(dtype.numpy)
    return np.broadcast_to(count.reshape(column), shape).copy()


def _iota_index(node: Node, indices: tuple[Index, ...]) -> Index:
    return indices[int(node.attributes["axis"])]


def _variable_rule(state: VariableState, pairs: bool) -> TensorType:
    return paired_type(state.type) if pairs else state.type


def _variable_reference(result: TensorType, state: VariableState, pairs: bool) -> Array:
    return state.host().view(result.dtype.numpy).reshape(result.shape)


def _constant_reference(result: TensorType, value: ArrayData) -> Array:
    return value.array


input_ = Op(
    name="input",
    operands=(),
    attributes=("number", "name", "shape", "dtype"),
    type_rule=_input_rule,
    reference=_input_reference,
    lowering=Leaf(),
    summary="a tensor that the caller passes",
)
variable = Op(
    name="variable",
    operands=(),
    attributes=("state", "pairs"),
    defaults={"pairs": False},
    type_rule=_variable_rule,
    reference=_variable_reference,
    lowering=Leaf(),
    summary="the value, before the call, of state that outlives it",
)
constant = Op(
    name="constant",
    operands=(),
    attributes=("value",),
    type_rule=_constant_rule,
    reference=_constant_reference,
    lowering=Leaf(),
    summary="an array known while compiling",
)
iota = Op(
    name="iota",
    operands=(),
    attributes=("shape", "axis", "dtype"),
    type_rule=_iota_rule,
    reference=_iota_reference,
    lowering=FromIndex(_iota_index),
    derivative=lambda node, cotangent: (),
    kinds=NUMERIC,
    summary="each element's place along one axis, counted from 0",
)
