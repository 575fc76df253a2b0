"""Sums of products: `matmul`, `tensordot`, `einsum`, `vecdot`, `outer`, `dot`.

All of them become `contraction` nodes over labelled axes, two operands each. An axis that one
operand lacks, or has with extent 1, is left out of its labels rather than broadcast, so nothing is
copied. Where nothing is summed the product is elementwise.
"""

from __future__ import annotations

import operator
import string
from collections.abc import Sequence
from typing import Any

from graphc.dtypes import DType, DTypeLike, as_dtype, bool_
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import elementwise, shapes
from graphc.frontend.einstein_summation import contract, einsum
from graphc.frontend.operands import (
    broadcast_shapes,
    fail,
    normalise_axis,
    promote,
)
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node
from graphc.ops.pairs import conjugate

__all__ = ["dot", "einsum", "matmul", "outer", "tensordot", "vecdot"]


def _promote(name: str, *operands: TensorLike) -> list[Node]:
    nodes = promote(*operands)
    if nodes[0].type.dtype is bool_:
        fail(
            GraphcTypeError,
            f"{name} is not defined for bool",
            nodes,
            "convert one operand: tensor.astype(graphc.int32)",
        )
    return nodes


def matmul(x: TensorLike, y: TensorLike, *, dtype: DTypeLike | None = None) -> Tensor:
    """Return the matrix product `x @ y`; axes before the last two are a batch and broadcast.

    `dtype` is that of the sums and the result, where the operands' own is too narrow: float32 for
    bfloat16, int32 for int8.

    An operand with one axis is a row (x) or a column (y) whose axis does not appear in the result.
    Raises ShapeError where the extents to be summed differ, or an operand has no axes.

    >>> from graphc.frontend import input
    >>> matmul(input((8, 1, 3, 4)), input((5, 4, 2))).shape
    (8, 5, 3, 2)
    """
    a, b = _promote("matmul", x, y)
    if not a.shape or not b.shape:
        fail(ShapeError, "matmul: an operand has no axes", [a, b], "multiply by a scalar with *")
    batch_a, batch_b = a.shape[:-2], b.shape[:-2]
    if a.shape[-1] != b.shape[max(len(b.shape) - 2, 0)]:
        fail(
            ShapeError,
            f"matmul: {a.shape} @ {b.shape} sums over extents {a.shape[-1]} and "
            f"{b.shape[max(len(b.shape) - 2, 0)]}, which differ",
            [a, b],
            _matmul_hint(a.shape, b.shape),
        )
    try:
        batch = len(broadcast_shapes(batch_a, batch_b))
    except ValueError:
        fail(
            ShapeError,
            f"matmul: batch axes {batch_a} and {batch_b} of {a.shape} @ {b.shape} do not broadcast",
            [a, b],
            "only the last two axes are multiplied; the axes before them must match or be 1",
        )
    letters, (row, column, summed) = string.ascii_letters[:batch], "XYZ"
    lhs = letters[batch - len(batch_a) :] + (row + summed if len(a.shape) > 1 else summed)
    rhs = letters[batch - len(batch_b) :] + (summed + column if len(b.shape) > 1 else summed)
    out = letters + row * (len(a.shape) > 1) + column * (len(b.shape) > 1)
    return Tensor(contract(a, b, lhs, rhs, out, summed, _wider(dtype)))


def _wider(dtype: DTypeLike | None) -> DType | None:
    return None if dtype is None else as_dtype(dtype)


def _matmul_hint(a: tuple[int, ...], b: tuple[int, ...]) -> str:
    if len(b) > 1 and a[-1] == b[-1]:
        return "the second operand looks transposed: x @ y.mT"
    if len(a) > 1 and a[-2] == b[max(len(b) - 2, 0)]:
        return "the first operand looks transposed: x.mT @ y"
    if len(b) > 1 and len(a) == 1 and a[0] == b[-1]:
        return "the operands look exchanged: y @ x"
    if len(a) == 1 and len(b) > 1:
        return "a batch axis may be missing: x[None, :] is a row, x[:, None] a column"
    return ""


def vecdot(x: TensorLike, y: TensorLike, *, axis: int = -1) -> Tensor:
    """Return the sums of products along `axis`, which both operands have; other axes broadcast.

    Of complex numbers x is conjugated.
    """
    a, b = _promote("vecdot", x, y)
    a = conjugate(a)
    if not a.shape or not b.shape:
        fail(ShapeError, "vecdot: an operand has no axes", [a, b])
    a, b = (
        shapes.moveaxis(Tensor(n), normalise_axis("vecdot", axis, len(n.shape), n), -1).node
        for n in (a, b)
    )
    if a.shape[-1] != b.shape[-1]:
        fail(ShapeError, f"vecdot: extents {a.shape[-1]} and {b.shape[-1]} differ", [a, b])
    try:
        rank = len(broadcast_shapes(a.shape[:-1], b.shape[:-1]))
    except ValueError:
        fail(ShapeError, f"vecdot: shapes {a.shape} and {b.shape} do not broadcast", [a, b])
    letters = string.ascii_letters[:rank]
    lhs, rhs = (letters[rank - len(n.shape) + 1 :] + "Z" for n in (a, b))
    return Tensor(contract(a, b, lhs, rhs, letters, "Z"))


def dot(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the product of matrices, vectors or scalars, as `numpy.dot`.

    With more axes it sums over the last of x and the last but one of y.
    """
    a, b = _promote("dot", x, y)
    if not a.shape or not b.shape:
        return elementwise.multiply(Tensor(a), Tensor(b))
    return tensordot(Tensor(a), Tensor(b), (-1, max(len(b.shape) - 2, 0)))


def outer(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the product of every element of x with every element of y, both flattened."""
    return shapes.expand_dims(shapes.ravel(x), 1) * shapes.ravel(y)


def tensordot(x: TensorLike, y: TensorLike, axes: Any = 2) -> Tensor:
    """Return the sums of products over pairs of axes; the other axes of x, then of y, remain.

    `axes` is a number n (the last n of x with the first n of y) or a pair of axes or of lists of
    them. Raises ShapeError where the extents of a pair differ.

    >>> from graphc.frontend import input
    >>> tensordot(input((2, 3, 4)), input((4, 3, 5)), axes=([1, 2], [1, 0])).shape
    (2, 5)
    """
    a, b = _promote("tensordot", x, y)
    left, right = _paired_axes(a, b, axes)
    for i, j in zip(left, right, strict=True):
        if a.shape[i] != b.shape[j]:
            fail(
                ShapeError,
                f"tensordot: axis {i} of {a.shape} and axis {j} of {b.shape} differ",
                [a, b],
            )
    letters = string.ascii_letters
    if len(a.shape) + len(b.shape) > len(letters):
        fail(ShapeError, f"tensordot: more than {len(letters)} axes", [a, b])
    lhs = letters[: len(a.shape)]
    labels = list(letters[len(a.shape) : len(a.shape) + len(b.shape)])
    for i, j in zip(left, right, strict=True):
        labels[j] = lhs[i]
    summed = {lhs[i] for i in left}
    rhs = "".join(labels)
    out = "".join(label for label in lhs + rhs if label not in summed)
    return Tensor(contract(a, b, lhs, rhs, out, "".join(sorted(summed))))


def _paired_axes(a: Node, b: Node, axes: Any) -> tuple[list[int], list[int]]:
    if isinstance(axes, Sequence) and len(axes) == 2:
        given = [list(s) if isinstance(s, Sequence) else [s] for s in axes]
    elif isinstance(axes, int):
        count = operator.index(axes)
        if not 0 <= count <= min(len(a.shape), len(b.shape)):
            fail(ShapeError, f"tensordot: {count} axes of {a.shape} and {b.shape}", [a, b])
        given = [list(range(len(a.shape) - count, len(a.shape))), list(range(count))]
    else:
        fail(GraphcTypeError, f"tensordot: axes is a number or a pair, not {axes!r}", [a, b])
    left, right = (
        [normalise_axis("tensordot", axis, len(node.shape), node) for axis in axes_of]
        for axes_of, node in zip(given, (a, b), strict=True)
    )
    if len(left) != len(right) or len({*left}) < len(left) or len({*right}) < len(right):
        fail(GraphcValueError, f"tensordot: axes {axes} are not pairs of distinct axes", [a, b])
    return left, right
