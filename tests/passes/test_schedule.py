"""Schedules: the scheduled form, the bits of the naive kernel, and what is chosen for a shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.graph import Graph
from graphc.group import Group, Grouping
from graphc.index import linearise
from graphc.kernel import (
    Access,
    Barrier,
    Guard,
    Kernel,
    Load,
    Loop,
    LoopKind,
    Prefetch,
    Scope,
    Scratch,
    statements,
)
from graphc.kernel_interpreter import run
from graphc.kernel_text import parse_kernel
from graphc.kernel_verifier import verify
from graphc.node import Node
from graphc.passes.lower import lower
from graphc.passes.schedule import schedule
from graphc.passes.schedule_streams import ROWS
from graphc.target import Target

AVX512 = Target("avx512", "cpu", 64, 32, 4)
AVX2 = Target("avx2", "cpu", 32, 16, 2)
SSE = Target("sse", "cpu", 16, 16, 1)
TARGETS = (AVX512, AVX2, SSE)

_numbers = iter(range(10**6))


def leaf(*shape: int, dtype: str = "float32") -> Node:
    number = next(_numbers)
    kind = dtypes.as_dtype(dtype)
    return ops.input_(number=number, name=f"x{number}", shape=shape, dtype=kind)


def kernel_of(*outputs: Node) -> Kernel:
    """Lower the nodes behind `outputs` to one kernel."""
    members: dict[Node, None] = {}
    pending = list(outputs)
    while pending:
        node = pending.pop()
        missing = [i for i in node.inputs if i not in members]
        if missing:
            pending.extend((node, *missing))
        else:
            members[node] = None
    computed = tuple(n for n in members if not n.op.is_leaf)
    inputs = sorted(set(members) - set(computed), key=lambda n: n.attributes["number"])
    graph = Graph(inputs, outputs)
    group = Group("k", computed, outputs)
    (kernel,) = lower(Grouping(graph, (group,), tuple)).kernels
    return kernel


def broadcast(x: Node, *shape: int) -> Node:
    return ops.broadcast_to(x, shape=shape)


def matmul(a: Node, b: Node, lhs: str = "ik", rhs: str = "kj", out: str = "ij") -> Node:
    return ops.contraction(a, b, lhs=lhs, rhs=rhs, out=out)


def softmax(x: Node, axis: int) -> Node:
    kept = tuple(1 if a == axis else n for a, n in enumerate(x.shape))

    def rows(reduced: Node) -> Node:
        return broadcast(ops.reshape(reduced, shape=kept), *x.shape)

    shifted = ops.exp(ops.subtract(x, rows(ops.max_(x, axes=(axis,)))))
    return ops.divide(shifted, rows(ops.sum_(shifted, axes=(axis,))))


def arrays_for(kernel: Kernel) -> dict[str, Any]:
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for buffer in kernel.buffers:
        dtype, shape = buffer.type.dtype, buffer.type.shape
        if buffer.access is Access.OUT:
            arrays[buffer.name] = np.zeros(shape, dtype.numpy)
        elif dtype.is_float:
            arrays[buffer.name] = np.asarray(random.standard_normal(shape)).astype(dtype.numpy)
        else:
            arrays[buffer.name] = np.asarray(random.integers(0, 3, shape)).astype(dtype.numpy)
    return arrays


def check_form(kernel: Kernel, target: Target) -> None:
    """Check the laws of the scheduled form."""
    for top in kernel.body:
        if isinstance(top, Barrier):
            continue
        assert isinstance(top, Loop)
        for inside in statements(top.body):
            assert not (isinstance(inside, Loop) and inside.kind is LoopKind.PARALLEL)
    loops = [s for s in statements(kernel.body) if isinstance(s, Loop)]
    for loop in loops:
        extent = loop.variable.extent
        if loop.kind is LoopKind.VECTOR:
            assert extent <= 64 and extent & (extent - 1) == 0
        if loop.kind is LoopKind.UNROLLED:
            assert extent * sum(1 for _ in statements(loop.body)) <= 128
    made = [s for s in statements(kernel.body) if isinstance(s, Scratch)]
    by_nest = max(
        (_cache_bytes(top.body) for top in kernel.body if isinstance(top, Loop)), default=0
    )
    assert by_nest <= target.cache_bytes[1]
    assert all(s.scope is not Scope.LOCAL for s in made)
    if target.cores == 1:
        assert all(loop.kind is not LoopKind.PARALLEL for loop in loops)


def _cache_bytes(body: Any) -> int:
    scratch = (s for s in statements(body) if isinstance(s, Scratch))
    return sum(s.type.nbytes for s in scratch if s.scope is Scope.CACHE)


def check(kernel: Kernel, targets: Sequence[Target] = TARGETS) -> None:
    """Check for all targets that the schedule is lawful and gives the bits of the naive kernel."""
    verify(kernel)
    arrays = arrays_for(kernel)
    expected = {name: array.copy() for name, array in arrays.items()}
    run(kernel, expected)
    for target in targets:
        scheduled = schedule(kernel, target)
        verify(scheduled)
        check_form(scheduled, target)
        assert parse_kernel(str(scheduled)) == scheduled
        assert schedule(kernel, target) == scheduled
        done = {name: array.copy() for name, array in arrays.items()}
        run(scheduled, done)
        for name, array in done.items():
            assert array.tobytes() == expected[name].tobytes(), name


SHAPES = [(5,), (0,), (1,), (130,), (3, 7), (3, 0), (1, 37), (37, 1), (2, 3, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_elementwise(shape: tuple[int, ...]) -> None:
    x, y = leaf(*shape), leaf(*shape)
    check(kernel_of(ops.add(ops.multiply(x, y), x), ops.less(x, y)))
    check(kernel_of(ops.add(x, broadcast(leaf(shape[-1]), *shape))))
    backwards = tuple(reversed(range(len(shape))))
    check(kernel_of(ops.add(ops.permute_dims(x, axes=backwards), leaf(*shape[::-1]))))


@pytest.mark.parametrize("shape", [s for s in SHAPES if 0 not in s], ids=str)
def test_rows_and_reductions(shape: tuple[int, ...]) -> None:
    x = leaf(*shape)
    last = len(shape) - 1
    for axes in {(0,), (last,), tuple(range(last + 1))}:
        check(kernel_of(ops.sum_(ops.multiply(x, x), axes=axes)))
    check(kernel_of(ops.argmax(x, axis=0)))
    check(kernel_of(softmax(x, last)))
    check(kernel_of(softmax(x, 0)))


@pytest.mark.parametrize("count", [7, 8, 255, 256, 300, 1030])
def test_long_reductions(count: int) -> None:
    check(kernel_of(ops.sum_(leaf(2, count), axes=(1,))))
    check(kernel_of(ops.sum_(leaf(count, 3), axes=(0,))))


@pytest.mark.parametrize("shape", SHAPES[3:5], ids=str)
def test_other_kernels(shape: tuple[int, ...]) -> None:
    x, y, places = leaf(*shape), leaf(*shape), leaf(4, dtype="int64")
    last = len(shape) - 1
    check(kernel_of(ops.concat(x, y, axis=0)))
    check(kernel_of(ops.concat(x, y, axis=last)))
    check(kernel_of(ops.pad(x, leaf(), low=(1,) * (last + 1), high=(2,) * (last + 1))))
    check(kernel_of(ops.take(x, places, axis=0, mode="raise")))
    check(kernel_of(ops.take(x, places, axis=last, mode="clip")))
    check(kernel_of(ops.scatter_add(x, places, leaf(4, *shape[1:]), axis=0, mode="clip")))


@pytest.mark.parametrize(
    "sizes", [(1, 5, 7), (5, 5, 1), (1, 1, 1), (17, 3, 40), (29, 9, 18), (3, 0, 4), (61, 4, 35)]
)
def test_contractions(sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    product = matmul(leaf(m, k), leaf(k, n))
    check(kernel_of(ops.maximum(ops.add(product, broadcast(leaf(n), m, n)), leaf(m, n))))
    check(kernel_of(matmul(leaf(m, k), leaf(n, k), rhs="jk")))
    check(kernel_of(matmul(leaf(k, m), leaf(k, n), lhs="ki")))
    check(kernel_of(matmul(leaf(k, m), leaf(n, k), lhs="ki", rhs="jk")))


@pytest.mark.parametrize("sizes", [(5, 37, 20), (58, 31, 9), (31, 48, 33)])
def test_long_contractions_go_in_blocks_and_keep_their_order(
    sizes: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphc.passes.tile_model.SERIAL_PANEL", 512)
    m, k, n = sizes
    kernel = kernel_of(ops.exp(matmul(leaf(m, k), leaf(n, k), rhs="jk")))
    targets = [replace(t, cache_bytes=(512, 2048, 4096)) for t in TARGETS]
    check(kernel, targets)
    scheduled = schedule(kernel, targets[0])
    made = (s for s in statements(scheduled.body) if isinstance(s, Scratch))
    assert any(s.name.startswith("partial") for s in made)


def test_the_last_task_may_have_fewer_panels() -> None:
    kernel = kernel_of(matmul(leaf(9, 5), leaf(355, 5), rhs="jk"))  # 11 panels and a part
    check(kernel)
    assert any(isinstance(s, Guard) for s in statements(schedule(kernel, AVX512).body))


def test_contractions_of_other_ranks() -> None:
    check(kernel_of(matmul(leaf(9, 12), leaf(12), rhs="k", out="i")))
    check(kernel_of(matmul(leaf(9), leaf(9), lhs="k", rhs="k", out="")))
    check(kernel_of(matmul(leaf(2, 9, 5), leaf(2, 20, 5), lhs="bik", rhs="bjk", out="bij")))
    check(kernel_of(matmul(leaf(2, 9, 4, 3), leaf(4, 3, 20), lhs="biks", rhs="ksj", out="bij")))


def test_a_long_epilogue_leaves_the_unrolled_tile() -> None:
    product = matmul(leaf(20, 6), leaf(6, 18))
    for _ in range(6):
        product = ops.multiply(ops.add(product, leaf(20, 18)), leaf(20, 18))
    check(kernel_of(product))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "float64", "int64"])
def test_dtypes(dtype: str) -> None:
    x = leaf(6, 37, dtype=dtype)
    check(kernel_of(ops.add(x, x)))
    check(kernel_of(ops.sum_(x, axes=(1,))))
    check(kernel_of(ops.sum_(x, axes=(0,))))
    check(kernel_of(matmul(x, leaf(21, 37, dtype=dtype), rhs="jk")))


# --- what is chosen ------------------------------------------------------------------------------


def loops_of(kernel: Kernel, kind: LoopKind) -> list[int]:
    found = [s for s in statements(kernel.body) if isinstance(s, Loop) and s.kind is kind]
    return [loop.variable.extent for loop in found]


def jumps_in_inner_loops(kernel: Kernel) -> list[Load]:
    """Return the loads in vector loops of elements that are not adjacent."""
    shapes = {b.name: b.type.shape for b in kernel.buffers}
    lanes = [s for s in statements(kernel.body) if isinstance(s, Loop)]
    found = []
    for loop in lanes:
        if loop.kind is LoopKind.VECTOR:
            for s in statements(loop.body):
                if isinstance(s, Load) and s.buffer in shapes:
                    offset = linearise(s.indices, shapes[s.buffer])
                    if offset.stride(loop.variable) not in (0, 1):
                        found.append(s)
    return found


@cache
def large(make: Callable[[], Node]) -> Kernel:
    return schedule(kernel_of(make()), AVX512)


def test_a_product_has_tiles_panels_and_threads() -> None:
    kernel = large(lambda: matmul(leaf(64, 100), leaf(512, 100), rhs="jk"))
    check_form(kernel, AVX512)
    assert loops_of(kernel, LoopKind.PARALLEL)
    assert set(loops_of(kernel, LoopKind.VECTOR)) == {32}
    assert not jumps_in_inner_loops(kernel)
    assert any(
        s.name.startswith("panel") for s in statements(kernel.body) if isinstance(s, Scratch)
    )


def test_a_product_with_a_vector_sums_in_lanes() -> None:
    kernel = large(lambda: matmul(leaf(512, 512), leaf(512), rhs="k", out="i"))
    assert max(loops_of(kernel, LoopKind.VECTOR)) == 64
    assert not jumps_in_inner_loops(kernel)
    assert loops_of(kernel, LoopKind.PARALLEL)


def test_a_product_with_a_short_vector_takes_rows_without_vectors() -> None:
    kernel = large(lambda: matmul(leaf(4096, 7), leaf(7), rhs="k", out="i"))
    assert loops_of(kernel, LoopKind.VECTOR) == []
    assert loops_of(kernel, LoopKind.UNROLLED) == [8, 8, 8]


def test_the_smaller_operand_is_transposed() -> None:
    kernel = large(lambda: matmul(leaf(64, 300), leaf(4096, 300), rhs="jk"))
    panels = [s for s in statements(kernel.body) if isinstance(s, Scratch) and s.scope == "cache"]
    assert {s.type.shape for s in panels} == {(2, 300, 32)}  # all 64 rows of the left side


def test_the_panels_of_a_task_fit_half_of_the_second_level_cache() -> None:
    for rows, summed, columns in ((1024, 1024, 1024), (300, 2048, 2048), (640, 9000, 512)):
        kernel = schedule(kernel_of(matmul(leaf(rows, summed), leaf(summed, columns))), AVX512)
        for top in kernel.body:
            assert isinstance(top, Loop)
            panels = (s for s in statements(top.body) if isinstance(s, Scratch))
            packed = sum(s.type.nbytes for s in panels if s.name.startswith("panel"))
            assert 0 < packed <= AVX512.cache_bytes[1] // 2


def copied(rows: int, summed: int, columns: int) -> bool:
    kernel = large(lambda: matmul(leaf(rows, summed), leaf(summed, columns)))
    return any(
        isinstance(s, Scratch) and s.name.startswith("panel") for s in statements(kernel.body)
    )


def test_columns_are_copied_where_they_would_not_stay_near() -> None:
    assert not copied(8192, 64, 64)  # all in the first-level cache
    assert not copied(128, 513, 992)  # in the second-level cache, and read by few tiles
    assert copied(1024, 32, 1024)  # rows a power of two apart, read by many tiles
    assert copied(128, 2000, 1024)  # more than the sets hold that these rows meet


def test_far_rows_of_a_transposed_operand_are_read_block_by_block() -> None:
    def blocks(summed: int, rows: int) -> set[int]:
        kernel = large(lambda: matmul(leaf(summed, rows), leaf(summed, 1024), lhs="ki"))
        loops = [s for s in statements(kernel.body) if isinstance(s, Loop)]
        return {s.variable.extent for s in loops if s.variable.name.startswith("k")}

    assert max(blocks(1024, 1024)) == 128  # lines 4096 bytes apart share sixteen sets
    assert max(blocks(1024, 1000)) == 1024


def prefetches(kernel: Kernel) -> list[Prefetch]:
    return [s for s in statements(kernel.body) if isinstance(s, Prefetch)]


def test_far_columns_are_asked_for_while_rows_are_gone_over() -> None:
    kernel = large(lambda: matmul(leaf(96, 768), leaf(768, 1024)))
    (prefetch,) = prefetches(kernel)
    assert prefetch.buffer == "x1"
    (panel,) = (s for s in statements(kernel.body) if isinstance(s, Scratch) and s.scope == "cache")
    task = panel.type.shape[0] * panel.type.shape[2]
    (outer,) = (s for s in kernel.body if isinstance(s, Loop))
    inner = set().union(*(i.variables for i in prefetch.indices)) - {outer.variable}
    places: list[dict[str, int]] = [{outer.variable.name: 0}]
    for variable in inner:
        places = [{**p, variable.name: n} for p in places for n in range(variable.extent)]
    asked_for = {tuple(i.evaluate(place) for i in prefetch.indices) for place in places}
    assert {(k, task + c) for k in range(768) for c in range(0, task, 16)} <= asked_for


def test_near_columns_are_not_asked_for() -> None:
    assert prefetches(large(lambda: matmul(leaf(96, 128), leaf(128, 512)))) == []


def test_elementwise_loops_become_one() -> None:
    kernel = large(lambda: ops.add(leaf(64, 8, 128), leaf(64, 8, 128)))
    (top,) = kernel.body
    assert isinstance(top, Loop) and top.kind is LoopKind.PARALLEL
    assert loops_of(kernel, LoopKind.VECTOR) == [32]
    assert not jumps_in_inner_loops(kernel)


def test_rows_are_looked_up_once() -> None:
    table, places = leaf(50, 96), leaf(64, dtype="int64")
    kernel = kernel_of(ops.take(table, places, axis=0, mode="raise"))
    check(kernel)
    vectors = [s for s in statements(schedule(kernel, AVX512).body) if isinstance(s, Loop)]
    inside = [s for s in vectors[-1].body if isinstance(s, Load)]
    assert vectors[-1].kind is LoopKind.VECTOR and len(inside) == len(vectors[-1].body) - 1 == 1


@pytest.mark.parametrize(("last", "order"), [(4096, [2, 9, 8]), (2**30, [2, 8, 9])])
def test_far_memory_is_gone_over_in_the_order_of_reading(last: int, order: list[int]) -> None:
    target = replace(AVX512, cache_bytes=(1024, 2048, last))
    kernel = kernel_of(ops.permute_dims(leaf(2, 9, 8, 64), axes=(0, 2, 1, 3)))
    check(kernel)
    loops = [s for s in statements(schedule(kernel, target).body) if isinstance(s, Loop)]
    assert [loop.variable.extent for loop in loops[:3]] == order


def test_cheap_kernels_wake_no_threads() -> None:
    assert loops_of(large(lambda: ops.add(leaf(64), leaf(64))), LoopKind.PARALLEL) == []


def test_far_rows_are_read_in_long_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphc.passes.schedule_streams.FEWEST_VECTORS", 1)
    monkeypatch.setattr("graphc.passes.schedule_streams.PAGE", 64)
    check(kernel_of(ops.sum_(leaf(9, 2, 150, dtype="float16"), axes=(0,))))
    check(kernel_of(matmul(leaf(1, 7), leaf(7, 131))))
    check(kernel_of(ops.sum_(leaf(1026, 129), axes=(0,))))
    kernel = schedule(kernel_of(ops.sum_(leaf(100, 4096), axes=(0,))), AVX512)
    (top,) = kernel.body
    assert isinstance(top, Loop) and top.kind is LoopKind.PARALLEL
    loops = [s for s in top.body if isinstance(s, Loop)]
    rows = [loop.variable.extent for loop in loops if "k" in loop.variable.name]
    assert rows == [100 // ROWS, 100 % ROWS]
    inside = [s for s in statements(loops[1].body) if isinstance(s, Loop)]
    assert inside[-1].kind is LoopKind.UNROLLED and inside[-1].variable.extent == ROWS


def test_sums_along_columns_go_along_rows_in_memory() -> None:
    kernel = large(lambda: ops.sum_(leaf(100, 640), axes=(0,)))
    assert loops_of(kernel, LoopKind.VECTOR) == [64]
    assert not jumps_in_inner_loops(kernel)
