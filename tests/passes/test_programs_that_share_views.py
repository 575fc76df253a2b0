"""Programs in which views lie in the memory of what they view: no reader notices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc
from graphc import Tensor
from graphc.interpreter import interpret
from graphc.plan import Step
from graphc.program import Program

X = np.random.default_rng(0).uniform(-1, 1, (12, 4))


def program_of(function: Any, *arrays: Any) -> Program:
    """Return the program, whose results are those of the interpreter."""
    inputs = [graphc.input(a.shape, a.dtype, name=f"x{n}") for n, a in enumerate(arrays)]
    outputs = function(*inputs)
    outputs = [outputs] if isinstance(outputs, Tensor) else outputs
    program = graphc.compile(outputs, inputs=inputs)
    wanted, _ = interpret(program.graph, arrays)
    for given, want in zip(program(*arrays), wanted, strict=True):
        np.testing.assert_allclose(given, want, rtol=1e-12)
    return program


def steps_of(program: Program) -> tuple[Step, ...]:
    assert program.stages.plan is not None
    return program.stages.plan.steps


def copies(program: Program) -> int:
    """Return how many steps copy an array, and do not fill one with a constant."""
    return sum(s.routine.name.startswith("copy") and len(s.places) == 2 for s in steps_of(program))


def running(x: Tensor) -> Tensor:
    total: Tensor = graphc.scan(
        lambda c, v: (c * 0.5 + v, c), graphc.zeros(x.shape[1:], x.dtype), x
    )[1]
    return total


def test_a_loop_reads_a_reshaped_input_where_it_lies() -> None:
    assert copies(program_of(lambda x: running(x.reshape(6, 2, 4)), X)) == 0
    assert copies(program_of(lambda x: running(x.reshape(6, 2, 4).reshape(4, 12)), X)) == 0


def test_a_result_of_a_loop_is_read_reshaped_by_another() -> None:
    program = program_of(lambda x: running(running(x).reshape(4, 12)), X)
    assert copies(program) == 0


def test_outputs_have_memory_of_their_own() -> None:
    def function(x: Tensor) -> Any:
        turned = running(x).reshape(4, 12)
        return [turned, running(turned)]

    first, _ = program_of(function, X)(X)
    assert first.shape == (4, 12)
    program = program_of(lambda x: [x.reshape(4, 12)], X)
    given = X.copy()
    (result,) = program(given)
    assert not np.shares_memory(result, given)


def test_a_call_that_has_both_names_keeps_the_copy() -> None:
    def both(x: Tensor) -> Tensor:
        rows = running(x)
        flat = rows.reshape(4, 12)
        summed: Tensor = graphc.scan(
            lambda c, v: (c + v.sum() + (rows * c).sum(), None), 0.1, flat
        )[0]
        return summed

    assert copies(program_of(both, X)) == 1


def test_the_report_says_which_groups_take_no_step() -> None:
    text = program_of(lambda x: running(x.reshape(6, 2, 4)), X).explain()
    assert text.count("takes no step") == 1


def test_an_assigned_variable_is_read_before_it_is_written() -> None:
    state = graphc.Variable(X.copy(), name="state")

    @graphc.compile
    def step(x: Any) -> Any:
        seen = running(state.reshape(6, 2, 4))
        state.assign(state + x)
        return seen

    wanted = X.copy()
    for _ in range(3):
        total, seen = np.zeros((2, 4)), []
        for row in wanted.reshape(6, 2, 4):
            seen.append(total)
            total = total * 0.5 + row
        np.testing.assert_allclose(step(X), np.stack(seen), rtol=1e-12)
        wanted += X
        np.testing.assert_array_equal(state.value, wanted)


@pytest.mark.parametrize("where", ["first", "last"])
def test_steps_are_told_by_their_groups_whatever_runs_first(where: str) -> None:
    def function(x: Tensor, i: Tensor) -> Any:
        parts = [running(x).sum(axis=0), graphc.take(graphc.cumulative_sum(x, axis=0), i, axis=0)]
        return parts if where == "last" else parts[::-1]

    program = program_of(function, X, np.array([3, 1]))
    groups = program.stages.grouping.groups  # type: ignore[union-attr]  # this backend has it
    numbered = [step for step in steps_of(program) if step.group is not None]
    assert [step.group for step in numbered] != sorted(step.group or 0 for step in numbered) or (
        where == "first"
    )
    for step in numbered:
        assert step.routine.name.startswith(groups[step.group or 0].name)
