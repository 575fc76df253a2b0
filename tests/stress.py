"""Stress of the runtime: many threads, forks and interrupts, far more often than the suite does.

    python -m tests.stress               everything: about three minutes
    python -m tests.stress --quick       what tests/test_stress.py runs
    python -m tests.stress threads forks

Each trial returns how much went wrong, and is run in a process of its own: a hang is a failure too.

    bits         results of several programs on 1, 2, 3, 4 and 8 threads differ
    threads      wrong results where 64 threads of Python call one program at once
    forks        children or parents that fail or hang, forked before, during and after use
    interrupts   Ctrl-C in a long call is not raised, changes a variable, or spoils the next call
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import graphc

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 600  # after which a trial is said to hang
PYTHON_THREADS = 64
_CHILD_SECONDS = 20
_WRONG = 100
Array = np.ndarray[Any, Any]


def normal(*shape: int, seed: int = 0) -> Array:
    """Return float32 numbers from the standard normal distribution."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def network(x: Any, weights: Any) -> Any:
    """Return something with products, reductions and elementwise chains, large enough to share."""
    hidden = graphc.tanh(x @ weights)
    return graphc.softmax(hidden @ weights, axis=-1), hidden.sum(axis=0), (x * hidden).mean()


def bits(count: int) -> int:
    """Return how many of `count` calls on each number of threads give other bits."""
    functions: list[Callable[..., Any]] = [
        network,
        lambda x, w: graphc.layer_norm(x) + graphc.gelu(w),
        lambda x, w: (x.T.sum(axis=1), graphc.exp(w).max(axis=0)),
    ]
    wrong, arguments = 0, (normal(301, 301), normal(301, 301, seed=1))
    for function in functions:
        program = graphc.compile(function).program(*arguments)
        wanted = [output.tobytes() for output in program(*arguments)]
        for threads in (1, 2, 3, 4, 8):
            with graphc.threads(threads):
                for _ in range(count):
                    given = [output.tobytes() for output in program(*arguments)]
                    wrong += given != wanted
    return wrong


def threads(count: int) -> int:
    """Return how many of `count` calls by each of 64 threads give a wrong result."""
    function = graphc.compile(lambda x: (graphc.exp(x) + x) / 3)
    cases = []  # of the short program, and of one that the team shares while others run
    for seed in range(PYTHON_THREADS):
        samples = normal(300, seed=seed), normal(140_000, seed=seed)
        cases.append([(function.program(x), x, function(x)) for x in samples])

    def call(number: int) -> int:
        wrong, (short, shared) = 0, cases[number]
        for turn in range(count):
            program, x, wanted = shared if turn % 10 == 0 else short
            wrong += not np.array_equal(program(x)[0], wanted)
        return wrong

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(PYTHON_THREADS) as pool:
            return sum(pool.map(call, range(PYTHON_THREADS)))
    finally:
        sys.setswitchinterval(interval)


def forks(count: int) -> int:
    """Return how many of `count` forks fail: before the first call, between and during calls."""
    function = graphc.compile(network)
    arguments = normal(200, 200), normal(200, 200, seed=1)
    wanted = b"".join(a.tobytes() for a in graphc.compile(network, backend="llvm")(*arguments))
    wrong = int(_forked(function, arguments, wanted))  # before this function is used
    stop = threading.Event()

    def keep_calling() -> None:
        while not stop.is_set():
            function(*arguments)

    others = [threading.Thread(target=keep_calling) for _ in range(2)]
    for number in range(1, count):
        if number == count // 2:  # from here on others are inside of calls
            for other in others:
                other.start()
        wrong += _forked(function, arguments, wanted)
        wrong += b"".join(a.tobytes() for a in function(*arguments)) != wanted
    stop.set()
    for other in others:
        if other.ident is not None:
            other.join()
    return wrong


def _forked(function: Any, arguments: tuple[Array, ...], wanted: bytes) -> bool:
    """Return whether a child that calls the function fails."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(_CHILD_SECONDS)
            given = b"".join(a.tobytes() for a in function(*arguments))
            status = int(given != wanted)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0


def interrupts(count: int) -> int:
    """Return how many of `count` calls are not stopped, or spoil a variable or the next call.

    The longest time from the signal to the exception goes to standard error.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    done, x = graphc.Variable(np.float32(0)), normal(900, 900)

    @graphc.compile
    def call(x: Any) -> Any:
        y = x
        for _ in range(100):
            y = graphc.tanh(y @ x)
        done.assign(done + 1.0 + 0.0 * y[0, 0])
        return y

    short = graphc.compile(network)
    wanted, right = call(x), short(x, x)[1]
    wrong, slowest = int(done.value != 1), 0.0
    for number in range(count):
        with _interrupt_after(0.01 + 0.002 * (number % 50)) as sent:
            try:
                call(x)
                wrong += 1
            except KeyboardInterrupt:
                slowest = max(slowest, time.perf_counter() - sent[0])
        wrong += int(done.value != 1) + int((short(x, x)[1] != right).any())
    wrong += int((call(x) != wanted).any())
    print(f"slowest interrupt: {slowest * 1e3:.0f} ms", file=sys.stderr)
    return wrong


@contextmanager
def _interrupt_after(seconds: float) -> Iterator[list[float]]:
    """Send SIGINT to this process meanwhile; the list holds when."""
    sent: list[float] = []

    def send() -> None:
        time.sleep(seconds)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    yield sent
    thread.join()


TRIALS: dict[str, tuple[Callable[[int], int], int, int]] = {  # how often: quick, full
    "bits": (bits, 3, 200),
    "threads": (threads, 100, 10_000),
    "forks": (forks, 6, 200),
    "interrupts": (interrupts, 2, 50),
}


def run(name: str, *, is_quick: bool) -> int:
    """Run one trial in a process of its own; return what it returns, or -1 for a hang or crash."""
    count = TRIALS[name][1 if is_quick else 2]
    code = (
        f"import sys; from tests import stress; sys.exit(stress.status_of(stress.{name}({count})))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    try:
        status = subprocess.run(command, cwd=ROOT, timeout=SECONDS, check=False).returncode
    except subprocess.TimeoutExpired:
        return -1
    return status - _WRONG if status > _WRONG else -int(status != 0)


def status_of(wrong: int) -> int:
    """Return the exit status of a trial in which so much went wrong; Python's own is 1."""
    return _WRONG + min(wrong, 99) if wrong else 0


def main(arguments: list[str]) -> int:
    """Run the trials that the arguments name, by default all; 1 where something went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress")
    parser.add_argument("trials", nargs="*", metavar="trial", help=", ".join(TRIALS))
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    failed = False
    for name in options.trials or TRIALS:
        if name not in TRIALS:
            parser.error(f"there is no trial {name!r}")
        start, count = time.perf_counter(), TRIALS[name][1 if options.quick else 2]
        wrong = run(name, is_quick=options.quick)
        seconds = time.perf_counter() - start
        said = "hangs or crashes" if wrong < 0 else f"{wrong} wrong"
        print(f"{name}: {count} times, {said}, {seconds:.0f} s", flush=True)
        failed |= wrong != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
