"""Norms of vectors and matrices, with the names of the array API and `norm` of NumPy.

Sums of squares and of powers are taken as they stand, without scaling: they overflow where the
square of an element does. The gradient at the origin is 0, a subgradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend import elementwise, reductions, shapes
from graphc.frontend.matrices import matrices
from graphc.frontend.operands import apply, as_node, fail, normalise_axes
from graphc.frontend.tensor import AxisLike, Tensor, TensorLike

MatrixOrder: TypeAlias = 'float | Literal["fro", "nuc"]'


def vector_norm(
    x: TensorLike, /, *, axis: AxisLike = None, keepdims: bool = False, ord: float = 2
) -> Tensor:
    """Return the norm over `axis`, by default over all: (sum of |x|**ord) ** (1 / ord).

    inf and -inf give the greatest and the least magnitude, 0 the number of elements other than 0.

    >>> from graphc.frontend import input
    >>> vector_norm(input((10, 3)), axis=-1).shape
    (10,)
    """
    node = as_node(x)
    if node.type.dtype.is_complex:
        node = elementwise.abs(Tensor(node)).node
    if not node.type.dtype.is_float:
        hint = "convert them: x.astype(graphc.float32)"
        fail(GraphcTypeError, f"vector_norm takes floats, not {node.type.dtype}", [node], hint)
    axes = normalise_axes("vector_norm", axis, len(node.shape), node)
    given = Tensor(node)
    if math.isinf(ord):
        extreme = reductions.max if ord > 0 else reductions.min
        return extreme(elementwise.abs(given), axis=axes, keepdims=keepdims)
    if ord == 0:
        others = elementwise.astype(elementwise.not_equal(given, 0), node.type.dtype)
        return reductions.sum(others, axis=axes, keepdims=keepdims)
    if ord == 1:
        return reductions.sum(elementwise.abs(given), axis=axes, keepdims=keepdims)
    if ord == 2:
        return _root(reductions.sum(given * given, axis=axes, keepdims=keepdims), 2)
    powers = elementwise.abs(given) ** float(ord)
    return _root(reductions.sum(powers, axis=axes, keepdims=keepdims), ord)


def _root(total: Tensor, degree: float) -> Tensor:
    """Return total ** (1 / degree), whose derivative at 0 is taken as 0 for degree > 0."""
    if degree < 0:
        return total ** (1 / degree)
    is_zero = elementwise.equal(total, 0)
    safe = elementwise.where(is_zero, 1, total)
    root = elementwise.sqrt(safe) if degree == 2 else safe ** (1 / degree)
    return elementwise.where(is_zero, 0, root)


def matrix_norm(x: TensorLike, /, *, keepdims: bool = False, ord: MatrixOrder = "fro") -> Tensor:
    """Return the norm of each matrix: "fro" (Frobenius), "nuc" (the sum of the singular values),
    2 and -2 (the greatest and least of them), 1, -1, inf, -inf (of sums of columns and rows).

    >>> from graphc.frontend import input
    >>> matrix_norm(input((10, 3, 4)), ord="nuc").shape
    (10,)
    """
    given = matrices("matrix_norm", x)
    if ord == "fro":
        return vector_norm(given, axis=(-2, -1), keepdims=keepdims)
    if ord in ("nuc", 2, -2):
        return _of_singular_values(given, ord, keepdims)
    if ord not in (1, -1, math.inf, -math.inf):
        known = '"fro", "nuc", 1, -1, 2, -2, inf and -inf'
        fail(GraphcValueError, f"matrix_norm: ord is one of {known}, not {ord!r}", [given.node])
    summed, left = (-2, -1) if abs(float(ord)) == 1 else (-1, -2)
    sums = reductions.sum(elementwise.abs(given), axis=summed, keepdims=True)
    extreme = reductions.max if float(ord) > 0 else reductions.min
    found = extreme(sums, axis=left, keepdims=True)
    return found if keepdims else shapes.squeeze(found, (-2, -1))


def _of_singular_values(x: Tensor, ord: MatrixOrder, keepdims: bool) -> Tensor:
    values = Tensor(apply("item", apply("svd", x.node), index=1))
    combines: dict[MatrixOrder, Callable[..., Tensor]]
    combines = {"nuc": reductions.sum, 2: reductions.max, -2: reductions.min}
    found = combines[ord](values, axis=-1)
    return shapes.expand_dims(found, (-2, -1)) if keepdims else found


def norm(
    x: TensorLike, ord: MatrixOrder | None = None, axis: AxisLike = None, keepdims: bool = False
) -> Tensor:
    """Return NumPy's norm: of all elements without `ord`, else of vectors or matrices (two axes).

    >>> from graphc.frontend import input
    >>> norm(input((10, 3, 4)), "nuc", axis=(1, 2)).shape
    (10,)
    """
    node = as_node(x)
    if ord is None:
        return vector_norm(Tensor(node), axis=axis, keepdims=keepdims)
    axes = tuple(range(len(node.shape))) if axis is None else axis
    pair = axes if isinstance(axes, tuple | list) else (axes,)
    if len(pair) == 1 and not isinstance(ord, str):
        return vector_norm(Tensor(node), axis=tuple(pair), keepdims=keepdims, ord=ord)
    if len(pair) != 2:
        fail(GraphcValueError, f"norm: ord={ord!r} of {len(pair)} axes", [node], "name the axes")
    last = shapes.moveaxis(Tensor(node), tuple(pair), (-2, -1))
    found = matrix_norm(last, keepdims=keepdims, ord=ord)
    return shapes.moveaxis(found, (-2, -1), tuple(pair)) if keepdims else found
