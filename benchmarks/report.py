"""The table: ratios to the best peer, and everything behind them, as Markdown, JSON and SVG.

A ratio is the best peer's time over graphc's, so larger is better for graphc. The best peer is the
one with the least time of all engines but graphc. Least times are compared, since what else runs on
a machine only adds time; the ratio of medians stands beside.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chart import draw_ratios
from benchmarks.engines import ENGINES
from benchmarks.runner import Measurement
from benchmarks.work import Work

PEER_ENGINES = tuple(name for name in ENGINES if name != "graphc")


@dataclass(frozen=True)
class Row:
    """One work with some threads: what each engine reached; times in seconds."""

    work: Work
    threads: int
    found: dict[str, Measurement]

    def time(self, engine: str, which: str = "minimum") -> float | None:
        """Return the least, the "median" or (of calls) the "mean" time of what is measured."""
        if engine not in self.found or self.found[engine].error:
            return None
        prefix = "first_call_" if self.work.measure == "first call" else ""
        seconds: float | None = self.found[engine].as_json()[f"{prefix}{which}_seconds"]
        return seconds

    def best_peer(self, which: str = "minimum") -> str | None:
        """Return the fastest engine that is not graphc, or None where none ran."""
        times = {name: self.time(name, which) for name in PEER_ENGINES}
        known = {name: seconds for name, seconds in times.items() if seconds is not None}
        return min(known, key=lambda name: known[name]) if known else None

    def ratio(self, which: str = "minimum") -> float | None:
        """Return the best peer's time over graphc's, or None where either is missing."""
        own, best = self.time("graphc", which), self.best_peer(which)
        peer = None if best is None else self.time(best, which)
        return None if own is None or peer is None else peer / own

    def floor(self, limits: dict[str, float]) -> float | None:
        """Return the seconds below which no engine gets: arithmetic at its peak, or the copy of the
        bytes that the work has to move. None for works that state neither, and for first calls."""
        if self.work.measure == "first call":
            return None
        # Below a few megabytes the caches are the memory, and their bandwidth is not measured.
        moved = self.work.moved if self.work.moved > 1 << 25 else 0
        floor = max(self.work.flops / limits["fma_flops"], moved / limits["copy_64MB"])
        return floor or None


@dataclass
class Run:
    """One run of the benchmarks: the machine, and rows as they come."""

    machine: dict[str, Any]
    works: dict[str, Work]

    def __post_init__(self) -> None:
        self.rows: list[Row] = []
        self.loads: list[float] = []

    def add(self, measured: list[Measurement]) -> None:
        """Add the measurements of one work with some threads."""
        first = measured[0]
        found = {one.engine: one for one in measured}
        self.loads.append(os.getloadavg()[0])
        self.rows.append(Row(self.works[first.work], first.threads, found))

    def progress(self) -> str:
        """Return a line about the last row."""
        row = self.rows[-1]
        parts = [f"{name} {spell(row.time(name)) or '-'}" for name in row.found]
        errors = [f"{name}: {one.error}" for name, one in row.found.items() if one.error]
        own = row.found.get("graphc")
        if own is not None and not own.is_checked and not own.error:
            errors.append("graphc: checked against nothing, no peer ran")
        ratio = row.ratio()
        shown = f"{ratio:.2f}" if ratio else "-"
        return "; ".join([f"{row.work.name} ({row.threads}): {shown}", ", ".join(parts), *errors])

    def limits(self, threads: int) -> dict[str, float]:
        """Return the measured limits for so many threads, or for the next number below."""
        known = {int(count): found for count, found in self.machine["limits"].items()}
        found: dict[str, float] = known[max(c for c in known if c <= max(threads, min(known)))]
        return found

    def versions(self) -> dict[str, str]:
        """Return the versions of all packages that were measured."""
        found: dict[str, str] = {}
        for row in self.rows:
            for one in row.found.values():
                found |= one.versions
        return found

    def as_json(self) -> dict[str, Any]:
        """Return everything as a JSON object."""
        rows = [
            {
                "work": row.work.name,
                "threads": row.threads,
                "measure": row.work.measure,
                "best_peer": row.best_peer(),
                "ratio_of_minima": row.ratio(),
                "ratio_of_medians": row.ratio("median"),
                "bar": row.work.bar,
                "flops": row.work.flops,
                "moved_bytes": row.work.moved,
                "floor_seconds": row.floor(self.limits(row.threads)),
                "engines": {name: one.as_json() for name, one in row.found.items()},
            }
            for row in self.rows
        ]
        return {
            "machine": self.machine,
            "versions": self.versions(),
            "load_averages": self.loads,
            "rows": rows,
        }

    def markdown(self) -> str:
        """Return the run as Markdown: the machine, the ratios, first calls and memory, failures."""
        parts = [
            *_machine_lines(self.machine, self.versions(), self.loads),
            "## Times",
            _table(_TIME_HEADER, [_time_cells(row, self.limits(row.threads)) for row in self.rows]),
            "## First calls and memory",
            _table(_FIRST_HEADER, [cells for row in self.rows for cells in _first_cells(row)]),
        ]
        slowdowns = [cells for row in self.rows for cells in _slowdown_cells(row, self.rows)]
        if slowdowns:
            parts += ["## Beside busy processes", _table(_SLOWDOWN_HEADER, slowdowns)]
        failures = [
            f"- {row.work.name}, {row.threads} threads, {name}: {one.error}"
            for row in self.rows
            for name, one in row.found.items()
            if one.error
        ]
        if failures:
            parts += ["## What failed", "\n".join(failures)]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> None:
        """Write results.md, results.json and ratios.svg into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.md").write_text(self.markdown())
        (folder / "results.json").write_text(json.dumps(self.as_json(), indent=1) + "\n")
        bars = [
            (f"{row.work.name}, {row.threads} threads", row.ratio(), row.work.bar)
            for row in self.rows
        ]
        (folder / "ratios.svg").write_text(draw_ratios(bars))


def spell(seconds: float | None) -> str:
    """Spell a time with three digits and a unit; empty for None."""
    if seconds is None:
        return ""
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= unit:
            return f"{_digits(seconds / unit)} {name}"
    return f"{_digits(seconds * 1e9)} ns"


def _digits(number: float) -> str:
    return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f}"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f}" if count else ""


def _table(header: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


_TIME_HEADER = (
    "work",
    "threads",
    "ratio",
    "of medians",
    "bar",
    "best peer",
    "graphc: least (median)",
    "of the floor",
    *PEER_ENGINES,
)


def _time_cells(row: Row, limits: dict[str, float]) -> list[str]:
    ratio, medians = row.ratio(), row.ratio("median")
    own, floor = row.time("graphc"), row.floor(limits)
    return [
        row.work.name,
        str(row.threads),
        f"**{ratio:.2f}**" if ratio else "-",
        f"{medians:.2f}" if medians else "-",
        f"{row.work.bar:g}" if row.work.bar else "",
        row.best_peer() or "-",
        _both(row, "graphc"),
        f"{floor / own:.0%}" if floor and own else "",
        *(_both(row, name) for name in PEER_ENGINES),
    ]


def _both(row: Row, engine: str) -> str:
    if engine not in row.found:
        return ""
    if row.found[engine].error:
        return "failed"
    return f"{spell(row.time(engine))} ({spell(row.time(engine, 'median'))})"


_FIRST_HEADER = (
    "work",
    "threads",
    "engine",
    "import",
    "first call, cold",
    "warm",
    "peak of the process, MB",
    "added by the first call, MB",
    "held in calls, MB",
)


def _first_cells(row: Row) -> list[list[str]]:
    return [
        [
            row.work.name,
            str(row.threads),
            name,
            spell(one.import_seconds),
            spell(one.as_json()["first_call_median_seconds"]),
            spell(one.warm_first_call_seconds),
            _megabytes(one.peak_bytes),
            _megabytes(one.first_call_bytes),
            _megabytes(one.call_bytes),
        ]
        for name, one in row.found.items()
        if not one.error
    ]


_SLOWDOWN_HEADER = ("work", "threads", "busy processes", "engine", "mean", "alone", "slowdown")


def _slowdown_cells(row: Row, rows: list[Row]) -> list[list[str]]:
    """Return how much slower each engine is than without the busy processes, if that was measured.

    Means are compared: calls fall into fast ones, in which the others had no turn, and slow ones.
    """
    alone = [r for r in rows if (r.work.name, r.threads) == (row.work.alone, row.threads)]
    found = []
    for name in row.found if alone else ():
        busy, quiet = row.time(name, "mean"), alone[0].time(name, "mean")
        if busy is not None and quiet is not None:
            times = [spell(busy), spell(quiet), f"**{busy / quiet:.2f}**"]
            found.append([row.work.name, str(row.threads), str(row.work.busy), name, *times])
    return found


def _machine_lines(
    machine: dict[str, Any], versions: dict[str, str], loads: list[float]
) -> list[str]:
    before = machine["load_average"][0]
    load = f"{before:.1f} before the run"
    if loads:
        load += f", {min(loads):.1f} to {max(loads):.1f} during it (a quiet machine shows about "
        load += "the number of threads measured)"
    header = ("threads", "multiply-add, GFLOP/s", "read", "copy", "copy, ordinary stores")
    rows = [
        [
            threads,
            f"{found['fma_flops'] / 1e9:.0f}",
            *(
                " / ".join(f"{found[f'{name}_{size}'] / 1e9:.0f}" for size in ("64MB", "256MB"))
                for name in ("read", "copy", "copy_cached")
            ),
        ]
        for threads, found in machine["limits"].items()
    ]
    return [
        "# Benchmarks",
        f"{machine['cpu']} ({machine['llvm_cpu']}), {machine['cores']} cores, "
        f"{machine['vector_bits']}-bit vectors; {machine['system']}; Python {machine['python']}; "
        f"{machine['date']}. Load average of a minute: {load}.",
        "Versions: " + ", ".join(f"{name} {v}" for name, v in sorted(versions.items())) + ".",
        "## The limits of the machine",
        "Bandwidths in GB/s for arrays of 64 / 256 MB, bytes read and written both counted.",
        _table(header, rows),
    ]
