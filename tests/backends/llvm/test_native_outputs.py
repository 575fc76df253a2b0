"""`out=` in the native call: the arrays are written themselves, or the way of Python decides."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest

import graphc
from graphc.backends.llvm.call_native import is_supported
from graphc.executable import INTO
from graphc.program import Program

pytestmark = pytest.mark.skipif(not is_supported(), reason="there is no native call here")

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
X = np.arange(24, dtype=np.float32).reshape(4, 6)


def aligned(*shape: int, dtype: Any = "float32", skip: int = 0) -> Array:
    """Return zeros that start `skip` bytes after a multiple of 64."""
    size = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
    block = np.zeros(size + 192, np.uint8)
    start = -block.ctypes.data % 64 + skip
    array: Array = block[start : start + size].view(dtype).reshape(shape)
    return array


def warm(program: Program, *arguments: Array) -> Program:
    for _ in range(5):
        program(*arguments)
    return program


@pytest.fixture
def pair() -> Program:
    """A program of two outputs, of the shape (4, 6) and (6,)."""
    x = graphc.input((4, 6), name="x")
    return warm(graphc.compile([x * 2, graphc.sum(x, axis=0)], inputs=[x]), X)


def test_the_native_call_writes_and_returns_the_arrays(pair: Program) -> None:
    double, total = aligned(4, 6), aligned(6)
    outputs = pair._native(X, INTO, double, total)
    assert outputs is not None and outputs[0] is double and outputs[1] is total
    assert (double == X * 2).all() and (total == X.sum(0)).all()


@pytest.mark.parametrize("skip", [4, 16, 32, 60])
def test_arrays_of_any_alignment_are_written_themselves(skip: int, pair: Program) -> None:
    double, total = aligned(4, 6, skip=skip), aligned(6, skip=skip)
    outputs = pair._native(X, INTO, double, total)
    assert outputs is not None and outputs[0] is double and outputs[1] is total
    assert (double == X * 2).all() and (total == X.sum(0)).all()


def test_calls_with_out_alone_come_to_the_native_call() -> None:
    double = graphc.compile(lambda x: x * 2)
    y = aligned(4, 6)
    for _ in range(5):
        assert double(X, out=y) is y
    (program,) = double.programs
    y[...] = 0
    assert program._native(X, INTO, y) == [y] and (y == X * 2).all()


def test_arrays_are_held_once_more_by_the_list_alone(pair: Program) -> None:
    double, total = aligned(4, 6), aligned(6)
    before = sys.getrefcount(double), sys.getrefcount(total), sys.getrefcount(X)
    for _ in range(1000):
        pair._native(X, INTO, double, total)
    outputs = pair._native(X, INTO, double, total)
    assert (sys.getrefcount(double), sys.getrefcount(total)) == (before[0] + 1, before[1] + 1)
    del outputs
    gc.collect()
    assert (sys.getrefcount(double), sys.getrefcount(total), sys.getrefcount(X)) == before


class Other(np.ndarray[Any, np.dtype[Any]]):
    """Arrays with behaviour of their own."""


def read_only() -> Array:
    array = aligned(4, 6)
    array.flags.writeable = False
    return array


MEMORY = aligned(64)
REFUSED: dict[str, Callable[[], tuple[Any, ...]]] = {
    "misaligned": lambda: (aligned(4, 6, skip=2), aligned(6)),
    "read-only": lambda: (read_only(), aligned(6)),
    "another shape": lambda: (aligned(6, 4), aligned(6)),
    "another dtype": lambda: (aligned(4, 6), aligned(6, dtype="int32")),
    "strided": lambda: (aligned(4, 12)[:, ::2], aligned(6)),
    "a subclass": lambda: (aligned(4, 6).view(Other), aligned(6)),
    "the same memory": lambda: (MEMORY[:24].reshape(4, 6), MEMORY[16:22]),
    "none": lambda: (None, aligned(6)),
    "a list": lambda: ([1, 2], aligned(6)),
    "one too few": lambda: (aligned(4, 6),),
    "one too many": lambda: (aligned(4, 6), aligned(6), aligned(6)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_arrays_are_refused_and_left_alone(name: str, pair: Program) -> None:
    outputs = REFUSED[name]()
    before = [np.array(output, copy=True) for output in outputs if isinstance(output, np.ndarray)]
    for _ in range(50):
        assert pair._native(X, INTO, *outputs) is None
    after = [output for output in outputs if isinstance(output, np.ndarray)]
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    assert pair._native(X, INTO, aligned(4, 6), aligned(6)) is not None


@pytest.mark.parametrize("shift", [0, 16, 23, 24, 48])
def test_an_array_that_overlaps_an_argument_takes_the_result_all_the_same(shift: int) -> None:
    memory = aligned(96)
    x = graphc.input((24,), name="x")
    program = warm(graphc.compile([graphc.cumulative_sum(x)], inputs=[x]), memory[:24])
    memory[:] = np.arange(96)
    given, y = memory[shift : shift + 24], memory[16:40]
    wanted = np.cumsum(given)
    is_apart = shift >= 40
    assert (program._native(given, INTO, y) is not None) is is_apart
    memory[:] = np.arange(96)
    assert program(given, out=y)[0] is y and (y == wanted).all()


def test_an_argument_too_many_is_never_written(pair: Program) -> None:
    double, total = aligned(4, 6), aligned(6)
    assert pair.call_natively(X, double, total) is None
    assert pair.call_natively(X, total, double, total) is None
    one = graphc.compile(lambda x, y=None: x * 2 if y is None else x + y)
    for _ in range(5):
        one(X)
    y = aligned(4, 6)
    assert (one(X, y) == X).all() and not y.any()


def test_a_program_with_a_variable_writes_the_array_and_the_variable() -> None:
    total = graphc.Variable(np.zeros((4, 6), np.float32), name="total")

    @graphc.compile
    def add(x: Any) -> Any:
        total.assign(total + x)
        return total * 2

    for _ in range(5):
        add(X)
    (program,) = add.programs
    y = aligned(4, 6)
    assert add(X, out=y) is y and (y == 12 * X).all()
    assert (total.value == 6 * X).all()
    assert program._native(X, INTO, y) == [y] and (y == 14 * X).all()
    assert program.stages.plan is not None
    (memory,) = (variable.host() for variable in program.stages.plan.variables)
    assert program._native(X, INTO, memory) is None and (memory == 7 * X).all()


def test_an_index_out_of_bounds_raises_with_out_too() -> None:
    take: Any = graphc.compile(lambda x, i: graphc.take(x, i, axis=0))
    i = np.array([1, 2], np.int64)
    y = aligned(2, 6)
    for _ in range(5):
        assert take(X, i, out=y) is y
    before = sys.getrefcount(y)
    for _ in range(50):
        with pytest.raises(graphc.GraphcIndexError):
            take(X, np.array([1, 9], np.int64), out=y)
    assert sys.getrefcount(y) == before
    assert (take(X, i, out=y) == X[i]).all()
