"""`graphc bench FILE.py:NAME`: how long whole calls of a program take, and its kernels if asked.

The inputs are random, of the program's types and the same in every run: floats are standard normal,
bools fair coins, integers from 0 to 9 (or below `--integers-below`), so that they can be class
numbers and indices. Variables are updated as by any call; the process ends with them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from graphc.cli import UsageError
from graphc.cli.locate import add_target, load_program
from graphc.errors import GraphcIndexError
from graphc.program import Program
from graphc.program_profile import Profile, time_text
from graphc.progress import progress
from graphc.random_arrays import random_arrays

SECONDS = 1.0  # how long calls are timed unless --repeat says how often
WARM_UP = 0.05  # of which so much is for the estimate of how many calls that is
LEAST_CALLS, MOST_CALLS = 5, 200_000


@dataclass(frozen=True, slots=True)
class Measurement:
    """Times of whole calls, in seconds. `compile` holds passes and backend, not the tracing."""

    program: str
    inputs: tuple[str, ...]
    calls: int
    compile: float
    first: float
    median: float
    minimum: float
    calls_per_second: float  # by the median


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_target(parser)
    parser.add_argument(
        "--repeat", type=_positive, metavar="N", help="time N calls instead of a second of them"
    )
    parser.add_argument(
        "--integers-below",
        type=_positive,
        default=10,
        metavar="N",
        help="draw integer inputs from 0 to N - 1 (default: 10)",
    )
    parser.add_argument("--kernels", action="store_true", help="profile each kernel as well")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive integer")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Measure and print; the exit code is 0."""
    program = load_program(options.target, options.types)
    arguments = random_arrays([n.type for n in program.inputs], options.integers_below)
    try:
        measured = measure(program, arguments, options.repeat)
    except GraphcIndexError as error:
        raise UsageError(
            f"a random integer is out of bounds ({error.message}): lower --integers-below"
        ) from None
    found = None
    if options.kernels:
        found = program.profile(*arguments, repeat=min(measured.calls, options.repeat or 20))
    if options.json:
        print(json.dumps(_as_dictionary(measured, found), indent=2))
    else:
        _print(measured, found)
    return 0


def measure(
    program: Program, arguments: Sequence[np.ndarray[Any, Any]], repeat: int | None
) -> Measurement:
    """Return the times of the first call and of `repeat` more, or of about a second of calls.

    That is at most `MOST_CALLS` of very short ones.
    """
    first = _seconds_of_call(program, arguments)
    calls = _calls_of_a_second(program, arguments) if repeat is None else repeat
    with progress("calls", calls) as advance:
        times = []
        for _ in range(calls):
            times.append(_seconds_of_call(program, arguments))
            advance()
    median = statistics.median(times)
    return Measurement(
        program=program.graph.name,
        inputs=tuple(str(node.type) for node in program.inputs),
        calls=calls,
        compile=sum(program.stages.seconds.values()),
        first=first,
        median=median,
        minimum=min(times),
        calls_per_second=1 / max(median, 1e-9),
    )


def _calls_of_a_second(program: Program, arguments: Sequence[np.ndarray[Any, Any]]) -> int:
    """Return how many calls to time, by the mean of some: the first of them are slower."""
    start, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < WARM_UP:
        _seconds_of_call(program, arguments)
        count += 1
    return int(min(max(SECONDS * count / spent, LEAST_CALLS), MOST_CALLS))


def _seconds_of_call(program: Program, arguments: Sequence[np.ndarray[Any, Any]]) -> float:
    start = time.perf_counter()
    program(*arguments)
    return time.perf_counter() - start


def _as_dictionary(measured: Measurement, found: Profile | None) -> dict[str, Any]:
    kernels = {} if found is None else {"profile": json.loads(found.to_json())}
    return asdict(measured) | kernels


def _print(measured: Measurement, found: Profile | None) -> None:
    print(f"{measured.program}({', '.join(measured.inputs)})")
    compiled = time_text(measured.compile) if measured.compile else "none: kept on disk"
    print(f"compilation      {compiled}")
    print(f"first call       {time_text(measured.first)}")
    print(f"median           {time_text(measured.median)} of {measured.calls} calls")
    print(f"minimum          {time_text(measured.minimum)}")
    print(f"calls a second   {measured.calls_per_second:.4g}")
    if found is not None:
        print(f"\n{found}")
