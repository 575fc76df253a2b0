"""Reductions against NumPy: axes, keepdims, dtypes of results, no elements, NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc.frontend as gc
from graphc import dtypes
from graphc.errors import GraphcIndexError, GraphcTypeError, GraphcValueError, ShapeError
from tests.frontend.evaluation import close, run, same, tensor, value

X = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
AXES: list[Any] = [None, 0, -1, (0, 2), (-1, 0, 1), ()]
NAMES = ["sum", "prod", "max", "min", "mean", "var", "std", "any", "all"]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_axes_and_keepdims(name: str, axis: Any, keepdims: bool) -> None:
    expected = getattr(np, name)(X, axis=axis, keepdims=keepdims)
    actual = run(lambda t: getattr(gc, name)(t, axis=axis, keepdims=keepdims), X)
    close(actual, expected, 1e-5)
    if name not in ("var", "std"):
        method = run(lambda t: getattr(t, name)(axis, keepdims=keepdims), X)
        same(method, actual)


@pytest.mark.parametrize("dtype", [d for d in dtypes.REAL if d is not dtypes.bfloat16], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_dtypes_of_results(name: str, dtype: dtypes.DType) -> None:
    x = np.array([[1, 0, 1], [1, 1, 0]]).astype(dtype.numpy)
    if name == "mean" and dtype is dtypes.bool_:
        assert run(gc.mean, x).dtype == np.float64
        return
    with np.errstate(all="ignore"):
        expected = np.asarray(getattr(np, name)(x, axis=1))
    if name in ("var", "std") and not dtype.is_float:
        expected = expected.astype(np.float64)
    close(run(lambda t: getattr(gc, name)(t, axis=1), x), expected, 1e-3)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_places(name: str) -> None:
    ties = np.array([[1, 3, 3, 0], [0, 0, -1, -1]], np.int16)
    for x in (X, ties, np.array([[1.0, np.nan, 3.0, np.nan]]), np.array([[False, True, True]])):
        for axis in (None, 0, -1):
            for keepdims in (False, True):
                same(
                    run(lambda t, a=axis, k=keepdims: getattr(gc, name)(t, a, keepdims=k), x),
                    np.asarray(getattr(np, name)(x, axis, keepdims=keepdims)),
                )


def test_over_no_elements() -> None:
    x = np.zeros((0, 3), np.float32)
    for name in ("sum", "prod", "any", "all"):
        same(run(lambda t, n=name: getattr(gc, n)(t, axis=0), x), getattr(np, name)(x, axis=0))
    assert np.isnan(run(lambda t: gc.mean(t, axis=0), x)).all()
    assert np.isnan(run(lambda t: gc.var(t, axis=0), x)).all()
    same(run(lambda t: gc.logsumexp(t, axis=0), x), np.full(3, -np.inf, np.float32))
    same(run(lambda t: gc.max(t, axis=1), x), np.zeros(0, np.float32))
    for function in (gc.max, gc.min, gc.argmax, gc.argmin):
        with pytest.raises(ShapeError, match="no elements"):
            function(tensor(0, 3), axis=0)


def test_nan_propagates() -> None:
    x = np.array([1.0, np.nan, 3.0])
    for name in ("sum", "max", "min", "mean", "logsumexp"):
        assert np.isnan(run(getattr(gc, name), x))


def test_correction_of_variance() -> None:
    close(run(lambda t: gc.var(t, 0, correction=1), X), X.var(0, ddof=1), 1e-5)
    close(run(lambda t: t.std(0, correction=1.5), X), X.std(0, ddof=1.5), 1e-5)
    with np.errstate(all="ignore"):
        one = run(lambda t: gc.var(t, 0, correction=1), X[:1])
    assert np.isnan(one).all()


def test_dtype_of_a_sum_is_that_of_its_arithmetic() -> None:
    x = np.full(300, 100, np.int8)
    same(run(gc.sum, x), x.sum())
    same(run(lambda t: gc.sum(t, dtype="int8"), x), x.sum(dtype=np.int8))
    same(run(lambda t: gc.mean(t, dtype="float32"), x), np.float32(100))


def test_means_of_16_bits_do_not_overflow() -> None:
    x = np.full(1000, 200, np.float16)
    same(run(gc.mean, x), np.float16(200))
    close(run(gc.var, x), np.float16(0))
    same(run(gc.mean, x.astype(dtypes.bfloat16.numpy)), np.asarray(200, dtypes.bfloat16.numpy))


def test_logsumexp_is_stable() -> None:
    x = np.array([[1000.0, 1000.0], [-1000.0, -1001.0], [-np.inf, -np.inf], [np.inf, 0.0]])
    expected = np.array([1000 + np.log(2), -1000 + np.log1p(np.exp(-1)), -np.inf, np.inf])
    close(run(lambda t: gc.logsumexp(t, axis=1), x), expected, 1e-12)
    assert gc.logsumexp(tensor(2, 3), axis=0, keepdims=True).shape == (1, 3)


def test_axes_that_do_not_exist_are_refused() -> None:
    with pytest.raises(GraphcIndexError, match="axis 2 is out of bounds"):
        gc.sum(tensor(2, 3), axis=2)
    with pytest.raises(GraphcValueError, match="named twice"):
        gc.sum(tensor(2, 3), axis=(0, -2))
    with pytest.raises(GraphcTypeError, match="an axis is an integer"):
        gc.sum(tensor(2, 3), axis=1.0)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(GraphcTypeError, match="one axis or None"):
        gc.argmax(tensor(2, 3), axis=(0, 1))  # type: ignore[arg-type]  # the mistake under test


def test_reductions_of_numbers() -> None:
    same(value(gc.sum([1.5, 2.5])), np.float32(4))
    same(value(gc.max(3)), np.int64(3))
