"""Scatters into large tables: blocks of rows, the bits of the naive kernel, and where not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.graph import Graph
from graphc.group import Group, Grouping
from graphc.kernel import Barrier, Kernel, Loop, LoopKind, Scratch, Store, statements
from graphc.kernel_interpreter import run
from graphc.kernel_verifier import verify
from graphc.node import Node
from graphc.passes.lower import lower
from graphc.passes.schedule import schedule
from graphc.target import Target

# rows of 256 bytes, of which a few are more than the second cache holds; or than the last one
LAST = 1 << 20
AVX512 = Target("avx512", "cpu", 64, 32, 4, cache_bytes=(256, 1024, LAST))
AVX2 = Target("avx2", "cpu", 32, 16, 3, cache_bytes=(256, 1024, LAST))
SSE = Target("sse", "cpu", 16, 16, 1, cache_bytes=(256, 128, 1024))
TARGETS = (AVX512, AVX2, SSE)


def leaf(number: int, shape: tuple[int, ...], dtype: str) -> Node:
    kind = dtypes.as_dtype(dtype)
    return ops.input_(number=number, name=f"x{number}", shape=shape, dtype=kind)


def kernel_of(output: Node) -> Kernel:
    """Lower `output` and what is not an input behind it to one kernel."""
    members: dict[Node, None] = {}
    pending = [output]
    while pending:
        node = pending.pop()
        missing = [i for i in node.inputs if i not in members]
        if missing:
            pending.extend((node, *missing))
        else:
            members[node] = None
    computed = tuple(n for n in members if not n.op.is_leaf)
    inputs = sorted(set(members) - set(computed), key=lambda n: n.attributes["number"])
    group = Group("k", computed, (output,))
    return lower(Grouping(Graph(inputs, [output]), (group,), tuple)).kernels[0]


def scatter(
    name: str = "scatter_add",
    table: tuple[int, ...] = (61, 64),
    indices: tuple[int, ...] = (15,),
    axis: int = 0,
    dtype: str = "float32",
    mode: str = "clip",
    data: Callable[[Node], Node] = lambda x: x,
) -> Kernel:
    updates = (*table[:axis], *indices, *table[axis + 1 :])
    if name.endswith("_along_axis"):
        updates = indices
    op: Any = getattr(ops, name)
    operands = data(leaf(0, table, dtype)), leaf(1, indices, "int64"), leaf(2, updates, dtype)
    return kernel_of(op(*operands, axis=axis, mode=mode))


def is_by_rows(kernel: Kernel) -> bool:
    return not any(isinstance(s, Barrier) for s in kernel.body)


def check(kernel: Kernel, numbers: Any, target: Target) -> Kernel:
    """Check that the schedule goes by rows and gives the bits of the naive kernel."""
    verify(kernel)
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for buffer in kernel.buffers:
        dtype, shape = buffer.type.dtype, buffer.type.shape
        if dtype is dtypes.int64:
            arrays[buffer.name] = np.resize(np.asarray(numbers, np.int64), shape)
        elif buffer.name == "status":
            arrays[buffer.name] = np.zeros(shape, np.int32)
        else:
            arrays[buffer.name] = np.round(random.normal(size=shape) * 9).astype(dtype.numpy)
    expected = {name: array.copy() for name, array in arrays.items()}
    run(kernel, expected)
    scheduled = schedule(kernel, target)
    verify(scheduled)
    assert is_by_rows(scheduled)
    run(scheduled, arrays)
    for name, array in arrays.items():
        assert array.tobytes() == expected[name].tobytes(), name
    return scheduled


ONE, TWO, MANY = [3, 59, 0, 60, 17], [3, 59, 3, 60, 17, 60, 59, 1], [7, 7, 7, 60]
NAMES = ["scatter_add", "scatter_set", "scatter_max", "scatter_multiply"]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("numbers", [ONE, TWO, MANY], ids=["one", "two", "many"])
@pytest.mark.parametrize("name", NAMES)
def test_rows_of_no_update_of_one_and_of_several(
    name: str, numbers: list[int], target: Target
) -> None:
    check(scatter(name), numbers, target)


@pytest.mark.parametrize("numbers", [[3, -1, 99, 3], [-1, 61, -5, 8]])
@pytest.mark.parametrize("mode", ["clip", "raise"])
def test_numbers_out_of_bounds(mode: str, numbers: list[int]) -> None:
    check(scatter(mode=mode), numbers, AVX512)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "bool"])
def test_other_dtypes(dtype: str) -> None:
    name = "scatter_set" if dtype == "bool" else "scatter_add"
    check(scatter(name, table=(61, 260), dtype=dtype), TWO, AVX512)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_indices_and_rows_of_several_axes(target: Target) -> None:
    check(scatter(table=(70, 5, 26), indices=(2, 1, 4)), TWO, target)


def test_data_that_is_computed() -> None:
    check(scatter(data=lambda x: ops.broadcast_to(ops.sin(x), shape=x.shape)), TWO, AVX512)


def streaming(kernel: Kernel) -> list[bool]:
    found = (s for s in statements(kernel.body) if isinstance(s, Store))
    return [s.is_streaming for s in found if s.buffer == "y0"]


def test_rows_written_once_go_past_the_caches_where_the_table_is_too_large_for_them() -> None:
    large = replace(AVX512, cache_bytes=(256, 1024, 16 * 1024))
    # filled alone, combined alone; then rows of several updates: filled, combined
    assert streaming(check(scatter(), TWO, large)) == [True, True, False, False]
    assert not any(streaming(check(scatter(), TWO, AVX512)))


def test_blocks_are_one_for_each_core_as_long_as_their_notes_are_small() -> None:
    (blocks,) = check(scatter(), TWO, AVX512).body
    assert isinstance(blocks, Loop)
    assert (blocks.kind, blocks.variable.extent) == (LoopKind.PARALLEL, 4)
    made = [s for s in statements(blocks.body) if isinstance(s, Scratch)]
    assert [s.type.shape for s in made] == [(16,), (16,)]
    small = replace(AVX512, cache_bytes=(256, 100, LAST))
    (blocks,) = check(scatter(), TWO, small).body
    assert isinstance(blocks, Loop)
    assert blocks.variable.extent == 7


@pytest.mark.parametrize(
    "other",
    [
        scatter(indices=(16,)),  # more updates than a fourth of the rows
        scatter(table=(61, 60)),  # short rows
        scatter(table=(12, 61, 64), axis=1),
        scatter(table=(61 * 64,)),
        scatter("scatter_add_along_axis", table=(61, 64), indices=(3, 64)),
    ],
    ids=["dense", "short", "inner axis", "flat", "along axis"],
)
def test_others_are_shared_out_by_columns(other: Kernel) -> None:
    assert not is_by_rows(schedule(other, AVX512))


def test_tables_that_fit_into_the_cores_own_caches_are_shared_out_by_columns() -> None:
    near = replace(AVX512, cache_bytes=(256, 16 * 1024, LAST))
    assert not is_by_rows(schedule(scatter(), near))
