"""Shape functions against NumPy, zero-size and odd shapes included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc.frontend as gc
from graphc.errors import GraphcError, GraphcIndexError, GraphcValueError, ShapeError
from tests.frontend.evaluation import run, same, tensor

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
EMPTY = np.zeros((2, 0, 3), np.int16)
Function = Callable[..., Any]


def both(ours: Function, numpys: Function, *arrays: Any) -> None:
    """Assert that a function of graphc gives what NumPy's gives, structures of results too."""
    actual, expected = run(ours, *arrays), numpys(*arrays)
    if not isinstance(expected, list | tuple):
        actual, expected = [actual], [expected]
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        same(a, e)


@pytest.mark.parametrize("shape", [(24,), (4, 6), (-1,), (2, -1), (4, -1, 3), 24, (1, 24, 1)])
def test_reshape(shape: Any) -> None:
    both(lambda t: gc.reshape(t, shape), lambda a: a.reshape(shape), X)


def test_reshape_of_nothing_and_as_a_method() -> None:
    both(lambda t: gc.reshape(t, (0, 7)), lambda a: a.reshape(0, 7), EMPTY)
    both(lambda t: gc.reshape(t, (-1, 2)), lambda a: a.reshape(-1, 2), EMPTY)
    both(lambda t: t.reshape(4, -1), lambda a: a.reshape(4, -1), X)
    both(lambda t: t.ravel(), lambda a: a.ravel(), EMPTY)
    both(lambda t: t.reshape(()), lambda a: a.reshape(()), np.ones((1, 1)))


@pytest.mark.parametrize("shape", [(5, 5), (-1, -1), (7, -1), (-2, 12), (0, -1)])
def test_reshape_refuses_what_does_not_fill(shape: Any) -> None:
    with pytest.raises(ShapeError, match="24 elements"):
        gc.reshape(tensor(2, 3, 4), shape)


UNARY: list[tuple[Function, Function]] = [
    (lambda t: t.T, lambda a: a.T),
    (lambda t: t.mT, lambda a: np.swapaxes(a, -1, -2)),
    (lambda t: gc.permute_dims(t, (2, 0, 1)), lambda a: a.transpose(2, 0, 1)),
    (gc.transpose, np.transpose),
    (lambda t: t.transpose(0, -1, 1), lambda a: a.transpose(0, -1, 1)),
    (lambda t: gc.swapaxes(t, 0, -1), lambda a: np.swapaxes(a, 0, -1)),
    (lambda t: gc.moveaxis(t, 0, -1), lambda a: np.moveaxis(a, 0, -1)),
    (lambda t: gc.moveaxis(t, (0, 2), (1, 0)), lambda a: np.moveaxis(a, (0, 2), (1, 0))),
    (lambda t: gc.expand_dims(t, -1), lambda a: np.expand_dims(a, -1)),
    (lambda t: gc.expand_dims(t, (0, 3)), lambda a: np.expand_dims(a, (0, 3))),
    (gc.flip, np.flip),
    (lambda t: gc.flip(t, axis=1), lambda a: np.flip(a, 1)),
    (lambda t: gc.flip(t, axis=(0, -1)), lambda a: np.flip(a, (0, -1))),
    (lambda t: gc.pad(t, 1), lambda a: np.pad(a, 1)),
    (lambda t: gc.pad(t, (1, 2)), lambda a: np.pad(a, (1, 2))),
    (
        lambda t: gc.pad(t, ((0, 1), (2, 0), (0, 0)), constant_values=7),
        lambda a: np.pad(a, ((0, 1), (2, 0), (0, 0)), constant_values=7),
    ),
    (lambda t: gc.roll(t, 2), lambda a: np.roll(a, 2)),
    (lambda t: gc.roll(t, -5, axis=-1), lambda a: np.roll(a, -5, -1)),
    (lambda t: gc.roll(t, (1, 2), axis=(0, 2)), lambda a: np.roll(a, (1, 2), (0, 2))),
    (lambda t: gc.roll(t, 3, axis=(0, 2)), lambda a: np.roll(a, 3, (0, 2))),
    (lambda t: gc.tile(t, 2), lambda a: np.tile(a, 2)),
    (lambda t: gc.tile(t, (2, 1, 1, 3)), lambda a: np.tile(a, (2, 1, 1, 3))),
    (lambda t: gc.tile(t, (0, 1)), lambda a: np.tile(a, (0, 1))),
    (lambda t: gc.repeat(t, 3), lambda a: np.repeat(a, 3)),
    (lambda t: gc.repeat(t, 2, axis=-2), lambda a: np.repeat(a, 2, -2)),
    (lambda t: gc.repeat(t, 0, axis=0), lambda a: np.repeat(a, 0, 0)),
    (lambda t: gc.repeat(t, [2, 0], axis=0), lambda a: np.repeat(a, [2, 0], 0)),
    (gc.unstack, list),
    (lambda t: gc.unstack(t, axis=-1), lambda a: [a[..., i] for i in range(a.shape[-1])]),
    (lambda t: gc.split(t, 2), lambda a: np.split(a, 2)),
    (lambda t: gc.split(t, [1, 3, 9], axis=-1), lambda a: np.split(a, [1, 3, 9], -1)),
    (lambda t: gc.broadcast_to(t, (3, *t.shape)), lambda a: np.broadcast_to(a, (3, *a.shape))),
    (lambda t: gc.concat([t, t], axis=1), lambda a: np.concatenate([a, a], 1)),
    (lambda t: gc.concat([t, t], axis=None), lambda a: np.concatenate([a, a], None)),
    (lambda t: gc.stack([t, t], axis=-1), lambda a: np.stack([a, a], -1)),
    (lambda t: gc.stack([t, t, t]), lambda a: np.stack([a, a, a])),
]


@pytest.mark.parametrize("array", [X, EMPTY], ids=["full", "empty"])
@pytest.mark.parametrize(("ours", "numpys"), UNARY)
def test_functions_of_one_tensor(ours: Function, numpys: Function, array: Any) -> None:
    try:
        numpys(array)
    except ValueError:
        with pytest.raises(GraphcError):
            run(ours, array)
        return
    both(ours, numpys, array)


def test_squeeze() -> None:
    ones = np.ones((1, 3, 1))
    both(gc.squeeze, np.squeeze, ones)
    both(lambda t: gc.squeeze(t, 0), lambda a: np.squeeze(a, 0), ones)
    both(lambda t: t.squeeze((0, -1)), lambda a: np.squeeze(a, (0, -1)), ones)
    with pytest.raises(ShapeError, match="axis 1"):
        gc.squeeze(tensor(1, 3), 1)


def test_broadcast_arrays() -> None:
    both(gc.broadcast_arrays, np.broadcast_arrays, np.ones((3, 1)), np.ones(2))


def test_concat_promotes() -> None:
    a, b = np.ones(2, np.int8), np.ones(3, np.float16)
    both(lambda x, y: gc.concat([x, y]), lambda x, y: np.concatenate([x, y]), a, b)


def test_pad_keeps_the_bits_of_its_value() -> None:
    both(
        lambda t: gc.pad(t, 1, constant_values=-0.0),
        lambda a: np.pad(a, 1, constant_values=-0.0),
        np.ones((1, 2), np.float32),
    )


def test_views_of_everything_add_no_node() -> None:
    x = tensor(2, 3)
    assert gc.reshape(x, (2, 3)).node is x.node
    assert gc.permute_dims(x, (0, 1)).node is x.node
    assert gc.pad(x, 0).node is x.node
    assert gc.roll(x, 6).shape == (2, 3)
    assert gc.concat([x]).node is x.node


MISUSES: list[tuple[Function, type[GraphcError]]] = [
    (lambda t: gc.permute_dims(t, (0, 0, 1)), GraphcValueError),
    (lambda t: gc.permute_dims(t, (0, 1)), GraphcValueError),
    (lambda t: gc.permute_dims(t, (0, 1, 5)), GraphcIndexError),
    (lambda t: gc.moveaxis(t, (0, 0), (1, 2)), GraphcValueError),
    (lambda t: gc.expand_dims(t, 5), GraphcIndexError),
    (lambda t: gc.expand_dims(t, (1, 1)), GraphcValueError),
    (lambda t: gc.broadcast_to(t, (3, 4)), ShapeError),
    (lambda t: gc.pad(t, (1, 2, 3)), ShapeError),
    (lambda t: gc.pad(t, -1), GraphcValueError),
    (lambda t: gc.pad(t, 1, mode="mean"), GraphcValueError),
    (lambda t: gc.pad(t[:0], 1, mode="edge"), ShapeError),
    (lambda t: gc.concat([t, t[0]]), ShapeError),
    (lambda t: gc.concat([]), GraphcValueError),
    (lambda t: gc.stack([t, t[0]]), ShapeError),
    (lambda t: gc.split(t, 3, axis=0), ShapeError),
    (lambda t: gc.split(t, 0, axis=0), ShapeError),
    (lambda t: gc.roll(t, (1, 2, 3), axis=(0, 1)), GraphcValueError),
    (lambda t: gc.repeat(t, -1), GraphcValueError),
    (lambda t: gc.repeat(t, [1, 2, 3], axis=0), ShapeError),
    (lambda t: gc.matrix_transpose(t[0, 0]), ShapeError),
]


@pytest.mark.parametrize(("function", "kind"), MISUSES)
def test_misuse_is_refused(function: Function, kind: type[GraphcError]) -> None:
    with pytest.raises(kind):
        function(tensor(2, 3, 4))


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
def test_padding_by_elements_is_numpys(mode: Any) -> None:
    """Also by more than there is, when reflections are reflected."""
    for widths in (1, (0, 2), ((1, 3), (0, 0), (2, 0)), 9):
        same(run(lambda t, w=widths: gc.pad(t, w, mode=mode), X), np.pad(X, widths, mode=mode))
    same(run(lambda t: gc.pad(t, 3, mode=mode), X[:1, :1]), np.pad(X[:1, :1], 3, mode=mode))
    slope = run(gc.grad(lambda t: (gc.pad(t, 3, mode=mode) * 1.0).sum()), np.ones(4))
    same(slope, np.bincount(np.pad(np.arange(4), 3, mode=mode)).astype(float))
