"""`vmap`: axes, nested arguments, state, and misuse; compositions are in test_compositions.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
import graphc.frontend as gc
from graphc.errors import GraphcError, GraphcIndexError, GraphcTypeError, ShapeError
from tests.frontend.evaluation import run, same, step

RANDOM = np.random.default_rng(2)
A, B = RANDOM.normal(size=(3, 4)), RANDOM.normal(size=(3, 4))


def test_axes_of_arguments_and_results() -> None:
    def weighted(x: Any, y: Any) -> Any:
        return x * y.sum()

    want = np.stack([weighted(a, b) for a, b in zip(A, B, strict=True)])
    same(run(gc.vmap(weighted), A, B), want)
    same(run(gc.vmap(weighted, (0, -1)), A, B.T.copy()), want)
    same(run(gc.vmap(weighted, (0, 0), 1), A, B), want.T)
    same(run(gc.vmap(weighted, (0, None)), A, B[0]), A * B[0].sum())
    same(run(gc.vmap(weighted, (None, 0), -1), A[0], B), np.outer(A[0], B.sum(1)))


def test_nested_arguments_keywords_and_results() -> None:
    def function(pair: Any, *, scale: Any) -> Any:
        return {"sum": pair["a"] + pair["b"][0], "both": (pair["a"] * scale, scale)}

    given = {"a": A, "b": [B]}
    mapped = graphc.compile(gc.vmap(function, ({"a": 0, "b": [0]},)))
    got = mapped(given, scale=np.arange(3.0))
    same(got["sum"], A + B)
    same(got["both"][0], A * np.arange(3.0)[:, None])
    same(got["both"][1], np.arange(3.0))
    shared = gc.vmap(lambda x, y: (x + y, y * 2), (0, None), (0, None))
    first, second = run(shared, A, B[0])
    same(first, A + B[0])
    same(second, B[0] * 2)


def test_on_arrays_it_is_compiled_and_run() -> None:
    same(graphc.vmap(graphc.sum)(A.astype(np.int32)), A.astype(np.int32).sum(1))
    outer = graphc.vmap(graphc.vmap(lambda x, y: x * y, (None, 0)), (0, None))
    same(outer(A[:, 0].copy(), B[0]), np.outer(A[:, 0], B[0]))


def test_closed_over_tensors_are_shared_and_numbers_are_compiled_in() -> None:
    def function(x: Any, y: Any) -> Any:
        return gc.vmap(lambda a: a * y[0] + y.sum())(x)

    same(run(function, A, B[0]), A * B[0][0] + B[0].sum())
    same(run(lambda x: gc.vmap(lambda a, k: a * k, (0, None))(x, 3), A), A * 3)


def test_gathers_by_examples() -> None:
    places = np.array([[0, 2], [1, 1], [3, 0]])
    same(run(gc.vmap(gc.take), A, places), np.take_along_axis(A, places, 1))
    same(run(gc.vmap(lambda i: gc.take(gc.constant(A[0]), i)), places), A[0][places])
    with pytest.raises(GraphcError, match="out of bounds"):
        run(gc.vmap(gc.take), A, places + 3)


def test_shared_assignments_are_carried_out_and_others_refused() -> None:
    count, mean = graphc.Variable(0.0), graphc.Variable(0.0)

    def counted(x: Any) -> Any:
        count.assign(count + 1)
        return x * count

    same(step(gc.vmap(counted), A.astype(np.float32)), A.astype(np.float32))
    assert count.value == 1

    def assigning(x: Any) -> Any:
        mean.assign(x.mean())
        return x

    with pytest.raises(GraphcTypeError, match="differs from example to example"):
        run(gc.vmap(assigning), A.astype(np.float32))


MISUSE: dict[str, tuple[Callable[[], Any], type[GraphcError], str]] = {
    "sizes": (lambda: graphc.vmap(gc.add)(A, B[:2]), ShapeError, "3 and 2 examples"),
    "no examples": (lambda: graphc.vmap(gc.sin, None)(A), ShapeError, "no examples"),
    "scalars": (lambda: graphc.vmap(gc.sin)(np.float32(1)), GraphcIndexError, "axis 0"),
    "far axis": (lambda: graphc.vmap(gc.sin, 2)(A), GraphcIndexError, "axis 2"),
    "far out axis": (lambda: graphc.vmap(gc.sin, 0, 5)(A), GraphcIndexError, "axis 5"),
    "too many": (lambda: graphc.vmap(gc.sin, (0, 0))(A), GraphcTypeError, "in_axes names 2"),
    "other nesting": (lambda: graphc.vmap(gc.sin, ((0, 0),))(A), GraphcTypeError, "does not fit"),
    "no axis": (lambda: graphc.vmap(gc.sin, ("x",))(A), GraphcTypeError, "does not fit"),
    "result": (lambda: graphc.vmap(gc.sin, 0, None)(A), GraphcTypeError, "out_axes is None"),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_refused_with_the_line(name: str) -> None:
    call, kind, message = MISUSE[name]
    with pytest.raises(kind, match=message) as caught:
        call()
    assert "test_vmap.py" in str(caught.value)
