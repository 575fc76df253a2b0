"""The table and the chart, from figures that are made up here."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.chart import draw_ratios
from benchmarks.report import Run, spell
from benchmarks.runner import Measurement
from benchmarks.work import Work

LIMITS = {"fma_flops": 1e9} | {
    f"{name}_{size}": 1e10 for name in ("read", "copy", "copy_cached") for size in ("64MB", "256MB")
}
MACHINE: dict[str, Any] = {
    "cpu": "a CPU",
    "llvm_cpu": "znver9",
    "cores": 2,
    "vector_bits": 512,
    "system": "Linux",
    "python": "3.12",
    "date": "2026-01-01",
    "load_average": [0.5, 0.5, 0.5],
    "limits": {"1": LIMITS, "2": {**LIMITS, "fma_flops": 2e9}},
}


def measured(engine: str, samples: list[float], **more: Any) -> Measurement:
    return Measurement("w", engine, 2, samples=samples, **more)


def run_of(*measurements: Measurement, **fields: Any) -> Run:
    work = Work(name="w", inputs=list, **fields)
    run = Run(MACHINE, {"w": work})
    run.add(list(measurements))
    return run


def test_the_ratio_is_to_the_fastest_peer() -> None:
    run = run_of(
        measured("graphc", [1.0, 4.0, 4.0]),
        measured("torch.eager", [3.0, 3.0]),
        measured("jax", [2.0, 6.0, 9.0]),
    )
    (row,) = run.rows
    assert row.best_peer() == "jax"
    assert row.ratio() == 2.0
    assert row.best_peer("median") == "torch.eager"
    assert row.ratio("median") == 0.75


def test_slowdowns_are_those_of_the_means() -> None:
    alone = Work(name="w", inputs=list)
    busy = Work(name="w, busy", inputs=list, busy=2, alone="w")
    run = Run(MACHINE, {work.name: work for work in (alone, busy)})
    run.add([measured("graphc", [1.0, 2.0, 3.0]), measured("jax", [1.0])])
    assert "busy" not in run.markdown().split("## Times")[1]
    slow = [measured("graphc", [1.0, 1.0, 13.0]), measured("jax", [], error="died")]
    for one in slow:
        one.work = "w, busy"
    run.add(slow)
    assert "| w, busy | 2 | 2 | graphc | 5.00 s | 2.00 s | **2.50** |" in run.markdown()


def test_engines_that_failed_do_not_count() -> None:
    run = run_of(
        measured("graphc", [1.0]),
        measured("jax", [0.1], error="wrong result: off by 3"),
        measured("torch.eager", [2.0]),
    )
    assert run.rows[0].ratio() == 2.0
    assert "- w, 2 threads, jax: wrong result: off by 3" in run.markdown()


def test_without_a_peer_there_is_no_ratio() -> None:
    run = run_of(measured("graphc", [1.0]))
    assert run.rows[0].ratio() is None
    assert json.loads(json.dumps(run.as_json()))["rows"][0]["ratio_of_minima"] is None
    assert (
        run_of(measured("graphc", [], error="no"), measured("jax", [1.0])).rows[0].ratio() is None
    )


def test_works_of_first_calls_compare_first_calls() -> None:
    run = run_of(
        measured("graphc", [], first_call_seconds=[2.0, 1.0]),
        measured("jax", [], first_call_seconds=[3.0, 4.0]),
        measure="first call",
    )
    assert run.rows[0].ratio() == 3.0
    assert run.rows[0].ratio("median") == 3.5 / 1.5


@pytest.mark.parametrize(
    ("flops", "moved", "floor"),
    [(4e9, 0, 2.0), (0, 1e10, 1.0), (4e9, 1e11, 10.0), (0, 1e6, None), (0, 0, None)],
)
def test_the_floor_is_that_of_arithmetic_or_memory(
    flops: float, moved: float, floor: float | None
) -> None:
    run = run_of(measured("graphc", [1.0]), flops=flops, moved=moved)
    assert run.rows[0].floor(run.limits(2)) == floor


def test_first_calls_have_no_floor() -> None:
    run = run_of(measured("graphc", [], first_call_seconds=[1.0]), flops=4e9, measure="first call")
    assert run.rows[0].floor(run.limits(2)) is None


def test_more_threads_than_were_measured_have_the_limits_of_most() -> None:
    run = run_of(measured("graphc", [1.0]))
    assert run.limits(8)["fma_flops"] == 2e9
    assert run.limits(1)["fma_flops"] == 1e9


def test_all_three_files_are_written(tmp_path: Path) -> None:
    run = run_of(measured("graphc", [1e-3]), measured("jax", [2e-3]), bar=1.5)
    run.write(tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "results.md",
        "results.json",
        "ratios.svg",
    }
    text = (tmp_path / "new" / "results.md").read_text()
    assert "| w | 2 | **2.00** | 2.00 | 1.5 | jax | 1.00 ms (1.00 ms) |" in text
    widths = {len(line.split("|")) for line in text.splitlines() if line.startswith("| w | 2 | **")}
    header = next(line for line in text.splitlines() if line.startswith("| work | threads | ratio"))
    assert widths == {len(header.split("|"))}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (2.0, "2.00 s"),
        (0.0123, "12.3 ms"),
        (0.000456, "456 µs"),
        (7.5e-8, "75.0 ns"),
    ],
)
def test_times_are_spelled_with_units(seconds: float | None, text: str) -> None:
    assert spell(seconds) == text


def rectangles(svg: str) -> list[tuple[float, float]]:
    root = ElementTree.fromstring(svg)
    found = [e for e in root if e.tag.endswith("rect") and e.get("x")]
    return [(float(e.get("x", 0)), float(e.get("width", 0))) for e in found]


def test_bars_point_right_where_graphc_is_faster() -> None:
    (faster, slower) = rectangles(draw_ratios([("a < b", 2.0, 3.0), ("c", 0.5, None)]))
    assert faster[0] == pytest.approx(slower[0] + slower[1], abs=0.2)
    assert faster[1] == pytest.approx(slower[1], abs=0.2)


def test_the_chart_escapes_clips_and_leaves_out() -> None:
    svg = draw_ratios([("a < b", 1e9, None), ("c", None, 1.0), ("d", 1e-9, None)])
    assert "a &lt; b" in svg
    assert "not measured" in svg
    assert len(rectangles(svg)) == 2
    assert all(math.isfinite(x) and 0 < x < 800 for pair in rectangles(svg) for x in pair)
    assert re.search(r">1/64<", svg)
