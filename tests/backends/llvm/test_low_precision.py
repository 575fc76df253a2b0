"""Products of small numbers: the bits that docs/semantics.md promises, at every CPU level."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pytest

import graphc
from graphc import dtypes, ops
from graphc.backends.llvm import BACKEND, machine
from graphc.graph import Graph
from graphc.node import ArrayData, Node
from graphc.passes import Compilation, Options, run_pipeline
from tests.backends.llvm.harness import CPUS

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
BFLOAT16 = dtypes.bfloat16.numpy


def run(graph: Graph, arrays: list[Array], cpu: str = "") -> Array:
    state = run_pipeline(Compilation(graph, BACKEND.target(cpu), Options()))
    assert state.plan is not None
    (result,) = BACKEND.compile(state.plan).run(arrays)
    return result


def whole_numbers(shape: tuple[int, ...], seed: int) -> Array:
    """Return bfloat16s whose products and sums float64 holds exactly and float32 does not."""
    random = np.random.default_rng(seed)
    scale = np.exp2(random.integers(0, 13, shape))
    return np.asarray(random.integers(-255, 256, shape) * scale, BFLOAT16)


def in_pairs(a: Array, b: Array, paired: int = -1) -> Array:
    """Return the sums over all axes but the first of (m, k…) and (n, k…), as they are promised."""
    axis = range(1, a.ndim)[paired]
    if a.shape[axis] % 2:
        padding = [(0, int(n == axis)) for n in range(a.ndim)]
        a, b = np.pad(a, padding), np.pad(b, padding)
    extents = list(a.shape[1:])
    extents[axis - 1] //= 2
    total = np.zeros((len(a), len(b)), np.float32)
    for place in np.ndindex(*extents):
        for second in (1, 0):
            k = [*place]
            k[axis - 1] = 2 * k[axis - 1] + second
            left, right = (x[(slice(None), *k)].astype(np.float64) for x in (a, b))
            total = (np.outer(left, right) + total).astype(np.float32)
    return total


SHAPES = [(2, 2, 3), (5, 7, 9), (33, 64, 40), (17, 130, 65), (70, 33, 33), (3, 1, 5)]


@pytest.mark.parametrize(("rhs", "out"), [("kj", "ij"), ("jk", "ij"), ("jk", "ji")])
@pytest.mark.parametrize("is_constant", [True, False], ids=["constant", "computed"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pairs_are_added_in_the_promised_order(
    shape: tuple[int, int, int], is_constant: bool, rhs: str, out: str
) -> None:
    m, k, n = shape
    a, b = whole_numbers((m, k), 0), whole_numbers((n, k), 1)
    right = np.ascontiguousarray(b.T) if rhs == "kj" else b
    x = ops.input_(number=0, name="x", shape=a.shape, dtype=dtypes.bfloat16)
    y = ops.input_(number=1, name="y", shape=right.shape, dtype=dtypes.bfloat16)
    weights: Node = ops.constant(value=ArrayData(right)) if is_constant else y
    node = ops.contraction(x, weights, lhs="ik", rhs=rhs, out=out, dtype=dtypes.float32)
    graph = Graph([x] if is_constant else [x, y], [node])
    wanted = in_pairs(a, b) if out == "ij" else in_pairs(a, b).T
    for cpu in CPUS:
        given = run(graph, [a] if is_constant else [a, right], cpu)
        assert given.tobytes() == np.ascontiguousarray(wanted).tobytes(), cpu


@pytest.mark.parametrize(("extents", "paired"), [((3, 5), -1), ((4, 3), 0), ((3, 4), 1)])
def test_of_several_labels_the_last_even_one_goes_in_pairs(
    extents: tuple[int, int], paired: int
) -> None:
    a, b = whole_numbers((6, *extents), 0), whole_numbers((35, *extents), 1)
    x, y = (
        ops.input_(number=n, name=f"x{n}", shape=v.shape, dtype=dtypes.bfloat16)
        for n, v in enumerate((a, b))
    )
    node = ops.contraction(x, y, lhs="ikl", rhs="jkl", out="ij", dtype=dtypes.float32)
    for cpu in CPUS:
        given = run(Graph([x, y], [node]), [a, b], cpu)
        assert given.tobytes() == in_pairs(a, b, paired).tobytes(), cpu


def test_subnormal_numbers_count_as_zeros_only_where_an_instruction_takes_them_so() -> None:
    a = np.asarray([[2.0**-130, 0.0], [2.0**-70, 0.0], [-(2.0**-70), 0.0]], BFLOAT16)
    b = np.asarray([[1.0, 0.0], [2.0**-70, 0.0]], BFLOAT16)
    x, y = (
        ops.input_(number=n, name=f"x{n}", shape=v.shape, dtype=dtypes.bfloat16)
        for n, v in enumerate((a, b))
    )
    node = ops.contraction(x, y, lhs="ik", rhs="jk", out="ij", dtype=dtypes.float32)
    wanted = in_pairs(a, b)
    assert wanted[0, 0] == 2.0**-130 and wanted[1, 1] == 2.0**-140
    flushed = np.where(np.abs(wanted) < 2.0**-126, np.copysign(np.float32(0), wanted), wanted)
    for cpu in CPUS:
        has_instruction = machine.machine(cpu).code_features.dot_bfloat16
        given = run(Graph([x, y], [node]), [a, b], cpu)
        assert given.tobytes() == (flushed if has_instruction else wanted).tobytes(), cpu


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
@pytest.mark.parametrize("shape", [(5, 7, 9), (33, 64, 40), (17, 131, 65), (1, 50, 3)], ids=str)
def test_products_of_bytes_are_exact_in_32_bits(shape: tuple[int, int, int], kind: Any) -> None:
    m, k, n = shape
    limits, random = np.iinfo(kind), np.random.default_rng(0)
    a, b = (random.integers(limits.min, limits.max + 1, s).astype(kind) for s in ((m, k), (k, n)))
    a[:2], b[:, :2] = limits.min, limits.max
    x, y = (
        ops.input_(number=i, name=f"x{i}", shape=v.shape, dtype=dtypes.as_dtype(kind))
        for i, v in enumerate((a, b))
    )
    node = ops.contraction(x, y, lhs="ik", rhs="kj", out="ij", dtype=dtypes.int32)
    for cpu in CPUS:
        given = run(Graph([x, y], [node]), [a, b], cpu)
        np.testing.assert_array_equal(given, a.astype(np.int64) @ b.astype(np.int64))


@pytest.mark.parametrize("optimise", [True, False])
def test_a_precision_rounds_the_factors_alone(optimise: bool) -> None:
    random = np.random.default_rng(0)
    a, b = (random.normal(size=s).astype(np.float32) for s in ((33, 65), (65, 40)))

    @graphc.compile(precision="bfloat16", optimise=optimise)
    def product(x: Any, y: Any) -> Any:
        return graphc.matmul(x, y) + np.float32(1e-6)

    rounded = (v.astype(BFLOAT16).astype(np.float64) for v in (a, b))
    np.testing.assert_allclose(product(a, b), np.matmul(*rounded) + 1e-6, rtol=0, atol=2e-5)
    assert not np.allclose(product(a, b), a @ b, rtol=0, atol=2e-3)
