"""Restricted Boltzmann machine: hidden causes of an image, learned by contrastive divergence.

Visible and hidden units are joined in both directions. The machine gives images an energy and
learns to make it low for digits and high for what it dreams itself: from a digit it draws hidden
units, from these an image, and lowers the energy of the one against the other. Source: G. Hinton,
Training products of experts by minimizing contrastive divergence, 2002.

Data: 1,437 handwritten digits to train on, 360 held out. Judged by logistic regression on the
hidden units. Peer: scikit-learn's BernoulliRBM with as many units, followed by the same. Bar: above
the peer's mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import Split, digits, order

HIDDEN, BATCH = 128, 16


class BoltzmannMachine(nn.Module):
    """Chances of hidden units from visible ones, and the other way round."""

    def __init__(self, visible: int, hidden: int, seed: int) -> None:
        start = 0.05 * np.random.default_rng(seed).standard_normal((visible, hidden), np.float32)
        self.weight = graphc.Variable(start)
        self.visible_bias = graphc.Variable(np.zeros(visible, np.float32))
        self.hidden_bias = graphc.Variable(np.zeros(hidden, np.float32))

    def up(self, visible: graphc.Tensor) -> graphc.Tensor:
        """Return the chance of each hidden unit."""
        return graphc.sigmoid(visible @ self.weight + self.hidden_bias)

    def down(self, hidden: graphc.Tensor) -> graphc.Tensor:
        """Return the chance of each visible unit."""
        return graphc.sigmoid(hidden @ self.weight.T + self.visible_bias)

    def free_energy(self, visible: graphc.Tensor) -> graphc.Tensor:
        """Return the energy of images, all states of the hidden units taken together."""
        inputs = visible @ self.weight + self.hidden_bias
        return -(visible @ self.visible_bias) - graphc.sum(graphc.softplus(inputs), axis=-1)

    def forward(self, images: graphc.Tensor, chance: graphc.Tensor) -> graphc.Tensor:
        """Return by how much the energy of images is above that of what they make one dream."""
        hidden = (chance < self.up(images)).astype("float32")
        dream = graphc.stop_gradient(self.down(hidden))
        return self.free_energy(images) - self.free_energy(dream)


def contrast(energies: graphc.Tensor) -> graphc.Tensor:
    """Return the mean: its gradient is that of contrastive divergence."""
    return energies.mean()


def learn_features(
    machine: BoltzmannMachine, images: np.ndarray[Any, Any], epochs: int, lesson: Lesson
) -> Any:
    """Train a machine on images, and return the history."""

    def batches(epoch: int) -> Iterator[Any]:
        random = np.random.default_rng([lesson.seed, epoch])
        places = order(len(images), seed=epoch)
        for start in range(0, len(places) - BATCH + 1, BATCH):
            shape = (BATCH, machine.hidden_bias.shape[0])
            yield ((images[places[start : start + BATCH]], random.random(shape, np.float32)),)

    rate = optim.SGD(0.05, momentum=0.5)
    return graphc.fit(machine, contrast, rate, batches, epochs=epochs, verbose=lesson.verbose)


def judge(features: Split, epochs: int, seed: int) -> float:
    """Return the held-out accuracy of logistic regression on features."""
    model = nn.Linear(features.train_x.shape[1], 10, seed=seed)
    return graphc.fit(
        model,
        nn.cross_entropy,
        optim.Adam(1e-2),
        features.train,
        epochs=epochs,
        batch_size=64,
        validation=features.test,
        metrics="accuracy",
        seed=seed,
    ).last["validation_accuracy"]


@network("held-out accuracy on the hidden units", at_least=0.96, quick=0.85, peer=0.9528)
def train(lesson: Lesson) -> float:
    """Train the machine, then judge what its hidden units tell of held-out digits."""
    data, machine = digits(), BoltzmannMachine(64, HIDDEN, lesson.seed)
    history = learn_features(machine, data.train_x, lesson.choose(60, quick=5), lesson)
    lesson.draw(machine, history, data.train_x[:BATCH], np.zeros((BATCH, HIDDEN), np.float32))
    up: Any = graphc.compile(machine.up)
    filters = machine.weight.value.T[:48].reshape(4, 12, 8, 8)
    lesson.show_images("filters.png", [("weights", images) for images in filters])
    features = Split(up(data.train_x), data.train_y, up(data.test_x), data.test_y)
    epochs = lesson.choose(30, quick=5)
    found = {
        name: judge(part, epochs, lesson.seed)
        for name, part in {"pixels": data, "hidden units": features}.items()
    }
    lesson.compare({name: {"held-out accuracy": value} for name, value in found.items()})
    return found["hidden units"]
