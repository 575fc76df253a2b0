"""Policy gradient: an agent that balances a pole, by doing more of what went well.

The policy gives a chance to each action. What the agent did is made more likely in proportion to
how much more reward followed than was expected, and a second output learns what to expect. Sources:
R. Williams, REINFORCE, 1992; V. Mnih et al., arXiv:1602.01783 (the baseline).

Data: CartPole of gymnasium, eight carts at once; the environment is Python, and the agent is one
compiled program, which learns when it is told to, and acts. Judged by the mean return of 32 new
episodes, of 500 at most. Peer: the same agent in PyTorch. Bar: 475, from where gymnasium calls
CartPole-v1 solved.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.cart_pole import CartPoles, draw_returns, judge

Array = np.ndarray[Any, Any]
CARTS, STEPS, DISCOUNT = 8, 64, np.float32(0.99)
ACT, LEARN = np.array(False), np.array(True)


class PolicyAndValue(nn.Module):
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


def make_agent(model: PolicyAndValue, optimizer: optim.Optimiser) -> Any:
    """Return the program: it learns from what was played if it is time to, and then acts."""

    def learn(seen: Any, actions: Any, returns: Any) -> graphc.Tensor:
        """Make what went better than expected more likely."""
        scores, value = model(seen)
        advantage = graphc.stop_gradient(returns - value) / 50
        surprise = nn.cross_entropy(scores, actions, reduction="none")  # -log of its chance
        variety = -graphc.sum(nn.softmax(scores) * nn.log_softmax(scores), axis=-1)
        policy_loss = (surprise * advantage - 0.01 * variety).mean()
        loss: graphc.Tensor = policy_loss + 0.5 * nn.mse(value / 50, returns / 50)
        optimizer.minimize(loss, model.parameters())
        return loss

    @graphc.compile
    def agent(now: Any, chance: Any, is_time: Any, *played: Any) -> tuple[graphc.Tensor, ...]:
        """Return an action for each cart, drawn by `chance`, and the return to be expected."""
        graphc.cond(is_time, lambda: learn(*played), lambda: graphc.zeros(()))
        scores, value = model(now)
        return (chance > nn.softmax(scores)[:, 0]).astype("int64"), value

    return agent


def play(poles: CartPoles, act: Any, random: np.random.Generator) -> tuple[Array, Array, Array]:
    """Let all carts run for STEPS steps: what was seen, what was done, and what it returned."""
    seen, done, ended, rewards = [], [], [], []
    for _ in range(STEPS):
        seen.append(poles.observations.copy())
        actions, _ = act(seen[-1], random.random(CARTS, np.float32))
        after, fallen, over = poles.step(actions)
        rewards.append(np.ones(CARTS, np.float32))
        cut_off = over & ~fallen
        if cut_off.any():  # these would have gone on: what was expected stands for that
            rewards[-1] += DISCOUNT * act(after, np.zeros(CARTS, np.float32))[1] * cut_off
        done.append(actions)
        ended.append(over)
    _, value = act(poles.observations.copy(), np.zeros(CARTS, np.float32))
    returns = discounted(np.array(rewards), np.array(ended), value)
    return np.concatenate(seen), np.concatenate(done), returns.reshape(-1)


def discounted(rewards: Array, ended: Array, last: Array) -> Array:
    """Return what follows each step: its reward and all later ones of its episode, discounted."""
    returns = np.empty_like(rewards)
    for step in reversed(range(len(rewards))):
        last = rewards[step] + DISCOUNT * last * ~ended[step]
        returns[step] = last
    return returns


@network("mean return of 32 episodes", at_least=475, quick=30, peer=500)
def train(lesson: Lesson) -> float:
    """Let the agent play and learn, and return how long it balances the pole in the end."""
    model, random = PolicyAndValue(lesson.seed), np.random.default_rng(lesson.seed)
    agent, poles = make_agent(model, optim.Adam(3e-3)), CartPoles(CARTS, lesson.seed)
    count = CARTS * STEPS
    nothing = np.zeros((count, 4), np.float32), np.zeros(count, int), np.zeros(count, np.float32)
    played: tuple[Array, Array, Array] = nothing

    def act(seen: Array, chance: Array) -> Any:
        return agent(seen, chance, ACT, *played)

    for _ in range(lesson.choose(400, quick=15)):
        played = play(poles, act, random)
        agent(poles.observations, np.zeros(CARTS, np.float32), LEARN, *played)
    lesson.draw_forward(model, poles.observations)
    lesson.draw_step(agent.programs[0])
    draw_returns(lesson, poles.returns)
    likelier: Any = graphc.compile(lambda seen: graphc.argmax(model(seen)[0], axis=-1))
    return judge(lesson, likelier)
