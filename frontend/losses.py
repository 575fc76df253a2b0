"""Losses: scalars that training makes small.

Shapes must match exactly: a loss that broadcasts is nearly always a mistake. `reduction` is "mean",
"sum" or "none". Sums are in the predictions' dtype, 16-bit floats in float32.
"""

from __future__ import annotations

from typing import SupportsIndex

from graphc.dtypes import int64
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import elementwise, reductions
from graphc.frontend.composites import as_float, log_softmax
from graphc.frontend.indexing import label_mask
from graphc.frontend.operands import apply, as_node, cast, fail, normalise_axis
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node

__all__ = ["cross_entropy", "mse"]


def _reduce(name: str, losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    if reduction not in ("mean", "sum"):
        fail(GraphcValueError, f'{name}: reduction is "mean", "sum" or "none", not {reduction!r}')
    return reductions.mean(losses) if reduction == "mean" else reductions.sum(losses)


def mse(predictions: TensorLike, targets: TensorLike, reduction: str = "mean") -> Tensor:
    """Return the squared difference of `predictions` and `targets`, by default its mean.

    Raises ShapeError unless both have one shape.

    >>> from graphc.frontend import input
    >>> mse(input((8, 1)), input((8, 1))).shape
    ()
    """
    a, b = as_node(predictions), as_node(targets)
    if a.shape != b.shape:
        fail(
            ShapeError,
            f"mse: predictions {a.shape} and targets {b.shape} differ in shape",
            [a, b],
            "reshape or squeeze one of them; they are not broadcast",
        )
    difference, result = as_float(Tensor(a) - Tensor(b))
    return _reduce("mse", elementwise.square(difference), reduction).astype(result)


def cross_entropy(
    logits: TensorLike, labels: TensorLike, axis: SupportsIndex = -1, reduction: str = "mean"
) -> Tensor:
    """Return the cross entropy of `labels` under softmax(logits) over `axis`, by default its mean.

    Integer labels have the shape of the logits without `axis`; one out of range raises
    GraphcIndexError when the program runs. Float labels are distributions (one-hot, or soft) in the
    shape of the logits. Stable for large logits. Raises ShapeError for other shapes,
    GraphcTypeError for other dtypes.

    >>> from graphc.frontend import input
    >>> cross_entropy(input((64, 10)), input((64,), "int64")).type
    TensorType(shape=(), dtype=graphc.float32)
    """
    scores, given = as_node(logits), as_node(labels)
    if not scores.shape:
        fail(ShapeError, "cross_entropy: the logits have no axis of classes", [scores])
    place = normalise_axis("cross_entropy", axis, len(scores.shape), scores)
    _check_labels(scores, given, place)
    wide, result = as_float(logits)
    logarithms = log_softmax(wide, place)
    if given.type.dtype.is_float:
        weights = Tensor(cast(given, wide.dtype))
        # 0 * log(0) is 0 here, not NaN.
        terms = elementwise.where(weights == 0, 0, weights * logarithms)
    else:
        mask = label_mask(_checked(given, scores.shape[place]), scores.shape[place], place)
        terms = elementwise.where(mask, logarithms, 0)
    losses = 0 - reductions.sum(terms, place)  # 0.0, not -0.0, where the model is sure
    return _reduce("cross_entropy", losses, reduction).astype(result)


def _checked(labels: Node, classes: int) -> Tensor:
    """Return integer labels through a gather from 0 … classes - 1, which raises out of range."""
    if not labels.type.size:
        return Tensor(cast(labels, int64))
    places = apply("iota", shape=(classes,), axis=0, dtype=int64)
    return Tensor(apply("take", places, cast(labels, int64), axis=0, mode="raise"))


def _check_labels(scores: Node, labels: Node, axis: int) -> None:
    without = tuple(n for a, n in enumerate(scores.shape) if a != axis)
    dtype = labels.type.dtype
    if not (dtype.is_integer or dtype.is_float):
        fail(GraphcTypeError, f"cross_entropy: labels are {dtype}", [scores, labels])
    wanted = scores.shape if dtype.is_float else without
    if labels.shape == wanted:
        return
    if dtype.is_float and labels.shape == without:
        hint = "class numbers are integers: labels.astype(graphc.int64)"
    elif labels.shape == scores.shape:
        hint = "one-hot labels are floats: labels.astype(logits.dtype)"
    elif labels.shape == (*without, 1):
        hint = "drop the last axis: labels.squeeze(-1)"
    else:
        hint = ""
    kind = "distributions" if dtype.is_float else "class numbers"
    fail(
        ShapeError,
        f"cross_entropy: logits {scores.shape} want {kind} of shape {wanted}, not {labels.shape}",
        [scores, labels],
        hint,
    )
