"""A fresh process that runs one work on one engine, asked by the coordinator through a pipe.

    python -m benchmarks.worker WORK ENGINE THREADS RESULT

It imports the engine, makes the inputs, times the first call and answers with a line of JSON; its
result lies in the file RESULT then. For every line "SECONDS" that it is sent it runs calls for
about that long and answers with their times. It goes when its input ends. What frameworks print
goes to standard error, so that the answers are alone on standard output.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.engines import ENGINES, Call, Runner
from benchmarks.work import Work, find_work

SHORTEST_SAMPLE = 200e-6  # seconds: shorter calls are timed many at a time
STEPS_CHECKED = 5
SETTLE_INTERVAL, SETTLE_LIMIT = 0.02, 0.5


def memory(field: str) -> int:
    """Return a figure of this process's memory in bytes: VmRSS now, or VmHWM, its peak."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def forget_peak() -> None:
    """Let the peak of memory begin anew, where the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def time_calls(call: Call, seconds: float, at_once: int) -> list[float]:
    """Return the seconds a call took in each sample of `at_once` calls; at least one sample."""
    clock, repeat = time.perf_counter, range(at_once)
    samples: list[float] = []
    end = clock() + seconds
    while not samples or clock() < end:
        start = clock()
        for _ in repeat:
            call()
        samples.append((clock() - start) / at_once)
    return samples


def calls_at_once(call: Call) -> int:
    """Return how many calls fill a sample, after a warm-up."""
    time_calls(call, 0.1, 1)
    (fastest, *_) = sorted(time_calls(call, 0.02, 1))
    return max(1, round(SHORTEST_SAMPLE / max(fastest, 1e-9)))


def settle() -> None:
    """Wait until no thread of this process spins, so that the next process has the cores."""
    end = time.perf_counter() + SETTLE_LIMIT
    while time.perf_counter() < end:
        before = time.process_time()
        time.sleep(SETTLE_INTERVAL)
        if time.process_time() - before < 0.1 * SETTLE_INTERVAL:
            return


class Worker:
    """One work on one engine in this process."""

    def __init__(self, work: Work, engine: str, threads: int) -> None:
        self.work, self.engine = work, ENGINES[engine]
        self.threads = threads
        self.at_once = 0
        self.held = 0
        self.runner: Runner | None = None

    def begin(self, result: Path) -> dict[str, Any]:
        """Run the first call, write its result, and return what was seen."""
        start = time.perf_counter()
        for package in self.engine.packages:
            importlib.import_module(package)
        import_seconds = time.perf_counter() - start
        start_engine = self.engine.prepare(self.work, self.work.inputs(), self.threads)
        self.held = memory("VmRSS")
        forget_peak()
        start = time.perf_counter()
        self.runner = start_engine()
        value = self.runner.call()
        first_call = time.perf_counter() - start
        peak = memory("VmHWM")
        self.write_result(value, result)
        forget_peak()
        return {
            "import_seconds": import_seconds,
            "first_call_seconds": first_call,
            "peak_bytes": peak,
            "first_call_bytes": max(0, peak - self.held),
            "versions": {name: _version(name) for name in self.engine.packages},
        }

    def write_result(self, value: Any, path: Path) -> None:
        """Write the result: the arrays, or of a stateful work the values of the first steps."""
        assert self.runner is not None
        arrays = self.runner.read(value)
        if self.work.stateful:
            steps = [arrays] + [self.runner.read(self.runner.call()) for _ in range(STEPS_CHECKED)]
            arrays = [np.stack(step) for step in zip(*steps, strict=True)]
        np.savez(path, *arrays)

    def round(self, seconds: float) -> dict[str, Any]:
        """Time calls for about so long."""
        assert self.runner is not None
        call = self.runner.call
        if not self.at_once:
            self.at_once = calls_at_once(call)
        time_calls(call, min(0.05, seconds / 4), 1)  # the other processes took the caches
        samples = time_calls(call, seconds, self.at_once)
        peak = memory("VmHWM")
        settle()
        return {
            "seconds": samples,
            "peak_bytes": peak,
            "call_bytes": max(0, peak - self.held),
        }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(sys.modules[package], "__version__", "unknown"))


def serve(worker: Worker, result: Path, answers: TextIO) -> None:
    """Answer until the input ends; an error is an answer too."""
    try:
        _answer(answers, worker.begin(result))
        for line in sys.stdin:
            _answer(answers, worker.round(float(line)))
    except Exception as error:  # whatever a framework raises is that framework's result
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        _answer(answers, {"error": reason[:300]})


def _answer(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def main(arguments: list[str]) -> None:
    """Run the worker that the arguments describe."""
    name, engine, threads, result = arguments
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(Worker(find_work(name), engine, int(threads)), Path(result), answers)


if __name__ == "__main__":
    main(sys.argv[1:])
