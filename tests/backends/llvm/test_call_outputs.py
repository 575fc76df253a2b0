"""No block of memory is handed out again while anything holds the output that lies in it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from graphc import dtypes
from graphc.backends.llvm import call_outputs
from graphc.backends.llvm.call_outputs import MOST_BLOCKS, OutputMaker, address_of, makers
from graphc.tensor_type import TensorType, tensor_type

LARGE = tensor_type((600, 1000))
SMALL = tensor_type((3, 5))
BUDGET = call_outputs.MOST_BYTES

pytestmark = pytest.mark.skipif(
    not call_outputs.counts_references(), reason="nothing is kept on this interpreter"
)


def block_of(array: np.ndarray[Any, Any]) -> int:
    return id(array.base)


def test_a_block_is_used_again_once_nobody_holds_it() -> None:
    make = OutputMaker(LARGE, BUDGET)
    first = make()
    block = block_of(first)
    second = make()
    assert block_of(second) != block
    del first
    assert block_of(make()) == block


def as_memory(array: Any) -> Any:
    return memoryview(array)  # NumPy declares it of arrays from Python 3.12 on


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "array": lambda a: a,
    "view": lambda a: a.view(),
    "other dtype": lambda a: a.view(np.int32),
    "slice": lambda a: a[7:9, 3],
    "transpose": lambda a: a.T,
    "empty slice": lambda a: a[:0],
    "memoryview": as_memory,
    "memoryview of a slice": lambda a: as_memory(a[5:6]),
    "base": lambda a: a.base,
    "iterator": lambda a: a.flat,
    "closure": lambda a: lambda: a,
    "array interface": lambda a: np.asarray(as_memory(a)),
    "dlpack": np.from_dlpack,
    "subclass": lambda a: a.view(np.ma.MaskedArray),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_a_block_that_is_held_in_any_way_is_not_used(name: str) -> None:
    make = OutputMaker(LARGE, BUDGET)
    array = make()
    block = block_of(array)
    held = HOLDERS[name](array)
    del array
    others = [make() for _ in range(2 * MOST_BLOCKS)]
    assert block not in {block_of(other) for other in others}
    del held, others
    assert block in {block_of(a) for a in [make() for _ in range(MOST_BLOCKS)]}


def test_what_is_kept_is_bounded() -> None:
    make = OutputMaker(LARGE, BUDGET)
    held = [make() for _ in range(3 * MOST_BLOCKS)]
    assert len({address_of(array) for array in held}) == len(held)
    assert len(make._blocks) == MOST_BLOCKS
    three = makers([LARGE] * 3)
    assert sum(maker.kept_bytes for maker in three) <= BUDGET
    size = TensorType((BUDGET // 3,), dtypes.uint8)
    many = makers([size] * 5)
    assert [maker.kept_bytes // maker.block_bytes for maker in many] == [2, 0, 0, 0, 0]
    assert makers([TensorType((2 * BUDGET,), dtypes.uint8)])[0].kept_bytes == 0


def test_small_outputs_are_not_kept() -> None:
    make = OutputMaker(SMALL, BUDGET)
    assert make.kept_bytes == 0
    make()
    assert not make._blocks


@pytest.mark.parametrize("type_", [LARGE, SMALL, tensor_type(()), tensor_type((0, 4))])
def test_outputs_are_dense_aligned_and_writeable(type_: TensorType) -> None:
    array = OutputMaker(type_, BUDGET)()
    assert array.shape == type_.shape and array.dtype == type_.dtype.numpy
    assert address_of(array) % 64 == 0
    assert array.flags.c_contiguous and array.flags.writeable and not array.flags.owndata
    array.flags.writeable = False
    array.flags.writeable = True


def test_threads_never_share_a_block() -> None:
    make = OutputMaker(LARGE, BUDGET)

    def work(number: int) -> int:
        wrong = 0
        for round_ in range(200):
            array = make()
            mark = number * 1000 + round_
            array[::100, 0] = mark
            kept = array[::100]
            del array
            wrong += int((kept[:, 0] != mark).any())
        return wrong

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(work, range(8))) == 0
    finally:
        sys.setswitchinterval(interval)


def test_too_large_an_output_names_its_bytes() -> None:
    type_ = tensor_type((2**45,), dtypes.uint8)
    with pytest.raises(MemoryError, match=str(2**45 + 64)):
        OutputMaker(type_, BUDGET)()
