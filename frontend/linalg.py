"""Linear algebra over the last two axes of tensors: `graphc.linalg`.

The axes before the last two are a batch. LAPACK computes in one thread while a program runs; what
does not exist for the values at hand raises GraphcValueError with the user's line. Derivatives of
any order; those of singular vectors and eigenvectors do not exist where two values are equal, which
raises too.
"""

from __future__ import annotations

import numpy as np

from graphc.errors import GraphcValueError, ShapeError
from graphc.frontend import reductions, shapes
from graphc.frontend.contractions import matmul, outer, tensordot, vecdot
from graphc.frontend.matrices import (
    diagonal,
    matrices,
    matrix_power,
    square_matrices,
    symmetric,
    trace,
)
from graphc.frontend.norms import matrix_norm, norm, vector_norm
from graphc.frontend.operands import apply, broadcast_shapes, broadcast_to, fail, promote
from graphc.frontend.shapes import matrix_transpose
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node

__all__ = [
    "cholesky", "det", "diagonal", "eigh", "eigvalsh", "inv", "lstsq", "matmul", "matrix_norm",
    "matrix_power", "matrix_rank", "matrix_transpose", "norm", "outer", "pinv", "qr", "slogdet",
    "solve", "solve_triangular", "svd", "svdvals", "tensordot", "trace", "vecdot", "vector_norm",
]  # fmt: skip


def cholesky(x: TensorLike, /, *, upper: bool = False) -> Tensor:
    """Return the triangular L, with a positive diagonal, for which x = L @ L.T (or L.T @ L, upper).

    x is made symmetric first, as (x + x.T) / 2, and so is its gradient. Raises GraphcValueError
    when the program runs where a matrix is not positive definite.

    >>> from graphc.frontend import input
    >>> cholesky(input((10, 3, 3))).shape
    (10, 3, 3)
    """
    factor = Tensor(apply("cholesky", symmetric("cholesky", x).node))
    return matrix_transpose(factor) if upper else factor


# --- systems -------------------------------------------------------------------------------------


def solve(a: TensorLike, b: TensorLike, /) -> Tensor:
    """Return the x of a @ x = b; b is a vector if it has one axis, else matrices of right sides.

    Batches broadcast. Raises GraphcValueError when the program runs where a pivot is exactly 0; a
    matrix that rounding keeps from that gives large numbers.

    >>> from graphc.frontend import input
    >>> solve(input((10, 3, 3)), input((3, 2))).shape
    (10, 3, 2)
    """
    left, right = promote(a, b)
    square_matrices("solve", Tensor(left))
    if len(right.shape) == 1:
        column = solve(Tensor(left), shapes.expand_dims(Tensor(right), -1))
        return shapes.squeeze(column, -1)
    return Tensor(apply("solve", *_in_one_batch("solve", left, right)))


def solve_triangular(a: TensorLike, b: TensorLike, /, *, lower: bool = False) -> Tensor:
    """Return the x of a @ x = b, reading one triangle of `a` alone; b and errors as in `solve`.

    >>> from graphc.frontend import input
    >>> solve_triangular(input((10, 3, 3)), input((3, 2)), lower=True).shape
    (10, 3, 2)
    """
    left, right = promote(a, b)
    square_matrices("solve_triangular", Tensor(left))
    if len(right.shape) == 1:
        column = shapes.expand_dims(Tensor(right), -1)
        return shapes.squeeze(solve_triangular(Tensor(left), column, lower=lower), -1)
    left, right = _in_one_batch("solve_triangular", left, right)
    return Tensor(apply("solve_triangular", left, right, lower=bool(lower), transposed=False))


def _in_one_batch(name: str, left: Node, right: Node) -> tuple[Node, Node]:
    if not right.shape:
        fail(ShapeError, f"{name}: a scalar is no right side", [left, right])
    try:
        batch = broadcast_shapes(left.shape[:-2], right.shape[:-2])
    except ValueError:
        message = f"{name}: the batches {left.shape[:-2]} and {right.shape[:-2]} do not broadcast"
        fail(ShapeError, message, [left, right])
    return (
        broadcast_to(left, (*batch, *left.shape[-2:])),
        broadcast_to(right, (*batch, *right.shape[-2:])),
    )


def inv(x: TensorLike, /) -> Tensor:
    """Return the inverses of square matrices; raises as `solve`, which is faster and more accurate.

    >>> from graphc.frontend import input
    >>> inv(input((10, 3, 3))).shape
    (10, 3, 3)
    """
    return Tensor(apply("inv", square_matrices("inv", x).node))


def det(x: TensorLike, /) -> Tensor:
    """Return the determinants of square matrices.

    The first derivative is right for singular matrices too; the second raises GraphcValueError
    there.

    >>> from graphc.frontend import input
    >>> det(input((10, 3, 3))).shape
    (10,)
    """
    return Tensor(apply("det", square_matrices("det", x).node))


def slogdet(x: TensorLike, /) -> tuple[Tensor, Tensor]:
    """Return the signs of the determinants and the logarithms of their magnitudes.

    Those of a singular matrix are 0 and -inf; its derivative raises GraphcValueError.

    >>> from graphc.frontend import input
    >>> sign, logarithm = slogdet(input((10, 3, 3)))
    >>> logarithm.shape
    (10,)
    """
    sign, logarithm = _results(apply("slogdet", square_matrices("slogdet", x).node))
    return sign, logarithm


def pinv(x: TensorLike, /, *, rtol: float | None = None) -> Tensor:
    """Return the Moore-Penrose pseudo-inverses of matrices.

    Singular values up to `rtol` times the greatest count as 0; by default the larger extent times
    the dtype's epsilon (float32's for 16 bits). The derivative is that among matrices of one rank.

    >>> from graphc.frontend import input
    >>> pinv(input((10, 3, 2))).shape
    (10, 2, 3)
    """
    node = matrices("pinv", x).node
    return Tensor(apply("pinv", node, rtol=_tolerance(node, rtol)))


def _tolerance(node: Node, rtol: float | None) -> float:
    epsilon = np.finfo(node.type.dtype.compute.numpy).eps
    return float(max(node.shape[-2:]) * epsilon if rtol is None else rtol)


def lstsq(a: TensorLike, b: TensorLike, /) -> Tensor:
    """Return the x that makes the norm of a @ x - b least; of several the one of least norm.

    By QR, so `a` has full rank; otherwise GraphcValueError is raised if the diagonal of r has an
    exact 0, or the result is large: use `pinv(a) @ b`. b as in `solve`.

    >>> from graphc.frontend import input
    >>> lstsq(input((10, 5, 3)), input((10, 5, 2))).shape
    (10, 3, 2)
    """
    left, right = promote(a, b)
    matrices("lstsq", Tensor(left))
    if len(right.shape) == 1:
        column = lstsq(Tensor(left), shapes.expand_dims(Tensor(right), -1))
        return shapes.squeeze(column, -1)
    left, right = _in_one_batch("lstsq", left, right)
    if left.shape[-2] != right.shape[-2]:
        message = f"lstsq: {left.shape} has no right sides of shape {right.shape}"
        fail(ShapeError, message, [left, right])
    if left.shape[-2] >= left.shape[-1]:
        q, r = qr(Tensor(left))
        projected = matmul(matrix_transpose(q), Tensor(right))
        return _solve_upper(r, projected, transposed=False)
    q, r = qr(matrix_transpose(Tensor(left)))
    return matmul(q, _solve_upper(r, Tensor(right), transposed=True))


def _solve_upper(r: Tensor, b: Tensor, *, transposed: bool) -> Tensor:
    node = apply("solve_triangular", r.node, b.node, lower=False, transposed=transposed)
    return Tensor(node)


# --- factorisations ------------------------------------------------------------------------------


def _results(node: Node) -> list[Tensor]:
    return [Tensor(apply("item", node, index=index)) for index in range(len(node.results))]


def qr(x: TensorLike, /, *, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """Return q with orthonormal columns and upper triangular r, for which x = q @ r (reduced).

    `mode` is "reduced", or, of matrices with no more rows than columns, where it is the same,
    "complete".
    Signs are LAPACK's. The derivative asks for independent columns, or, of a wide matrix, for
    independent ones in its first square; it raises where the diagonal of r has an exact 0.

    >>> from graphc.frontend import input
    >>> q, r = qr(input((10, 5, 3)))
    >>> q.shape, r.shape
    ((10, 5, 3), (10, 3, 3))
    """
    given = matrices("qr", x)
    if mode not in ("reduced", "complete"):
        message = f'qr: mode is "reduced" or "complete", not {mode!r}'
        fail(GraphcValueError, message, [given.node])
    if mode == "complete" and given.shape[-2] > given.shape[-1]:
        message = f"qr: complete q of matrices with more rows than columns, {given.shape}"
        hint = 'mode="reduced" spans their range'
        fail(GraphcValueError, message, [given.node], hint)
    q, r = _results(apply("qr", given.node))
    return q, r


def svd(x: TensorLike, /, *, full_matrices: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Return u, the singular values s in descending order, and vh: x = (u * s) @ vh (reduced).

    NumPy's `svd(x, full_matrices=False)`, which is the default here; True is refused unless the
    matrices are square, of which both are the same. The signs of the vectors are LAPACK's. The
    derivative of u and vh raises GraphcValueError where two singular values are equal, or one is 0
    and the matrix not square; that of s alone exists.

    >>> from graphc.frontend import input
    >>> u, s, vh = svd(input((10, 5, 3)))
    >>> u.shape, s.shape, vh.shape
    ((10, 5, 3), (10, 3), (10, 3, 3))
    """
    given = matrices("svd", x)
    if full_matrices and given.shape[-2] != given.shape[-1]:
        fail(
            GraphcValueError,
            f"svd: full matrices of a matrix that is not square, {given.shape}",
            [given.node],
            "full_matrices=False: the vectors that it leaves out belong to no singular value",
        )
    u, values, vh = _results(apply("svd", given.node))
    return u, values, vh


def svdvals(x: TensorLike, /) -> Tensor:
    """Return the singular values, in descending order."""
    return svd(x)[1]


def eigh(x: TensorLike, /) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues w, in ascending order, and eigenvectors v: x @ v = v * w.

    x is made symmetric first, as (x + x.T) / 2, and so is its gradient. The signs of the vectors
    are LAPACK's. The derivative of v raises GraphcValueError where two eigenvalues are equal; that
    of w alone exists.

    >>> from graphc.frontend import input
    >>> w, v = eigh(input((10, 3, 3)))
    >>> w.shape, v.shape
    ((10, 3), (10, 3, 3))
    """
    values, vectors = _results(apply("eigh", symmetric("eigh", x).node))
    return values, vectors


def eigvalsh(x: TensorLike, /) -> Tensor:
    """Return the eigenvalues of symmetric matrices, in ascending order; see `eigh`."""
    return eigh(x)[0]


def matrix_rank(x: TensorLike, /, *, rtol: float | None = None) -> Tensor:
    """Return how many singular values are above `rtol` times the greatest, int64; as in `pinv`.

    >>> from graphc.frontend import input
    >>> matrix_rank(input((10, 5, 3))).type
    TensorType(shape=(10,), dtype=graphc.int64)
    """
    given = matrices("matrix_rank", x)
    if 0 in given.shape[-2:]:
        return reductions.sum(given, axis=(-2, -1)).astype("int64")  # of no elements: 0
    values = svdvals(given)
    least = reductions.max(values, axis=-1, keepdims=True) * _tolerance(given.node, rtol)
    return reductions.sum(values > least, axis=-1, dtype="int64")
