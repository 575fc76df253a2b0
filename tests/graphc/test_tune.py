"""Tuning: the search on a backend whose times are made up, and the real one on small kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import tune
from graphc.backends.llvm import BACKEND, LlvmBackend
from graphc.errors import GraphcIndexError, GraphcTypeError, GraphcValueError
from graphc.executable import LaunchTime
from graphc.kernel import Kernel
from graphc.passes.fuse import fuse
from graphc.passes.lower import Lowered, lower
from graphc.passes.schedule import schedule
from graphc.plan import Plan
from graphc.roofline import Limits
from graphc.schedule_choices import MODEL, ScheduleChoices, Tuned
from graphc.target import Target

TARGET = Target("avx512", "cpu", 64, 32, 4)
A, B = np.ones((40, 30), np.float32), np.ones((30, 50), np.float32)


class Runner:
    """Takes the time it was given, and counts its runs."""

    luck = 10**9  # runs after which it takes a second

    def __init__(self, seconds: float, fails: bool) -> None:
        self.time, self.fails, self.runs = seconds, fails, 0

    def run(self, arguments: Sequence[Any]) -> tuple[Any, ...]:
        self.runs += 1
        if self.fails:
            raise GraphcIndexError("out of bounds")
        return ()

    def launch_times(self) -> list[LaunchTime]:
        return [LaunchTime(self.time + 1e-4 / self.runs if self.runs <= self.luck else 1.0, 3)]

    def text(self, stage: str) -> str:
        return stage

    def limits(self) -> Limits:
        raise NotImplementedError


class Stopwatch:
    """A backend on which some schedules of one kernel take other times than a second."""

    def __init__(self, kernel: Kernel, times: dict[ScheduleChoices, float]) -> None:
        self.times = {schedule(kernel, TARGET, c): seconds for c, seconds in times.items()}
        self.records: dict[bytes, bytes] = {}
        self.runners: list[Runner] = []
        self.machine, self.fails = "this one", False

    def compile_timed(self, plan: Plan) -> Runner:
        (kernel,) = plan.kernels
        self.runners.append(Runner(self.times.get(kernel, 1.0), self.fails))
        return self.runners[-1]

    def machine_text(self) -> str:
        return self.machine

    def find_record(self, key: bytes) -> bytes | None:
        return self.records.get(key)

    def keep_record(self, key: bytes, record: bytes) -> None:
        self.records[key] = record


def lowered(function: Callable[..., Any] = lambda x, y: x @ y) -> Lowered:
    x, y = graphc.input(A.shape, name="x"), graphc.input(B.shape, name="y")
    program = graphc.compile([function(x, y)], inputs=[x, y])
    return lower(fuse(program.optimised, TARGET))


@pytest.fixture
def product() -> Lowered:
    return lowered()


def kernel_of(found: Lowered) -> Kernel:
    return found.kernels[0]


def test_the_search_goes_on_from_the_best_until_nothing_is_better(product: Lowered) -> None:
    kernel = kernel_of(product)
    first, second = ScheduleChoices(tile_rows=6), ScheduleChoices(tile_rows=6, vectors=4)
    backend = Stopwatch(kernel, {first: 0.5, second: 0.25, ScheduleChoices(vectors=4): 0.7})
    tuner = tune.Tuner(backend, TARGET)
    assert tuner(product) == {kernel: second}
    found = tuner.found[kernel.name]
    assert found.seconds == pytest.approx(0.25, abs=1e-3)
    assert found.model_seconds == pytest.approx(1.0, abs=1e-3)
    assert found.threads == 3 and found.candidates == len(backend.runners) > 20


def test_a_small_win_is_none(product: Lowered) -> None:
    backend = Stopwatch(kernel_of(product), {ScheduleChoices(tile_rows=6): 0.98})
    assert tune.Tuner(backend, TARGET)(product) == {kernel_of(product): MODEL}


def test_luck_in_one_race_is_no_win(product: Lowered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "MOST_ROUNDS", 9)
    backend = Stopwatch(kernel_of(product), {ScheduleChoices(tile_rows=6): 0.5})
    monkeypatch.setattr(Runner, "luck", 10)  # runs: its first race
    assert tune.Tuner(backend, TARGET)(product) == {kernel_of(product): MODEL}


def test_what_is_far_behind_is_run_three_times(
    product: Lowered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "MOST_ROUNDS", 9)
    backend = Stopwatch(kernel_of(product), {MODEL: 0.1})
    tune.Tuner(backend, TARGET)(product)
    *others, model = sorted(runner.runs for runner in backend.runners)
    assert set(others) == {3}
    races = 1 + -(-len(others) // tune.TOGETHER)
    assert model == 10 * races  # each with a run to warm up


def test_what_is_known_is_not_measured(product: Lowered) -> None:
    choices = ScheduleChoices(tile_rows=6)
    backend = Stopwatch(kernel_of(product), {choices: 0.5})
    first, second = tune.Tuner(backend, TARGET), tune.Tuner(backend, TARGET)
    first(product)
    measured = len(backend.runners)
    renamed = lowered(lambda x, y: graphc.einsum("ik,kj->ij", x, y))
    assert second(renamed) == {kernel_of(renamed): choices}
    assert list(second.found.values()) == list(first.found.values())
    assert len(backend.runners) == measured and len(backend.records) == 1


def test_another_machine_target_or_kernel_is_measured(product: Lowered) -> None:
    backend = Stopwatch(kernel_of(product), {})
    tune.Tuner(backend, TARGET)(product)
    tune.Tuner(backend, Target("avx512", "cpu", 64, 32, 2))(product)
    tune.Tuner(backend, TARGET)(lowered(lambda x, y: graphc.tanh(x @ y)))
    backend.machine = "another"
    tune.Tuner(backend, TARGET)(product)
    assert len(backend.records) == 4


def test_a_record_of_something_else_is_measured_and_replaced(product: Lowered) -> None:
    backend = Stopwatch(kernel_of(product), {})
    tune.Tuner(backend, TARGET)(product)
    (key,), count = backend.records, len(backend.runners)
    right = backend.records[key]
    backend.records[key] = b"\x7fELF"
    tune.Tuner(backend, TARGET)(product)
    assert len(backend.runners) == 2 * count and len(backend.records[key]) >= len(right) - 9


def test_kernels_that_cannot_be_measured_are_left_alone(product: Lowered) -> None:
    backend = Stopwatch(kernel_of(product), {})
    backend.fails = True
    tuner = tune.Tuner(backend, TARGET)
    assert tuner(product) == {} == tuner.found and backend.records == {}


def test_time_is_limited(product: Lowered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "SECONDS", 0.0)
    backend = Stopwatch(kernel_of(product), {ScheduleChoices(tile_rows=6): 0.5})
    assert tune.Tuner(backend, TARGET)(product) == {kernel_of(product): MODEL}
    assert len(backend.runners) == 1


# --- compile(…, tune=True) ------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tune, "SECONDS", 0.3)
    monkeypatch.setenv("GRAPHC_CACHE", "1")
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path))
    return tmp_path / "objects"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    plans: list[Plan] = []
    original = LlvmBackend.compile_timed

    def compile_timed(self: LlvmBackend, plan: Plan) -> Any:
        plans.append(plan)
        return original(self, plan)

    monkeypatch.setattr(LlvmBackend, "compile_timed", compile_timed)
    return plans


def softmax_of_product(x: Any, y: Any) -> Any:
    return graphc.softmax(x @ y)


def test_a_tuned_program_has_the_same_bits_and_is_measured_once(
    cache: Path, measured: list[Plan]
) -> None:
    random = np.random.default_rng(0)
    a, b = (random.standard_normal(x.shape).astype(np.float32) for x in (A, B))
    plain = graphc.compile(softmax_of_product)
    expected = plain(a, b)
    assert not measured and plain.programs[0].stages.tuned == {}
    tuned = graphc.compile(softmax_of_product, tune=True)
    assert tuned(a, b).tobytes() == expected.tobytes()
    assert measured
    measured.clear()
    again = graphc.compile(tune=True)(softmax_of_product)
    assert again(a, b).tobytes() == expected.tobytes()
    x, y = graphc.input(A.shape, name="x"), graphc.input(B.shape, name="y")
    program = graphc.compile([softmax_of_product(x, y)], inputs=[x, y], tune=True)
    assert program(a, b)[0].tobytes() == expected.tobytes()
    assert not measured
    assert program.stages.tuned == again.programs[0].stages.tuned
    assert "schedules, the best of those measured" in program.explain()


def test_an_altered_record_is_measured_again(cache: Path, measured: list[Plan]) -> None:
    graphc.compile(softmax_of_product, tune=True)(A, B)
    for name in os.listdir(cache):
        entry = bytearray((cache / name).read_bytes())
        entry[-40] ^= 1
        (cache / name).write_bytes(entry)
    measured.clear()
    graphc.compile(softmax_of_product, tune=True)(A, B)
    assert measured


def test_what_was_found_is_an_entry_of_the_cache(cache: Path) -> None:
    key = bytes(32)
    BACKEND.keep_record(key, b"found")
    assert BACKEND.find_record(key) == b"found"
    assert len(os.listdir(cache)) == 1


def test_without_a_cache_every_compilation_measures(
    cache: Path, measured: list[Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_CACHE", "0")
    for _ in range(2):
        measured.clear()
        graphc.compile(softmax_of_product, tune=True)(A, B)
        assert measured
    assert not cache.exists()


def test_indices_and_updates_in_place_are_safe(cache: Path) -> None:
    table, index = np.ones((7, 64), np.float32), np.array([6, 0, 3])
    take = graphc.compile(lambda t, i: graphc.exp(graphc.take(t, i, axis=0)).sum(0), tune=True)
    assert take(table, index).shape == (64,)
    gradient = graphc.compile(graphc.grad(lambda t: graphc.take(t, index, axis=0).sum()), tune=True)
    assert gradient(table)[6, 0] == 1


@pytest.mark.parametrize("wrong", [1, None, "yes", 0.5])
def test_tune_is_a_bool(wrong: Any) -> None:
    with pytest.raises(GraphcTypeError, match="tune= is True or False"):
        graphc.compile(softmax_of_product, tune=wrong)
    with pytest.raises(GraphcTypeError, match="tune= is True or False"):
        graphc.compile(graphc.input((3,), name="x") + 1, tune=wrong)


@pytest.mark.parametrize("backend", ["reference", "opencl"])
def test_other_backends_have_nothing_to_tune(backend: Any) -> None:
    with pytest.raises(GraphcValueError, match="no schedules to choose from"):
        graphc.compile(softmax_of_product, backend=backend, tune=True)


def test_explain_tells_what_won_and_by_how_much() -> None:
    program = graphc.compile(softmax_of_product).program(A, B)
    program.stages.tuned["k"] = Tuned(ScheduleChoices(panels=4), 9e-5, 1e-4, 12, 2)
    program.stages.tuned["m"] = Tuned(MODEL, 2e-3, 2e-3, 3, 1)
    lines = program.explain().splitlines()[-2:]
    assert lines == [
        "  k: panels 4, 90 µs, 2 threads, 12 measured, 10% less than the cost model's 100 µs",
        "  m: the cost model's own, 2 ms, 1 threads, 3 measured",
    ]
