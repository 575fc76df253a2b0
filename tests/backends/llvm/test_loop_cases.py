"""Every loop that users write, and its gradients of both orders, in native code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.api import Settings, compile_graph
from graphc.backends.llvm import polling, work
from graphc.graph import Graph
from graphc.interpreter import interpret
from graphc.passes import Options
from tests.loop_cases import CASES, Case
from tests.loop_kinds import Compiled
from tests.passes.test_differentiate_loops import first, graph_of, second

KINDS: dict[str, Callable[[Case], Any]] = {
    "value": lambda case: case.make(Compiled()),
    "gradient": lambda case: first(case, Compiled()),
    "second": lambda case: second(case, Compiled(checkpoint_every=2)),
}
FEW = CASES[::4]  # of second order: graphs of thousands of nodes
CHOSEN = [(kind, c) for kind in KINDS for c in CASES if kind != "second" or c in FEW]


def results(graph: Graph, case: Case, **options: Any) -> list[np.ndarray[Any, Any]]:
    return compile_graph(graph, Settings("llvm", Options(**options)))(*case.arrays)


@pytest.mark.parametrize(
    ("kind", "case"), CHOSEN, ids=[f"{kind}-{case.name}" for kind, case in CHOSEN]
)
def test_native_loops_agree_with_the_interpreter(
    kind: str, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graph_of(KINDS[kind](case), case)
    wanted, _ = interpret(graph, case.arrays)
    given = results(graph, case)
    for left, right in zip(given, wanted, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-11, atol=1e-11)
    monkeypatch.setenv("GRAPHC_NUM_THREADS", "3")
    monkeypatch.setattr(work, "STEPS_PER_THREAD", 8)
    monkeypatch.setattr(polling, "STEPS_PER_POLL", 200)
    shared = results(graph, case)
    assert [a.tobytes() for a in shared] == [a.tobytes() for a in given]
