"""The coordinator: starts a process for each engine, checks their results, then times them in turn.

All engines of a work live at once, each in its own fresh process, and take turns of a fraction of
a second, for several rounds: whatever else the machine does meets all of them alike. A process has
its turn alone; the others sleep. An engine whose result is wrong is not timed.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engines import ENGINES, engines_for, environment
from benchmarks.work import Array, Work

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Options:
    """How much to measure.

    seconds      of timing for each engine and work, divided among the rounds
    rounds       turns of each engine
    first_calls  fresh processes for the first call of works that measure it
    warm         also measure first calls with a filled cache
    timeout      seconds until an engine that does not answer is given up
    """

    peers: tuple[str, ...]
    seconds: float = 2.0
    rounds: int = 5
    first_calls: int = 3
    warm: bool = False
    timeout: float = 120.0


@dataclass
class Measurement:
    """What was measured of one engine on one work with some threads; times in seconds."""

    work: str
    engine: str
    threads: int
    samples: list[float] = field(default_factory=list)
    first_call_seconds: list[float] = field(default_factory=list)
    warm_first_call_seconds: float | None = None
    import_seconds: float | None = None
    peak_bytes: int = 0
    first_call_bytes: int = 0
    call_bytes: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    error: str = ""
    is_checked: bool = False  # against another engine, or NumPy

    def take(self, answer: dict[str, Any]) -> None:
        """Add what a worker answered."""
        if "error" in answer:
            self.error = answer["error"]
            return
        self.samples += answer.get("seconds", [])
        self.versions |= answer.get("versions", {})
        if "first_call_seconds" in answer:
            self.first_call_seconds.append(answer["first_call_seconds"])
            self.import_seconds = answer["import_seconds"]
        for name in ("peak_bytes", "first_call_bytes", "call_bytes"):
            setattr(self, name, max(getattr(self, name), answer.get(name, 0)))

    def as_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object, the samples summed up."""
        return {
            "work": self.work,
            "engine": self.engine,
            "threads": self.threads,
            "median_seconds": statistics.median(self.samples) if self.samples else None,
            "minimum_seconds": min(self.samples, default=None),
            "mean_seconds": statistics.mean(self.samples) if self.samples else None,
            "samples": len(self.samples),
            "first_call_median_seconds": statistics.median(self.first_call_seconds)
            if self.first_call_seconds
            else None,
            "first_call_minimum_seconds": min(self.first_call_seconds, default=None),
            "warm_first_call_seconds": self.warm_first_call_seconds,
            "import_seconds": self.import_seconds,
            "peak_bytes": self.peak_bytes,
            "first_call_bytes": self.first_call_bytes,
            "call_bytes": self.call_bytes,
            "versions": self.versions,
            "error": self.error,
            "checked": self.is_checked,
        }


class Process:
    """A worker process; each question is answered by one line."""

    def __init__(
        self, work: Work, engine: str, threads: int, folder: Path, variables: dict[str, str]
    ) -> None:
        self.result = folder / f"{engine}.npz"
        arguments = [work.name, engine, str(threads), str(self.result)]
        cores = sorted(os.sched_getaffinity(0))[:threads]
        self.log = (folder / f"{engine}.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", *arguments],
            cwd=ROOT,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            bufsize=0,
        )
        os.sched_setaffinity(self.process.pid, cores)

    def answer(self, timeout: float) -> dict[str, Any]:
        """Return the next answer; a process that is silent or dead gives an error."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        line = self.process.stdout.readline() if ready else b""
        if line:
            found: dict[str, Any] = json.loads(line)
            return found
        if not ready:
            self.process.kill()
            return {"error": f"no answer within {timeout:g} s"}
        return {"error": f"the process died ({signal_name(self.process.wait())})"}

    def ask(self, seconds: float, timeout: float) -> dict[str, Any]:
        """Let it time calls for so long."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n".encode())
        return self.answer(timeout)

    def arrays(self) -> list[Array]:
        """Return the result it wrote."""
        with np.load(self.result) as file:
            return [file[name] for name in file.files]

    def stop(self) -> None:
        """End the process and wait for it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()
        self.result.unlink(missing_ok=True)


@contextmanager
def busy_processes(count: int, threads: int) -> Iterator[None]:
    """Let `count` processes compute without end on the cores of a work with so many threads."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        for process in processes:
            os.sched_setaffinity(process.pid, cores)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def signal_name(status: int) -> str:
    """Return how a process ended: the name of the signal, or its exit status."""
    return signal.Signals(-status).name if status < 0 else f"status {status}"


def difference(results: Sequence[Array], expected: Sequence[Array], tolerance: float) -> str:
    """Return how results differ from what was expected, empty where they agree.

    Shapes agree, NaN and infinities stand at the same places, and no difference exceeds `tolerance`
    times the largest finite number expected (of one array).
    """
    if len(results) != len(expected):
        return f"{len(results)} results instead of {len(expected)}"
    for got, true in zip(results, expected, strict=True):
        if got.shape != true.shape:
            return f"the shape is {got.shape} instead of {true.shape}"
        finite = np.isfinite(true)
        if not np.array_equal(got[~finite], true[~finite], equal_nan=True):
            return "NaN or infinity at other places"
        scale = float(np.max(np.abs(true[finite]), initial=0.0)) or 1.0
        worst = float(np.max(np.abs(got[finite] - true[finite]), initial=0.0))
        if not worst <= tolerance * scale:
            return f"off by {worst / scale:.2g} of the largest number"
    return ""


def reference(work: Work) -> list[Array] | None:
    """Return what NumPy computes in float64, or None where the work has no such spelling."""
    if work.numpy is None or work.stateful:
        return None
    inputs = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in work.inputs()]
    value = work.numpy(*inputs)
    return [np.asarray(part) for part in (value if isinstance(value, list | tuple) else [value])]


class Measuring:
    """One work with some threads: the processes, and what is known of each engine."""

    def __init__(self, work: Work, threads: int, options: Options, folder: Path) -> None:
        self.work, self.threads, self.options, self.folder = work, threads, options, folder
        names = engines_for(work, options.peers)
        self.found = {name: Measurement(work.name, name, threads) for name in names}
        self.expected = reference(work)
        self._numbers = itertools.count()

    def start(self, name: str, cache: Path | None = None) -> Process:
        """Start a process with an empty cache of its own, or with that in the folder `cache`."""
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        variables = environment(self.threads, str(folder if cache is None else cache))
        if cache is not None:
            variables |= {k: v.format(cache) for k, v in ENGINES[name].cache.items()}
        return Process(self.work, name, self.threads, folder, variables)

    def begin(self, name: str, process: Process) -> bool:
        """Take the first call of a process and check its result; False is an engine that failed."""
        found = self.found[name]
        found.take(process.answer(self.options.timeout))
        if found.error:
            return False
        arrays = process.arrays()
        if self.expected is None:  # the first engine that answers is believed, peers before graphc
            self.expected = arrays
        else:
            found.is_checked = True
        wrong = difference(arrays, self.expected, self.work.tolerance)
        found.error = wrong and f"wrong result: {wrong}"
        return not wrong

    def order(self) -> list[str]:
        """Return the engines with peers first, so that one of them is the reference."""
        return sorted(self.found, key=lambda name: name == "graphc")

    def calls(self) -> None:
        """Time repeated calls of all engines in turn."""
        with ExitStack() as stack:
            alive = {}
            for name in self.order():
                process = self.start(name)
                stack.callback(process.stop)
                if self.begin(name, process):
                    alive[name] = process
            stack.enter_context(busy_processes(self.work.busy, self.threads))
            share = self.options.seconds / self.options.rounds
            for _ in range(self.options.rounds):
                for name, process in alive.items():
                    if not self.found[name].error:
                        self.found[name].take(process.ask(share, self.options.timeout))

    def first_calls(self) -> None:
        """Time first calls, each in a fresh process, of all engines in turn."""
        for _ in range(self.options.first_calls):
            for name in self.order():
                if not self.found[name].error:
                    self._once(name, None)

    def warm_calls(self) -> None:
        """Time a first call after another process filled the cache, if it left anything there."""
        for name in self.order():
            if self.found[name].error or not ENGINES[name].cache:
                continue
            cold = list(self.found[name].first_call_seconds)
            with tempfile.TemporaryDirectory(dir=self.folder) as cache:
                self._once(name, Path(cache))
                if any(path.is_file() for path in Path(cache).rglob("*")):
                    self._once(name, Path(cache))
                    *_, warm = self.found[name].first_call_seconds
                    self.found[name].warm_first_call_seconds = warm
            self.found[name].first_call_seconds = cold

    def _once(self, name: str, cache: Path | None) -> None:
        process = self.start(name, cache)
        try:
            self.begin(name, process)
        finally:
            process.stop()


def measure(work: Work, threads: int, options: Options) -> list[Measurement]:
    """Measure one work with so many threads on graphc and the peers."""
    with tempfile.TemporaryDirectory() as folder:
        measuring = Measuring(work, threads, options, Path(folder))
        if work.measure == "call":
            measuring.calls()
        else:
            measuring.first_calls()
        if options.warm:
            measuring.warm_calls()
        return list(measuring.found.values())


def measure_all(
    works: Sequence[Work], threads: Sequence[int], options: Options
) -> Iterator[list[Measurement]]:
    """Yield the measurements of each work and number of threads, one after the other."""
    for work in works:
        for count in threads:
            yield measure(work, count, options)
