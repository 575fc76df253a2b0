"""The loss of a sequence against a shorter one whose places in it are not known: CTC.

Probabilities of paths lie far below what a float holds, so everything is logarithms. That of what
is impossible is minus infinity, where `logaddexp` and its derivatives are defined; nothing here
subtracts two of them. What `reduction` means says `graphc.frontend.losses`.
"""

from __future__ import annotations

import math

import numpy as np

from graphc.dtypes import int64
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import constructors, elementwise, shapes
from graphc.frontend.composites import as_float
from graphc.frontend.indexing import checked_index, take_along_axis
from graphc.frontend.loops import scan
from graphc.frontend.losses import reduce
from graphc.frontend.operands import as_node, fail
from graphc.frontend.padding import pad
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node

__all__ = ["ctc_loss"]

IMPOSSIBLE = -math.inf


def ctc_loss(  # PyTorch's operands and settings, by name
    logarithms: TensorLike,
    labels: TensorLike,
    input_lengths: TensorLike | None = None,
    label_lengths: TensorLike | None = None,
    *,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Return minus the logarithm of the probability of `labels`, by default its mean.

    The probability is that of all paths, a class or the blank for each step, that read as the
    labels once equal neighbours count once and blanks are left out (connectionist temporal
    classification; source: A. Graves et al., ICML 2006). It is computed in one loop over the steps,
    for all sequences and all labels at once.

    logarithms     (…, time, classes): those of probabilities, as `log_softmax` gives them
    labels         (…, longest): class numbers, integers; what lies beyond a length is not read. One
                   that is out of range or the blank raises GraphcIndexError when the program runs
    input_lengths  (…,): how many of the first steps count, by default all
    label_lengths  (…,): how many of the first labels count, by default all; no label is one too
    blank          the class that stands for no label
    zero_infinity  where the labels do not fit into the steps the loss is infinite, and 0 with
                   this; its gradient is 0 in both cases

    A length out of range raises GraphcIndexError when the program runs. The mean is over the
    sequences; PyTorch's divides each loss by its number of labels before.

    Of the 27 paths of three steps over a blank and two classes, five read "1, 2":

    >>> import numpy as np
    >>> import graphc
    >>> thirds = np.log(np.full((3, 3), 1 / 3, np.float32))
    >>> print(graphc.evaluate(27 * graphc.exp(-ctc_loss(thirds, [1, 2]))))  # 112 122 _12 1_2 12_
    5.0
    """
    wide, result = as_float(logarithms)
    given = as_node(labels)
    batch, time, classes = _check_shapes(wide.node, given)
    _check_blank(blank, classes)
    steps = _lengths("input_lengths", input_lengths, batch, time)
    counts = _lengths("label_lengths", label_lengths, batch, given.shape[-1])
    read = _read_labels(Tensor(given), counts, blank, classes)
    total = _logarithm_of_all_paths(wide, read, steps, counts, blank)
    none = 0.0 if zero_infinity else math.inf  # a constant: its gradient is 0
    losses = elementwise.where(total == IMPOSSIBLE, none, 0 - total)
    return reduce("ctc_loss", losses, reduction).astype(result)


def _logarithm_of_all_paths(
    logarithms: Tensor, labels: Tensor, steps: Tensor, counts: Tensor, blank: int
) -> Tensor:
    """Return the forward variable at the end of each sequence.

    After a step, `between[j]` is the logarithm of all paths that have read the first j labels and
    end in a blank, `within[j]` of those that end in label j. A path gets to label j from itself,
    from the blank before it, and from label j - 1 unless that is the same class.
    """
    kept = constructors.arange(logarithms.shape[-2]) < steps[..., None]
    blanks = logarithms[..., blank, None]
    chosen = take_along_axis(logarithms, labels[..., None, :], axis=-1)
    repeats = labels == _after_none(labels, -1)[..., :-1]
    skips = elementwise.where(repeats, IMPOSSIBLE, 0.0).astype(logarithms.dtype)

    def step(
        carry: tuple[Tensor, Tensor], x: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[tuple[Tensor, Tensor], None]:
        between, within = carry
        counts_here, blank_now, labels_now = x
        before = _after_none(within)
        paths = elementwise.logaddexp(within, between[..., :-1])
        paths = elementwise.logaddexp(paths, before[..., :-1] + skips) + labels_now
        rests = elementwise.logaddexp(between, before) + blank_now
        return (
            elementwise.where(counts_here, rests, between),
            elementwise.where(counts_here, paths, within),
        ), None

    start = _start(labels.shape, logarithms)
    slices = tuple(shapes.moveaxis(x, -2, 0) for x in (kept[..., None], blanks, chosen))
    (between, within), _ = scan(step, start, slices)
    ends = [
        take_along_axis(x, counts[..., None], axis=-1)[..., 0]
        for x in (between, _after_none(within))
    ]
    return elementwise.logaddexp(*ends)


def _start(shape: tuple[int, ...], like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the carry before the first step: surely no label was read."""
    within = constructors.full(shape, IMPOSSIBLE, like.dtype)
    first = constructors.zeros((*shape[:-1], 1), like.dtype)
    return shapes.concat([first, within], axis=-1), within


def _after_none(x: Tensor, none: float = IMPOSSIBLE) -> Tensor:
    """Return `none` for no label, then what x has for each label."""
    return pad(x, [(0, 0)] * (x.ndim - 1) + [(1, 0)], constant_values=none)


def _read_labels(labels: Tensor, counts: Tensor, blank: int, classes: int) -> Tensor:
    """Return labels that are checked, and in the place of those that do not count any class."""
    read = constructors.arange(labels.shape[-1]) < counts[..., None]
    wide = elementwise.where(labels == blank, -1, labels.astype(int64))
    what = f"ctc_loss: a label is out of bounds, or is the blank, class {blank}"
    return checked_index(elementwise.where(read, wide, (blank + 1) % classes).node, classes, what)


def _lengths(name: str, lengths: TensorLike | None, batch: tuple[int, ...], most: int) -> Tensor:
    """Return how many count of each sequence, 0 … `most`."""
    if lengths is None:
        return constructors.full(batch, most, int64)
    node = as_node(lengths)
    if node.shape != batch or not node.type.dtype.is_integer:
        fail(ShapeError, f"ctc_loss: {name} are integers of shape {batch}, not {node.type}", [node])
    return checked_index(node, most + 1, f"ctc_loss: one of {name} is out of bounds")


def _check_blank(blank: int, classes: int) -> None:
    if not isinstance(blank, int | np.integer):
        fail(GraphcTypeError, f"ctc_loss: blank is a class number, not {blank!r}")
    if not 0 <= blank < classes:
        fail(GraphcValueError, f"ctc_loss: blank is {blank}, of classes 0 … {classes - 1}")


def _check_shapes(logarithms: Node, labels: Node) -> tuple[tuple[int, ...], int, int]:
    if len(logarithms.shape) < 2:
        wrong = f"ctc_loss: the logarithms are (…, time, classes), not {logarithms.shape}"
        fail(ShapeError, wrong, [logarithms])
    *batch, time, classes = logarithms.shape
    if not labels.type.dtype.is_integer:
        wrong = f"ctc_loss: labels are class numbers, integers, not {labels.type.dtype}"
        fail(GraphcTypeError, wrong, [labels])
    if labels.shape[:-1] != tuple(batch) or not labels.shape:
        fail(
            ShapeError,
            f"ctc_loss: logarithms {logarithms.shape} want labels of shape "
            f"({', '.join(map(str, [*batch, 'longest']))}), not {labels.shape}",
            [logarithms, labels],
            "time comes after the batch: logarithms.transpose((1, 0, 2))"
            if len(batch) == 1 and labels.shape[:1] == (time,)
            else "",
        )
    return tuple(batch), time, classes
