"""QR, singular values and symmetric eigenvalues, over the last two axes; the others are a batch.

LAPACK (through NumPy) computes them when the program runs, with its choice of signs. Derivatives
are those of M. Seeger and others, arXiv:1710.08717, and of J. Townsend, "Differentiating the
singular value decomposition", 2016. Those of singular vectors and eigenvectors do not exist where
two values are equal; then `reciprocal_gaps` raises GraphcValueError. Those of the values alone are
there at any values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.arithmetic import filled, zeros_like
from graphc.errors import GraphcValueError, ShapeError
from graphc.node import Node
from graphc.ops.concatenation import concat
from graphc.ops.declare import Array
from graphc.ops.host import host_op
from graphc.ops.linear_algebra import (
    check_square,
    columns_scaled,
    identities,
    product,
    rows_scaled,
    solve_triangular,
    transposed,
    triangle,
)
from graphc.ops.linear_systems import of_finite, refusing
from graphc.ops.loops import items
from graphc.ops.type_rules import FLOAT, check_kind
from graphc.ops.views import broadcast_to, cut, reshaped, total
from graphc.tensor_type import TensorType

Cotangents = tuple[Node | None, ...]

_NOT_FINITE = "look for NaN or infinity in the operand"


def _check_matrices(name: str, a: TensorType) -> None:
    check_kind(name, a.dtype, FLOAT)
    if a.rank < 2:
        raise ShapeError(f"{name} takes matrices, not {a.shape}")


def _sum(nodes: Sequence[Node]) -> Node:
    first, *others = nodes
    for other in others:
        first = first + other
    return first


# --- gaps between values -------------------------------------------------------------------------


def _gaps_rule(values: TensorType) -> TensorType:
    check_kind("reciprocal_gaps", values.dtype, FLOAT)
    if not values.rank:
        raise ShapeError("reciprocal_gaps takes vectors, not a scalar")
    return values.with_shape((*values.shape, values.shape[-1]))


def _gaps(values: Array) -> Array:
    gaps = values[..., None, :] - values[..., :, None]
    own = np.eye(values.shape[-1], dtype=bool)
    if not np.all((gaps != 0) | own):
        raise GraphcValueError(
            "singular vectors or eigenvectors have no derivative here: two values are equal",
            hint="that of the values alone exists; vectors of equal values may turn at will",
        )
    return np.where(own, 0, 1 / np.where(own, 1, gaps))


def _gaps_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    pulled, last = cotangent * node * node, len(node.shape) - 1
    return (total(pulled, (last,)) - total(pulled, (last - 1,)),)


reciprocal_gaps = host_op(
    "reciprocal_gaps",
    ("values",),
    _gaps,
    type_rule=_gaps_rule,
    kinds=FLOAT,
    derivative=_gaps_derivative,
    summary="1 / (values[j] - values[i]) at i, j and 0 on the diagonal; refuses equal values",
)

# --- QR ------------------------------------------------------------------------------------------


def _qr_rule(a: TensorType) -> tuple[TensorType, TensorType]:
    _check_matrices("qr", a)
    *batch, rows, columns = a.shape
    least = min(rows, columns)
    return a.with_shape((*batch, rows, least)), a.with_shape((*batch, least, columns))


def _qr_derivative(node: Node, cotangents: Cotangents) -> tuple[Node]:
    """Return the derivative; the columns of a wide matrix after the square are q.T @ a."""
    q, r = items(node)
    by_q = cotangents[0] or zeros_like(q)
    by_r = cotangents[1] or zeros_like(r)
    *batch, rows, columns = node.inputs[0].shape
    if columns <= rows:
        return (_tall(q, r, by_q, by_r),)
    start, zeros = (*(0 for _ in batch), 0, rows), (0,) * len(node.inputs[0].shape)
    square, rest = (*batch, rows, rows), (*batch, rows, columns - rows)
    by_rest = cut(by_r, start, rest)
    by_q = by_q + product(cut(node.inputs[0], start, rest), by_rest, b_transposed=True)
    first = _tall(q, cut(r, zeros, square), by_q, cut(by_r, zeros, square))
    return (concat(first, product(q, by_rest), axis=len(batch) + 1),)


def _tall(q: Node, r: Node, by_q: Node, by_r: Node) -> Node:
    both = product(r, by_r, b_transposed=True) - product(by_q, q, a_transposed=True)
    strict = triangle(both, lower=True, diagonal=-1)
    symmetric = triangle(both, lower=True) + transposed(strict)
    full = by_q + product(q, symmetric)
    return transposed(solve_triangular(r, transposed(full), lower=False, transposed=False))


qr = host_op(
    "qr",
    ("a",),
    np.linalg.qr,
    type_rule=_qr_rule,
    kinds=FLOAT,
    derivative=_qr_derivative,
    summary="q with orthonormal columns and upper triangular r, for which a = q @ r",
)

# --- singular values -----------------------------------------------------------------------------


def _svd_rule(a: TensorType) -> tuple[TensorType, TensorType, TensorType]:
    _check_matrices("svd", a)
    *batch, rows, columns = a.shape
    least = min(rows, columns)
    shapes = (*batch, rows, least), (*batch, least), (*batch, least, columns)
    first, second, third = (a.with_shape(shape) for shape in shapes)
    return first, second, third


def _svd(a: Array) -> tuple[Array, Array, Array]:
    u, values, vh = np.linalg.svd(a, full_matrices=False)
    return u, values, vh


def _svd_derivative(node: Node, cotangents: Cotangents) -> tuple[Node]:
    u, values, vh = items(node)
    by_u, by_values, by_vh = cotangents
    inner: list[Node] = []
    outer: list[Node] = []
    if by_values is not None:
        inner.append(_diagonal_matrices(by_values))
    if by_u is not None or by_vh is not None:
        gaps, reciprocals = _svd_gaps(node.inputs[0], values)
        if by_u is not None:
            along = product(u, by_u, a_transposed=True)
            inner.append(columns_scaled(_skew(along) * gaps, values))
            if reciprocals is not None and u.shape[-2] > u.shape[-1]:
                rest = by_u - product(u, along)
                outer.append(product(columns_scaled(rest, reciprocals), vh))
        if by_vh is not None:
            along = product(vh, by_vh, b_transposed=True)
            inner.append(rows_scaled(_skew(along) * gaps, values))
            if reciprocals is not None and vh.shape[-1] > vh.shape[-2]:
                rest = by_vh - product(along, vh, a_transposed=True)
                outer.append(product(u, rows_scaled(rest, reciprocals)))
    return (_sum([product(product(u, _sum(inner)), vh), *outer]),)


def _svd_gaps(a: Node, values: Node) -> tuple[Node, Node | None]:
    """Return 1 / (s[j]**2 - s[i]**2), and 1 / s for matrices that are not square.

    What such a matrix maps to 0 has the singular value 0, so its gaps are asked for like others.
    """
    *batch, rows, columns = a.shape
    count, zeros = values.shape[-1], (0,) * (len(batch) + 2)
    if rows == columns:
        found, reciprocals = reciprocal_gaps(values), None
    else:
        end = filled(values.type.with_shape((*batch, 1)), 0)
        wide = reciprocal_gaps(concat(values, end, axis=len(batch)))
        found = cut(wide, zeros, (*batch, count, count))
        last = cut(wide, (*zeros[:-2], count, 0), (*batch, 1, count))
        reciprocals = reshaped(last, values.shape)
    ones = filled(found.type, 1)
    sums = columns_scaled(ones, values) + rows_scaled(ones, values) + identities(found)
    return found / sums, reciprocals


def _skew(a: Node) -> Node:
    return a - transposed(a)


def _diagonal_matrices(values: Node) -> Node:
    column = reshaped(values, (*values.shape, 1))
    full = broadcast_to(column, shape=(*values.shape, values.shape[-1]))
    return triangle(triangle(full, lower=True), lower=False)


svd = host_op(
    "svd",
    ("a",),
    refusing("svd: LAPACK found no singular values", _NOT_FINITE, of_finite(_svd, np.asarray)),
    type_rule=_svd_rule,
    kinds=FLOAT,
    derivative=_svd_derivative,
    summary="u, the singular values in descending order, and vh, for which a = u @ diag(s) @ vh",
)

# --- symmetric eigenvalues -----------------------------------------------------------------------


def _eigh_rule(a: TensorType) -> tuple[TensorType, TensorType]:
    check_square("eigh", a)
    return a.with_shape(a.shape[:-1]), a


def _eigh_derivative(node: Node, cotangents: Cotangents) -> tuple[Node]:
    """Return the cotangent of the lower triangle, which is all that is read."""
    values, vectors = items(node)
    by_values, by_vectors = cotangents
    inner: list[Node] = []
    if by_values is not None:
        inner.append(_diagonal_matrices(by_values))
    if by_vectors is not None:
        along = product(vectors, by_vectors, a_transposed=True)
        inner.append(along * reciprocal_gaps(values))
    full = product(product(vectors, _sum(inner)), vectors, b_transposed=True)
    diagonal = triangle(triangle(full, lower=True), lower=False)
    return (triangle(full + transposed(full), lower=True) - diagonal,)


eigh = host_op(
    "eigh",
    ("a",),
    refusing("eigh: LAPACK found no eigenvalues", _NOT_FINITE, of_finite(np.linalg.eigh, np.tril)),
    type_rule=_eigh_rule,
    kinds=FLOAT,
    derivative=_eigh_derivative,
    summary="the eigenvalues in ascending order and the eigenvectors, from the lower triangles",
)
