"""How far compiled elementwise ops are from the truth, over every float32 there is.

An op is compiled by the LLVM backend and run on all 2^32 inputs, a block of them a call. The truth
is computed in float64, whose own error is below 1e-7 of an ULP of float32. An error is counted in
units in the last place of the true value's binade (2^-149 among subnormals); an infinite result
counts as 2^128. A NaN where there should be none, none where there should be one, and a zero of the
wrong sign count as an infinite error.

    python -m benchmarks.accuracy exp log tanh sigmoid erf sin cos [--stride 1]

The table in docs/accuracy.md is this program's output.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy import special

import graphc
from graphc.program import Program

BLOCK = 1 << 22  # inputs of one call of the program
SLICE = 1 << 15  # inputs judged at once: the float64 temporaries stay in the cache
Array: TypeAlias = np.ndarray[Any, Any]

TRUTH: dict[str, Callable[[Array], Array]] = {
    "erf": special.erf,
    "gelu": lambda x: np.where(np.isneginf(x), -0.0, x * special.ndtr(x)),
    "sigmoid": special.expit,
    **{name: getattr(np, name) for name in ("exp", "expm1", "log", "log1p", "log2", "log10")},
    **{name: getattr(np, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt")},
    **{f"a{n}": getattr(np, f"arc{n}") for n in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
}


@dataclass
class Worst:
    """The largest error found so far, the input that gave it, and how many inputs were seen."""

    error: float = -1.0
    at: float = 0.0
    got: float = 0.0
    true: float = 0.0
    count: int = 0

    def see(self, inputs: Array, results: Array, truth: Array) -> None:
        """Take the results of some inputs into account."""
        errors = ulp_errors(results, truth)
        place = int(np.argmax(errors))
        self.count += len(inputs)
        if errors[place] > self.error:
            self.error, self.true = float(errors[place]), float(truth[place])
            self.at, self.got = float(inputs[place]), float(results[place])


def ulp_errors(results: Array, truth: Array) -> Array:
    """Return the error of each float32 result against the float64 truth, in ULP of the truth."""
    limit = 2.0**128
    bounded = np.clip(truth, -limit, limit)
    exponent = np.clip((bounded.view(np.int64) >> 52 & 0x7FF) - 1023, -126, 127)
    per_ulp = (1023 + 23 - exponent << 52).view(np.float64)
    errors: Array = np.abs(np.clip(results.astype(np.float64), -limit, limit) - bounded) * per_ulp
    wrong = np.isnan(results) != np.isnan(truth)
    wrong |= (truth == 0) & (np.signbit(results) != np.signbit(truth))
    errors[np.isnan(errors)] = 0.0
    errors[wrong] = np.inf
    return errors


def inputs_of(stride: int) -> Iterator[Array]:
    """Yield all float32 bit patterns that are multiples of `stride`, BLOCK at a time."""
    for start in range(0, 1 << 32, BLOCK * stride):
        patterns = np.arange(start, start + BLOCK * stride, stride, dtype=np.uint64)
        patterns[patterns >= 1 << 32] = 0  # the last block of an odd stride
        yield patterns.astype(np.uint32).view(np.float32)


def compile_op(name: str) -> Program:
    """Return the program that applies the op to a block."""
    x = graphc.input((BLOCK,), name="x")
    return graphc.compile([getattr(graphc, name)(x)], inputs=[x])


def measure(name: str, stride: int) -> Worst:
    """Return the largest error of an op over every `stride`-th float32."""
    program, truth, worst = compile_op(name), TRUTH[name], Worst()
    for inputs in inputs_of(stride):
        (results,) = program(inputs)
        for at in range(0, BLOCK, SLICE):
            part = slice(at, at + SLICE)
            worst.see(inputs[part], results[part], truth(inputs[part].astype(np.float64)))
    return worst


def main() -> None:
    """Measure the ops that are named and print a row of a Markdown table for each."""
    known = sorted(TRUTH)
    parser = argparse.ArgumentParser(description="Measure the error of elementwise ops.")
    parser.add_argument("ops", nargs="+", choices=known, metavar="op", help=", ".join(known))
    parser.add_argument("--stride", type=int, default=1, help="every which float32 (1: all)")
    options = parser.parse_args()
    print("| op | inputs | largest error, ULP | at | gives | truth | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in options.ops:
        start = time.perf_counter()
        with np.errstate(all="ignore"):
            worst = measure(name, options.stride)
        seconds = time.perf_counter() - start
        print(
            f"| {name} | {worst.count:,} | {worst.error:.4f} | {worst.at:.9g} | {worst.got:.9g} "
            f"| {worst.true:.12g} | {seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
