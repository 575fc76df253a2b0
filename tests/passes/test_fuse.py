"""Which nodes share a kernel, and the reasons given for it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.graph import Graph
from graphc.group import Grouping, Reason
from graphc.node import Node
from graphc.op import View
from graphc.passes.acyclic_order import AcyclicOrder
from graphc.passes.differentiate import gradients
from graphc.passes.fuse import fuse
from graphc.passes.fuse_cluster import MOST_MEMBERS
from graphc.passes.lower import lower
from tests.passes.networks import (
    TARGET,
    adam,
    classifier_step,
    constant,
    filled,
    layer_norm,
    linear,
    matmul,
    over_rows,
    placeholder,
    relu,
    softmax,
    spread,
    variable,
)
from tests.random_graphs import random_graph


def fused(inputs: list[Node], outputs: list[Node]) -> Grouping:
    return fuse(Graph(inputs, outputs), TARGET)


def reasons(grouping: Grouping) -> dict[tuple[str, str], Reason]:
    return {(d.producer.op.name, d.consumer.op.name): d.reason for d in grouping.decisions}


def test_softmax_is_one_kernel() -> None:
    x = placeholder((8, 100))
    grouping = fused([x], [softmax(x)])
    assert [group.name for group in grouping.groups] == ["max_exp_sum_divide"]
    found = reasons(grouping)
    assert found["subtract", "exp"] is Reason.ELEMENTWISE
    assert found["exp", "sum"] is Reason.PROLOGUE
    assert found["broadcast_to", "divide"] is Reason.INDEX_MAP


def test_log_softmax_is_one_kernel() -> None:
    x = placeholder((8, 100))
    shifted = ops.subtract(x, over_rows(ops.max_(x, axes=(1,)), x.shape))
    total = ops.log(ops.sum_(ops.exp(shifted), axes=(1,)))
    assert len(fused([x], [ops.subtract(shifted, over_rows(total, x.shape))]).groups) == 1


def test_layer_norm_is_one_kernel() -> None:
    x, scale, shift = placeholder((64, 256)), placeholder((256,)), placeholder((256,))
    assert len(fused([x, scale, shift], [layer_norm(x, scale, shift)]).groups) == 1


@pytest.mark.parametrize("network", ["softmax", "layer_norm"])
def test_gradient_of_a_row_kernel_is_one_kernel(network: str) -> None:
    x, scale, shift, cotangent = (placeholder(s) for s in ((64, 48), (48,), (48,), (64, 48)))
    y = softmax(x) if network == "softmax" else layer_norm(x, scale, shift)
    (gradient,) = gradients([y], [cotangent], [x])
    assert len(fused([x, scale, shift, cotangent], [gradient]).groups) == 1


def test_result_and_all_gradients_of_layer_norm_are_a_kernel_of_rows_and_one_of_columns() -> None:
    x, scale, shift, cotangent = (placeholder(s) for s in ((64, 48), (48,), (48,), (64, 48)))
    y = layer_norm(x, scale, shift)
    outputs = [y, *gradients([y], [cotangent], [x, scale, shift])]
    assert len(fused([x, scale, shift, cotangent], outputs).groups) == 2


def test_adam_is_one_kernel_with_three_results() -> None:
    gradient, rate = placeholder((30, 40)), placeholder(())
    graph = Graph([gradient, rate], [], adam(variable((30, 40)), gradient, rate))
    (group,) = fuse(graph, TARGET).groups
    assert len(group.outputs) == 3


def test_bias_and_relu_are_the_epilogue_of_a_matmul() -> None:
    x, weights, bias = placeholder((32, 64)), placeholder((64, 48)), placeholder((48,))
    grouping = fused([x, weights, bias], [relu(linear(x, weights, bias))])
    assert len(grouping.groups) == 1
    assert reasons(grouping)["contraction", "add"] is Reason.EPILOGUE


def test_an_epilogue_may_read_another_operand_of_the_full_shape() -> None:
    x, weights, other = placeholder((32, 64)), placeholder((64, 48)), placeholder((32, 48))
    assert len(fused([x, weights, other], [ops.add(matmul(x, weights), other)]).groups) == 1


def test_what_a_contraction_reads_is_stored_but_for_views() -> None:
    x, weights = placeholder((64, 32)), placeholder((64, 48))
    turned = ops.permute_dims(x, axes=(1, 0))
    assert len(fused([x, weights], [matmul(turned, weights)]).groups) == 1
    grouping = fused([x, weights], [matmul(ops.permute_dims(ops.exp(x), axes=(1, 0)), weights)])
    assert [group.name for group in grouping.groups] == ["exp", "contraction"]
    assert reasons(grouping)["exp", "permute_dims"] is Reason.CONTRACTION_OPERAND


def test_two_contractions_are_two_kernels() -> None:
    a, b = placeholder((16, 16)), placeholder((16, 16))
    assert len(fused([a, b], [matmul(matmul(a, b), b)]).groups) == 2


def test_results_over_the_same_elements_share_a_kernel() -> None:
    x = placeholder((100, 100))
    assert len(fused([x], [ops.sin(x), ops.cos(x), ops.sum_(ops.exp(x), axes=(1,))]).groups) == 1


def test_a_costly_value_read_over_other_axes_is_stored_and_a_cheap_one_is_repeated() -> None:
    x, y = placeholder((100,)), placeholder((50, 100))
    costly = fused([x, y], [ops.add(spread(ops.exp(x), y.shape), y)])
    cheap = fused([x, y], [ops.add(spread(ops.negative(x), y.shape), y)])
    assert (len(costly.groups), len(cheap.groups)) == (2, 1)
    assert reasons(costly)["exp", "broadcast_to"] is Reason.OTHER_AXES


def test_one_row_for_all_threads_is_not_worth_a_kernel() -> None:
    large, small = placeholder((1000, 1000)), placeholder((10, 10))
    for x, count in ((large, 2), (small, 1)):
        total = spread(ops.sum_(x, axes=(0, 1)), x.shape)
        grouping = fused([x], [ops.multiply(x, total)])
        assert len(grouping.groups) == count
    total = spread(ops.sum_(large, axes=(0, 1)), large.shape)
    grouping = fused([large], [ops.multiply(large, total)])
    assert reasons(grouping)["sum", "broadcast_to"] is Reason.FEW_ROWS


def test_few_columns_are_no_work_for_all_threads() -> None:
    for shape, count in (((10_000, 16), 2), ((1000, 1024), 1), ((100, 16), 1)):
        x = placeholder(shape)
        mean = spread(ops.sum_(x, axes=(0,)), shape)
        assert len(fused([x], [ops.subtract(x, mean)]).groups) == count


def test_reductions_over_different_axes_are_two_kernels() -> None:
    x = placeholder((100, 200))
    rows = ops.sum_(x, axes=(1,))
    grouping = fused([x], [ops.sum_(rows, axes=(0,))])
    assert len(grouping.groups) == 2
    assert reasons(grouping)["sum", "sum"] is Reason.OTHER_AXES


def test_a_training_step_is_three_kernels_a_layer_and_two_for_the_loss() -> None:
    for backwards in (False, True):
        graph = classifier_step((20, 16, 12, 10), 32, backwards=backwards)
        names = Counter(group.name for group in fuse(graph, TARGET).groups)
        contractions = sum(n for name, n in names.items() if name.startswith("contraction"))
        assert contractions == 3 + 2 + 3  # forward, back to the hidden layers, to the weights
        assert names["sum_sqrt_divide"] == 3  # biases, updated where they are summed
        assert sum(names.values()) <= 14


def test_kernels_do_not_wait_for_themselves() -> None:
    """Both readers of x go over the same elements, but one needs the other through a sum."""
    x = placeholder((128, 128))
    costly = ops.exp(x)
    column = ops.sum_(costly, axes=(0,))
    y = ops.multiply(costly, spread(column, x.shape))
    assert_is_valid(fused([x], [costly, y, ops.sin(costly)]))


def test_a_chain_of_any_length_is_cut_into_kernels_of_bounded_size() -> None:
    x = placeholder((64,))
    y = x
    for _ in range(3000):
        y = ops.sin(y)
    grouping = fused([x], [y])
    assert_is_valid(grouping)
    assert max(len(group.members) for group in grouping.groups) <= MOST_MEMBERS
    assert len(grouping.groups) == 3000 // MOST_MEMBERS
    assert Reason.LIMIT in {decision.reason for decision in grouping.decisions}


def test_cheap_chains_are_not_repeated_without_end() -> None:
    x, y = placeholder((64, 64)), placeholder((64, 64))
    shared = x
    for _ in range(20):
        shared = ops.add(shared, filled(1.0, x.shape))
    first = ops.sum_(shared, axes=(0,))
    second = ops.sum_(ops.multiply(shared, y), axes=(1,))
    grouping = fused([x, y], [first, second])
    homes = Counter(
        node for group in grouping.groups for node in group.members if node.op.is_elementwise
    )
    assert sum(homes.values()) <= 20 + 1 + 4


def test_unfused_is_one_kernel_a_node() -> None:
    x = placeholder((8, 100))
    graph = Graph([x], [softmax(x)])
    grouping = fuse(graph, TARGET, enabled=False)
    assert [g.name for g in grouping.groups] == ["max", "subtract", "exp", "sum", "divide"]
    assert reasons(grouping)["exp", "sum"] is Reason.DISABLED


def test_leaves_make_no_groups() -> None:
    x = placeholder((3,))
    assert fused([x], [x, constant(1.0)]).groups == ()


@pytest.mark.parametrize("enabled", [True, False])
def test_groups_of_random_graphs_can_run_in_their_order(enabled: bool) -> None:
    for seed in range(60):
        assert_is_valid(fuse(random_graph(seed).graph, TARGET, enabled=enabled))


def assert_is_valid(grouping: Grouping) -> None:
    """Check that what a group reads was stored before, once, and that every edge has a verdict."""
    stored: set[Node] = set()
    for group in grouping.groups:
        for node in group.inputs:
            assert node.op.is_leaf or node in stored
        assert not stored & set(group.outputs)
        assert set(group.outputs) <= set(group.members)
        stored |= set(group.outputs)
    for root in grouping.graph.roots:
        assert root.op.is_leaf or root in stored
    edges = [
        (node, number)
        for node in grouping.graph.nodes
        for number, operand in enumerate(node.inputs)
        if not operand.op.is_leaf
    ]
    assert [(d.consumer, d.operand) for d in grouping.decisions] == edges
    for decision in grouping.decisions:
        homes = [g for g in grouping.groups if decision.consumer in g.members]
        together = all(decision.producer in group.members for group in homes)
        assert decision.reason.is_fused == together


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("in_memory", [True, False])
def test_views_of_views_are_stored_before_their_places_grow_too_long(
    enabled: bool, in_memory: bool
) -> None:
    x = placeholder((6, 35))
    y = x
    for n in range(60):
        turned = ops.permute_dims(y, axes=(1, 0))
        y = ops.reshape(turned, shape=((10, 21), (6, 35), (15, 14))[n % 3])
    result = ops.contraction(y, y, lhs="ik", rhs="jk", out="ij") if in_memory else ops.exp(y)
    grouping = fuse(Graph([x], [result]), TARGET, enabled=enabled)
    assert_is_valid(grouping)
    assert 1 < len(grouping.groups) < 40
    for call in lower(grouping).calls:
        assert len(str(call.routine)) < 5000


def test_views_are_stored_only_as_results() -> None:
    for seed in range(40):
        grouping = fuse(random_graph(seed).graph, TARGET)
        for group in grouping.groups:
            for node in group.outputs:
                is_view = isinstance(node.op.lowering, View)
                assert not is_view or node in grouping.graph.roots


def test_an_order_stays_acyclic() -> None:
    """Against reachability computed from scratch, on random edges and merges."""
    random = np.random.default_rng(0)
    for _ in range(30):
        order, edges, alive = AcyclicOrder(), set[tuple[int, int]](), list(range(12))
        for vertex in alive:
            order.add(vertex)
        for _ in range(60):
            a, b = (int(v) for v in random.choice(alive, 2, replace=False))
            if random.random() < 0.8:
                allowed = not _reaches(edges, b, a)
                assert order.add_edge(a, b) == allowed
                edges |= {(a, b)} if allowed else set()
            elif len(alive) > 2:
                allowed = not (_reaches(edges, a, b) or _reaches(edges, b, a))
                assert order.merge(a, b) == allowed
                if allowed:
                    alive.remove(b)
                    edges = {(a if s == b else s, a if t == b else t) for s, t in edges}
            assert all(order.position(s) < order.position(t) for s, t in edges)


def _reaches(edges: set[tuple[int, int]], source: int, target: int) -> bool:
    found, pending = {source}, [source]
    while pending:
        vertex = pending.pop()
        for s, t in edges:
            if s == vertex and t not in found:
                found.add(t)
                pending.append(t)
    return target in found


def test_a_gather_keeps_its_data_in_memory() -> None:
    data, indices = placeholder((10, 4)), placeholder((7,), dtypes.int64)
    rows = ops.take(ops.exp(data), indices, axis=0, mode="raise")
    grouping = fused([data, indices], [ops.negative(rows)])
    assert [group.name for group in grouping.groups] == ["exp", "take"]
    assert reasons(grouping)["exp", "take"] is Reason.WHOLE_OPERAND
