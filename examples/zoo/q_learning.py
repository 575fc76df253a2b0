"""Q-learning: an agent that learns what each action is worth, and takes the better one.

The worth of an action is the reward and the worth of what is best to do next. The agent remembers
what happened, and with each step corrects its estimates a little on memories drawn at random; what
is best next is judged by a second network, which follows the first slowly. Sources: C. Watkins,
1989; V. Mnih et al., Human-level control through deep reinforcement learning, 2015; H. van Hasselt
et al., arXiv:1509.06461.

Data: CartPole of gymnasium, eight carts at once; the environment is Python, and the agent is one
compiled program, which acts and learns in one call. Judged by the mean return of 32 new episodes,
of 500 at most. Peer: the same agent in PyTorch. Bar: 195, from where gymnasium calls CartPole-v0
solved.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.cart_pole import CartPoles, draw_returns, judge

CARTS, BATCH, MEMORY, DISCOUNT, SCALE, TRAINING = 8, 128, 100_000, 0.99, 50.0, 50_000


def make_network(seed: int) -> nn.Sequential:
    """Return four observations -> 64 -> 64 -> the worth of two actions, over SCALE."""
    random = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(4, 64, seed=random),
        nn.ReLU(),
        nn.Linear(64, 64, seed=random),
        nn.ReLU(),
        nn.Linear(64, 2, seed=random),
    )


def make_agent(learner: nn.Module, follower: nn.Module, decay: float) -> Any:
    """Return the program: actions for what is seen now, and a step of learning from memories."""
    rate = graphc.Variable(np.float32(1e-3), name="rate")
    optimizer = optim.Adam(rate)

    @graphc.compile
    def agent(now: Any, before: Any, action: Any, after: Any, is_fallen: Any) -> graphc.Tensor:
        best = graphc.one_hot(graphc.argmax(learner(after), axis=-1), 2)
        future = graphc.sum(follower(after) * best, axis=-1) * (1 - is_fallen)
        wanted = graphc.stop_gradient(1 / SCALE + DISCOUNT * future)
        worth = graphc.sum(learner(before) * graphc.one_hot(action, 2), axis=-1)
        actions = graphc.argmax(learner(now), axis=-1)
        optimizer.minimize(nn.mse(worth, wanted), learner.parameters())
        for slow, fast in zip(follower.parameters(), learner.parameters(), strict=True):
            slow.assign(slow + 0.01 * (fast - slow))
        rate.assign(rate * decay)
        return actions

    return agent


class Memory:
    """The last steps, the oldest overwritten first."""

    def __init__(self) -> None:
        self.before, self.after = (np.zeros((MEMORY, 4), np.float32) for _ in range(2))
        self.action, self.is_fallen = np.zeros(MEMORY, np.int64), np.zeros(MEMORY, np.float32)
        self.count = 0

    def add(self, *step: Any) -> None:
        """Remember a step of all carts."""
        places = (self.count + np.arange(CARTS)) % MEMORY
        parts: tuple[Any, ...] = (self.before, self.action, self.after, self.is_fallen)
        for kept, new in zip(parts, step, strict=True):
            kept[places] = new
        self.count += CARTS

    def draw(self, random: np.random.Generator) -> Any:
        """Return some steps, drawn at random."""
        places = random.integers(0, min(self.count, MEMORY), BATCH)
        return self.before[places], self.action[places], self.after[places], self.is_fallen[places]


def play(
    poles: CartPoles, agent: Any, memory: Memory, random: np.random.Generator, steps: int
) -> None:
    """Let all carts run; with each step the agent acts, and learns from memories."""
    for step in range(steps):
        before = poles.observations.copy()
        actions = random.integers(0, 2, CARTS)
        if step >= 100:
            best = agent(before, *memory.draw(random))
            curiosity = max(0.02, 1 - 4 * step / steps)
            actions = np.where(random.random(CARTS) < curiosity, actions, best)
        after, fallen, _ = poles.step(actions)
        memory.add(before, actions, after, fallen)


@network("mean return of 32 episodes", at_least=195, quick=9, peer=500)
def train(lesson: Lesson) -> float:
    """Let the agent play and learn, and return how long it balances the pole in the end."""
    learner, follower = make_network(lesson.seed), make_network(lesson.seed)
    poles, steps = CartPoles(CARTS, lesson.seed), lesson.choose(TRAINING, quick=300)
    agent = make_agent(learner, follower, decay=0.02 ** (1 / steps))
    play(poles, agent, Memory(), np.random.default_rng(lesson.seed), steps)
    lesson.draw_forward(learner, poles.observations)
    lesson.draw_step(agent.programs[0])
    draw_returns(lesson, poles.returns)
    better: Any = graphc.compile(lambda seen: graphc.argmax(follower(seen), axis=-1))
    return judge(lesson, better)
