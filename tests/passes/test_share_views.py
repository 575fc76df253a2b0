"""Views in row-major order cost no memory and no copy, unless something needs one of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc
from graphc import ops
from graphc.graph import Graph
from graphc.node import Node
from graphc.passes.fuse import fuse
from graphc.passes.lower import lower
from graphc.passes.share_views import share_views
from graphc.plan import Plan
from tests.passes.networks import TARGET, placeholder


def kept_calls(outputs: list[Node], inputs: list[Node]) -> list[list[str]]:
    """Return the ops of what each kept call reads and writes, without the status."""
    graph = Graph(inputs, outputs)
    calls = share_views(lower(fuse(graph, TARGET)).calls, graph)
    return [[o.op.name for o in call.operands if isinstance(o, Node)] for _, call in calls]


def test_a_reshape_before_a_host_function_is_left_out() -> None:
    x = placeholder((4, 6))
    order = ops.argsort(ops.reshape(x, shape=(24,)), axis=0, descending=False)
    assert kept_calls([order], [x]) == [["input", "argsort"]]


def test_so_are_the_first_rows_in_another_shape() -> None:
    x = placeholder((7, 4))
    rows = ops.slice_(x, start=(0, 0), stop=(6, 4), step=(1, 1))
    order = ops.argsort(ops.reshape(rows, shape=(3, 8)), axis=0, descending=False)
    assert kept_calls([order], [x]) == [["input", "argsort"]]


@pytest.mark.parametrize(
    ("start", "stop", "step"),
    [((1, 0), (7, 4), (1, 1)), ((0, 0), (6, 3), (1, 1)), ((0, 0), (6, 4), (2, 1))],
)
def test_other_slices_are_copied(
    start: tuple[int, int], stop: tuple[int, int], step: tuple[int, int]
) -> None:
    x = placeholder((7, 4))
    order = ops.argsort(ops.slice_(x, start=start, stop=stop, step=step), axis=0, descending=False)
    assert kept_calls([order], [x]) == [["input", "slice"], ["slice", "argsort"]]


def test_an_output_has_memory_of_its_own() -> None:
    x = placeholder((4, 6))
    flat = ops.reshape(x, shape=(24,))
    order = ops.argsort(flat, axis=0, descending=False)
    assert kept_calls([order, flat], [x]) == [["input", "reshape"], ["reshape", "argsort"]]


def test_a_reader_of_both_has_two_arrays() -> None:
    x = placeholder((4, 4))
    y = ops.slice_(x, start=(0, 0), stop=(2, 4), step=(1, 1))
    solved = ops.solve_triangular(x, ops.reshape(y, shape=(4, 2)), lower=True, transposed=False)
    assert kept_calls([solved], [x]) == [
        ["input", "reshape"],
        ["input", "reshape", "solve_triangular"],
    ]


def test_what_is_viewed_is_kept_as_long_as_the_view_is_read() -> None:
    """The memory of y would be free for z, were the loop's reading of its view not seen."""
    random = np.random.default_rng(0)
    x = random.standard_normal((6, 8)).astype(np.float32)

    @graphc.compile
    def function(x: Any) -> Any:
        y = graphc.cumulative_sum(x, 1)
        z = graphc.cumulative_sum(y * 2, 1)
        last, _ = graphc.scan(lambda c, row: (c + row, None), z[0, :4] * 0, y.reshape((12, 4)))
        return z, last

    z, last = function(x)
    y = x.cumsum(1)
    np.testing.assert_allclose(last, y.reshape(12, 4).sum(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(z, (y * 2).cumsum(1), rtol=1e-5)


# --- what it is for ------------------------------------------------------------------------------


def plan_of_gradient(length: int, every: int | None, *, reverse: bool = False) -> Plan:
    """Return the plan of the gradient of a recurrence by its weights; a carry has 2048 bytes."""
    h, w, x = graphc.input((8, 64)), graphc.input((64, 64)), graphc.input((length, 8, 64))

    def step(h: graphc.Tensor, x: graphc.Tensor) -> tuple[graphc.Tensor, None]:
        return graphc.tanh(h @ w + x), None

    last, _ = graphc.scan(step, h, x, reverse=reverse, checkpoint_every=every)
    plan = graphc.compile([graphc.grad(last.sum(), w)], inputs=[h, w, x]).stages.plan
    assert plan is not None
    return plan


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("length", "every"), [(900, 30), (1000, 31)])
def test_checkpoints_take_the_memory_that_is_predicted(
    length: int, every: int, reverse: bool
) -> None:
    """A carry for each segment, and three residuals for each step of one, and of the rest."""
    carry, weights = 8 * 64 * 4, 64 * 64 * 4
    rest = length % every
    predicted = carry * (length // every + 3 * every + 3 * rest) + 4 * weights
    found = plan_of_gradient(length, every, reverse=reverse).arena_bytes
    assert 0.5 * predicted < found <= 1.1 * predicted
    plain = plan_of_gradient(length, None, reverse=reverse).arena_bytes
    assert 3 * length * carry <= plain <= 3.1 * length * carry
