"""Transposing loads: shuffles make the columns of a matrix, where all of it may be read."""

from __future__ import annotations

import re

import numpy as np
import pytest

from graphc import dtypes
from graphc.backends.llvm.transposition import transpose
from graphc.backends.llvm.writer import Writer
from graphc.kernel_text import parse_kernel
from graphc.passes.schedule import schedule
from graphc.target import Target
from tests.backends.llvm.harness import LEVELS, Array, check, compile_kernel, special_values
from tests.passes.test_schedule_transposes import transpose as matrix_transpose

_SHUFFLE = re.compile(r"shufflevector \S+ x \S+ (\S+), <.*?> (\S+), <.*?> <(.*)>")


class Shuffler(Writer):
    """A writer that carries the shuffles out."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors: dict[str, Array] = {}

    def pure(self, expression: str, *, within: int = 0) -> str:
        found = _SHUFFLE.match(expression)
        assert found is not None
        both = np.concatenate([self.vectors[found[1]], self.vectors[found[2]]])
        name = f"%{len(self.vectors)}"
        self.vectors[name] = both[[int(place.split()[1]) for place in found[3].split(", ")]]
        return name


@pytest.mark.parametrize(
    ("size", "count"),
    [(s, c) for s in (1, 2, 4, 8) for c in (4, 8, 16) if s * c <= 64],
)
def test_columns_come_of_few_shuffles(size: int, count: int) -> None:
    writer = Shuffler()
    matrix = np.arange(count * count).reshape(count, count)
    writer.vectors = {f"%r{i}": row for i, row in enumerate(matrix)}
    columns = transpose(writer, "i32", size, list(writer.vectors))
    assert np.array_equal([writer.vectors[c] for c in columns], matrix.T)
    assert len(writer.vectors) - count == count * (count.bit_length() - 1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "int8", "bfloat16"])
@pytest.mark.parametrize(("lanes", "rows"), [(16, 16), (16, 8), (8, 8), (8, 4), (16, 4)])
def test_squares_are_turned(dtype: str, lanes: int, rows: int) -> None:
    text = f"""kernel k(x: {dtype}[3, {lanes}, {rows}] in, y: {dtype}[3, {rows}, {lanes}] out) {{
      for i < 3 parallel {{ for l < {lanes} vector {{ for r < {rows} unrolled {{
        %a = load x[i, l, r] : {dtype}
        store y[i, r, l] = %a }} }} }} }}"""
    x = special_values(dtypes.as_dtype(dtype), 3 * lanes * rows).reshape(3, lanes, rows)
    check(text, {"x": x})
    executable, _, _ = compile_kernel(parse_kernel(text), {"x": x}, LEVELS[-1])
    is_narrow = rows * dtypes.as_dtype(dtype).itemsize <= 64
    assert ("masked.gather" in executable.text("llvm")) == (not is_narrow)


@pytest.mark.parametrize(
    "load",
    ["load x[l, r] where %p", "load x[l, ((r + 1) mod 8)]", "load x[l, 2*((r) floordiv 2)]"],
)
def test_what_may_not_be_read_whole_is_not(load: str) -> None:
    text = f"""kernel k(x: float32[8, 8] in, q: bool[8] in, y: float32[8, 8] out) {{
      for i < 1 serial {{ for l < 8 vector {{ %p = load q[l] : bool for r < 8 unrolled {{
        %a = {load} : float32
        store y[r, l] = %a }} }} }} }}"""
    x = special_values(dtypes.float32, 64).reshape(8, 8)
    check(text, {"x": x, "q": np.arange(8) % 3 == 0})


def test_a_guarded_copy_is_read_alone() -> None:
    text = """kernel k(x: float32[8, 8] in, y: float32[8, 8] inout) {
      for i < 1 serial { for l < 8 vector { for r < 8 unrolled {
        if r < 5 {
          %a = load x[l, r] : float32
          store y[r, l] = %a } } } } }"""
    x = special_values(dtypes.float32, 64).reshape(8, 8)
    check(text, {"x": x, "y": np.zeros((8, 8), np.float32)})


@pytest.mark.parametrize(("place", "is_whole"), [("%p{0..8}", True), ("%q{0..8}", False)])
def test_a_value_in_the_place_is_the_same_for_all_copies(place: str, is_whole: bool) -> None:
    text = f"""kernel k(x: float32[8, 16] in, n: int32[8] in, y: float32[8, 8] out) {{
      for i < 1 serial {{ %p = load n[0] : int32 for l < 8 vector {{ for r < 8 unrolled {{
        %q = load n[r] : int32
        %a = load x[l, r + {place}] : float32
        store y[r, l] = %a }} }} }} }}"""
    x = special_values(dtypes.float32, 128).reshape(8, 16)
    numbers = np.array([3, 1, 8, 0, 5, 5, 2, 7], np.int32)
    check(text, {"x": x, "n": numbers})
    executable, _, _ = compile_kernel(parse_kernel(text), {"x": x, "n": numbers}, LEVELS[-1])
    assert ("masked.gather" not in executable.text("llvm")) == is_whole


@pytest.mark.parametrize("nbytes", [0, 4, 16, 60])
def test_blocks_begin_where_lines_do(nbytes: int) -> None:
    target = Target("large", "cpu", 64, 32, 1, cache_bytes=(256, 512, 1 << 20))
    x = special_values(dtypes.float32, 128 * 96).reshape(128, 96)
    raw = np.zeros(x.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + nbytes
    given = raw[start : start + x.nbytes].view(np.float32).reshape(x.shape)
    given[...] = x
    check(schedule(matrix_transpose((128, 96), (1, 0)), target), {"x0": given})
