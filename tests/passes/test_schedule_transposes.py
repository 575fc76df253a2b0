"""Transposes go in squares: rows read side by side, columns written side by side."""

from __future__ import annotations

import pytest

from graphc import ops
from graphc.kernel import Kernel, Loop, LoopKind, statements
from graphc.passes.schedule import schedule
from graphc.target import Target
from tests.passes.test_schedule import AVX2, AVX512, SSE, check, kernel_of, leaf


def transpose(shape: tuple[int, ...], axes: tuple[int, ...], dtype: str = "float32") -> Kernel:
    return kernel_of(ops.permute_dims(leaf(*shape, dtype=dtype), axes=axes))


def square_of(kernel: Kernel, target: Target) -> tuple[int, int] | None:
    """Return the columns and rows of the first square in the schedule."""
    for loop in statements(schedule(kernel, target).body):
        if isinstance(loop, Loop) and loop.kind is LoopKind.VECTOR:
            (inner,) = loop.body
            assert isinstance(inner, Loop) and inner.kind is LoopKind.UNROLLED
            return loop.variable.extent, inner.variable.extent
    return None


@pytest.mark.parametrize(
    ("target", "dtype", "square"),
    [
        (AVX512, "float32", (16, 16)), (AVX2, "float32", (16, 8)), (SSE, "float32", (8, 4)),
        (AVX512, "float64", (8, 8)), (AVX2, "float64", (8, 4)), (AVX2, "float16", (32, 16)),
        (AVX512, "int8", (32, 16)),
    ],
)  # fmt: skip
def test_a_row_of_a_square_fits_a_register_and_a_column_a_line(
    target: Target, dtype: str, square: tuple[int, int]
) -> None:
    assert square_of(transpose((64, 64), (1, 0), dtype), target) == square


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "bfloat16"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((64, 64), (1, 0)), ((37, 45), (1, 0)), ((130, 70), (1, 0)), ((20, 5), (1, 0)),
        ((3, 40, 36), (2, 1, 0)), ((3, 33, 34), (0, 2, 1)), ((17, 2, 3, 18), (3, 1, 2, 0)),
        ((66, 2), (1, 0)), ((1, 64, 64), (2, 0, 1)),
    ],
)  # fmt: skip
def test_transposes(shape: tuple[int, ...], axes: tuple[int, ...], dtype: str) -> None:
    check(transpose(shape, axes, dtype))


def test_a_transpose_inside_a_chain() -> None:
    x, y = leaf(48, 80), leaf(80, 48)
    chain = ops.add(ops.exp(ops.permute_dims(x, axes=(1, 0))), y)
    assert square_of(kernel_of(chain), AVX512) == (16, 16)
    check(kernel_of(chain))


@pytest.mark.parametrize("shape", [(64, 3), (6, 64)])
def test_narrow_matrices_have_no_squares(shape: tuple[int, ...]) -> None:
    kernel = transpose(shape, (1, 0))
    loops = [s for s in statements(schedule(kernel, AVX512).body) if isinstance(s, Loop)]
    assert all(loop.kind is not LoopKind.UNROLLED for loop in loops)
    check(kernel)
