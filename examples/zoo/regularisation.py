"""Regularisation: a network with too many weights for its data, and what tames it.

One label in five is wrong here, and a network with 19,000 weights learns 300 digits by heart, the
wrong ones too. A penalty on the squares of the weights (L2) keeps all of them small, one on their
sizes (L1) makes most of them nearly nothing, and dropout leaves out most hidden units at random in
each step; all leave less to learn by heart with. Batch normalisation is there for comparison: a
sample is mixed with its batch, which is a noise too, but it makes learning easier, wrong labels
included. The picture shows the held-out accuracy, that of training, and how large weights become.

Data: 300 handwritten digits to train on, about 60 of their labels drawn at random; 360 held out,
with the right labels. Peer: scikit-learn's MLPClassifier with an L2 penalty on the same labels, the
best of alpha = 0.01 … 10. Bar: above the peer's mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim, training
from graphc.zoo.shared import Lesson, draw_lines, network
from graphc.zoo.shared.data import digits

SAMPLES, WRONG = 300, 0.2
KINDS = ("nothing", "dropout", "batch norm", "L2", "L1")
PENALTIES: dict[str, Callable[[graphc.Tensor], graphc.Tensor]] = {
    "L2": lambda weight: 3e-3 * graphc.sum(graphc.square(weight)),
    "L1": lambda weight: 1e-3 * graphc.sum(graphc.abs(weight)),
}


def make_model(kind: str, seed: int) -> nn.Module:
    """Return a network with 256 hidden units, normalised or dropped as the kind says."""
    random = np.random.default_rng(seed)
    layers: list[nn.Module] = [nn.Linear(64, 256, seed=random)]
    if kind == "batch norm":
        layers.append(nn.BatchNorm(256))
    layers.append(nn.ReLU())
    if kind == "dropout":
        layers.append(nn.Dropout(0.7, seed=seed))
    return nn.Sequential(*layers, nn.Linear(256, 10, seed=random))


def spoilt_digits() -> tuple[Any, Any]:
    """Return some digits, and their labels, some of which are drawn at random."""
    data, random = digits(), np.random.default_rng(5)
    labels = data.train_y[:SAMPLES].copy()
    spoilt = random.random(SAMPLES) < WRONG
    labels[spoilt] = random.integers(0, 10, spoilt.sum())
    return data.train_x[:SAMPLES], labels


def weights_of(model: nn.Module) -> list[graphc.Variable]:
    """Return the matrices of a network, which are what penalties are for."""
    return [p for name, p in model.named_parameters() if name.endswith("weight")]


def train_with(kind: str, lesson: Lesson) -> tuple[nn.Module, training.History]:
    """Train with a penalty on the weights, or a layer that does what one does."""
    data, penalty = digits(), PENALTIES.get(kind)
    model = make_model(kind, lesson.seed)

    def loss(scores: graphc.Tensor, labels: graphc.Tensor) -> graphc.Tensor:
        total = nn.cross_entropy(scores, labels)
        return total if penalty is None else total + sum(map(penalty, weights_of(model)))

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


def figures(model: nn.Module, history: training.History) -> dict[str, float]:
    """Return what the table says of a network: where the labels are right, and where not."""
    names = {"accuracy": "training accuracy", "validation_accuracy": "held-out accuracy"}
    sizes = np.concatenate([np.abs(weight.value).ravel() for weight in weights_of(model)])
    return {title: history.last[name] for name, title in names.items()} | {
        "mean size of a weight": float(sizes.mean()),
        "nearly 0": float((sizes < 1e-3).mean()),
    }


@network("best held-out accuracy of dropout, L1 and L2", at_least=0.9, quick=0.8, peer=0.9028)
def train(lesson: Lesson) -> float:
    """Train with nothing and with each, and return the best held-out accuracy of the latter."""
    found = {kind: train_with(kind, lesson) for kind in KINDS}
    lesson.compare({kind: figures(*results) for kind, results in found.items()})
    model, history = found["L2"]
    lesson.draw(model, history, digits().test_x[:25])
    with lesson.figure("penalties.png", 1, 3) as (left, middle, right):
        for name, (model, _) in found.items():
            sizes = np.abs(np.concatenate([p.value.ravel() for p in weights_of(model)]))
            right.hist(
                np.log10(sizes + 1e-9), bins=60, range=(-8, 0.5), histtype="step", label=name
            )
        for axes, key, title in (
            (left, "validation_accuracy", "held-out accuracy"),
            (middle, "accuracy", "training accuracy, wrong labels too"),
        ):
            lines = {name: history[key] for name, (_, history) in found.items()}
            draw_lines(axes, lines, xlabel="epoch", ylabel=title)
        right.set(xlabel="size of a weight, power of 10", ylabel="weights")
    return max(found[name][1].last["validation_accuracy"] for name in ("dropout", "L1", "L2"))
