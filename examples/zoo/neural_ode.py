"""Neural differential equation: a network that says how fast a state moves, not where it goes.

The state after some time is the integral of what the network says, by Runge and Kutta's method of
order four; the steps are one loop in the graph, and the gradient goes back through them. Here what
moves are the codes of digits: one small network, asked again and again on the way, takes the place
of many layers. Source: R. Chen et al., Neural ordinary differential equations, arXiv:1806.07366.

Data: 1,437 handwritten digits to train on, 360 held out. Peer: the same in PyTorch, its steps
unrolled. Bar: the peer's worst seed less two standard errors of 360 samples (0.018), or more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits

STATE, STEPS = 32, 8


class NeuralODE(nn.Module):
    """64 pixels -> a state of 32 numbers, which moves from time 0 to 1 -> 10 scores."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.start = nn.Linear(64, STATE, seed=random)
        self.inner = nn.Linear(STATE + 1, 64, seed=random)
        self.outer = nn.Linear(64, STATE, seed=random)
        self.scores = nn.Linear(STATE, 10, seed=random)

    def speed(self, state: graphc.Tensor, time: graphc.Tensor) -> graphc.Tensor:
        """Return how fast each state moves at this time."""
        times = graphc.broadcast_to(time, (state.shape[0], 1))
        moved: graphc.Tensor = self.outer(
            graphc.tanh(self.inner(graphc.concat([state, times], axis=1)))
        )
        return moved

    def path(self, images: Any) -> tuple[graphc.Tensor, graphc.Tensor]:
        """Return the last state, and those after each step."""
        length = np.float32(1 / STEPS)

        def step(state: Any, time: Any) -> tuple[graphc.Tensor, graphc.Tensor]:
            a = self.speed(state, time)
            b = self.speed(state + length / 2 * a, time + length / 2)
            c = self.speed(state + length / 2 * b, time + length / 2)
            d = self.speed(state + length * c, time + length)
            moved = state + length / 6 * (a + 2 * b + 2 * c + d)
            return moved, moved

        times = np.arange(STEPS, dtype=np.float32) / np.float32(STEPS)
        last, states = graphc.scan(step, self.start(images), times)
        return last, states

    def forward(self, images: graphc.Tensor) -> graphc.Tensor:
        """Return the scores of the last state."""
        scores: graphc.Tensor = self.scores(self.path(images)[0])
        return scores


@network("held-out accuracy", at_least=0.95, quick=0.8, peer=0.9528)
def train(lesson: Lesson) -> float:
    """Train with Adam, draw how the states move, and return the held-out accuracy."""
    data, model = digits(), NeuralODE(lesson.seed)
    history = graphc.fit(
        model,
        nn.cross_entropy,
        optim.Adam(3e-3),
        data.train,
        epochs=lesson.choose(40, quick=6),
        batch_size=64,
        validation=data.test,
        metrics="accuracy",
        seed=lesson.seed,
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, data.test_x[:64])
    _, states = graphc.compile(model.path)(data.test_x)
    _, _, axes = np.linalg.svd(states[-1] - states[-1].mean(axis=0), full_matrices=False)
    flat = states @ axes[:2].T
    with lesson.figure("paths.png", size=(5, 5)) as place:
        for digit in range(10):
            chosen = flat[:, data.test_y == digit][:, :12]
            place.plot(*chosen.transpose(2, 0, 1), color=f"C{digit}", linewidth=0.7)
            place.plot(*chosen[-1].T, f"C{digit}o", markersize=4, label=str(digit))
        place.set(xlabel="first principal component", ylabel="second")
        place.legend(fontsize=7)
    return history.last["validation_accuracy"]
