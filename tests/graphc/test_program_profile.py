"""Profiles: a row for each launch, with the counts of `explain`, and variables as they were."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import nn, optim
from graphc.errors import GraphcIndexError, GraphcTypeError, GraphcValueError
from graphc.explain import bytes_moved, operations
from graphc.program import Program
from graphc.program_profile import MOST_ROWS_PRINTED, time_text

Array = np.ndarray[Any, Any]


def layer() -> Program:
    x = graphc.input((8, 16), name="x")
    w = graphc.input((16, 8), name="w")
    product = x @ w  # the line of the contraction
    return graphc.compile([graphc.softmax(product), x], inputs=[x, w], name="layer")


def ones(*shape: int) -> Array:
    return np.ones(shape, np.float32)


def test_a_row_for_each_launch_with_the_counts_of_explain() -> None:
    program = layer()
    profile = program.profile(ones(8, 16), ones(16, 8), repeat=4)
    plan, grouping = program.stages.plan, program.stages.grouping
    assert plan is not None and grouping is not None
    assert [row.launch for row in profile.rows] == list(range(len(plan.steps)))
    for row in profile.rows:
        if row.group is not None:
            group = grouping.groups[row.group]
            assert row.kernel == plan.steps[row.launch].routine.name
            assert (row.bytes, row.operations) == (bytes_moved(group), operations(group))
        assert 0 <= row.minimum <= row.median and row.threads >= 1 and row.roofline >= 0
        assert row.bytes_per_second == pytest.approx(row.bytes / max(row.median, 1e-9))
    assert sum(row.share for row in profile.rows) == pytest.approx(1)
    assert {row.group for row in profile.rows} == {None, *range(len(grouping.groups))}
    assert 0 < profile.call_minimum <= profile.call_median and profile.repeat == 4


def test_copies_stand_in_no_group() -> None:
    profile = layer().profile(ones(8, 16), ones(16, 8), repeat=1)
    (copy,) = [row for row in profile.rows if row.group is None]
    assert copy.bytes == 2 * 8 * 16 * 4 and copy.operations == 0 and copy.lines == ()


def test_rows_name_the_lines_they_came_from() -> None:
    rows = layer().profile(ones(8, 16), ones(16, 8), repeat=1).rows
    (contraction,) = [row for row in rows if "contraction" in row.kernel]
    assert any("product = x @ w" in line for line in contraction.lines)


def test_the_table_is_sorted_by_cost_and_names_everything() -> None:
    profile = layer().profile(ones(8, 16), ones(16, 8), repeat=2)
    text = str(profile)
    assert text.startswith("layer: 3 launches, ") and "in memory" in text
    places = [text.index(f" {row.kernel}\n") for row in profile.rows if row.group is not None]
    costs = [-row.median for row in profile.rows if row.group is not None]
    assert sorted(places) == [place for _, place in sorted(zip(costs, places, strict=True))]
    assert "copy copy_float32_128" in text and "product = x @ w" in text


def test_json_holds_every_field() -> None:
    profile = layer().profile(ones(8, 16), ones(16, 8), repeat=2)
    read = json.loads(profile.to_json())
    assert read["program"] == "layer" and len(read["rows"]) == 3
    assert read["rows"][0]["median"] == profile.rows[0].median
    assert read["limits"]["bandwidths"][-1]["most_bytes"] is None


def test_long_programs_print_the_most_expensive_rows() -> None:
    x = graphc.input((3,), name="x")
    count = MOST_ROWS_PRINTED + 5
    program = graphc.compile([x + float(i) for i in range(count)], inputs=[x], optimise=False)
    profile = program.profile(ones(3), repeat=1)
    assert len(profile.rows) == count and "and 5 more, " in str(profile)


def training() -> tuple[Program, list[graphc.Variable], tuple[Array, Array]]:
    model, optimizer = nn.Linear(4, 2, seed=0), optim.Adam(0.1)

    @graphc.compile
    def step(inputs: Any, targets: Any) -> Any:
        loss = nn.mse(model(inputs), targets)
        optimizer.minimize(loss, model.parameters())
        return loss

    return step.program(ones(8, 4), ones(8, 2)), model.parameters(), (ones(8, 4), ones(8, 2))


def test_variables_have_their_old_values_afterwards() -> None:
    program, parameters, arguments = training()
    program(*arguments)
    plan = program.stages.plan
    assert plan is not None
    before = [state.host().copy() for state in plan.variables]
    profile = program.profile(*arguments, repeat=3)
    for state, value in zip(plan.variables, before, strict=True):
        np.testing.assert_array_equal(state.host(), value)
    assert len(profile.restored) == len(plan.written) > len(parameters)
    assert f"restored: {len(plan.written)} variables" in str(profile)
    assert float(program(*arguments)[0]) > 0
    assert not np.array_equal(plan.variables[0].host(), before[0])


def test_variables_are_restored_after_an_error_too() -> None:
    state = graphc.Variable(np.zeros(3, np.float32), name="state")
    table, index = graphc.input((4,), name="table"), graphc.input((2,), "int64", name="index")

    @graphc.compile
    def step(table: Any, index: Any) -> Any:
        state.assign(state + 1)
        return graphc.take(table, index, axis=0)

    del table, index
    arguments = (ones(4), np.array([0, 7]))
    with pytest.raises(GraphcIndexError):
        step.program(*arguments).profile(*arguments)
    assert state.value.tolist() == [0, 0, 0]


def test_float64_has_half_the_peak() -> None:
    profiles = []
    for dtype in ("float32", "float64"):
        x = graphc.input((64, 64), dtype, name="x")
        program = graphc.compile([x @ x], inputs=[x])
        profile = program.profile(np.ones((64, 64), dtype), repeat=1)
        row = profile.rows[0]
        least = 2 * 64**3 / profile.limits.operations_per_second
        profiles.append(row.roofline * row.median / least)
    assert profiles == pytest.approx([1, 2])


def test_what_cannot_be_profiled_is_refused() -> None:
    x = graphc.input((3,), name="x")
    reference = graphc.compile([x + 1], inputs=[x], backend="reference")
    with pytest.raises(GraphcValueError, match="reference backend does not time"):
        reference.profile(ones(3))
    native = graphc.compile([x + 1], inputs=[x])
    with pytest.raises(GraphcValueError, match="cannot repeat a profile 0 times"):
        native.profile(ones(3), repeat=0)
    with pytest.raises(GraphcTypeError, match="takes 1 arguments"):
        native.profile()


@pytest.mark.parametrize("repeat", [2.5, "3", True, None])
def test_a_number_of_runs_is_a_whole_one(repeat: Any) -> None:
    program = graphc.compile(lambda x: x + 1).program(np.ones(3, np.float32))
    with pytest.raises(graphc.GraphcTypeError, match="repeat takes a whole number"):
        program.profile(np.ones(3, np.float32), repeat=repeat)


def test_a_donated_argument_may_be_a_list() -> None:
    program = graphc.compile(lambda x: x + 1, donate="x").program(np.ones(3, np.float32))
    assert program.profile([1, 2, 3], repeat=1).rows


def test_a_program_without_launches() -> None:
    profile = graphc.compile([], inputs=[]).profile(repeat=1)
    assert profile.rows == () and str(profile).startswith("main: 0 launches")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 µs"), (3e-8, "30 ns"), (0.0, "0 ns")],
)
def test_times_have_units(seconds: float, text: str) -> None:
    assert time_text(seconds) == text
