"""What optimisers say of wrong arguments, how they name their state, and of layers of one seed."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc import Variable, nn, optim
from graphc.errors import GraphcTypeError, GraphcValueError
from tests.frontend.evaluation import step


def sum_of_squares(parameters: list[Variable]) -> Any:
    return sum((p**2).sum() for p in parameters)


def minimise(parameters: Any, optimiser: optim.Optimiser | None = None) -> None:
    optimiser = optimiser or optim.SGD(0.1)
    listed = parameters if isinstance(parameters, list) else [Variable(1.0)]
    step(lambda: optimiser.minimize(sum_of_squares(listed), parameters))


MODULE = nn.Linear(2, 2, seed=0)


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (lambda: optim.SGD(0.1, clipp=3), "SGD takes no option 'clipp'"),  # type: ignore[call-arg]  # the mistake
        (lambda: optim.Adam(0.1, clip=1.0), "clip is a function of the gradients, not 1.0"),  # type: ignore[arg-type]  # the mistake
        (lambda: minimise(MODULE), "a list of variables, not Linear"),
        (lambda: minimise(None), "a list of variables, not NoneType"),
        (lambda: minimise(MODULE.weight), "a list of variables, not Variable"),
        (lambda: minimise((1.0,)), "a parameter is a variable, not float"),
        (lambda: optim.LBFGS(MODULE), "a list of variables, not Linear"),  # type: ignore[arg-type]  # the mistake
        (lambda: optim.ExponentialMovingAverage(MODULE), "a list of variables, not Linear"),  # type: ignore[arg-type]  # the mistake
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_are_named_with_the_line(mistake: Callable[[], Any], text: str) -> None:
    with pytest.raises(GraphcTypeError, match=text) as caught:
        mistake()
    assert "test_optim_arguments.py" in caught.value.line


def test_gradients_are_as_many_as_parameters() -> None:
    variable = Variable(1.0)
    with pytest.raises(GraphcValueError, match="2 gradients for 1 parameters") as caught:
        step(lambda: optim.SGD(0.1).apply_gradients([1.0, 2.0], [variable]))
    assert "test_optim_arguments.py" in caught.value.line
    assert variable.value == 1


def test_names_of_the_state_differ_where_those_of_parameters_do_not() -> None:
    parameters = [Variable(float(i)) for i in range(3)] + [Variable(9.0, name="parameter_2")]
    parameters += [Variable(5.0, name="w"), Variable(6.0, name="w")]
    optimiser = optim.SGD(0.1, momentum=0.9)
    minimise(parameters, optimiser)
    assert [variable.name for variable in optimiser.variables] == [
        "sgd.step_count", "parameter.velocity", "parameter_2.velocity", "parameter_3.velocity",
        "parameter_2_2.velocity", "w.velocity", "w_2.velocity",
    ]  # fmt: skip


def train(model: nn.Module, optimiser: optim.Optimiser) -> None:
    x = np.ones((3, 4), np.float32)
    step(lambda: optimiser.minimize((model(x) ** 2).sum(), model.parameters()))


def test_layers_of_one_seed_are_warned_of_at_the_line_of_the_user() -> None:
    model = nn.Sequential(nn.Linear(4, 4, seed=0), nn.Tanh(), nn.Linear(4, 4, seed=0))
    with pytest.warns(UserWarning, match=r"layers\.0\.weight and layers\.2\.weight begin") as seen:
        train(model, optim.SGD(0.1))
    assert len(seen) == 1 and seen[0].filename == __file__
    twin = nn.Linear(4, 4, seed=7)
    model = nn.Sequential(twin, copy.deepcopy(twin))
    with pytest.warns(UserWarning, match="a seed of its own"):
        train(model, optim.Adam(0.1))


def test_what_is_meant_to_be_equal_is_not_warned_of() -> None:
    tied = nn.Linear(4, 4, seed=0)
    identity = nn.initialisers.identity()
    equal = [nn.Linear(4, 4, seed=i, weight_initialiser=identity) for i in (1, 2)]
    first, second = (Variable(np.arange(100, dtype=np.float32)) for _ in range(2))
    second.assign(first.value + np.float32(np.arange(100) == 99))  # they differ at the end
    optimiser = optim.SGD(0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(nn.Sequential(tied, tied, *equal, nn.LayerNorm(4), nn.LayerNorm(4)), optimiser)
        minimise([first, second])
    optimiser.step_count.assign(1)  # later on, parameters may have become what they are
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(nn.Sequential(tied, copy.deepcopy(tied)), optimiser)
