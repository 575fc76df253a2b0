"""sort, argsort and top_k against NumPy, with ties and NaN, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc
from graphc.errors import GraphcIndexError, GraphcValueError

Array = np.ndarray[Any, Any]
TIED = np.array([[3, 1, np.nan, 1, -0.0, 0.0], [5, np.nan, 5, 2, np.inf, -np.inf]], np.float32)


def run(function: Any, *arrays: Array) -> Any:
    return graphc.compile(function)(*arrays)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_ascending_orders_are_numpys(axis: int) -> None:
    order = run(lambda x: graphc.argsort(x, axis=axis), TIED)
    np.testing.assert_array_equal(order, np.argsort(TIED, axis=axis, kind="stable"))
    np.testing.assert_array_equal(
        run(lambda x: graphc.sort(x, axis=axis), TIED), np.sort(TIED, axis=axis)
    )


def test_descending_orders_are_stable_and_begin_with_nan() -> None:
    order = run(lambda x: graphc.argsort(x, descending=True), TIED)
    np.testing.assert_array_equal(order, [[2, 0, 1, 3, 4, 5], [1, 4, 0, 2, 3, 5]])
    values = run(lambda x: graphc.sort(x, descending=True), TIED)
    np.testing.assert_array_equal(values, np.take_along_axis(TIED, order, 1))


def test_top_k() -> None:
    x = np.random.default_rng(0).standard_normal((3, 50, 4)).astype(np.float32)
    values, places = run(lambda x: graphc.top_k(x, 5, axis=1), x)
    wanted = np.argsort(-x, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(places, wanted)
    np.testing.assert_array_equal(values, np.take_along_axis(x, wanted, 1))
    values, places = run(lambda x: graphc.top_k(x, 0), x)
    assert values.shape == places.shape == (3, 50, 0)


def test_a_gradient_goes_where_the_value_came_from() -> None:
    x = np.array([3, 1, 2, 5], np.float32)
    weights = np.array([10, 20, 30, 40], np.float32)
    np.testing.assert_array_equal(
        run(graphc.grad(lambda x: (graphc.sort(x) * weights).sum()), x), [30, 10, 20, 40]
    )
    np.testing.assert_array_equal(
        run(graphc.grad(lambda x: graphc.top_k(x, 2)[0].sum()), x), [1, 0, 0, 1]
    )


def test_what_cannot_be_sorted() -> None:
    x = graphc.input((3, 4), name="x")
    with pytest.raises(GraphcIndexError, match="axis 2"):
        graphc.sort(x, axis=2)
    with pytest.raises(GraphcValueError, match="5 of 4 elements"):
        graphc.top_k(x, 5)
    with pytest.raises(GraphcValueError, match="-1 of 4 elements"):
        graphc.top_k(x, -1)
    with pytest.raises(GraphcIndexError, match="axis"):
        graphc.argsort(x[0, 0])
