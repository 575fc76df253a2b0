"""Exponentials against float64, against mpmath, and against NumPy's validation set."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from graphc import scalar
from graphc.dtypes import DType, float32, float64
from graphc.formulas import exponential
from graphc.scalar import Formula
from tests.graphc.formulas import accuracy

INF, NAN = math.inf, math.nan

# name, formula, float64 reference, mpmath reference, bound of float32
FUNCTIONS: list[tuple[str, Formula, Any, Any, float]] = [
    ("exp", exponential.exp, np.exp, mpmath.exp, 1.0),
    ("exp2", exponential.exp2, np.exp2, lambda x: mpmath.mpf(2) ** x, 1.0),
    ("expm1", exponential.expm1, np.expm1, mpmath.expm1, 1.0),
    (
        "sigmoid",
        exponential.sigmoid,
        lambda x: np.where(x < 0, np.exp(x), 1.0) / (1 + np.exp(-np.abs(x))),
        lambda x: 1 / (1 + mpmath.exp(-x)),
        1.4,
    ),
]
NAMES = [row[0] for row in FUNCTIONS]

SPECIAL: dict[str, list[tuple[float, float]]] = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (NAN, NAN), (1e5, INF), (-1e5, 0.0)],
    "exp2": [
        *[(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (NAN, NAN), (1e5, INF), (-1e5, 0.0)],
        *[(-1.0, 0.5), (10.0, 1024.0), (-126.0, 2.0**-126), (-149.0, 2.0**-149)],
    ],
    "expm1": [
        *[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (NAN, NAN), (1e5, INF)],
        *[(-1e5, -1.0), (1e-40, 1e-40), (-1e-40, -1e-40)],
    ],
    "sigmoid": [
        *[(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (NAN, NAN), (1e5, 1.0)],
        *[(-1e5, 0.0), (1e-40, 0.5)],
    ],
}


@pytest.mark.parametrize(("name", "formula", "wide", "_exact", "bound"), FUNCTIONS, ids=NAMES)
def test_float32(name: str, formula: Formula, wide: Any, _exact: Any, bound: float) -> None:
    dense = np.linspace(-104, 89, 50_001, dtype=np.float32)
    x = np.concatenate([accuracy.float32_stride(), dense, dense / 64])
    with np.errstate(all="ignore"):
        want = wide(x.astype(np.float64))
    assert accuracy.ulp_error32(accuracy.run(formula, x), want) <= bound, name


@pytest.mark.parametrize(("name", "formula", "_wide", "exact", "_bound"), FUNCTIONS, ids=NAMES)
def test_float64_within_one_ulp(
    name: str, formula: Formula, _wide: Any, exact: Any, _bound: float
) -> None:
    x = accuracy.float64_sample(400, seed=3)
    x = x[np.abs(x) < 1000]
    assert accuracy.ulp_error(accuracy.run(formula, x), exact, x) <= 1.0, name


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize(("name", "formula"), [row[:2] for row in FUNCTIONS], ids=NAMES)
def test_special_values(name: str, formula: Formula, dtype: DType) -> None:
    table = [(point, float(dtype.numpy.type(want))) for point, want in SPECIAL[name]]
    accuracy.assert_values(formula, dtype, table)


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize("name", ["exp", "exp2", "expm1"])
def test_validation_set(name: str, dtype: DType) -> None:
    accuracy.assert_close_to_validation_set(getattr(exponential, name), name, dtype)


EDGES = [
    (float32, [88.72283, 88.7229, -103.97, -103.98]),
    (float64, [709.782712893384, 709.7827128934, -745.1332191019411, -745.1332191019413]),
]


@pytest.mark.parametrize(("dtype", "edges"), EDGES, ids=["float32", "float64"])
def test_exp_at_the_edges_of_overflow_and_underflow(dtype: DType, edges: list[float]) -> None:
    got = accuracy.run(exponential.exp, np.array(edges, dtype.numpy))
    assert np.isfinite(got[0]) and got[1] == INF
    assert got[2] == np.finfo(dtype.numpy).smallest_subnormal and got[3] == 0


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_sigmoid_has_a_left_tail(dtype: DType) -> None:
    """Where 1 + e**x is 1, sigmoid is e**x, down to the least subnormal."""
    low = -103.9 if dtype is float32 else -745.1
    x = np.linspace(low, -40, 200, dtype=dtype.numpy)
    got = accuracy.run(exponential.sigmoid, x)
    assert (got > 0).all() and (np.diff(got) >= 0).all()
    assert accuracy.ulp_error(got, lambda v: 1 / (1 + mpmath.exp(-v)), x) <= 1.4


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_computed_in_float32_without_division(name: str) -> None:
    program = scalar.trace(name, getattr(exponential, name), [float32])
    assert all(ins.dtype.bits <= 32 for ins in program.instructions)
    assert all(ins.name != "div" for ins in program.instructions)
