"""Policy gradient: an agent that balances a pole, by doing more of what went well.

The policy gives a chance to each action. What the agent did is made more likely in proportion to
how much more reward followed than was expected, and a second output learns what to expect. Sources:
R. Williams, REINFORCE, 1992; V. Mnih et al., arXiv:1602.01783 (the baseline).

Data: CartPole of gymnasium, eight carts at once; the environment is Python, and the agent two
compiled programs over the same weights: one acts, one learns. Bar: the mean return of 32 new
episodes, of 500 at most; 195 counts as solved. Peer: chance. The bar is 400: seeds 0 to 4 give 500;
the peer's value: `python -m benchmarks.zoo_peers chance`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.cart_pole import CartPoles, mean_return

CARTS, STEPS, DISCOUNT = 8, 64, np.float32(0.99)


class Agent(nn.Module):
    """Four observations -> 64 -> scores of the two actions, and the return to be expected."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.hidden = nn.Linear(4, 64, seed=random)
        self.policy = nn.Linear(64, 2, seed=random, weight_initialiser=nn.initialisers.zeros)
        self.value = nn.Linear(64, 1, seed=random)

    def forward(self, observations: graphc.Tensor) -> tuple[graphc.Tensor, graphc.Tensor]:
        """Return the scores of the actions, and the expected return."""
        hidden = graphc.tanh(self.hidden(observations))
        return self.policy(hidden), 50 * self.value(hidden)[..., 0]


def make_programs(agent: Agent, optimizer: optim.Optimiser) -> tuple[Any, Any]:
    """Return the program that acts and the program that learns."""

    @graphc.compile
    def act(observations: graphc.Tensor, chance: graphc.Tensor) -> tuple[graphc.Tensor, ...]:
        """Draw an action for each cart, and say what return is expected."""
        scores, value = agent(observations)
        return (chance > nn.softmax(scores)[:, 0]).astype("int64"), value

    @graphc.compile
    def learn(observations: Any, actions: Any, returns: Any) -> graphc.Tensor:
        """Make what went better than expected more likely."""
        scores, value = agent(observations)
        advantage = graphc.stop_gradient(returns - value) / 50
        chances = nn.softmax(scores)
        surprise = nn.cross_entropy(scores, actions, reduction="none")
        variety = -graphc.sum(chances * nn.log_softmax(scores), axis=-1)
        loss: graphc.Tensor = (surprise * advantage - 0.01 * variety).mean() + 0.5 * nn.mse(
            value / 50, returns / 50
        )
        optimizer.minimize(loss, agent.parameters())
        return loss

    return act, learn


def discounted(rewards: Any, ended: Any, last: Any) -> Any:
    """Return what follows each step: its reward and all later ones of its episode, discounted."""
    returns = np.empty_like(rewards)
    for step in reversed(range(len(rewards))):
        last = rewards[step] + DISCOUNT * last * ~ended[step]
        returns[step] = last
    return returns


@network("mean return of 32 episodes", at_least=400, quick=30, peer=23.24)
def train(lesson: Lesson) -> float:
    """Let the agent play and learn, and return how long it balances the pole in the end."""
    agent, random = Agent(lesson.seed), np.random.default_rng(lesson.seed)
    act, learn = make_programs(agent, optim.Adam(3e-3))
    poles = CartPoles(CARTS, lesson.seed)
    for _ in range(lesson.choose(400, quick=15)):
        seen, done, ended, bonus = [], [], [], []
        for _ in range(STEPS):
            seen.append(poles.observations.copy())
            actions, _ = act(seen[-1], random.random(CARTS, np.float32))
            after, fallen, over = poles.step(actions)
            _, value = act(after, np.zeros(CARTS, np.float32))
            # An episode that was cut off would have gone on: what was expected stands for that.
            bonus.append(np.float32(1) + DISCOUNT * value * (over & ~fallen))
            done.append(actions)
            ended.append(over)
        _, value = act(poles.observations.copy(), np.zeros(CARTS, np.float32))
        returns = discounted(np.array(bonus, np.float32), np.array(ended), value)
        learn(np.concatenate(seen), np.concatenate(done), returns.reshape(-1))
    lesson.draw_forward(agent, seen[-1])
    lesson.draw_step(learn.programs[0])
    with lesson.figure("returns.png") as axes:
        axes.plot(poles.returns, ".", markersize=3)
        axes.set(xlabel="episode", ylabel="return")
    half = np.full(32, 0.5, np.float32)
    return mean_return(lambda observations: act(observations, half)[0], 32, 7 + lesson.seed)
