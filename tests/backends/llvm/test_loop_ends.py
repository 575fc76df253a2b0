"""How loops end before their time: checks, host functions, interrupts; threads and processes."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import Tensor
from graphc.api import compile_graph
from graphc.dtypes import int64
from graphc.errors import GraphcIndexError, GraphcValueError
from graphc.graph import Graph
from tests.backends.llvm.loop_graphs import (
    COUNT,
    LLVM,
    V,
    arguments_of,
    bits,
    graph_of,
    recurrent,
    scan,
    share_everything,
    sorted_in_a_loop,
    typed,
    while_loop,
)
from tests.graphc.loop_graphs import close

# --- ends -----------------------------------------------------------------------------------------


def looked_up(length: int = 1000) -> Graph:
    def step(c: Tensor, table: Tensor, i: Tensor) -> list[Tensor]:
        return [c + graphc.take(table, i, axis=0), i]

    body = close(step, V, typed(10, 5), COUNT)
    return graph_of(
        lambda c, t, i: scan(body, [c], [t], [i], length=length),
        V,
        typed(10, 5),
        typed(length, dtype=int64),
    )


@pytest.mark.parametrize("threads", ["1", "3"])
def test_a_failed_check_ends_the_call(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", threads)
    share_everything(monkeypatch)
    program = compile_graph(looked_up(), LLVM)
    c, table = np.zeros(5, np.float32), np.ones((10, 5), np.float32)
    places = np.arange(1000) % 10
    for bad in (0, 1, 500, 999):
        wrong = places.copy()
        wrong[bad] = 10
        for _ in range(3):
            with pytest.raises(GraphcIndexError, match="out of bounds for axis 0 of extent 10"):
                program(c, table, wrong)
            assert (program(c, table, places)[0] == 1000).all()


def test_a_loop_ends_soon_after_a_failed_check() -> None:
    """Twenty minutes of work, of which the first step fails."""
    number = typed(dtype=int64)
    more = close(lambda i, c, t: (i < 10**12,), number, V, typed(10, 5))
    body = close(
        lambda i, c, t: (i + 1, c + graphc.take(t, i + 10, axis=0)), number, V, typed(10, 5)
    )
    graph = graph_of(lambda i, c, t: while_loop(more, body, [i, c], [t]), number, V, typed(10, 5))
    with pytest.raises(GraphcIndexError):
        compile_graph(graph, LLVM)(
            np.int64(0), np.zeros(5, np.float32), np.ones((10, 5), np.float32)
        )


@pytest.mark.parametrize("threads", ["1", "3"])
def test_what_a_host_function_raises_inside_ends_the_loop(
    threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", threads)
    share_everything(monkeypatch)
    state = graphc.Variable(np.zeros((), np.float32))
    body = close(
        lambda c, x: (c + graphc.linalg.cholesky(x) @ graphc.ones((3, 3)),),
        typed(3, 3),
        typed(3, 3),
    )

    def step(x: Tensor) -> Tensor:
        (last,) = scan(body, [graphc.zeros((3, 3))], stacked=[x], length=20)
        state.assign(state + 1)
        return last

    run: Any = graphc.compile(step)
    good = np.broadcast_to(np.eye(3, dtype=np.float32), (20, 3, 3)).copy()
    bad = good.copy()
    bad[7] *= -1
    for count in range(1, 6):
        assert (run(good) == 20).all()
        with pytest.raises(GraphcValueError, match="not positive definite") as caught:
            run(bad)
        assert "test_loop_ends" in caught.value.line and state.value == count


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("kind", ["while", "scan"])
def test_an_interrupt_ends_a_long_loop(
    kind: str, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", threads)
    if threads != "1":
        share_everything(monkeypatch)
    number = typed(dtype=int64)
    body = close(lambda i, c: (i + 1, c * 0.5 + 1), number, typed(64))
    more = close(lambda i, c: (i < 10**13,), number, typed(64))

    def function(i: Tensor, c: Tensor) -> list[Tensor]:
        if kind == "while":
            return while_loop(more, body, [i, c])
        return scan(body, [i, c], length=10**13)

    program = compile_graph(graph_of(function, number, typed(64)), LLVM)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        program(np.int64(0), np.zeros(64, np.float32))
    timer.join()


def test_variables_keep_their_values_where_a_loop_fails() -> None:
    state = graphc.Variable(np.zeros(5, np.float32))
    body = close(lambda c, t, i: (c + graphc.take(t, i, axis=0),), V, typed(10, 5), COUNT)

    def step(table: Tensor, places: Tensor) -> Tensor:
        (last,) = scan(body, [Tensor(state.node)], [table], [places], length=4)
        state.assign(last)
        return last

    run: Any = graphc.compile(step)
    table = np.ones((10, 5), np.float32)
    for count in range(1, 6):
        assert (run(table, np.array([1, 2, 3, 4])) == 4 * count).all()
        with pytest.raises(GraphcIndexError):
            run(table, np.array([1, 2, 3, 40]))
        assert (state.value == 4 * count).all()


# --- threads and processes ------------------------------------------------------------------------


def test_threads_of_python_call_one_program() -> None:
    graph = recurrent()
    program = compile_graph(graph, LLVM)
    given = arguments_of(graph)
    wanted = bits(program(*given))
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: bits(program(*given)), range(60)))
    assert all(result == wanted for result in found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", "3")
    share_everything(monkeypatch)
    graph = sorted_in_a_loop()
    program, given = compile_graph(graph, LLVM), arguments_of(graph)
    wanted = bits(program(*given))
    child = os.fork()
    if not child:
        os._exit(0 if all(bits(program(*given)) == wanted for _ in range(5)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
