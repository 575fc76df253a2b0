"""Graphs of loops and branches that are hard on memory, threads and tables, and their arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import Tensor, ops
from graphc.api import Settings
from graphc.backends.llvm import work
from graphc.body import Body
from graphc.dtypes import DType, float32, int32, int64
from graphc.graph import Graph
from graphc.ops.loops import items
from graphc.passes import Options
from tests.graphc.loop_graphs import close, nested_graph, scan_graph

Array = np.ndarray[Any, Any]
Typed = tuple[Sequence[int], DType]
LLVM, REFERENCE = Settings("llvm", Options()), Settings("reference", Options())


def graph_of(function: Callable[..., Sequence[Tensor]], *types: Typed) -> Graph:
    inputs = [
        graphc.input(tuple(shape), dtype, name=f"x{n}") for n, (shape, dtype) in enumerate(types)
    ]
    outputs = function(*inputs)
    return Graph([x.node for x in inputs], [y.node for y in outputs])


def scan(
    body: Body, carries: Sequence[Tensor], constants: Sequence[Tensor] = (),
    stacked: Sequence[Tensor] = (), *, length: int, reverse: bool = False,
) -> list[Tensor]:  # fmt: skip
    operands = [x.node for x in (*carries, *constants, *stacked)]
    counts = {"carries": len(carries), "constants": len(constants)}
    node = ops.scan(*operands, body=body, length=length, reverse=reverse, **counts)
    return [Tensor(result) for result in items(node)]


def while_loop(
    condition: Body, body: Body, carries: Sequence[Tensor], constants: Sequence[Tensor] = ()
) -> list[Tensor]:
    operands = [x.node for x in (*carries, *constants)]
    node = ops.while_loop(*operands, condition=condition, body=body, carries=len(carries))
    return [Tensor(result) for result in items(node)]


def switch(index: Tensor, operands: Sequence[Tensor], *branches: Body) -> list[Tensor]:
    node = ops.switch(index.node, *(x.node for x in operands), branches=branches)
    return [Tensor(result) for result in items(node)]


def typed(*shape: int, dtype: DType = float32) -> Typed:
    return shape, dtype


def share_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "STEPS_PER_THREAD", 32)


# --- the graphs -----------------------------------------------------------------------------------

V, M = typed(5), typed(40, 48)
COUNT: Typed = ((), int64)


def swapped() -> Graph:
    body = close(lambda a, b, c: (b, c * 2, a), V, V, V)
    return graph_of(lambda a, b, c: scan(body, [a, b, c], length=7), V, V, V)


def twice_the_same() -> Graph:
    def step(a: Tensor, b: Tensor) -> list[Tensor]:
        both = a + b
        return [both, both, both, a]

    body = close(step, V, V)
    return graph_of(lambda a, b: scan(body, [a, b], length=6), V, V)


def one_tensor_for_all() -> Graph:
    body = close(lambda c, k, x: (c + k * x[0], c - k, x), V, V, typed(2))
    return graph_of(lambda a, x: [*scan(body, [a], [a], [x], length=5), a + 1], V, typed(5, 2))


def one_value_for_two() -> Graph:
    """A carry could begin in the memory of a value that dies here, but for its second use."""
    body = close(lambda c, k: (c * 0.5 + k,), V, V)

    def function(a: Tensor) -> list[Tensor]:
        start = a * 2
        (last,) = scan(body, [start], [start], length=6)
        return [last * 3]

    return graph_of(function, V)


def read_later() -> Graph:
    """The first value of a carry is wanted again, so that the loop may not write over it."""
    body = close(lambda c: (c * 2,), V)

    def function(a: Tensor) -> list[Tensor]:
        start = a + 1
        (last,) = scan(body, [start], length=3)
        return [last + start]

    return graph_of(function, V)


def untouched_and_unread() -> Graph:
    body = close(lambda a, b, c, x: (a, x + 1, c), V, V, V, V)
    return graph_of(
        lambda a, b, c, x: scan(body, [a, b, c], stacked=[x], length=4), V, V, V, typed(4, 5)
    )


def constants_as_results() -> Graph:
    body = close(lambda c, x: (graphc.ones(5), graphc.zeros(3), x), V, typed(2))
    return graph_of(lambda a, x: scan(body, [a], stacked=[x], length=3), V, typed(3, 2))


def no_elements() -> Graph:
    body = close(lambda c, x, y: (c + x.sum(), x, y * 2), typed(0), typed(2, 0), V)
    return graph_of(
        lambda c, x, y: scan(body, [c], stacked=[x, y], length=3),
        typed(0), typed(3, 2, 0), typed(3, 5),
    )  # fmt: skip


def odd_rows() -> Graph:
    """Slices of 3 floats and of 7 bytes lie at no multiple of anything."""
    small = typed(7, dtype=graphc.int8)
    body = close(lambda c, x, y: (c * 0.5 + x, c * x, y + y), typed(3), typed(3), small)
    return graph_of(
        lambda c, x, y: scan(body, [c], stacked=[x, y], length=9, reverse=True),
        typed(3), typed(9, 3), typed(9, 7, dtype=graphc.int8),
    )  # fmt: skip


def wide_odd_rows() -> Graph:
    """Vectors of slices that begin at a multiple of 4 bytes alone."""
    body = close(lambda c, x: (c * 0.5 + x, c * x), typed(161), typed(161))
    return graph_of(lambda c, x: scan(body, [c], stacked=[x], length=7), typed(161), typed(7, 161))


def no_carries() -> Graph:
    body = close(lambda k, x: (x @ k,), typed(3, 4), typed(2, 3))
    return graph_of(lambda k, x: scan(body, [], [k], [x], length=6), typed(3, 4), typed(6, 2, 3))


def recurrent(length: int = 11) -> Graph:
    """A recurrent network: products, whose carry goes back and forth, worth several threads."""

    def step(h: Tensor, w: Tensor, u: Tensor, x: Tensor) -> list[Tensor]:
        new = graphc.tanh(x @ u + h @ w)
        return [new, new.sum(axis=1)]

    body = close(step, M, typed(48, 48), typed(20, 48), typed(40, 20))
    return graph_of(
        lambda h, w, u, x: scan(body, [h], [w, u], [x], length=length),
        M, typed(48, 48), typed(20, 48), typed(length, 40, 20),
    )  # fmt: skip


def collatz() -> Graph:
    number = typed(dtype=int64)
    more = close(lambda n, _: (n != 1,), number, number)

    def step(n: Tensor, steps: Tensor) -> list[Tensor]:
        return [graphc.where(n % 2 == 0, n // 2, 3 * n + 1), steps + 1]

    body = close(step, number, number)
    return graph_of(lambda n, s: while_loop(more, body, [n, s]), number, number)


def powers() -> Graph:
    """A while loop whose matrices several threads compute and whose condition reads them."""
    more = close(lambda m, a: (abs(m).max() < 1000,), typed(48, 48), typed(48, 48))
    body = close(lambda m, a: (m @ a + 1,), typed(48, 48), typed(48, 48))
    return graph_of(lambda m, a: while_loop(more, body, [m], [a]), typed(48, 48), typed(48, 48))


def never() -> Graph:
    more = close(lambda a, b: (a.sum() < -1e9,), V, V)
    body = close(lambda a, b: (b, a), V, V)
    return graph_of(lambda a, b: while_loop(more, body, [a, b]), V, V)


def chosen() -> Graph:
    branches = (
        close(lambda x, y: (x + y, x), M, M),
        close(lambda x, y: (graphc.exp(x) @ y.T @ y, y), M, M),
        close(lambda x, y: (y, graphc.ones((40, 48))), M, M),
    )
    return graph_of(lambda i, x, y: switch(i, [x, y], *branches), typed(dtype=int32), M, M)


def chosen_in_a_loop() -> Graph:
    small = close(lambda c: (c * 0.5,), M)
    large = close(lambda c: (c @ graphc.ones((48, 48)) * 0.01 + 1,), M)

    def step(c: Tensor, x: Tensor) -> list[Tensor]:
        (new,) = switch(x, [c], small, large)
        return [new, new.max(axis=0)]

    body = close(step, M, typed(dtype=int64))
    return graph_of(lambda c, x: scan(body, [c], stacked=[x], length=8), M, typed(8, dtype=int64))


def loops_in_a_loop() -> Graph:
    inner = close(lambda a, k, x: (a * k + x, a), V, V, V)

    def step(a: Tensor, k: Tensor, x: Tensor) -> list[Tensor]:
        last, seen = scan(inner, [a], [k], [x], length=3, reverse=True)
        again, _ = scan(inner, [last], [k], [x], length=2 + 1)
        return [again, seen]

    body = close(step, V, V, typed(3, 5))
    return graph_of(lambda a, k, x: scan(body, [a], [k], [x], length=4), V, V, typed(4, 3, 5))


def sorted_in_a_loop() -> Graph:
    """Host functions in a body, between kernels that threads share."""

    def step(c: Tensor, x: Tensor) -> list[Tensor]:
        rows = graphc.sort(c + x, axis=1)
        return [rows @ graphc.ones((48, 48)) * 0.02, graphc.argsort(rows[0])]

    body = close(step, M, M)
    return graph_of(lambda c, x: scan(body, [c], stacked=[x], length=5), M, typed(5, 40, 48))


GRAPHS: dict[str, Callable[[], Graph]] = {
    f.__name__: f
    for f in (
        swapped, twice_the_same, one_tensor_for_all, read_later, untouched_and_unread,
        constants_as_results, no_elements, odd_rows, wide_odd_rows, one_value_for_two,
        no_carries, recurrent, collatz, powers, never, chosen, chosen_in_a_loop,
        loops_in_a_loop, sorted_in_a_loop, nested_graph,
    )
} | {
    "scan": scan_graph,
    "one_step": lambda: scan_graph(1),
    "no_steps": lambda: scan_graph(0),
    "no_steps_in_memory": lambda: recurrent(0),
}  # fmt: skip


def arguments_of(graph: Graph) -> list[Array]:
    rng = np.random.default_rng(1)
    made = []
    for node in graph.inputs:
        if node.type.dtype.is_float:
            made.append(rng.uniform(0.0, 0.5, node.shape).astype(node.type.dtype.numpy))
        else:
            low = 1 if not node.shape else -2
            made.append(rng.integers(low, 9, node.shape).astype(node.type.dtype.numpy))
    return made


def bits(arrays: Sequence[Array]) -> list[bytes]:
    return [array.tobytes() for array in arrays]
