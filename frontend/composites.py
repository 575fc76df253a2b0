"""Functions of machine learning, written as compositions of ops: activations, softmax,
normalisation.

Each is stable for large inputs. float16 and bfloat16 operands are converted to float32, computed,
and rounded once at the end. Integers become float64. Where a maximum is subtracted for stability it
is a constant to differentiation: its share of the gradient is zero.
"""

from __future__ import annotations

import math
from typing import SupportsIndex

from graphc import ops
from graphc.dtypes import DType, float64
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import elementwise, reductions
from graphc.frontend.operands import (
    as_node,
    broadcast_shapes,
    cast,
    fail,
    normalise_axes,
)
from graphc.frontend.tensor import AxisLike, Tensor, TensorLike

__all__ = [
    "elu", "gelu", "layer_norm", "leaky_relu", "log_sigmoid", "log_softmax", "relu", "silu",
    "softmax", "softplus",
]  # fmt: skip


def as_float(x: TensorLike) -> tuple[Tensor, DType]:
    """Return x in the float type to compute in, and the dtype of the result."""
    node = as_node(x)
    result = node.type.dtype if node.type.dtype.is_float else float64
    return Tensor(cast(node, result.compute)), result


def relu(x: TensorLike) -> Tensor:
    """Return x where it is positive, else 0; NaN stays NaN. The gradient at 0 is 0.

    >>> from graphc.frontend import input
    >>> relu(input((2, 3))).shape
    (2, 3)
    """
    tensor = Tensor(as_node(x))
    return elementwise.where(tensor <= 0, 0, tensor)


def leaky_relu(x: TensorLike, negative_slope: float = 0.01) -> Tensor:
    """Return x where it is at least 0, else `negative_slope * x`."""
    wide, result = as_float(x)
    return elementwise.where(wide >= 0, wide, wide * negative_slope).astype(result)


def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, else `alpha * (exp(x) - 1)`; source: arXiv:1511.07289."""
    wide, result = as_float(x)
    # The exponential sees no positive number: its overflow would turn the gradient into NaN.
    negative = elementwise.where(wide > 0, 0, wide)
    return elementwise.where(wide > 0, wide, alpha * elementwise.expm1(negative)).astype(result)


def silu(x: TensorLike) -> Tensor:
    """Return `x * sigmoid(x)`, also called swish; -0.0 at minus infinity, its limit."""
    wide, result = as_float(x)
    wide = _where_not_vanishing(wide)
    return (wide * elementwise.sigmoid(wide)).astype(result)


def _where_not_vanishing(x: Tensor) -> Tensor:
    """Return x, but -1000 below it, where silu and gelu vanish: infinity times zero is NaN."""
    return elementwise.where(x < -1000, -1000, x)


def gelu(x: TensorLike, approximate: str = "none") -> Tensor:
    """Return x times the normal distribution function at x; source: arXiv:1606.08415.

    `approximate="none"` is exact, in float32 to 2 ULP, `"tanh"` the paper's approximation, within
    5e-4 of it. -0.0 at minus infinity. Below about -4 the sum 1 + tanh cancels: the error of "tanh"
    is small against 1, not against the result.

    >>> from graphc.frontend import input
    >>> gelu(input((2, 3)), approximate="tanh").shape
    (2, 3)
    """
    wide, result = as_float(x)
    if approximate == "none":
        return Tensor(ops.gelu(wide.node)).astype(result)
    if approximate == "tanh":
        wide = _where_not_vanishing(wide)
        inner = wide * (1 + 0.044715 * elementwise.square(wide))
        share = 1 + elementwise.tanh(inner * math.sqrt(2 / math.pi))
        return (0.5 * wide * share).astype(result)
    fail(GraphcValueError, f'gelu: approximate is "none" or "tanh", not {approximate!r}')


def softplus(x: TensorLike) -> Tensor:
    """Return log(1 + exp(x)) without overflow."""
    wide, result = as_float(x)
    return elementwise.logaddexp(wide, 0).astype(result)


def log_sigmoid(x: TensorLike) -> Tensor:
    """Return log(sigmoid(x)) without underflow."""
    return -softplus(-Tensor(as_node(x)))


def softmax(x: TensorLike, axis: AxisLike = -1) -> Tensor:
    """Return exp(x) divided by its sum over `axis`, stable for large x.

    NaN where all elements are -inf, or one is inf or NaN.

    >>> from graphc.frontend import input
    >>> softmax(input((64, 10))).type
    TensorType(shape=(64, 10), dtype=graphc.float32)
    """
    wide, result = as_float(x)
    if not wide.size:
        return wide.astype(result)
    powers = elementwise.exp(_below_maximum("softmax", wide, axis))
    # the sum is 1 or more: its reciprocal costs a rounding, and saves a division for each element
    share = elementwise.reciprocal(reductions.sum(powers, axis, keepdims=True))
    return (powers * share).astype(result)


def log_softmax(x: TensorLike, axis: AxisLike = -1) -> Tensor:
    """Return log(softmax(x)) without underflow."""
    wide, result = as_float(x)
    if not wide.size:
        return wide.astype(result)
    below = _below_maximum("log_softmax", wide, axis)
    total = reductions.sum(elementwise.exp(below), axis, keepdims=True)
    return (below - elementwise.log(total)).astype(result)


def _below_maximum(name: str, x: Tensor, axis: AxisLike) -> Tensor:
    normalise_axes(name, axis, x.ndim, x.node)
    return x - elementwise.stop_gradient(reductions.max(x, axis, keepdims=True))


def layer_norm(
    x: TensorLike,
    scale: TensorLike | None = None,
    bias: TensorLike | None = None,
    axis: SupportsIndex | tuple[SupportsIndex, ...] = -1,
    epsilon: float = 1e-5,
) -> Tensor:
    """Return x with mean 0 and variance 1 over `axis`, times `scale`, plus `bias`.

    `scale` and `bias` broadcast to x. `epsilon` is added to the variance. Source: arXiv:1607.06450.
    Raises ShapeError where scale or bias does not fit.

    >>> from graphc.frontend import input
    >>> layer_norm(input((8, 16)), scale=input((16,)), bias=input((16,))).shape
    (8, 16)
    """
    wide, result = as_float(x)
    normalise_axes("layer_norm", axis, wide.ndim, wide.node)
    distance = wide - reductions.mean(wide, axis, keepdims=True)
    variance = reductions.mean(elementwise.square(distance), axis, keepdims=True)
    answer = distance * elementwise.reciprocal(elementwise.sqrt(variance + epsilon))
    if scale is not None:
        answer = answer * _fitting("scale", scale, answer)
    if bias is not None:
        answer = answer + _fitting("bias", bias, answer)
    return answer.astype(result)


def _fitting(name: str, parameter: TensorLike, x: Tensor) -> Tensor:
    """Return a parameter in the dtype of x; it may widen x in no way."""
    node = as_node(parameter)
    try:
        fits = broadcast_shapes(node.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        fail(
            ShapeError,
            f"layer_norm: the {name} of shape {node.shape} does not broadcast to {x.shape}",
            [node, x.node],
        )
    if not node.type.dtype.is_float:
        fail(GraphcTypeError, f"layer_norm: the {name} is {node.type.dtype}, not a float", [node])
    return Tensor(cast(node, x.dtype))
