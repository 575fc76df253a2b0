"""Losses against PyTorch's formulas spelled in NumPy, their derivatives, and their extremes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import special

import graphc
from graphc import nn
from graphc.errors import GraphcIndexError, GraphcTypeError, GraphcValueError, ShapeError
from tests.frontend.evaluation import close, run

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(6, 5)) * 2
Y = RANDOM.normal(size=(6, 5)) * 2
SIGNS = np.where(RANDOM.random((6, 5)) < 0.5, -1.0, 1.0)
CHANCES = RANDOM.random((6, 5))
CHANCES[0] = [0, 1, 0, 1, 0.5]
LABELS = np.array([0, 4, 2, 2, 1, 3])
WEIGHTS = np.array([0.5, 2.0, 1.0, 0.0, 3.0])
SHARES = special.softmax(Y, -1)
SHARES[2] = [0, 0.5, 0.5, 0, 0]
LOGARITHMS = special.log_softmax(X, -1)


def huber(x: Any, y: Any, delta: float) -> Any:
    d = abs(x - y)
    return np.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta))


def binary(z: Any, y: Any, weight: Any = 1.0) -> Any:
    """As torch's binary_cross_entropy_with_logits has it, without its stable form."""
    p = special.expit(z)
    return -(weight * y * np.log(p) + (1 - y) * np.log(1 - p))


def multiclass(x: Any, labels: Any, margin: float) -> Any:
    total = np.zeros(len(x))
    for row, label in enumerate(labels):
        for c in range(x.shape[1]):
            if c != label:
                total[row] += max(0.0, margin - x[row, label] + x[row, c])
    return total / x.shape[1]


def kl(logarithms: Any, targets: Any) -> Any:
    return (special.xlogy(targets, targets) - targets * logarithms).sum(-1)


def cosine(x: Any, y: Any) -> Any:
    return (x * y).sum(-1) / (np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1))


def entropy(x: Any, labels: Any, weights: Any, smoothing: float) -> Any:
    """Cross entropy of class numbers before its reduction, as torch has it."""
    logarithms = special.log_softmax(x, -1)
    rows = np.arange(len(x))
    own = -weights[labels] * logarithms[rows, labels]
    every = -(weights * logarithms).sum(-1)
    return (1 - smoothing) * own + smoothing / x.shape[1] * every


ONE = np.ones(5)
TOWARDS = SIGNS[:, 0]
# name: the loss with all but the reduction given, its operands, and what it is before reduction
LOSSES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], Any]] = {
    "mse": (nn.mse, (X, Y), (X - Y) ** 2),
    "mae": (nn.mae, (X, Y), abs(X - Y)),
    "huber": (nn.huber, (X, Y), huber(X, Y, 1.0)),
    "huber, wide": (partial(nn.huber, delta=2.5), (X, Y), huber(X, Y, 2.5)),
    "binary": (nn.binary_cross_entropy_with_logits, (X, CHANCES), binary(X, CHANCES)),
    "binary, weighted": (
        partial(nn.binary_cross_entropy_with_logits, positive_weight=WEIGHTS),
        (X, CHANCES), binary(X, CHANCES, WEIGHTS),
    ),
    "hinge": (nn.hinge, (X, SIGNS), np.maximum(0, 1 - X * SIGNS)),
    "hinge, wide": (partial(nn.hinge, margin=3), (X, SIGNS), np.maximum(0, 3 - X * SIGNS)),
    "multiclass hinge": (nn.multiclass_hinge, (X, LABELS), multiclass(X, LABELS, 1.0)),
    "kl": (nn.kl_divergence, (LOGARITHMS, SHARES), kl(LOGARITHMS, SHARES)),
    "kl of logarithms": (
        partial(nn.kl_divergence, log_targets=True),
        (LOGARITHMS, np.log(SHARES + 1e-300)), kl(LOGARITHMS, SHARES),
    ),
    "likelihood": (
        nn.negative_log_likelihood, (LOGARITHMS, LABELS), -LOGARITHMS[np.arange(6), LABELS],
    ),
    "cosine": (nn.cosine_embedding, (X, Y, np.ones(6)), 1 - cosine(X, Y)),
    "cosine, apart": (
        partial(nn.cosine_embedding, margin=0.1), (X, Y, TOWARDS),
        np.where(TOWARDS > 0, 1 - cosine(X, Y), np.maximum(0, cosine(X, Y) - 0.1)),
    ),
    "entropy": (nn.cross_entropy, (X, LABELS), entropy(X, LABELS, ONE, 0.0)),
    "entropy, smoothed": (
        partial(nn.cross_entropy, label_smoothing=0.2), (X, LABELS),
        entropy(X, LABELS, ONE, 0.2),
    ),
    "entropy of shares": (nn.cross_entropy, (X, SHARES), -(SHARES * LOGARITHMS).sum(-1)),
    "entropy of weighted, smoothed shares": (
        partial(nn.cross_entropy, weights=WEIGHTS, label_smoothing=0.1), (X, SHARES),
        -(WEIGHTS * (0.9 * SHARES + 0.02) * LOGARITHMS).sum(-1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_values(name: str) -> None:
    loss, operands, expected = LOSSES[name]
    for reduction, reduced in (
        ("none", expected), ("sum", expected.sum()), ("mean", expected.mean()),
    ):  # fmt: skip
        close(run(partial(loss, reduction=reduction), *operands), np.float64(reduced), 1e-12)
    narrow = [o.astype(np.float32) if o.dtype == np.float64 else o for o in operands]
    close(run(loss, *narrow), np.float32(expected.mean()), 3e-6)
    half = [o.astype(np.float16) if o.dtype == np.float64 else o for o in operands]
    assert run(loss, *half).dtype == np.float16


def differentiable(operands: tuple[Any, ...]) -> list[int]:
    return [n for n, o in enumerate(operands) if o.dtype == np.float64 and o is not TOWARDS]


@pytest.mark.parametrize("name", LOSSES)
def test_first_and_second_derivatives(name: str) -> None:
    """In random directions, against central differences in float64."""
    loss, operands, _ = LOSSES[name]
    inner = [np.where(o == 0, 0.03, o) if o is SHARES else o for o in operands]
    inner = [np.clip(o, 0.02, 0.98) if o is CHANCES else o for o in inner]
    places = [n for n in differentiable(operands) if "apart" not in name or n < 2]
    random = np.random.default_rng(1)
    for place in places:
        direction = random.normal(size=operands[place].shape) / 5

        def value(x: Any, place: int = place) -> Any:
            given = [*inner[:place], x, *inner[place + 1 :]]
            return loss(*given, reduction="sum")

        def slope(x: Any, value: Any = value, direction: Any = direction) -> Any:
            return (graphc.grad(value)(x) * direction).sum()

        if "logarithms" in name and place == 1:
            continue  # logarithms of shares that are 0 lie at -690
        x = inner[place]
        assert_differences(value, slope, x, direction)
        assert_differences(slope, curvature(slope, direction), x, direction)


def curvature(slope: Any, direction: Any) -> Any:
    return lambda x: (graphc.grad(slope)(x) * direction).sum()


def assert_differences(f: Any, derivative: Any, x: Any, direction: Any) -> None:
    h = 1e-5
    found = run(derivative, x)
    above, below = run(f, x + h * direction), run(f, x - h * direction)
    np.testing.assert_allclose(found, (above - below) / (2 * h), rtol=2e-6, atol=2e-6)


def test_weights_and_ignored_labels_count_in_the_mean() -> None:
    labels = np.array([0, -100, 2, -100, 1, 4])
    kept = labels >= 0
    for smoothing in (0.0, 0.3):
        losses = np.zeros(6)
        losses[kept] = entropy(X, np.where(kept, labels, 0), WEIGHTS, smoothing)[kept]
        share = WEIGHTS[labels[kept]].sum()
        given: Any = {"weights": WEIGHTS, "ignore_index": -100, "label_smoothing": smoothing}
        for reduction, expected in (
            ("none", losses), ("sum", losses.sum()), ("mean", losses.sum() / share),
        ):  # fmt: skip
            loss = partial(nn.cross_entropy, reduction=reduction, **given)
            close(run(loss, X, labels), np.float64(expected), 1e-12)
    plain = -LOGARITHMS[kept, labels[kept]]
    loss = partial(nn.negative_log_likelihood, ignore_index=-100)
    close(run(loss, LOGARITHMS, labels), np.float64(plain.mean()), 1e-12)
    weighted = entropy(X, LABELS, WEIGHTS, 0).sum() / WEIGHTS[LABELS].sum()
    close(run(partial(nn.cross_entropy, weights=WEIGHTS), X, LABELS), np.float64(weighted), 1e-12)
    gradient = graphc.grad(lambda x: nn.cross_entropy(x, labels, ignore_index=-100))
    assert (run(gradient, X)[~kept] == 0).all() and (run(gradient, X)[kept] != 0).all()
    assert np.isnan(run(partial(nn.cross_entropy, ignore_index=2), X[:1], np.array([2])))


def test_classes_may_lie_on_any_axis() -> None:
    given: Any = {"weights": WEIGHTS, "label_smoothing": 0.1, "ignore_index": 2}
    turned = run(partial(nn.cross_entropy, axis=0, **given), X.T, LABELS)
    close(turned, run(partial(nn.cross_entropy, **given), X, LABELS), 1e-12)
    close(
        run(partial(nn.multiclass_hinge, axis=0), X.T, LABELS),
        run(nn.multiclass_hinge, X, LABELS), 1e-12,
    )  # fmt: skip
    close(
        run(partial(nn.kl_divergence, axis=0), LOGARITHMS.T, SHARES.T),
        run(nn.kl_divergence, LOGARITHMS, SHARES), 1e-12,
    )  # fmt: skip


def test_binary_cross_entropy_of_extreme_logits() -> None:
    z = np.array([-np.inf, -1e30, -800, 0, 800, 1e30, np.inf])
    loss = partial(nn.binary_cross_entropy_with_logits, reduction="none")
    for target, expected in (
        (1.0, [np.inf, 1e30, 800, np.log(2), 0, 0, 0]),
        (0.0, [0, 0, 0, np.log(2), 800, 1e30, np.inf]),
    ):
        targets = np.full(7, target)
        close(run(loss, z, targets), np.array(expected), 1e-12)
        summed = partial(nn.binary_cross_entropy_with_logits, reduction="sum")
        slope = run(graphc.grad(summed), z[1:-1], targets[1:-1])
        close(slope, special.expit(z[1:-1]) - target, 1e-12)
        right = z[-1:] if target else z[:1]
        assert run(graphc.grad(summed), right, targets[:1]) == 0
    tiny = run(loss, np.array([40.0]), np.array([1.0]))
    np.testing.assert_allclose(tiny, np.exp(-40.0), rtol=1e-12)
    slope = graphc.grad(partial(nn.binary_cross_entropy_with_logits, targets=np.ones(1)))
    curved = graphc.grad(lambda x: slope(x).sum())
    close(run(curved, np.zeros(1)), np.array([0.25]), 1e-12)


def test_slopes_by_targets_hold_at_their_ends() -> None:
    z, ends = np.array([-2.0, 3.0]), np.array([0.0, 1.0])
    loss = partial(nn.binary_cross_entropy_with_logits, reduction="sum")
    close(run(graphc.grad(loss, 1), z, ends), -z, 1e-12)
    assert np.isfinite(run(graphc.grad(loss, 1), np.array([-np.inf, np.inf]), ends)).all()
    shares = np.array([[0.0, 1.0]])
    slope = run(graphc.grad(nn.cross_entropy, 1), z[None], shares)
    close(slope, -special.log_softmax(z)[None], 1e-12)


def test_bool_and_integer_targets_are_numbers() -> None:
    loss = nn.binary_cross_entropy_with_logits
    expected = run(loss, X, (X > 0).astype(np.float64))
    close(run(loss, X, X > 0), expected)
    close(run(loss, X.astype(np.float32), (X > 0).astype(np.int64)), np.float32(expected))


def test_cross_entropy_of_masked_classes() -> None:
    x = np.array([[1.0, -np.inf, 2.0], [3.0, 1e30, -np.inf]])
    labels = np.array([0, 1])
    close(run(nn.cross_entropy, x, labels), np.float64(np.log1p(np.e) / 2), 1e-12)
    slope = run(graphc.grad(nn.cross_entropy), x, labels)
    share = special.expit(-1.0)
    close(slope, np.array([[share - 1, 0, 1 - share], [0, 0, 0]]) / 2, 1e-12)
    shares = np.array([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]])
    assert np.isfinite(run(nn.cross_entropy, x, shares))
    weights = np.array([1.0, 0.0, 1.0])
    masked = partial(nn.cross_entropy, weights=weights, label_smoothing=0.1)
    assert np.isfinite(run(masked, x[:1], labels[:1]))


def test_kl_divergence_where_nothing_is_expected() -> None:
    logarithms, targets = np.array([[0.0, -np.inf]]), np.array([[1.0, 0.0]])
    assert run(nn.kl_divergence, logarithms, targets) == 0
    with np.errstate(divide="ignore"):
        given = np.log(targets)
    assert run(partial(nn.kl_divergence, log_targets=True), logarithms, given) == 0
    for arguments in (0, 1):
        slope = run(graphc.grad(nn.kl_divergence, arguments), logarithms, targets)
        assert np.isfinite(slope).all()


def test_huber_and_mae_at_infinity_and_at_0() -> None:
    ends = np.array([np.inf, -np.inf, 0.0])
    for loss in (nn.huber, nn.mae):
        slope = run(graphc.grad(partial(loss, reduction="sum")), ends, np.zeros(3))
        assert slope.tolist() == [1, -1, 0]


def test_cosine_similarity() -> None:
    close(run(nn.cosine_similarity, X, Y), cosine(X, Y), 1e-12)
    close(run(partial(nn.cosine_similarity, axis=0), X.T, Y.T), cosine(X, Y), 1e-12)
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    close(run(nn.cosine_similarity, x, -2 * x), np.array([-1.0, 0.0]), 1e-12)
    slope = run(graphc.grad(lambda x: nn.cosine_similarity(x, X[:2, :2]).sum()), x)
    assert np.isfinite(slope).all()


def test_misuse_is_refused() -> None:
    x, labels = graphc.input((4, 7)), graphc.input((4,), "int64")
    for loss in (nn.mse, nn.mae, nn.huber, nn.hinge, nn.binary_cross_entropy_with_logits):
        with pytest.raises(ShapeError, match="differ in shape"):
            loss(x, x[:, :1])
        with pytest.raises(GraphcValueError, match="reduction is"):
            loss(x, x, reduction="average")
    with pytest.raises(GraphcValueError, match="delta is -1"):
        nn.huber(x, x, delta=-1)
    with pytest.raises(GraphcTypeError, match="delta is a number"):
        nn.huber(x, x, delta="1")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ShapeError, match=r"weights \(3,\) for 7 classes"):
        nn.cross_entropy(x, labels, weights=np.ones(3))
    with pytest.raises(ShapeError, match=r"weights \(3,\) do not broadcast"):
        nn.binary_cross_entropy_with_logits(x, x, positive_weight=np.ones(3))
    with pytest.raises(GraphcValueError, match="label_smoothing is 2, which is more"):
        nn.cross_entropy(x, labels, label_smoothing=2)
    with pytest.raises(GraphcTypeError, match="ignore_index goes with integer labels"):
        nn.cross_entropy(x, x, ignore_index=0)
    with pytest.raises(GraphcTypeError, match="labels are class numbers, integers"):
        nn.negative_log_likelihood(x, x)
    with pytest.raises(GraphcTypeError, match="labels are class numbers, integers"):
        nn.multiclass_hinge(x, x)
    with pytest.raises(ShapeError, match="no axis of classes"):
        nn.multiclass_hinge(graphc.input(()), labels)
    with pytest.raises(ShapeError, match="differ in shape"):
        nn.kl_divergence(x, x[:2])
    with pytest.raises(ShapeError, match=r"targets \(7,\) for pairs \(4,\)"):
        nn.cosine_embedding(x, x, graphc.input((7,)))
    for indexed in (nn.multiclass_hinge, nn.negative_log_likelihood):
        with pytest.raises(GraphcIndexError):
            run(indexed, X, np.array([0, 1, 2, 3, 4, 5]))
