"""Recurrent network: digits read row by row, with a memory of what was read.

The same small layer runs at each step: it takes a row of the image and its own last state, and the
state after the last row tells the digit. Its weights are the same at all steps, so their gradient
is a sum over the steps: back-propagation through time. Source: J. Elman, Finding structure in time,
1990.

Data: 1,437 handwritten digits of eight rows to train on, 360 held out. Peer: PyTorch's RNN. Bar:
the peer's worst seed less two standard errors of 360 samples (0.018), or more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits


class Reader(nn.Module):
    """Eight rows of eight pixels -> a state of 64 -> ten scores."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.recurrent = nn.RNN(8, 64, seed=random)
        self.scores = nn.Linear(64, 10, seed=random)

    def forward(self, image: graphc.Tensor) -> Any:
        """Return the scores of the digits after the last row."""
        _, (state,) = self.recurrent(image.reshape((len(image), 8, 8)))
        return self.scores(state)


def scores_after_each_row(model: Reader, image: graphc.Tensor) -> graphc.Tensor:
    """Return what the network would say after each row: (batch, rows, digits)."""
    states, _ = model.recurrent(image.reshape((len(image), 8, 8)))
    return nn.softmax(model.scores(states))


@network("held-out accuracy", at_least=0.945, quick=0.6, peer=0.9694)
def train(lesson: Lesson) -> float:
    """Train, draw how sure it is after each row, and return the accuracy on unseen digits."""
    data, model = digits(), Reader(lesson.seed)
    history = graphc.fit(
        model,
        nn.cross_entropy,
        optim.Adam(3e-3, clip=optim.ClipByGlobalNorm(1.0)),
        data.train,
        epochs=lesson.choose(60, quick=6),
        batch_size=32,
        validation=data.test,
        metrics="accuracy",
        seed=lesson.seed,
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, data.test_x[:32])
    chances = graphc.compile(lambda image: scores_after_each_row(model, image))(data.test_x[:6])
    with lesson.figure("rows.png", 2, 6, size=(1.2, 1.3)) as axes:
        for place, image, chance in zip(axes.T, data.test_x, chances, strict=False):
            place[0].imshow(image.reshape(8, 8), cmap="gray")
            place[1].imshow(chance, cmap="viridis", vmin=0, vmax=1)
        for place in axes.flat:
            place.set(xticks=[], yticks=[])
        axes[0, 0].set_ylabel("rows", fontsize=7)
        axes[1, 0].set_ylabel("chances after", fontsize=7)
    return history.last["validation_accuracy"]
