"""The contraction of two tensors: sums of products over shared labels, of which matmul is one.

Each operand's axes are labelled with distinct letters. A label in `out` is kept; one that is not
stands in both operands and is summed over. A label in all three is a batch label. `dtype` is that
of the result, if it is wider than the operands: products of bfloat16 summed in float32, or of int8
in int32. Operands are converted to it first, which is exact.
"""

from __future__ import annotations

import string

import numpy as np

from graphc.dtypes import DType, promote
from graphc.errors import GraphcTypeError, ShapeError
from graphc.node import Node
from graphc.op import Contraction, Op
from graphc.ops.concatenation import concat
from graphc.ops.conversion import cast
from graphc.ops.declare import Array
from graphc.ops.pairs import conjugate, paired, parts
from graphc.ops.type_rules import NUMBER, check_kind
from graphc.ops.views import reshaped
from graphc.tensor_type import TensorType


def _rule(
    a: TensorType, b: TensorType, lhs: str, rhs: str, out: str, dtype: DType | None = None
) -> TensorType:
    check_kind("contraction", a.dtype, NUMBER)
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
    return TensorType(tuple(extents[label] for label in out), _result_dtype(a.dtype, dtype))


def _result_dtype(operands: DType, wanted: DType | None) -> DType:
    """Return the dtype of the result; raise where it does not hold all of the operands' values."""
    if wanted is None or wanted is operands:
        return operands
    if promote(operands, wanted) is not wanted or not _are_alike(operands, wanted):
        is_kept = promote(operands, wanted) is wanted
        reason = "is of another kind" if is_kept else f"does not hold all {operands}"
        raise GraphcTypeError(
            f"a contraction of {operands} cannot give {wanted}, which {reason}",
            hint="cast the operands or the result",
        )
    return wanted


def _are_alike(operands: DType, wanted: DType) -> bool:
    return wanted.is_float is operands.is_float and wanted.is_complex is operands.is_complex


def _check_labels(lhs: str, rhs: str, out: str) -> None:
    if len(set(out)) != len(out) or set(out) - set(lhs) - set(rhs):
        raise ShapeError(f"contraction: {out!r} is not made of distinct labels of the operands")
    alone = (set(lhs) ^ set(rhs)) - set(out)
    if alone:
        raise ShapeError(
            f"contraction: {''.join(sorted(alone))!r} is in one operand and not in the result",
            hint="sum over it first",
        )


def _reference(
    a: Array, b: Array, result: TensorType, lhs: str, rhs: str, out: str, dtype: DType | None = None
) -> Array:
    dtype = result.dtype
    wide = {"float": np.float64, "complex": np.complex128}.get(dtype.kind, dtype.numpy)
    with np.errstate(all="ignore"):
        product = np.einsum(f"{lhs},{rhs}->{out}", a.astype(wide), b.astype(wide), optimize=True)
        return np.asarray(product).astype(dtype.compute.numpy).astype(dtype.numpy)


def _derivative(node: Node, cotangent: Node) -> tuple[Node, Node]:
    lhs, rhs, out = (node.attributes[k] for k in ("lhs", "rhs", "out"))
    a, b = (_as(operand, node.type.dtype) for operand in node.inputs)
    by_a = contraction(cotangent, conjugate(b), lhs=out, rhs=rhs, out=lhs)
    by_b = contraction(conjugate(a), cotangent, lhs=lhs, rhs=out, out=rhs)
    return _as(by_a, node.inputs[0].type.dtype), _as(by_b, node.inputs[1].type.dtype)


def _pairs(node: Node, operands: tuple[Node, ...]) -> Node:
    """Return one contraction of floats, in which the parts of `a` are summed over too.

    With (c, d) a number of `b`, its real part is multiplied by (c, d), its imaginary by (-d, c).
    """
    lhs, rhs, out = (node.attributes[k] for k in ("lhs", "rhs", "out"))
    summed, kept = [c for c in string.ascii_letters if c not in lhs + rhs][:2]
    a, b = operands
    real, imaginary = parts(b)
    rows = [reshaped(row, (1, *b.shape)) for row in (b, paired(-imaginary, real))]
    labels = {"lhs": lhs + summed, "rhs": summed + rhs + kept, "out": out + kept}
    dtype = node.attributes["dtype"]
    wanted = None if dtype is None else dtype.real
    return contraction(a, concat(*rows, axis=0), **labels, dtype=wanted)


def _as(node: Node, dtype: DType) -> Node:
    return node if node.type.dtype is dtype else cast(node, dtype=dtype)


contraction = Op(
    name="contraction",
    operands=("a", "b"),
    attributes=("lhs", "rhs", "out", "dtype"),
    defaults={"dtype": None},
    type_rule=_rule,
    reference=_reference,
    lowering=Contraction(),
    derivative=_derivative,
    kinds=NUMBER,
    on_pairs=_pairs,
    summary="sums of products over the labels that the operands share and the result lacks",
)
