"""Whether the works of graphc give the same bits on any number of threads.

    python -m benchmarks.bits
    python -m benchmarks.bits --work "softmax*" --threads 1,2,3,4,8

Every work that is a call is compiled once and called with each number of threads; one that has
state, a training step, is made anew for each number and takes three steps. Results are compared by
their bytes with those of the first number. Works that cannot be compared (those of first calls) are
left out. Ends with status 1 if any bits differ.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

import graphc
from benchmarks.engines import ENGINES, Runner
from benchmarks.work import Work, find_works

STEPS = 3


def main() -> int:
    """Print a line for each work, and the number of those whose bits differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bits", description=__doc__)
    parser.add_argument("--work", action="append", help="a name or a pattern; may be repeated")
    parser.add_argument("--threads", default="1,2,3,4,8", help="numbers of threads (1,2,3,4,8)")
    options = parser.parse_args()
    counts = [int(count) for count in options.threads.split(",")]
    compared = differ = 0
    for work in _works(options.work or ["*"]):
        wrong = different_counts(work, counts)
        verdict = (
            f"other bits on {', '.join(map(str, wrong))} threads" if wrong else "the same bits"
        )
        print(f"{work.name}: {verdict}", flush=True)
        compared, differ = compared + 1, differ + bool(wrong)
    print(f"{compared} works on {options.threads} threads: {differ} differ")
    return 1 if differ or not compared else 0


def different_counts(work: Work, counts: Sequence[int]) -> list[int]:
    """Return the numbers of threads on which a work has other bits than on the first of them."""
    digests, runner = [], None
    inputs = work.inputs()
    for count in counts:
        if runner is None or work.stateful:
            runner = ENGINES["graphc"].prepare(work, inputs, count)()
        with graphc.threads(count):
            digests.append(_digest(runner, STEPS if work.stateful else 1))
    return [c for c, digest in zip(counts, digests, strict=True) if digest != digests[0]]


def _works(patterns: Sequence[str]) -> Iterator[Work]:
    for name, work in find_works().items():
        is_wanted = any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
        if is_wanted and work.graphc is not None and work.measure == "call" and not work.busy:
            yield work


def _digest(runner: Runner, calls: int) -> bytes:
    digest = hashlib.sha256()
    for _ in range(calls):
        for array in runner.read(runner.call()):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()


if __name__ == "__main__":
    raise SystemExit(main())
