"""Optimisers against the formulas of their papers, written in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc.frontend as gc
from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend import nn, optim
from tests.frontend.evaluation import close, step, tensor

TARGET = np.array([1.0, -2.0, 3.0])


def train(optimiser: optim.Optimiser, parameter: gc.Variable, steps: int) -> list[Any]:
    """Run steps on the loss sum((p - target)^2); return the parameter after each."""

    def train_step() -> Any:
        loss = ((parameter - TARGET.astype(parameter.dtype.numpy)) ** 2).sum()
        optimiser.minimize(loss, [parameter])
        return loss

    values = []
    for _ in range(steps):
        step(train_step)
        values.append(parameter.value)
    return values


def reference_sgd(p: Any, momentum: float, nesterov: bool, decay: float, steps: int) -> list[Any]:
    velocity, values = np.zeros_like(p), []
    for _ in range(steps):
        g = 2 * (p - TARGET) + decay * p
        velocity = momentum * velocity + g
        p = p - 0.1 * (g + momentum * velocity if nesterov else velocity)
        values.append(p)
    return values


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_sgd(momentum: float, nesterov: bool, decay: float) -> None:
    parameter = gc.Variable(np.zeros(3))
    found = train(optim.SGD(0.1, momentum, nesterov, decay), parameter, 5)
    close(
        np.array(found), np.array(reference_sgd(np.zeros(3), momentum, nesterov, decay, 5)), 1e-14
    )


def reference_adam(p: Any, decay: float, steps: int) -> list[Any]:
    m, v, values = np.zeros_like(p), np.zeros_like(p), []
    for t in range(1, steps + 1):
        g = 2 * (p - TARGET) + decay * p
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + (1 - 0.999) * g * g
        p = p - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        values.append(p)
    return values


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_adam(decay: float) -> None:
    parameter = gc.Variable(np.zeros(3))
    optimiser = optim.Adam(0.1, weight_decay=decay)
    close(np.array(train(optimiser, parameter, 20)), np.array(reference_adam(np.zeros(3), decay, 20)), 1e-12)  # fmt: skip  # noqa: E501  # one line says it
    assert optimiser.step_count.value == 20
    assert [v.name for v in optimiser.variables] == [
        "adam.step_count", "parameter.moment1", "parameter.moment2",
    ]  # fmt: skip


def test_adam_in_float32_is_as_exact_as_float32() -> None:
    parameter = gc.Variable(np.zeros(3, np.float32))
    found = train(optim.Adam(0.1), parameter, 20)
    close(np.array(found), np.array(reference_adam(np.zeros(3), 0.0, 20), np.float32), 5e-6)


def test_the_first_step_of_adam_has_the_length_of_the_rate() -> None:
    parameter = gc.Variable(np.zeros(3, np.float32))
    (first,) = train(optim.Adam(0.25), parameter, 1)
    np.testing.assert_array_max_ulp(first, np.array([0.25, -0.25, 0.25], np.float32), 2)


def test_state_of_16_bit_parameters_is_float32() -> None:
    parameter = gc.Variable(np.zeros(3, np.float16), name="p")
    optimiser = optim.Adam(0.1)
    train(optimiser, parameter, 2)
    assert parameter.value.dtype == np.float16
    assert {v.dtype.name for v in optimiser.variables} == {"int64", "float32"}
    assert optimiser.variables[1].name == "p.moment1"


def test_the_rate_may_change_while_training() -> None:
    rate = gc.Variable(np.float64(0.5))
    parameter = gc.Variable(np.zeros(3))
    optimiser = optim.SGD(rate)
    train(optimiser, parameter, 1)
    close(parameter.value, TARGET)
    rate.assign(0.0)
    parameter.assign(np.zeros(3))
    train(optimiser, parameter, 1)
    close(parameter.value, np.zeros(3))


def test_state_is_kept_when_a_step_is_traced_again() -> None:
    parameter = gc.Variable(np.zeros(3))
    optimiser = optim.SGD(0.1, momentum=0.9)
    train(optimiser, parameter, 3)
    assert len(optimiser.variables) == 2  # the number of steps, and the velocity


def test_two_steps_in_one_trace_are_two_steps() -> None:
    parameter = gc.Variable(np.zeros(3))
    optimiser = optim.Adam(0.1)

    def train_twice() -> Any:
        for _ in range(2):
            optimiser.minimize(((parameter - TARGET) ** 2).sum(), [parameter])

    step(train_twice)
    close(parameter.value, reference_adam(np.zeros(3), 0.0, 2)[-1], 1e-14)


def test_a_step_reads_old_values_only() -> None:
    a, b = gc.Variable(np.float64(1)), gc.Variable(np.float64(1))
    optimiser = optim.SGD(1.0)
    step(lambda: optimiser.minimize(a * b * 0.5, [a, b]))
    assert a.value == b.value == 0.5


def test_a_model_learns() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 2)).astype(np.float32)
    labels = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    model = nn.Sequential(nn.Linear(2, 16, seed=random), nn.Tanh(), nn.Linear(16, 2, seed=random))
    optimiser = optim.Adam(0.05)

    def train_step(images: Any, classes: Any) -> Any:
        loss = nn.cross_entropy(model(images), classes)
        optimiser.minimize(loss, model.parameters())
        return loss

    losses = [float(step(train_step, x, labels)) for _ in range(60)]
    assert losses[-1] < 0.2 * losses[0]


def test_an_optimiser_shows_its_settings() -> None:
    shown = "SGD(learning_rate=0.1, weight_decay=0.0, momentum=0.9, nesterov=True)"
    assert repr(optim.SGD(0.1, 0.9, nesterov=True)) == shown
    shown = "Adam(learning_rate=0.5, weight_decay=0.0, beta1=0.9, beta2=0.999, epsilon=1e-08)"
    assert repr(optim.Adam(0.5)) == shown


def test_misuse_is_refused() -> None:
    p = gc.Variable(0.0)
    with gc.Trace():
        with pytest.raises(GraphcTypeError, match="a parameter is a variable"):
            optim.SGD(0.1).minimize(p * p, [p * 1])  # type: ignore[list-item]  # the mistake
        named = gc.Variable(np.ones(3), name="weight")
        for loss in (p * p, gc.stop_gradient(named).sum()):
            with pytest.raises(GraphcValueError, match=r"none of the parameters \(weight\)"):
                optim.SGD(0.1).minimize(loss, [named])
        with pytest.raises(GraphcValueError, match="there are none"):
            optim.SGD(0.1).minimize(p * p, [])
        optim.SGD(0.1).minimize(p * p, [named, p])
        with pytest.raises(GraphcValueError, match="listed twice"):
            optim.SGD(0.1).minimize(p * p, [p, p])
        with pytest.raises(GraphcTypeError, match="a loss is a scalar tensor"):
            optim.SGD(0.1).minimize(3.0, [p])  # type: ignore[arg-type]  # the mistake
    with pytest.raises(GraphcValueError, match="momentum"):
        optim.SGD(0.1, momentum=1.0)
    with pytest.raises(GraphcValueError, match="Nesterov"):
        optim.SGD(0.1, nesterov=True)
    assert tensor().shape == ()
