"""scatter, gather_nd and scatter_nd against NumPy, their gradients, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc
from graphc.errors import GraphcIndexError, GraphcTypeError, GraphcValueError, ShapeError
from graphc.gradient_check import check_grads

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)
AT = {"add": np.add, "max": np.maximum, "min": np.minimum, "mul": np.multiply}


def expected(data: Array, places: Any, updates: Array, kind: str) -> Array:
    """Scatter one update after another."""
    grown = data.copy()
    if kind != "set":
        AT[kind].at(grown, places, updates)
        return grown
    numbers = np.full(data.shape, -1)
    np.maximum.at(numbers, places, np.arange(updates.size).reshape(updates.shape))
    grown[numbers >= 0] = updates.reshape(-1)[numbers[numbers >= 0]]
    return grown


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "float16"])
@pytest.mark.parametrize("kind", ["set", *AT])
def test_values_are_numpys(kind: str, dtype: str) -> None:
    for shape, count, axis in (((5,), (7,), 0), ((5, 3), (2, 4), 0), ((2, 5, 3), (9,), 1)):
        data = RNG.integers(-4, 4, shape).astype(dtype)
        indices = RNG.integers(-shape[axis], shape[axis], count)
        updates = RNG.integers(-2, 3, (*shape[:axis], *count, *shape[axis + 1 :])).astype(dtype)
        got = graphc.compile(lambda d, i, u, a=axis: graphc.scatter(d, i, u, a, kind=kind))(
            data, indices, updates
        )
        want = expected(data, (*(slice(None),) * axis, indices), updates, kind)
        np.testing.assert_array_equal(got, want)


def test_the_last_of_several_stays() -> None:
    """Booleans too, and a number in every place."""
    data = np.zeros(4, bool)
    got = graphc.compile(lambda d, u: graphc.scatter(d, [1, 1, 2, 2], u))(
        data, np.array([False, True, True, False])
    )
    np.testing.assert_array_equal(got, [False, True, False, False])
    ones = graphc.compile(lambda d: graphc.scatter(d, [0, -1], 1.0))(np.zeros((3, 2), np.float32))
    np.testing.assert_array_equal(ones, [[1, 1], [0, 0], [1, 1]])


@pytest.mark.parametrize("kind", ["set", "add", "max", "min"])
def test_gradients(kind: str) -> None:
    data, updates = RNG.uniform(-1, 1, (4, 3)), RNG.uniform(-1, 1, (5, 3))

    def function(data: graphc.Tensor, updates: graphc.Tensor) -> graphc.Tensor:
        return (graphc.scatter(data, [0, 2, 2, -1, 0], updates, kind=kind) ** 3).sum()

    graphc.check_grads(function, data, updates, order=2)


def test_who_gets_the_cotangent() -> None:
    def slopes(kind: str, data: list[float], updates: list[float]) -> Any:
        def function(data: graphc.Tensor, updates: graphc.Tensor) -> graphc.Tensor:
            return graphc.scatter(data, [1, 1], updates, kind=kind).sum()

        slope = graphc.compile(graphc.grad(function, argnums=(0, 1)))
        found: Any = slope(np.array(data, float), np.array(updates, float))
        return [list(part) for part in found]

    assert slopes("set", [5, 5, 5], [1, 2]) == [[1, 0, 1], [0, 1]]
    assert slopes("max", [5, 3, 5], [1, 2]) == [[1, 1, 1], [0, 0]]
    assert slopes("max", [5, 2, 5], [1, 2]) == [[1, 0.5, 1], [0, 0.5]]
    assert slopes("min", [5, 5, 5], [1, 1]) == [[1, 0, 1], [0.5, 0.5]]
    with pytest.raises(GraphcTypeError, match="scatter_multiply has no derivative"):
        slopes("mul", [1, 1, 1], [1, 1])


@pytest.mark.parametrize("mode", ["raise", "clip", "wrap"])
def test_rows_of_indices(mode: str) -> None:
    data = RNG.uniform(-1, 1, (4, 3, 2))
    outside = 0 if mode == "raise" else 9
    for depth, shape in ((1, (5,)), (2, (2, 3)), (3, (4,)), (2, ())):
        limits = np.array(data.shape[:depth])
        low = -limits if mode == "raise" else np.full(depth, -outside)
        indices = RNG.integers(low, limits + outside, (*shape, depth))
        inside = np.clip(indices, 0, limits - 1) if mode == "clip" else indices % limits
        places = tuple(np.moveaxis(inside, -1, 0))
        got = graphc.compile(lambda d, i: graphc.gather_nd(d, i, mode=mode))(data, indices)
        np.testing.assert_array_equal(got, data[places])
        updates = RNG.uniform(-1, 1, np.shape(got))
        for kind in ("set", "add", "max"):
            grown = graphc.compile(
                lambda d, i, u, k=kind: graphc.scatter_nd(d, i, u, mode=mode, kind=k)
            )(data, indices, updates)
            np.testing.assert_array_equal(grown, expected(data, places, updates, kind))


def test_gradients_of_rows() -> None:
    rows = [[0, 1], [3, -1], [0, 1]]
    data, updates = RNG.uniform(-1, 1, (4, 3)), RNG.uniform(-1, 1, 3)
    graphc.check_grads(lambda d: (graphc.gather_nd(d, rows) ** 3).sum(), data, order=2)
    graphc.check_grads(
        lambda d, u: (graphc.scatter_nd(d, rows, u) ** 3).sum(), data, updates, order=2
    )


def test_examples_in_a_batch() -> None:
    data, updates = RNG.uniform(-1, 1, (6, 4, 3)), RNG.uniform(-1, 1, (6, 5, 3))
    indices = RNG.integers(0, 4, (6, 5))
    for kind in ("set", "add", "max", "min", "mul"):
        got: Any = graphc.compile(
            graphc.vmap(lambda d, i, u, k=kind: graphc.scatter(d, i, u, kind=k))
        )(data, indices, updates)
        for number, example in enumerate(got):
            want = expected(data[number], indices[number], updates[number], kind)
            np.testing.assert_array_equal(example, want)


def test_out_of_range() -> None:
    """An index that is out on one axis does not name a place of another row."""
    gather = graphc.compile(graphc.gather_nd)
    data = np.zeros((4, 3))
    for row, place in (([0, 3], "1 of extent 3"), ([4, 0], "0 of extent 4"),
                       ([0, -4], "1 of extent 3"), ([-5, 0], "0 of extent 4")):  # fmt: skip
        wrong = f"_nd: an index is out of bounds for axis {place}"
        with pytest.raises(GraphcIndexError, match=f"gather{wrong}"):
            gather(data, np.array([row]))
        with pytest.raises(GraphcIndexError, match=f"scatter{wrong}"):
            graphc.compile(graphc.scatter_nd)(data, np.array([row]), np.ones(1))
    with pytest.raises(GraphcIndexError, match="gather_nd: index 3 is out of bounds for axis 1"):
        graphc.gather_nd(graphc.input((4, 3)), [[0, 3]])
    with pytest.raises(GraphcIndexError, match="out of bounds"):
        graphc.scatter(data, [4], 1.0)
    with pytest.raises(GraphcIndexError, match="out of bounds"):
        graphc.compile(graphc.scatter)(data, np.array([4]), np.ones((1, 3)))


def test_what_is_refused() -> None:
    x = graphc.input((4, 3))
    with pytest.raises(GraphcValueError, match="kind is one of"):
        graphc.scatter(x, [0], 1.0, kind="sub")
    with pytest.raises(GraphcTypeError, match="updates of float64"):
        graphc.scatter(x, [0], graphc.input((1, 3), "float64"))
    with pytest.raises(ShapeError, match="do not broadcast"):
        graphc.scatter(x, [0], graphc.input((2, 3)))
    for rows in ([[0, 0, 0]], 0):
        with pytest.raises(ShapeError, match="rows of"):
            graphc.gather_nd(x, rows)


@pytest.mark.parametrize("kind", ["set", "add", "max", "min", "mul"])
@pytest.mark.parametrize("axis", [0, -1])
def test_scatter_along_an_axis(kind: str, axis: int) -> None:
    random = np.random.default_rng(0)
    data = random.normal(size=(4, 5))
    shape = (3, 5) if axis == 0 else (4, 3)
    indices, updates = random.integers(-2, 4, shape), random.normal(size=shape)
    got = graphc.compile(lambda d, i, u: graphc.scatter_along_axis(d, i, u, axis, kind=kind))(
        data, indices, updates
    )
    want = data.copy()
    combine = {"add": np.add, "max": np.maximum, "min": np.minimum, "mul": np.multiply}
    for place in np.ndindex(shape):
        target = list(place)
        target[axis] = indices[place]
        old, new = want[tuple(target)], updates[place]
        want[tuple(target)] = combine[kind](old, new) if kind in combine else new
    np.testing.assert_allclose(got, want, atol=1e-12)
    if kind != "mul":
        report = check_grads(
            lambda d, u: graphc.scatter_along_axis(d, indices, u, axis, kind=kind), data, updates
        )
        assert report.is_right


def test_what_scatter_along_an_axis_refuses() -> None:
    x = graphc.input((4, 3))
    with pytest.raises(ShapeError, match="1 axes of indices for 2"):
        graphc.scatter_along_axis(x, [0], 1.0)
    with pytest.raises(ShapeError, match="differ outside axis 1"):
        graphc.scatter_along_axis(x, np.zeros((2, 1), int), 1.0)
    with pytest.raises(GraphcIndexError, match="scatter_along_axis: index 3"):
        graphc.scatter_along_axis(x, np.full((4, 1), 3), 1.0)
