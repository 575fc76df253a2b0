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


def _near_multiples_of_half_pi(dtype: DType) -> Any:
    """Return the values next to k pi / 2, for small k and for k of every magnitude."""
    exponents = range(0, 125 if dtype.bits == 32 else 1020, 3)
    with mpmath.workprec(1300):
        large = [int(mpmath.ldexp(mpmath.mpf("0.7231"), e)) for e in exponents]
        values = [float(k * mpmath.pi / 2) for k in [*range(1, 400), *large]]
    x = np.array(values).astype(dtype.numpy)
    near = [x, np.nextafter(x, dtype.numpy.type(0)), np.nextafter(x, dtype.numpy.type(INF))]
    # the value of each type that is nearest to a multiple of pi/2 (Muller, Elementary Functions)
    worst = 6381956970095103.0 * 2.0**797 if dtype.bits == 64 else 16367173.0 * 2.0**72
    return np.concatenate([*near, -x, [dtype.numpy.type(worst)]])


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
    bound = bound32 if dtype.bits == 32 else bound64
    assert accuracy.ulp_error(accuracy.run(formula, x), exact, x) <= bound, name


@pytest.mark.parametrize(
    ("name", "formula", "_wide", "exact", "_bound", "bound"), FUNCTIONS, ids=NAMES
)
def test_float64(
    name: str, formula: Formula, _wide: Any, exact: Any, _bound: float, bound: float
) -> None:
    x = np.concatenate([accuracy.float64_sample(400, seed=21), np.linspace(-7, 7, 1501)])
    assert accuracy.ulp_error(accuracy.run(formula, x), exact, x) <= bound, name


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
