"""Convolutional network: handwritten digits through small filters that slide over the image.

A filter looks at 3 x 3 pixels and answers where its pattern is, at every place with the same few
weights; relu keeps the answers above zero, max pooling the greatest of each 2 x 2. A second layer
of filters sees patterns of the first, and a fully connected layer gives each digit a score, which
softmax turns into chances. Images are (batch, height, width, channels). Source: Y. LeCun et al.,
Gradient-based learning applied to document recognition, 1998.

Data: 1,437 digits of 8 x 8 pixels to train on, 360 held out. Peer: the same network in PyTorch.
Bar: the peer's worst seed less two standard errors of 360 samples (0.018), or more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits


class ConvolutionalNetwork(nn.Module):
    """8 x 8 pixels -> 4 x 4 of 16 features -> 2 x 2 of 32 -> 10 scores."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.first = nn.Conv2d(1, 16, 3, padding="same", seed=random)
        self.second = nn.Conv2d(16, 32, 3, padding="same", seed=random)
        self.pool = nn.MaxPool(2)
        self.scores = nn.Linear(2 * 2 * 32, 10, seed=random)

    def features(self, images: graphc.Tensor) -> tuple[graphc.Tensor, graphc.Tensor]:
        """Return the feature maps of both layers, before they are pooled."""
        first = graphc.relu(self.first(images))
        return first, graphc.relu(self.second(self.pool(first)))

    def forward(self, images: graphc.Tensor) -> graphc.Tensor:
        """Return the score of each digit."""
        features = self.pool(self.features(images)[1])
        scores: graphc.Tensor = self.scores(features.reshape(len(images), -1))
        return scores


@network("held-out accuracy", at_least=0.97, quick=0.85, peer=0.9722)
def train(lesson: Lesson) -> float:
    """Train with Adam, draw filters and feature maps, and return the held-out accuracy."""
    data, model = digits(), ConvolutionalNetwork(lesson.seed)
    images, test = (rows.reshape(-1, 8, 8, 1) for rows in (data.train_x, data.test_x))
    history = graphc.fit(
        model,
        nn.cross_entropy,
        optim.Adam(2e-3),
        (images, data.train_y),
        epochs=lesson.choose(20, quick=4),
        batch_size=64,
        validation=(test, data.test_y),
        metrics="accuracy",
        seed=lesson.seed,
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, test[:64])
    draw_features(lesson, model, test[:4])
    chances = graphc.compile(lambda x: nn.softmax(model(x)))(test)
    with lesson.figure("chances.png", 2, 6, size=(1.6, 1.5)) as axes:
        for above, below, image, row in zip(*axes, test, chances, strict=False):
            above.imshow(image[:, :, 0], cmap="gray")
            above.set(xticks=[], yticks=[])
            below.bar(range(10), row)
            below.set(xticks=range(10), yticks=[], ylim=(0, 1))
            below.tick_params(labelsize=7)
    return history.last["validation_accuracy"]


def draw_features(lesson: Lesson, model: ConvolutionalNetwork, images: Any) -> None:
    """Draw the filters of the first layer, and what both layers make of two digits."""
    filters = model.first.weight.value[:, :, 0].transpose(2, 0, 1)
    lesson.show_images("filters.png", [("filters", filters[:8]), ("", filters[8:])])
    first, second = graphc.compile(model.features)(images)
    rows = []
    for image, low, high in zip(images[:2], first, second, strict=False):
        maps = [low[:, :, place] for place in range(7)]
        rows.append(("layer 1", [image[:, :, 0], *maps]))
        rows.append(("layer 2", [image[:, :, 0], *(high[:, :, place] for place in range(7))]))
    lesson.show_images("feature-maps.png", rows)
