"""Triangular systems, Cholesky factors and what all of linear algebra shares.

Matrices are the last two axes; the axes before are a batch. LAPACK (through NumPy) computes when
the program runs. What does not exist for the values at hand raises GraphcValueError. The derivative
of the Cholesky factor is that of I. Murray, "Differentiation of the Cholesky decomposition", 2016.
"""

from __future__ import annotations

import string

import numpy as np

from graphc import dtypes
from graphc.arithmetic import filled, zeros_like
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.node import Node
from graphc.ops.comparison import equal, greater_equal
from graphc.ops.contraction import contraction
from graphc.ops.conversion import where
from graphc.ops.declare import Array
from graphc.ops.host import host_op
from graphc.ops.leaves import iota
from graphc.ops.type_rules import FLOAT, check_kind
from graphc.ops.views import broadcast_to, permute_dims, reshaped
from graphc.tensor_type import TensorType


def check_square(name: str, a: TensorType) -> None:
    """Raise GraphcTypeError or ShapeError unless `a` holds square matrices of floats."""
    check_kind(name, a.dtype, FLOAT)
    if a.rank < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"{name} takes square matrices, not {a.shape}")


# --- over the last two axes of nodes -------------------------------------------------------------


def transposed(a: Node) -> Node:
    """Return the transposes of matrices."""
    rank = len(a.shape)
    return permute_dims(a, axes=(*range(rank - 2), rank - 1, rank - 2))


def product(a: Node, b: Node, *, a_transposed: bool = False, b_transposed: bool = False) -> Node:
    """Return the products of matrices of equal batches, each of them transposed if so wished."""
    batch = string.ascii_lowercase[: len(a.shape) - 2]
    lhs, rhs = ("XI" if a_transposed else "IX"), ("JX" if b_transposed else "XJ")
    return contraction(a, b, lhs=batch + lhs, rhs=batch + rhs, out=batch + "IJ")


def triangle(a: Node, *, lower: bool, diagonal: int = 0) -> Node:
    """Return matrices with zeros above (or below) a diagonal; 1 is the one above the main one."""
    rows, columns = (iota(shape=a.shape[-2:], axis=axis, dtype=dtypes.int64) for axis in (0, 1))
    left, right = (rows + diagonal, columns) if lower else (columns, rows + diagonal)
    kept = broadcast_to(greater_equal(left, right), shape=a.shape)
    return where(kept, a, zeros_like(a))


def identities(a: Node) -> Node:
    """Return identity matrices of the type of `a`."""
    rows, columns = (iota(shape=a.shape[-2:], axis=axis, dtype=dtypes.int64) for axis in (0, 1))
    kept = broadcast_to(equal(rows, columns), shape=a.shape)
    return where(kept, filled(a.type, 1), zeros_like(a))


def scaled(a: Node, factors: Node, axes: tuple[int, ...] = (-2, -1)) -> Node:
    """Return matrices times factors that lack these axes: a row's, a column's, a matrix's."""
    shape = list(a.shape)
    for axis in axes:
        shape[axis] = 1
    return a * broadcast_to(reshaped(factors, tuple(shape)), shape=a.shape)


def columns_scaled(a: Node, factors: Node) -> Node:
    """Return matrices with each column times its factor."""
    return scaled(a, factors, (-2,))


def rows_scaled(a: Node, factors: Node) -> Node:
    """Return matrices with each row times its factor."""
    return scaled(a, factors, (-1,))


# --- triangular systems --------------------------------------------------------------------------


def _triangular_rule(a: TensorType, b: TensorType, lower: bool, transposed: bool) -> TensorType:
    check_square("solve_triangular", a)
    if a.dtype is not b.dtype:
        raise GraphcTypeError(
            f"solve_triangular takes operands of one dtype, not {a.dtype} and {b.dtype}",
            hint="cast one of them",
        )
    if b.rank != a.rank or b.shape[:-1] != a.shape[:-1]:
        raise ShapeError(f"solve_triangular: {a.shape} has no right sides of shape {b.shape}")
    return b


def _solve_triangular(a: Array, b: Array, lower: bool, transposed: bool) -> Array:
    if transposed:
        a, lower = np.swapaxes(a, -1, -2), not lower
    if not np.all(np.diagonal(a, axis1=-2, axis2=-1)):
        raise GraphcValueError(
            "solve_triangular: a matrix is singular",
            hint="its diagonal holds a 0, as the factor of a matrix of too low a rank does",
        )
    x, count = np.zeros_like(b), a.shape[-1]
    for row in range(count) if lower else reversed(range(count)):
        known = slice(None, row) if lower else slice(row + 1, None)
        rest = b[..., row, :] - (a[..., row, None, known] @ x[..., known, :])[..., 0, :]
        x[..., row, :] = rest / a[..., row, row, None]
    return x


def _triangular_derivative(node: Node, cotangent: Node) -> tuple[Node, Node]:
    a, is_lower, is_transposed = node.inputs[0], *node.attributes.values()
    by_b = solve_triangular(a, cotangent, lower=is_lower, transposed=not is_transposed)
    left, right = (node, by_b) if is_transposed else (by_b, node)
    return triangle(-product(left, right, b_transposed=True), lower=is_lower), by_b


solve_triangular = host_op(
    "solve_triangular",
    ("a", "b"),
    _solve_triangular,
    attributes=("lower", "transposed"),
    type_rule=_triangular_rule,
    kinds=FLOAT,
    derivative=_triangular_derivative,
    summary="the x of a @ x = b, or of its transpose, where one triangle of a is read alone",
)

# --- Cholesky ------------------------------------------------------------------------------------


def _cholesky_rule(a: TensorType) -> TensorType:
    check_square("cholesky", a)
    return a


def _cholesky(a: Array) -> Array:
    try:
        return np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        raise GraphcValueError(
            "cholesky: a matrix is not positive definite",
            hint="add a small multiple of the identity, or look for NaN in the operand",
        ) from None


def _cholesky_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    """Return the cotangent of the lower triangle, which is all that is read."""
    both = product(node, cotangent, a_transposed=True)
    halved = triangle(both, lower=True) - _diagonal(both) * 0.5
    left = solve_triangular(node, halved, lower=True, transposed=True)
    full = solve_triangular(node, transposed(left), lower=True, transposed=True)
    return (triangle(full + transposed(full), lower=True) - _diagonal(full),)


def _diagonal(a: Node) -> Node:
    return triangle(triangle(a, lower=True), lower=False)


cholesky = host_op(
    "cholesky",
    ("a",),
    _cholesky,
    type_rule=_cholesky_rule,
    kinds=FLOAT,
    derivative=_cholesky_derivative,
    summary="the lower triangular factor of positive definite matrices, from their lower triangles",
)
