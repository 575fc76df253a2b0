"""Passes abreast: the passes over rows in one loop, each on a row of its own, same bits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphc import ops
from graphc.kernel import (
    Guard,
    Kernel,
    Load,
    Loop,
    LoopKind,
    Prefetch,
    Scope,
    Scratch,
    Store,
    statements,
)
from graphc.kernel_interpreter import run
from graphc.kernel_text import parse_kernel
from graphc.kernel_verifier import verify
from graphc.node import Node
from graphc.passes.passes_abreast import DELAY, passes_abreast
from graphc.passes.rewrite_statements import Names
from graphc.passes.schedule import schedule
from graphc.target import Target
from tests.passes.test_schedule import (
    AVX512,
    arrays_for,
    broadcast,
    check,
    kernel_of,
    leaf,
    softmax,
)

ONE_CORE = replace(AVX512, cores=1)


def three_passes(x: Node) -> Node:
    """Return what goes over each row three times, with two values of it in the last pass."""
    rows, columns = x.shape

    def squared_sum(y: Node) -> Node:
        total = ops.reshape(ops.sum_(y, axes=(1,)), shape=(rows, 1))
        return ops.multiply(total, total)

    centred = ops.subtract(x, broadcast(squared_sum(x), rows, columns))
    spread = ops.sqrt(squared_sum(ops.multiply(centred, centred)))
    return ops.divide(centred, broadcast(spread, rows, columns))


def turns(kernel: Kernel, target: Target = ONE_CORE) -> Loop | None:
    """Return the loop over turns of a scheduled kernel, if it has one."""
    for s in statements(schedule(kernel, target).body):
        has_guards = isinstance(s, Loop) and any(isinstance(inside, Guard) for inside in s.body)
        if isinstance(s, Loop) and s.kind is LoopKind.SERIAL and has_guards:
            return s
    return None


@pytest.mark.parametrize("shape", [(64, 256), (70, 333), (65, 300), (35, 400)])
def test_every_bit_is_the_same(shape: tuple[int, int]) -> None:
    """Blocks of the same size and not, rows of whole vectors and not."""
    kernel = kernel_of(softmax(leaf(*shape), 1))
    assert turns(kernel) is not None
    check(kernel)


def test_what_two_later_passes_take_is_kept_for_both() -> None:
    kernel = kernel_of(three_passes(leaf(64, 260)))
    assert turns(kernel) is not None
    check(kernel)


def test_each_pass_is_on_a_row_of_its_own() -> None:
    loop = turns(kernel_of(softmax(leaf(32, 512), 1)))
    assert loop is not None and loop.variable.extent == 16 + 2 * DELAY
    (steps,) = (s for s in loop.body if isinstance(s, Loop))
    accesses = [
        s
        for s in statements(steps.body)
        if isinstance(s, Load | Store) and s.buffer in ("x0", "y0")
    ]
    places = [
        a.indices[0].evaluate({v.name: 0 for v in a.indices[0].variables} | {loop.variable.name: 9})
        for a in accesses
    ]
    assert places == [9, 9 - DELAY, 9 - 2 * DELAY]


def test_values_of_rows_under_way_have_a_place_each() -> None:
    scheduled = schedule(kernel_of(softmax(leaf(32, 512), 1)), ONE_CORE)
    kept = [s for s in statements(scheduled.body) if isinstance(s, Scratch)]
    rings = sorted(s.type.shape for s in kept if s.scope is Scope.CACHE)
    assert rings == [(DELAY + 1,), (DELAY + 1,), (DELAY + 1, 512)]


def test_rows_from_memory_are_fetched_in_the_first_pass_alone() -> None:
    memory = replace(ONE_CORE, cache_bytes=(32 * 1024, 1024, 1024))
    loop = turns(kernel_of(softmax(leaf(32, 512), 1)), memory)
    assert loop is not None
    fetches = [s for s in statements((loop,)) if isinstance(s, Prefetch)]
    stores = [s for s in statements((loop,)) if isinstance(s, Store) and s.buffer == "y0"]
    assert len(fetches) == 1 and all(s.is_streaming for s in stores)


@pytest.mark.parametrize(
    "shape",
    [
        (15, 512),  # few rows
        (64, 4096),  # long rows
        (64, 54),  # fewer than four steps
    ],
)
def test_where_it_is_of_no_use_rows_stay(shape: tuple[int, int]) -> None:
    assert turns(kernel_of(softmax(leaf(*shape), 1))) is None


def test_rows_of_one_pass_stay() -> None:
    assert turns(kernel_of(ops.sum_(leaf(64, 512), axes=(1,)))) is None


UNEVEN = """
kernel k(x: float32[32, 9] in, y: float32[32] out) {
  for i < 32 parallel {
    scratch sum : float32[] register
    scratch late : float32[] register
    %zero = literal() 0.0 : float32
    store sum[] = %zero
    for s < 4 serial {
      %a = load x[i, s] : float32
      %old = load sum[] : float32
      %new = add(%old, %a) : float32
      store sum[] = %new
    }
    %first = load sum[] : float32
    store late[] = %zero
    for r < 9 serial {
      %b = load x[i, r] : float32
      %so_far = load late[] : float32
      %more = fma(%so_far, %first, %b) : float32
      store late[] = %more
    }
    %last = load late[] : float32
    store y[i] = %last
  }
}
"""


def test_what_is_left_of_a_longer_pass_follows_it() -> None:
    kernel = parse_kernel(UNEVEN)
    (rows,) = kernel.body
    assert isinstance(rows, Loop)
    abreast = passes_abreast(rows, ONE_CORE, Names(kernel))
    assert abreast is not None
    scheduled = kernel.with_body((abreast,))
    verify(scheduled)
    arrays, again = arrays_for(kernel), arrays_for(kernel)
    run(kernel, arrays)
    run(scheduled, again)
    assert arrays["y"].tobytes() == again["y"].tobytes()


BACKWARDS = """
kernel k(x: float32[32, 8] in, y: float32[32] out) {
  for i < 32 parallel {
    scratch sum : float32[] register
    %zero = literal() 0.0 : float32
    store sum[] = %zero
    for s < 8 serial {
      %a = load x[i, s] : float32
      %old = load sum[] : float32
      %new = add(%old, %a) : float32
      store sum[] = %new
    }
    %first = load sum[] : float32
    store sum[] = %zero
    for r < 8 serial {
      %b = load x[i, r] : float32
      %sum = load sum[] : float32
      %more = fma(%b, %first, %sum) : float32
      store sum[] = %more
    }
    %last = load sum[] : float32
    store y[i] = %last
  }
}
"""


def test_memory_that_two_passes_store_to_keeps_rows_together() -> None:
    kernel = parse_kernel(BACKWARDS)
    (rows,) = kernel.body
    assert isinstance(rows, Loop) and rows.kind is LoopKind.PARALLEL
    assert passes_abreast(rows, ONE_CORE, Names(kernel)) is None
