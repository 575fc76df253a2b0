"""Cumulative functions against NumPy, their dtypes, and their derivatives where those are hard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc
import graphc.frontend as gc
from graphc.errors import GraphcTypeError, GraphcValueError
from tests.frontend.evaluation import close, run, same, tensor

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float64"])
def test_dtypes_and_initial(name: str, dtype: str) -> None:
    x = RANDOM.integers(0, 3, (3, 5)).astype(dtype)
    ours, theirs = getattr(gc, name), getattr(np, name)
    for axis in (0, 1):
        same(run(lambda x, a=axis: ours(x, a), x), theirs(x, axis=axis))
        same(
            run(lambda x, a=axis: ours(x, a, include_initial=True), x),
            theirs(x, axis=axis, include_initial=True),
        )
    wide = run(lambda x: ours(x, 0, "float32"), x)
    same(wide, theirs(x, axis=0, dtype=np.float32))


def test_reversed() -> None:
    x = RANDOM.integers(-5, 5, (3, 5))
    turned = x[:, ::-1]
    same(run(lambda x: gc.cumulative_sum(x, 1, reverse=True), x), turned.cumsum(1)[:, ::-1])
    initial = run(lambda x: gc.cumulative_sum(x, 1, reverse=True, include_initial=True), x)
    same(initial, np.pad(turned.cumsum(1)[:, ::-1], [(0, 0), (0, 1)]))
    same(
        run(lambda x: gc.cumulative_max(x, 1, reverse=True), x),
        np.maximum.accumulate(turned, 1)[:, ::-1],
    )


def test_nan_reaches_all_that_follows() -> None:
    x = np.array([1, np.nan, 2, 3], np.float32)
    for name in ("sum", "prod", "max", "min", "logsumexp"):
        got = graphc.compile(getattr(gc, f"cumulative_{name}"))(x)
        assert np.isnan(got).tolist() == [False, True, True, True]


def slopes(function: Any, at: Any, weights: Any) -> Any:
    def total(x: Any) -> Any:
        return (function(x) * np.asarray(weights, np.float64)).sum()

    return run(gc.grad(total), np.asarray(at, np.float64))


def test_products_with_zeros() -> None:
    close(slopes(gc.cumulative_prod, [2, 0, 3, 4], [1, 1, 1, 1]), [1.0, 2 + 6 + 24, 0, 0])
    close(slopes(gc.cumulative_prod, [0, 0, 3], [1, 1, 1]), [1.0, 0, 0])
    close(slopes(gc.cumulative_prod, [0, 5, 7], [1, 1, 1]), [1.0 + 5 + 35, 0, 0])
    for count in range(1, 20):
        x = RANDOM.uniform(0.5, 2, count)
        g = RANDOM.standard_normal(count)
        products = np.cumprod(x)
        want = [(g[k:] * products[k:]).sum() / x[k] for k in range(count)]
        close(slopes(gc.cumulative_prod, x, g), want)


def test_the_first_of_equal_extremes_gets_the_gradient() -> None:
    weights = [1, 10, 100, 1000]
    close(slopes(gc.cumulative_max, [1, 1, 2, 2], weights), [11.0, 0, 1100, 0])
    close(slopes(gc.cumulative_min, [1, 1, 2, 0], weights), [111.0, 0, 0, 1000])
    close(slopes(gc.cumulative_max, [1, np.nan, np.nan, 5], weights), [1.0, 1110, 0, 0])
    close(slopes(gc.cumulative_max, [-np.inf, -np.inf, 2, 1], weights), [11.0, 0, 1100, 0])


def test_logsumexp_is_stable() -> None:
    x = np.array([-1e4, 0, 1e4, -1e4, 1e4])
    close(run(gc.cumulative_logsumexp, x), np.logaddexp.accumulate(x))
    got = slopes(gc.cumulative_logsumexp, x, [0, 0, 0, 0, 1])
    close(got, [0.0, 0, 0.5, 0, 0.5])
    low = [-np.inf, -np.inf, 0.0]
    assert np.isfinite(slopes(gc.cumulative_logsumexp, low, [0, 0, 1])).all()


def test_errors() -> None:
    with pytest.raises(GraphcValueError, match="has not one axis"):
        gc.cumulative_sum(tensor(3, 4))
    with pytest.raises(GraphcTypeError, match="not defined for bool"):
        gc.cumulative_max(tensor(3, dtype="bool"))
