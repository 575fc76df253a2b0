"""`python -m benchmarks`: measure works on graphc and its peers, side by side.

    python -m benchmarks                                      everything, into build/benchmarks
    python -m benchmarks --work "matmul 1024" --peers jax,torch --threads 1,2 --json
    python -m benchmarks --list

The exit status is 1 where graphc failed on a work or its result was wrong, 2 for wrong arguments.
`--work` takes names and patterns such as "matmul*", and may be repeated. The files are rewritten
after each work, so that a run that is stopped leaves what it has measured.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import math
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from benchmarks import report
from benchmarks.engines import PEERS
from benchmarks.limits import measure_again, measure_machine
from benchmarks.runner import ROOT, Options, measure_all
from benchmarks.work import Work, find_works

LIMITS_AFTER = 5  # works: the limits are measured again, since a neighbour may have been busy


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--work", action="append", help="a name or a pattern; may be repeated")
    parser.add_argument("--peers", help=f"some of {', '.join(PEERS)} (all there are)")
    parser.add_argument("--threads", help="numbers of threads, such as 1,2 (2)")
    parser.add_argument("--seconds", type=float, default=2.0, help="for an engine and a work (2)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each engine (5)")
    parser.add_argument("--first-calls", type=int, default=3, help="fresh processes (3)")
    parser.add_argument("--warm", action="store_true", help="also first calls with a filled cache")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for an answer (120)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "benchmarks")
    parser.add_argument("--json", action="store_true", help="print JSON and write no files")
    parser.add_argument("--list", action="store_true", help="list the works and stop")
    return parser.parse_args(arguments)


def choose_works(patterns: list[str] | None) -> list[Work]:
    """Return the works that match any pattern. Raises ValueError for one without a match."""
    works = find_works()
    if patterns is None:
        return list(works.values())
    for pattern in patterns:
        if not fnmatch.filter(works, pattern):
            raise ValueError(f"there is no work {pattern!r}; --list shows all")
    return [w for w in works.values() if any(fnmatch.fnmatchcase(w.name, p) for p in patterns)]


def choose_peers(names: str | None) -> tuple[str, ...]:
    """Return the peers asked for, by default all that are installed."""
    installed = [name for name, package in PEERS.items() if find_spec(package) is not None]
    if names is None:
        return tuple(installed)
    wanted = tuple(name for name in names.split(",") if name)
    for name in wanted:
        if name not in PEERS:
            raise ValueError(f"there is no peer {name!r}; choose from {', '.join(PEERS)}")
        if name not in installed:
            raise ValueError(f"{name} is not installed here; `make bench` sets the peers up")
    return wanted


def choose_threads(text: str | None) -> list[int]:
    """Return the numbers of threads, by default two. Raises ValueError for what cannot be had."""
    cores = len(os.sched_getaffinity(0))
    words = [str(min(2, cores))] if text is None else text.split(",")
    for word in words:
        is_number = word.isascii() and word.isdigit() and len(word) < 10
        if not is_number or not 1 <= int(word) <= cores:
            raise ValueError(
                f"--threads: {word!r} is no number from 1 to the {cores} cores there are"
            )
    return [int(word) for word in words]


def check_amounts(options: argparse.Namespace) -> None:
    """Raise ValueError for an amount of measuring that is none."""
    for name in ("seconds", "timeout"):
        value = getattr(options, name)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"--{name}: {value} is no time")
    for name in ("rounds", "first_calls"):
        value = getattr(options, name)
        if value < 1:
            raise ValueError(f"--{name.replace('_', '-')}: {value} is too few")


def check_folder(folder: Path) -> None:
    """Make the folder of the tables. Raises ValueError where nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"--out: cannot write into {folder}: {error.strerror}") from None


def main(arguments: list[str]) -> int:
    """Measure what the arguments say; 1 where graphc failed, 2 for wrong arguments."""
    options = parse(arguments)
    try:
        works, peers = choose_works(options.work), choose_peers(options.peers)
        threads = choose_threads(options.threads)
        check_amounts(options)
        if not (options.json or options.list):
            check_folder(options.out)
    except ValueError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(work.name for work in works))
        return 0
    limits = Options(
        peers,
        options.seconds,
        options.rounds,
        options.first_calls,
        options.warm,
        options.timeout,
    )
    run = report.Run(measure_machine(), {work.name: work for work in works})
    for number, measured in enumerate(measure_all(works, threads, limits)):
        run.add(measured)
        if number % LIMITS_AFTER == 0:
            measure_again(run.machine)
        print(run.progress(), file=sys.stderr, flush=True)
        if not options.json:
            run.write(options.out)
    if options.json:
        print(json.dumps(run.as_json(), indent=1))
    return 1 if any(row.found["graphc"].error for row in run.rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
