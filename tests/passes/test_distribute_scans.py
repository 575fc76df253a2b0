"""Contractions that need not be in a loop, before and after they are taken out of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import graphc
from graphc import Tensor
from graphc.body import rewrite_nested
from graphc.graph import Graph
from graphc.graph_verifier import verify
from graphc.interpreter import interpret
from graphc.node import Node
from graphc.op import Scan
from graphc.passes.distribute_scans import distribute_scans
from graphc.passes.simplify_loops import simplify_loops

STEPS, BATCH, SIZE, HIDDEN = 6, 8, 5, 4
Array = np.ndarray[Any, np.dtype[Any]]


def distributed(function: Callable[..., Any], *shapes: tuple[int, ...]) -> Graph:
    """Return the graph of a function with contractions moved; its values stay."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in shapes]
    graph = rewrite_nested(graphc.trace(function, arrays).graph, simplify_loops)
    moved = verify(rewrite_nested(graph, distribute_scans))
    for left, right in zip(interpret(graph, arrays)[0], interpret(moved, arrays)[0], strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-12)
    return moved


def contractions(graph: Graph) -> list[tuple[int, ...]]:
    return sorted(n.shape for n in graph.nodes if n.op.name == "contraction")


def loop(graph: Graph) -> Node:
    (found,) = (n for n in graph.nodes if isinstance(n.op.lowering, Scan))
    return found


def inside(graph: Graph) -> list[tuple[int, ...]]:
    return contractions(loop(graph).attributes["body"].graph)


def network(x: Tensor, u: Tensor, w: Tensor, v: Tensor) -> Any:
    def step(h: Tensor, x: Tensor) -> Any:
        h = graphc.tanh(graphc.sin(x) @ u + h @ w)
        return h, graphc.exp(h @ v + 1)

    return graphc.scan(step, graphc.zeros((BATCH, HIDDEN), graphc.float64), x)


WEIGHTS = ((SIZE, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 3))


def test_only_the_recurrence_stays_in_the_loop() -> None:
    graph = distributed(network, (STEPS, BATCH, SIZE), *WEIGHTS)
    assert inside(graph) == [(BATCH, HIDDEN)]
    assert contractions(graph) == [(STEPS, BATCH, 3), (STEPS, BATCH, HIDDEN)]
    assert [str(t) for t in loop(graph).results] == ["float64[8, 4]", "float64[6, 8, 4]"]


def test_the_derivative_is_distributed_too() -> None:
    def loss(x: Tensor, u: Tensor, w: Tensor, v: Tensor) -> Any:
        return network(x, u, w, v)[1].sum()

    graph = distributed(graphc.grad(loss, (1, 2, 3)), (STEPS, BATCH, SIZE), *WEIGHTS)
    bodies = [n.attributes["body"].graph for n in graph.nodes if isinstance(n.op.lowering, Scan)]
    assert {shape for body in bodies for shape in contractions(body)} == {(BATCH, HIDDEN)}


def test_contractions_that_would_sum_in_another_order_stay() -> None:
    def f(h: Tensor, x: Tensor, a: Tensor) -> Any:
        return graphc.scan(lambda h, x: (graphc.tanh(h + a @ x), None), h, x)[0]

    graph = distributed(f, (64,), (STEPS, 64), (64, 64))
    assert inside(graph) == [(64,)] and contractions(graph) == []


def test_what_a_reduction_is_in_the_way_of_stays() -> None:
    def f(h: Tensor, x: Tensor, u: Tensor) -> Any:
        return graphc.scan(lambda h, x: (h + (x / x.sum()) @ u, None), h, x)[0]

    assert inside(distributed(f, (HIDDEN,), (STEPS, SIZE), (SIZE, HIDDEN))) == [(HIDDEN,)]


def test_memory_has_a_limit(monkeypatch: Any) -> None:
    def f(h: Tensor, x: Tensor, u: Tensor) -> Any:
        return graphc.scan(lambda h, x: (h * 0.5 + x @ u, None), h, x)[0]

    shapes = ((64,), (STEPS, 2), (2, 64))
    assert inside(distributed(f, *shapes)) == []
    monkeypatch.setattr(sys.modules[distribute_scans.__module__], "FREE_BYTES", 0)
    assert inside(distributed(f, *shapes)) == [(64,)]


def test_scans_that_recompute_stay_as_they_are() -> None:
    def f(h: Tensor, x: Tensor, u: Tensor) -> Any:
        def step(h: Tensor, x: Tensor) -> Any:
            return graphc.sin(h) + x @ u, None

        return graphc.scan(step, h, x, checkpoint_every=2)[0]

    graph = distributed(f, (HIDDEN,), (STEPS, SIZE), (SIZE, HIDDEN))
    assert contractions(graph) == []
    assert inside(graph) == [(2, HIDDEN)]  # in a segment, of its two steps


def test_a_product_of_two_things_that_change_stays() -> None:
    def f(x: Tensor, y: Tensor) -> Any:
        return graphc.map(lambda s: s[0] @ s[1], (x, y))

    assert inside(distributed(f, (STEPS, 3, 4), (STEPS, 4, 5))) == [(3, 5)]
