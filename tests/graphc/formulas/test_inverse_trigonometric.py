"""Inverse trigonometric functions against float64, mpmath and NumPy's validation set."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from graphc.dtypes import DType
from graphc.formulas import inverse_trigonometric
from graphc.formulas.inverse_trigonometric import atan2
from graphc.scalar import Formula
from tests.graphc.formulas import accuracy

INF, NAN = math.inf, math.nan

# name, formula, float64 reference, mpmath reference, bound of float32
FUNCTIONS: list[tuple[str, Formula, Any, Any, float]] = [
    ("asin", inverse_trigonometric.asin, np.arcsin, mpmath.asin, 0.59),
    ("acos", inverse_trigonometric.acos, np.arccos, mpmath.acos, 0.59),
    ("atan", inverse_trigonometric.atan, np.arctan, mpmath.atan, 0.52),
]
NAMES = [row[0] for row in FUNCTIONS]
HALF_PI = math.pi / 2
OUTSIDE = [(1.0001, NAN), (-1.0001, NAN), (INF, NAN), (-INF, NAN), (NAN, NAN)]


def _special(name: str, dtype: DType) -> list[tuple[Any, float]]:
    half_pi, pi = (float(dtype.numpy.type(angle)) for angle in (HALF_PI, math.pi))
    table = {
        "asin": [(0.0, 0.0), (-0.0, -0.0), (1.0, half_pi), (-1.0, -half_pi), *OUTSIDE],
        "acos": [(1.0, 0.0), (-1.0, pi), (0.0, half_pi), (-0.0, half_pi), *OUTSIDE],
        "atan": [(0.0, 0.0), (-0.0, -0.0), (INF, half_pi), (-INF, -half_pi), (NAN, NAN)],
    }
    return table[name]


@pytest.mark.parametrize(("name", "formula", "wide", "_exact", "bound"), FUNCTIONS, ids=NAMES)
def test_float32(name: str, formula: Formula, wide: Any, _exact: Any, bound: float) -> None:
    dense = np.linspace(-1, 1, 100_001, dtype=np.float32)
    x = np.concatenate([accuracy.float32_stride(), dense, dense * 5, dense * 1e-39])
    x = x.astype(np.float32)
    with np.errstate(all="ignore"):
        want = wide(x.astype(np.float64))
    assert accuracy.ulp_error32(accuracy.run(formula, x), want) <= bound, name


@pytest.mark.parametrize(("name", "formula", "wide", "exact", "_bound"), FUNCTIONS, ids=NAMES)
def test_float64(name: str, formula: Formula, wide: Any, exact: Any, _bound: float) -> None:
    x = np.concatenate([accuracy.float64_sample(300, seed=24), np.linspace(-1, 1, 1001)])
    if name != "atan":
        x = x[np.abs(x) <= 1]
    got = accuracy.run(formula, x)
    with np.errstate(all="ignore"):
        assert np.array_equal(np.isnan(got), np.isnan(wide(x)))
    assert accuracy.ulp_error(got, exact, x) <= 0.75, name


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name: str, dtype: DType) -> None:
    formula = getattr(inverse_trigonometric, name)
    accuracy.assert_values(formula, dtype, _special(name, dtype))


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize("name", ["asin", "atan"])
def test_keeps_subnormals(name: str, dtype: DType) -> None:
    least = float(np.finfo(dtype.numpy).smallest_subnormal)
    table = [(n * least, n * least) for n in (1, -1, 3, -12345)]
    accuracy.assert_values(getattr(inverse_trigonometric, name), dtype, table)


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_validation_set(name: str, dtype: DType) -> None:
    formula = getattr(inverse_trigonometric, name)
    accuracy.assert_close_to_validation_set(formula, name.replace("a", "arc", 1), dtype)


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_atan2(dtype: DType) -> None:
    rng = np.random.default_rng(25)
    limit = 120 if dtype.bits == 32 else 1010
    x, y = rng.standard_normal((2, 1500))
    y[500:1000] *= 2.0 ** rng.integers(-70, 70, 500)
    common = 2.0 ** rng.integers(-limit, limit, 500)
    x[1000:], y[1000:] = x[1000:] * common, y[1000:] * common
    x, y = x.astype(dtype.numpy), y.astype(dtype.numpy)
    bound = 0.52 if dtype.bits == 32 else 0.8
    angle = accuracy.run(atan2, y, x)
    assert np.isfinite(angle).all()
    assert accuracy.ulp_error(angle, mpmath.atan2, y, x) <= bound


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_atan2_at_the_ends_of_the_range(dtype: DType) -> None:
    info = np.finfo(dtype.numpy)
    sides = [info.smallest_subnormal, info.smallest_subnormal * 3, info.tiny, 1.0, info.max / 3]
    x, y = (side.ravel() for side in np.meshgrid(*[np.array([*sides, info.max])] * 2))
    x, y = x.astype(dtype.numpy), y.astype(dtype.numpy)
    angle = accuracy.run(atan2, y, x)
    assert np.isfinite(angle).all()
    assert accuracy.ulp_error(angle, mpmath.atan2, y, x) <= 1.0


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_atan2_of_special_values(dtype: DType) -> None:
    """Signed zeros and infinities: C99, F.9.1.4."""
    pi, half_pi, quarter_pi, three = (
        float(dtype.numpy.type(angle)) for angle in (math.pi, HALF_PI, math.pi / 4, 3 * HALF_PI / 2)
    )
    table = [
        ((0.0, 0.0), 0.0), ((-0.0, 0.0), -0.0), ((0.0, -0.0), pi), ((-0.0, -0.0), -pi),
        ((0.0, 1.0), 0.0), ((-0.0, 1.0), -0.0), ((0.0, -1.0), pi), ((-0.0, -1.0), -pi),
        ((1.0, 0.0), half_pi), ((1.0, -0.0), half_pi), ((-1.0, 0.0), -half_pi),
        ((INF, INF), quarter_pi), ((-INF, INF), -quarter_pi), ((INF, -INF), three),
        ((-INF, -INF), -three), ((INF, 1.0), half_pi), ((-INF, -1.0), -half_pi),
        ((1.0, INF), 0.0), ((-1.0, INF), -0.0), ((1.0, -INF), pi), ((-1.0, -INF), -pi),
        ((NAN, INF), NAN), ((INF, NAN), NAN), ((NAN, 1.0), NAN), ((1.0, NAN), NAN),
    ]  # fmt: skip
    accuracy.assert_values(atan2, dtype, table)
