"""Large transposes go by way of blocks, from line to line of what is read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graphc import ops
from graphc.kernel import Kernel, Load, Loop, Misalignment, Scratch, Store, statements
from graphc.kernel_interpreter import run
from graphc.kernel_verifier import verify
from graphc.passes.schedule import schedule
from graphc.target import Target
from tests.passes.test_schedule import AVX2, AVX512, SSE, kernel_of, leaf
from tests.passes.test_schedule_transposes import transpose

CACHES = (256, 512, 1 << 20)  # a matrix is too large for the second one
TARGETS = [replace(t, cores=1, cache_bytes=CACHES) for t in (AVX512, AVX2, SSE)]


def goes_by_blocks(kernel: Kernel) -> bool:
    return any(isinstance(s, Misalignment) for s in statements(kernel.body))


def misaligned(array: Any, nbytes: int) -> Any:
    """Return a copy that begins `nbytes` after a line of the caches does."""
    raw = np.zeros(array.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + nbytes
    copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def check(kernel: Kernel, target: Target) -> None:
    """Check that the schedule goes by blocks and gives the bits of the naive kernel everywhere."""
    scheduled = schedule(kernel, target)
    verify(scheduled)
    assert goes_by_blocks(scheduled)
    random = np.random.default_rng(0)
    given: dict[str, Any] = {
        b.name: np.asarray(random.integers(-99, 99, b.type.shape)).astype(b.type.dtype.numpy)
        for b in kernel.buffers
    }
    expected = {name: array.copy() for name, array in given.items()}
    run(kernel, expected)
    for nbytes in (0, 8, 16, 56):
        arrays = {name: misaligned(array, nbytes) for name, array in given.items()}
        for name in (b.name for b in kernel.buffers if b.name.startswith("y")):
            arrays[name][...] = 0
        run(scheduled, arrays)
        assert all(arrays[name].tobytes() == expected[name].tobytes() for name in arrays)


@pytest.mark.parametrize(
    ("target", "dtype"),
    [*((target, "float32") for target in TARGETS), *((t, "float64") for t in TARGETS[:2])],
    ids=str,
)
@pytest.mark.parametrize("shape", [(128, 48), (128, 80)])
def test_the_matrix_may_begin_anywhere_in_a_line(
    shape: tuple[int, int], dtype: str, target: Target
) -> None:
    check(transpose(shape, (1, 0), dtype), target)


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_narrow_dtypes(dtype: str) -> None:
    check(transpose((256, 192), (1, 0), dtype), TARGETS[0])


def test_several_results_of_several_operands() -> None:
    x, y = leaf(128, 64), leaf(64, 128)
    turned = ops.permute_dims(x, axes=(1, 0))
    check(kernel_of(ops.add(turned, y), ops.multiply(turned, y)), TARGETS[0])


def test_rows_are_written_in_pieces_of_four_lines() -> None:
    kernel = schedule(transpose((128, 64), (1, 0)), TARGETS[0])
    (block,) = (s for s in statements(kernel.body) if isinstance(s, Scratch))
    assert block.type.shape == (16, 64)
    loaded = [s.buffer for s in statements(kernel.body) if isinstance(s, Load)]
    stored = [s.buffer for s in statements(kernel.body) if isinstance(s, Store)]
    assert (loaded, stored) == (["x0", block.name], [block.name, "y0"])


@pytest.mark.parametrize(
    ("shape", "cores", "caches"),
    [
        ((128, 60), 1, CACHES),  # rows that begin anywhere in a line
        ((136, 64), 1, CACHES),
        ((128, 64), 2, CACHES),  # fewer blocks than two for each core
        ((128, 64), 1, (256, 1 << 20, 1 << 20)),
        ((128, 64), 1, (256, 512, 1024)),  # which memory holds: rows go past the caches
    ],
)
def test_others_go_in_squares(
    shape: tuple[int, int], cores: int, caches: tuple[int, int, int]
) -> None:
    target = replace(AVX512, cores=cores, cache_bytes=caches)
    kernel = schedule(transpose(shape, (1, 0)), target)
    assert not goes_by_blocks(kernel)
    assert any(isinstance(s, Loop) for s in kernel.body)


def test_a_slice_that_begins_inside_a_line_goes_in_squares() -> None:
    x = ops.slice_(leaf(128, 80), start=(0, 8), stop=(128, 72), step=(1, 1))
    kernel = kernel_of(ops.permute_dims(x, axes=(1, 0)))
    assert not goes_by_blocks(schedule(kernel, TARGETS[0]))
