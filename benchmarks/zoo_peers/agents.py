"""The agents of the zoo in PyTorch: the same networks, losses, rates and numbers of steps."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from graphc.zoo.shared.cart_pole import CartPoles, mean_return


def _torch(seed: int) -> Any:
    torch = importlib.import_module("torch")
    torch.manual_seed(seed)
    return torch


def policy_gradient(seed: int) -> float:
    """Return the mean return of 32 episodes of the same agent."""
    torch = _torch(seed)
    from graphc.zoo import policy_gradient as task

    random, poles = np.random.default_rng(seed), CartPoles(task.CARTS, seed)
    hidden, policy, value = (torch.nn.Linear(*sizes) for sizes in ((4, 64), (64, 2), (64, 1)))
    torch.nn.init.zeros_(policy.weight)
    modules = torch.nn.ModuleList([hidden, policy, value])
    optimizer = torch.optim.Adam(modules.parameters(), 3e-3)

    def look(seen: Any) -> tuple[Any, Any]:
        features = torch.tanh(hidden(torch.tensor(seen)))
        return policy(features), 50 * value(features)[..., 0]

    def act(seen: Any, chance: Any) -> tuple[Any, Any]:
        with torch.no_grad():
            scores, worth = look(seen)
        return (chance > scores.softmax(dim=-1)[:, 0].numpy()).astype(int), worth.numpy()

    def learn(seen: Any, actions: Any, returns: Any) -> None:
        scores, worth = look(seen)
        wanted, logs = torch.tensor(returns), scores.log_softmax(dim=-1)
        surprise = torch.nn.functional.nll_loss(logs, torch.tensor(actions), reduction="none")
        variety = -(logs.exp() * logs).sum(dim=-1)
        loss = (surprise * (wanted - worth).detach() / 50 - 0.01 * variety).mean()
        loss = loss + 0.5 * torch.nn.functional.mse_loss(worth / 50, wanted / 50)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(400):
        learn(*task.play(poles, act, random))
    half = np.full(32, 0.5, np.float32)
    return mean_return(lambda seen: act(seen, half)[0], 32, 7 + seed)


def q_learning(seed: int) -> float:
    """Return the mean return of 32 episodes of the same agent."""
    torch = _torch(seed)
    from graphc.zoo import q_learning as task

    random, memory = np.random.default_rng(seed), task.Memory()
    poles, nn = CartPoles(task.CARTS, seed), torch.nn

    def make() -> Any:
        return nn.Sequential(
            nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)
        )

    judge, follower = make(), make()
    follower.load_state_dict(judge.state_dict())
    optimizer = torch.optim.Adam(judge.parameters(), 1e-3)
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.02 ** (1 / task.TRAINING))

    def agent(now: Any, *memories: Any) -> Any:
        before, action, after, fallen = map(torch.tensor, memories)
        with torch.no_grad():
            actions = judge(torch.tensor(now)).argmax(dim=-1).numpy()
            best = judge(after).argmax(dim=-1, keepdim=True)
            future = follower(after).gather(1, best)[:, 0] * (1 - fallen)
            wanted = 1 / task.SCALE + task.DISCOUNT * future
        worth = judge(before).gather(1, action[:, None])[:, 0]
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(worth, wanted).backward()
        optimizer.step()
        decay.step()
        with torch.no_grad():
            for slow, fast in zip(follower.parameters(), judge.parameters(), strict=True):
                slow.lerp_(fast, 0.01)
        return actions

    task.play(poles, agent, memory, random, task.TRAINING)

    def act(seen: Any) -> Any:
        with torch.no_grad():
            return follower(torch.tensor(seen)).argmax(dim=-1).numpy()

    return mean_return(act, 32, 7 + seed)
