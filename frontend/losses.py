"""Losses of numbers, of margins and of directions; those of classes are in `class_losses`.

A loss is a scalar that training makes small. Shapes must match exactly: a loss that broadcasts is
nearly always a mistake. `reduction` is "mean" or "sum" over all losses, or "none". 16-bit floats
are computed in float32 and rounded once. Each is finite wherever its limit is, infinite operands
included, and so are its derivatives.
"""

from __future__ import annotations

import math
from typing import SupportsIndex

from graphc.dtypes import DType
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import elementwise, reductions
from graphc.frontend.composites import as_float, softplus
from graphc.frontend.operands import as_node, broadcast_shapes, cast, fail, normalise_axis, promote
from graphc.frontend.tensor import Tensor, TensorLike

__all__ = [
    "binary_cross_entropy_with_logits", "cosine_embedding", "cosine_similarity", "hinge", "huber",
    "mae", "mse",
]  # fmt: skip


def reduce(name: str, losses: Tensor, reduction: str) -> Tensor:
    """Return losses as `reduction` says; raises GraphcValueError for what is none."""
    if reduction == "none":
        return losses
    if reduction not in ("mean", "sum"):
        fail(GraphcValueError, f'{name}: reduction is "mean", "sum" or "none", not {reduction!r}')
    return reductions.mean(losses) if reduction == "mean" else reductions.sum(losses)


def positive(name: str, what: str, number: float, least: float = 0.0) -> float:
    """Return a setting of a loss, a Python number; raise unless it is at least `least`."""
    if not isinstance(number, int | float):
        fail(GraphcTypeError, f"{name}: {what} is a number, not {number!r}")
    if not number >= least:
        fail(GraphcValueError, f"{name}: {what} is {number}, which is less than {least}")
    return float(number)


def _pair(
    name: str, predictions: TensorLike, targets: TensorLike, words: str = "predictions targets"
) -> tuple[Tensor, Tensor, DType]:
    """Return both in the type to compute in, and the dtype of the result."""
    a, b = as_node(predictions), as_node(targets)
    if a.shape != b.shape:
        one, other = words.split()
        fail(
            ShapeError,
            f"{name}: {one} {a.shape} and {other} {b.shape} differ in shape",
            [a, b],
            "reshape or squeeze one of them; they are not broadcast",
        )
    wide = [as_float(Tensor(node)) for node in promote(Tensor(a), Tensor(b))]
    return wide[0][0], wide[1][0], wide[0][1]


def mse(predictions: TensorLike, targets: TensorLike, reduction: str = "mean") -> Tensor:
    """Return the squared difference of `predictions` and `targets`, by default its mean.

    Raises ShapeError unless both have one shape.

    >>> from graphc.frontend import input
    >>> mse(input((8, 1)), input((8, 1))).shape
    ()
    """
    a, b, result = _pair("mse", predictions, targets)
    return reduce("mse", elementwise.square(a - b), reduction).astype(result)


def mae(predictions: TensorLike, targets: TensorLike, reduction: str = "mean") -> Tensor:
    """Return the magnitude of the difference, by default its mean; the gradient at 0 is 0.

    >>> from graphc.frontend import input
    >>> mae(input((8, 1)), input((8, 1))).shape
    ()
    """
    a, b, result = _pair("mae", predictions, targets)
    return reduce("mae", elementwise.abs(a - b), reduction).astype(result)


def huber(
    predictions: TensorLike, targets: TensorLike, delta: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """Return d**2 / 2 of a difference d up to `delta`, beyond it the tangent to that.

    Source: Huber 1964. With `delta=1` it is also called the smooth absolute error.

    >>> from graphc.frontend import input
    >>> huber(input((8, 1)), input((8, 1)), reduction="none").shape
    (8, 1)
    """
    a, b, result = _pair("huber", predictions, targets)
    limit = positive("huber", "delta", delta)
    difference = a - b
    inside = elementwise.clip(difference, -limit, limit)
    losses = inside * (difference - 0.5 * inside)
    return reduce("huber", losses, reduction).astype(result)


def binary_cross_entropy_with_logits(
    logits: TensorLike,
    targets: TensorLike,
    positive_weight: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return the cross entropy of `targets`, 0 … 1, under the probabilities sigmoid(logits).

    Losses of positives are multiplied by `positive_weight`, which broadcasts to the logits. Bool
    and integer targets count as floats. Exact for logits of any size; where a target is 0 or 1 the
    infinite logit of that side has the loss 0.

    >>> from graphc.frontend import input
    >>> binary_cross_entropy_with_logits(input((8, 3)), input((8, 3), "bool")).type
    TensorType(shape=(), dtype=graphc.float32)
    """
    name = "binary_cross_entropy_with_logits"
    scores, given = as_node(logits), as_node(targets)
    if scores.type.dtype.is_float and not given.type.dtype.is_float:
        given = cast(given, scores.type.dtype)
    z, y, result = _pair(name, Tensor(scores), Tensor(given), "logits targets")
    gain = y if positive_weight is None else y * _fitting(name, positive_weight, y)
    losses = _weighted(gain, -z) + _weighted(1 - y, z)
    return reduce(name, losses, reduction).astype(result)


def _weighted(weight: Tensor, z: Tensor) -> Tensor:
    """Return weight * softplus(z), and 0 for a weight of 0 at infinity."""
    is_nothing = (weight == 0) & (z == math.inf)
    return weight * softplus(elementwise.where(is_nothing, 0, z))


def _fitting(name: str, weight: TensorLike, x: Tensor) -> Tensor:
    node = as_node(weight, x.dtype)
    try:
        fits = broadcast_shapes(node.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        fail(ShapeError, f"{name}: weights {node.shape} do not broadcast to {x.shape}", [node])
    return Tensor(node)


def hinge(
    scores: TensorLike, targets: TensorLike, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """Return max(0, margin - target * score) for targets of -1 and 1, by default the mean.

    >>> from graphc.frontend import input
    >>> hinge(input((8,)), input((8,))).shape
    ()
    """
    x, y, result = _pair("hinge", scores, targets, "scores targets")
    losses = elementwise.maximum(positive("hinge", "the margin", margin) - y * x, 0)
    return reduce("hinge", losses, reduction).astype(result)


def cosine_similarity(
    x: TensorLike, y: TensorLike, axis: SupportsIndex = -1, epsilon: float = 1e-8
) -> Tensor:
    """Return the cosine of the angle between vectors along `axis`; lengths count as at least
    `epsilon`.

    No loss: -1 for opposite vectors, 1 for parallel ones, 0 where one is 0.

    >>> from graphc.frontend import input
    >>> cosine_similarity(input((8, 3)), input((8, 3))).shape
    (8,)
    """
    a, b, result = _pair("cosine_similarity", x, y, "vectors vectors")
    return _cosine("cosine_similarity", a, b, axis, epsilon).astype(result)


def _cosine(name: str, a: Tensor, b: Tensor, axis: SupportsIndex, epsilon: float) -> Tensor:
    place = normalise_axis(name, axis, a.ndim, a.node)
    least = positive(name, "epsilon", epsilon) ** 2

    def length(vectors: Tensor) -> Tensor:
        squares = reductions.sum(elementwise.square(vectors), place)
        return elementwise.sqrt(elementwise.maximum(squares, least))

    return reductions.sum(a * b, place) / (length(a) * length(b))


def cosine_embedding(  # what PyTorch's has, by name
    x: TensorLike,
    y: TensorLike,
    targets: TensorLike,
    margin: float = 0.0,
    axis: SupportsIndex = -1,
    reduction: str = "mean",
) -> Tensor:
    """Return 1 - cosine for pairs of target 1, max(0, cosine - margin) for those of target -1.

    `targets` has the shape of the vectors without `axis`.

    >>> from graphc.frontend import input
    >>> cosine_embedding(input((8, 3)), input((8, 3)), input((8,))).shape
    ()
    """
    name = "cosine_embedding"
    a, b, result = _pair(name, x, y, "vectors vectors")
    cosine = _cosine(name, a, b, axis, 1e-8)
    wanted = as_node(targets)
    if wanted.shape != cosine.shape:
        fail(ShapeError, f"{name}: targets {wanted.shape} for pairs {cosine.shape}", [wanted])
    apart = elementwise.maximum(cosine - positive(name, "the margin", margin, -1.0), 0)
    losses = elementwise.where(Tensor(wanted) > 0, 1 - cosine, apart)
    return reduce(name, losses, reduction).astype(result)
