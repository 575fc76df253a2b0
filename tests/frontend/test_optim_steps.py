"""Every optimiser, with every setting, against its formula in NumPy, thirty steps in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import Variable, nn, optim
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from tests.frontend.evaluation import same, step

STEPS = 30
TARGET = np.array([[1.0, -2.0, 3.0], [0.0, 0.5, -0.1]])
SCALE = np.array([[1.0, 0.1, 5.0], [2.0, 0.3, 1.0]])
START = np.array([[0.3, -0.2, 0.1], [0.4, 0.2, -0.5]])

Formula = Callable[[Any, Any, dict[str, Any], int], Any]  # parameter, gradient, state, step


def gradient_of(p: Any) -> Any:
    return 2 * SCALE * (p - TARGET)


def minimise(optimiser: optim.Optimiser, dtype: str = "float64") -> Any:
    """Return the parameter after every step on sum(scale * (p - target)^2)."""
    parameter = Variable(START.astype(dtype), name="p")
    target, scale = TARGET.astype(dtype), SCALE.astype(dtype)

    def train_step() -> Any:
        loss = (scale * (parameter - target) ** 2).sum()
        optimiser.minimize(loss, [parameter])

    program = graphc.compile(train_step)
    values = []
    for _ in range(STEPS):
        program()
        values.append(parameter.value)
    return np.array(values)


def spelled(formula: Formula) -> Any:
    p, values = START.copy(), []
    state: dict[str, Any] = {}
    for number in range(1, STEPS + 1):
        p = formula(p, gradient_of(p), state, number)
        values.append(p)
    return np.array(values)


def sgd(momentum: float, nesterov: bool) -> Formula:
    def formula(p: Any, g: Any, state: dict[str, Any], t: int) -> Any:
        v = state["v"] = momentum * state.get("v", 0) + g
        return p - 0.05 * (g + momentum * v if nesterov else v)

    return formula


def adagrad(p: Any, g: Any, state: dict[str, Any], t: int) -> Any:
    state["s"] = state.get("s", 0.5) + g * g
    return p - 0.3 * g / (np.sqrt(state["s"]) + 1e-10)


def rmsprop(centred: bool, momentum: float) -> Formula:
    def formula(p: Any, g: Any, state: dict[str, Any], t: int) -> Any:
        s = state["s"] = 0.9 * state.get("s", 0) + (1 - 0.9) * g * g
        if centred:
            m = state["m"] = 0.9 * state.get("m", 0) + (1 - 0.9) * g
            s = s - m * m
        v = state["v"] = momentum * state.get("v", 0) + g / (np.sqrt(s) + 1e-6)
        return p - 0.02 * v

    return formula


def adam(decoupled: float) -> Formula:
    def formula(p: Any, g: Any, state: dict[str, Any], t: int) -> Any:
        m = state["m"] = 0.8 * state.get("m", 0) + (1 - 0.8) * g
        v = state["v"] = 0.95 * state.get("v", 0) + (1 - 0.95) * g * g
        share = m / (1 - 0.8**t) / (np.sqrt(v / (1 - 0.95**t)) + 1e-7)
        return p - 0.1 * share - 0.1 * decoupled * p

    return formula


def lion(decay: float) -> Formula:
    def formula(p: Any, g: Any, state: dict[str, Any], t: int) -> Any:
        m = state.get("m", np.zeros_like(p))
        state["m"] = 0.98 * m + (1 - 0.98) * g
        return p - 0.03 * (np.sign(0.9 * m + (1 - 0.9) * g) + decay * p)

    return formula


def decayed(formula: Formula, l2: float, l1: float) -> Formula:
    return lambda p, g, state, t: formula(p, g + l2 * p + l1 * np.sign(p), state, t)


CASES: dict[str, tuple[Callable[[], optim.Optimiser], Formula]] = {
    "sgd": (lambda: optim.SGD(0.05), sgd(0, False)),
    "momentum": (lambda: optim.SGD(0.05, 0.8), sgd(0.8, False)),
    "nesterov": (lambda: optim.SGD(0.05, 0.8, nesterov=True), sgd(0.8, True)),
    "sgd, L2 and L1": (
        lambda: optim.SGD(0.05, 0.8, weight_decay=0.1, weight_decay_l1=0.2),
        decayed(sgd(0.8, False), 0.1, 0.2),
    ),
    "adagrad": (lambda: optim.Adagrad(0.3, first_sum=0.5), adagrad),
    "adagrad, L2": (
        lambda: optim.Adagrad(0.3, first_sum=0.5, weight_decay=0.1), decayed(adagrad, 0.1, 0),
    ),
    "rmsprop": (lambda: optim.RMSprop(0.02, 0.9, 1e-6), rmsprop(False, 0)),
    "rmsprop, centred": (lambda: optim.RMSprop(0.02, 0.9, 1e-6, centred=True), rmsprop(True, 0)),
    "rmsprop, centred, momentum": (
        lambda: optim.RMSprop(0.02, 0.9, 1e-6, centred=True, momentum=0.7), rmsprop(True, 0.7),
    ),
    "adam": (lambda: optim.Adam(0.1, 0.8, 0.95, 1e-7), adam(0)),
    "adam, L2": (
        lambda: optim.Adam(0.1, 0.8, 0.95, 1e-7, weight_decay=0.1), decayed(adam(0), 0.1, 0),
    ),
    "adamw": (lambda: optim.AdamW(0.1, 0.8, 0.95, 1e-7, weight_decay=0.1), adam(0.1)),
    "lion": (lambda: optim.Lion(0.03, 0.9, 0.98), lion(0)),
    "lion, decay": (lambda: optim.Lion(0.03, 0.9, 0.98, weight_decay=0.1), lion(0.1)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_steps(name: str) -> None:
    make, formula = CASES[name]
    np.testing.assert_allclose(minimise(make()), spelled(formula), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", CASES)
def test_steps_in_float32(name: str) -> None:
    make, formula = CASES[name]
    found = minimise(make(), "float32")
    assert found.dtype == np.float32
    if "lion" not in name:  # a sign that turns is another step
        np.testing.assert_allclose(found, spelled(formula), rtol=3e-4, atol=3e-4)


@pytest.mark.parametrize("name", ["adam", "momentum", "rmsprop", "lion", "adagrad"])
def test_state_is_listed_by_name_and_can_be_restored(name: str) -> None:
    """Stop after some steps, start from what was kept in new objects: the same bits go on."""
    make, _ = CASES[name]

    def prepared() -> tuple[Variable, optim.Optimiser, Any]:
        parameter, optimiser = Variable(START, name="p"), make()

        @graphc.compile
        def train_step() -> Any:
            optimiser.minimize((SCALE * (parameter - TARGET) ** 2).sum(), [parameter])

        return parameter, optimiser, train_step

    first, optimiser, train_step = prepared()
    for _ in range(7):
        train_step()
    kept = {v.name: v.value for v in [first, *optimiser.variables]}
    assert len(kept) == 1 + len(optimiser.variables)
    second, other, resumed = prepared()
    other.prepare([second])
    for variable in [second, *other.variables]:
        variable.assign(kept[variable.name])
    for _ in range(5):
        train_step()
        resumed()
    same(second.value, first.value)
    assert [(n, v.name) for _, n, v in other.kept()] == [
        (n, f"p.{n}") for n in optimiser.state_names()
    ]


def test_a_step_reads_and_writes_everything_once() -> None:
    """The update of a parameter and of its state is one kernel, and in place."""
    for make, state in ((lambda: optim.SGD(0.1, 0.9), 1), (optim.Adam, 2), (optim.AdamW, 2),
                        (optim.Adagrad, 1), (optim.RMSprop, 1), (optim.Lion, 1)):  # fmt: skip
        parameter = Variable(np.ones(5000, np.float32))
        optimiser = make()

        def train_step(g: Any, optimiser: Any = optimiser, parameter: Any = parameter) -> Any:
            optimiser.apply_gradients([g], [parameter])

        program = graphc.compile(train_step).program(np.ones(5000, np.float32))
        large = [k for k in program.kernels if any(b.type.size == 5000 for b in k.buffers)]
        assert len(large) == 1
        assert sum(b.type.size == 5000 for b in large[0].buffers) == 2 * (1 + state) + 1
        assert program.stages.plan is not None
        assert program.stages.plan.arena_bytes < 20_000


def test_gradients_are_clipped() -> None:
    gradients = [np.array([3.0, -4.0, 0.5]), np.array([[0.0, 12.0]])]

    def clipped(clip: Any) -> Any:
        return graphc.compile(lambda *g: clip(g))(*gradients)

    for got, expected in zip(clipped(optim.ClipByValue(2)), gradients, strict=True):
        same(got, np.clip(expected, -2, 2))
    for got, given in zip(clipped(optim.ClipByNorm(2)), gradients, strict=True):
        np.testing.assert_allclose(got, given * 2 / np.linalg.norm(given), rtol=1e-14)
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    for got, given in zip(clipped(optim.ClipByGlobalNorm(2)), gradients, strict=True):
        np.testing.assert_allclose(got, given * 2 / norm, rtol=1e-14)
    for clip in (optim.ClipByValue(20), optim.ClipByNorm(20), optim.ClipByGlobalNorm(20)):
        for got, given in zip(clipped(clip), gradients, strict=True):
            same(got, given)
    zero = graphc.compile(lambda g: optim.ClipByGlobalNorm(1)([g])[0])(np.zeros(3, np.float16))
    same(zero, np.zeros(3, np.float16))


def test_an_optimiser_clips_before_it_decays() -> None:
    def formula(p: Any, g: Any, state: dict[str, Any], t: int) -> Any:
        g = g * 0.5 / max(np.linalg.norm(g), 0.5)
        return p - 0.1 * (g + 0.3 * p)

    found = minimise(optim.SGD(0.1, weight_decay=0.3, clip=optim.ClipByGlobalNorm(0.5)))
    np.testing.assert_allclose(found, spelled(formula), rtol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam", "rmsprop, centred, momentum", "lion"])
def test_accumulated_gradients_are_those_of_the_whole_batch(name: str) -> None:
    """On small integers, whose sums are exact: the same bits as with the batch in one call."""
    random = np.random.default_rng(0)
    x = random.integers(-3, 4, (8, 3)).astype(np.float64)
    y = random.integers(-3, 4, (8, 1)).astype(np.float64)

    def trained(parts: int) -> tuple[Any, optim.Optimiser]:
        weight = Variable(np.array([[1.0], [2.0], [-1.0]]))
        optimiser = CASES[name][0]()
        optimiser.accumulate = parts
        optimiser = type(optimiser)(**settings(optimiser))

        @graphc.compile
        def train_step(x: Any, y: Any) -> Any:
            optimiser.minimize(nn.mse(x @ weight, y), [weight])

        for _ in range(2):
            for part_x, part_y in zip(np.split(x, parts), np.split(y, parts), strict=True):
                held = weight.value
                train_step(part_x, part_y)
            assert (weight.value != held).any()
            if parts > 1:
                same(optimiser.state_of(weight, "accumulated").value, np.zeros((3, 1)))
        return weight.value, optimiser

    whole, _ = trained(1)
    for parts in (2, 4):
        found, optimiser = trained(parts)
        # after the first step the weights are no small integers: equal to rounding from there on
        np.testing.assert_allclose(found, whole, rtol=1e-13)
        assert optimiser.step_count.value == 2


def settings(optimiser: optim.Optimiser) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(optimiser).items()
        if name[0] != "_" and not name.endswith("_count")
    }


def test_calls_between_change_nothing_and_the_first_step_has_the_bits_of_the_batch() -> None:
    random = np.random.default_rng(0)
    x = random.integers(-3, 4, (8, 3)).astype(np.float64)
    y = random.integers(-3, 4, (8, 1)).astype(np.float64)
    weights = []
    for parts in (1, 4):
        weight = Variable(np.array([[1.0], [2.0], [-1.0]]))
        optimiser = optim.Adam(0.1, accumulate=parts)

        def train_step(x: Any, y: Any, w: Any = weight, optimiser: Any = optimiser) -> Any:
            optimiser.minimize(nn.mse(x @ w, y), [w])

        before = weight.value
        for number, (a, b) in enumerate(zip(np.split(x, parts), np.split(y, parts), strict=True)):
            same(weight.value, before)
            assert optimiser.step_count.value == 0
            step(train_step, a, b)
            if number < parts - 1:
                assert (optimiser.state_of(weight, "moment1").value == 0).all()
        assert optimiser.step_count.value == 1
        weights.append(weight.value)
    same(weights[1], weights[0])


def test_averages_of_parameters() -> None:
    parameter = Variable(START, name="p")
    optimiser = optim.SGD(0.05)
    average = optim.ExponentialMovingAverage([parameter], decay=0.9)

    @graphc.compile
    def train_step() -> Any:
        optimiser.minimize((SCALE * (parameter - TARGET) ** 2).sum(), [parameter])
        average.update()

    expected = START
    for value in spelled(sgd(0, False)):
        train_step()
        expected = 0.9 * expected + (1 - 0.9) * value
    (kept,) = average.variables
    assert kept.name == "p.average"
    np.testing.assert_allclose(kept.value, expected, rtol=1e-12)
    own = parameter.value
    with average.applied():
        same(parameter.value, kept.value)
    same(parameter.value, own)
    with pytest.raises(ZeroDivisionError), average.applied():
        raise ZeroDivisionError
    same(parameter.value, own)


def test_averages_of_16_bit_parameters_are_float32() -> None:
    parameter = Variable(np.ones(3, np.float16))
    average = optim.ExponentialMovingAverage([parameter], decay=0.5)
    step(average.update)
    assert average.variables[0].dtype.name == "float32"
    with average.applied():
        assert parameter.value.dtype == np.float16


def test_misuse_is_refused() -> None:
    with pytest.raises(GraphcValueError, match="accumulate is a number of calls, not 0"):
        optim.SGD(0.1, accumulate=0)
    with pytest.raises(GraphcValueError, match="a limit of 0 is not above 0"):
        optim.ClipByNorm(0)
    with pytest.raises(GraphcTypeError, match="a limit is a number"):
        optim.ClipByValue("1")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(GraphcValueError, match="RMSprop: decay is 1"):
        optim.RMSprop(decay=1)
    with pytest.raises(GraphcValueError, match="the first sum of squares is -1"):
        optim.Adagrad(first_sum=-1)
    with pytest.raises(GraphcValueError, match="Lion: beta2"):
        optim.Lion(beta2=1)
    with pytest.raises(graphc.TracingError, match="only a compiled function can compute"):
        optim.ExponentialMovingAverage([Variable(1.0)]).update()
    with pytest.raises(ShapeError, match="a schedule gives one number"):
        minimise(optim.SGD(lambda count: np.ones(3)))
    assert repr(optim.Lion(weight_decay=0.1, clip=optim.ClipByNorm(1), accumulate=2)) == (
        "Lion(learning_rate=0.0001, weight_decay=0.1, clip=ClipByNorm(limit=1), accumulate=2, "
        "beta1=0.9, beta2=0.99)"
    )
