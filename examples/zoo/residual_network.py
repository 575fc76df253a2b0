"""Residual network: many layers of convolutions, each of which adds a little to what is there.

A block gives x + f(x): where f is of no use, x goes through as it is, and the gradient too, so that
deep networks can be trained. Batch normalisation keeps the signal at mean 0 and variance 1: by the
moments of the batch while training, by their running averages in evaluation. Source: K. He et al.,
Deep residual learning for image recognition, arXiv:1512.03385.

Data: 1,437 handwritten digits of 8 x 8 pixels to train on, 360 held out; 19 convolutions. The same
network without the shortcuts is trained beside it and drawn. Peer: the same network in PyTorch.
Bar: the peer's worst seed less two standard errors of 360 samples (0.018), or more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.training.history import History
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import Split, digits

CHANNELS, BLOCKS = 16, 9


class Block(nn.Module):
    """Two convolutions with batch normalisation, and the shortcut around them."""

    def __init__(self, channels: int, has_shortcut: bool, seed: Any) -> None:
        convolution = nn.Conv2d
        self.first = convolution(channels, channels, 3, padding="same", bias=False, seed=seed)
        self.first_norm = nn.BatchNorm(channels)
        self.second = convolution(channels, channels, 3, padding="same", bias=False, seed=seed)
        self.second_norm = nn.BatchNorm(channels)
        self.has_shortcut = has_shortcut

    def forward(self, x: graphc.Tensor) -> graphc.Tensor:
        """Return relu of x + f(x), or of f(x)."""
        inner = graphc.relu(self.first_norm(self.first(x)))
        added = self.second_norm(self.second(inner))
        return graphc.relu(x + added if self.has_shortcut else added)


def make_model(has_shortcut: bool, seed: int) -> nn.Sequential:
    """Return a convolution, blocks on 8 x 8 and 4 x 4 places, and the scores."""
    random = np.random.default_rng(seed)
    blocks = [Block(CHANNELS, has_shortcut, random) for _ in range(BLOCKS)]
    return nn.Sequential(
        nn.Conv2d(1, CHANNELS, 3, padding="same", bias=False, seed=random),
        nn.BatchNorm(CHANNELS),
        nn.ReLU(),
        *blocks[:2],
        nn.MaxPool(2),
        *blocks[2:],
        nn.GlobalAveragePool(),
        nn.Linear(CHANNELS, 10, seed=random),
    )


def learn(model: nn.Module, data: Split, lesson: Lesson) -> History:
    """Train on the digits; held-out ones are judged in evaluation mode."""
    images, test = (rows.reshape(-1, 8, 8, 1) for rows in (data.train_x, data.test_x))
    epochs = lesson.choose(10, quick=2)
    steps = epochs * -(-len(images) // 64)
    return graphc.fit(
        model,
        nn.cross_entropy,
        optim.Adam(optim.schedules.Cosine(3e-3, steps)),
        (images, data.train_y),
        epochs=epochs,
        batch_size=64,
        validation=(test, data.test_y),
        metrics="accuracy",
        seed=lesson.seed,
        verbose=lesson.verbose,
    )


@network("held-out accuracy", at_least=0.971, quick=0.5, peer=0.9889)
def train(lesson: Lesson) -> float:
    """Train with and without shortcuts, and return the accuracy of the network with them."""
    data = digits()
    model = make_model(True, lesson.seed)
    history = learn(model, data, lesson)
    plain = learn(make_model(False, lesson.seed), data, lesson)
    lesson.draw(model.eval(), history, data.test_x[:64].reshape(-1, 8, 8, 1))
    histories = {"with shortcuts": history, "without": plain}
    lesson.compare(
        {
            name: {
                "training loss": found.last["loss"],
                "held-out loss": found.last["validation_loss"],
                "held-out accuracy": found.last["validation_accuracy"],
            }
            for name, found in histories.items()
        }
    )
    losses = {
        f"{name}, {kind}": found[key]
        for name, found in histories.items()
        for key, kind in {"loss": "training", "validation_loss": "held out"}.items()
    }
    lesson.curves("shortcuts.png", "cross-entropy", losses, yscale="log")
    return history.last["validation_accuracy"]
