"""Packing of constant operands: what is packed, what it means, and that kernels read it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc
from graphc import ops
from graphc.dtypes import as_dtype
from graphc.graph import Graph
from graphc.interpreter import interpret
from graphc.kernel import Load, Loop, LoopKind, Scope, Scratch, statements
from graphc.node import ArrayData, Node, constant_value, is_constant
from graphc.passes import Compilation, Options, run_pipeline
from graphc.passes.pack_constants import pack_constants
from graphc.target import Target

AVX512 = Target("avx512", "cpu", 64, 32, 2)
AVX2 = Target("avx2", "cpu", 32, 16, 2)
GPU = Target("gpu", "gpu", 4, 64, 8)


def constant(*shape: int, dtype: str = "float32") -> Node:
    array = np.random.default_rng(0).normal(size=shape).astype(as_dtype(dtype).numpy)
    return ops.constant(value=ArrayData(array))


def product(rows: int, lhs: str, rhs: str, out: str, extents: dict[str, int]) -> Graph:
    extents = {**extents, "i": rows}
    kind = as_dtype("float32")
    x = ops.input_(number=0, name="x", shape=tuple(extents[s] for s in lhs), dtype=kind)
    weights = constant(*(extents[s] for s in rhs))
    return Graph([x], [ops.contraction(x, weights, lhs=lhs, rhs=rhs, out=out)])


def packed_shape(graph: Graph) -> tuple[int, ...] | None:
    """Return the shape of the packed constant that the contraction reads through views."""
    (root,) = graph.outputs
    node = root.inputs[1]
    if is_constant(node):
        return None
    while not is_constant(node):
        (node,) = node.inputs
    shape: tuple[int, ...] = constant_value(node).shape
    return shape


@pytest.mark.parametrize(
    ("lhs", "rhs", "out", "shape"),
    [
        ("ik", "kj", "ij", (3, 5, 32)),
        ("ik", "jk", "ij", (3, 5, 32)),
        ("isk", "ksj", "ij", (3, 4, 5, 32)),  # the sums go over s, then over k
        ("ik", "hkj", "ihj", (2, 3, 5, 32)),
    ],
)
@pytest.mark.parametrize("columns", [96, 70])
def test_columns_lie_in_panels_and_mean_the_same(
    lhs: str, rhs: str, out: str, shape: tuple[int, ...], columns: int
) -> None:
    graph = product(9, lhs, rhs, out, {"k": 5, "s": 4, "h": 2, "j": columns})
    packed = pack_constants(graph, AVX512)
    assert packed_shape(packed) == shape
    x = np.random.default_rng(1).normal(size=graph.inputs[0].shape).astype(np.float32)
    (before,), (after,) = interpret(graph, [x])[0], interpret(packed, [x])[0]
    assert before.tobytes() == after.tobytes()


@pytest.mark.parametrize(
    ("kind", "sums", "count", "shape"),
    [
        ("bfloat16", "float32", 6, (3, 3, 32, 2)),
        ("bfloat16", "bfloat16", 6, (3, 3, 32, 2)),
        ("bfloat16", "float32", 5, (3, 5, 32)),  # the last word would not be full
        ("int8", "int32", 8, (3, 2, 32, 4)),
    ],
)
def test_small_elements_lie_in_words_that_kernels_read_as_such(
    kind: str, sums: str, count: int, shape: tuple[int, ...]
) -> None:
    x = ops.input_(number=0, name="x", shape=(64, count), dtype=as_dtype(kind))
    weights = constant(count, 96, dtype=kind)
    wide = None if sums == kind else as_dtype(sums)
    node = ops.contraction(x, weights, lhs="ik", rhs="kj", out="ij", dtype=wide)
    graph = Graph([x], [node])
    packed = pack_constants(graph, AVX512)
    assert packed_shape(packed) == shape
    array = np.random.default_rng(1).normal(size=(64, count)).astype(as_dtype(kind).numpy)
    (before,), (after,) = interpret(graph, [array])[0], interpret(packed, [array])[0]
    assert before.tobytes() == after.tobytes()
    state = run_pipeline(Compilation(graph, AVX512, Options()))
    assert state.plan is not None
    loads = [
        s for k in state.plan.kernels for s in statements(k.body)
        if isinstance(s, Load) and s.buffer == "x1" and len(shape) == 4
    ]  # fmt: skip
    assert {s.count for s in loads} == ({shape[-1]} if len(shape) == 4 else set())


def test_what_gains_nothing_is_left_alone() -> None:
    matrix = {"k": 5, "j": 96}
    assert packed_shape(pack_constants(product(9, "ik", "kj", "ij", matrix), GPU)) is None
    assert packed_shape(pack_constants(product(4, "ik", "kj", "ij", matrix), AVX512)) is None
    batched = product(9, "bik", "bkj", "bij", {**matrix, "b": 2})
    assert packed_shape(pack_constants(batched, AVX512)) is None
    rows = product(9, "ik", "kj", "ji", matrix)  # the constant has the rows of the result
    assert packed_shape(pack_constants(rows, AVX512)) is None


@pytest.mark.parametrize("target", [AVX512, AVX2], ids=["avx512", "avx2"])
def test_kernels_read_panels_without_copying_them(target: Target) -> None:
    graph = product(64, "ik", "jk", "ij", {"k": 300, "j": 256})
    state = run_pipeline(Compilation(graph, target, Options()))
    assert state.plan is not None
    (kernel,) = state.plan.kernels
    assert not [
        s for s in statements(kernel.body) if isinstance(s, Scratch) and s.scope is Scope.CACHE
    ]
    lanes = [
        s for s in statements(kernel.body) if isinstance(s, Loop) and s.kind is LoopKind.VECTOR
    ]
    loads = [s for loop in lanes for s in statements(loop.body) if isinstance(s, Load)]
    (panel,) = {str(s.indices[-1]) for s in loads if s.buffer == "x1"}
    assert panel == lanes[0].variable.name


@pytest.mark.parametrize("shape", [(5, 7, 33), (9, 4, 31), (17, 40, 100), (33, 12, 64), (8, 1, 1)])
def test_programs_give_the_bits_of_variable_weights(shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    generator = np.random.default_rng(0)
    x, weights, bias = (generator.normal(size=s).astype(np.float32) for s in ((m, k), (k, n), (n,)))

    def layer(x: Any, weights: Any, bias: Any) -> Any:
        return graphc.tanh(x @ weights + bias)

    given = graphc.compile(layer)(x, weights, bias)
    packed = graphc.compile(lambda x: layer(x, weights, bias))(x)
    turned = graphc.compile(lambda x: layer(x, weights.T.copy().T, bias))(x)
    assert given.tobytes() == packed.tobytes() == turned.tobytes()
