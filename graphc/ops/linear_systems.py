"""Solutions, inverses and determinants of matrices over the last two axes; the others are a batch.

LAPACK (through NumPy) computes them when the program runs. `solve` and `inv` raise GraphcValueError
for a matrix with a pivot of exactly 0; the others take singular matrices. Derivatives are those of
M. Giles, "An extended collection of matrix derivative results", 2008, and, for `pinv`, of G. Golub
and V. Pereyra, SIAM J. Numer. Anal. 10, 1973.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.node import Node
from graphc.ops.declare import Array
from graphc.ops.host import host_op
from graphc.ops.linear_algebra import check_square, product, scaled, transposed
from graphc.ops.type_rules import FLOAT, check_kind
from graphc.ops.views import total
from graphc.tensor_type import TensorType


def refusing(message: str, hint: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` with GraphcValueError in the place of NumPy's LinAlgError."""

    def computed(*arrays: Array, **attributes: Any) -> Any:
        try:
            return function(*arrays, **attributes)
        except np.linalg.LinAlgError:
            raise GraphcValueError(message, hint=hint) from None

    return computed


def of_finite(function: Callable[..., Any], read: Callable[[Array], Array]) -> Any:
    """Return `function`, which raises where what it reads of its operand is not all finite.

    LAPACK finds no values then, but for matrices of one or two rows gives some.
    """

    def computed(a: Array, **attributes: Any) -> Any:
        if not np.isfinite(read(a)).all():
            raise np.linalg.LinAlgError
        return function(a, **attributes)

    return computed


_SINGULAR = "add a small multiple of the identity, or use linalg.pinv"

# --- solve and inv -------------------------------------------------------------------------------


def _solve_rule(a: TensorType, b: TensorType) -> TensorType:
    check_square("solve", a)
    if a.dtype is not b.dtype:
        raise GraphcTypeError(
            f"solve takes operands of one dtype, not {a.dtype} and {b.dtype}",
            hint="cast one of them",
        )
    if b.rank != a.rank or b.shape[:-1] != a.shape[:-1]:
        raise ShapeError(f"solve: {a.shape} has no right sides of shape {b.shape}")
    return b


def _solve_derivative(node: Node, cotangent: Node) -> tuple[Node, Node]:
    by_b = solve(transposed(node.inputs[0]), cotangent)
    return -product(by_b, node, b_transposed=True), by_b


solve = host_op(
    "solve",
    ("a", "b"),
    refusing("solve: a matrix is singular", _SINGULAR, np.linalg.solve),
    type_rule=_solve_rule,
    kinds=FLOAT,
    derivative=_solve_derivative,
    summary="the x of a @ x = b",
)


def _inv_rule(a: TensorType) -> TensorType:
    check_square("inv", a)
    return a


def _inv_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    return (-_between(node, cotangent),)


def _between(inverse: Node, middle: Node) -> Node:
    """Return inverse.T @ middle @ inverse.T."""
    return product(product(inverse, middle, a_transposed=True), inverse, b_transposed=True)


inv = host_op(
    "inv",
    ("a",),
    refusing("inv: a matrix is singular", _SINGULAR, np.linalg.inv),
    type_rule=_inv_rule,
    kinds=FLOAT,
    derivative=_inv_derivative,
    summary="the inverses of square matrices",
)

# --- determinants --------------------------------------------------------------------------------


def _det_rule(a: TensorType) -> TensorType:
    check_square("det", a)
    return a.with_shape(a.shape[:-2])


def _det_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    return (scaled(cofactors(node.inputs[0]), cotangent),)


det = host_op(
    "det",
    ("a",),
    np.linalg.det,
    type_rule=_det_rule,
    kinds=FLOAT,
    derivative=_det_derivative,
    summary="the determinants of square matrices",
)


def _cofactors_rule(a: TensorType) -> TensorType:
    check_square("cofactors", a)
    return a


def _cofactors(a: Array) -> Array:
    """Return det(a) * inv(a).T, from the singular values, which may be 0."""
    u, values, vh = np.linalg.svd(a, full_matrices=False)
    ones = np.ones_like(values[..., :1])
    before = np.cumprod(np.concatenate([ones, values], axis=-1), axis=-1)[..., :-1]
    backwards = np.concatenate([ones, values[..., ::-1]], axis=-1)
    after = np.cumprod(backwards, axis=-1)[..., -2::-1]
    sign = np.linalg.det(u) * np.linalg.det(vh)
    found: Array = (u * (sign[..., None] * before * after)[..., None, :]) @ vh
    return found


def _cofactors_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    """Return the derivative where the matrix is regular; `inv` raises where it is not."""
    inverse = inv(node.inputs[0])
    axes = (len(node.shape) - 2, len(node.shape) - 1)
    along = total(cotangent * transposed(inverse), axes)
    turned = _between(inverse, transposed(cotangent))
    return (scaled(node, along) - scaled(turned, det(node.inputs[0])),)


cofactors = host_op(
    "cofactors",
    ("a",),
    refusing("det: LAPACK found no singular values", "look for NaN in the operand", _cofactors),
    type_rule=_cofactors_rule,
    kinds=FLOAT,
    derivative=_cofactors_derivative,
    summary="the cofactors of square matrices, singular ones too: the derivative of det",
)


def _slogdet_rule(a: TensorType) -> tuple[TensorType, TensorType]:
    check_square("slogdet", a)
    return a.with_shape(a.shape[:-2]), a.with_shape(a.shape[:-2])


def _slogdet_derivative(node: Node, cotangents: tuple[Node | None, Node | None]) -> tuple[Any]:
    by_logarithm = cotangents[1]
    if by_logarithm is None:
        return (None,)
    return (scaled(transposed(inv(node.inputs[0])), by_logarithm),)


slogdet = host_op(
    "slogdet",
    ("a",),
    np.linalg.slogdet,
    type_rule=_slogdet_rule,
    kinds=FLOAT,
    derivative=_slogdet_derivative,
    summary="the sign of the determinant, 0 if singular, and the logarithm of its magnitude",
)

# --- pinv ----------------------------------------------------------------------------------------


def _pinv_rule(a: TensorType, rtol: float) -> TensorType:
    check_kind("pinv", a.dtype, FLOAT)
    if a.rank < 2:
        raise ShapeError(f"pinv takes matrices, not {a.shape}")
    return a.with_shape((*a.shape[:-2], a.shape[-1], a.shape[-2]))


def _pinv(a: Array, rtol: float) -> Array:
    return np.linalg.pinv(a, rcond=np.asarray(rtol, a.dtype))


def _pinv_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    """Return the derivative among matrices of the same rank."""
    a, turned = node.inputs[0], transposed(cotangent)
    inside = product(product(node, cotangent, a_transposed=True), node, b_transposed=True)
    left = product(product(turned, node), node, b_transposed=True)
    right = product(node, product(node, turned), a_transposed=True)
    left = left - product(a, product(node, left))
    right = right - product(product(right, node), a)
    return (left + right - inside,)


pinv = host_op(
    "pinv",
    ("a",),
    refusing(
        "pinv: LAPACK found no singular values",
        "look for NaN or infinity in the operand",
        of_finite(_pinv, np.asarray),
    ),
    attributes=("rtol",),
    type_rule=_pinv_rule,
    kinds=FLOAT,
    derivative=_pinv_derivative,
    summary="the pseudo-inverses of matrices; singular values up to rtol times the greatest are 0",
)
