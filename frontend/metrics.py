"""Metrics: what training is judged by, as functions of a model's outputs and the targets.

Each gives a number for every sample; the metric of a batch, and of an epoch, is their mean. They
are parts of the graph, so that `graphc.fit` compiles them into the training step. Any function of
(outputs, targets) that gives a scalar, or a number for every sample, is a metric too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from graphc.dtypes import float32
from graphc.errors import GraphcValueError, ShapeError
from graphc.frontend import elementwise, reductions
from graphc.frontend.indexing import label_mask
from graphc.frontend.operands import as_node, fail
from graphc.frontend.shapes import reshape
from graphc.frontend.tensor import Tensor, TensorLike

__all__ = ["accuracy", "mean_absolute_error", "mean_squared_error", "top_k_accuracy"]


def _labels(name: str, scores: Tensor, targets: TensorLike) -> Tensor:
    """Return class numbers, of one-hot or soft targets those of the greatest share."""
    labels = Tensor(as_node(targets))
    if labels.dtype.is_float and labels.shape == scores.shape:
        return reductions.argmax(labels, -1)
    if labels.dtype.is_float or labels.shape != scores.shape[:-1]:
        fail(
            ShapeError,
            f"{name}: outputs {scores.shape} want class numbers of shape {scores.shape[:-1]} or "
            f"distributions of shape {scores.shape}, not {labels.type}",
            [scores.node, labels.node],
        )
    return labels


def accuracy(outputs: TensorLike, targets: TensorLike) -> Tensor:
    """Return 1 for each sample whose label has the greatest score, else 0.

    `outputs` are scores of classes along the last axis; `targets` class numbers, or distributions.

    >>> from graphc.frontend import input
    >>> accuracy(input((64, 10)), input((64,), "int64")).type
    TensorType(shape=(64,), dtype=graphc.float32)
    """
    scores = Tensor(as_node(outputs))
    labels = _labels("accuracy", scores, targets)
    return elementwise.astype(reductions.argmax(scores, -1) == labels, float32)


def top_k_accuracy(k: int) -> Callable[[TensorLike, TensorLike], Tensor]:
    """Return the metric that is 1 where fewer than `k` classes have a greater score than the label.

    >>> from graphc.frontend import input
    >>> top_k_accuracy(5)(input((64, 10)), input((64,), "int64")).shape
    (64,)
    """
    if k < 1:
        fail(GraphcValueError, f"top_k_accuracy: k is an integer of at least 1, not {k!r}")

    @functools.wraps(accuracy, updated=())
    def metric(outputs: TensorLike, targets: TensorLike) -> Tensor:
        scores = Tensor(as_node(outputs))
        labels = _labels("top_k_accuracy", scores, targets)
        mask = label_mask(labels, scores.shape[-1], len(scores.shape) - 1)
        score = reductions.sum(elementwise.where(mask, scores, 0), -1, keepdims=True)
        greater = elementwise.logical_not(scores <= score)  # NaN counts as greater
        return elementwise.astype(reductions.sum(greater, -1) < k, float32)

    metric.__name__, metric.__doc__ = f"top_{k}_accuracy", f"The label is among the first {k}."
    return metric


def _per_sample(losses: Any) -> Tensor:
    """Return the mean of each sample's elements."""
    if not losses.shape:
        return reshape(losses, (1,))
    return reductions.mean(reshape(losses, (losses.shape[0], -1)), -1)


def _difference(name: str, outputs: TensorLike, targets: TensorLike) -> Tensor:
    a, b = as_node(outputs), as_node(targets)
    if a.shape != b.shape:
        fail(ShapeError, f"{name}: outputs {a.shape} and targets {b.shape} differ in shape", [a, b])
    difference: Tensor = Tensor(a) - Tensor(b)
    return elementwise.abs(difference) if difference.dtype.is_complex else difference


def mean_absolute_error(outputs: TensorLike, targets: TensorLike) -> Tensor:
    """Return |outputs - targets| for each sample, the mean of its elements.

    >>> from graphc.frontend import input
    >>> mean_absolute_error(input((64, 3)), input((64, 3))).shape
    (64,)
    """
    return _per_sample(elementwise.abs(_difference("mean_absolute_error", outputs, targets)))


def mean_squared_error(outputs: TensorLike, targets: TensorLike) -> Tensor:
    """Return (outputs - targets)² for each sample, the mean of its elements.

    >>> from graphc.frontend import input
    >>> mean_squared_error(input((64, 3)), input((64, 3))).shape
    (64,)
    """
    return _per_sample(elementwise.square(_difference("mean_squared_error", outputs, targets)))
