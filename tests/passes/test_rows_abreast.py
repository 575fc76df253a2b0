"""Rows abreast: short rows that are reduced several times go two by two, with the same bits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphc.kernel import Kernel, Load, Loop, LoopKind, Scope, Scratch, statements
from graphc.passes.schedule import schedule
from graphc.target import Target
from tests.passes.test_schedule import AVX512, check, kernel_of, leaf, softmax


def together(kernel: Kernel, target: Target = AVX512) -> int:
    """Return how many rows have a cache of their own in one iteration."""
    made = [s for s in statements(schedule(kernel, target).body) if isinstance(s, Scratch)]
    return sum(s.scope is Scope.CACHE for s in made)


def test_short_rows_go_two_by_two() -> None:
    kernel = kernel_of(softmax(leaf(32, 54), 1))
    check(kernel)
    (rows,) = schedule(kernel, replace(AVX512, cores=1)).body
    assert isinstance(rows, Loop)
    assert rows.variable.extent == 16
    loads = [s for s in statements(rows.body) if isinstance(s, Load) and s.buffer == "x0"]
    places = [load.indices[0].evaluate({rows.variable.name: 5}) for load in loads]
    assert places == [10, 11] * 4  # whole vectors and what is left, of two passes


def test_the_rows_are_shared_among_threads() -> None:
    (rows,) = schedule(kernel_of(softmax(leaf(1024, 1024), 1)), AVX512).body
    assert isinstance(rows, Loop) and rows.kind is LoopKind.PARALLEL


@pytest.mark.parametrize("rows", [48, 129])  # too few for four threads, and odd
def test_some_numbers_of_rows_stay(rows: int) -> None:
    kernel = kernel_of(softmax(leaf(rows, 50), 1))
    check(kernel)
    assert together(kernel) == 1


def test_rows_that_fill_the_first_cache_stay() -> None:
    short = kernel_of(softmax(leaf(64, 54), 1))
    assert together(short) == 2
    assert together(short, replace(AVX512, cache_bytes=(512, 2**20, 2**24))) == 1


def test_rows_from_memory_go_one_by_one() -> None:
    """Two rows that are read from beyond the last cache are read more slowly than one."""
    kernel = kernel_of(softmax(leaf(64, 54), 1))
    small = replace(AVX512, cache_bytes=(*AVX512.cache_bytes[:2], 1024))
    assert together(kernel) == 2 * together(kernel, small) > 0
