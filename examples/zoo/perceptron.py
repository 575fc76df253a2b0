"""Perceptron: Rosenblatt's rule, one neuron that learns from its mistakes.

The neuron fires where w·x + b > 0. After each sample that it gets wrong, the sample is added to the
weights or taken from them: that is gradient descent, one sample at a time, on what the wrong scores
lack. Source: F. Rosenblatt, The perceptron, 1958.

Data: 427 tumours with 30 measurements to train on, 142 held out. Peer: scikit-learn's Perceptron.
Bar: the peer less two standard errors of 142 samples (0.036), or more.
"""

from __future__ import annotations

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import breast_cancer


class Perceptron(nn.Module):
    """A score for each sample: positive where the neuron fires."""

    def __init__(self, inputs: int) -> None:
        self.weight = graphc.Variable(np.zeros(inputs, np.float32))
        self.bias = graphc.Variable(np.float32(0))

    def forward(self, x: graphc.Tensor) -> graphc.Tensor:
        """Return w·x + b."""
        return x @ self.weight + self.bias


def mistake(scores: graphc.Tensor, signs: graphc.Tensor) -> graphc.Tensor:
    """Return by how much scores of the wrong sign miss 0; its slope is Rosenblatt's rule."""
    margin = scores * signs
    return graphc.where(margin <= 0, -margin, 0).mean()


def is_right(scores: graphc.Tensor, signs: graphc.Tensor) -> graphc.Tensor:
    """Return 1 where score and sign agree."""
    return (scores * signs > 0).astype("float32")


@network("held-out accuracy", at_least=0.93, quick=0.85, peer=0.9507)
def train(lesson: Lesson) -> float:
    """Go through the tumours one by one and return the share of held-out ones told rightly."""
    data = breast_cancer()
    signs, held_out = (
        np.float32(2) * y.astype(np.float32) - 1 for y in (data.train_y, data.test_y)
    )
    model = Perceptron(data.train_x.shape[1])
    history = graphc.fit(
        model,
        mistake,
        optim.SGD(1.0),
        (data.train_x, signs),
        epochs=lesson.choose(20, quick=4),
        batch_size=1,
        validation=(data.test_x, held_out),
        metrics={"accuracy": is_right},
        seed=lesson.seed,
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, data.test_x[:1])
    return history.last["validation_accuracy"]
