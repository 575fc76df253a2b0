"""Logarithms against float64, against mpmath, and against NumPy's validation set."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from graphc import scalar
from graphc.dtypes import DType, float32
from graphc.formulas import logarithm
from graphc.scalar import Formula
from tests.graphc.formulas import accuracy

INF, NAN = math.inf, math.nan

FUNCTIONS: list[tuple[str, Formula, Any, Any]] = [
    ("log", logarithm.log, np.log, mpmath.log),
    ("log2", logarithm.log2, np.log2, lambda x: mpmath.log(x, 2)),
    ("log10", logarithm.log10, np.log10, mpmath.log10),
    ("log1p", logarithm.log1p, np.log1p, mpmath.log1p),
]
NAMES = [row[0] for row in FUNCTIONS]

COMMON = [
    (1.0, 0.0),
    (0.0, -INF),
    (-0.0, -INF),
    (INF, INF),
    (-INF, NAN),
    (NAN, NAN),
    (-1.0, NAN),
    (-1e-40, NAN),
]
SPECIAL = {
    "log": COMMON,
    "log2": [*COMMON, (0.5, -1.0), (8.0, 3.0), (2.0**-149, -149.0), (2.0**127, 127.0)],
    "log10": [*COMMON, (1000.0, 3.0), (1e10, 10.0)],
    "log1p": [
        (0.0, 0.0),
        (-0.0, -0.0),
        (-1.0, -INF),
        (INF, INF),
        (-INF, NAN),
        (NAN, NAN),
        (-1.5, NAN),
    ],
}


@pytest.mark.parametrize(("name", "formula", "wide", "_exact"), FUNCTIONS, ids=NAMES)
def test_float32_within_one_ulp(name: str, formula: Formula, wide: Any, _exact: Any) -> None:
    dense = np.linspace(-0.999, 3, 100_001, dtype=np.float32)
    x = np.concatenate([accuracy.float32_stride(), dense, dense * np.float32(1e-39)])
    with np.errstate(all="ignore"):
        want = wide(x.astype(np.float64))
    assert accuracy.ulp_error32(accuracy.run(formula, x), want) <= 1.0, name


@pytest.mark.parametrize(("name", "formula", "_wide", "exact"), FUNCTIONS, ids=NAMES)
def test_float64_within_one_ulp(name: str, formula: Formula, _wide: Any, exact: Any) -> None:
    x = accuracy.float64_sample(400, seed=4)
    x = np.concatenate([x[x > 0], -x[(x > -1) & (x < 0)] * 2.0**-1000, np.linspace(0.6, 1.5, 999)])
    assert accuracy.ulp_error(accuracy.run(formula, x), exact, x) <= 1.0, name


def test_log1p_of_negative_values() -> None:
    x = accuracy.float64_sample(400, seed=5)
    x = x[(x > -1) & (x < 0)]
    assert accuracy.ulp_error(accuracy.run(logarithm.log1p, x), mpmath.log1p, x) <= 1.0


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize(("name", "formula", "_wide", "_exact"), FUNCTIONS, ids=NAMES)
def test_special_values(name: str, formula: Formula, _wide: Any, _exact: Any, dtype: DType) -> None:
    accuracy.assert_values(formula, dtype, SPECIAL[name])


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_log1p_keeps_subnormals(dtype: DType) -> None:
    least = float(np.finfo(dtype.numpy).smallest_subnormal)
    accuracy.assert_values(logarithm.log1p, dtype, [(least, least), (-least, -least)])


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_validation_set(name: str, dtype: DType) -> None:
    accuracy.assert_close_to_validation_set(getattr(logarithm, name), name, dtype)


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_computed_in_float32_without_division(name: str) -> None:
    program = scalar.trace(name, getattr(logarithm, name), [float32])
    assert all(ins.dtype.bits <= 32 and ins.name != "div" for ins in program.instructions)


def _logaddexp(x: Any, y: Any) -> Any:
    return max(x, y) + mpmath.log1p(mpmath.exp(-abs(x - y)))


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_logaddexp(dtype: DType) -> None:
    rng = np.random.default_rng(6)
    x = np.concatenate([rng.uniform(-1, 40, 500), rng.uniform(-800, -2, 500)])
    y = x + rng.uniform(-1, 1, 1000) * 2.0 ** rng.integers(-30, 8, 1000)
    x, y = x.astype(dtype.numpy), y.astype(dtype.numpy)
    kept = np.abs(np.logaddexp(x, y)) >= 0.25
    x, y = x[kept], y[kept]
    bound = 0.51 if dtype is float32 else 2.0
    assert accuracy.ulp_error(accuracy.run(logarithm.logaddexp, x, y), _logaddexp, x, y) <= bound


def test_logaddexp_near_its_zeros_is_right_to_a_unit_of_one() -> None:
    """Near e**x + e**y = 1 the sum cancels, and the bound is that of its terms."""
    rng = np.random.default_rng(7)
    x = rng.uniform(-3, -0.05, 500)
    y = np.log(-np.expm1(x)) + rng.uniform(-1, 1, 500) * 2.0 ** -rng.integers(2, 50, 500)
    got = accuracy.run(logarithm.logaddexp, x, y)
    want = [_logaddexp(mpmath.mpf(a), mpmath.mpf(b)) for a, b in zip(x, y, strict=True)]
    errors = [abs(float(w - mpmath.mpf(g))) for w, g in zip(want, got.tolist(), strict=True)]
    assert max(errors) <= 2.0**-52


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_logaddexp_of_special_values(dtype: DType) -> None:
    table = [
        ((-INF, -INF), -INF),
        ((INF, INF), INF),
        ((INF, -INF), INF),
        ((-INF, INF), INF),
        ((-INF, 1.5), 1.5),
        ((1.5, -INF), 1.5),
        ((INF, 2.0), INF),
        ((2.0, INF), INF),
        ((NAN, 1.0), NAN),
        ((1.0, NAN), NAN),
        ((NAN, INF), NAN),
        ((INF, NAN), NAN),
        ((-INF, NAN), NAN),
    ]
    accuracy.assert_values(logarithm.logaddexp, dtype, table)
