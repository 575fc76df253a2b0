"""gelu against float64, against mpmath, in its tails and at its seams."""

import math

import mpmath
import numpy as np
import pytest
from scipy import special

from graphc import scalar
from graphc.dtypes import DType, float32, float64
from graphc.formulas.gelu import gelu
from tests.graphc.formulas import accuracy

INF, NAN = math.inf, math.nan


def exact(x: mpmath.mpf) -> mpmath.mpf:
    return x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def test_float32() -> None:
    dense = np.linspace(-15, 15, 200_001, dtype=np.float32)
    x = np.concatenate([accuracy.float32_stride(), dense, dense / 64, dense * np.float32(1e-39)])
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        want = np.where(wide < -40, -0.0, np.where(wide < -40, 0.0, wide) * special.ndtr(wide))
    assert accuracy.ulp_error32(accuracy.run(gelu, x), want) <= 1.77


@pytest.mark.parametrize(("low", "high"), [(-38.5, -5), (-5, -1), (-1, 1), (1, 40)])
def test_float64(low: float, high: float) -> None:
    x = np.random.default_rng(0).uniform(low, high, 2000)
    assert accuracy.ulp_error(accuracy.run(gelu, x), exact, x) <= 4.0


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
def test_special_values(dtype: DType) -> None:
    least = float(np.finfo(dtype.numpy).smallest_subnormal)
    table = [
        (0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -0.0), (NAN, NAN), (1e30, 1e30),
        (-1e30, -0.0), (100.0, 100.0), (8 * least, 4 * least), (-8 * least, -4 * least),
    ]  # fmt: skip
    rounded = [(point, float(dtype.numpy.type(want))) for point, want in table]
    accuracy.assert_values(gelu, dtype, rounded)


@pytest.mark.parametrize(
    ("dtype", "low"), [(float32, -13.9), (float64, -38.2)], ids=["float32", "float64"]
)
def test_has_a_left_tail(dtype: DType, low: float) -> None:
    """Down to the least subnormal; there the error is counted in subnormals."""
    x = np.linspace(low, -3, 500, dtype=dtype.numpy)
    got = accuracy.run(gelu, x)
    assert (got < 0).all() and (np.diff(got) <= 0).all()
    assert accuracy.ulp_error(got, exact, x) <= 4.0


def test_float32_is_computed_in_float32_without_division() -> None:
    program = scalar.trace("gelu", gelu, [float32])
    assert all(ins.dtype.bits <= 32 and ins.name != "div" for ins in program.instructions)
