"""Loops and branches on a device: the bits of native code, and the same errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc
from graphc.api import Settings, compile_graph
from graphc.graph import Graph
from graphc.passes import Options
from tests.backends.llvm.loop_graphs import GRAPHS, arguments_of, bits
from tests.backends.opencl.conftest import DEVICE
from tests.loop_cases import CASES, Case
from tests.loop_kinds import Compiled
from tests.passes.test_differentiate_loops import first, graph_of

LONG = {"recurrent", "powers"}  # a minute on a simulator
SHORT = [case for case in CASES if not case.slow]


def same_bits(graph: Graph, arguments: list[np.ndarray[Any, Any]], **options: Any) -> None:
    """Run on both backends, twice each, and compare."""
    native, device = (
        compile_graph(graph, Settings(backend, Options(**options)))
        for backend in ("llvm", "opencl")
    )
    for _ in range(2):
        assert bits(device(*arguments)) == bits(native(*arguments))


@pytest.mark.parametrize(
    "name", [name for name in GRAPHS if DEVICE != "Oclgrind" or name not in LONG]
)
def test_graphs_with_loops_have_the_bits_of_native_code(name: str) -> None:
    graph = GRAPHS[name]()
    same_bits(graph, arguments_of(graph))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_users_write_has_the_bits_of_native_code(case: Case) -> None:
    same_bits(graph_of(case.make(Compiled()), case), case.arrays)


@pytest.mark.parametrize("case", SHORT, ids=[case.name for case in SHORT])
def test_gradients_have_the_bits_of_native_code(case: Case) -> None:
    same_bits(graph_of(first(case, Compiled()), case), case.arrays)


def test_variables_are_updated_by_a_step_with_a_loop() -> None:
    xs = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    values = []
    for backend in ("llvm", "opencl"):
        weight = graphc.Variable(np.eye(3, dtype=np.float32), name="weight")

        @graphc.compile(backend=backend)
        def step(xs: Any, weight: Any = weight) -> Any:
            last, _ = graphc.scan(
                lambda h, x: (graphc.tanh(h @ weight + x), None), graphc.zeros((3,)), xs
            )
            loss = (last * last).sum()
            weight.assign(weight - 0.1 * graphc.gradients(loss, weight))
            return loss

        values.append([float(step(xs)) for _ in range(5)])
        values[-1] += np.ravel(weight.value).tolist()
    assert values[0] == values[1] and values[0][4] < values[0][0]


@pytest.mark.parametrize("length", [0, 1, 3])
def test_an_index_out_of_bounds_in_a_body_raises(length: int) -> None:
    @graphc.compile(backend="opencl")
    def pick(table: Any, places: Any) -> Any:
        return graphc.map(lambda i: graphc.take(table, i, axis=0), places)

    table = np.arange(5, dtype=np.float32)
    places = np.arange(length, dtype=np.int64)
    assert pick(table, places).tolist() == table[:length].tolist()
    if length:
        with pytest.raises(graphc.GraphcIndexError, match=r"test_loops\.py"):
            pick(table, places + 5)
    assert pick(table, places).tolist() == table[:length].tolist()


def test_a_loop_whose_condition_stays_true_ends_where_a_check_fails() -> None:
    @graphc.compile(backend="opencl")
    def walk(following: Any, start: Any) -> Any:
        return graphc.while_loop(lambda i: i >= 0, lambda i: graphc.take(following, i), start)

    assert walk(np.array([1, 2, -1]), np.int64(0)) == -1
    with pytest.raises(graphc.GraphcIndexError):
        walk(np.array([1, 2, 3]), np.int64(0))
    assert walk(np.array([2, -1, 1]), np.int64(0)) == -1
