"""Variational autoencoder: a cloud of codes for each digit, and new digits from new codes.

The encoder gives the mean and the spread of a normal distribution of codes; a code is drawn from
it, and the decoder draws the digit. The loss is the negative evidence lower bound: what the drawing
lacks, and how far the cloud is from the standard normal distribution, from which new codes come.
Source: D. Kingma and M. Welling, Auto-encoding variational Bayes, arXiv:1312.6114.

Data: 1,437 handwritten digits to train on, 360 held out. Peer: the same network in PyTorch. Bar:
the peer's worst seed and 3 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits, order

CODE, BATCH = 8, 64


class VariationalAutoencoder(nn.Module):
    """64 pixels -> distribution of 8 numbers -> a code -> 64 pixels."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.hidden = nn.Linear(64, 128, seed=random)
        self.mean = nn.Linear(128, CODE, seed=random)
        self.log_variance = nn.Linear(128, CODE, seed=random)
        self.decoder = nn.Sequential(
            nn.Linear(CODE, 128, seed=random), nn.ReLU(), nn.Linear(128, 64, seed=random)
        )

    def forward(self, images: graphc.Tensor, noise: graphc.Tensor) -> tuple[graphc.Tensor, ...]:
        """Return the drawing, as scores of white, and the distribution of codes."""
        hidden = graphc.relu(self.hidden(images))
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        code = mean + graphc.exp(log_variance / 2) * noise
        return self.decoder(code), mean, log_variance


def negative_evidence(outputs: tuple[graphc.Tensor, ...], images: graphc.Tensor) -> graphc.Tensor:
    """Return the negative evidence lower bound in nats an image, grey being a chance of white."""
    scores, mean, log_variance = outputs
    lacks = graphc.sum(graphc.softplus(scores) - images * scores, axis=-1)
    spread = graphc.exp(log_variance) + graphc.square(mean) - 1 - log_variance
    return (lacks + graphc.sum(spread, axis=-1) / 2).mean()


@network("held-out negative evidence lower bound, nats", at_most=24.9, quick=28.0, peer=23.83)
def train(lesson: Lesson) -> float:
    """Train, draw new digits, and return the bound for held-out ones."""
    data, model = digits(), VariationalAutoencoder(lesson.seed)

    def noise(count: int, *seed: int) -> np.ndarray[Any, Any]:
        return np.random.default_rng([lesson.seed, *seed]).standard_normal(
            (count, CODE), np.float32
        )

    def batches(epoch: int) -> Iterator[Any]:
        places = order(len(data.train_x), seed=epoch)
        for batch in range(len(places) // BATCH):
            images = data.train_x[places[batch * BATCH : (batch + 1) * BATCH]]
            yield (images, noise(BATCH, epoch, batch)), images

    history = graphc.fit(
        model,
        negative_evidence,
        optim.Adam(2e-3),
        batches,
        epochs=lesson.choose(150, quick=10),
        validation=((data.test_x, noise(len(data.test_x), 7)), data.test_x),
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, data.test_x[:BATCH], noise(BATCH, 8))
    draw = graphc.compile(lambda codes: nn.sigmoid(model.decoder(codes)))
    new = draw(noise(36, 9)).reshape(3, 12, 8, 8)
    lesson.show_images("new-digits.png", [("new", images) for images in new])
    return history.last["validation_loss"]
