"""Kernels of groups: their text, their numbers, and that fusing changes no bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.dtypes import DType
from graphc.errors import GraphcIndexError
from graphc.graph import Graph
from graphc.interpreter import interpret
from graphc.kernel import Barrier, Kernel, Loop, Scope, Scratch, statements
from graphc.kernel_interpreter import run
from graphc.kernel_verifier import verify
from graphc.node import Node
from graphc.passes.fuse import fuse
from graphc.passes.lower import Lowered, lower
from graphc.passes.plan_memory import plan_memory
from graphc.reduction_order import BLOCK, reduction_order
from tests.passes.networks import (
    TARGET,
    classifier_step,
    constant,
    filled,
    matmul,
    placeholder,
    relu,
    softmax,
    spread,
)
from tests.passes.plan_runner import run_plan
from tests.random_graphs import random_graph

Array = np.ndarray[Any, Any]


def lowered(graph: Graph, *, enabled: bool = True) -> Lowered:
    return lower(fuse(graph, TARGET, enabled=enabled))


def only_kernel(inputs: list[Node], outputs: list[Node]) -> Kernel:
    (kernel,) = lowered(Graph(inputs, outputs)).kernels
    verify(kernel)
    return kernel


def evaluate(graph: Graph, *arguments: Array, enabled: bool = True) -> list[Array]:
    plan = plan_memory(lowered(graph, enabled=enabled), graph, TARGET)
    return run_plan(plan, arguments)


def same_bits(a: Array, b: Array) -> bool:
    """Return whether arrays are equal bit for bit, except that all NaN are one."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if np.dtype(a.dtype).kind in "iub":
        return bool(np.array_equal(a, b))
    nans = np.isnan(a.astype(np.float64)), np.isnan(b.astype(np.float64))
    return bool(np.array_equal(*nans)) and a[~nans[0]].tobytes() == b[~nans[1]].tobytes()


# --- text ----------------------------------------------------------------------------------------


def test_elementwise_text() -> None:
    x, y = placeholder((4, 3)), placeholder((3,))
    text = str(only_kernel([x, y], [ops.add(x, spread(ops.negative(y), (4, 3)))]))
    assert text.splitlines() == [
        "kernel negative_add(x0: float32[4, 3] in, x1: float32[3] in, y0: float32[4, 3] out) {",
        "  for i0 < 4 parallel {",
        "    for i1 < 3 parallel {",
        "      %load_0 = load x0[i0, i1] : float32",
        "      %load_1 = load x1[i1] : float32",
        "      %negative_0 = negative(%load_1) : float32",
        "      %add_0 = add(%load_0, %negative_0) : float32",
        "      store y0[i0, i1] = %add_0",
        "    }",
        "  }",
        "}",
    ]


def test_matmul_with_bias_and_relu_text() -> None:
    a, b, bias = placeholder((4, 5)), placeholder((5, 3)), placeholder((3,))
    y = relu(ops.add(matmul(a, b), spread(bias, (4, 3))))
    lines = str(only_kernel([a, b, bias], [y])).splitlines()
    assert lines[1:] == [
        "  for i0 < 4 parallel {",
        "    for i1 < 3 parallel {",
        "      scratch accumulator0 : float32[] register",
        "      %literal_0 = literal() 0.0 : float32",
        "      store accumulator0[] = %literal_0",
        "      for k0 < 5 serial {",
        "        %load_0 = load x0[i0, k0] : float32",
        "        %load_1 = load x1[k0, i1] : float32",
        "        %load_2 = load accumulator0[] : float32",
        "        %fma_0 = fma(%load_0, %load_1, %load_2) : float32",
        "        store accumulator0[] = %fma_0",
        "      }",
        "      %load_3 = load accumulator0[] : float32",
        "      %load_4 = load x2[i1] : float32",
        "      %add_0 = add(%load_3, %load_4) : float32",
        "      %literal_1 = literal() 0.0 : float32",
        "      %maximum_0 = maximum(%add_0, %literal_1) : float32",
        "      store y0[i0, i1] = %maximum_0",
        "    }",
        "  }",
        "}",
    ]


def test_padding_loads_where_it_may() -> None:
    x = placeholder((4,))
    kernel = only_kernel([x], [ops.pad(ops.negative(x), constant(7.0), low=(1,), high=(2,))])
    assert [line.strip() for line in str(kernel).splitlines()[2:-2]] == [
        "%index_0 = index(0) : int64",
        "%index_1 = index(i0) : int64",
        "%lt_0 = lt(%index_0, %index_1) : bool",
        "%index_2 = index(i0) : int64",
        "%index_3 = index(5) : int64",
        "%lt_1 = lt(%index_2, %index_3) : bool",
        "%and_0 = and(%lt_0, %lt_1) : bool",
        "%load_0 = load x0[i0 + -1] where %and_0 : float32",
        "%negative_0 = negative(%load_0) : float32",
        "%literal_0 = literal() 7.0 : float32",
        "%select_0 = select(%and_0, %negative_0, %literal_0) : float32",
        "store y0[i0] = %select_0",
    ]


def test_16_bit_floats_are_rounded_after_every_op() -> None:
    x = placeholder((4,), dtypes.float16)
    text = str(only_kernel([x], [ops.exp(ops.add(x, x))]))
    assert text.count("= convert(") == 4
    assert "%add_0 = add(%convert_0, %convert_0) : float32" in text
    assert "%convert_1 = convert(%add_0) : float16" in text


def test_what_varies_with_rows_only_is_computed_once_a_row() -> None:
    x, y = placeholder((4, 30)), placeholder((4,))
    column = spread(ops.reshape(ops.exp(y), shape=(4, 1)), (4, 30))
    (loop,) = only_kernel([x, y], [ops.sum_(ops.multiply(x, column), axes=(1,))]).body
    assert isinstance(loop, Loop)
    assert [getattr(s, "op", "") for s in loop.body].count("exp") == 1


def test_a_costly_value_used_twice_in_a_row_is_cached_if_the_row_fits() -> None:
    for width, scopes in ((100, {Scope.CACHE, Scope.REGISTER}), (40_000, {Scope.REGISTER})):
        x = placeholder((64, width))
        kernel = only_kernel([x], [softmax(x)])
        found = {s.scope for s in statements(kernel.body) if isinstance(s, Scratch)}
        assert found == scopes


def test_every_top_level_statement_is_a_loop_or_a_barrier() -> None:
    for seed in range(30):
        for kernel in lowered(random_graph(seed).graph).kernels:
            assert all(isinstance(s, Loop | Barrier) for s in kernel.body)
            verify(kernel)


# --- sharing -------------------------------------------------------------------------------------


def test_equal_layers_share_a_kernel() -> None:
    x, weights = placeholder((8, 8)), [placeholder((8, 8)) for _ in range(12)]
    y = x
    for matrix in weights:
        y = softmax(matmul(y, matrix))
    calls = lowered(Graph([x, *weights], [y])).calls
    assert len(calls) == 24
    assert len({id(call.routine) for call in calls}) == 2


def test_kernels_that_differ_in_a_sign_of_zero_are_two() -> None:
    one, two = placeholder((8,)), placeholder((8,))
    graph = Graph(
        [one, two], [ops.copysign(one, filled(0.0, (8,))), ops.copysign(two, filled(-0.0, (8,)))]
    )
    kernels = [call.routine for call in lowered(graph).calls]
    assert len({kernel.name for kernel in kernels}) == 2
    positive, negative = evaluate(graph, *[np.ones(8, np.float32)] * 2)
    assert (positive == 1).all() and (negative == -1).all()


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_fused_and_unfused_programs_give_the_same_bits(first: int) -> None:
    for seed in range(first, first + 10):
        sample = random_graph(seed)
        fused, unfused = (
            evaluate(sample.graph, *sample.arguments, enabled=enabled) for enabled in (True, False)
        )
        for node, a, b in zip(sample.graph.outputs, fused, unfused, strict=True):
            assert same_bits(a, b), (seed, node)


def test_parallel_loops_of_random_kernels_are_independent() -> None:
    for seed in range(4):
        sample = random_graph(seed)
        for kernel in lowered(sample.graph).kernels:
            once, again = (_run_alone(kernel, serial) for serial in (False, True))
            for name in once:
                assert same_bits(once[name], again[name]), (seed, kernel.name, name)


def _run_alone(kernel: Kernel, serial: bool) -> dict[str, Array]:
    random = np.random.default_rng(0)
    arrays = {}
    for buffer in kernel.buffers:
        values = random.integers(0, 3, buffer.type.shape)
        arrays[buffer.name] = np.asarray(values).astype(buffer.type.dtype.numpy)
    run(kernel, arrays, serial=serial)
    return arrays


def test_a_training_step_learns_the_same_fused_and_unfused() -> None:
    random = np.random.default_rng(1)
    x = random.standard_normal((8, 20)).astype(np.float32)
    labels = np.eye(10, dtype=np.float32)[np.arange(8)]
    results = []
    for enabled in (True, False):
        graph = classifier_step((20, 16, 10), 8)
        plan = plan_memory(lowered(graph, enabled=enabled), graph, TARGET)
        losses = [run_plan(plan, (x, labels))[0] for _ in range(4)]
        assert losses[3] < losses[0]
        results.append([*losses, *(state.host() for state in plan.variables)])
    assert all(same_bits(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((5,), (0,)), ((7, 40), (1,)), ((40, 7), (0,)), ((300,), (0,)), ((3, 5, 64), (1, 2)),
        ((3, 5, 64), (0, 2)), ((3, 5, 64), (0, 1)), ((2, 17, 9), (1, 2)), ((2, 0), (1,)),
        ((2, 1), (1,)), ((2, 100_001), (1,)), ((64 * BLOCK + 3,), (0,)), ((3 * BLOCK + 5, 2), (0,)),
        ((2 * BLOCK, 2), (0,)), ((64 * 2 * BLOCK,), (0,)), ((BLOCK, 3, 2), (0, 1)),
    ],
)  # fmt: skip
def test_sums_are_combined_in_the_order_that_the_shape_gives(
    shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    x = placeholder(shape)
    value = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    (got,) = evaluate(Graph([x], [ops.sum_(x, axes=axes)]), value)
    assert same_bits(got, _sum_in_order(value, axes))


def _sum_in_order(value: Array, axes: tuple[int, ...]) -> Array:
    """Sum as graphc/reduction_order.py says, written down a second time."""
    order = reduction_order(value.shape, axes)
    kept = [a for a in range(value.ndim) if a not in axes]
    shape = tuple(value.shape[a] for a in kept)
    if order.count == 0:
        return np.zeros(shape, np.float32)
    rows = value.transpose([*kept, *axes]).reshape(*shape, order.count)
    lanes = []
    for lane in range(order.lanes):
        elements = rows[..., lane :: order.lanes]
        size = BLOCK if order.is_blocked else max(elements.shape[-1], 1)
        blocks = [_fold(elements[..., n : n + size]) for n in range(0, elements.shape[-1], size)]
        lanes.append(_fold(np.stack(blocks, -1)))
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [a + b for a, b in zip(lanes[:half], lanes[half:], strict=True)]
    return np.asarray(lanes[0], np.float32)


def _fold(elements: Array) -> Array:
    total = np.full(elements.shape[:-1], -0.0, np.float32)
    for n in range(elements.shape[-1]):
        total = np.asarray(total + elements[..., n], np.float32)
    return total


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float16, dtypes.int32])
def test_argmax_takes_the_first_of_the_greatest_and_any_nan(dtype: DType) -> None:
    rows = np.array([[1, 3, 3, 2], [0, 0, 0, 0], [2, 1, 0, 2]])
    value = rows.astype(dtype.numpy)
    expected = np.argmax(value, 1)
    if dtype.is_float:
        value[2, 1] = np.nan
        expected = np.array([1, 0, 1])
    x = placeholder((3, 4), dtype)
    (got,) = evaluate(Graph([x], [ops.argmax(x, axis=1)]), value)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("lhs", "rhs", "out"),
    [
        ("ik", "kj", "ij"),
        ("ik", "jk", "ji"),
        ("bik", "bkj", "bij"),
        ("i", "i", ""),
        ("ikl", "lkj", "ij"),
    ],
)
def test_contractions_of_integers_are_exact(lhs: str, rhs: str, out: str) -> None:
    extents = dict(zip("ijklb", (3, 5, 4, 2, 6), strict=True))
    shapes = [tuple(extents[label] for label in labels) for labels in (lhs, rhs)]
    a, b = (placeholder(shape, dtypes.int32) for shape in shapes)
    random = np.random.default_rng(0)
    values = [random.integers(-(2**30), 2**30, shape).astype(np.int32) for shape in shapes]
    product = ops.contraction(a, b, lhs=lhs, rhs=rhs, out=out)
    (got,) = evaluate(Graph([a, b], [product]), *values)
    wide = np.einsum(f"{lhs},{rhs}->{out}", *(v.astype(object) for v in values))
    np.testing.assert_array_equal(got, (np.asarray(wide) % 2**32).astype(np.uint32).view(np.int32))


@pytest.mark.parametrize("enabled", [True, False])
def test_an_index_out_of_bounds_is_found_and_named(enabled: bool) -> None:
    data, indices = placeholder((10, 4)), placeholder((3,), dtypes.int64)
    graph = Graph([data, indices], [ops.exp(ops.take(data, indices, axis=0, mode="raise"))])
    values = np.ones((10, 4), np.float32)
    for bad in (10, -1, 2**62, -(2**63)):
        with pytest.raises(GraphcIndexError, match="take: an index is out of bounds for axis 0"):
            evaluate(graph, values, np.array([0, bad, 9]), enabled=enabled)
    (got,) = evaluate(graph, values, np.array([0, 5, 9]), enabled=enabled)
    assert got.shape == (3, 4)


@pytest.mark.parametrize(
    "name",
    [
        "take",
        "take_along_axis",
        "scatter_add",
        "scatter_add_along_axis",
        "scatter_set",
        "scatter_set_along_axis",
        "scatter_max",
        "scatter_multiply",
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_gathers_and_scatters_agree_with_the_reference(name: str, axis: int) -> None:
    random = np.random.default_rng(0)
    data, along = placeholder((6, 5), dtypes.int32), name.endswith("axis")
    shape = ((6, 3) if axis else (3, 5)) if along else (2, 4)
    indices = placeholder(shape, dtypes.int64)
    operands, inputs = [ops.negative(data), indices], [data, indices]
    values: list[Array] = [
        random.integers(-9, 9, (6, 5)).astype(np.int32),
        random.integers(-2, 9, shape),
    ]
    if name.startswith("scatter"):
        taken = shape if along else ((6, *shape) if axis else (*shape, 5))
        updates = placeholder(taken, dtypes.int32)
        operands.append(ops.add(updates, updates))
        inputs.append(updates)
        values.append(random.integers(-9, 9, taken).astype(np.int32))
    result = getattr(ops, name)(*operands, axis=axis, mode="clip")
    graph = Graph(inputs, [ops.add(result, result)])
    (got,) = evaluate(graph, *values)
    np.testing.assert_array_equal(got, interpret(graph, values)[0][0])


def test_concatenated_operands_are_computed_in_place() -> None:
    x, y = placeholder((2, 3)), placeholder((2, 0))
    graph = Graph([x, y], [ops.concat(ops.negative(x), y, x, axis=1)])
    assert len(lowered(graph).calls) == 1
    value = np.arange(6, dtype=np.float32).reshape(2, 3)
    (got,) = evaluate(graph, value, np.zeros((2, 0), np.float32))
    np.testing.assert_array_equal(got, np.concatenate([-value, value], 1))


def test_a_chain_of_thousands_of_nodes_takes_no_stack() -> None:
    x = placeholder((4,))
    y = x
    for _ in range(2500):
        y = ops.add(y, x)
    (got,) = evaluate(Graph([x], [y]), np.arange(4, dtype=np.float32))
    np.testing.assert_array_equal(got, 2501.0 * np.arange(4))


@pytest.mark.parametrize(
    ("lhs", "rhs", "out", "in_lanes"),
    [
        ("ik", "k", "i", True),
        ("k", "ik", "i", True),
        ("ik", "kj", "ij", True),  # j is 1
        ("bk", "bk", "b", True),
        ("ki", "k", "i", False),
        ("ik", "jk", "ij", True),  # j is 1
        ("ik", "lk", "il", False),
    ],
)
def test_contractions_that_use_nothing_twice_sum_in_lanes(
    lhs: str, rhs: str, out: str, in_lanes: bool
) -> None:
    extents = {"i": 3, "k": 37, "j": 1, "b": 4, "l": 2}
    a, b = (placeholder(tuple(extents[s] for s in side)) for side in (lhs, rhs))
    node = ops.contraction(a, b, lhs=lhs, rhs=rhs, out=out)
    kernel = only_kernel([a, b], [node])
    shapes = [s.type.shape for s in statements(kernel.body) if isinstance(s, Scratch)]
    assert shapes == ([(16,)] if in_lanes else [()])
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=n.shape).astype(np.float32) for n in (a, b)]
    (given,) = evaluate(Graph([a, b], [node]), *arrays)
    np.testing.assert_allclose(given, np.einsum(f"{lhs},{rhs}->{out}", *arrays), rtol=1e-5)
