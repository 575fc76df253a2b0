"""Whole plans on the device: memory, the newest copy of a variable, threads, errors, devices."""

from __future__ import annotations

import copy
import gc
import sys
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.backends.opencl import BACKEND, device, devices
from graphc.backends.opencl.device import Device, default_device
from graphc.backends.opencl.primitives import Features
from graphc.backends.opencl.runtime import OpenCLExecutable, emit_plan
from graphc.errors import BackendError, GraphcIndexError, GraphcValueError
from graphc.graph import Graph
from graphc.kernel_text import parse_kernel
from graphc.node import ArrayData, Node, at_line, fresh_number
from graphc.passes import Compilation, run_pipeline
from graphc.plan import Check, Place, Plan, Space, Step
from graphc.source import SourceLine
from graphc.state import STATE_LOCK, VariableState
from graphc.tensor_type import tensor_type
from tests.backends.opencl.harness import Array
from tests.passes.plan_runner import run_plan


def leaf(*shape: int, dtype: str = "float32") -> Node:
    kind = dtypes.as_dtype(dtype)
    return ops.input_(number=fresh_number(), name="x", shape=shape, dtype=kind)


def constant(value: Array) -> Node:
    return ops.constant(value=ArrayData(value))


def plan_of(graph: Graph) -> Plan:
    plan = run_pipeline(Compilation(graph, BACKEND.target())).plan
    assert plan is not None
    return plan


def compiled(
    inputs: Sequence[Node],
    outputs: Sequence[Node],
    assignments: Sequence[tuple[Node, Node]] = (),
) -> OpenCLExecutable:
    return BACKEND.compile(plan_of(Graph(inputs, outputs, assignments)))


def counter(value: float = 0.0) -> tuple[VariableState, OpenCLExecutable]:
    """Return a variable and a program that adds its input to it and returns the old value."""
    state = VariableState(tensor_type((3,)), np.full(3, value, np.float32), "count")
    variable, x = ops.variable(state=state), leaf(3)
    return state, compiled([x], [variable], [(variable, ops.add(variable, x))])


ONE = np.ones(3, np.float32)


def test_a_layer_of_several_kernels_has_the_interpreters_bits() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(20, 33)).astype(np.float32)
    x = leaf(7, 20)
    hidden = ops.tanh(ops.contraction(x, constant(weights), lhs="ik", rhs="kj", out="ij"))
    total = ops.sum_(hidden, axes=(0,))
    share = ops.divide(hidden, ops.broadcast_to(total, shape=(7, 33)))
    plan = plan_of(Graph([x], [share, total, hidden]))
    assert len(plan.steps) > 1 and plan.constants
    executable = BACKEND.compile(plan)
    for seed in range(2):
        argument = np.random.default_rng(seed).normal(size=(7, 20)).astype(np.float32)
        before = argument.copy()
        for got, want in zip(executable.run([argument]), run_plan(plan, [argument]), strict=True):
            np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(argument, before)


@pytest.mark.parametrize(("rows", "columns"), [(3, 70), (1, 300), (40, 5)])
def test_softmax_is_one_kernel_with_the_interpreters_bits(rows: int, columns: int) -> None:
    x = leaf(rows, columns)

    def spread(per_row: Node) -> Node:
        column = ops.reshape(per_row, shape=(rows, 1))
        return ops.broadcast_to(column, shape=(rows, columns))

    powers = ops.exp(ops.subtract(x, spread(ops.max_(x, axes=(1,)))))
    plan = plan_of(Graph([x], [ops.divide(powers, spread(ops.sum_(powers, axes=(1,))))]))
    assert len(plan.steps) == 1
    argument = np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)
    (got,), (want,) = BACKEND.compile(plan).run([argument]), run_plan(plan, [argument])
    np.testing.assert_array_equal(got, want)
    np.testing.assert_allclose(got.sum(axis=1), 1, rtol=1e-5)


def test_results_are_fresh_arrays() -> None:
    x = leaf(3)
    executable = compiled([x], [ops.add(x, x)])
    first = executable.run([ONE])[0]
    executable.run([5 * ONE])
    np.testing.assert_array_equal(first, 2 * ONE)


def test_arguments_may_be_read_only() -> None:
    x = leaf(3)
    argument = np.arange(3, dtype=np.float32)
    argument.flags.writeable = False
    assert compiled([x], [ops.add(x, x)]).run([argument])[0].tolist() == [0, 2, 4]


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2)])
def test_arrays_without_elements(shape: tuple[int, ...]) -> None:
    x = leaf(*shape)
    rest = tuple(e for e in shape[1:])
    executable = compiled([x], [ops.exp(x), ops.sum_(x, axes=(0,))])
    got = executable.run([np.zeros(shape, np.float32)])
    assert [a.shape for a in got] == [shape, rest]
    assert not got[1].any()


@pytest.mark.parametrize("dtype", dtypes.REAL, ids=str)
def test_every_type_goes_in_and_out(dtype: dtypes.DType) -> None:
    x = leaf(5, dtype=dtype.name)
    values = np.array([0, 1, 2, 3, 0]).astype(dtype.numpy)
    same, table = compiled([x], [x, constant(values)]).run([values])
    assert same.dtype == table.dtype == dtype.numpy
    np.testing.assert_array_equal(same.view(np.uint8), values.view(np.uint8))
    np.testing.assert_array_equal(table.view(np.uint8), values.view(np.uint8))


# --- variables -----------------------------------------------------------------------------------


def test_a_variable_stays_on_the_device_until_it_is_asked_for() -> None:
    state, executable = counter(1.0)
    assert [float(executable.run([ONE])[0][0]) for _ in range(3)] == [1, 2, 3]
    assert state._array[0] == 1  # the host's copy is old …
    assert state.host()[0] == 4  # … until somebody looks
    assert executable.run([ONE])[0][0] == 4


def test_an_assigned_variable_is_uploaded_again() -> None:
    state, executable = counter()
    executable.run([ONE])
    state.assign(np.full(3, 10, np.float32))
    assert executable.run([ONE])[0][0] == 10
    assert state.host()[0] == 11
    with STATE_LOCK:
        state.host()[:] = 20
        state.touch()
    assert executable.run([ONE])[0][0] == 20


def test_programs_share_the_copy_of_a_variable() -> None:
    state, add = counter(5.0)
    variable = ops.variable(state=state)
    look = compiled([], [ops.multiply(variable, variable)])
    add.run([ONE])
    assert look.run([])[0][0] == 36
    assert state._array[0] == 5  # it went from one program to the other on the device


def test_every_assignment_sees_the_old_values() -> None:
    states = [VariableState(tensor_type((4,)), np.full(4, v, np.float32)) for v in (1, 2)]
    a, b = (ops.variable(state=s) for s in states)
    swap = compiled([], [], [(a, b), (b, a)])
    swap.run([])
    assert [float(s.host()[0]) for s in states] == [2, 1]
    swap.run([])
    assert [float(s.host()[0]) for s in states] == [1, 2]


def test_memory_goes_when_variables_do() -> None:
    state, executable = counter()
    executable.run([ONE])
    gone = weakref.ref(state)
    del state, executable
    gc.collect()
    assert gone() is None


def test_many_callers_at_once() -> None:
    state, executable = counter()
    x = leaf(3)
    double = compiled([x], [ops.add(x, x)])

    def call(number: int) -> None:
        executable.run([ONE])
        argument = np.full(3, number, np.float32)
        np.testing.assert_array_equal(double.run([argument])[0], 2 * argument)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(40)))
    assert state.host()[0] == 40


# --- errors --------------------------------------------------------------------------------------


def test_an_index_out_of_range_is_raised_at_the_users_line() -> None:
    data, places = leaf(5), leaf(4, dtype="int64")
    with at_line(SourceLine("model.py", 12)):
        taken = ops.take(data, places, axis=0, mode="raise")
    executable = compiled([data, places], [taken])
    values = np.arange(5, dtype=np.float32)
    with pytest.raises(GraphcIndexError, match=r"model\.py:12"):
        executable.run([values, np.array([0, 5, 1, -1])])
    got = executable.run([values, np.array([4, 0, 0, 3])])[0]  # the status is cleared
    assert got.tolist() == [4, 0, 0, 3]


def test_one_of_several_failures_is_raised() -> None:
    """Work-items that find different faults do not race for the status."""
    text = """kernel k(x: int32[4] in, status: int32[1] inout) { for g < 1 group { for i < 4 item {
      %a = load x[i] : int32  %z = literal() 0 : int32  %bad = ne(%a, %z) : bool
      store status[0] = %a where %bad } } }"""
    checks = tuple(Check(f"fault {n}", None) for n in range(1, 5))
    step = Step(parse_kernel(text), (Place(Space.ARGUMENT, 0), Place(Space.STATUS)))
    types = (tensor_type((4,), "int32"),)
    memory: dict[str, Any] = {"variables": (), "written": frozenset(), "constants": ()}
    memory |= {"arena_bytes": 0, "checks": checks, "target": BACKEND.target()}
    plan = Plan("p", (step,), types, (), **memory)
    executable = BACKEND.compile(plan)
    with pytest.raises(GraphcIndexError, match=r"fault [234]"):
        executable.run([np.array([0, 2, 4, 3], np.int32)])
    assert executable.run([np.zeros(4, np.int32)]) == ()


def test_a_device_without_float64_is_told_from_the_program() -> None:
    x = leaf(3, dtype="float64")
    with pytest.raises(BackendError, match="float64"):
        emit_plan(plan_of(Graph([x], [ops.add(x, x)])), lesser_device(False, False))


def lesser_device(has_float64: bool, exact_division: bool) -> Device:
    """Return the default device with other abilities."""
    device = copy.copy(default_device())
    device.features = Features(has_float64, exact_division)
    return device


@pytest.mark.parametrize("has_float64", [True, False])
@pytest.mark.parametrize("exact_division", [True, False])
def test_division_is_spelled_for_the_device(has_float64: bool, exact_division: bool) -> None:
    x, y = leaf(3), leaf(3)
    plan = plan_of(Graph([x, y], [ops.divide(x, y)]))
    source, _ = emit_plan(plan, lesser_device(has_float64, exact_division))
    assert ("(double)" in source) == (has_float64 and not exact_division)


def test_too_much_memory_is_refused() -> None:
    x = leaf(1)
    huge = ops.broadcast_to(x, shape=(2**60,))
    with pytest.raises(BackendError, match="cannot hold program main"):
        compiled([x], [huge])


def test_all_that_a_program_holds_is_counted() -> None:
    """Buffers that fit one by one may not fit together."""
    x, state = leaf(100), VariableState(tensor_type((100,)), np.zeros(100, np.float32))
    table = np.random.default_rng(0).normal(size=100).astype(np.float32)
    total = ops.add(ops.add(x, constant(table)), ops.variable(state=state))
    plan = plan_of(Graph([x], [total]))
    device = lesser_device(True, True)
    device.memory_bytes = 4 * 400  # the input, the output, the constant, the variable
    assert OpenCLExecutable(plan, device).run([np.zeros(100, np.float32)])[0].shape == (100,)
    device.memory_bytes -= 1
    with pytest.raises(BackendError, match="needs 1600 bytes of memory, and the device has 1599"):
        OpenCLExecutable(plan, device)


def test_too_many_buffers_are_refused() -> None:
    xs = [leaf(3) for _ in range(2)]
    device = lesser_device(True, True)
    device.parameter_bytes = 32
    with pytest.raises(BackendError, match="3 buffers"):
        emit_plan(plan_of(Graph(xs, [ops.add(*xs)])), device)


def test_too_much_local_memory_is_refused() -> None:
    x = leaf(2, 300)
    plan = plan_of(Graph([x], [ops.sum_(x, axes=(1,))]))
    device = lesser_device(True, True)
    device.local_bytes = 255
    with pytest.raises(BackendError, match="kernel sum needs 256 bytes of local memory"):
        emit_plan(plan, device)


def test_the_source_is_a_stage() -> None:
    _, executable = counter()
    text = executable.text("opencl")
    assert "__kernel" in text and "fast" not in text
    with pytest.raises(GraphcValueError, match="llvm"):
        executable.text("llvm")


def test_a_build_that_fails_shows_the_compilers_words() -> None:
    with pytest.raises(BackendError, match="undeclared identifier 'wrong'"):
        default_device().build("__kernel void k(__global int *x) { x[0] = wrong; }")


# --- devices -------------------------------------------------------------------------------------


def test_a_device_is_usable_when_a_probe_ran() -> None:
    name = default_device().name
    assert any(d.name == name and d.usable and d.reason for d in devices())
    target = BACKEND.target()
    assert target.kind == "gpu" and target.group_items >= 1 and target.local_bytes > 0


def test_an_unknown_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_OPENCL_DEVICE", "abacus")
    with pytest.raises(BackendError, match="abacus"):
        BACKEND.target()


def test_a_wrong_result_of_the_probe_rules_a_device_out(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = device._PROBE.replace("-1.0f", "-1.5f")
    monkeypatch.setattr(device, "_PROBE", broken)
    description, found = device._try(default_device().handle)
    assert found is None and not description.usable and "probe" in description.reason
    monkeypatch.setattr(device, "_PROBE", "nonsense")
    description, found = device._try(default_device().handle)
    assert found is None and "refuses" in description.reason


def test_a_missing_pyopencl_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyopencl", None)
    device._tried.cache_clear()
    device._chosen.cache_clear()
    try:
        assert devices() == []
        with pytest.raises(BackendError, match="pip install"):
            BACKEND.target()
    finally:
        monkeypatch.undo()
