"""Discrete Fourier transforms: whole, and of real signals the half that says it all.

NumPy computes them when the program runs, float32 in float32. `norm` says where the factor 1/n is:
"backward" in the inverse, "forward" in the transform, "ortho" its square root in both. A transform
has the length of its axes; `irfft` alone is told it, since a half belongs to two lengths. A
transform is linear and symmetric, so its derivative is the inverse with the factor at the other
place. Of the half of a transform each number but the ends stands for two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import GraphcTypeError, ShapeError
from graphc.node import ArrayData, Node
from graphc.op import Op
from graphc.ops.conversion import cast
from graphc.ops.declare import Array
from graphc.ops.host import host_op
from graphc.ops.leaves import constant
from graphc.ops.type_rules import COMPLEX, FLOAT, check_axes, check_axis, check_kind
from graphc.ops.views import broadcast_to, reshaped
from graphc.tensor_type import TensorType

Axes = tuple[int, ...]
# The factor of the transpose of a transform: that of the inverse, which goes the other way.
TRANSPOSED = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _check(name: str, shape: tuple[int, ...], axes: Axes, norm: str) -> None:
    if norm not in TRANSPOSED:
        raise GraphcTypeError(f"{name}: norm is one of {', '.join(TRANSPOSED)}, not {norm!r}")
    empty = [axis for axis in axes if shape[axis] == 0]
    if empty:
        raise ShapeError(f"{name}: axis {empty[0]} of {shape} has no elements")


# --- complex to complex --------------------------------------------------------------------------


def _whole_rule(name: str) -> Any:
    def rule(x: TensorType, axes: Axes, norm: str) -> TensorType:
        check_kind(name, x.dtype, COMPLEX)
        check_axes(name, axes, x.rank)
        _check(name, x.shape, axes, norm)
        return x

    return rule


def _over_axes(along: Callable[..., Any], over: Callable[..., Any]) -> Callable[..., Any]:
    """Make the reference of NumPy's transforms along one axis, which is quicker, and over many."""

    def reference(x: Array, axes: Axes, norm: str) -> Any:
        if len(axes) == 1:
            return along(x, axis=axes[0], norm=norm)
        return over(x, axes=axes, norm=norm) if axes else x

    return reference


def _fft_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    attributes = node.attributes
    return (ifft(cotangent, axes=attributes["axes"], norm=TRANSPOSED[attributes["norm"]]),)


def _ifft_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    attributes = node.attributes
    return (fft(cotangent, axes=attributes["axes"], norm=TRANSPOSED[attributes["norm"]]),)


fft: Op = host_op(
    "fft",
    ("x",),
    _over_axes(np.fft.fft, np.fft.fftn),
    attributes=("axes", "norm"),
    type_rule=_whole_rule("fft"),
    kinds=COMPLEX,
    derivative=_fft_derivative,
    summary="the discrete Fourier transform over axes",
)
ifft: Op = host_op(
    "ifft",
    ("x",),
    _over_axes(np.fft.ifft, np.fft.ifftn),
    attributes=("axes", "norm"),
    type_rule=_whole_rule("ifft"),
    kinds=COMPLEX,
    derivative=_ifft_derivative,
    summary="the inverse of the discrete Fourier transform over axes",
)

# --- real signals --------------------------------------------------------------------------------


def _real_rule(x: TensorType, axis: int, norm: str) -> TensorType:
    check_kind("rfft", x.dtype, FLOAT)
    check_axis("rfft", axis, x.rank)
    _check("rfft", x.shape, (axis,), norm)
    return TensorType(_with(x.shape, axis, x.shape[axis] // 2 + 1), x.dtype.complex)


def _half_rule(x: TensorType, axis: int, norm: str, n: int) -> TensorType:
    check_kind("irfft", x.dtype, COMPLEX)
    check_axis("irfft", axis, x.rank)
    _check("irfft", x.shape, (axis,), norm)
    if n < 1 or x.shape[axis] != n // 2 + 1:
        raise ShapeError(f"irfft: {x.shape[axis]} numbers are no half of a transform of {n}")
    return TensorType(_with(x.shape, axis, n), x.dtype.real)


def _with(shape: tuple[int, ...], axis: int, extent: int) -> tuple[int, ...]:
    return (*shape[:axis], extent, *shape[axis + 1 :])


def _rfft_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    x, axis = node.inputs[0], node.attributes["axis"]
    n, norm = x.shape[axis], TRANSPOSED[node.attributes["norm"]]
    once = cotangent * _weights(cotangent, axis, n, 0.5)
    pulled = irfft(once, axis=axis, norm=norm, n=n)
    same = pulled.type.dtype is x.type.dtype
    return (pulled if same else cast(pulled, dtype=x.type.dtype),)


def _irfft_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    axis, n = node.attributes["axis"], node.attributes["n"]
    half = rfft(cotangent, axis=axis, norm=TRANSPOSED[node.attributes["norm"]])
    return (half * _weights(half, axis, n, 2.0),)


def _weights(half: Node, axis: int, n: int, inner: float) -> Node:
    """Return 1 for the numbers of a half that stand for themselves, and `inner` for the others."""
    weights = np.full(half.shape[axis], inner)
    weights[0] = 1.0
    if n % 2 == 0:
        weights[-1] = 1.0
    row = constant(value=ArrayData(weights.astype(half.type.dtype.numpy)))
    column = reshaped(row, _with((1,) * len(half.shape), axis, len(weights)))
    return broadcast_to(column, shape=half.shape)


rfft: Op = host_op(
    "rfft",
    ("x",),
    lambda x, axis, norm: np.fft.rfft(x, axis=axis, norm=norm),
    attributes=("axis", "norm"),
    type_rule=_real_rule,
    kinds=FLOAT,
    derivative=_rfft_derivative,
    summary="the first half of the discrete Fourier transform of real numbers along an axis",
)
irfft: Op = host_op(
    "irfft",
    ("x",),
    lambda x, axis, norm, n: np.fft.irfft(x, n=n, axis=axis, norm=norm),
    attributes=("axis", "norm", "n"),
    type_rule=_half_rule,
    kinds=COMPLEX,
    derivative=_irfft_derivative,
    summary="the n real numbers of which rfft gives this half",
)
