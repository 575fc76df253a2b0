"""Values and derivatives of complex numbers are PyTorch's, where PyTorch is installed."""

from __future__ import annotations

import pytest

from tests.peers.complex_numbers import TOLERANCE, Row, compare, rows

pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_against_torch(row: Row, dtype: str) -> None:
    assert compare(row, dtype) > 3
