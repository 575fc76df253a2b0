"""Hyperbolic functions and inverses against float64, mpmath and NumPy's validation set."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from graphc import scalar
from graphc.dtypes import DType, float32
from graphc.formulas import hyperbolic
from graphc.scalar import Formula
from tests.graphc.formulas import accuracy

INF, NAN = math.inf, math.nan

# name, formula, float64 reference, mpmath reference, bound of float32, bound of float64
FUNCTIONS: list[tuple[str, Formula, Any, Any, float, float]] = [
    ("sinh", hyperbolic.sinh, np.sinh, mpmath.sinh, 0.51, 1.0),
    ("cosh", hyperbolic.cosh, np.cosh, mpmath.cosh, 0.51, 1.0),
    ("tanh", hyperbolic.tanh, np.tanh, mpmath.tanh, 1.0, 1.0),
    ("asinh", hyperbolic.asinh, np.arcsinh, mpmath.asinh, 0.52, 1.0),
    ("acosh", hyperbolic.acosh, np.arccosh, mpmath.acosh, 0.52, 1.0),
    ("atanh", hyperbolic.atanh, np.arctanh, mpmath.atanh, 0.52, 1.0),
]
NAMES = [row[0] for row in FUNCTIONS]
ODD = [(0.0, 0.0), (-0.0, -0.0), (NAN, NAN)]
SPECIAL = {
    "sinh": [*ODD, (INF, INF), (-INF, -INF), (1000.0, INF), (-1e30, -INF)],
    "cosh": [(0.0, 1.0), (-0.0, 1.0), (NAN, NAN), (INF, INF), (-INF, INF), (-1e30, INF)],
    "tanh": [*ODD, (INF, 1.0), (-INF, -1.0), (1e30, 1.0), (-30.0, -1.0)],
    "asinh": [*ODD, (INF, INF), (-INF, -INF)],
    "acosh": [
        (1.0, 0.0), (0.5, NAN), (0.0, NAN), (-5.0, NAN), (-INF, NAN), (INF, INF), (NAN, NAN),
    ],
    "atanh": [*ODD, (1.0, INF), (-1.0, -INF), (1.5, NAN), (-1.5, NAN), (INF, NAN), (-INF, NAN)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "formula", "wide", "_exact", "bound", "_bound"), FUNCTIONS, ids=NAMES
)
def test_float32(
    name: str, formula: Formula, wide: Any, _exact: Any, bound: float, _bound: float
) -> None:
    dense = np.linspace(-3, 3, 100_001, dtype=np.float32)
    x = np.concatenate([accuracy.float32_stride(), dense, dense * np.float32(30), dense * 1e-39])
    x = x.astype(np.float32)
    with np.errstate(all="ignore"):
        want = wide(x.astype(np.float64))
    assert accuracy.ulp_error32(accuracy.run(formula, x), want) <= bound, name


@pytest.mark.parametrize(
    ("name", "formula", "wide", "exact", "_bound", "bound"), FUNCTIONS, ids=NAMES
)
def test_float64(
    name: str, formula: Formula, wide: Any, exact: Any, _bound: float, bound: float
) -> None:
    x = np.concatenate([accuracy.float64_sample(300, seed=22), np.linspace(-20, 20, 1001)])
    if name == "acosh":
        x = np.abs(x[np.abs(x) > 1])
    if name == "atanh":
        x = x[np.abs(x) < 1]
    got = accuracy.run(formula, x)
    with np.errstate(all="ignore"):
        assert np.array_equal(np.isfinite(got), np.isfinite(wide(x)))
    assert accuracy.ulp_error(got, exact, x) <= bound, name


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name: str, dtype: DType) -> None:
    accuracy.assert_values(getattr(hyperbolic, name), dtype, SPECIAL[name])


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize("name", ["sinh", "tanh", "asinh", "atanh"])
def test_keeps_subnormals(name: str, dtype: DType) -> None:
    least = float(np.finfo(dtype.numpy).smallest_subnormal)
    table = [(n * least, n * least) for n in (1, -1, 3, -12345)]
    accuracy.assert_values(getattr(hyperbolic, name), dtype, table)


def test_sinh_and_cosh_of_float64_reach_the_largest_float() -> None:
    x = np.array([710.4758600739439, 710.475860073944])
    for formula in (hyperbolic.sinh, hyperbolic.cosh):
        assert np.isfinite(accuracy.run(formula, x)).tolist() == [True, False]


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("sinh", "sinh"), ("cosh", "cosh"), ("tanh", "tanh"),
        ("asinh", "arcsinh"), ("acosh", "arccosh"), ("atanh", "arctanh"),
    ],
)  # fmt: skip
def test_validation_set(name: str, file: str, dtype: DType) -> None:
    accuracy.assert_close_to_validation_set(getattr(hyperbolic, name), file, dtype)


def test_tanh_of_float32_is_computed_in_float32_without_division() -> None:
    program = scalar.trace("tanh", hyperbolic.tanh, [float32])
    assert all(ins.dtype.bits <= 32 and ins.name != "div" for ins in program.instructions)
