"""Where values lie: nothing alive overlaps, little is wasted, and assignments see old values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.errors import GraphcIndexError
from graphc.graph import Graph
from graphc.kernel import Access
from graphc.node import Node, fresh_number
from graphc.passes.arena import Lifetime, largest_live_set, place_blocks, rounded
from graphc.passes.fuse import fuse
from graphc.passes.lower import lower
from graphc.passes.plan_memory import plan_memory
from graphc.plan import Place, Plan, Space, Step
from graphc.state import VariableState
from graphc.tensor_type import tensor_type
from tests.passes.networks import (
    TARGET,
    adam,
    classifier_step,
    constant,
    filled,
    matmul,
    placeholder,
    softmax,
    variable,
)
from tests.passes.plan_runner import Memory, run_plan, run_step
from tests.random_graphs import random_graph

Array = np.ndarray[Any, Any]


def planned(graph: Graph, *, enabled: bool = True) -> Plan:
    return plan_memory(lower(fuse(graph, TARGET, enabled=enabled)), graph, TARGET)


# --- the arena -----------------------------------------------------------------------------------


def random_lifetimes(seed: int) -> list[Lifetime]:
    random = np.random.default_rng(seed)
    count, length = int(random.integers(1, 150)), random.choice([2, 5, 20])
    return [
        Lifetime(int(random.integers(0, 1 << 16)), n, n + int(random.geometric(1 / length)))
        for n in range(count)
    ]


@pytest.mark.parametrize("seed", range(25))
def test_the_arena_is_close_to_the_largest_live_set(seed: int) -> None:
    blocks = random_lifetimes(seed)
    offsets, total = place_blocks(blocks)
    least = largest_live_set(blocks)
    assert least <= total <= 1.1 * least
    for a, (first, start) in enumerate(zip(blocks, offsets, strict=True)):
        assert start % 64 == 0 and start + first.nbytes <= total
        for second, other in list(zip(blocks, offsets, strict=True))[:a]:
            meet = first.first <= second.last and second.first <= first.last
            apart = start + first.nbytes <= other or other + second.nbytes <= start
            assert apart or not meet


def test_an_empty_arena() -> None:
    assert place_blocks([]) == ([], 0)
    assert largest_live_set([]) == 0


def test_no_value_of_a_training_step_is_wasted() -> None:
    plan = planned(classifier_step((20, 16, 12, 10), 32))
    assert plan.arena_bytes <= 1.1 * _live_bytes(plan)


def _live_bytes(plan: Plan) -> int:
    """Return the largest live set, told from the places of the steps alone."""
    spans: dict[Place, tuple[int, int, int]] = {}
    blocks = []
    for number, step in enumerate(plan.steps):
        for buffer, place in zip(step.routine.buffers, step.places, strict=True):
            if place.space is not Space.ARENA:
                continue
            if buffer.access is Access.OUT and place in spans and spans[place][2] < number:
                blocks.append(Lifetime(*spans.pop(place)))
            size, first, _ = spans.get(place, (buffer.type.nbytes, number, number))
            spans[place] = (max(size, buffer.type.nbytes), first, number)
    blocks += [Lifetime(*span) for span in spans.values()]
    return largest_live_set(blocks)


# --- in place ------------------------------------------------------------------------------------


def test_a_result_takes_the_memory_of_its_last_operand() -> None:
    x = placeholder((32, 32))
    y = x
    for _ in range(10):
        y = softmax(matmul(y, x))
    plan = planned(Graph([x], [y]), enabled=True)
    assert plan.arena_bytes == 2 * rounded(x.type.nbytes)
    unfused = planned(Graph([x], [ops.sin(ops.sin(ops.sin(x)))]), enabled=False)
    assert unfused.arena_bytes == rounded(x.type.nbytes)


# --- outputs -------------------------------------------------------------------------------------


def test_outputs_may_be_leaves_and_may_repeat() -> None:
    x, state = placeholder((3,)), variable((2,), [4.0, 5.0])
    table = constant(np.arange(6.0).reshape(2, 3))
    y = ops.negative(x)
    graph = Graph([x], [x, y, y, state, table, constant(7.0), x], [(state, filled(0.0, (2,)))])
    value = np.array([1, -2, 3], np.float32)
    got = run_plan(planned(graph), [value])
    expected = [value, -value, -value, [4, 5], np.arange(6).reshape(2, 3), 7, value]
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(state.attributes["state"].host(), [0, 0])


def test_launches_say_which_group_they_compute() -> None:
    x = placeholder((4, 4))
    graph = Graph([x], [x, matmul(softmax(x), x), ops.negative(x), ops.negative(x)])
    grouping = fuse(graph, TARGET)
    lowered = lower(grouping)
    steps = plan_memory(lowered, graph, TARGET).steps
    numbered = {step.group: step.routine for step in steps if step.group is not None}
    assert [numbered[n] for n in range(len(grouping.groups))] == [c.routine for c in lowered.calls]
    copies = [step.routine.name for step in steps if step.group is None]
    assert copies == ["copy_float32_16"] * 2  # of the input, and of the result returned twice


def test_launches_say_which_group_they_compute_where_checks_go_before_others() -> None:
    x, places = placeholder((4, 4)), placeholder((3,), dtypes.int64)
    graph = Graph([x, places], [softmax(matmul(x, x)), ops.take(x, places, axis=0, mode="raise")])
    lowered = lower(fuse(graph, TARGET))
    steps = plan_memory(lowered, graph, TARGET).steps
    assert [step.group for step in steps] != sorted(range(len(steps)))  # the check is early
    assert [lowered.calls[step.group or 0].routine for step in steps] == [s.routine for s in steps]


def test_results_without_elements() -> None:
    x = placeholder((0, 5))
    graph = Graph([x], [ops.exp(x), ops.sum_(x, axes=(0,)), ops.sum_(x, axes=(1,))])
    got = run_plan(planned(graph), [np.zeros((0, 5), np.float32)])
    assert [a.shape for a in got] == [(0, 5), (5,), (0,)]
    np.testing.assert_array_equal(got[1], np.zeros(5))


def test_equal_constants_are_one() -> None:
    x = placeholder((3,))
    one, two = constant([1.0, 2.0, 3.0]), constant([3.0, 2.0, 1.0])
    plan = planned(Graph([x], [ops.add(ops.add(x, one), two), one]))
    assert len(plan.constants) == 2


# --- variables -----------------------------------------------------------------------------------


def test_a_variable_is_updated_in_its_place() -> None:
    gradient, rate = placeholder((8, 8)), placeholder(())
    plan = planned(Graph([gradient, rate], [], adam(variable((8, 8), 1.0), gradient, rate)))
    assert len(plan.steps) == 1 and plan.arena_bytes == 0
    assert plan.written == {0, 1, 2}


@pytest.mark.parametrize("backwards", [False, True])
def test_a_training_step_copies_nothing(backwards: bool) -> None:
    plan = planned(classifier_step((20, 16, 12, 10), 32, backwards=backwards))
    assert not [step for step in plan.steps if step.routine.name.startswith("copy")]


def test_variables_swap_their_values() -> None:
    a, b = variable((3,), [1.0, 2.0, 3.0]), variable((3,), [4.0, 5.0, 6.0])
    plan = planned(Graph([], [a], [(a, b), (b, a)]))
    (old,) = run_plan(plan, [])
    np.testing.assert_array_equal(old, [1, 2, 3])
    np.testing.assert_array_equal(a.attributes["state"].host(), [4, 5, 6])
    np.testing.assert_array_equal(b.attributes["state"].host(), [1, 2, 3])


def test_an_assignment_sees_the_old_value_of_every_variable() -> None:
    a, b, c = (variable((2, 2), [[v, v + 1], [v + 2, v + 3]]) for v in (1.0, 10.0, 100.0))
    turned = ops.permute_dims(a, axes=(1, 0))
    total = ops.add(turned, b)
    graph = Graph([], [ops.multiply(a, b)], [(a, total), (b, matmul(a, b)), (c, total)])
    values = [n.attributes["state"].host().copy() for n in (a, b)]
    (product,) = run_plan(planned(graph), [])
    np.testing.assert_array_equal(product, values[0] * values[1])
    np.testing.assert_array_equal(a.attributes["state"].host(), values[0].T + values[1])
    np.testing.assert_array_equal(b.attributes["state"].host(), values[0] @ values[1])
    np.testing.assert_array_equal(c.attributes["state"].host(), values[0].T + values[1])


def test_a_variable_may_be_given_an_input_a_constant_and_itself() -> None:
    x = placeholder((2,))
    a, b, c = (variable((2,), [1.0, 2.0]) for _ in range(3))
    graph = Graph([x], [], [(a, x), (b, constant([8.0, 9.0])), (c, c)])
    run_plan(planned(graph), [np.array([5, 6], np.float32)])
    found = [n.attributes["state"].host().tolist() for n in (a, b, c)]
    assert found == [[5, 6], [8, 9], [1, 2]]


# --- barriers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
def test_launches_between_barriers_run_in_any_order(seed: int) -> None:
    sample = random_graph(seed)
    plan = planned(sample.graph, enabled=False)
    expected = run_plan(plan, sample.arguments)
    memory = Memory(plan, sample.arguments)
    for section in _sections(plan):
        for step in reversed(section):
            run_step(step, memory.array)
    for a, b in zip(memory.outputs, expected, strict=True):
        assert a.tobytes() == b.tobytes()


def _sections(plan: Plan) -> list[list[Step]]:
    sections: list[list[Step]] = [[]]
    for step in plan.steps:
        if step.barrier:
            sections.append([])
        sections[-1].append(step)
    return sections


def test_independent_launches_need_no_barrier() -> None:
    inputs: list[Node] = [placeholder((n, n)) for n in range(2, 8)]
    plan = planned(Graph(inputs, [ops.exp(x) for x in inputs]))
    assert not any(step.barrier for step in plan.steps)


def test_a_status_orders_nothing() -> None:
    x, y = placeholder((8,)), placeholder((9,))
    indices = placeholder((3,), dtypes.int64)
    outputs = [ops.take(v, indices, axis=0, mode="raise") for v in (x, y)]
    plan = planned(Graph([x, y, indices], outputs), enabled=False)
    assert len(plan.checks) == 2
    assert not any(step.barrier for step in plan.steps)


def _tested_update(*, with_reader: bool) -> tuple[Graph, VariableState]:
    """A variable is updated, and a value is looked up at an index that may be out of bounds."""
    state = VariableState(tensor_type((300,)), np.zeros(300, np.float32), "v")
    variable = ops.variable(state=state)
    index = ops.input_(number=fresh_number(), name="i", shape=(2,), dtype=dtypes.int64)
    update = ops.exp(variable)
    table = update if with_reader else ops.sin(variable)
    found = ops.take(table, index, axis=0, mode="raise")
    return Graph([index], [found], [(variable, update)]), state


@pytest.mark.parametrize("with_reader", [False, True])
def test_no_variable_is_written_before_the_last_check(with_reader: bool) -> None:
    graph, state = _tested_update(with_reader=with_reader)
    plan = planned(graph)
    assert 0 < plan.commit <= len(plan.steps)
    for step in plan.steps[: plan.commit]:
        outs = [b.access is not Access.IN for b in step.routine.buffers]
        written = [p for p, is_out in zip(step.places, outs, strict=True) if is_out]
        assert all(place.space is not Space.VARIABLE for place in written)
    with pytest.raises(GraphcIndexError):
        run_plan(plan, [np.array([0, 300])])
    assert not state.host().any()
    run_plan(plan, [np.array([0, 299])])
    assert (state.host() == 1).all()


# --- donated inputs ------------------------------------------------------------------------------


def donating(graph: Graph, *donated: int) -> Plan:
    return plan_memory(lower(fuse(graph, TARGET)), graph, TARGET, donated=donated)


def run_as_planned(graph: Graph, *donated: int, arguments: Any = ()) -> Plan:
    """Return the plan with these inputs donated, which gives what the plan without gives."""
    random = np.random.default_rng(0)
    arguments = arguments or [random.normal(size=x.type.shape) for x in graph.inputs]
    arguments = [a.astype(x.type.dtype.numpy) for a, x in zip(arguments, graph.inputs, strict=True)]
    plan = donating(graph, *donated)
    given, wanted = run_plan(plan, arguments), run_plan(planned(graph), arguments)
    for one, other in zip(given, wanted, strict=True):
        assert one.tobytes() == other.tobytes()
    return plan


def test_an_output_lies_in_a_donated_input_that_is_read_no_more() -> None:
    x, y = placeholder((16, 8)), placeholder((16, 8))
    total = ops.add(x, y)
    assert run_as_planned(Graph([x, y], [total]), 0).donated == {0: 0}
    assert run_as_planned(Graph([x, y], [total]), 1).donated == {0: 1}
    assert run_as_planned(Graph([x, y], [total])).donated == {}
    both = Graph([x, y], [total, ops.subtract(x, y)])
    assert run_as_planned(both, 0, 1).donated in ({0: 0, 1: 1}, {0: 1, 1: 0})
    assert "output 0 lies in argument 0" in str(donating(both, 0))


def test_an_output_lies_in_rows_that_are_read_several_times() -> None:
    x, y = placeholder((16, 40)), placeholder((16, 40))
    assert run_as_planned(Graph([x, y], [softmax(x)]), 0).donated == {0: 0}
    total = ops.add(x, y)
    assert run_as_planned(Graph([x, y], [total, ops.sum_(total, axes=(1,))]), 0).donated == {0: 0}


def test_an_output_of_another_shape_and_the_same_size_fits() -> None:
    x = placeholder((16, 8))
    result = ops.reshape(ops.sin(x), shape=(128,))
    assert run_as_planned(Graph([x], [result]), 0).donated == {0: 0}


def test_what_is_still_read_or_of_another_type_is_not_overwritten() -> None:
    x, y = placeholder((16, 16)), placeholder((16, 16))
    half = ops.sin(x)
    for outputs in (
        [matmul(x, y)],
        [ops.permute_dims(x, axes=(1, 0))],
        [ops.cast(x, dtype=dtypes.float64)],
        [ops.sum_(x, axes=(0,))],
        [half, matmul(half, x)],
        [x],
    ):
        plan = run_as_planned(Graph([x, y], outputs), 0)
        assert not plan.donated or outputs[0] is half, outputs


def test_an_input_that_is_assigned_is_not_overwritten() -> None:
    x, state = placeholder((16, 8)), variable((16, 8))
    graph = Graph([x], [ops.sin(x)], [(state, x)])
    assert run_as_planned(graph, 0).donated == {}


@pytest.mark.parametrize("seed", range(60))
def test_random_plans_with_donated_inputs_give_the_same(seed: int) -> None:
    sample = random_graph(seed)
    every = range(len(sample.graph.inputs))
    run_as_planned(sample.graph, *every, arguments=list(sample.arguments))


def test_a_step_has_the_number_of_its_group_where_checks_go_first() -> None:
    x, places = placeholder((8, 4)), placeholder((3,), dtypes.int64)
    total = ops.cumulative_sum(x, axis=0, reverse=False)
    taken = ops.cumulative_max(ops.take(x, places, axis=0, mode="raise"), axis=0, reverse=False)
    grouping = fuse(Graph([x, places], [total, taken]), TARGET)
    plan = plan_memory(lower(grouping), grouping.graph, TARGET)
    names = [(s.routine.name, grouping.groups[s.group or 0].name) for s in plan.steps]
    assert [s.group for s in plan.steps] != [0, 1, 2][: len(plan.steps)]
    assert all(kernel.startswith(group) for kernel, group in names)
