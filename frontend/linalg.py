"""Linear algebra over the last two axes of tensors: `graphc.linalg`.

The axes before the last two are a batch. LAPACK computes in one thread while a program runs; what
does not exist for the values at hand raises GraphcValueError with the user's line. Derivatives of
any order.
"""

from __future__ import annotations

from graphc.errors import ShapeError
from graphc.frontend import shapes
from graphc.frontend.operands import apply, as_node, fail
from graphc.frontend.tensor import Tensor, TensorLike

__all__ = ["cholesky"]


def cholesky(x: TensorLike, /, *, upper: bool = False) -> Tensor:
    """Return the triangular L, with a positive diagonal, for which x = L @ L.T (or L.T @ L, upper).

    x is made symmetric first, as (x + x.T) / 2, and so is its gradient. Raises GraphcValueError
    when the program runs where a matrix is not positive definite.

    >>> from graphc.frontend import input
    >>> cholesky(input((10, 3, 3))).shape
    (10, 3, 3)
    """
    node = as_node(x)
    if len(node.shape) < 2 or node.shape[-1] != node.shape[-2]:
        fail(ShapeError, f"cholesky takes square matrices, not {node.shape}", [node])
    given = Tensor(node)
    half = (given + shapes.matrix_transpose(given)) * 0.5
    factor = Tensor(apply("cholesky", half.node))
    return shapes.matrix_transpose(factor) if upper else factor
