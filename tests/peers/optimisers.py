"""Optimisers, schedules, clipping and averages beside PyTorch's, over the steps of one training.

Both sides fit the same two parameters to the same data; the parameters after the last step are
compared. PyTorch has no Lion, no limit of single gradients and no warm-up that counts on: these are
spelled here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import graphc
from graphc import Variable, nn, optim
from tests.peers.row import Array, Row, Shape, functional, torch

STEPS = 40
SHAPES: list[Shape] = [(32, 6), (32, 3), (6, 3), (3,)]  # data, targets, weights, bias
DRIFT = 100.0  # by which errors of many steps may be greater

S = optim.schedules


class Lion:
    """Lion as its paper has it (arXiv:2302.06675), over tensors of PyTorch."""

    def __init__(self, parameters: list[Any], rate: float, beta1: float, beta2: float) -> None:
        self.parameters, self.rate, self.betas = parameters, rate, (beta1, beta2)
        self.momenta = [torch.zeros_like(p) for p in parameters]

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        first, second = self.betas
        with torch.no_grad():
            for parameter, momentum in zip(self.parameters, self.momenta, strict=True):
                direction = torch.sign(first * momentum + (1 - first) * parameter.grad)
                parameter -= self.rate * direction
                momentum.mul_(second).add_((1 - second) * parameter.grad)


def rows() -> Iterator[Row]:
    """Yield a row for each optimiser, schedule and limit."""
    for name, make, settings in (*_optimisers(), *_schedules(), *_limits()):
        yield Row(
            f"optim.{name}",
            partial(_trained, make=make),
            partial(_peer_trained, **settings),
            SHAPES,
            slack=DRIFT,
            compiled=False,
        )
    yield Row("optim.ExponentialMovingAverage", _averaged, _peer_averaged, SHAPES, slack=DRIFT,
              compiled=False)  # fmt: skip
    yield Row("optim.LBFGS", _minimised, _peer_minimised, [(10,)], slack=1e6, compiled=False)
    yield Row("optim.global_norm", lambda x, y: optim.global_norm([x, y]),
              lambda x, y: torch.sqrt((x * x).sum() + (y * y).sum()), [(3, 4), (5,)])  # fmt: skip


def _trained(x: Array, y: Array, w: Array, b: Array, make: Callable[[], Any]) -> Any:
    weight, bias, optimiser = Variable(w), Variable(b), make()

    @graphc.compile
    def step(x: Any, y: Any) -> Any:
        loss = nn.huber(x @ weight + bias, y)
        optimiser.minimize(loss, [weight, bias])
        return loss

    losses = [step(x, y) for _ in range(STEPS)]
    return weight.value, bias.value, np.stack(losses)


def _peer_trained(
    x: Any,
    y: Any,
    w: Any,
    b: Any,
    make: Callable[[list[Any]], Any],
    schedule: Callable[[Any], Any] | None = None,
    limit: Callable[[list[Any]], Any] | None = None,
    every: int = 1,
) -> Any:
    """Train as PyTorch's users do; with `every` a step takes the mean of so many gradients."""
    parameters = [p.detach().clone().requires_grad_(True) for p in (w, b)]
    optimiser = make(parameters)
    rates = schedule(optimiser) if schedule else None
    losses = []
    for number in range(STEPS):
        if number % every == 0:
            optimiser.zero_grad()
        loss = functional.huber_loss(x @ parameters[0] + parameters[1], y)
        (loss / every).backward()
        losses.append(loss.detach())
        if limit is not None:
            limit(parameters)
        if number % every == every - 1:
            optimiser.step()
        if rates is not None:
            rates.step()
    return *(p.detach() for p in parameters), torch.stack(losses)


Cases = list[tuple[str, Callable[..., Any], dict[str, Any]]]


def _peer(name: str, *arguments: Any, **settings: Any) -> Callable[[list[Any]], Any]:
    return lambda parameters: getattr(torch.optim, name)(parameters, *arguments, **settings)


def _optimisers() -> Cases:
    return [
        ("SGD", lambda: optim.SGD(0.1), {"make": _peer("SGD", 0.1)}),
        ("SGD, momentum", lambda: optim.SGD(0.1, 0.9), {"make": _peer("SGD", 0.1, 0.9)}),
        ("SGD, Nesterov and decay",
         lambda: optim.SGD(0.1, 0.9, nesterov=True, weight_decay=0.01),
         {"make": _peer("SGD", 0.1, 0.9, nesterov=True, weight_decay=0.01)}),
        ("SGD, accumulated", lambda: optim.SGD(0.1, 0.9, accumulate=4),
         {"make": _peer("SGD", 0.1, 0.9), "every": 4}),
        ("Adam", lambda: optim.Adam(0.05), {"make": _peer("Adam", 0.05)}),
        ("Adam, decay and betas", lambda: optim.Adam(0.05, 0.8, 0.95, 1e-6, weight_decay=0.01),
         {"make": _peer("Adam", 0.05, (0.8, 0.95), 1e-6, weight_decay=0.01)}),
        ("AdamW", lambda: optim.AdamW(0.05, weight_decay=0.1),
         {"make": _peer("AdamW", 0.05, weight_decay=0.1)}),
        ("Adagrad", lambda: optim.Adagrad(0.1, first_sum=0.1, weight_decay=0.01),
         {"make": _peer("Adagrad", 0.1, initial_accumulator_value=0.1, weight_decay=0.01)}),
        ("RMSprop", lambda: optim.RMSprop(0.01), {"make": _peer("RMSprop", 0.01)}),
        ("RMSprop, centred",
         lambda: optim.RMSprop(0.01, centred=True, momentum=0.9, weight_decay=0.01),
         {"make": _peer("RMSprop", 0.01, centered=True, momentum=0.9, weight_decay=0.01)}),
        ("Lion", lambda: optim.Lion(0.01),
         {"make": lambda parameters: Lion(parameters, 0.01, 0.9, 0.99)}),
    ]  # fmt: skip


def _rates(name: str, *arguments: Any, **settings: Any) -> Callable[[Any], Any]:
    return lambda o: getattr(torch.optim.lr_scheduler, name)(o, *arguments, **settings)


def _warm_up(optimiser: Any) -> Any:
    return torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda n: min(n / 10, 1) * 0.5 ** (max(n - 10, 0) // 7)
    )


def _schedules() -> Cases:
    table: list[tuple[str, Any, Callable[[Any], Any]]] = [
        ("Constant", S.Constant(0.05), _rates("ConstantLR", 1.0)),
        ("Cosine", S.Cosine(0.05, STEPS, 0.01), _rates("CosineAnnealingLR", STEPS, 0.01)),
        ("Step", S.Step(0.05, 7, 0.5), _rates("StepLR", 7, 0.5)),
        ("MultiStep", S.MultiStep(0.05, (5, 20), 0.5), _rates("MultiStepLR", [5, 20], 0.5)),
        ("Exponential", S.Exponential(0.05, 0.9), _rates("ExponentialLR", 0.9)),
        ("Polynomial", S.Polynomial(0.05, 30, 2.0), _rates("PolynomialLR", 30, 2.0)),
        ("OneCycle", S.OneCycle(0.05, STEPS),
         _rates("OneCycleLR", 0.05, STEPS, cycle_momentum=False)),
        ("WarmUp", S.WarmUp(S.Step(0.05, 7, 0.5), 10), _warm_up),
    ]  # fmt: skip
    return [
        (f"schedules.{name}", lambda r=rate: optim.SGD(r),
         {"make": _peer("SGD", 0.05), "schedule": theirs})
        for name, rate, theirs in table
    ]  # fmt: skip


def _limits() -> Cases:
    def by_value(parameters: list[Any]) -> None:
        torch.nn.utils.clip_grad_value_(parameters, 0.05)

    def by_global_norm(parameters: list[Any]) -> None:
        gradients = [p.grad for p in parameters]
        norm = math.sqrt(sum(float((g * g).sum()) for g in gradients))
        for gradient in gradients:
            gradient.mul_(min(1.0, 0.3 / norm))

    def by_norm(parameters: list[Any]) -> None:
        for parameter in parameters:
            by_global_norm([parameter])

    return [
        (f"{type(clip).__name__}", lambda c=clip: optim.SGD(0.5, clip=c),
         {"make": _peer("SGD", 0.5), "limit": limit})
        for clip, limit in (
            (optim.ClipByValue(0.05), by_value),
            (optim.ClipByNorm(0.3), by_norm),
            (optim.ClipByGlobalNorm(0.3), by_global_norm),
        )
    ]  # fmt: skip


def _averaged(x: Array, y: Array, w: Array, b: Array) -> Any:
    weight, optimiser = Variable(w), optim.SGD(0.1)
    average = optim.ExponentialMovingAverage([weight], 0.9)

    @graphc.compile
    def step(x: Any, y: Any) -> Any:
        loss = nn.mse(x @ weight, y)
        optimiser.minimize(loss, [weight])
        average.update()
        return loss

    for _ in range(STEPS):
        step(x, y)
    with average.applied():
        return weight.value


def _peer_averaged(x: Any, y: Any, w: Any, b: Any) -> Any:
    weight = w.detach().clone().requires_grad_(True)
    average = w.detach().clone()
    for _ in range(STEPS):
        (slope,) = torch.autograd.grad(functional.mse_loss(x @ weight, y), weight)
        with torch.no_grad():
            weight -= 0.1 * slope
            average = 0.9 * average + 0.1 * weight
    return average


def _valley(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def _minimised(x: Array) -> Any:
    """Return where the search ends: the valley has one least point near, in float64."""
    place = Variable(np.abs(x).astype(np.float64))
    optim.LBFGS([place], max_iterations=1000, value_tolerance=0).minimize(lambda: _valley(place))
    return place.value


def _peer_minimised(x: Any) -> Any:
    place = x.detach().double().abs().requires_grad_(True)
    search = torch.optim.LBFGS([place], max_iter=1000, tolerance_grad=1e-6, tolerance_change=0,
                               line_search_fn="strong_wolfe")  # fmt: skip

    def closure() -> Any:
        search.zero_grad()
        value = _valley(place)
        value.backward()
        return value

    search.step(closure)
    return place.detach()
