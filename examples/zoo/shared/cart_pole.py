"""CartPole: the environment of the agents, in Python; the agents are compiled programs.

A cart carries a pole and is pushed to the left or to the right at each step. An episode ends when
the pole falls or the cart leaves the track, and after 500 steps; each step gives a reward of 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.zoo.shared import Lesson
from graphc.zoo.shared.data import external

__all__ = ["CartPoles", "draw_returns", "judge", "mean_return"]

Array = np.ndarray[Any, Any]


class CartPoles:
    """Several carts at once; where an episode ends the next one begins."""

    def __init__(self, count: int, seed: int) -> None:
        gymnasium = external("gymnasium", "gymnasium")
        self._carts = [gymnasium.make("CartPole-v1") for _ in range(count)]
        starts = [c.reset(seed=1000 * seed + i)[0] for i, c in enumerate(self._carts)]
        self.observations = np.array(starts, np.float32)
        self.lengths = np.zeros(count, int)
        self.returns: list[int] = []  # of the episodes that ended

    def step(self, actions: Array) -> tuple[Array, Array, Array]:
        """Push the carts; returns what is seen before the next start, which fell, which ended."""
        seen = np.empty_like(self.observations)
        fallen, ended = np.zeros(len(seen), bool), np.zeros(len(seen), bool)
        self.lengths += 1
        for i, (cart, action) in enumerate(zip(self._carts, actions, strict=True)):
            seen[i], _, fallen[i], is_over, _ = cart.step(int(action))
            ended[i] = fallen[i] or is_over
            self.observations[i] = seen[i]
            if ended[i]:
                self.observations[i] = cart.reset()[0]
                self.returns.append(int(self.lengths[i]))
                self.lengths[i] = 0
        return seen, fallen, ended


def mean_return(act: Callable[[Array], Array], carts: int, seed: int) -> float:
    """Return the mean return of the first episode of each of some carts."""
    poles = CartPoles(carts, seed)
    running, total = np.ones(carts, bool), np.zeros(carts)
    while running.any():
        total += running
        _, _, ended = poles.step(act(poles.observations.copy()))
        running &= ~ended
    return float(total.mean())


def judge(lesson: Lesson, act: Callable[[Array], Array]) -> float:
    """Return the mean return of an agent in 32 episodes, and tell it beside that of chance."""
    random = np.random.default_rng(lesson.seed)
    ways = {"pushed at random": lambda seen: random.integers(0, 2, len(seen)), "the agent": act}
    returns = {name: mean_return(way, 32, 7 + lesson.seed) for name, way in ways.items()}
    lesson.compare({name: {"mean return": value} for name, value in returns.items()})
    return returns["the agent"]


def draw_returns(lesson: Lesson, returns: list[int]) -> None:
    """Draw the return of each episode, and the mean of the hundred up to it."""
    counts = range(1, len(returns) + 1)
    means = [np.mean(returns[max(0, count - 100) : count]) for count in counts]
    with lesson.figure("returns.png") as axes:
        axes.plot(counts, returns, ".", markersize=3, alpha=0.4, label="an episode")
        axes.plot(counts, means, label="mean of the last 100")
        axes.set(xlabel="episode", ylabel="return: steps until it fell, at most 500")
        axes.legend()
