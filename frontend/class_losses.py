"""Losses of classes: what a model says of several classes against labels or distributions.

Labels are class numbers, integers in the shape of the scores without the axis of classes; one out
of range raises GraphcIndexError when the program runs. What `reduction` means, and what holds at
infinities, says `graphc.frontend.losses`.
"""

from __future__ import annotations

import math
from typing import SupportsIndex

from graphc.dtypes import DType
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import elementwise, reductions, shapes
from graphc.frontend.composites import as_float, log_softmax
from graphc.frontend.indexing import checked_index, label_mask
from graphc.frontend.losses import positive, reduce
from graphc.frontend.operands import as_node, cast, fail, normalise_axis
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node

__all__ = ["cross_entropy", "kl_divergence", "multiclass_hinge", "negative_log_likelihood"]


def cross_entropy(  # the settings of a classifier's loss, by name
    logits: TensorLike,
    labels: TensorLike,
    axis: SupportsIndex = -1,
    reduction: str = "mean",
    *,
    weights: TensorLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
) -> Tensor:
    """Return the cross entropy of `labels` under softmax(logits) over `axis`, by default its mean.

    Integer labels have the shape of the logits without `axis`; one out of range raises
    GraphcIndexError when the program runs. Float labels are distributions (one-hot, or soft) in the
    shape of the logits. Stable for large logits. Raises ShapeError for other shapes,
    GraphcTypeError for other dtypes.

    weights          one for each class; the mean over integer labels is a weighted one
    label_smoothing  the share, 0 … 1, of a label that is spread evenly over all classes
    ignore_index     integer labels of this value have the loss 0 and do not count in the mean, NaN
                     if nothing counts

    >>> from graphc.frontend import input
    >>> cross_entropy(input((64, 10)), input((64,), "int64")).type
    TensorType(shape=(), dtype=graphc.float32)
    """
    wide, result, place = _scores("cross_entropy", logits, axis, labels)
    given = as_node(labels)
    if given.type.dtype.is_float:
        if ignore_index is not None:
            fail(GraphcTypeError, "cross_entropy: ignore_index goes with integer labels", [given])
        target = Tensor(cast(given, wide.dtype))
        target = _smoothed(target, label_smoothing, wide.shape[place])
        if weights is not None:
            target = target * _class_weights("cross_entropy", weights, wide, place)
        logarithms = log_softmax(wide, place)
        # 0 * log(0) is 0 here, not NaN.
        is_nothing = (target == 0) & (logarithms == -math.inf)
        terms = target * elementwise.where(is_nothing, 0, logarithms)
        losses = 0 - reductions.sum(terms, place)
        return reduce("cross_entropy", losses, reduction).astype(result)
    likelihood = _Likelihood("cross_entropy", log_softmax(wide, place), given, place, ignore_index)
    return likelihood.reduced(reduction, weights, label_smoothing).astype(result)


def negative_log_likelihood(  # the settings of cross_entropy, by name
    logarithms: TensorLike,
    labels: TensorLike,
    axis: SupportsIndex = -1,
    reduction: str = "mean",
    *,
    weights: TensorLike | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """Return minus the logarithm of the label's probability, by default its mean.

    `logarithms` are those of probabilities, as `log_softmax` gives them; labels are integers. The
    rest is as in `cross_entropy`.

    >>> from graphc.frontend import input
    >>> negative_log_likelihood(input((64, 10)), input((64,), "int64")).shape
    ()
    """
    name = "negative_log_likelihood"
    wide, result, place = _scores(name, logarithms, axis, labels)
    given = _integers(name, labels)
    likelihood = _Likelihood(name, wide, given, place, ignore_index)
    return likelihood.reduced(reduction, weights, 0.0).astype(result)


class _Likelihood:
    """Logarithms of probabilities, and which of them the integer labels choose."""

    def __init__(
        self, name: str, logarithms: Tensor, labels: Node, axis: int, ignore_index: int | None
    ) -> None:
        self.name, self.logarithms, self.axis = name, logarithms, axis
        self.classes = logarithms.shape[axis]
        chosen = Tensor(labels)
        self.counts: Tensor | None = None
        if ignore_index is not None:
            self.counts = chosen != ignore_index
            chosen = elementwise.where(self.counts, chosen, 0)
        self.mask = label_mask(checked_label(name, chosen.node, self.classes), self.classes, axis)

    def reduced(self, reduction: str, weights: TensorLike | None, smoothing: float) -> Tensor:
        """Return the losses as `reduction` says; the mean is over the weights that count."""
        share, terms = None, self.logarithms
        if weights is not None:
            share = _class_weights(self.name, weights, terms, self.axis)
            terms = elementwise.where(share == 0, 0, share * terms)
        losses = self._picked(terms)
        spread = _share_of_smoothing(self.name, smoothing)
        if spread:
            every = reductions.sum(terms, self.axis)
            losses = (1 - spread) * losses + (spread / self.classes) * every
        losses = 0 - losses  # 0.0, not -0.0, where the model is sure
        if self.counts is not None:
            losses = elementwise.where(self.counts, losses, 0)
        if reduction != "mean" or (share is None and self.counts is None):
            return reduce(self.name, losses, reduction)
        return reductions.sum(losses) / reductions.sum(self._weight(share))

    def _picked(self, values: Tensor) -> Tensor:
        return reductions.sum(elementwise.where(self.mask, values, 0), self.axis)

    def _weight(self, share: Tensor | None) -> Tensor:
        """Return the weight of each label in the mean."""
        if share is None:
            assert self.counts is not None
            return self.counts.astype(self.logarithms.dtype)
        weight = self._picked(shapes.broadcast_to(share, self.logarithms.shape))
        return weight if self.counts is None else elementwise.where(self.counts, weight, 0)


def multiclass_hinge(
    scores: TensorLike,
    labels: TensorLike,
    axis: SupportsIndex = -1,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """Return the mean over classes of max(0, margin - score of the label + score of the class).

    The label's own class counts as 0. Source: Weston and Watkins 1999, as PyTorch has it.

    >>> from graphc.frontend import input
    >>> multiclass_hinge(input((64, 10)), input((64,), "int64")).shape
    ()
    """
    name = "multiclass_hinge"
    wide, result, place = _scores(name, scores, axis, labels)
    classes = wide.shape[place]
    mask = label_mask(checked_label(name, _integers(name, labels), classes), classes, place)
    own = reductions.sum(elementwise.where(mask, wide, 0), place, keepdims=True)
    apart = elementwise.maximum(positive(name, "the margin", margin) - own + wide, 0)
    losses = reductions.mean(elementwise.where(mask, 0, apart), place)
    return reduce(name, losses, reduction).astype(result)


def kl_divergence(
    logarithms: TensorLike,
    targets: TensorLike,
    axis: SupportsIndex = -1,
    reduction: str = "mean",
    *,
    log_targets: bool = False,
) -> Tensor:
    """Return the divergence of predicted distributions from `targets`, summed over `axis`.

    sum of target * (log(target) - predicted logarithm), 0 where a target is 0. `logarithms` are
    those of the predictions; with `log_targets` targets are given by logarithms too. The mean is
    over the distributions (PyTorch's "batchmean"). Source: Kullback and Leibler 1951.

    >>> from graphc.frontend import input
    >>> kl_divergence(input((64, 10)), input((64, 10)), reduction="none").shape
    (64,)
    """
    name = "kl_divergence"
    predicted, result = as_float(logarithms)
    given = as_node(targets, predicted.dtype)
    place = normalise_axis(name, axis, predicted.ndim, predicted.node)
    if given.shape != predicted.shape:
        fail(
            ShapeError,
            f"{name}: predictions {predicted.shape} and targets {given.shape} differ in shape",
            [predicted.node, given],
        )
    target = Tensor(given)
    is_nothing = target == -math.inf if log_targets else target == 0
    safe = elementwise.where(is_nothing, 0 if log_targets else 1, target)
    share, logarithm = (
        (elementwise.exp(safe), safe) if log_targets else (safe, elementwise.log(safe))
    )
    distance = logarithm - elementwise.where(is_nothing, 0, predicted)
    losses = reductions.sum(elementwise.where(is_nothing, 0, share * distance), place)
    return reduce(name, losses, reduction).astype(result)


def _scores(
    name: str, scores: TensorLike, axis: SupportsIndex, labels: TensorLike
) -> tuple[Tensor, DType, int]:
    """Return the scores in the type to compute in, the result's dtype, and the axis of classes."""
    node, given = as_node(scores), as_node(labels)
    if not node.shape:
        fail(ShapeError, f"{name}: the scores have no axis of classes", [node])
    place = normalise_axis(name, axis, len(node.shape), node)
    _check_labels(name, node, given, place)
    wide, result = as_float(Tensor(node))
    return wide, result, place


def _integers(name: str, labels: TensorLike) -> Node:
    node = as_node(labels)
    if not node.type.dtype.is_integer:
        fail(
            GraphcTypeError,
            f"{name}: labels are class numbers, integers, not {node.type.dtype}",
            [node],
            "labels.argmax(-1) gives the numbers of one-hot labels",
        )
    return node


def _share_of_smoothing(name: str, smoothing: float) -> float:
    share = positive(name, "label_smoothing", smoothing)
    if share > 1:
        fail(GraphcValueError, f"{name}: label_smoothing is {smoothing}, which is more than 1")
    return share


def _smoothed(target: Tensor, smoothing: float, classes: int) -> Tensor:
    share = _share_of_smoothing("cross_entropy", smoothing)
    return (1 - share) * target + share / classes if share else target


def _class_weights(name: str, weights: TensorLike, scores: Tensor, axis: int) -> Tensor:
    """Return the weight of each class, to be broadcast against the scores."""
    node = as_node(weights, scores.dtype)
    classes = scores.shape[axis]
    if node.shape != (classes,):
        fail(ShapeError, f"{name}: weights {node.shape} for {classes} classes", [node])
    extents = tuple(classes if a == axis else 1 for a in range(scores.ndim))
    return shapes.reshape(Tensor(node), extents)


def checked_label(name: str, labels: Node, classes: int) -> Tensor:
    """Return integer labels; one that is not in 0 … classes - 1 raises when the program runs."""
    return checked_index(labels, classes, f"{name}: a label is out of bounds")


def _check_labels(name: str, scores: Node, labels: Node, axis: int) -> None:
    without = tuple(n for a, n in enumerate(scores.shape) if a != axis)
    dtype = labels.type.dtype
    if not (dtype.is_integer or dtype.is_float):
        fail(GraphcTypeError, f"{name}: labels are {dtype}", [scores, labels])
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
        f"{name}: logits {scores.shape} want {kind} of shape {wanted}, not {labels.shape}",
        [scores, labels],
        hint,
    )
