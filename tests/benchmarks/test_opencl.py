"""`python -m benchmarks.opencl`: results are checked first, and the table says what it shows."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyopencl", reason="pyopencl is not installed")

from benchmarks import opencl
from benchmarks.opencl import Row, Runner, main, measure, seconds, speed, table, works
from benchmarks.work import Work, normal
from benchmarks.works import matmul

SMALL = matmul.work("8", (8, 8), (8, 8))


def summed(g: Any, compile: Any, x: Any) -> Any:
    """Return a call that adds `x` to a variable and returns the sum."""
    total = g.Variable(np.zeros(4, np.float32))

    def step(x: Any) -> Any:
        total.assign(total + x)
        return total * 1

    return functools.partial(compile(step), x)


STATEFUL = Work(name="sum", inputs=lambda: [normal(4)], stateful=True, graphc=summed)


def test_works_are_chosen_by_patterns_in_order() -> None:
    assert [w.name for w in works(["softmax 1K", "matmul 4096", "mlp step*"])] == [
        "softmax 1K",
        "matmul 4096",
        "mlp step",  # and not its first call
    ]


@pytest.mark.parametrize("work", [SMALL, STATEFUL], ids=["stateless", "stateful"])
def test_both_figures_are_measured(work: Work) -> None:
    row = measure(work, 0.0)
    assert all(figure > 0 for figure in row.graphc)


def test_a_wrong_result_is_not_measured() -> None:
    wrong = replace(SMALL, numpy=lambda x, y: x @ y + 1)
    with pytest.raises(ValueError, match="matmul 8: a relative error"):
        measure(wrong, 0.0)


@pytest.mark.parametrize("off", [0.0, 1.0])
def test_a_step_is_held_to_the_peer(monkeypatch: pytest.MonkeyPatch, off: float) -> None:
    def peer(_: Work, inputs: list[Any]) -> Runner:
        return Runner(inputs[0] + np.float32(off), lambda: None, lambda: None, lambda: None)

    monkeypatch.setattr(opencl, "run_torch", peer)
    if off:
        with pytest.raises(ValueError, match="sum: a relative error"):
            measure(STATEFUL, 0.0)
    else:
        assert measure(STATEFUL, 0.0).torch is not None


def test_the_host_waits_for_all_calls_of_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    monkeypatch.setattr(opencl, "SHORTEST_TURN", 0.0)
    seconds(lambda: log.append("call"), lambda: log.append("wait"), 0.0)
    assert log[:4] == ["call"] * 3 + ["wait"]
    assert log[4:] == ["call", "wait"] * (len(log[4:]) // 2) and len(log) >= 10


def test_speed_is_of_operations_or_else_of_bytes() -> None:
    large = matmul.work("1024", (1024, 1024), (1024, 1024))
    assert speed(large, 1e-3) == "2,147 GFLOP/s"
    assert speed(Work(name="copy", inputs=list, moved=2e9), 1.0) == "2 GB/s"
    assert speed(Work(name="call", inputs=list), 1.0) == ""


def test_the_table_has_a_row_for_each_work() -> None:
    lines = list(table([Row(SMALL, (2e-6, 3e-6), (1e-6, 6e-6)), Row(STATEFUL, (1e-6, 1e-6), None)]))
    assert lines[2:] == [
        "| matmul 8 | 2.0 µs (1 GFLOP/s) | 1.0 µs (1 GFLOP/s) | 0.50 | 3.0 µs | 6.0 µs |",
        "| sum | 1.0 µs | - | - | 1.0 µs | - |",
    ]


def test_the_command_prints_the_device_and_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--work", "call with 1 argument", "--seconds", "0"])
    head, *lines = capsys.readouterr().out.splitlines()
    assert "driver" in head and lines[-1].startswith("| call with 1 argument |")
