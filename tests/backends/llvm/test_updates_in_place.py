"""Assignments whose new values are read in the same program: in place, with the old value seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest

import graphc

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Update: TypeAlias = "Callable[[Any, Any], tuple[Any, Any]]"  # the new value, and what is returned

IN_PLACE: dict[str, Update] = {
    "sums of rows": lambda v, x: (v + x * x, graphc.sum(v + x * x, axis=1)),
    "the sum": lambda v, x: (v + x * x, graphc.sum(v + x * x)),
    "softmax": lambda v, x: (graphc.softmax(v + x), graphc.max(graphc.softmax(v + x), axis=1)),
    "layer norm": lambda v, x: (graphc.layer_norm(v - x), graphc.layer_norm(v - x)[0]),
    "rows centred": lambda v, x: (v - graphc.mean(v, axis=1, keepdims=True), graphc.sum(x)),
}
OLD_IS_READ: dict[str, Update] = {
    "old rows": lambda v, x: (v + x, graphc.sum(v * x, axis=1)),
    "old rows reversed": lambda v, x: (v[::-1] + x, graphc.sum(v[::-1] + x, axis=1)),
    "old columns reversed": lambda v, x: (v[:, ::-1] + x, graphc.sum(v[:, ::-1] + x, axis=1)),
    "the rows before": lambda v, x: (graphc.roll(v, 1, 0) + v, graphc.max(v, axis=1)),
    "softmax of columns": lambda v, x: (graphc.softmax(v, axis=0) * v, graphc.sum(v, axis=1)),
    "the old value": lambda v, x: (graphc.softmax(v * x), v * 1),
}
SHAPES = [(4, 4), (5, 7), (64, 1000), (300, 1024)]


def run(update: Update, shape: tuple[int, int]) -> tuple[graphc.Program, list[Array]]:
    """Return the program of an update and what it leaves and returns, by threads."""
    first, x = np.random.default_rng(0).standard_normal((2, *shape), np.float32)
    variable = graphc.Variable(first, name="v")

    @graphc.compile
    def step(x: Any) -> Any:
        new, result = update(variable, x)
        variable.assign(new)
        return result

    found = []
    for threads in (1, 2, 3):
        variable.assign(first)
        with graphc.threads(threads):
            result = step(x)
        found += [variable.value, result]
    expected = graphc.compile(update, backend="reference")(first, x)
    for value, meant in zip(found, (*expected, *expected, *expected), strict=True):
        np.testing.assert_allclose(value, meant, rtol=2e-5, atol=2e-5)
    return step.programs[0], found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", IN_PLACE)
def test_a_new_value_that_is_read_is_written_in_place(name: str, shape: tuple[int, int]) -> None:
    program, found = run(IN_PLACE[name], shape)
    plan = program.stages.plan
    assert plan is not None
    assert plan.arena_bytes < 4 * shape[0] * shape[1] or shape[0] < 6
    assert not [step for step in plan.steps if step.routine.name.startswith("copy_")]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(found, found[2:], strict=False))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", OLD_IS_READ)
def test_the_old_value_is_what_is_read(name: str, shape: tuple[int, int]) -> None:
    _, found = run(OLD_IS_READ[name], shape)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(found, found[2:], strict=False))
