"""Timed programs: the same bits, one time for each launch, and no trace in the normal program."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.backends.llvm import entry, work
from graphc.backends.llvm.build import CLOCK
from graphc.backends.llvm.executable import LlvmExecutable
from graphc.program import Program


def executable_of(program: Program) -> LlvmExecutable:
    executable = program._executable
    assert isinstance(executable, LlvmExecutable)
    return executable


def chain(size: int = 4096) -> Program:
    """Return a program of several launches, a kernel for each node."""
    x = graphc.input((size,), name="x")
    total = graphc.exp(x).sum()
    results = [graphc.sin(x) * total, (x - total).max()]
    return graphc.compile(results, inputs=[x], optimise=False)


def values(size: int = 4096) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(size=size).astype(np.float32)


@pytest.mark.parametrize("threads", ["1", "2", "4"])
def test_times_and_threads_of_each_launch(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", threads)
    monkeypatch.setattr(work, "STEPS_PER_THREAD", 64)
    program = chain()
    plan = program.stages.plan
    assert plan is not None
    timed = executable_of(program).timed()
    for _ in range(3):
        start = time.perf_counter()
        outputs = timed.run([values()])
        elapsed = time.perf_counter() - start
        times = timed.launch_times()
        assert len(times) == len(plan.steps) > 1
        assert all(one.seconds > 0 for one in times)
        assert sum(one.seconds for one in times) <= elapsed  # both clocks are the monotonic one
        assert {one.threads for one in times} <= {1, int(threads)}
        assert max(one.threads for one in times) == int(threads)
        for got, expected in zip(outputs, program(values()), strict=True):
            assert got.tobytes() == expected.tobytes()


def test_the_normal_program_has_no_clock() -> None:
    program = chain()
    assert "stamp" not in program.text("llvm") and CLOCK not in program.text("llvm")
    text = executable_of(program).timed().text("llvm")
    plan = program.stages.plan
    assert plan is not None
    assert text.count("call void @graphc.stamp(") == len(plan.steps) + 1


def test_times_belong_to_their_launches() -> None:
    x = graphc.input((256, 256), name="x")
    program = graphc.compile([x @ x, x[0, 0] + 1.0], inputs=[x])
    timed = executable_of(program).timed()
    plan = program.stages.plan
    assert plan is not None
    names = [launch.routine.name for launch in plan.steps]
    least = [float("inf")] * len(names)
    for _ in range(20):  # a million times the work: no disturbance hides it in all of them
        timed.run([np.ones((256, 256), np.float32)])
        least = [min(a, b.seconds) for a, b in zip(least, timed.launch_times(), strict=True)]
    assert len(names) == 2 and names[least.index(max(least))] == "contraction"


def test_a_program_without_launches() -> None:
    program = graphc.compile([], inputs=[])
    timed = executable_of(program).timed()
    assert timed.run([]) == () and timed.launch_times() == []


@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_program_in_several_functions(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = chain()(values())
    monkeypatch.setenv("GRAPHC_NUM_THREADS", threads)
    monkeypatch.setattr(work, "STEPS_PER_THREAD", 64)
    monkeypatch.setattr(entry, "_STEPS_A_FUNCTION", 2)
    program = chain()
    assert "@main.2(" in program.text("llvm") and "@main.4(" in program.text("llvm")
    timed = executable_of(program).timed()
    for outputs in (program(values()), timed.run([values()])):
        for got, wanted in zip(outputs, expected, strict=True):
            assert got.tobytes() == wanted.tobytes()
    assert all(one.seconds > 0 for one in timed.launch_times())


def test_a_long_program() -> None:
    x = graphc.input((8,), name="x")
    y = x
    for _ in range(2100):
        y = graphc.sin(y)
    program = graphc.compile([y], inputs=[x], optimise=False)
    timed = executable_of(program).timed()
    assert timed.run([values(8)])[0].tobytes() == program(values(8))[0].tobytes()
    assert len(timed.launch_times()) == 2100
