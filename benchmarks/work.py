"""What is measured: a `Work` is a piece of computation, spelled once for graphc and each peer.

A file of benchmarks/works lists its works in `WORKS`; the folder is the registry, so that adding a
work is adding a file. No framework is imported here or there: an engine hands its own module to the
function that spells the work for it, because a process that measures one must not load another.

    Work("gelu 64K", inputs=lambda: [normal(65536)],
         graphc=lambda g: g.gelu, torch=lambda torch: torch.nn.functional.gelu, …)
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from benchmarks import works

Array: TypeAlias = np.ndarray[Any, Any]
Spelling: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Work:
    """One measured piece of computation.

    name        unique; also what `--work` takes
    inputs      makes the arrays, the same ones in every process
    graphc, torch, jax
                given the framework's module, return the function of tensors to be compiled; for a
                `stateful` work given the module, the framework's compiler and the inputs, return
                the finished call without arguments
    onnx        the body of the graph as ONNX text, for ONNX Runtime and OpenVINO
    weights     how many of the last inputs are constants of the ONNX model
    numpy       the reference, a function of the inputs in float64; without one, and in stateful
                works, peers check each other
    flops, moved
                operations and bytes that the work cannot do without, for the roofline
    measure     "call": repeated calls; "first call": from the function to its first result, in
                fresh processes
    bar         the ratio to the best peer that graphc shall reach
    tolerance   of the largest difference, relative to the largest number of the result
    busy        how many processes compute on the same cores while it is timed
    alone       the name of the same work without them, for the slowdown
    """

    name: str
    inputs: Callable[[], Sequence[Array]]
    graphc: Spelling | None = None
    torch: Spelling | None = None
    jax: Spelling | None = None
    onnx: str | None = None
    numpy: Spelling | None = None
    stateful: bool = False
    weights: int = 0
    flops: float = 0.0
    moved: float = 0.0
    measure: Literal["call", "first call"] = "call"
    bar: float | None = None
    tolerance: float = 1e-4
    busy: int = 0
    alone: str = ""


def normal(*shape: int, seed: int = 0) -> Array:
    """Return float32 numbers from the standard normal distribution."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def integers(below: int, *shape: int, seed: int = 0) -> Array:
    """Return int64 numbers of 0 … below - 1."""
    return np.random.default_rng(seed).integers(below, size=shape)


def short(count: int) -> str:
    """Spell a number of elements: 65536 is 64K."""
    for unit, letter in ((1 << 20, "M"), (1 << 10, "K")):
        if count >= unit and count % unit == 0:
            return f"{count // unit}{letter}"
    return str(count)


def find_works() -> dict[str, Work]:
    """Return every work of benchmarks/works by its name. Raises ValueError for a name used twice.

    The files are taken in alphabetical order.
    """
    found: dict[str, Work] = {}
    for module in sorted(pkgutil.iter_modules(works.__path__), key=lambda entry: entry.name):
        for work in importlib.import_module(f"benchmarks.works.{module.name}").WORKS:
            if work.name in found:
                raise ValueError(f"two works are called {work.name!r}")
            found[work.name] = work
    return found


def find_work(name: str) -> Work:
    """Return the work of this name. Raises KeyError where there is none."""
    return find_works()[name]
