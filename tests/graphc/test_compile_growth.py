"""The work of compiling grows with the size of a program, also where all of it is one kernel."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.backends.llvm import machine
from graphc.backends.llvm.program import write_program
from graphc.graph import Graph
from graphc.observer import Observer
from graphc.passes import Compilation, Options, run_pipeline

X = np.linspace(0, 1, 256, dtype=np.float32)


def pieces(count: int) -> Callable[[Any], Any]:
    return lambda x: graphc.concat([x * (i + 1.0) for i in range(count)], axis=0).sum()


def rows(count: int) -> Callable[[Any], Any]:
    return lambda x: graphc.stack([x[i % 256] * float(i) for i in range(count)])


def outputs(count: int) -> Callable[[Any], Any]:
    return lambda x: [x * (i + 1.5) + 1.0 for i in range(count)]


def calls_of_compiling(graph: Graph) -> int:
    """Return how many functions are called from the passes to LLVM's text: a measure of work."""
    count = 0

    def look(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    old = sys.getprofile()
    sys.setprofile(look)
    try:
        target = machine.describe()
        state = run_pipeline(Compilation(graph, target, Options()), Observer(graph).after)
        assert state.plan is not None
        write_program(state.plan, machine.machine_of(target))
    finally:
        sys.setprofile(old)
    return count


@pytest.mark.parametrize("function", [pieces, rows, outputs])
def test_twice_the_pieces_are_twice_the_work(function: Any) -> None:
    few, many = (graphc.trace(function(n), [X]).graph for n in (200, 400))
    calls_of_compiling(few)  # what is computed once in a process
    assert calls_of_compiling(many) < 2.2 * calls_of_compiling(few)
