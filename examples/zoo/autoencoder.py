"""Autoencoder: digits squeezed through eight numbers and drawn again from them.

The encoder gives eight numbers for 64 pixels, the decoder draws the digit from these alone, and the
loss compares the drawing with the original. No label is needed: the image is its own target.

Data: 1,437 handwritten digits to train on, 360 held out. Peer: the best linear code of eight
numbers, which is principal component analysis. Bar: not much more than half of the peer's error.
"""

from __future__ import annotations

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits

CODE = 8


class Autoencoder(nn.Module):
    """64 pixels -> 8 numbers -> 64 pixels."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.encoder = nn.Sequential(
            nn.Linear(64, 128, seed=random), nn.ReLU(), nn.Linear(128, CODE, seed=random)
        )
        self.decoder = nn.Sequential(
            nn.Linear(CODE, 128, seed=random),
            nn.ReLU(),
            nn.Linear(128, 64, seed=random),
            nn.Sigmoid(),
        )

    def forward(self, images: graphc.Tensor) -> graphc.Tensor:
        """Return the images drawn again."""
        drawn: graphc.Tensor = self.decoder(self.encoder(images))
        return drawn


@network("held-out squared error per pixel", at_most=0.014, quick=0.05, peer=0.02436)
def train(lesson: Lesson) -> float:
    """Train and return the mean squared error of held-out images."""
    data, model = digits(), Autoencoder(lesson.seed)
    history = graphc.fit(
        model,
        nn.mse,
        optim.Adam(2e-3),
        (data.train_x, data.train_x),
        epochs=lesson.choose(100, quick=10),
        batch_size=64,
        validation=(data.test_x, data.test_x),
        seed=lesson.seed,
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, data.test_x[:64])
    originals = data.test_x[:12]
    drawn = graphc.compile(model)(originals)
    rows = [("image", originals.reshape(-1, 8, 8)), ("drawn", drawn.reshape(-1, 8, 8))]
    lesson.show_images("digits.png", rows)
    return history.last["validation_loss"]
