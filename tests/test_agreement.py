"""The judge of all ops, judged: distances are exact and results that are off are refused."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.dtypes import DType
from tests.agreement import ULPS, assert_agrees, reference, ulps_apart
from tests.samples import Array, Case

FLOATS = [dtype for dtype in dtypes.REAL if dtype.is_float]


def moved(x: Array, steps: int) -> Array:
    """Return `x`, which is positive, `steps` floats further."""
    word = np.dtype(f"u{x.itemsize}")
    return np.asarray((x.view(word) + np.array(steps, word)).astype(word).view(x.dtype))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_distances_are_exact(dtype: DType) -> None:
    x = np.array([1e-3, 0.7, 1, 1e4]).astype(dtype.numpy)
    for steps in (0, 1, 2, 3, 100):
        assert ulps_apart(x, moved(x, steps)).tolist() == [steps] * 4
        assert ulps_apart(-moved(x, steps), -x).tolist() == [steps] * 4
    zero, least = np.zeros(1, dtype.numpy), moved(np.zeros(1, dtype.numpy), 1)
    assert ulps_apart(zero, -zero) == 0 and ulps_apart(least, -least) == 2
    infinity = np.full(1, np.inf).astype(dtype.numpy)
    assert ulps_apart(infinity, -infinity) == 2 * float(infinity.view(f"u{dtype.itemsize}")[0])
    assert np.isinf(ulps_apart(zero + np.full(1, np.nan).astype(dtype.numpy), zero))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_results_beyond_the_bound_are_refused(dtype: DType) -> None:
    case = Case((np.array([0.3, 1.1]).astype(dtype.numpy),))
    want = reference(ops.exp, case)
    bound = ULPS[dtype.name]
    assert_agrees(ops.exp, case, moved(want, bound))
    with pytest.raises(AssertionError, match="2 wrong"):
        assert_agrees(ops.exp, case, moved(want, bound + 1))
    with pytest.raises(AssertionError, match="2 wrong"):
        assert_agrees(ops.sqrt, case, moved(reference(ops.sqrt, case), 1))
