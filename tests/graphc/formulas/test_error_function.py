"""The error function against mpmath."""

import math

import mpmath
import numpy as np
import pytest

from graphc import scalar
from graphc.dtypes import DType, float32
from graphc.formulas.error_function import erf
from tests.graphc.formulas import accuracy

INF, NAN = math.inf, math.nan


def test_float32_within_one_ulp() -> None:
    x = accuracy.float32_stride(40009)
    x = np.concatenate([x[np.abs(x) < 5], np.linspace(-4, 4, 40_001, dtype=np.float32)])
    want = np.array([math.erf(value) for value in x.tolist()])
    assert accuracy.ulp_error32(accuracy.run(erf, x), want) <= 1.0


def test_float64() -> None:
    x = np.concatenate([accuracy.float64_sample(300, seed=23), np.linspace(-6.2, 6.2, 2001)])
    x = x[np.abs(x) < 50]
    got = accuracy.run(erf, x)
    assert np.isfinite(got).all()
    assert accuracy.ulp_error(got, mpmath.erf, x) <= 1.35


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_special_values(dtype: DType) -> None:
    table = [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (1e30, 1.0), (-7.0, -1.0)]
    accuracy.assert_values(erf, dtype, [*table, (NAN, NAN)])


def test_float32_is_computed_in_float32() -> None:
    program = scalar.trace("erf", erf, [float32])
    assert all(ins.dtype.bits <= 32 for ins in program.instructions)


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_neither_divides(dtype: DType) -> None:
    program = scalar.trace("erf", erf, [dtype])
    assert all(ins.name != "div" for ins in program.instructions)
