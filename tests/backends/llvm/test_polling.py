"""Long programs poll: handlers of signals run, a call that stops changes no variable, bits stay."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import state
from graphc.api import Settings, compile_graph
from graphc.backends.llvm import layout, polling, work
from graphc.kernel_text import parse_kernel
from graphc.passes import Options
from tests.backends.llvm.harness import check
from tests.backends.llvm.test_threads import MIXED, arrays
from tests.random_graphs import random_graph

SETTINGS = Settings("llvm", Options())
Array = np.ndarray[Any, Any]


def poll_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "STEPS_PER_THREAD", 1)
    monkeypatch.setattr(polling, "STEPS_PER_POLL", 7)


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_loops_cut_into_chunks_give_the_same_bits(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll_everywhere(monkeypatch)
    # of variables written by the first launch there would be no polls
    check(MIXED.replace("inout", "out"), {"x": arrays()["x"]}, cores=cores)


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_random_programs_that_poll_give_the_same_bits(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", "3")
    for seed in range(first, first + 20):
        sample = random_graph(seed)
        plain = compile_graph(sample.graph, SETTINGS)(*sample.arguments)
        with monkeypatch.context() as patch:
            poll_everywhere(patch)
            polled = compile_graph(sample.graph, SETTINGS)
        given = polled(*sample.arguments)
        assert [a.tobytes() for a in given] == [a.tobytes() for a in plain], seed


def test_short_programs_do_not_poll() -> None:
    x = graphc.input((1000,))
    assert layout.POLL not in graphc.compile([x.sum()]).text("llvm")


def test_a_barrier_kernel_that_loads_outside_of_loops_is_not_skipped() -> None:
    text = """kernel looked_up(x: int64[4] in, t: float32[4] in, y: float32[4] out) {
      for i < 4 parallel { %a = load t[i] : float32 store y[i] = %a }
      barrier
      %i = load x[0] : int64
      for j < 4 parallel { %b = load t[j] : float32 store y[j] = %b } }"""
    assert not polling._may_skip(parse_kernel(text))
    assert polling._may_skip(parse_kernel(text.replace("barrier", "")))
    assert polling._may_skip(parse_kernel(MIXED))


def test_what_comes_before_the_first_write_is_counted() -> None:
    x, step = graphc.input((2000, 1000), name="x"), graphc.Variable(np.zeros((2000, 1000)))

    @graphc.compile
    def write_first(x: Any) -> Any:
        step.assign(step + 1.0)
        return x

    plan = write_first.program(np.zeros(3)).stages.plan
    assert plan is not None and polling.first_write(plan.steps) < len(plan.steps)
    pure = graphc.compile([graphc.exp(x).sum(), x * 2]).stages.plan
    assert pure is not None and polling.first_write(pure.steps) == len(pure.steps)
    assert polling.is_polled(pure.steps)


class Stop(Exception):
    """Raised by the handler of the timer."""


@pytest.fixture
def timer() -> Iterator[None]:
    """Let a timer raise Stop while a test is inside `interrupted`."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise Stop

    old = signal.signal(signal.SIGALRM, handle)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)


def stop_call(call: Any, *arguments: Any, after: float = 0.01) -> bool:
    """Start the timer and call; return whether the call was stopped, or followed, by it."""
    try:
        signal.setitimer(signal.ITIMER_REAL, after)
        call(*arguments)
    except Stop:
        return True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return False


def long_chain(x: Any) -> Any:
    for _ in range(60):
        x = graphc.tanh(x @ x)
    return x


def start_values() -> Array:
    return np.random.default_rng(0).standard_normal((700, 700), np.float32)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_handler_stops_a_long_call_and_the_next_one_is_right(timer: None, threads: int) -> None:
    done = graphc.Variable(np.float32(0))

    @graphc.compile
    def call(x: Any) -> Any:
        y = long_chain(x)
        done.assign(done + 1.0 + 0.0 * y[0, 0])
        return y

    x = start_values()
    wanted = call(x)
    with graphc.threads(threads):
        for _ in range(3):
            before = done.value
            assert stop_call(call, x)
            assert done.value == before  # it did not come to the end
        assert (call(x) == wanted).all()


def test_native_calls_stop_too(timer: None) -> None:
    x = start_values()
    program = graphc.compile(long_chain).program(x)
    wanted = program(x)[0]
    for _ in range(4):
        program(x)
    assert program.call_natively(x) is not None
    for _ in range(5):
        assert stop_call(program, x)
        assert (program(x)[0] == wanted).all()


def test_a_handler_that_does_not_raise_runs_while_the_call_goes_on() -> None:
    seen: list[int] = []
    old = signal.signal(signal.SIGALRM, lambda number, frame: seen.append(len(seen)))
    x = start_values()
    call = graphc.compile(long_chain)
    wanted = call(x)
    during: list[int] = []

    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        given = call(x)
        during.append(len(seen))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert (given == wanted).all() and during[0] >= 2  # one could have waited for the end


def long_step(
    count: graphc.Variable, backend: Any = "llvm"
) -> tuple[graphc.CompiledFunction[Any, Any], Array]:
    """Return a function that reads a variable long before it writes it, and an argument."""

    @graphc.compile(backend=backend)
    def step(x: Any) -> Any:
        y = x + 0.0 * count
        for _ in range(60):
            y = graphc.tanh(y @ x)
        count.assign(count + 1.0 + 0.0 * y[0, 0])
        return y

    return step, start_values() if backend == "llvm" else start_values()[:64, :64]


def counting(count: graphc.Variable) -> graphc.CompiledFunction[[], Any]:
    """Return a short function that adds one."""

    @graphc.compile
    def add() -> Any:
        count.assign(count + 1)
        return count + 0

    return add


@pytest.mark.parametrize("backend", ["llvm", "reference"])
@pytest.mark.parametrize("way", ["assign", "short", "long"])
def test_a_handler_cannot_change_what_a_running_step_uses(way: str, backend: str) -> None:
    count = graphc.Variable(np.float32(0), name="count")
    step, x = long_step(count, backend=backend)
    short = counting(count)
    changes: dict[str, Any] = {
        "assign": lambda: count.assign(7.0),
        "short": short,
        "long": lambda: step(x),
    }
    seen: list[float] = []
    for _ in range(4):
        step(x), short()  # natively by now
    before = count.value

    def handle(*_: Any) -> None:
        if state.is_any_in_use():  # else the step has not begun, or has returned
            seen.append(float(count.value))  # as it was before the call
            changes[way]()

    old = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        with pytest.raises(graphc.VariableError, match="count cannot be changed"):
            step(x)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert {*seen} == {float(before)} and count.value == before  # a handler may come into a handler
    count.assign(count.value + 1)  # nothing is held any longer
    step(x), short()
    assert count.value == before + 3


def test_a_handler_may_change_other_variables() -> None:
    count, alarms = graphc.Variable(np.float32(0)), graphc.Variable(np.float32(0))
    step, x = long_step(count)
    alarm = counting(alarms)
    step(x), alarm()
    old = signal.signal(signal.SIGALRM, lambda number, frame: alarm())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        step(x)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert alarms.value == 2 and count.value == 2


def test_other_threads_are_left_alone(timer: None) -> None:
    x, results = start_values(), []
    call = graphc.compile(long_chain)
    wanted = call(x)
    worker = threading.Thread(target=lambda: results.append(call(x)))
    worker.start()
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    with pytest.raises(Stop):
        time.sleep(10)
    worker.join()
    assert (results[0] == wanted).all()


def test_a_call_is_not_stopped_once_it_writes_variables(timer: None) -> None:
    count, weights = graphc.Variable(np.float32(0)), graphc.Variable(start_values())

    @graphc.compile
    def step(x: Any) -> Any:
        y = long_chain(x + weights)
        count.assign(count + 1.0 + 0.0 * y[0, 0])  # here, between two long parts
        weights.assign(weights + 1.0 + 0.0 * long_chain(y + 0.0 * count))
        return y

    x = np.zeros((700, 700), np.float32)
    step(x)
    start = time.perf_counter()
    step(x)
    seconds = time.perf_counter() - start
    for number in range(12):
        before, old = count.value, weights.value
        stop_call(step, x, after=seconds * (number + 0.5) / 12)
        is_done = bool(count.value != before)
        assert is_done == bool((weights.value != old).any()), number
        assert count.value in (before, before + 1)


def test_a_stopped_call_reads_no_index_that_was_not_computed(timer: None) -> None:
    def gathers(x: Any, table: Any) -> Any:
        index = graphc.argmax(long_chain(x), axis=1)
        return graphc.take(table, index, axis=0) @ table

    x, table = start_values(), start_values()
    program = graphc.compile(gathers).program(x, table)
    executable: Any = program._executable
    (wanted,) = executable.run([x, table])
    for _ in range(5):
        for frame in executable._frames:
            frame._arena[...] = 0x7F  # as an index it lies far outside of the table
        assert stop_call(executable.run, [x, table])
    (given,) = executable.run([x, table])
    assert (given == wanted).all()


def test_plans_of_one_core_poll_too(monkeypatch: pytest.MonkeyPatch, timer: None) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", "1")
    x = start_values()
    call = graphc.compile(long_chain)
    call(x)
    assert stop_call(call, x)
