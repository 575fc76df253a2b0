"""Losses beside PyTorch's, with every reduction, weights, smoothing, and labels to ignore."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from graphc import nn
from tests.peers.row import Array, Row, Shape, functional, torch

REDUCTIONS = ("mean", "sum", "none")
PAIR: list[Shape] = [(6, 5), (6, 5)]
_RANDOM = np.random.default_rng(0)
LABELS = _RANDOM.integers(0, 5, 6)
SOME_IGNORED = np.where(np.arange(6) == 1, -100, LABELS)
SIGNS = np.where(_RANDOM.random((6, 5)) < 0.5, -1.0, 1.0)
WEIGHTS = _RANDOM.uniform(0.2, 1.2, 5)
CHANCES = _RANDOM.uniform(0, 1, (6, 5))
SHARES = CHANCES / CHANCES.sum(-1, keepdims=True)

Case = tuple[str, Callable[..., Any], Callable[..., Any], list[Array]]


def rows() -> Iterator[Row]:
    """Yield the rows: functions of scores, and of constants that follow them."""
    for name, ours, theirs in _of_pairs():
        for reduction in REDUCTIONS:
            yield Row(
                f"nn.{name}, {reduction}",
                partial(ours, reduction=reduction),
                partial(theirs, reduction=reduction),
                PAIR,
            )
    scores = np.random.default_rng(1).normal(size=(6, 5)) * 3
    for name, ours, theirs, others in _of_constants():
        for reduction in REDUCTIONS:
            yield Row(
                f"nn.{name} {reduction}",
                partial(ours, reduction=reduction),
                partial(theirs, reduction=reduction),
                operands=[scores, *others],
                skipped=frozenset(range(1, 1 + len(others))),
                orders=1 if name.startswith("multiclass_hinge") else 2,  # PyTorch has no more
            )
    yield Row(
        "nn.cosine_similarity",
        nn.cosine_similarity,
        lambda x, y: functional.cosine_similarity(x, y, dim=-1),
        PAIR,
    )


def _of_pairs() -> list[tuple[str, Callable[..., Any], Callable[..., Any]]]:
    return [
        ("mse", nn.mse, lambda *a, **k: functional.mse_loss(*a, **k)),
        ("mae", nn.mae, lambda *a, **k: functional.l1_loss(*a, **k)),
        ("huber", nn.huber, lambda *a, **k: functional.smooth_l1_loss(*a, **k)),
        ("huber, delta 1.5", partial(nn.huber, delta=1.5),
         lambda *a, **k: functional.huber_loss(*a, delta=1.5, **k)),
    ]  # fmt: skip


def _divergence(x: Any, y: Any, reduction: str, log_target: bool = False) -> Any:
    """Return the divergence summed over classes: PyTorch reduces over all elements."""
    terms = functional.kl_div(x, y, reduction="none", log_target=log_target).sum(-1)
    return terms if reduction == "none" else getattr(terms, reduction)()


def _hinge(x: Any, y: Any, reduction: str) -> Any:
    terms = torch.relu(1 - x * y)
    return terms if reduction == "none" else getattr(terms, reduction)()


def _embedding(x: Any, y: Any, targets: Any, reduction: str) -> Any:
    """Return PyTorch's loss by its definition: its own adds 1e-12 to the squared lengths."""
    cosine = functional.cosine_similarity(x, y, dim=-1)
    terms = torch.where(targets > 0, 1 - cosine, torch.relu(cosine - 0.1))
    return terms if reduction == "none" else getattr(terms, reduction)()


def _of_constants() -> list[Case]:
    return [
        ("binary_cross_entropy_with_logits,", nn.binary_cross_entropy_with_logits,
         lambda *a, **k: functional.binary_cross_entropy_with_logits(*a, **k), [CHANCES]),
        ("binary_cross_entropy_with_logits, weighted",
         lambda x, y, w, **k: nn.binary_cross_entropy_with_logits(x, y, w, **k),
         lambda x, y, w, **k: functional.binary_cross_entropy_with_logits(x, y, pos_weight=w, **k),
         [CHANCES, WEIGHTS]),
        ("cross_entropy,", nn.cross_entropy,
         lambda *a, **k: functional.cross_entropy(*a, **k), [LABELS]),
        ("cross_entropy, all settings",
         lambda x, y, w, **k: nn.cross_entropy(
             x, y, weights=w, label_smoothing=0.2, ignore_index=-100, **k),
         lambda x, y, w, **k: functional.cross_entropy(
             x, y, weight=w, label_smoothing=0.2, ignore_index=-100, **k),
         [SOME_IGNORED, WEIGHTS]),
        ("cross_entropy, of distributions",
         lambda x, y, w, **k: nn.cross_entropy(x, y, weights=w, label_smoothing=0.2, **k),
         lambda x, y, w, **k: functional.cross_entropy(x, y, weight=w, label_smoothing=0.2, **k),
         [SHARES, WEIGHTS]),
        ("negative_log_likelihood,",
         nn.negative_log_likelihood, lambda *a, **k: functional.nll_loss(*a, **k), [LABELS]),
        ("negative_log_likelihood, weighted and ignored",
         lambda x, y, w, **k: nn.negative_log_likelihood(x, y, weights=w, ignore_index=-100, **k),
         lambda x, y, w, **k: functional.nll_loss(x, y, weight=w, ignore_index=-100, **k),
         [SOME_IGNORED, WEIGHTS]),
        ("multiclass_hinge,", nn.multiclass_hinge,
         lambda *a, **k: functional.multi_margin_loss(*a, **k), [LABELS]),
        ("multiclass_hinge, margin 0.4", partial(nn.multiclass_hinge, margin=0.4),
         lambda *a, **k: functional.multi_margin_loss(*a, margin=0.4, **k), [LABELS]),
        ("hinge,", nn.hinge, _hinge, [SIGNS]),
        ("kl_divergence,", nn.kl_divergence, _divergence, [SHARES]),
        ("kl_divergence, of logarithms", partial(nn.kl_divergence, log_targets=True),
         partial(_divergence, log_target=True), [np.log(SHARES)]),
        ("cosine_embedding,", lambda x, y, t, **k: nn.cosine_embedding(x, y, t, margin=0.1, **k),
         _embedding,
         [CHANCES - 0.5, SIGNS[:, 0]]),
    ]  # fmt: skip
