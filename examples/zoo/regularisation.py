"""Regularisation: a network with too many weights for its data, and penalties that tame it.

With 100 digits a network learns them by heart. A penalty on the squares of the weights (L2) keeps
all of them small, one on their sizes (L1) makes most of them nearly nothing; both leave less to
learn by heart with. The picture shows the held-out loss, and how large the weights become.

Data: 100 handwritten digits to train on, 360 held out. Peer: scikit-learn's MLPClassifier with an
L2 penalty, the best of alpha = 0.01 … 10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim, training
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits

SAMPLES = 100
PENALTIES: dict[str, Callable[[graphc.Tensor], graphc.Tensor] | None] = {
    "none": None,
    "L2": lambda weight: 2e-3 * graphc.sum(graphc.square(weight)),
    "L1": lambda weight: 2e-4 * graphc.sum(graphc.abs(weight)),
}


def make_model(seed: int) -> nn.Module:
    """Return a network with 256 hidden units."""
    random = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(64, 256, seed=random), nn.ReLU(), nn.Linear(256, 10, seed=random)
    )


def train_with(penalty: Any, lesson: Lesson) -> tuple[nn.Module, training.History]:
    """Train with a penalty on the weights; the validation shows the loss without it."""
    data, model = digits(), make_model(lesson.seed)
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]

    def loss(scores: graphc.Tensor, labels: graphc.Tensor) -> graphc.Tensor:
        total = nn.cross_entropy(scores, labels)
        return total if penalty is None else total + sum(map(penalty, weights))

    history = graphc.fit(
        model,
        loss,
        optim.Adam(1e-3),
        (data.train_x[:SAMPLES], data.train_y[:SAMPLES]),
        epochs=lesson.choose(300, quick=40),
        batch_size=25,
        validation=data.test,
        metrics={"accuracy": graphc.metrics.accuracy, "cross_entropy": nn.cross_entropy},
        seed=lesson.seed,
        verbose=lesson.verbose,
    )
    return model, history


@network("best held-out accuracy of L1 and L2", at_least=0.89, quick=0.75, peer=0.9111)
def train(lesson: Lesson) -> float:
    """Train without a penalty and with each, and return the better held-out accuracy of these."""
    found = {name: train_with(penalty, lesson) for name, penalty in PENALTIES.items()}
    model, history = found["L2"]
    lesson.draw(model, history, digits().test_x[:25])
    with lesson.figure("penalties.png", 1, 3) as (left, middle, right):
        for name, (model, history) in found.items():
            left.plot(history["validation_cross_entropy"], label=name)
            middle.plot(history["validation_accuracy"], label=name)
            sizes = np.abs(np.concatenate([p.value.ravel() for p in model.parameters()]))
            right.hist(
                np.log10(sizes + 1e-9), bins=60, range=(-8, 0.5), histtype="step", label=name
            )
        left.set(xlabel="epoch", ylabel="held-out cross-entropy")
        middle.set(xlabel="epoch", ylabel="held-out accuracy")
        right.set(xlabel="size of a weight, power of 10", ylabel="weights")
        left.legend()
    return max(found[name][1].last["validation_accuracy"] for name in ("L1", "L2"))
