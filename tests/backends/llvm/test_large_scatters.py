"""Gradients of large tables in native code: NumPy's bits for every number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc
from graphc.backends.llvm.machine import describe

COLUMNS = 1024


@pytest.fixture(scope="module")
def rows() -> int:
    """Return how many rows a table has that the last cache does not hold."""
    last = describe().cache_bytes[2]
    if last > 1 << 26:
        pytest.skip("takes tables larger than the last cache, which is very large")
    return last // (4 * COLUMNS) + 7


@pytest.mark.parametrize("kind", ["few meet", "most meet", "all meet"])
def test_the_order_of_the_ids_whoever_adds_them(rows: int, kind: str) -> None:
    random = np.random.default_rng(0)
    below = {"few meet": rows, "most meet": 9, "all meet": 1}[kind]
    ids = (rows - 1 - random.integers(below, size=(3, 67))).astype(np.int64)
    updates = random.standard_normal((3, 67, COLUMNS), np.float32)
    expected = np.zeros((rows, COLUMNS), np.float32)
    np.add.at(expected, ids, updates)

    @graphc.compile
    def gradient(ids: Any, updates: Any) -> Any:
        table = graphc.zeros((rows, COLUMNS))
        return graphc.gradients(graphc.take(table, ids, axis=0), [table], [updates])[0]

    for count in (1, 2, 3):
        with graphc.threads(count):
            assert gradient(ids, updates).tobytes() == expected.tobytes()
    assert " streaming" in gradient.text("kernels")


def test_an_id_out_of_bounds_is_an_error(rows: int) -> None:
    ids, updates = np.array([1, rows]), np.ones((2, COLUMNS), np.float32)

    @graphc.compile
    def gradient(ids: Any, updates: Any) -> Any:
        table = graphc.zeros((rows, COLUMNS))
        return graphc.gradients(graphc.take(table, ids, axis=0), [table], [updates])[0]

    with pytest.raises(graphc.GraphcIndexError, match="out of bounds for axis 0"):
        gradient(ids, updates)
