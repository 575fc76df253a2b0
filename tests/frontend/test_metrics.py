"""Metrics against NumPy, NaN included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.errors import GraphcValueError, ShapeError
from graphc.frontend import metrics
from tests.frontend.evaluation import run, tensor

RANDOM = np.random.default_rng(3)
SCORES = RANDOM.normal(size=(40, 6)).astype(np.float32)
LABELS = RANDOM.integers(0, 6, 40)


def test_accuracy() -> None:
    found = run(metrics.accuracy, SCORES, LABELS)
    assert found.tolist() == (SCORES.argmax(axis=1) == LABELS).tolist()
    soft = np.eye(6, dtype=np.float32)[LABELS] * 0.5 + 0.1
    assert np.array_equal(run(metrics.accuracy, SCORES, soft), found)


@pytest.mark.parametrize("k", [1, 2, 5, 6])
def test_top_k_accuracy(k: int) -> None:
    order = np.argsort(-SCORES, axis=1)[:, :k]
    expected = (order == LABELS[:, None]).any(axis=1)
    metric = metrics.top_k_accuracy(k)
    assert run(metric, SCORES, LABELS).tolist() == expected.tolist()
    assert metric.__name__ == f"top_{k}_accuracy"


def test_scores_that_are_no_numbers_are_wrong() -> None:
    scores = np.full((3, 4), np.nan, np.float32)
    scores[1, 2] = 1.0
    for k in (1, 3):
        found = run(metrics.top_k_accuracy(k), scores, np.array([0, 2, 3]))
        assert found.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [(metrics.mean_absolute_error, np.abs), (metrics.mean_squared_error, np.square)],
)
def test_errors_are_means_over_the_elements_of_a_sample(metric: Any, expected: Any) -> None:
    targets = RANDOM.normal(size=SCORES.shape).astype(np.float32)
    found = run(metric, SCORES, targets)
    assert np.allclose(found, expected(SCORES - targets).mean(axis=1), rtol=1e-6)


def test_shapes_and_k_are_checked() -> None:
    with pytest.raises(ShapeError, match="class numbers of shape"):
        metrics.accuracy(tensor(4, 3), tensor(4, 1))
    with pytest.raises(ShapeError, match="differ in shape"):
        metrics.mean_absolute_error(tensor(4, 1), tensor(4))
    with pytest.raises(GraphcValueError, match="at least 1"):
        metrics.top_k_accuracy(0)
