"""Compiled functions after many calls, when arrays go straight to the program used last."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc

ONES = np.ones((2, 3), np.float32)


def test_a_function_called_often_tells_types_and_shapes_apart() -> None:
    """Beyond the calls after which arrays go straight to the program that was used last."""

    @graphc.compile
    def twice(x: Any) -> Any:
        return x * 2

    arrays = [np.full(s, 3, d) for s in ((3,), (4,), (3, 1), ()) for d in ("float32", "int32")]
    for _ in range(5):
        for array in arrays:
            for _ in range(3):
                result = twice(array)
                assert result.dtype == array.dtype and result.shape == array.shape
                assert (result == 6).all()
    assert len(twice.programs) == len(arrays)
    assert twice(arrays[0].astype(">f4")).tolist() == [6, 6, 6]
    assert twice(arrays[0].view(np.recarray)).tolist() == [6, 6, 6]
    assert len(twice.programs) == len(arrays)
    assert twice(x=arrays[0]).tolist() == [6, 6, 6]  # a program of its own
    with pytest.raises(graphc.GraphcTypeError):
        twice(np.array(["a"]))


def test_a_function_called_often_becomes_part_of_the_one_that_calls_it() -> None:
    @graphc.compile
    def shifted(x: Any) -> Any:
        return x + ONES

    for _ in range(6):
        assert (shifted(ONES) == 2).all()

    @graphc.compile
    def outer(x: Any) -> Any:
        inner = shifted(ONES)  # arrays, but while a function is traced
        assert isinstance(inner, graphc.Tensor | np.ndarray)
        return shifted(x) * inner

    assert (outer(ONES) == 4).all()
    assert isinstance(shifted(graphc.input((2, 3))), graphc.Tensor)


def test_results_of_a_function_called_often_keep_their_structure() -> None:
    @graphc.compile
    def split(x: Any, y: Any) -> Any:
        return {"sum": x + y, "pair": (x - y, [x * y, "static"])}

    for _ in range(6):
        result = split(2 * ONES, ONES)
        assert (result["sum"] == 3).all() and (result["pair"][0] == 1).all()
        assert (result["pair"][1][0] == 2).all() and result["pair"][1][1] == "static"
    assert len(split.programs) == 1


@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int8", "uint64", "bool"])
def test_scalars_of_numpy_are_inputs_as_arrays_of_them_are(kind: str) -> None:
    @graphc.compile
    def chosen(x: Any, value: Any) -> Any:
        return graphc.where(value > 0, x, -x)

    scalars = [np.dtype(kind).type(value) for value in (1, 0)]
    for _ in range(5):
        for scalar, sign in zip(scalars, (1, -1), strict=True):
            assert (chosen(ONES, scalar) == sign * ONES).all()
            assert (chosen(ONES, np.asarray(scalar)) == sign * ONES).all()
            assert (chosen(x=ONES, value=scalar) == sign * ONES).all()
    assert len(chosen.programs) <= 2  # named arguments are another signature
    (first, *_) = chosen.programs
    first._run = None  # type: ignore[assignment]  # the way of Python, which is not gone
    assert (chosen(ONES, scalars[1]) == -ONES).all()
