"""Sine, cosine and tangent against float64, against mpmath, and against NumPy's validation set."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from graphc.dtypes import DType
from graphc.formulas import trigonometric
from graphc.scalar import Formula
from tests.graphc.formulas import accuracy

INF, NAN = math.inf, math.nan

# name, formula, float64 reference, mpmath reference, bound of float32, bound of float64
FUNCTIONS: list[tuple[str, Formula, Any, Any, float, float]] = [
    ("sin", trigonometric.sin, np.sin, mpmath.sin, 0.6, 0.8),
    ("cos", trigonometric.cos, np.cos, mpmath.cos, 0.6, 0.85),
    ("tan", trigonometric.tan, np.tan, mpmath.tan, 0.53, 1.0),
]
NAMES = [row[0] for row in FUNCTIONS]
ODD = [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (NAN, NAN)]
SPECIAL = {
    "sin": ODD,
    "cos": [(0.0, 1.0), (-0.0, 1.0), (1e-40, 1.0), (INF, NAN), (-INF, NAN), (NAN, NAN)],
    "tan": ODD,
}


def _nearest_multiplier(slope: mpmath.mpf, bits: int) -> int:
    """Return m < 2**bits such that m * slope is very near to an integer.

    It is the denominator of the last possible convergent of the continued fraction of `slope`.
    """
    previous, denominator = 0, 1
    while True:
        slope = 1 / (slope - mpmath.floor(slope))
        following = int(mpmath.floor(slope)) * denominator + previous
        if following >= 2**bits:
            return denominator
        previous, denominator = denominator, following


def _near_multiples_of_half_pi(dtype: DType) -> Any:
    """Return values very near to multiples of pi/2, from binades up to the highest, and neighbours.

    They include the nearest ones of all, 16367173 * 2**72 and 6381956970095103 * 2**797.
    """
    bits, highest, step = (24, 104, 1) if dtype.bits == 32 else (53, 971, 3)
    with mpmath.workprec(1300):
        slopes = [(e, mpmath.ldexp(2 / mpmath.pi, e)) for e in range(1 - bits, highest, step)]
        values = [mpmath.ldexp(_nearest_multiplier(slope, bits), e) for e, slope in slopes]
        small = np.array([float(k * mpmath.pi / 2) for k in range(1, 400)])
    x = np.concatenate([small, [float(v) for v in values]]).astype(dtype.numpy)
    return np.concatenate([x, np.nextafter(x, dtype.numpy.type(0)), -x])


@pytest.mark.parametrize(
    ("name", "formula", "wide", "_exact", "bound", "_bound"), FUNCTIONS, ids=NAMES
)
def test_float32(
    name: str, formula: Formula, wide: Any, _exact: Any, bound: float, _bound: float
) -> None:
    dense = np.linspace(-50, 50, 100_001, dtype=np.float32)
    x = np.concatenate([accuracy.float32_stride(), dense, dense * np.float32(1e-39)])
    with np.errstate(all="ignore"):
        want = wide(x.astype(np.float64))
    assert accuracy.ulp_error32(accuracy.run(formula, x), want) <= bound, name


@pytest.mark.parametrize(
    ("name", "formula", "_wide", "exact", "bound32", "bound64"), FUNCTIONS, ids=NAMES
)
@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_near_multiples_of_half_pi(
    name: str, formula: Formula, _wide: Any, exact: Any, bound32: float, bound64: float,
    dtype: DType,
) -> None:  # fmt: skip
    x = _near_multiples_of_half_pi(dtype)
    got = accuracy.run(formula, x)
    assert np.isfinite(got).all()
    bound = bound32 if dtype.bits == 32 else bound64
    assert accuracy.ulp_error(got, exact, x) <= bound, name


@pytest.mark.parametrize(
    ("name", "formula", "_wide", "exact", "_bound", "bound"), FUNCTIONS, ids=NAMES
)
def test_float64(
    name: str, formula: Formula, _wide: Any, exact: Any, _bound: float, bound: float
) -> None:
    x = np.concatenate([accuracy.float64_sample(400, seed=21), np.linspace(-7, 7, 1501)])
    x = x[np.isfinite(x)]
    got = accuracy.run(formula, x)
    assert np.isfinite(got).all()
    assert accuracy.ulp_error(got, exact, x) <= bound, name


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name: str, dtype: DType) -> None:
    accuracy.assert_values(getattr(trigonometric, name), dtype, SPECIAL[name])


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize("name", ["sin", "tan"])
def test_keeps_subnormals(name: str, dtype: DType) -> None:
    least = float(np.finfo(dtype.numpy).smallest_subnormal)
    table = [(n * least, n * least) for n in (1, -1, 3, -12345)]
    accuracy.assert_values(getattr(trigonometric, name), dtype, table)


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_validation_set(name: str, dtype: DType) -> None:
    accuracy.assert_close_to_validation_set(getattr(trigonometric, name), name, dtype)
