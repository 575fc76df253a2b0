"""Batch, mini-batch and stochastic gradient descent: three ways through the same data.

A step may look at all samples, at some, or at one. All samples give the exact gradient and one step
an epoch; one sample gives a rough one and a step for each. Mini-batches are the bargain: enough
steps, and matrices large enough to be fast. The picture shows the loss over epochs and over time.

Data: 1,437 handwritten digits to train on, 360 held out. Peer: scikit-learn's MLPClassifier with
mini-batches, the same rate and as many epochs. Bar: the peer's worst seed less two standard errors
of 360 samples (0.018), or more.
"""

from __future__ import annotations

import numpy as np

import graphc
from graphc import nn, optim, training
from graphc.zoo.shared import Lesson, draw_lines, network
from graphc.zoo.shared.data import digits

WAYS = {"batch": (1437, 0.5), "mini-batch": (32, 0.2), "stochastic": (1, 0.01)}


def make_model(seed: int) -> nn.Module:
    """Return a network with one hidden layer, the same weights at the start of each way."""
    return nn.Sequential(
        nn.Linear(64, 64, seed=2 * seed), nn.ReLU(), nn.Linear(64, 10, seed=2 * seed + 1)
    )


@network("held-out accuracy with mini-batches", at_least=0.95, quick=0.85, peer=0.9667)
def train(lesson: Lesson) -> float:
    """Train in the three ways and return the accuracy of the second."""
    data = digits()
    histories: dict[str, training.History] = {}
    for name, (batch_size, rate) in WAYS.items():
        model = make_model(lesson.seed)
        histories[name] = graphc.fit(
            model,
            nn.cross_entropy,
            optim.SGD(rate),
            data.train,
            epochs=lesson.choose(30, quick=4),
            batch_size=batch_size,
            validation=data.test,
            metrics="accuracy",
            seed=lesson.seed,
            verbose=lesson.verbose,
        )
    lesson.draw_forward(model, data.test_x[:32])
    lesson.draw_step(histories["mini-batch"].program)
    draw(lesson, histories)
    lesson.compare(
        {
            f"{name}, {WAYS[name][0]} samples a step": {
                "steps an epoch": -(-len(data.train_x) // WAYS[name][0]),
                "held-out loss": history.last["validation_loss"],
                "held-out accuracy": history.last["validation_accuracy"],
                "seconds": sum(history["seconds"]),
            }
            for name, history in histories.items()
        }
    )
    return histories["mini-batch"].last["validation_accuracy"]


def draw(lesson: Lesson, histories: dict[str, training.History]) -> None:
    """Draw the loss of each way over epochs and over seconds."""
    with lesson.figure("descents.png", 1, 2) as (left, right):
        losses = {name: history["validation_loss"] for name, history in histories.items()}
        draw_lines(left, losses, xlabel="epoch", ylabel="held-out loss", yscale="log")
        for name, history in histories.items():
            seconds = np.cumsum(history["seconds"])
            right.plot(seconds, losses[name], marker="o", markersize=3, label=name)
        right.set(xlabel="seconds of training", xscale="log", yscale="log")
        right.grid(alpha=0.3)
