"""The quantile of the normal distribution against SciPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

import graphc
from graphc.frontend.normal_quantile import normal_quantile

SMALLEST = {"float32": 1e-37, "float64": 1e-300}
BOUNDS = {"float32": 5e-7, "float64": 1.1e-15}


@pytest.mark.parametrize("dtype", SMALLEST)
def test_both_tails_are_exact(dtype: str) -> None:
    tails = np.geomspace(SMALLEST[dtype], 0.5, 50_001)
    lower = np.concatenate([tails, np.linspace(0.01, 0.49, 10_001)]).astype(dtype)
    quantile: Any = graphc.compile(normal_quantile)
    found, mirrored = quantile(lower, 1 - lower), quantile(1 - lower, lower)
    expected = ndtri(lower.astype(np.float64))
    assert (abs(found - expected) <= BOUNDS[dtype] * np.maximum(abs(expected), 1e-2)).all()
    np.testing.assert_allclose(mirrored, -found, rtol=1e-6, atol=1e-6)


def test_the_middle() -> None:
    half = np.array([0.5], np.float32)
    quantile: Any = graphc.compile(normal_quantile)
    assert quantile(half, half) == 0


def test_what_is_far_out_is_left_out_where_nothing_lies_there() -> None:
    near = np.geomspace(2.0**-33, 0.5, 1001).astype(np.float32)

    def both(lower: Any, upper: Any) -> Any:
        return normal_quantile(lower, upper), normal_quantile(lower, upper, 2.0**-33)

    whole, short = graphc.compile(both)(near, 1 - near)
    np.testing.assert_array_equal(whole, short)
