"""The reference backend: the graph's NumPy meaning, node by node.

The one backend that receives the graph rather than a plan. It is slow and plain, and the oracle of
the others: `graphc.compile(f, backend="reference")`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphcValueError
from graphc.graph import Graph
from graphc.interpreter import interpret
from graphc.state import STATE_LOCK, check_writable, run_using


class ReferenceExecutable:
    """Interprets a graph; see `graphc.executable.Executable`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.states = tuple(dict.fromkeys(v.attributes["state"] for v in graph.variables))
        self.written = tuple(v.attributes["state"] for v, _ in graph.assignments)

    def run(self, arguments: Sequence[np.ndarray[Any, Any]]) -> tuple[np.ndarray[Any, Any], ...]:
        """Run once; variables are updated after every output is known."""
        with STATE_LOCK:
            check_writable(self.written)
            outputs, updates = run_using(self.states, lambda: interpret(self.graph, arguments))
            for state, value in updates.items():
                state.assign(value)
        return tuple(np.array(o) for o in outputs)

    def text(self, stage: str) -> str:
        """There is nothing below the graph; raises GraphcValueError."""
        raise GraphcValueError(f"the reference backend has no stage {stage!r}")
