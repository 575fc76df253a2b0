"""What functions of matrices share: checks, symmetry, diagonals, powers.

Matrices are the last two axes of a tensor; the axes before are a batch.
"""

from __future__ import annotations

import operator
from typing import SupportsIndex

from graphc.errors import GraphcTypeError, ShapeError
from graphc.frontend import constructors, contractions, indexing, shapes
from graphc.frontend.operands import apply, as_node, broadcast_to, fail
from graphc.frontend.tensor import Tensor, TensorLike


def matrices(name: str, x: TensorLike) -> Tensor:
    """Return `x`; raises ShapeError or GraphcTypeError unless it holds matrices of floats."""
    node = as_node(x)
    if len(node.shape) < 2:
        fail(ShapeError, f"{name} takes matrices, not {node.shape}", [node])
    if not node.type.dtype.is_float:
        hint = "convert them: x.astype(graphc.float32)"
        fail(GraphcTypeError, f"{name} takes floats, not {node.type.dtype}", [node], hint)
    return Tensor(node)


def square_matrices(name: str, x: TensorLike) -> Tensor:
    """Return `x`; raises ShapeError or GraphcTypeError unless it holds square ones of floats."""
    node = as_node(x)
    if len(node.shape) < 2 or node.shape[-1] != node.shape[-2]:
        fail(ShapeError, f"{name} takes square matrices, not {node.shape}", [node])
    return matrices(name, Tensor(node))


def symmetric(name: str, x: TensorLike) -> Tensor:
    """Return (x + x.T) / 2."""
    given = square_matrices(name, x)
    return (given + shapes.matrix_transpose(given)) * 0.5


def diagonal(x: TensorLike, /, *, offset: int = 0) -> Tensor:
    """Return the elements of a diagonal of each matrix; `offset` counts from the main one upwards.

    >>> from graphc.frontend import input
    >>> diagonal(input((10, 3, 4)), offset=1).shape
    (10, 3)
    """
    node = as_node(x)
    if len(node.shape) < 2:
        fail(ShapeError, f"diagonal takes matrices, not {node.shape}", [node])
    *batch, rows, columns = node.shape
    down, right = max(-offset, 0), max(offset, 0)
    count = max(min(rows - down, columns - right), 0)
    flat = shapes.reshape_node(node, (*batch, rows * columns))
    start = min(down * columns + right, rows * columns)
    places = slice(start, start + count * (columns + 1), columns + 1) if count else slice(0)
    return Tensor(indexing.slice_node(flat, [*(slice(None) for _ in batch), places]))


def trace(x: TensorLike, /, *, offset: int = 0) -> Tensor:
    """Return the sum of a diagonal of each matrix; see `diagonal`.

    >>> from graphc.frontend import input
    >>> trace(input((10, 3, 3))).shape
    (10,)
    """
    return diagonal(x, offset=offset).sum(axis=-1)


def matrix_power(x: TensorLike, n: SupportsIndex, /) -> Tensor:
    """Return square matrices multiplied n times, by repeated squaring; negative n of the inverse.

    >>> from graphc.frontend import input
    >>> matrix_power(input((10, 3, 3)), -2).shape
    (10, 3, 3)
    """
    base, exponent = square_matrices("matrix_power", x), operator.index(n)
    if exponent == 0:
        identity = constructors.eye(base.shape[-1], dtype=base.dtype)
        return Tensor(broadcast_to(identity.node, base.shape))
    if exponent < 0:
        base = Tensor(apply("inv", base.node))
    result, left = None, abs(exponent)
    while left:
        if left & 1:
            result = base if result is None else contractions.matmul(result, base)
        left >>= 1
        base = contractions.matmul(base, base) if left else base
    assert result is not None
    return result
