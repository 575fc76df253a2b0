"""Regularisation: a network with too many weights for its data, and what tames it.

One label in five is wrong here, and a network with 19,000 weights learns 300 digits by heart, the
wrong ones too. A penalty on the squares of the weights (L2) keeps all of them small, one on their
sizes (L1) makes most of them nearly nothing, and dropout leaves out most hidden units at random in
each step; all leave less to learn by heart with. The picture shows the held-out accuracy, that of
training, and how large the weights become.

Data: 300 handwritten digits to train on, about 60 of their labels drawn at random; 360 held out,
with the right labels. Peer: scikit-learn's MLPClassifier with an L2 penalty on the same labels, the
best of alpha = 0.01 … 10. The bar is 0.89: seeds 0 and 1 give 0.936 and 0.914; the peer's value:
`python -m benchmarks.zoo_peers regularisation`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim, training
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits

SAMPLES, WRONG = 300, 0.2
PENALTIES: dict[str, Callable[[graphc.Tensor], graphc.Tensor] | None] = {
    "none": None,
    "dropout": None,
    "L2": lambda weight: 3e-3 * graphc.sum(graphc.square(weight)),
    "L1": lambda weight: 1e-3 * graphc.sum(graphc.abs(weight)),
}


def make_model(seed: int, rate: float = 0.0) -> nn.Module:
    """Return a network with 256 hidden units, some of which are dropped while it is trained."""
    random = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(64, 256, seed=random),
        nn.ReLU(),
        nn.Dropout(rate, seed=seed),
        nn.Linear(256, 10, seed=random),
    )


def spoilt_digits() -> tuple[Any, Any]:
    """Return some digits, and their labels, some of which are drawn at random."""
    data, random = digits(), np.random.default_rng(5)
    labels = data.train_y[:SAMPLES].copy()
    spoilt = random.random(SAMPLES) < WRONG
    labels[spoilt] = random.integers(0, 10, spoilt.sum())
    return data.train_x[:SAMPLES], labels


def train_with(name: str, lesson: Lesson) -> tuple[nn.Module, training.History]:
    """Train with a penalty on the weights, or with dropout."""
    data, penalty = digits(), PENALTIES[name]
    model = make_model(lesson.seed, rate=0.7 if name == "dropout" else 0.0)
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]

    def loss(scores: graphc.Tensor, labels: graphc.Tensor) -> graphc.Tensor:
        total = nn.cross_entropy(scores, labels)
        return total if penalty is None else total + sum(map(penalty, weights))

    history = graphc.fit(
        model,
        loss,
        optim.Adam(1e-3),
        spoilt_digits(),
        epochs=lesson.choose(200, quick=30),
        batch_size=25,
        validation=data.test,
        metrics="accuracy",
        seed=lesson.seed,
        verbose=lesson.verbose,
    )
    return model, history


@network("best held-out accuracy of dropout, L1 and L2", at_least=0.89, quick=0.8, peer=0.9028)
def train(lesson: Lesson) -> float:
    """Train without a penalty and with each, and return the best held-out accuracy of these."""
    found = {name: train_with(name, lesson) for name in PENALTIES}
    model, history = found["L2"]
    lesson.draw(model, history, digits().test_x[:25])
    with lesson.figure("penalties.png", 1, 3) as (left, middle, right):
        for name, (model, history) in found.items():
            left.plot(history["validation_accuracy"], label=name)
            middle.plot(history["accuracy"], label=name)
            sizes = np.abs(np.concatenate([p.value.ravel() for p in model.parameters()]))
            right.hist(
                np.log10(sizes + 1e-9), bins=60, range=(-8, 0.5), histtype="step", label=name
            )
        left.set(xlabel="epoch", ylabel="held-out accuracy")
        middle.set(xlabel="epoch", ylabel="training accuracy, wrong labels too")
        right.set(xlabel="size of a weight, power of 10", ylabel="weights")
        left.legend()
    return max(found[name][1].last["validation_accuracy"] for name in ("dropout", "L1", "L2"))
