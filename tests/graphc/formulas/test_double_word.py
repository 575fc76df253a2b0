"""The error terms are exact, in rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from graphc.dtypes import DType
from graphc.formulas import double_word
from tests.graphc.formulas import accuracy


@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize("name", ["fast_two_sum", "two_sum", "two_product"])
def test_result_and_error_add_up(name: str, dtype: DType) -> None:
    rng = np.random.default_rng(11)
    a = rng.standard_normal(300).astype(dtype.numpy)
    b = (a * rng.uniform(-1, 1, 300) * 2.0 ** -rng.integers(0, 30, 300)).astype(dtype.numpy)
    function = getattr(double_word, name)
    high = accuracy.run(lambda x, y: function(x, y)[0], a, b).tolist()
    low = accuracy.run(lambda x, y: function(x, y)[1], a, b).tolist()
    for x, y, h, e in zip(a.tolist(), b.tolist(), high, low, strict=True):
        exact = Fraction(x) + Fraction(y) if name != "two_product" else Fraction(x) * Fraction(y)
        assert Fraction(h) + Fraction(e) == exact
