"""Every op, on every dtype that it takes, on every sample, through the whole compiler.

All cases of an op, of every dtype, are one graph with an output a case, so that each way of running
the op compiles once: on LLVM at three CPU levels and on OpenCL, with the verifiers between passes.
One level is held to the op's reference within the bounds of `tests.agreement`; all others, and
OpenCL, must give the same bits as that one. Last, a program of every op takes its inputs from
memory that is laid out oddly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import dtypes, ops
from graphc.backends.llvm import BACKEND as LLVM
from graphc.dtypes import DType, as_dtype
from graphc.graph import Graph
from graphc.op import Op, all_ops
from graphc.target import Target
from tests.agreement import assert_agrees, same
from tests.samples import ELEMENTWISE_SHAPES, Array, Case, accepted_dtypes, as_graph, cases
from tests.test_random_graphs import TARGETS, run

LARGE = 5000  # elements
NOT_COMPUTED = ("input", "variable", "constant", "on_pairs")
LOOPS = ("item", "scan", "while_loop", "while_pullback", "switch", "checkpoint", "custom_vjp")


def computed_ops() -> list[Op]:
    """Return every op that is declared now, but for those whose values are given, and loops."""
    return [op for op in all_ops() if op.name not in (*NOT_COMPUTED, *LOOPS)]


OPS = computed_ops()


def matrix_cases(op: Op) -> list[Case]:
    """Return the cases of `op` that run on every backend: all samples of all its dtypes.

    Of casts, of each pair of dtypes, the special values and the random bits of every pair are
    taken, and every shape of every operand dtype with one of the result dtypes.
    """
    if op is not ops.cast:
        return [case for dtype in accepted_dtypes(op) for case in cases(op, dtype)]
    return [case for dtype in dtypes.ALL for case in _casts(dtype)]


def _casts(dtype: DType) -> Iterator[Case]:
    targets = 3 if dtype.is_complex else len(dtypes.ALL)
    for number, case in enumerate(cases(ops.cast, dtype)):
        shape, target = divmod(number, targets)
        is_shape_alone = 0 < shape <= len(ELEMENTWISE_SHAPES)
        if not is_shape_alone or target == (shape + dtypes.ALL.index(dtype)) % targets:
            yield case


def runs_on_opencl(case: Case) -> bool:
    """Say whether a case is run there: a simulator is slow, so large ones in float32 alone."""
    size = max((array.size for array in case.operands), default=0)
    return size <= LARGE or case.operands[0].dtype == np.float32


class Batch:
    """All cases of one op as one graph."""

    def __init__(self, op: Op, chosen: list[Case]) -> None:
        self.op, self.cases = op, chosen
        graphs = [as_graph(op, case) for case in chosen]
        self.graph = Graph(
            [node for graph in graphs for node in graph.inputs],
            [graph.outputs[0] for graph in graphs],
            name=op.name,
        )
        self.arguments = [array for case in chosen for array in case.operands]

    def run(self, backend: Any, target: Target) -> list[Array]:
        """Return the result of every case."""
        return run(backend, self.graph, self.arguments, target)

    @cached_property
    def results(self) -> list[Array]:
        """What the greatest CPU level gives, to which all others are held."""
        return self.run(LLVM, TARGETS[-1])

    def assert_same_bits(self, got: list[Array], who: str) -> None:
        """Fail where a result differs in a bit from `results`; all NaNs are one."""
        for case, left, right in zip(self.cases, got, self.results, strict=True):
            assert (left.dtype, left.shape) == (right.dtype, right.shape), f"{self.op} of {case}"
            bad = np.flatnonzero(~same(left, right))
            first = [(int(i), left.flat[i], right.flat[i]) for i in bad[:4]]
            assert not bad.size, f"{self.op} of {case} on {who}: (at, got, wanted) {first}"


@pytest.fixture(scope="module", params=OPS, ids=lambda op: op.name)
def batch(request: pytest.FixtureRequest) -> Batch:
    return Batch(request.param, matrix_cases(request.param))


def assert_batch_agrees(batch: Batch) -> None:
    """Hold every case on LLVM to the op's reference."""
    for case, got in zip(batch.cases, batch.results, strict=True):
        assert_agrees(batch.op, case, got)


def test_native_code_agrees_with_the_reference(batch: Batch) -> None:
    assert batch.cases
    assert_batch_agrees(batch)


def test_every_cpu_level_gives_the_same_bits(batch: Batch) -> None:
    for target in TARGETS[:-1]:
        batch.assert_same_bits(batch.run(LLVM, target), target.name)


def test_opencl_gives_the_same_bits(batch: Batch) -> None:
    opencl = pytest.importorskip("graphc.backends.opencl", reason="pyopencl is not installed")
    some = Batch(batch.op, [case for case in batch.cases if runs_on_opencl(case)])
    pairs = zip(batch.cases, batch.results, strict=True)
    some.results = [result for case, result in pairs if runs_on_opencl(case)]
    some.assert_same_bits(some.run(opencl.BACKEND, opencl.BACKEND.target()), "OpenCL")


def test_a_wrong_bit_is_seen() -> None:
    batch = Batch(ops.add, matrix_cases(ops.add)[:3])
    wrong = [array.copy() for array in batch.results]
    wrong[1].view(np.uint8).flat[0] ^= 1
    with pytest.raises(AssertionError, match="on a mirror"):
        batch.assert_same_bits(wrong, "a mirror")
    batch.results = wrong
    with pytest.raises(AssertionError, match="1 wrong"):
        assert_batch_agrees(batch)


# --- inputs in memory that is laid out oddly -----------------------------------------------------


def _every(array: Array, step: int) -> Array:
    places: Any = (..., *[slice(None, None, step)] * array.ndim)  # a view, of rank 0 too
    return np.asarray(array[places])


def _strided(array: Array) -> Array:
    wide = np.zeros(tuple(2 * extent for extent in array.shape), array.dtype)
    view = _every(wide, 2)
    view[...] = array
    return view


def _reversed(array: Array) -> Array:
    return _every(_every(array, -1).copy(), -1)


def _column_major(array: Array) -> Array:
    return array.copy(order="F")


def _misaligned(array: Array) -> Array:
    view = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def _byte_swapped(array: Array) -> Array:
    if as_dtype(array.dtype) is dtypes.bfloat16:  # ml_dtypes knows one byte order
        return array
    return array.astype(array.dtype.newbyteorder())


def _read_only(array: Array) -> Array:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "strided": _strided,
    "reversed": _reversed,
    "column-major": _column_major,
    "misaligned": _misaligned,
    "byte-swapped": _byte_swapped,
    "read-only": _read_only,
}


def _with_a_matrix(op: Op, dtype: DType) -> Case | None:
    """Return the first case of rank 2 or more, which is where layouts differ most."""
    fitting = [c for c in cases(op, dtype) if c.operands and c.operands[0].size > 1]
    return next((c for c in fitting if c.operands[0].ndim > 1), next(iter(fitting), None))


def everything() -> Iterator[tuple[Op, Case]]:
    """Yield one case of every op that has operands, the dtypes in turn."""
    for number, op in enumerate(OPS):
        taken = accepted_dtypes(op)
        case = _with_a_matrix(op, taken[number % len(taken)])
        if case is not None:
            yield op, case


@pytest.fixture(scope="module", params=["llvm", "opencl"])
def program(request: pytest.FixtureRequest) -> tuple[graphc.Program, list[Array]]:
    """A program of every op, and its arguments."""
    if request.param == "opencl":
        pytest.importorskip("pyopencl", reason="pyopencl is not installed")
    chosen = list(everything())
    graphs = [as_graph(op, case) for op, case in chosen]
    outputs = [graphc.Tensor(graph.outputs[0]) for graph in graphs]
    inputs = [graphc.Tensor(node) for graph in graphs for node in graph.inputs]
    arguments = [array for _, case in chosen for array in case.operands]
    assert len({array.dtype for array in arguments}) == 15 and len(chosen) == len(OPS) - 1
    return graphc.compile(outputs, inputs=inputs, backend=request.param), arguments


@pytest.mark.parametrize("name", LAYOUTS)
def test_inputs_may_lie_in_memory_in_any_way(
    program: tuple[graphc.Program, list[Array]], name: str
) -> None:
    compiled, arguments = program
    odd = [LAYOUTS[name](array) for array in arguments]
    before = [array.tobytes() for array in odd]
    for node, left, right in zip(
        compiled.graph.outputs, compiled(*odd), compiled(*arguments), strict=True
    ):
        assert left.dtype == right.dtype and left.shape == right.shape
        assert np.all(same(left, right)), node
    assert [array.tobytes() for array in odd] == before
