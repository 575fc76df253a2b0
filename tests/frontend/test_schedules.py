"""Learning rates against their formulas, and in a step that is compiled once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import Variable, optim
from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend.optim import schedules
from tests.frontend.evaluation import run

COUNT = 25


def cosine(step: int, steps: int, rate: float, final: float) -> float:
    return final + (rate - final) * (1 + math.cos(math.pi * min(step / steps, 1))) / 2


def one_cycle(step: int) -> float:
    """As torch.optim.lr_scheduler.OneCycleLR(max_lr=0.5, total_steps=20) has it."""
    first, top, last = 0.5 / 25, 0.3 * 20 - 1, 19.0
    if step <= top:
        return first + (0.5 - first) * (1 - math.cos(math.pi * step / top)) / 2
    share = min((step - top) / (last - top), 1)
    return first / 1e4 + (0.5 - first / 1e4) * (1 + math.cos(math.pi * share)) / 2


CASES: dict[str, tuple[Any, Callable[[int], float]]] = {
    "constant": (schedules.Constant(0.3), lambda t: 0.3),
    "step": (schedules.Step(0.8, 7, 0.5), lambda t: 0.8 * 0.5 ** (t // 7)),
    "multi-step": (
        schedules.MultiStep(0.8, (3, 10, 11)),
        lambda t: 0.8 * 0.1 ** sum(t >= m for m in (3, 10, 11)),
    ),
    "exponential": (schedules.Exponential(0.8, 0.9), lambda t: 0.8 * 0.9**t),
    "line": (schedules.Polynomial(0.8, 20), lambda t: 0.8 * (1 - min(t / 20, 1))),
    "polynomial": (
        schedules.Polynomial(0.8, 20, power=2.5, final=0.1),
        lambda t: 0.1 + 0.7 * (1 - min(t / 20, 1)) ** 2.5,
    ),
    "cosine": (schedules.Cosine(0.8, 20, 0.1), lambda t: cosine(t, 20, 0.8, 0.1)),
    "warm-up": (schedules.WarmUp(0.8, 4, 0.1), lambda t: 0.8 * (0.1 + 0.9 * min(t / 4, 1))),
    "warm-up, cosine": (
        schedules.WarmUp(schedules.Cosine(0.8, 10), 4),
        lambda t: cosine(max(t - 4, 0), 10, 0.8, 0) * min(t / 4, 1),
    ),
    "one-cycle": (schedules.OneCycle(0.5, 20), one_cycle),
    "one's own": (lambda t: 1 / (t + 1.0), lambda t: 1 / (t + 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_rates(name: str) -> None:
    schedule, expected = CASES[name]
    found = [float(run(schedule, np.int64(t))) for t in range(COUNT)]
    np.testing.assert_allclose(found, [expected(t) for t in range(COUNT)], rtol=1e-14, atol=1e-17)


@pytest.mark.parametrize("name", CASES)
def test_steps_take_their_rates_and_are_compiled_once(name: str) -> None:
    schedule, expected = CASES[name]
    parameter = Variable(np.float64(0))
    optimiser = optim.SGD(schedule)

    @graphc.compile
    def train_step() -> Any:
        optimiser.apply_gradients([np.float64(-1)], [parameter])

    for _ in range(COUNT):
        train_step()
    np.testing.assert_allclose(parameter.value, sum(map(expected, range(COUNT))), rtol=1e-13)
    assert len(train_step.programs) == 1 and optimiser.step_count.value == COUNT


def test_float32_parameters_get_the_rate_rounded_once() -> None:
    parameter = Variable(np.float32(0))
    optimiser = optim.SGD(schedules.Exponential(0.1, 0.7))

    @graphc.compile
    def train_step() -> Any:
        optimiser.apply_gradients([np.float32(-1)], [parameter])

    train_step()
    assert parameter.value == np.float32(0.1)
    train_step()
    assert parameter.value == np.float32(0.1) + np.float32(0.1 * 0.7)


def test_accumulated_calls_count_as_one_step() -> None:
    parameter = Variable(np.float64(0))
    optimiser = optim.SGD(schedules.Step(1.0, 1, 0.5), accumulate=3)

    @graphc.compile
    def train_step() -> Any:
        optimiser.apply_gradients([np.float64(-1)], [parameter])

    for _ in range(6):
        train_step()
    assert parameter.value == 1.5


def test_misuse_is_refused() -> None:
    with pytest.raises(GraphcValueError, match="steps is a number of steps, not 0"):
        schedules.Cosine(0.1, 0)
    with pytest.raises(GraphcValueError, match=r"every is a number of steps, not 1\.5"):
        schedules.Step(0.1, 1.5)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(GraphcTypeError, match="rate is a number, not 'fast'"):
        schedules.Constant("fast")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(GraphcValueError, match="milestones increase"):
        schedules.MultiStep(0.1, (3, 2))
    with pytest.raises(GraphcValueError, match="is no rise"):
        schedules.OneCycle(0.1, 3)
    shown = "SGD(learning_rate=Constant(rate=0.3), weight_decay=0.0, momentum=0.0, nesterov=False)"
    assert repr(optim.SGD(schedules.Constant(0.3))) == shown
