"""CTC against a sum over all paths, written down one by one, and against counts of paths."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import special

import graphc
from graphc import nn
from graphc.errors import GraphcIndexError, GraphcTypeError, GraphcValueError, ShapeError
from tests.frontend.evaluation import close, run

STEPS, CLASSES = 5, 4
LABELS = np.array([
    [1, 2, 3], [1, 1, 2], [2, 2, 2], [3, 1, 3], [2, 1, 0], [3, 0, 0], [1, 1, 99], [2, 2, -7],
])  # fmt: skip
LABEL_LENGTHS = np.array([3, 3, 3, 3, 2, 0, 2, 1])
INPUT_LENGTHS = np.array([5, 5, 4, 3, 5, 4, 2, 0])  # of the 3rd, and the last two, too few
FITS = np.array([True, True, False, True, True, True, False, False])
RANDOM = np.random.default_rng(3)
LOGITS = RANDOM.normal(size=(8, STEPS, CLASSES)) * 2
LOGARITHMS = special.log_softmax(LOGITS, -1)


def collapsed(path: tuple[int, ...], blank: int) -> list[int]:
    return [c for c, _ in itertools.groupby(path) if c != blank]


def all_paths(logarithms: Any, labels: Any, steps: int, blank: int) -> tuple[float, Any]:
    """Return the loss of one sequence and its gradient: minus the share of paths through each."""
    total, through = 0.0, np.zeros_like(logarithms)
    for path in itertools.product(range(logarithms.shape[1]), repeat=steps):
        if collapsed(path, blank) != list(labels):
            continue
        places = np.arange(steps), np.array(path, int)
        chance = np.exp(logarithms[places].sum())
        total += chance
        through[places] += chance
    if total == 0:
        return np.inf, through
    return -np.log(total), -through / total


def expected(blank: int, labels: Any = LABELS, logarithms: Any = LOGARITHMS) -> tuple[Any, Any]:
    pairs = [
        all_paths(row, known[:count], steps, blank)
        for row, known, count, steps in zip(
            logarithms, labels, LABEL_LENGTHS, INPUT_LENGTHS, strict=True
        )
    ]
    return np.array([loss for loss, _ in pairs]), np.stack([slope for _, slope in pairs])


def loss_of(logarithms: Any, labels: Any = LABELS, **options: Any) -> Any:
    return nn.ctc_loss(logarithms, labels, INPUT_LENGTHS, LABEL_LENGTHS, **options)


def with_blank(blank: int) -> Any:
    """Return the labels with their classes renamed, so that `blank` is none of them."""
    names = [c for c in range(CLASSES) if c != blank]
    return np.array([[names[c - 1] if 0 < c < 4 else c for c in row] for row in LABELS])


@pytest.mark.parametrize("blank", range(CLASSES))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients_of_all_paths(blank: int, dtype: str) -> None:
    tolerance = 1e-12 if dtype == "float64" else 2e-6
    labels, x = with_blank(blank), LOGARITHMS.astype(dtype)
    losses, slopes = expected(blank, labels)
    assert (np.isfinite(losses) == FITS).all()
    loss = partial(loss_of, blank=blank, labels=labels)
    close(run(partial(loss, reduction="none"), x), losses.astype(dtype), tolerance)
    close(graphc.compile(partial(loss, reduction="none"))(x), losses.astype(dtype), tolerance)
    kept = np.where(FITS, losses, 0)
    for reduction, number in (("mean", kept.mean()), ("sum", kept.sum()), ("none", kept)):
        reduced = partial(loss, reduction=reduction, zero_infinity=True)
        close(run(reduced, x), number.astype(dtype), tolerance)
    for zero in (False, True):
        summed = partial(loss, reduction="sum", zero_infinity=zero)
        close(run(graphc.grad(summed), x), slopes.astype(dtype), tolerance)
        close(graphc.grad(summed)(x), slopes.astype(dtype), tolerance)


def test_lengths_are_by_default_all() -> None:
    x, labels = LOGARITHMS[:2], LABELS[:2]
    losses = [all_paths(row, known, STEPS, 0)[0] for row, known in zip(x, labels, strict=True)]
    close(run(nn.ctc_loss, x, labels), np.mean(losses), 1e-12)


def test_second_derivatives_against_differences() -> None:
    direction = RANDOM.normal(size=LOGITS.shape)

    def slope(x: Any) -> Any:
        loss = partial(loss_of, reduction="sum", zero_infinity=True)
        return (graphc.grad(lambda x: loss(nn.log_softmax(x)))(x) * direction).sum()

    h = 1e-5
    along = run(lambda x: (graphc.grad(slope)(x) * direction).sum(), LOGITS)
    around = run(slope, LOGITS + h * direction) - run(slope, LOGITS - h * direction)
    np.testing.assert_allclose(along, around / (2 * h), rtol=1e-7)
    forward = graphc.jvp(slope, [LOGITS], [direction])[1]
    np.testing.assert_allclose(forward, along, rtol=1e-10)


def test_check_grads_agrees() -> None:
    def loss(x: Any) -> Any:
        return loss_of(nn.log_softmax(x), reduction="sum", zero_infinity=True)

    assert graphc.check_grads(loss, LOGITS.astype(np.float32)).is_right


def test_one_sequence_several_axes_and_vmap_agree() -> None:
    losses = run(partial(loss_of, reduction="none"), LOGARITHMS)

    def one(x: Any, labels: Any, steps: Any, count: Any) -> Any:
        return nn.ctc_loss(x, labels, steps, count)

    given = LOGARITHMS, LABELS, INPUT_LENGTHS, LABEL_LENGTHS
    close(graphc.vmap(one)(*given), losses, 1e-14)
    alone = [run(one, *(a[n] for a in given)) for n in range(8)]
    close(np.array(alone), losses, 1e-14)
    folded = [a.reshape(2, 4, *a.shape[1:]) for a in given]
    close(run(partial(nn.ctc_loss, reduction="none"), *folded), losses.reshape(2, 4), 1e-14)
    pulled = graphc.vmap(graphc.grad(one))(*given)
    close(pulled, expected(0)[1], 1e-12)


@pytest.mark.parametrize("labels", [[], [1], [1, 2, 3, 1, 2], [1, 1, 2, 2, 2, 3], [4] * 60])
def test_paths_of_equal_chance_are_counted(labels: list[int]) -> None:
    """A label with an equal one before it takes a blank; the rest is n over k."""
    steps, classes, count = 300, 5, len(labels)
    repeats = sum(a == b for a, b in itertools.pairwise(labels))
    places = np.float64(steps + count - repeats)
    paths = special.gammaln(places + 1) - special.gammaln(2 * count + 1)
    paths -= special.gammaln(places - 2 * count + 1)
    x = np.full((steps, classes), -np.log(classes))
    wanted = steps * np.log(classes) - paths
    found = graphc.compile(nn.ctc_loss)(x, np.array(labels, np.int64))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    narrow = graphc.compile(nn.ctc_loss)(x.astype(np.float32), np.array(labels, np.int64))
    np.testing.assert_allclose(narrow, wanted, rtol=2e-5)
    slope = graphc.grad(nn.ctc_loss)(x, np.array(labels, np.int64))
    np.testing.assert_allclose(slope.sum(1), -1, rtol=1e-9)  # each path is somewhere at each step


def test_classes_that_cannot_be() -> None:
    with np.errstate(divide="ignore"):
        x = np.log(np.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0]]))
    for dtype in (np.float32, np.float64):
        loss, slope = run(graphc.value_and_grad(nn.ctc_loss), x.astype(dtype), np.array([1, 2]))
        close(loss, dtype(np.log(2)))
        close(slope, np.array([[0, -1, 0], [0, 0, -1], [-1, 0, 0]], dtype))
        loss, slope = run(graphc.value_and_grad(nn.ctc_loss), x.astype(dtype), np.array([2]))
        assert loss == np.inf
        assert (slope == 0).all()
    spoilt = np.where(np.eye(3) == 1, np.nan, x)
    assert np.isnan(run(nn.ctc_loss, spoilt, np.array([1, 2])))


def test_no_labels_and_no_steps() -> None:
    nothing = np.zeros((2, 0), np.int64)
    x = LOGARITHMS[:2]
    close(run(partial(nn.ctc_loss, reduction="none"), x, nothing), -x[..., 0].sum(1), 1e-12)
    close(run(nn.ctc_loss, x[:, :0], nothing), np.float64(0))
    assert run(nn.ctc_loss, x[:, :0], np.array([[1], [2]])) == np.inf
    close(run(nn.ctc_loss, x[..., :1], nothing), -x[..., 0].sum(1).mean(), 1e-12)


def test_float16_is_computed_in_float32() -> None:
    found = run(partial(loss_of, reduction="none"), LOGARITHMS.astype(np.float16))
    wide = run(partial(loss_of, reduction="none"), LOGARITHMS.astype(np.float16).astype(np.float32))
    assert found.dtype == np.float16
    assert (found == wide.astype(np.float16)).all()


def test_labels_and_lengths_out_of_range_raise() -> None:
    x = LOGARITHMS[:1]
    function = graphc.compile(nn.ctc_loss)
    good = np.array([[1, 2]]), np.array([5]), np.array([2])
    assert np.isfinite(function(x, *good))
    for labels in ([[1, 4]], [[0, 1]], [[-1, 1]]):  # too great, the blank, negative
        with pytest.raises(GraphcIndexError, match=r"a label is out of bounds.* 0 … 3"):
            function(x, np.array(labels), *good[1:])
    with pytest.raises(GraphcIndexError, match=r"or is the blank, class 3;"):
        graphc.compile(partial(nn.ctc_loss, blank=3))(x, np.array([[3, 1]]), *good[1:])
    for steps, count, extent in ((6, 2, 6), (-1, 2, 6), (5, 3, 3), (5, -1, 3)):
        with pytest.raises(GraphcIndexError, match=rf"_lengths is .* 0 … {extent - 1}"):
            function(x, good[0], np.array([steps]), np.array([count]))


def test_misuse_is_refused() -> None:
    x, labels = graphc.input((2, 5, 4)), graphc.input((2, 3), "int64")
    with pytest.raises(ShapeError, match=r"time, classes"):
        nn.ctc_loss(graphc.input((4,)), labels)
    with pytest.raises(ShapeError, match=r"labels of shape \(2, longest\), not \(4, 3\)"):
        nn.ctc_loss(x, graphc.input((4, 3), "int64"))
    with pytest.raises(ShapeError, match="time comes after the batch"):
        nn.ctc_loss(graphc.input((5, 2, 4)), labels)
    with pytest.raises(ShapeError, match="labels of shape"):
        nn.ctc_loss(graphc.input((5, 4)), graphc.input((), "int64"))
    with pytest.raises(GraphcTypeError, match="class numbers, integers, not float32"):
        nn.ctc_loss(x, graphc.input((2, 3)))
    with pytest.raises(GraphcValueError, match="blank is 4, of classes 0 … 3"):
        nn.ctc_loss(x, labels, blank=4)
    with pytest.raises(GraphcTypeError, match="blank is a class number"):
        nn.ctc_loss(x, labels, blank=0.5)  # type: ignore[arg-type]  # what is tested
    for wrong in (graphc.input((3,), "int64"), graphc.input((2,))):
        with pytest.raises(ShapeError, match="input_lengths are integers"):
            nn.ctc_loss(x, labels, wrong)
        with pytest.raises(ShapeError, match="label_lengths are integers"):
            nn.ctc_loss(x, labels, None, wrong)
    with pytest.raises(GraphcValueError, match="reduction"):
        nn.ctc_loss(x, labels, reduction="total")
