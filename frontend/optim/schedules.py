"""Learning rates that depend on the number of steps, inside the graph.

A schedule is a function of the number of steps taken before this one, an int64 tensor, and gives a
float64 scalar. It is part of the compiled step: nothing is compiled again when the rate changes.
Any function of that kind will do in its place. Beyond the last step of a schedule its last rate
holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from graphc.dtypes import float64
from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend import elementwise
from graphc.frontend.operands import as_node, fail
from graphc.frontend.tensor import Tensor, TensorLike

__all__ = [
    "Constant", "Cosine", "Exponential", "MultiStep", "OneCycle", "Polynomial", "Schedule",
    "Step", "WarmUp",
]  # fmt: skip

Rates: TypeAlias = Callable[[Tensor], TensorLike]


@dataclass(frozen=True)
class Schedule:
    """The base of schedules: settings are numbers, and numbers of steps are positive integers."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("steps", "every") and (type(value) is not int or value < 1):
                fail(GraphcValueError, f"{name}: {field.name} is a number of steps, not {value!r}")
            if field.type == "float" and not isinstance(value, int | float):
                fail(GraphcTypeError, f"{name}: {field.name} is a number, not {value!r}")

    def __call__(self, step: Tensor) -> Tensor:
        """Return the rate of the step that follows `step` others."""
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Schedule):
    """Always `rate`."""

    rate: float

    def __call__(self, step: Tensor) -> Tensor:
        """Return the rate of the step that follows `step` others."""
        return _float64(self.rate)


@dataclass(frozen=True)
class Step(Schedule):
    """`rate`, multiplied by `factor` every so many steps.

    >>> Step(0.1, every=1000, factor=0.5)
    Step(rate=0.1, every=1000, factor=0.5)
    """

    rate: float
    every: int
    factor: float = 0.1

    def __call__(self, step: Tensor) -> Tensor:
        """Return the rate of the step that follows `step` others."""
        return self.rate * _power(self.factor, step // self.every)


@dataclass(frozen=True)
class MultiStep(Schedule):
    """`rate`, multiplied by `factor` at each of `milestones`, numbers of steps that increase."""

    rate: float
    milestones: tuple[int, ...]
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        given: Any = self.milestones
        if not isinstance(given, tuple | list) or list(given) != sorted(set(given)):
            fail(GraphcValueError, f"MultiStep: milestones increase, unlike {given!r}")
        object.__setattr__(self, "milestones", tuple(given))

    def __call__(self, step: Tensor) -> Tensor:
        """Return the rate of the step that follows `step` others."""
        rates = [self.rate * self.factor**n for n in range(len(self.milestones) + 1)]
        rate = _float64(rates[0])
        for milestone, value in zip(self.milestones, rates[1:], strict=True):
            rate = elementwise.where(step >= milestone, value, rate)
        return rate


@dataclass(frozen=True)
class Exponential(Schedule):
    """`rate`, multiplied by `factor` at every step."""

    rate: float
    factor: float

    def __call__(self, step: Tensor) -> Tensor:
        """Return the rate of the step that follows `step` others."""
        return self.rate * _power(self.factor, step)


@dataclass(frozen=True)
class Polynomial(Schedule):
    """From `rate` to `final` in so many steps, as (1 - step / steps)**power; by default a line."""

    rate: float
    steps: int
    power: float = 1.0
    final: float = 0.0

    def __call__(self, step: Tensor) -> Tensor:
        """Return the rate of the step that follows `step` others."""
        left = 1 - _share(step, self.steps)
        return self.final + (self.rate - self.final) * left**self.power


@dataclass(frozen=True)
class Cosine(Schedule):
    """From `rate` to `final` in so many steps, along half a cosine.

    Source: Loshchilov and Hutter, arXiv:1608.03983, without restarts.
    """

    rate: float
    steps: int
    final: float = 0.0

    def __call__(self, step: Tensor) -> Tensor:
        """Return the rate of the step that follows `step` others."""
        return _half_cosine(self.rate, self.final, _share(step, self.steps))


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A line from `start` times the first rate of `then` to all of it, and `then` from there on.

    `then` is a schedule or a rate, and counts its steps from the end of the warm-up.

    >>> WarmUp(Cosine(1e-3, steps=900), steps=100)
    WarmUp(then=Cosine(rate=0.001, steps=900, final=0.0), steps=100, start=0.0)
    """

    then: Rates | float
    steps: int
    start: float = 0.0

    def __call__(self, step: Tensor) -> Tensor:
        """Return the rate of the step that follows `step` others."""
        then = self.then if callable(self.then) else Constant(self.then)
        rate = _float64(then(elementwise.maximum(step - self.steps, 0)))
        return rate * (self.start + (1 - self.start) * _share(step, self.steps))


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to `peak` and down to nearly nothing in so many steps, along two half cosines.

    It starts from `peak / start_divisor`, reaches the peak after the share `rise` of the steps, and
    ends at the start divided by `final_divisor`. Source: Smith and Topin, arXiv:1708.07120, as
    PyTorch has it: the last of `steps` steps has the last rate.
    """

    peak: float
    steps: int
    rise: float = 0.3
    start_divisor: float = 25.0
    final_divisor: float = 1e4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.rise < 1 or self.steps * self.rise <= 1:
            fail(
                GraphcValueError,
                f"OneCycle: {self.rise} of {self.steps} steps is no rise",
                hint="rise is a share of the steps, of more than one and less than all of them",
            )

    def __call__(self, step: Tensor) -> Tensor:
        """Return the rate of the step that follows `step` others."""
        start = self.peak / self.start_divisor
        top, last = self.steps * self.rise - 1, float(self.steps - 1)
        place = step.astype(float64)
        up = _half_cosine(start, self.peak, elementwise.clip(place / top, 0, 1))
        fallen = elementwise.clip((place - top) / (last - top), 0, 1)
        down = _half_cosine(self.peak, start / self.final_divisor, fallen)
        return elementwise.where(place <= top, up, down)


def _float64(rate: TensorLike) -> Tensor:
    return Tensor(as_node(rate, float64))


def _share(step: Tensor, steps: int) -> Tensor:
    """Return how much of `steps` has passed, 0 … 1."""
    return elementwise.minimum(step.astype(float64) / float(steps), 1)


def _half_cosine(first: float, last: float, share: Tensor) -> Tensor:
    return last + (first - last) * 0.5 * (1 + elementwise.cos(math.pi * share))


def _power(factor: float, count: Tensor) -> Tensor:
    return elementwise.power(float(factor), count.astype(float64))
