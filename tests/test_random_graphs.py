"""The op set as a whole: random graphs on every way there is to run them.

Each node of an unfused program is checked on its own: its value against the reference evaluated in
float64 on the *very operands the program computed*, within a bound that is stated here and computed
in float64, so that nothing accumulates and nothing is forgiven twice. Then everything else
(optimised, lesser CPUs, OpenCL) must give the same bits as the unfused program, since all passes
are exact and neither vector width nor fusion decides any order.

    elementwise   ULPS[op] units in the last place of the result
    reductions    (K + 1) u * sum |x| for the sum of K elements; prod: (K + 1) u * |result|
    contractions  (K + 1) u * sum |a| |b|
    all others    equal
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from graphc import dtypes
from graphc.backends.llvm import BACKEND as LLVM
from graphc.backends.reference import ReferenceExecutable
from graphc.errors import BackendError
from graphc.graph import Graph
from graphc.graph_verifier import verify as verify_graph
from graphc.kernel_verifier import verify as verify_kernel
from graphc.node import Node
from graphc.op import Contraction, Elementwise, Reduction, Scatter
from graphc.passes import Compilation, Options, Pass, run_pipeline
from graphc.target import Target
from tests.random_graphs import Sample, random_graph

COUNT = int(os.environ.get("GRAPHC_TEST_GRAPHS", "500"))
BATCH = 20
CPUS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
Array = np.ndarray[Any, Any]

# Bounds of the formulas in units in the last place, where they are not correctly rounded. float32
# first, then float64; `docs/semantics.md` promises them and tests/graphc/formulas measures them.
EXACT_OPS = frozenset(
    [
        "add",
        "subtract",
        "multiply",
        "divide",
        "negative",
        "abs",
        "sign",
        "square",
        "reciprocal",
        "sqrt",
        "maximum",
        "minimum",
        "copysign",
        "floor",
        "ceil",
        "trunc",
        "round",
        "nextafter",
        "where",
        "cast",
    ]
)
COMPOSED_OPS = frozenset(["sigmoid", "gelu"])


def ulps(op: str, dtype: dtypes.DType) -> float:
    """Return the bound of an elementwise op: half a unit where it is correctly rounded."""
    if op in EXACT_OPS or dtype.bits == 16:
        return 0.51
    if op in COMPOSED_OPS:
        return 2.01 if dtype is dtypes.float32 else 4.01
    return 1.01 if dtype is dtypes.float32 else 2.51


def check_verified(step: Pass, state: Compilation) -> None:
    """The verifier between all passes."""
    verify_graph(state.graph)
    for kernel in state.lowered.all_kernels if state.lowered is not None else ():
        verify_kernel(kernel)


def run(backend: Any, graph: Graph, arguments: Any, target: Target, **options: Any) -> list[Array]:
    """Compile `graph` with every verifier on and run it."""
    state = Compilation(graph, target, Options(**options))
    state = run_pipeline(state, check_verified)
    assert state.plan is not None
    return list(backend.compile(state.plan).run(arguments))


def assert_same_bits(left: Array, right: Array, what: str) -> None:
    assert left.dtype == right.dtype and left.shape == right.shape, what
    same = left == right
    if left.dtype.kind in "fV":
        with np.errstate(invalid="ignore"):
            a, b = left.astype(np.float64), right.astype(np.float64)
        same = ((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))
    assert np.all(same), f"{what}: {left[~same].ravel()[:4]} and {right[~same].ravel()[:4]}"


def spacing(value: Array, dtype: dtypes.DType) -> Array:
    """Return the distance of neighbours of `dtype` at `value`, in float64."""
    information = dtypes_limits(dtype)
    exponent = np.frexp(np.where(np.isfinite(value), np.abs(value), 1.0))[1] - 1
    return np.asarray(np.exp2(np.maximum(exponent, information[0]) - information[1]))


def dtypes_limits(dtype: dtypes.DType) -> tuple[int, int]:
    """Return the least exponent of a normal number and the bits of the fraction."""
    table = {"float16": (-14, 10), "bfloat16": (-126, 7), "float32": (-126, 23)}
    return table.get(dtype.name, (-1022, 52))


def widened(node: Node, operands: list[Array]) -> Array:
    """Return the reference of `node` evaluated in float64 where that makes it more exact."""
    wide = [o.astype(np.float64) if o.dtype.kind in "fV" else o for o in operands]
    attributes = dict(node.attributes)
    type_ = node.type.with_dtype(dtypes.float64)
    if node.op.name in ("cast", "iota", "nextafter", "where") or node.op.is_leaf:
        wide, type_ = operands, node.type
    with np.errstate(all="ignore"):
        return np.asarray(node.op.reference(*wide, result=type_, **attributes), np.float64)


def tolerance(node: Node, operands: list[Array], exact: Array) -> Array:
    """Return the largest error allowed at each element, in float64."""
    dtype, lowering = node.type.dtype, node.op.lowering
    unit = spacing(exact, dtype)
    if isinstance(lowering, Elementwise):
        slack = np.exp2(-50.0) * np.abs(exact)  # of the float64 reference itself
        return ulps(node.op.name, dtype) * unit + np.where(np.isfinite(slack), slack, 0.0)
    size = np.float64(2.0) ** -(dtypes_limits(dtype.compute)[1] + 1)
    magnitudes = [np.abs(o.astype(np.float64)) for o in operands if o.dtype.kind in "fV"]
    with np.errstate(all="ignore"):
        if isinstance(lowering, Contraction):
            extents = zip(node.attributes["lhs"], node.inputs[0].shape, strict=True)
            count = math.prod(e for label, e in extents if label not in node.attributes["out"])
            scale = np.einsum(_subscripts(node), *magnitudes)
            return np.asarray((count + 1) * size * scale + unit)
        if isinstance(lowering, Reduction) and node.op.name in ("sum", "prod"):
            axes = node.attributes["axes"]
            count = int(np.prod([node.inputs[0].shape[a] for a in axes]))
            scale = magnitudes[0].sum(axis=axes) if node.op.name == "sum" else np.abs(exact)
            return np.asarray(2 * (count + 1) * size * scale + unit)
        if isinstance(lowering, Scatter):
            size = np.float64(2.0) ** -(dtypes_limits(dtype)[1] + 1)  # each addition is stored
            added = magnitudes[0] + magnitudes[1].sum()
            return np.asarray((magnitudes[1].size + 1) * size * added + unit)
    return np.zeros_like(exact)


def _subscripts(node: Node) -> str:
    labels = node.attributes
    return f"{labels['lhs']},{labels['rhs']}->{labels['out']}"


def check_node(node: Node, operands: list[Array], value: Array) -> None:
    """Assert that `value` is what `node` means on `operands`, within its bound."""
    if not node.type.dtype.is_float:
        with np.errstate(all="ignore"):
            expected = node.op.reference(*operands, result=node.type, **node.attributes)
        assert_same_bits(np.asarray(expected, value.dtype), value, repr(node))
        return
    exact = widened(node, operands)
    got = value.astype(np.float64)
    allowed = tolerance(node, operands, exact)
    limit = float(np.finfo(np.float64).max) if node.type.dtype is dtypes.float64 else None
    rounded = _to_type(exact, node.type.dtype)
    with np.errstate(all="ignore"):
        near = np.abs(got - exact) <= allowed
        near |= (got == rounded) | (np.isnan(got) & np.isnan(exact))
        near |= ~np.isfinite(got) & (np.abs(exact) + allowed >= _largest(node.type.dtype, limit))
        near |= ~np.isfinite(allowed)  # an intermediate overflow: any of inf and NaN may come out
    assert np.all(near), (
        f"{node!r}: {got[~near].ravel()[:4]} for {exact[~near].ravel()[:4]}, "
        f"allowed {np.broadcast_to(allowed, got.shape)[~near].ravel()[:4]}"
    )


def _to_type(exact: Array, dtype: dtypes.DType) -> Array:
    with np.errstate(all="ignore"):
        return exact.astype(dtype.numpy).astype(np.float64)


def _largest(dtype: dtypes.DType, limit: float | None) -> float:
    exponents = {"float16": 65504.0, "bfloat16": 3.38e38, "float32": 3.4028234e38}
    return exponents.get(dtype.name, limit or 0.0)


def computed_nodes(graph: Graph) -> list[Node]:
    return [n for n in graph.nodes if not n.op.is_leaf]


def unfused_values(sample: Sample, target: Target) -> dict[Node, Array]:
    """Return the value of every node, each computed by a kernel of its own."""
    nodes = computed_nodes(sample.graph)
    every = Graph(sample.graph.inputs, nodes)
    values = run(LLVM, every, sample.arguments, target, optimise=False)
    known = dict(zip(nodes, values, strict=True))
    known |= dict(zip(sample.graph.inputs, sample.arguments, strict=True))
    for node in sample.graph.nodes:
        if node.op.name == "constant":
            known[node] = node.attributes["value"].array
    return known


def targets() -> Iterator[Target]:
    for cpu in CPUS:
        try:
            yield LLVM.target(cpu)
        except BackendError:
            continue


TARGETS = list(targets())


def test_this_machine_tests_at_least_two_levels() -> None:
    assert len(TARGETS) >= 2


@pytest.mark.parametrize("first", range(0, COUNT, BATCH))
def test_random_graphs(first: int) -> None:
    for seed in range(first, first + BATCH):
        sample = random_graph(seed)
        values = unfused_values(sample, TARGETS[-1])
        for node in computed_nodes(sample.graph):
            check_node(node, [values[i] for i in node.inputs], values[node])
        expected = [values[o] for o in sample.graph.outputs]
        for target in TARGETS:
            got = run(LLVM, sample.graph, sample.arguments, target)
            for position, (left, right) in enumerate(zip(expected, got, strict=True)):
                assert_same_bits(left, right, f"seed {seed}, {target.name}, output {position}")


@pytest.mark.parametrize("first", range(0, 60, BATCH))
def test_the_reference_backend_runs_them_too(first: int) -> None:
    for seed in range(first, first + BATCH):
        sample = random_graph(seed)
        for output, node in zip(
            ReferenceExecutable(sample.graph).run(sample.arguments),
            sample.graph.outputs,
            strict=True,
        ):
            assert output.shape == node.shape and output.dtype == node.type.dtype.numpy
