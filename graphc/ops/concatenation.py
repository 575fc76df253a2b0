"""Tensors side by side along an axis."""

from __future__ import annotations

import numpy as np

from graphc.errors import GraphcTypeError, ShapeError
from graphc.node import Node
from graphc.op import Concatenation, Op
from graphc.ops.declare import Array
from graphc.ops.pairs import componentwise
from graphc.ops.type_rules import check_axis
from graphc.ops.views import cut
from graphc.tensor_type import TensorType


def _rule(*operands: TensorType, axis: int) -> TensorType:
    if not operands:
        raise ShapeError("concat takes at least one operand")
    first = operands[0]
    check_axis("concat", axis, first.rank)
    for other in operands:
        if other.dtype is not first.dtype:
            raise GraphcTypeError(
                f"concat takes operands of one dtype, not {first.dtype} and {other.dtype}",
                hint="cast one of them",
            )
        if _without(other, axis) != _without(first, axis) or other.rank != first.rank:
            raise ShapeError(
                f"concat: {first.shape} and {other.shape} may differ along axis {axis} only"
            )
    extent = sum(operand.shape[axis] for operand in operands)
    return first.with_shape((*first.shape[:axis], extent, *first.shape[axis + 1 :]))


def _without(type_: TensorType, axis: int) -> tuple[int, ...]:
    return type_.shape[:axis] + type_.shape[axis + 1 :]


def _reference(*arrays: np.ndarray, result: TensorType, axis: int) -> Array:
    return np.concatenate(arrays, axis=axis)


def _derivative(node: Node, cotangent: Node) -> tuple[Node, ...]:
    axis, begin, pieces = node.attributes["axis"], 0, []
    for operand in node.inputs:
        start = tuple(begin if a == axis else 0 for a in range(len(node.shape)))
        pieces.append(cut(cotangent, start, operand.shape))
        begin += operand.shape[axis]
    return tuple(pieces)


concat = Op(
    name="concat",
    operands=("*operands",),
    attributes=("axis",),
    type_rule=_rule,
    reference=_reference,
    lowering=Concatenation(),
    derivative=_derivative,
    on_pairs=componentwise,
    summary="the operands side by side along an axis",
)
