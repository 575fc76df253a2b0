"""Indexing against NumPy: basic keys, arrays on axes, take, take_along_axis, one_hot."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import graphc
import graphc.frontend as gc
from graphc import dtypes
from graphc.errors import GraphcError, GraphcIndexError, GraphcTypeError, ShapeError
from tests.frontend.evaluation import close, run, same, tensor, value

X = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@given(st.data(), SHAPES)
@settings(max_examples=150, deadline=None)
def test_basic_keys(data: Any, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    key = data.draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    same(run(lambda t: t[key], array), np.asarray(array[key]))


KEYS: list[Any] = [
    [0, -1, 1],
    np.array([[0, 2], [1, -3]]),
    (slice(None), np.array([3, 0])),
    (slice(None), [1, 1], slice(None, None, -2)),
    (..., np.array([4, -5])),
    (0, np.array([1, 2])),
    (np.array([1, 2]), 0),
    (0, slice(None), np.array([1, 2, 3])),
    (np.array([1, 2]), slice(None), -1),
    (None, np.array([1, 0]), None),
    (slice(1, None), None, [0, 2], 3),
    (1, [0], slice(None)),
    np.array([True, False, True]),
    (slice(None), np.array([False, True, True, False])),
    np.array([], dtype=np.int64),
    [],
    np.array([2, 0], np.uint8),
    np.int64(1),
    (np.array(1), slice(2)),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_arrays_on_one_axis(key: Any) -> None:
    same(run(lambda t: t[key], X), X[key])


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint16", "uint64"])
def test_tensors_as_indices(dtype: str) -> None:
    index = np.array([2, 0, 1], dtype)
    same(run(lambda t, i: t[i], X, index), X[index])
    same(run(lambda t, i: t[:, i], X, index), X[:, index])
    same(run(lambda t, i: t[i[0]], X, index), X[index[0]])


def test_negative_indices_in_tensors_count_from_the_end() -> None:
    index = np.array([-1, 0, -3])
    same(run(lambda t, i: t[i], X, index), X[index])


def test_indices_out_of_range_raise_when_the_program_runs() -> None:
    for wrong in (3, -4, 2**62):
        with pytest.raises(GraphcIndexError):
            run(lambda t, i: t[i], X, np.array([0, wrong]))
    with pytest.raises(GraphcIndexError):
        run(lambda t, i: t[i], X, np.array([2**64 - 1], np.uint64))


@pytest.mark.parametrize("mode", ["wrap", "clip"])
def test_modes_of_take(mode: Any) -> None:
    index = np.array([0, 5, -1, -9, 3])
    expected = np.take(X, index, axis=1, mode=mode)
    same(run(lambda t, i: gc.take(t, i, axis=1, mode=mode), X, index), expected)
    same(run(lambda t: gc.take(t, index, axis=1, mode=mode), X), expected)


def test_take_without_an_axis_and_of_any_shape() -> None:
    index = np.array([[0, 59], [-1, 7]])
    same(run(gc.take, X, index), np.take(X, index))
    same(run(lambda t: t.take(5), X), np.asarray(np.take(X, 5)))
    same(run(lambda t: gc.take(t, 2, axis=-1), X), np.take(X, 2, -1))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_take_along_axis(axis: int) -> None:
    order = np.argsort(-X, axis=axis)
    same(
        run(lambda t, i: gc.take_along_axis(t, i, axis), X, order),
        np.take_along_axis(X, order, axis),
    )
    negative = order - X.shape[axis]
    same(
        run(lambda t, i: gc.take_along_axis(t, i, axis), X, negative),
        np.take_along_axis(X, order, axis),
    )


def test_take_along_axis_broadcasts() -> None:
    index = np.array([[[1], [0], [3], [2]]])
    same(run(gc.take_along_axis, X, index), np.take_along_axis(X, index, -1))


def test_one_hot() -> None:
    labels = np.array([[0, 2], [5, -1]])
    expected = (labels[..., None] == np.arange(3)).astype(np.float32)
    same(run(lambda t: gc.one_hot(t, 3), labels), expected)
    first = np.moveaxis(expected, -1, 0).astype(np.int8)
    same(run(lambda t: gc.one_hot(t, 3, "int8", axis=0), labels.astype(np.uint64)), first)


def test_equal_slices_are_one_node() -> None:
    x = tensor(5)
    assert x[0:5:2].node is x[:9:2].node
    assert x[:].node is x.node
    assert x[1:2:3].node is x[1:2].node
    assert x[4:0].node is x[2:2].node


def test_iteration_and_length() -> None:
    x = tensor(3, 2)
    assert len(x) == 3
    assert [row.shape for row in x] == [(2,)] * 3
    same(run(lambda t: [row.sum() for row in t][1], X), X[1].sum())


Function = Callable[[gc.Tensor], Any]
MISUSES: list[tuple[Function, type[GraphcError], str]] = [
    (lambda t: t[3], GraphcIndexError, "out of bounds for axis 0"),
    (lambda t: t[:, -5], GraphcIndexError, "out of bounds for axis 1"),
    (lambda t: t[0, 0, 0, 0], GraphcIndexError, "4 indices for a tensor with 3 axes"),
    (lambda t: t[..., ...], GraphcIndexError, "one ellipsis"),
    (lambda t: t[1.5], GraphcIndexError, "an index is an integer"),
    (lambda t: t["a"], GraphcIndexError, "an index is an integer"),
    (lambda t: t[::0], GraphcIndexError, "slice"),
    (lambda t: t[True], GraphcIndexError, "True is no index"),
    (lambda t: t[np.array([0.5])], GraphcIndexError, "made of integers"),
    (lambda t: t[t > 0], GraphcIndexError, "bool tensor cannot index"),
    (lambda t: t[[0, 1], [0, 1, 2]], ShapeError, "an index: shapes"),
    (lambda t: t[[0], [4]], GraphcIndexError, "index 4 is out of bounds for axis 1"),
    (lambda t: t[[0], True], GraphcIndexError, "True is no index"),
    (lambda t: t[[0, 3]], GraphcIndexError, "index 3 is out of bounds"),
    (lambda t: t[: gc.argmax(t)], GraphcIndexError, "ends of a slice"),
    (lambda t: gc.take(t, t, axis=0), GraphcTypeError, "indices are integers"),
    (lambda t: gc.take(t, [0], axis=3), GraphcIndexError, "axis 3 is out of bounds"),
    (lambda t: gc.take_along_axis(t, [0]), ShapeError, "1 axes of indices"),
    (lambda t: gc.take_along_axis(t, np.zeros((2, 4, 1), int)), ShapeError, "differ outside"),
    (lambda t: gc.one_hot(t, 3), GraphcTypeError, "labels are integers"),
    (lambda t: gc.take(t[:0], [0], axis=0), GraphcIndexError, "empty"),
]


@pytest.mark.parametrize(("function", "kind", "message"), MISUSES)
def test_misuse_is_refused(function: Function, kind: type[GraphcError], message: str) -> None:
    with pytest.raises(kind, match=message):
        function(tensor(3, 4, 5))


def test_an_empty_index_gives_nothing() -> None:
    assert value(gc.zeros((4, 2))[[]]).shape == (0, 2)
    assert gc.zeros((4, 2))[[]].dtype is dtypes.float32


ROWS, COLUMNS = np.array([0, 2, -1]), np.array([[1], [-2]])
ITEMS: list[Any] = [slice(None), slice(None, None, -2), 1, None, ..., ROWS, COLUMNS, [0, 1, 1]]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_arrays_on_several_axes_stand_where_numpy_puts_them(size: int) -> None:
    """Side by side in the place of the first, else in front; an ellipsis for no axis parts them."""
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    tried = 0
    for key in itertools.product(ITEMS, repeat=size):
        arrays = sum(isinstance(item, np.ndarray | list) for item in key)
        dots = sum(item is ... for item in key)
        if not arrays or (size == 4 and (arrays < 2 or dots != 1)):
            continue  # of the many of four, those that an ellipsis may part
        try:
            expected = x[key]
        except IndexError:
            continue
        same(graphc.evaluate(gc.asarray(x)[key]), expected)
        tried += 1
    assert tried > 2


def test_arrays_on_two_axes_in_a_program() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    pick = graphc.compile(lambda x, i, j: x[i, :, j])
    same(pick(x, ROWS, COLUMNS), x[ROWS, :, COLUMNS])
    slope = np.zeros_like(x)
    places: Any = (ROWS, slice(None), COLUMNS)
    np.add.at(slope, places, 2 * x[places])
    close(graphc.grad(lambda x, i, j: (x[i, :, j] ** 2).sum())(x, ROWS, COLUMNS), slope, 1e-12)
    with pytest.raises(GraphcIndexError, match="out of bounds for axis 0 of extent 3"):
        pick(x, ROWS + 1, COLUMNS)
    with pytest.raises(GraphcIndexError, match="out of bounds for axis 2 of extent 5"):
        pick(x, ROWS, COLUMNS - 5)
    places = np.stack([ROWS, ROWS[::-1], ROWS])
    want = [matrix[i, i] for matrix, i in zip(x, places, strict=True)]
    same(graphc.vmap(lambda x, i: x[i, i])(x, places), np.stack(want))
