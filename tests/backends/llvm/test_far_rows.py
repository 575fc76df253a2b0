"""Reductions over rows that lie a page or more apart, and loops over nothing beside vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc

Array = np.ndarray[Any, Any]
SHAPES = [(8, 1024), (9, 1025), (16, 4096), (100, 1031), (7, 2048)]


def close(found: Array, wanted: Array) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3 * np.abs(wanted).max())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int8])
def test_columns_are_reduced_along_the_last_axis_of_a_transpose(
    shape: tuple[int, int], dtype: type
) -> None:
    x: Array = np.random.default_rng(0).integers(-9, 9, shape).astype(dtype)
    program = graphc.compile(lambda x: (x.T.sum(axis=1), x.T.max(axis=1)))
    total, largest = program(x)
    close(total, x.sum(axis=0))
    np.testing.assert_array_equal(largest, x.max(axis=0))
    with graphc.threads(1):
        assert program(x)[0].tobytes() == total.tobytes()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_transpose_is_multiplied_with_a_vector(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    x, v = (random.normal(size=s).astype(np.float32) for s in (shape, shape[0]))
    found: Array = np.asarray(graphc.compile(lambda x, v: x.T @ v)(x, v))
    close(found, x.T.astype(np.float64) @ v)


def test_channels_are_normalised_where_they_lie_first() -> None:
    x = np.random.default_rng(0).normal(size=(2, 64, 32, 32)).astype(np.float32)
    program = graphc.compile(lambda x: graphc.layer_norm(graphc.permute_dims(x, (0, 2, 3, 1))))
    found: Array = np.asarray(program(x))
    y = x.transpose(0, 2, 3, 1).astype(np.float64)
    wanted = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
    close(found, wanted)


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("mode", ["clip", "raise"])
@pytest.mark.parametrize("width", [1, 16, 17, 33, 65])
def test_a_scatter_of_nothing_changes_nothing(width: int, mode: str, optimise: bool) -> None:
    table = np.random.default_rng(0).normal(size=(3, width)).astype(np.float32)
    none, updates = np.zeros(0, np.int64), np.zeros((0, width), np.float32)
    program = graphc.compile(lambda t, i, u: graphc.scatter(t, i, u, mode=mode), optimise=optimise)
    np.testing.assert_array_equal(program(table, none, updates), table)
