"""Denoising autoencoder: from a spoilt image back to the clean one.

The network sees an image with noise on it and is to give the image without. What is noise it learns
from what digits have in common. Source: P. Vincent et al., Extracting and composing robust features
with denoising autoencoders, 2008.

Data: 1,437 handwritten digits to train on, new noise in every epoch, 360 held out. Peer: projection
onto the principal components, the best number of them. Bar: three quarters of the peer's error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits, order

NOISE = np.float32(0.3)
BATCH = 64


def spoil(images: np.ndarray[Any, Any], seed: list[int]) -> np.ndarray[Any, Any]:
    """Return the images with normal noise on them."""
    noise = np.random.default_rng(seed).standard_normal(images.shape, np.float32)
    spoilt: np.ndarray[Any, Any] = images + NOISE * noise
    return spoilt


@network("held-out squared error per pixel", at_most=0.02, quick=0.045, peer=0.02707)
def train(lesson: Lesson) -> float:
    """Train and return the mean squared error of held-out images that were cleaned."""
    data, random = digits(), np.random.default_rng(lesson.seed)

    def batches(epoch: int) -> Iterator[Any]:
        noisy = spoil(data.train_x, [lesson.seed, epoch])
        places = order(len(noisy), seed=epoch)
        for start in range(0, len(noisy) - BATCH + 1, BATCH):
            chosen = places[start : start + BATCH]
            yield noisy[chosen], data.train_x[chosen]

    model = nn.Sequential(
        nn.Linear(64, 256, seed=random), nn.ReLU(), nn.Linear(256, 64, seed=random), nn.Sigmoid()
    )
    noisy = spoil(data.test_x, [7, 7])
    history = graphc.fit(
        model,
        nn.mse,
        optim.Adam(2e-3),
        batches,
        epochs=lesson.choose(80, quick=8),
        validation=(noisy, data.test_x),
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, noisy[:BATCH])
    shown = {"image": data.test_x, "noisy": noisy, "cleaned": graphc.compile(model)(noisy[:12])}
    rows = [(name, images[:12].reshape(-1, 8, 8)) for name, images in shown.items()]
    lesson.show_images("digits.png", rows)
    lesson.compare(
        {
            name: {"squared error per pixel": float(np.square(found - data.test_x).mean())}
            for name, found in {"noisy": noisy, "cleaned": graphc.compile(model)(noisy)}.items()
        }
    )
    return history.last["validation_loss"]
