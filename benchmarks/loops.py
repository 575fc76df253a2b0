"""What the gradient of a long scan costs: compile time, arena and one run, by the number of steps.

The scan is a recurrent network, h := tanh(h w + x), of a batch of 8 and 64 units, and its gradient
is that by w. Without checkpoints three values are kept for each step: the old and the new h, and
the cotangent that one product over all steps wants. With `checkpoint_every` k, about the root of
the number of steps, one h is kept for each segment and three values for each step of one segment,
and of the rest. Compile times are the least of several without a cache, after one that is not
counted; runs likewise. Last comes the training step of `benchmarks/works/lstm.py`.

    python -m benchmarks.loops
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import graphc
from benchmarks.works import lstm

BATCH, UNITS = 8, 64
CARRY = BATCH * UNITS * 4  # bytes
WEIGHTS = UNITS * UNITS * 4
LENGTHS = (10, 100, 1_000, 10_000)
REPEATS = 5
TITLES = ("steps", "every", "compile", "kernels", "arena", "predicted", "run")


def predicted(length: int, every: int | None) -> int:
    """Return the bytes that the residuals of a gradient take, those of a few weights aside."""
    if every is None:
        return 3 * length * CARRY
    return (length // every + 3 * every + 3 * (length % every)) * CARRY


def program_of(length: int, every: int | None) -> Any:
    """Return the compiled gradient."""
    h, w, x = (graphc.input(s) for s in ((BATCH, UNITS), (UNITS, UNITS), (length, BATCH, UNITS)))

    def step(h: graphc.Tensor, x: graphc.Tensor) -> tuple[graphc.Tensor, None]:
        return graphc.tanh(h @ w + x), None

    last, _ = graphc.scan(step, h, x, checkpoint_every=every)
    return graphc.compile([graphc.grad(last.sum(), w)], inputs=[h, w, x])


def least(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the least seconds that a call takes, and its result."""
    seconds, result = [], None
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def line(length: int, every: int | None) -> str:
    """Return the row of one scan."""
    compile_seconds, program = least(lambda: program_of(length, every))
    random = np.random.default_rng(0)
    x = random.standard_normal((length, BATCH, UNITS), np.float32)
    w = random.standard_normal((UNITS, UNITS), np.float32) / np.float32(UNITS**0.5)
    run_seconds, _ = least(lambda: program(np.zeros((BATCH, UNITS), np.float32), w, x))
    plan = program.stages.plan
    cells = [
        f"{length:,}",
        "none" if every is None else f"{every}",
        f"{1e3 * compile_seconds:.0f} ms",
        f"{len(plan.kernels)}",
        f"{plan.arena_bytes / 1e6:.2f} MB",
        f"{predicted(length, every) / 1e6:.2f} MB",
        f"{1e3 * run_seconds:.2f} ms",
    ]
    return "| " + " | ".join(cells) + " |"


def lstm_line() -> str:
    """Return the compile time of the training step of an LSTM, and what it is made of."""

    def compiled() -> Any:
        call = lstm.graphc_step(graphc, graphc.compile, *lstm.inputs())
        call()
        return call

    seconds, call = least(compiled)
    kernels = len(call.func.programs[0].stages.plan.kernels)
    return f"lstm step: {1e3 * seconds:.0f} ms to the first result, {kernels} distinct kernels"


def main() -> None:
    """Measure and print the table."""
    os.environ["GRAPHC_CACHE"] = "0"
    program_of(5, None)
    print("| " + " | ".join(TITLES) + " |", "|--:" * len(TITLES) + "|", sep="\n")
    for every in (False, True):
        for length in LENGTHS:
            print(line(length, math.isqrt(length) if every else None), flush=True)
    print(lstm_line())


if __name__ == "__main__":
    main()
