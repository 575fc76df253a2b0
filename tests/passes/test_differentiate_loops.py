"""Loops against the same without: values, gradients of both orders, optimised or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import Tensor
from graphc.body import nested_bodies, rewrite_nested
from graphc.frontend.structures import flatten_result
from graphc.graph import Graph
from graphc.graph_verifier import verify
from graphc.interpreter import interpret
from graphc.op import Scan
from graphc.passes.distribute_scans import distribute_scans
from graphc.passes.fold_constants import fold_constants
from graphc.passes.merge_scans import merge_scans
from graphc.passes.simplify import simplify
from graphc.passes.simplify_loops import simplify_loops
from tests.loop_cases import CASES, Array, Case
from tests.loop_kinds import Compiled, Unrolled

OPTIONS: list[dict[str, int]] = [
    {}, {"unroll": 2}, {"checkpoint_every": 2}, {"unroll": 2, "checkpoint_every": 3},
]  # fmt: skip
ids = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def projected(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return the scalar product of the squared results of `function` with a random direction."""

    def loss(*arguments: Any) -> Any:
        rng, total = np.random.default_rng(3), graphc.asarray(np.float64(0))
        for leaf in flatten_result(function(*arguments))[0]:
            if leaf.dtype.is_float:
                total = total + (leaf * leaf * rng.uniform(0.5, 1.5, leaf.shape)).sum()
        return total

    return loss


def first(case: Case, do: Compiled) -> Callable[..., Any]:
    places = tuple(range(len(case.shapes)))
    return graphc.value_and_grad(projected(case.make(do)), places)


def second(case: Case, do: Compiled) -> Callable[..., Any]:
    """Return the gradient of a function of the gradient."""
    gradient = first(case, do)
    places = tuple(range(len(case.shapes)))
    return graphc.value_and_grad(projected(lambda *a: gradient(*a)[1]), places)


def graph_of(function: Callable[..., Any], case: Case) -> Graph:
    return verify(graphc.trace(function, case.arrays).graph)


def optimised(graph: Graph) -> Graph:
    """Return the graph as the passes before fusion leave it."""
    graph = verify(merge_scans(graph))
    for step in (fold_constants, simplify_loops, simplify, fold_constants):
        graph = verify(rewrite_nested(graph, step))
    return graph


def values(graph: Graph, case: Case) -> tuple[Array, ...]:
    return interpret(graph, case.arrays)[0]


def assert_close(got: Sequence[Array], wanted: Sequence[Array], tolerance: float = 1e-11) -> None:
    assert len(got) == len(wanted)
    for left, right in zip(got, wanted, strict=True):
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance)


def differences(loss: Graph, case: Case) -> list[Array]:
    """Return central differences of the first output by every argument."""
    found = []
    for which, array in enumerate(case.arrays):
        slopes = np.zeros(array.shape)
        for place in np.ndindex(*array.shape):
            ends = []
            for sign in (1e-6, -1e-6):
                moved = [np.array(a) for a in case.arrays]
                moved[which][place] += sign
                ends.append(float(interpret(loss, moved)[0][0]))
            slopes[place] = (ends[0] - ends[1]) / 2e-6
        found.append(slopes)
    return found


@ids
def test_values_are_those_of_python_loops(case: Case) -> None:
    wanted = values(graph_of(case.make(Unrolled()), case), case)
    for options in OPTIONS:
        graph = graph_of(case.make(Compiled(**options)), case)
        got = values(graph, case)
        if case.name != "no_step":
            assert_close(got, wanted)
        for left, right in zip(values(optimised(graph), case), got, strict=True):
            assert left.tobytes() == right.tobytes()


@ids
def test_contractions_outside_of_loops_give_the_same(case: Case) -> None:
    for function in (case.make(Compiled()), first(case, Compiled())):
        graph = optimised(graph_of(function, case))
        moved = verify(rewrite_nested(graph, distribute_scans))
        assert_close(values(moved, case), values(graph, case))


@ids
def test_gradients_are_those_of_python_loops(case: Case) -> None:
    wanted = values(graph_of(first(case, Unrolled()), case), case)
    for options in OPTIONS:
        graph = graph_of(first(case, Compiled(**options)), case)
        got = values(graph, case)
        assert_close(got, wanted)
        for left, right in zip(values(optimised(graph), case), got, strict=True):
            assert left.tobytes() == right.tobytes()
    if case.is_plain:
        slopes = differences(optimised(graph_of(projected(case.make(Compiled())), case)), case)
        assert_close(got[1:], slopes, 1e-6)


@ids
def test_second_gradients_are_those_of_python_loops(case: Case) -> None:
    wanted = values(graph_of(second(case, Unrolled()), case), case)
    for options in OPTIONS[:3]:
        graph = optimised(graph_of(second(case, Compiled(**options)), case))
        assert_close(values(graph, case), wanted, 1e-9)
    if case.is_plain and not case.slow:
        loss = optimised(graph_of(lambda *a: second(case, Compiled())(*a)[0], case))
        assert_close(values(graph, case)[1:], differences(loss, case), 2e-5)


def recurrent(length: int, **options: Any) -> Graph:
    """Return the step of a recurrent network over batches: loss and gradients."""

    def loss(h: Tensor, w: Tensor, b: Tensor, x: Tensor) -> Any:
        def step(h: Tensor, x: Tensor) -> Any:
            h = graphc.tanh(h @ w + x + b)
            return h, h.sum()

        return graphc.scan(step, h, x, **options)[1].sum()

    types = [graphc.tensor_type(s) for s in ((8, 4), (4, 4), (4,), (length, 8, 4))]
    return graphc.trace(graphc.value_and_grad(loss, (0, 1, 2)), types).graph


def scans(graph: Graph) -> list[Any]:
    return [node for node in graph.nodes if isinstance(node.op.lowering, Scan)]


def test_one_scan_forward_and_one_back() -> None:
    forward, backward = scans(optimised(recurrent(6)))
    assert (forward.attributes["reverse"], backward.attributes["reverse"]) == (False, True)
    # stacked: the sums that the loss reads, the carry before each step and the one after it
    assert [str(t) for t in forward.results[1:]] == ["float32[6]", *["float32[6, 8, 4]"] * 2]


def test_gradients_of_weights_are_one_contraction_after_the_loop() -> None:
    graph = optimised(recurrent(6))
    _, backward = scans(graph)
    body = backward.attributes["body"].graph
    inside = [n for n in body.nodes if n.op.name == "contraction"]
    assert [n.type.shape for n in inside] == [(8, 4)]  # the carry's cotangent alone
    outside = [n for n in graph.nodes if n.op.name == "contraction"]
    assert [(n.type.shape, n.inputs[0].shape) for n in outside] == [((4, 4), (6, 8, 4))]
    assert backward.attributes["carries"] == 1  # nothing adds up for the bias either


def test_cotangents_of_slices_are_one_contraction_after_the_loop() -> None:
    def loss(x: Tensor, u: Tensor, w: Tensor) -> Any:
        def step(h: Tensor, x: Tensor) -> Any:
            return graphc.tanh(x @ u + h @ w), None

        return graphc.scan(step, graphc.zeros((8, 4)), x)[0].sum()

    types = [graphc.tensor_type(s) for s in ((6, 8, 5), (5, 4), (4, 4))]
    graph = optimised(graphc.trace(graphc.grad(loss, (0, 1, 2)), types).graph)
    outside = [n.type.shape for n in graph.nodes if n.op.name == "contraction"]
    assert sorted(outside) == [(4, 4), (5, 4), (6, 8, 5)]


def test_sums_that_share_sums_are_not_written_out() -> None:
    def loss(x: Tensor, k: Tensor) -> Any:
        def step(c: Tensor, x: Tensor) -> Any:
            twice = k + c
            for _ in range(40):
                twice = twice + twice
            return c * 0.5 + x * twice, None

        return graphc.scan(step, graphc.asarray(np.float64(0)), x)[0]

    graph = graphc.trace(graphc.grad(loss, 1), [np.ones(3), np.float64(1)]).graph
    assert len(scans(graph)) == 1


def test_the_size_of_a_graph_does_not_depend_on_the_number_of_steps() -> None:
    sizes = []
    for length in (10, 10_000):
        graph = optimised(recurrent(length, checkpoint_every=10))
        bodies = nested_bodies(graph.nodes)
        sizes.append(len(graph.nodes) + sum(len(body.graph.nodes) for body in bodies))
    few, many = sizes
    assert few <= many < 400


def most_stacked(graph: Graph) -> int:
    """Return the bytes of all that the scans of a graph and of its bodies stack."""
    graphs = [graph, *(body.graph for body in nested_bodies(graph.nodes))]
    found = [s for g in graphs for s in scans(g)]
    return sum(t.nbytes for s in found for t in s.results[s.attributes["carries"] :])


def test_checkpoints_keep_the_carries_alone() -> None:
    length, every, step = 10_000, 100, 8 * 4 * 4
    kept = most_stacked(optimised(recurrent(length)))
    with_checkpoints = most_stacked(optimised(recurrent(length, checkpoint_every=every)))
    assert kept > 3 * length * step
    assert with_checkpoints < (length / every + 5 * every) * step + length * 4 * 2


def test_a_long_scan_has_the_gradient_of_its_closed_form() -> None:
    def loss(rate: Tensor) -> Any:
        return graphc.scan(lambda c, _: (c * rate, None), 1.0, length=10_000)[0]

    rate = np.asarray(0.9999)
    graph = optimised(graphc.trace(graphc.value_and_grad(loss), [rate]).graph)
    (value, slope), _ = interpret(graph, [rate])
    np.testing.assert_allclose(value, rate**10_000, rtol=1e-10)
    np.testing.assert_allclose(slope, 10_000 * rate**9_999, rtol=1e-10)


def test_loops_of_unknown_length_are_refused_with_the_users_line() -> None:
    def loss(x: Tensor) -> Any:
        return graphc.while_loop(lambda x: x < 10, lambda x: x * 2, x)

    with pytest.raises(graphc.GraphcTypeError, match="no derivative in reverse mode") as caught:
        graphc.compile(graphc.grad(loss), backend="reference")(np.float64(1.5))
    assert "test_differentiate_loops.py" in str(caught.value)
    assert "max_iterations" in str(caught.value)


def test_what_needs_no_gradient_is_not_asked_for_one() -> None:
    def loss(x: Tensor, y: Tensor) -> Any:
        def step(c: Any, x: Tensor) -> Any:
            n, y = c  # y goes through a loop without a derivative, but x does not
            y = graphc.while_loop(lambda y: y < 10, lambda y: y * 2, y)
            return (n + 1, y), x * x

        return graphc.scan(step, (0, y), x)[1].sum()

    gradient = graphc.grad(loss)
    graph = graphc.trace(gradient, [np.ones(3), np.float64(1.5)]).graph
    assert interpret(graph, [np.full(3, 2.0), np.asarray(1.5)])[0][0].tolist() == [4, 4, 4]


def test_forward_mode_goes_through_loops_of_unknown_length() -> None:
    def f(x: Tensor, k: Tensor) -> Any:
        def step(s: Any) -> Any:
            x, n, y = s
            return x * k + 1, n + 1, y * graphc.sin(x)

        return graphc.while_loop(lambda s: s[0].sum() < 30, step, (x, 0, x * 2))

    def both(x: Tensor, k: Tensor, s: Tensor, t: Tensor) -> Any:
        values, (by_x, _, by_y) = graphc.jvp(f, (x, k), (s, t))
        return values, by_x, by_y

    rng = np.random.default_rng(2)
    x, k, s, t = rng.uniform(1, 2, (4, 3))
    traced = graphc.trace(both, [x, k, s, t])
    values, _ = interpret(optimised(traced.graph), [x, k, s, t])
    h = 1e-6
    graph = graphc.trace(f, [x, k]).graph
    high, low = (interpret(graph, [x + e * s, k + e * t])[0] for e in (h, -h))
    for got, number in ((values[3], 0), (values[4], 2)):
        np.testing.assert_allclose(got, (high[number] - low[number]) / (2 * h), rtol=1e-6)


def test_forward_mode_of_forward_mode_goes_through_them_too() -> None:
    def f(x: Tensor) -> Any:
        return graphc.while_loop(lambda x: x < 30, lambda x: x * x + 1, x)

    def second(x: Tensor) -> Any:
        def slope(x: Tensor) -> Any:
            return graphc.jvp(f, (x,), (graphc.ones_like(x),))[1]

        return graphc.jvp(slope, (x,), (graphc.ones_like(x),))[1]

    x, h = np.float64(1.3), 1e-4
    (got,), _ = interpret(optimised(graphc.trace(second, [x]).graph), [np.asarray(x)])
    graph = graphc.trace(f, [x]).graph
    high, at, low = (float(interpret(graph, [np.asarray(x + e)])[0][0]) for e in (h, 0, -h))
    np.testing.assert_allclose(got, (high - 2 * at + low) / h**2, rtol=1e-4)


def test_forward_mode_goes_through_scans() -> None:
    def f(x: Tensor) -> Any:
        return graphc.scan(lambda c, x: (graphc.sin(c) * x, c), graphc.asarray(np.float64(1)), x)

    x, t = np.array([0.3, 0.8, 0.5]), np.array([1.0, -2.0, 0.5])
    traced = graphc.trace(lambda x, t: graphc.jvp(f, (x,), (t,)), [x, t])
    values, _ = interpret(optimised(traced.graph), [x, t])
    step = 1e-6
    ends = [interpret(graphc.trace(f, [x]).graph, [x + s * t])[0] for s in (step, -step)]
    for got, high, low in zip(values[2:], *ends, strict=True):
        np.testing.assert_allclose(got, (high - low) / (2 * step), rtol=1e-6, atol=1e-8)
