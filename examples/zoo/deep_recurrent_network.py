"""Deep recurrent network: layers of memory on top of one another, compared with one alone.

The states of the first layer are the inputs of the second, at each step: three layers can make of
the pixels strokes, of the strokes shapes. Source: A. Graves, A. Mohamed and G. Hinton, Speech
recognition with deep recurrent neural networks, arXiv:1303.5778.

Data: 1,437 handwritten digits to train on, read as 16 steps of four pixels, 360 held out. Peer:
PyTorch's GRU of three layers. Bar: the peer's worst seed less two standard errors of 360 samples
(0.018), or more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc
from graphc import nn, optim, training
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits

STEPS, PIXELS, HIDDEN, LAYERS = 16, 4, 32, 3


class Reader(nn.Module):
    """Steps of some pixels -> layers of 32 cells -> ten scores."""

    def __init__(self, layers: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.recurrent = nn.GRU(PIXELS, HIDDEN, layers, seed=random)
        self.scores = nn.Linear(HIDDEN, 10, seed=random)

    def forward(self, image: graphc.Tensor) -> Any:
        """Return the scores of the digits after the last step, from the last layer's state."""
        _, states = self.recurrent(image.reshape((len(image), STEPS, PIXELS)))
        return self.scores(states[-1])


def train_with(layers: int, lesson: Lesson, data: Any) -> training.History:
    """Train a network of so many layers and draw it."""
    model = Reader(layers, lesson.seed)
    history = graphc.fit(
        model,
        nn.cross_entropy,
        optim.Adam(4e-3, clip=optim.ClipByGlobalNorm(1.0)),
        data.train,
        epochs=lesson.choose(40, quick=6),
        batch_size=32,
        validation=data.test,
        metrics="accuracy",
        seed=lesson.seed,
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, data.test_x[:32])
    return history


@network("held-out accuracy of three layers", at_least=0.943, quick=0.4, peer=0.975)
def train(lesson: Lesson) -> float:
    """Train one layer and three, draw both curves, and return the accuracy of the latter."""
    data = digits()
    counts = {"one layer": 1, "three layers": LAYERS}
    histories = {name: train_with(layers, lesson, data) for name, layers in counts.items()}
    accuracies = {name: h["validation_accuracy"] for name, h in histories.items()}
    lesson.curves("layers.png", "held-out accuracy", accuracies)
    lesson.compare({name: {"held-out accuracy": found[-1]} for name, found in accuracies.items()})
    return histories["three layers"].last["validation_accuracy"]
