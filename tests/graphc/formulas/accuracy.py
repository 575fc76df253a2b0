"""What the tests of formulas share: inputs, and errors in units in the last place."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

from graphc import scalar
from graphc.dtypes import DType, as_dtype, float32, float64
from graphc.scalar import Formula
from graphc.scalar_interpreter import evaluate

Array = np.ndarray[Any, np.dtype[Any]]
Reference = Callable[..., Any]

_DIGITS = {np.dtype(np.float32): (24, -149), np.dtype(np.float64): (53, -1074)}


def run(formula: Formula, *arguments: Array) -> Array:
    """Return `formula` of `arguments`, traced and interpreted."""
    parameters = [as_dtype(a.dtype) for a in arguments]
    return evaluate(scalar.trace("formula", formula, parameters), *arguments)


def float32_stride(stride: int = 86243) -> Array:
    """Return every `stride`-th float32, about 50,000 of them, of both signs and all binades."""
    return np.arange(0, 2**32, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)


def float64_sample(count: int, seed: int) -> Array:
    """Return values of all binades, of the range of exp, near 0 and near 1, of both signs."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**64, count, np.uint64)
    near_one = 1 + rng.uniform(-1, 1, count) * 2.0 ** -rng.integers(0, 50, count)
    small = rng.uniform(-1, 1, count) * 2.0 ** -rng.integers(0, 70, count)
    wide, narrow = rng.uniform(-750, 720, count), rng.uniform(-3, 3, count)
    under = rng.uniform(-746, -707, count)
    return np.concatenate([bits.view(np.float64), near_one, small, wide, narrow, under])


def ulp_error32(got: Array, want: Array) -> float:
    """Return the greatest error of float32 `got` against float64 `want`; kinds must agree.

    NaN goes with NaN and infinity with what rounds to it; else the test fails here.
    """
    with np.errstate(all="ignore"):
        rounded = want.astype(np.float32)
    assert np.array_equal(np.isnan(got), np.isnan(rounded))
    infinite = np.isinf(got) | np.isinf(rounded)
    assert np.array_equal(got[infinite], rounded[infinite])
    finite = np.isfinite(got)
    got, want = got[finite].astype(np.float64), want[finite]
    exponent = np.maximum(np.frexp(want)[1] - 24, -149)
    exponent[want == 0] = -149
    return float(np.max(np.abs(got - want) * 2.0 ** (-exponent.astype(np.float64)), initial=0))


def ulp_error(got: Array, reference: Reference, *arguments: Array) -> float:
    """Return the greatest error of `got`, where finite, against an mpmath `reference`."""
    digits, least = _DIGITS[got.dtype]
    worst = 0.0
    with mpmath.workprec(240):
        for value, *point in zip(got.tolist(), *(a.tolist() for a in arguments), strict=True):
            if not np.isfinite([value, *point]).all():
                continue
            want = reference(*map(mpmath.mpf, point))
            exponent = least if want == 0 else max(int(mpmath.frexp(want)[1]) - digits, least)
            worst = max(worst, float(abs(value - want) * mpmath.mpf(2) ** -exponent))
    return worst


def assert_values(formula: Formula, dtype: DType, table: Sequence[tuple[Any, float]]) -> None:
    """Check `formula` at the points of `table`, numbers or tuples, to the bit; NaN is any NaN."""
    points = [point if isinstance(point, tuple) else (point,) for point, _ in table]
    wanted = [want for _, want in table]
    columns = zip(*points, strict=True)
    got = run(formula, *(np.array(column, dtype.numpy) for column in columns))
    for point, value, want in zip(points, got.tolist(), wanted, strict=True):
        same = np.isnan(value) if np.isnan(want) else value == want
        assert same and (np.isnan(want) or np.signbit(value) == np.signbit(want)), (point, value)


def validation_set(name: str, dtype: DType) -> tuple[Array, Array]:
    """Return inputs and correctly rounded outputs of NumPy's umath validation set of `name`."""
    path = Path(np.__file__).parent / "_core/tests/data" / f"umath-validation-set-{name}.csv"
    if not path.exists():
        pytest.skip("this NumPy was installed without its test data")
    rows = [line.split(",") for line in path.read_text().splitlines() if line.startswith("np.")]
    picked = [row for row in rows if row[0] == f"np.{dtype.name}"]
    word = np.uint32 if dtype is float32 else np.uint64
    table = np.array([[int(row[1], 16), int(row[2], 16)] for row in picked], dtype=word)
    columns = table.reshape(-1, 2).T.copy()
    return columns[0].view(dtype.numpy), columns[1].view(dtype.numpy)


def assert_close_to_validation_set(formula: Formula, name: str, dtype: DType) -> None:
    """Check that every row of the validation set is met to one unit in the last place."""
    x, want = validation_set(name, dtype)
    if not len(x):
        pytest.skip(f"no rows of {dtype} for {name}")
    got = run(formula, x)
    assert np.array_equal(np.isnan(got), np.isnan(want))
    number = ~np.isnan(want)
    got, want = got[number], want[number]
    assert np.all((got == want) | (np.nextafter(got, want) == want))
    zero = want == 0
    assert np.array_equal(np.signbit(got[zero & (got == 0)]), np.signbit(want[zero & (got == 0)]))


FLOATS = (float32, float64)
