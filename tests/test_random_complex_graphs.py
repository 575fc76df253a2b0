"""Random graphs of complex numbers: the same bits however they are run.

Values have special parts; shapes have extents of 0, 1 and primes. Optimised programs, at every CPU
level and on OpenCL, must give the bits of the unfused one; that ops mean what their references say
is for `tests/test_op_matrix.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.backends.llvm import BACKEND as LLVM
from graphc.dtypes import DType
from graphc.errors import GraphcError
from graphc.graph import Graph
from graphc.node import Node
from graphc.op import Op, all_ops
from tests.agreement import same
from tests.random_graphs import STEPS, Array, Grower, Sample
from tests.test_random_graphs import TARGETS, run

COUNT, BATCH = 40, 10
DTYPES = [dtypes.complex64] * 4 + [dtypes.complex128, dtypes.float32]
OF_COMPLEX = [op for op in all_ops() if op.is_elementwise and "complex" in op.kinds]


class ComplexGrower(Grower):
    """Grows a graph of complex numbers and of real ones that are made of them."""

    def values(self, shape: tuple[int, ...], dtype: DType) -> Array:
        """Return numbers with a few special parts."""
        if not dtype.is_complex:
            return super().values(shape, dtype)
        both = [super(ComplexGrower, self).values(shape, dtype.real) for _ in range(2)]
        array = np.empty(shape, dtype.numpy)
        array.real, array.imag = both
        return array

    def grow_by(self, step: Callable[[Grower, Node], Node | None], node: Node) -> None:
        """Add what a step makes of a node, if it makes anything."""
        try:
            made = step(self, node)
        except GraphcError:
            return
        if made is not None and made.type.size <= 500:
            self.keep(made)


def _arithmetic(g: Grower, x: Node) -> Node | None:
    op: Op = g.choose(OF_COMPLEX)
    if op is ops.cast:
        return ops.cast(x, dtype=g.choose([dtypes.complex64, dtypes.complex128, dtypes.bool_]))
    if op is ops.where:
        return ops.where(g.like(x, dtypes.bool_), x, g.like(x))
    return op(x, *(g.like(x) for _ in op.operands[1:]))


def _part(g: Grower, x: Node) -> Node | None:
    if x.type.dtype.is_complex:
        part: Node = g.choose([ops.real, ops.imag, ops.conj])(x)
        return part
    return ops.complex_(x, g.like(x))


def _transform(g: Grower, x: Node) -> Node | None:
    if not x.shape:
        return None
    norm, axis = g.choose(["backward", "ortho", "forward"]), len(x.shape) - 1
    if not x.type.dtype.is_complex:
        return ops.rfft(x, axis=axis, norm=norm)
    transform: Node = g.choose([ops.fft, ops.ifft])(x, axes=(axis,), norm=norm)
    return transform


OWN = [*[_arithmetic] * 8, *[_part] * 4, *[_transform] * 2]


def random_complex_graph(seed: int) -> Sample:
    """Return the graph of this seed, the same each time."""
    grower = ComplexGrower(seed)
    for _ in range(2):
        grower.add_input(grower.shape()[:2], grower.choose(DTYPES))
    for _ in range(40):
        node = grower.pick()
        assert node is not None
        grower.grow_by(grower.choose([*OWN, *STEPS[14:]]), node)
    used = {i for node in grower.nodes for i in node.inputs}
    outputs = [n for n in grower.nodes if n not in used] or grower.nodes[-1:]
    return Sample(Graph(grower.inputs, outputs), tuple(grower.arguments))


def assert_same(expected: list[Array], got: list[Array], what: str) -> None:
    for position, (left, right) in enumerate(zip(expected, got, strict=True)):
        assert (left.dtype, left.shape) == (right.dtype, right.shape), what
        bad = ~same(left, right)
        assert not bad.any(), f"{what}, output {position}: {left[bad][:3]} and {right[bad][:3]}"


def test_the_graphs_hold_what_they_are_for() -> None:
    graphs = [random_complex_graph(seed).graph for seed in range(COUNT)]
    names = {node.op.name for graph in graphs for node in graph.nodes}
    assert {"multiply", "divide", "contraction", "sum", "pad", "real", "fft", "rfft"} <= names
    assert sum(any(n.type.dtype.is_complex for n in graph.nodes) for graph in graphs) > COUNT / 2


@pytest.mark.parametrize("first", range(0, COUNT, BATCH))
def test_every_way_gives_the_same_bits(first: int) -> None:
    for seed in range(first, first + BATCH):
        sample = random_complex_graph(seed)
        expected = run(LLVM, sample.graph, sample.arguments, TARGETS[-1], optimise=False)
        for target in TARGETS:
            got = run(LLVM, sample.graph, sample.arguments, target)
            assert_same(expected, got, f"seed {seed}, {target.name}")


@pytest.mark.parametrize("first", range(0, COUNT // 4, BATCH))
def test_opencl_gives_the_same_bits(first: int) -> None:
    opencl: Any = pytest.importorskip("graphc.backends.opencl", reason="pyopencl is not installed")
    for seed in range(first, first + BATCH):
        sample = random_complex_graph(seed)
        expected = run(LLVM, sample.graph, sample.arguments, TARGETS[-1])
        backend = opencl.BACKEND
        got = run(backend, sample.graph, sample.arguments, backend.target())
        assert_same(expected, got, f"seed {seed} on OpenCL")
