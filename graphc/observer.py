"""Watching one compilation: times, the verifier between passes, texts on stderr and in files.

What it does is chosen by `graphc.settings`: GRAPHC_VERIFY, GRAPHC_DEBUG and GRAPHC_DUMP. The time
of each stage is always kept.
"""

from __future__ import annotations

import itertools
import pathlib
import re
import sys
import time

from graphc import settings
from graphc.errors import GraphcValueError
from graphc.executable import Executable
from graphc.explain import explain
from graphc.graph import Graph
from graphc.graph_verifier import verify as verify_graph
from graphc.kernel_verifier import verify as verify_kernel
from graphc.passes import Compilation, Pass
from graphc.program import Made, Stages

_numbers = itertools.count(1)


class Observer:
    """Sees one compilation, pass by pass. `seconds` holds the time of each stage by name."""

    def __init__(self, graph: Graph) -> None:
        self.traced = graph
        self.seconds: dict[str, float] = {}
        self.debug, self.verifies = settings.debug_level(), settings.verify()
        self.dump = settings.dump_directory()
        self.number = next(_numbers)
        self._last = time.perf_counter()
        self._write("traced", str(graph) if self.dump else "", "graph")

    @property
    def is_watching(self) -> bool:
        """Whether somebody wants to see each pass at work."""
        return bool(self.debug or self.verifies or self.dump)

    def after(self, step: Pass, state: Compilation) -> None:
        """Take note of what `step` made."""
        self._note(step.name)
        if self.verifies:
            _verify(state)
        if self.dump or self.debug > 1:
            self._show(step, state)
        self._last = time.perf_counter()

    def _note(self, name: str, seconds: float | None = None) -> None:
        elapsed = time.perf_counter() - self._last if seconds is None else seconds
        self.seconds[name] = elapsed
        if self.debug:
            print(f"{self.traced.name}: {name} {elapsed * 1e3:.2f} ms", file=sys.stderr)

    def _show(self, step: Pass, state: Compilation) -> None:
        text, kind, level = describe(step, self.traced, state)
        self._write(step.name, text, kind)
        if self.debug >= level:
            print(text, file=sys.stderr)

    def recalled(self, seconds: float) -> None:
        """Take note that the program was found on disk."""
        self._note("cache", seconds)

    def compiled(self, executable: Executable, stages: tuple[str, ...], seconds: float) -> None:
        """Take note of what the backend made."""
        self._note("backend", seconds)
        for stage in stages if self.dump else ():
            self._write(stage, executable.text(stage), stage)
        if self.debug > 3 and stages:
            print(executable.text(stages[0]), file=sys.stderr)

    def _write(self, name: str, text: str, suffix: str) -> None:
        if not self.dump:
            return
        title = re.sub(r"[^\w.-]", "_", self.traced.name)
        directory = pathlib.Path(self.dump, f"{self.number:03d}-{title}")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            place = len(list(directory.iterdir()))
            (directory / f"{place:02d}-{name}.{suffix}.txt").write_text(text + "\n")
        except OSError as error:
            raise GraphcValueError(
                f"GRAPHC_DUMP={self.dump}: cannot write there: {error.strerror}"
            ) from None


def _verify(state: Compilation) -> None:
    verify_graph(state.graph)
    for kernel in state.lowered.all_kernels if state.lowered is not None else ():
        verify_kernel(kernel)


def describe(step: Pass, traced: Graph, state: Compilation) -> tuple[str, str, int]:
    """Return the text of what a pass made, its kind, and the debug level that prints it."""
    if state.plan is not None:
        return str(state.plan), "plan", 3
    if state.lowered is not None:
        return "\n\n".join(str(k).rstrip() for k in state.lowered.all_kernels), "kernels", 3
    if state.grouping is not None:
        made = Made(state.graph, state.grouping)
        return explain(Stages(traced, lambda: made)), "groups", 2
    return str(state.graph), "graph", 2
