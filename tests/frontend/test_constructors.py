"""Constructors against NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphc.frontend as gc
from graphc import dtypes
from graphc.errors import GraphcError, GraphcTypeError, GraphcValueError, ShapeError
from graphc.node import constant_value
from tests.frontend.evaluation import close, run, same, tensor, value


def test_inputs_are_distinct_and_named() -> None:
    a, b = gc.input((2,), name="x"), gc.input((2,), name="x")
    assert a.node is not b.node
    assert a.node.attributes["name"] == "x"
    assert gc.input(3, "int8").type == gc.input((3,), np.int8).type


def test_constants_are_copies_of_their_dtype() -> None:
    array = np.arange(3.0)
    c = gc.constant(array)
    array[0] = 9
    same(constant_value(c.node), np.arange(3.0))
    assert gc.constant([1.0, 2.0]).dtype is dtypes.float32
    assert gc.constant([1, 2.5]).dtype is dtypes.float32
    assert gc.constant([]).dtype is dtypes.float32
    assert gc.constant(3).dtype is dtypes.int64
    assert gc.constant(True).dtype is dtypes.bool_
    assert gc.constant([np.float64(1)]).dtype is dtypes.float64
    assert gc.constant(np.ones(2, ml_dtypes.bfloat16)).dtype is dtypes.bfloat16
    assert gc.constant(np.arange(3, dtype=">i4")).dtype is dtypes.int32
    same(value(gc.constant(np.arange(3, dtype=">i4"))), np.arange(3, dtype=np.int32))
    assert gc.constant([1, 2], "float16").dtype is dtypes.float16


@pytest.mark.parametrize(
    "wrong", ["a", [1, "a"], [[1], [1, 2]], object(), None, np.datetime64(1, "s")]
)
def test_constants_are_numbers(wrong: Any) -> None:
    with pytest.raises(GraphcTypeError):
        gc.constant(wrong)


def test_filled() -> None:
    same(value(gc.zeros((2, 3))), np.zeros((2, 3), np.float32))
    same(value(gc.ones(3, "int8")), np.ones(3, np.int8))
    same(value(gc.full((2,), -0.0)), np.full(2, -0.0, np.float32))
    same(value(gc.full((2,), 7)), np.full(2, 7))
    same(value(gc.full((0, 2), True)), np.full((0, 2), True))
    same(value(gc.full_like(gc.ones(2, "int16"), 3)), np.full(2, 3, np.int16))
    same(value(gc.zeros_like(np.ones(2))), np.zeros(2))
    same(run(lambda t: gc.full((2,), t.sum()), np.ones(3)), np.full(2, 3.0))
    with pytest.raises(ShapeError):
        gc.full((2,), [1, 2])


RANGES: list[tuple[Any, ...]] = [
    (5,),
    (2, 7),
    (7, 2),
    (7, 2, -2),
    (0, 10, 3),
    (0,),
    (-3,),
    (1, 2, 5),
]


@pytest.mark.parametrize("arguments", RANGES)
def test_arange(arguments: Any) -> None:
    same(value(gc.arange(*arguments)), np.arange(*arguments))
    same(value(gc.arange(*arguments).astype("int8")), np.arange(*arguments).astype(np.int8))


def test_arange_of_floats() -> None:
    close(value(gc.arange(0.0, 1.0, 0.25)), np.arange(0, 1, 0.25).astype(np.float32))
    close(value(gc.arange(1, 0, -0.3, dtype="float64")), np.arange(1, 0, -0.3), 1e-15)
    with pytest.raises(GraphcValueError, match="step is 0"):
        gc.arange(1, 2, 0)
    with pytest.raises(GraphcTypeError, match="Python index or extent"):
        gc.arange(tensor())  # type: ignore[arg-type]  # the mistake under test


def test_linspace() -> None:
    same(value(gc.linspace(0, 1, 5, "float64")), np.linspace(0, 1, 5))
    same(
        value(gc.linspace(0, 1, 4, "float64", endpoint=False)), np.linspace(0, 1, 4, endpoint=False)
    )
    same(value(gc.linspace(3, 9, 1, "float64")), np.linspace(3, 9, 1))
    same(value(gc.linspace(3, 9, 0, "float64")), np.linspace(3, 9, 0))
    assert value(gc.linspace(0.1, 0.7, 8))[-1] == np.float32(0.7)


@pytest.mark.parametrize("k", [-5, -1, 0, 1, 5])
def test_diagonals(k: int) -> None:
    same(value(gc.eye(3, 4, k=k)), np.eye(3, 4, k=k, dtype=np.float32))
    x = np.arange(24.0).reshape(2, 3, 4)
    same(run(lambda t: gc.tril(t, k), x), np.tril(x, k))
    same(run(lambda t: gc.triu(t, k), x), np.triu(x, k))


def test_triangles_clear_nan() -> None:
    x = np.full((2, 2), np.nan)
    assert np.isnan(run(gc.tril, x)).tolist() == [[True, False], [True, True]]
    with pytest.raises(ShapeError):
        gc.triu(tensor(3))


def test_iota() -> None:
    same(value(gc.iota((2, 3), 1)), np.array([[0, 1, 2], [0, 1, 2]]))
    same(value(gc.iota((2, 0), 0, "float16")), np.zeros((2, 0), np.float16))
    with pytest.raises(GraphcError):
        gc.iota((2,), 1)
    with pytest.raises(GraphcTypeError):
        gc.iota((2,), 0, "bool")


ENDLESS: list[Callable[[], Any]] = [
    lambda: gc.arange(0, math.nan), lambda: gc.arange(0, math.inf), lambda: gc.arange(-math.inf, 0),
    lambda: gc.arange(0, 1, math.nan), lambda: gc.arange(10**400, 0.5), lambda: gc.arange(10**30),
    lambda: gc.arange(1e308, -1e308, -1e-10), lambda: gc.arange(0, 1e30, 0.5),
    lambda: gc.linspace(0, 10**400), lambda: gc.linspace(-(10**400), 0, 3),
]  # fmt: skip


@pytest.mark.parametrize("ends", [(0, 1j), ([0], 1), ("a", 1)])
def test_linspace_goes_between_real_numbers(ends: tuple[Any, Any]) -> None:
    with pytest.raises(GraphcTypeError, match="one real number to another") as caught:
        gc.linspace(*ends, 5)
    assert caught.value.line.startswith(__file__)


@pytest.mark.parametrize("endless", ENDLESS)
def test_what_has_no_finite_number_of_elements_is_refused(endless: Callable[[], Any]) -> None:
    with pytest.raises(GraphcValueError) as caught:
        endless()
    assert caught.value.line.startswith(__file__)


@pytest.mark.parametrize("stop", range(-5, 6))
@pytest.mark.parametrize("step", [-3, -2, -1, 1, 2, 3, np.int8(2)])
def test_arange_counts_as_range_does(stop: int, step: int) -> None:
    assert gc.arange(1, stop, step).shape == (len(range(1, stop, step)),)
