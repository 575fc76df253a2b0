"""Powers and hypotenuses against mpmath, and their special values against C99, annex F."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from graphc.dtypes import DType, float32
from graphc.formulas import power
from tests.graphc.formulas import accuracy

INF, NAN = math.inf, math.nan


def _pairs(dtype: DType, count: int) -> tuple[accuracy.Array, accuracy.Array]:
    """Return bases and exponents whose powers fill the whole range, and some beyond it."""
    rng = np.random.default_rng(8)
    bits = 150.0 if dtype is float32 else 1080.0
    near_one = 1 + rng.uniform(-0.5, 1, count) * 2.0 ** -rng.integers(0, 22, count)
    anywhere = 2.0 ** rng.uniform(-bits * 0.9, bits * 0.8, count)
    x = np.concatenate([near_one, anywhere]).astype(dtype.numpy)
    x = np.where(x == 1, dtype.numpy.type(1.5), x)
    y = rng.uniform(-bits, bits, 2 * count) / np.log2(x.astype(np.float64))
    return x, y.astype(dtype.numpy)


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_power_of_positive_bases(dtype: DType) -> None:
    x, y = _pairs(dtype, 500)
    got = accuracy.run(power.power, x, y)
    bound = 0.51 if dtype is float32 else 1.25
    assert accuracy.ulp_error(got, lambda a, b: a**b, x, y) <= bound
    with np.errstate(all="ignore"):
        want = np.power(x.astype(np.longdouble), y.astype(np.longdouble)).astype(dtype.numpy)
    assert np.array_equal(np.isinf(got), np.isinf(want))


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_power_of_negative_bases_and_whole_exponents(dtype: DType) -> None:
    rng = np.random.default_rng(9)
    x = -rng.uniform(0.1, 10, 500).astype(dtype.numpy)
    y = rng.integers(-30, 30, 500).astype(dtype.numpy)
    bound = 0.51 if dtype is float32 else 1.25
    got = accuracy.run(power.power, x, y)
    assert accuracy.ulp_error(got, lambda a, b: a ** int(b), x, y) <= bound


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_power_of_special_values(dtype: DType) -> None:
    """Every pair of these values, as Python's math.pow has it, which follows C99."""
    values = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.0,
        -2.0,
        0.5,
        -0.5,
        3.0,
        -3.0,
        4.0,
        1.5,
        -1.5,
        INF,
        -INF,
        NAN,
        2.0**60,
        -(2.0**60),
        2.0**-140,
        1e30,
    ]
    table: list[tuple[Any, float]] = []
    for x in values:
        for y in values:
            exact = _c99(float(dtype.numpy.type(x)), float(dtype.numpy.type(y)))
            with np.errstate(all="ignore"):
                rounded = float(dtype.numpy.type(exact))
            if np.isnan(rounded) or np.isinf(rounded) or rounded == 0 or _is_exact(x, y):
                table.append(((x, y), rounded))
    accuracy.assert_values(power.power, dtype, table)


def _is_exact(x: float, y: float) -> bool:
    small = abs(x) in (2.0, 0.5, 4.0) and abs(y) in (1.0, 2.0, 3.0, 4.0)
    return small or abs(x) == 1.0 or y == 0.0


def _c99(x: float, y: float) -> float:
    odd = math.isfinite(y) and y == int(y) and int(y) % 2 == 1
    try:
        return math.pow(x, y)
    except OverflowError:
        return -INF if x < 0 and odd else INF
    except ValueError:
        if x != 0:
            return NAN
        return math.copysign(INF, x) if odd else INF


def test_power_is_a_square_root_of_minus_zero_and_minus_infinity_as_c99_has_it() -> None:
    table = [((-0.0, 0.5), 0.0), ((-INF, 0.5), INF), ((-INF, -0.5), 0.0), ((-8.0, 1 / 3), NAN)]
    for dtype in accuracy.FLOATS:
        accuracy.assert_values(power.power, dtype, table)


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_hypot(dtype: DType) -> None:
    rng = np.random.default_rng(10)
    limits = np.finfo(dtype.numpy)
    exponents = rng.uniform(float(np.log2(limits.smallest_subnormal)), limits.maxexp - 1, 800)
    x = (2.0**exponents * rng.choice([-1, 1], 800)).astype(dtype.numpy)
    y = (x * 2.0 ** rng.uniform(-3, 0.5, 800) * rng.choice([-1, 1], 800)).astype(dtype.numpy)
    got = accuracy.run(power.hypot, x, y)
    bound = 0.51 if dtype is float32 else 1.25
    assert np.isfinite(got).mean() > 0.9
    assert accuracy.ulp_error(got, mpmath.hypot, x, y) <= bound


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_hypot_of_special_values(dtype: DType) -> None:
    largest, least = float(np.finfo(dtype.numpy).max), float(np.finfo(dtype.numpy).tiny)
    table = [
        ((3.0, 4.0), 5.0),
        ((0.0, -0.0), 0.0),
        ((-0.0, -0.0), 0.0),
        ((-2.0, 0.0), 2.0),
        ((INF, NAN), INF),
        ((NAN, -INF), INF),
        ((NAN, 1.0), NAN),
        ((0.0, NAN), NAN),
        ((INF, 1.0), INF),
        ((largest, 0.0), largest),
        ((largest, largest), INF),
        ((3 * least, 4 * least), 5 * least),
        ((least / 8, 0.0), least / 8),
    ]
    accuracy.assert_values(power.hypot, dtype, table)
