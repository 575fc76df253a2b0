"""Lanes a few elements apart: vectors read whole and picked from, and never past an array."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import pytest

import graphc
from graphc.backends.llvm import steps
from graphc.dtypes import DType, as_dtype
from graphc.kernel_text import parse_kernel
from tests.backends.llvm.harness import CPUS, check, compile_kernel, run_native

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
STEPS = [-5, -4, -3, -2, 2, 3, 4, 5]
ROWS = 5
LOAD = """kernel k(x: {dtype}[{size}] in, y: {dtype}[{total}] out) {{
  for i < 5 parallel {{ for l < {lanes} vector {{
    %a = load x[{row}*i + {step}*l + {start}] : {dtype}
    store y[{lanes}*i + l] = %a }} }} }}"""
STORE = """kernel k(x: {dtype}[{total}] in, y: {dtype}[{size}] inout) {{
  for i < 5 parallel {{ for l < {lanes} vector {{
    %a = load x[{lanes}*i + l] : {dtype}
    store y[{row}*i + {step}*l + {start}] = %a }} }} }}"""


def text_of(text: str, dtype: DType, lanes: int, step: int, start: int, gap: int) -> str:
    """Return a kernel over rows of exactly what its lanes need, `start` before and `gap` behind."""
    length = (lanes - 1) * abs(step) + 1
    first = start + (length - 1 if step < 0 else 0)
    return text.format(
        dtype=dtype, lanes=lanes, step=step, start=first, row=length,
        size=ROWS * length + start + gap, total=ROWS * lanes,
    )  # fmt: skip


def picked(x: Array, lanes: int, step: int, start: int) -> Array:
    length = (lanes - 1) * abs(step) + 1
    rows = x[start : start + ROWS * length].reshape(ROWS, length)
    return rows[:, :: abs(step)] if step > 0 else rows[:, ::step]


def values(dtype: DType, size: int) -> Array:
    bits = np.random.default_rng(0).integers(0, 100, size)
    return bits.astype(dtype.numpy)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int16", "bool"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("cpu", CPUS)
def test_loads_pick_what_lanes_want(dtype: str, step: int, cpu: str) -> None:
    for lanes, start, gap in ((16, 0, 0), (32, 1, 0), (8, 0, 3), (4, 3, 2), (2, 1, 1)):
        kernel = parse_kernel(text_of(LOAD, as_dtype(dtype), lanes, step, start, gap))
        x = values(as_dtype(dtype), kernel.buffer("x").type.size)
        y = run_native(kernel, {"x": x}, cpu)["y"]
        assert (y.reshape(ROWS, lanes) == picked(x, lanes, step, start)).all(), (lanes, start)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int16", "bool"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("cpu", CPUS)
def test_stores_leave_what_lies_between(dtype: str, step: int, cpu: str) -> None:
    for lanes, start in ((16, 0), (32, 1), (8, 2), (4, 3), (2, 1)):
        kernel = parse_kernel(text_of(STORE, as_dtype(dtype), lanes, step, start, 2))
        x = values(as_dtype(dtype), kernel.buffer("x").type.size)
        y = ~values(as_dtype("int8"), kernel.buffer("y").type.size)
        wanted = y.astype(as_dtype(dtype).numpy)
        found = run_native(kernel, {"x": x, "y": wanted.copy()}, cpu)["y"]
        picked(wanted, lanes, step, start)[...] = x.reshape(ROWS, lanes)
        assert (found == wanted).all(), (lanes, start)


MASKED = """kernel k(x: float32[128] in, y: float32[320] inout) {{
  for i < 5 parallel {{ for l < 16 vector {{ if l + 3*i < 13 {{
    %q = index(l + i) : int64
    %s = index(6) : int64
    %p = lt(%q, %s) : bool
    %a = load x[16*i + {step}*l + {start}] where %p : float32
    %b = load x[16*i + {step}*l + {start}] : float32
    %c = add(%a, %b) : float32
    store y[64*i + {step}*l + {start}] = %c where %p }} }} }} }}"""


@pytest.mark.parametrize("step", [-4, -3, -2, 2, 3, 4])
@pytest.mark.parametrize("cpu", CPUS)
def test_lanes_that_are_masked_are_left_out(step: int, cpu: str) -> None:
    arrays = {"x": values(as_dtype("float32"), 128), "y": -values(as_dtype("float32"), 320)}
    check(MASKED.format(step=step, start=-15 * step if step < 0 else 1), arrays, [cpu])


@pytest.fixture
def pages() -> Iterator[Array]:
    """Three pages, of which only the one in the middle may be touched."""
    memory = mmap.mmap(-1, 3 * mmap.PAGESIZE)
    whole = np.frombuffer(memory, np.uint8)
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for page in (0, 2):
        assert protect(whole.ctypes.data + page * mmap.PAGESIZE, mmap.PAGESIZE, 0) == 0
    yield whole[mmap.PAGESIZE : 2 * mmap.PAGESIZE]
    for page in (0, 2):
        protect(whole.ctypes.data + page * mmap.PAGESIZE, mmap.PAGESIZE, 3)


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("cpu", CPUS)
def test_nothing_before_or_behind_an_array_is_read(at_end: bool, cpu: str, pages: Array) -> None:
    for step in STEPS:
        for start, gap in ((0, 0), (1, 0), (0, 1), (3, 0), (0, 3), (1, 1)):
            kernel = parse_kernel(text_of(LOAD, as_dtype("float32"), 16, step, start, gap))
            size = 4 * kernel.buffer("x").type.size
            x = (pages[-size:] if at_end else pages[:size]).view(np.float32)
            x[:] = values(as_dtype("float32"), x.size)
            executable, arguments, _ = compile_kernel(kernel, {"x": x}, cpu)
            assert arguments[0].ctypes.data == x.ctypes.data
            (y,) = executable.run(arguments)
            assert (y.reshape(ROWS, 16) == picked(x, 16, step, start)).all()


def test_what_belongs_to_the_array_is_read_as_whole_vectors() -> None:
    assert steps.starts(16, 2, before=0, after=1) == [0, 16]
    assert steps.starts(16, 2, before=1, after=0) == [-1, 15]
    assert steps.starts(16, 2, before=3, after=5) == [-1, 15]
    assert steps.starts(16, 2, before=0, after=0) == [0, 15]
    assert steps.starts(8, 3, before=1, after=1) == [-1, 7, 15]
    assert steps.starts(8, 3, before=2, after=2) == [-2, 6, 14]


def test_slices_with_steps_use_no_gather_and_share_what_they_read() -> None:
    x = graphc.input((64, 1024), name="x")
    program = graphc.compile([x[:, 1::2] - x[:, ::2], x[:, ::-3] * 2], inputs=[x])
    text = program.text("llvm")
    assert "gather" not in text
    a = np.random.default_rng(0).standard_normal((64, 1024), np.float32)
    one, other = program(a)
    assert (one == a[:, 1::2] - a[:, ::2]).all() and (other == a[:, ::-3] * 2).all()
