"""Whole plans: variables, constants, arena, several launches, checks, and what a call is given."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import dtypes, state
from graphc.backends.llvm import BACKEND, work
from graphc.backends.llvm.call_outputs import address_of
from graphc.backends.llvm.executable import LlvmExecutable
from graphc.errors import GraphcIndexError, InternalError
from graphc.kernel import Kernel
from graphc.kernel_text import parse_kernel
from graphc.plan import Check, Place, Plan, Space, Step
from graphc.source import SourceLine
from graphc.state import VariableState
from graphc.tensor_type import TensorType, tensor_type

TYPE = tensor_type(64)
ADD = parse_kernel(
    """kernel add(a: float32[64] in, b: float32[64] in, c: float32[64] out) {
      for i < 4 parallel { for l < 16 vector {
        %a = load a[16*i + l] : float32  %b = load b[16*i + l] : float32
        %c = add(%a, %b) : float32  store c[16*i + l] = %c } } }"""
)
SHIFT = parse_kernel(
    """kernel shift(a: float32[64] in, b: float32[64] out) {
      for i < 4 parallel { for l < 16 vector {
        %a = load a[((16*i + l + 1) mod 64)] : float32  store b[16*i + l] = %a } } }"""
)
LOOKUP = parse_kernel(
    """kernel lookup(n: int64[8] in, s: int32[1] inout, y: int64[8] out) {
      for i < 8 parallel {
        %n = load n[i] : int64  %top = literal() 64 : int64  %bad = le(%top, %n) : bool
        %code = literal() 2 : int32  store s[0] = %code where %bad  store y[i] = %n } }"""
)
INPUT, OUTPUT, STATUS = Place(Space.ARGUMENT), Place(Space.OUTPUT), Place(Space.STATUS)


def arena(number: int) -> Place:
    return Place(Space.ARENA, 256 * number)


def launch(kernel: Kernel, *places: Place, barrier: bool = True) -> Step:
    return Step(kernel, places, barrier)


def plan(*launches: Step, **parts: Any) -> Plan:
    defaults: dict[str, Any] = {
        "name": "test",
        "inputs": (TYPE,),
        "outputs": (TYPE,),
        "variables": (),
        "written": frozenset(),
        "constants": (),
        "arena_bytes": 0,
        "checks": (),
        "target": BACKEND.target(),
    }
    return Plan(steps=launches, **{**defaults, **parts})


def sample(seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=64).astype(np.float32)


def chain(**parts: Any) -> Plan:
    """x + x, shifted, plus itself in place, shifted twice by way of the arena."""
    return plan(
        launch(ADD, INPUT, INPUT, arena(0)),
        launch(SHIFT, arena(0), arena(1)),
        launch(ADD, arena(1), arena(0), arena(0)),
        launch(SHIFT, arena(0), arena(2)),
        launch(SHIFT, arena(2), OUTPUT),
        arena_bytes=768,
        **parts,
    )


def chain_by_hand(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    double = x + x
    total: np.ndarray[Any, Any] = np.roll(double, -1) + double
    return np.roll(total, -2)


@pytest.mark.parametrize("steps", [1, work.STEPS_PER_THREAD])
@pytest.mark.parametrize("cores", [1, 4])
def test_launches_pass_values_through_the_arena(
    steps: int, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "STEPS_PER_THREAD", steps)
    target = dataclasses.replace(BACKEND.target(), cores=cores)
    executable = BACKEND.compile(chain(target=target))
    for seed in range(20):
        x = sample(seed)
        assert (executable.run([x])[0] == chain_by_hand(x)).all()


SLOW = parse_kernel(
    """kernel slow(a: float32[64] in, b: float32[64] out) {
      for i < 64 serial { for k < 20000 serial {
        %a = load a[((i + k) mod 64)] : float32  store b[i] = %a }
        %b = load a[i] : float32  store b[i] = %b } }"""
)


def test_a_barrier_that_one_thread_did_not_need_is_kept_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The third launch waits for the first by the barrier that the plan puts at the second."""
    monkeypatch.setattr(work, "STEPS_PER_THREAD", 1)
    executable = BACKEND.compile(
        plan(
            launch(SLOW, INPUT, arena(0)),
            launch(SLOW, INPUT, arena(1)),
            launch(SHIFT, arena(0), OUTPUT, barrier=False),
            arena_bytes=512,
            target=dataclasses.replace(BACKEND.target(), cores=2),
        )
    )
    for seed in range(3):
        x = sample(seed) + 1000
        assert (executable.run([x])[0] == np.roll(x, -1)).all()


def test_equal_kernels_are_compiled_once() -> None:
    text = BACKEND.compile(chain()).text("llvm")
    assert text.count('define internal void @"kernel.') == 2


def test_what_may_be_the_same_memory_is_not_declared_apart() -> None:
    apart = BACKEND.compile(plan(launch(ADD, INPUT, INPUT, OUTPUT))).text("llvm")
    in_place = BACKEND.compile(chain()).text("llvm")
    assert "noalias align 4 %c.b2" in apart  # an array of the caller begins anywhere
    assert "align 64 %c.b2" in in_place and "noalias align 64 %c.b2" not in in_place


def test_variables_are_updated_in_place_and_touched() -> None:
    state = VariableState(TYPE, sample(1), "w")
    variable = Place(Space.VARIABLE)
    executable = BACKEND.compile(
        plan(
            launch(ADD, variable, INPUT, variable),
            launch(SHIFT, variable, OUTPUT),
            variables=(state,),
            written=frozenset({0}),
        )
    )
    x, address, version = sample(2), address_of(state.host()), state.version
    before = state.host().copy()
    (shifted,) = executable.run([x])
    assert (state.host() == before + x).all()
    assert (shifted == np.roll(before + x, -1)).all()
    assert address_of(state.host()) == address
    assert state.version == version + 1


def test_an_argument_in_a_variables_memory_is_read_as_it_was() -> None:
    state = VariableState(TYPE, sample(1), "w")
    variable = Place(Space.VARIABLE)
    parts = {"variables": (state,), "written": frozenset({0})}
    executable = BACKEND.compile(plan(launch(SHIFT, INPUT, variable), outputs=(), **parts))
    before = state.host().copy()
    executable.run([state.host()])
    assert (state.host() == np.roll(before, -1)).all()


def test_a_newer_value_elsewhere_is_fetched() -> None:
    state = VariableState(TYPE, sample(1), "w")

    def fetch(array: np.ndarray[Any, Any]) -> None:
        array[...] = 5

    executable = BACKEND.compile(
        plan(launch(ADD, Place(Space.VARIABLE), INPUT, OUTPUT), variables=(state,))
    )
    state.lend(fetch)
    assert (executable.run([np.ones(64, np.float32)])[0] == 6).all()
    assert state.version == 0


def test_calls_that_update_one_variable_take_turns() -> None:
    state = VariableState(TYPE, np.zeros(64, np.float32), "w")
    variable = Place(Space.VARIABLE)
    parts = {"variables": (state,), "written": frozenset({0}), "outputs": ()}
    executable = BACKEND.compile(plan(launch(ADD, variable, INPUT, variable), **parts))
    one = np.ones(64, np.float32)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: [executable.run([one]) for _ in range(100)], range(8)))
    assert (state.host() == 800).all()


def test_constants_are_kept_by_the_executable() -> None:
    constant = sample(3)
    executable = BACKEND.compile(
        plan(launch(ADD, Place(Space.CONSTANT), INPUT, OUTPUT), constants=(constant,))
    )
    kept = constant.copy()
    constant[...] = 0
    assert (executable.run([sample()])[0] == kept + sample()).all()


def test_a_failed_check_is_raised_with_the_users_line_and_forgotten() -> None:
    line = SourceLine("model.py", 12)
    checks = (Check("never", None), Check("take: index out of bounds", line))
    indices = tensor_type(8, dtypes.int64)
    executable = BACKEND.compile(
        plan(
            launch(LOOKUP, INPUT, STATUS, OUTPUT),
            inputs=(indices,),
            outputs=(indices,),
            checks=checks,
        )
    )
    good = np.arange(8)
    for _ in range(2):
        with pytest.raises(GraphcIndexError, match=r"take: index out of bounds\n.*model.py:12"):
            executable.run([np.arange(60, 68)])
        assert (executable.run([good])[0] == good).all()


@pytest.mark.parametrize("offset", [4, 8, 60])
def test_arguments_of_any_element_alignment_and_read_only(offset: int) -> None:
    raw = np.zeros(64 * 4 + 128, np.uint8)
    start = -address_of(raw) % 64 + offset
    x = raw[start : start + 256].view(np.float32)
    x[...] = sample()
    x.flags.writeable = False
    (given,) = BACKEND.compile(plan(launch(ADD, INPUT, INPUT, OUTPUT))).run([x])
    assert (given == x + x).all()
    assert address_of(given) % 64 == 0
    assert given.flags.writeable and given.flags.c_contiguous


def test_outputs_are_fresh_for_every_call() -> None:
    executable = BACKEND.compile(plan(launch(SHIFT, INPUT, OUTPUT)))
    first, second = executable.run([sample()])[0], executable.run([sample()])[0]
    first[...] = 0
    assert (second == np.roll(sample(), -1)).all()


def test_a_plan_without_launches_or_elements() -> None:
    assert BACKEND.compile(plan(inputs=(), outputs=())).run([]) == ()
    empty = tensor_type((0, 5), dtypes.bool_)
    (given,) = BACKEND.compile(plan(inputs=(), outputs=(empty,))).run([])
    assert given.shape == (0, 5) and given.dtype == np.bool_


def test_stages_are_text() -> None:
    executable = BACKEND.compile(plan(launch(ADD, INPUT, INPUT, OUTPUT)))
    assert BACKEND.stages == ("llvm", "asm")
    assert "fadd <16 x float>" in executable.text("llvm")
    assert "kernel.0.add" in executable.text("asm")
    with pytest.raises(InternalError, match="no stage"):
        executable.text("opencl")


def test_large_frames_of_many_callers_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", "2")
    x = np.ones((1024, 1024), np.float32)
    program = graphc.compile(lambda x: graphc.exp(x @ x) @ x).program(x)
    compiled = program._executable
    assert isinstance(compiled, LlvmExecutable) and compiled._plan.arena_bytes >= x.nbytes
    frames = [compiled._take_frame(1) for _ in range(16)]  # as that many callers at once
    compiled._frames.extend(frames)
    kept = len(compiled._frames) * compiled._plan.arena_bytes
    assert len(compiled._frames) >= 2 and kept <= 32 * 1024**2


def test_no_memory_for_a_variable_names_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(type_: TensorType) -> None:
        raise MemoryError

    monkeypatch.setattr(state, "aligned_empty", fail)
    with pytest.raises(MemoryError, match="no 12 bytes for the variable weights"):
        graphc.Variable(np.zeros(3, np.float32), name="weights")
