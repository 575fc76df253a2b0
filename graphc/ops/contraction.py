"""The contraction of two tensors: sums of products over shared labels, of which matmul is one.

Each operand's axes are labelled with distinct letters. A label in `out` is kept; one that is not
stands in both operands and is summed over. A label in all three is a batch label.
"""

from __future__ import annotations

import numpy as np

from graphc.errors import GraphcTypeError, ShapeError
from graphc.node import Node
from graphc.op import Contraction, Op
from graphc.ops.declare import Array
from graphc.ops.type_rules import NUMERIC, check_kind
from graphc.tensor_type import TensorType


def _rule(a: TensorType, b: TensorType, lhs: str, rhs: str, out: str) -> TensorType:
    check_kind("contraction", a.dtype, NUMERIC)
    if a.dtype is not b.dtype:
        raise GraphcTypeError(
            f"contraction takes operands of one dtype, not {a.dtype} and {b.dtype}",
            hint="cast one of them",
        )
    extents: dict[str, int] = {}
    for labels, operand in ((lhs, a), (rhs, b)):
        if len(labels) != operand.rank or len(set(labels)) != len(labels):
            raise ShapeError(f"contraction: {labels!r} does not label {operand.shape} once an axis")
        for label, extent in zip(labels, operand.shape, strict=True):
            if extents.setdefault(label, extent) != extent:
                raise ShapeError(
                    f"contraction: {label!r} labels the extents {extents[label]} and {extent}"
                )
    _check_labels(lhs, rhs, out)
    return a.with_shape(tuple(extents[label] for label in out))


def _check_labels(lhs: str, rhs: str, out: str) -> None:
    if len(set(out)) != len(out) or set(out) - set(lhs) - set(rhs):
        raise ShapeError(f"contraction: {out!r} is not made of distinct labels of the operands")
    alone = (set(lhs) ^ set(rhs)) - set(out)
    if alone:
        raise ShapeError(
            f"contraction: {''.join(sorted(alone))!r} is in one operand and not in the result",
            hint="sum over it first",
        )


def _reference(a: Array, b: Array, result: TensorType, lhs: str, rhs: str, out: str) -> Array:
    dtype = result.dtype
    wide = np.float64 if dtype.is_float else dtype.numpy
    with np.errstate(all="ignore"):
        product = np.einsum(f"{lhs},{rhs}->{out}", a.astype(wide), b.astype(wide), optimize=True)
        return np.asarray(product).astype(dtype.compute.numpy).astype(dtype.numpy)


def _derivative(node: Node, cotangent: Node) -> tuple[Node, Node]:
    a, b = node.inputs
    lhs, rhs, out = (node.attributes[k] for k in ("lhs", "rhs", "out"))
    return (
        contraction(cotangent, b, lhs=out, rhs=rhs, out=lhs),
        contraction(a, cotangent, lhs=lhs, rhs=out, out=rhs),
    )


contraction = Op(
    name="contraction",
    operands=("a", "b"),
    attributes=("lhs", "rhs", "out"),
    type_rule=_rule,
    reference=_reference,
    lowering=Contraction(),
    derivative=_derivative,
    kinds=NUMERIC,
    summary="sums of products over the labels that the operands share and the result lacks",
)
