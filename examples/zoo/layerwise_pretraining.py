"""Layer-wise pre-training: a deep network of sigmoids that learned from images before labels.

With few labels a deep network of sigmoids hardly learns: little of the gradient reaches its first
layers. Here each layer is first trained as a restricted Boltzmann machine on the hidden units of
the one below, without labels; then all are trained together on few. Source: G. Hinton, S. Osindero
and Y. Teh, A fast learning algorithm for deep belief nets, 2006.

Data: 1,437 handwritten digits without labels, 200 of them with, 360 held out. Peer: scikit-learn's
MLPClassifier with sigmoids on the 200 alone. Bar: above the peer's best seed by two standard errors
of 360 samples (0.018).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.restricted_boltzmann_machine import BoltzmannMachine, learn_features
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits

SIZES = [64, 128, 128, 128]
LABELS = 200


def make_model(seed: int) -> nn.Sequential:
    """Return three layers of sigmoids and one of scores."""
    layers: list[Any] = []
    for place, (inputs, outputs) in enumerate(pairwise(SIZES)):
        start = nn.initialisers.xavier_uniform
        layers += [
            nn.Linear(inputs, outputs, seed=seed + place, weight_initialiser=start),
            nn.Sigmoid(),
        ]
    return nn.Sequential(*layers, nn.Linear(SIZES[-1], 10, seed=seed + len(SIZES)))


def pretrain(model: nn.Sequential, images: np.ndarray[Any, Any], lesson: Lesson) -> None:
    """Give each layer but the last the weights of a machine trained on the layer below."""
    for layer in list(model)[:-1:2]:
        machine = BoltzmannMachine(images.shape[1], layer.weight.shape[1], lesson.seed)
        learn_features(machine, images, lesson.choose(40, quick=5), lesson)
        layer.weight.assign(machine.weight.value)
        layer.bias.assign(machine.hidden_bias.value)
        up: Any = graphc.compile(machine.up)
        images = up(images)


@network("held-out accuracy with 200 labels", at_least=0.93, quick=0.7, peer=0.8889)
def train(lesson: Lesson) -> float:
    """Train on few labels with and without what was learned before, and return the former's."""
    data, histories = digits(), {}
    for name in ("without", "with"):
        model = make_model(10 * lesson.seed)
        if name == "with":
            pretrain(model, data.train_x, lesson)
        histories[name] = graphc.fit(
            model,
            nn.cross_entropy,
            optim.Adam(2e-3),
            (data.train_x[:LABELS], data.train_y[:LABELS]),
            epochs=lesson.choose(60, quick=20),
            batch_size=20,
            validation=data.test,
            metrics="accuracy",
            seed=lesson.seed,
            verbose=lesson.verbose,
        )
    lesson.draw(model, histories["with"], data.train_x[:20])
    accuracies = {f"{n} pre-training": h["validation_accuracy"] for n, h in histories.items()}
    lesson.curves("pretraining.png", "held-out accuracy", accuracies)
    lesson.compare(
        {
            f"{name} pre-training": {
                "training loss": history.last["loss"],
                "held-out accuracy": history.last["validation_accuracy"],
            }
            for name, history in histories.items()
        }
    )
    return histories["with"].last["validation_accuracy"]
