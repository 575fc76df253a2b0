"""The coordinator and its workers: answers, checks against a reference, and engines that fail."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import engines, runner
from benchmarks.runner import Measurement, Options, difference, measure
from benchmarks.work import Work, find_work
from benchmarks.worker import calls_at_once, memory, time_calls

QUICK = Options(peers=(), seconds=0.02, rounds=2, first_calls=2, timeout=60)
ALONE = Options(peers=(), seconds=0.02, rounds=1, first_calls=1, timeout=0.01)


@pytest.mark.parametrize(
    ("results", "expected", "said"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], ""),
        ([[1.0, 2.0001]], [[1.0, 2.0]], ""),
        ([[1.0, 2.001]], [[1.0, 2.0]], "off by"),
        ([[1.0], [2.0]], [[1.0]], "2 results instead of 1"),
        ([[[1.0, 2.0]]], [[1.0, 2.0]], "the shape is"),
        ([[np.nan, 1.0]], [[np.nan, 1.0]], ""),
        ([[np.nan, 1.0]], [[0.0, 1.0]], "off by"),
        ([[0.0, 1.0]], [[np.nan, 1.0]], "NaN or infinity"),
        ([[np.inf]], [[-np.inf]], "NaN or infinity"),
        ([[0.0]], [[0.0]], ""),
        ([np.zeros((0, 3))], [np.zeros((0, 3))], ""),
    ],
)
def test_differences_are_found(results: Sequence[Any], expected: Sequence[Any], said: str) -> None:
    found = difference([np.array(r) for r in results], [np.array(e) for e in expected], 1e-4)
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_a_work_is_measured_in_a_fresh_process() -> None:
    (found,) = measure(find_work("call with 4 arguments"), 1, QUICK)
    assert found.error == ""
    assert (found.engine, found.threads) == ("graphc", 1)
    assert len(found.samples) >= 2  # one a round
    assert len(found.first_call_seconds) == 1
    assert found.peak_bytes > found.call_bytes > 0
    assert found.versions["numpy"] == np.__version__


def test_first_calls_come_from_a_process_each() -> None:
    (found,) = measure(find_work("chain of 100 nodes, first call"), 1, QUICK)
    assert found.error == ""
    assert len(found.first_call_seconds) == 2
    assert found.samples == []


def test_a_wrong_result_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "reference", lambda work: [np.zeros(8)])
    (found,) = measure(find_work("call with 1 argument"), 1, QUICK)
    assert found.error.startswith("wrong result: off by")
    assert found.samples == []


def test_an_engine_that_is_silent_is_given_up() -> None:
    (found,) = measure(find_work("call with 1 argument"), 1, ALONE)
    assert found.error == "no answer within 0.01 s"


def test_a_process_that_dies_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runner, "environment", lambda *_: {"PYTHONHOME": str(tmp_path)})
    (found,) = measure(find_work("call with 1 argument"), 1, QUICK)
    assert found.error == "the process died (status 1)"


def test_an_exception_is_an_answer() -> None:
    work = find_work("call with 1 argument")
    (found,) = runner.measure(
        Work(name="no such work", inputs=work.inputs, graphc=work.graphc), 1, QUICK
    )
    assert "died" in found.error or "KeyError" in found.error


def test_busy_processes_end_with_the_work() -> None:
    with runner.busy_processes(2, 1):
        children = _children()
        assert len(children) == 2
        assert {len(os.sched_getaffinity(child)) for child in children} == {1}
    assert not _children() & children


def _children() -> set[int]:
    return set(map(int, Path("/proc/self/task", str(os.getpid()), "children").read_text().split()))


def test_signals_have_names() -> None:
    assert runner.signal_name(-11) == "SIGSEGV"
    assert runner.signal_name(3) == "status 3"


def test_engines_are_those_of_the_peers_that_the_work_is_spelled_for() -> None:
    work = find_work("gelu 1K")
    assert engines.engines_for(work, []) == ["graphc"]
    assert engines.engines_for(work, ["torch"]) == ["graphc", "torch.eager", "torch.compile"]
    assert engines.engines_for(work, ["torch.eager"]) == ["graphc", "torch.eager"]
    assert engines.engines_for(work, [*engines.PEERS]) == list(engines.ENGINES)
    trained = find_work("mlp step")
    assert "onnxruntime" not in engines.engines_for(trained, [*engines.PEERS])
    compiled = find_work("chain of 100 nodes, first call")
    assert "torch.eager" not in engines.engines_for(compiled, [*engines.PEERS])
    assert "torch.compile" in engines.engines_for(compiled, [*engines.PEERS])


def test_workers_get_threads_and_a_cache_of_their_own() -> None:
    variables = engines.environment(3, "/nowhere")
    assert {variables[name] for name in engines.THREAD_VARIABLES} == {"3"}
    assert variables["XDG_CACHE_HOME"] == "/nowhere"


def test_results_are_read_in_any_structure() -> None:
    arrays = engines.as_arrays({"a": np.zeros(2), "b": (1.0, [np.ones(3)])})
    assert [array.shape for array in arrays] == [(2,), (), (3,)]


def test_measurements_add_up() -> None:
    found = Measurement("w", "graphc", 1)
    found.take({"first_call_seconds": 2.0, "import_seconds": 1.0, "peak_bytes": 5})
    found.take({"seconds": [3.0, 1.0], "peak_bytes": 7, "call_bytes": 2})
    found.take({"seconds": [5.0], "peak_bytes": 6})
    shown = found.as_json()
    assert (shown["median_seconds"], shown["minimum_seconds"], shown["samples"]) == (3.0, 1.0, 3)
    assert (shown["peak_bytes"], shown["call_bytes"]) == (7, 2)
    assert shown["first_call_median_seconds"] == 2.0


def test_samples_count_single_calls() -> None:
    calls = []
    samples = time_calls(lambda: calls.append(1), 0.0, 5)
    assert (len(samples), len(calls)) == (1, 5)
    assert calls_at_once(lambda: None) > 1


def test_memory_is_read_in_bytes() -> None:
    assert memory("VmHWM") >= memory("VmRSS") > 1 << 20
    assert memory("VmNothing") == 0


def test_samples_are_seconds_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.perf_counter", itertools.count().__next__)  # 1 s passes at each look
    assert time_calls(int, 2.0, 4) == [0.25]


@pytest.mark.parametrize("is_filled", [True, False])
def test_warm_calls_need_a_cache_that_was_filled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_filled: bool
) -> None:
    seconds = iter([3.0, 0.5])

    def once(self: runner.Measuring, name: str, cache: Path) -> None:
        self.found[name].first_call_seconds.append(next(seconds))
        if is_filled:
            (cache / "kernels").mkdir(exist_ok=True)
            (cache / "kernels" / "object").write_text("")

    monkeypatch.setattr(runner.Measuring, "_once", once)
    measuring = runner.Measuring(find_work("call with 1 argument"), 1, QUICK, tmp_path)
    measuring.found["graphc"].first_call_seconds = [2.0]
    measuring.warm_calls()
    assert measuring.found["graphc"].warm_first_call_seconds == (0.5 if is_filled else None)
    assert measuring.found["graphc"].first_call_seconds == [2.0]
