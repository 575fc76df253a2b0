"""CTC has the values and gradients of PyTorch's, where PyTorch is installed."""

from __future__ import annotations

import pytest

from tests.peers.ctc import TOLERANCE, Case, cases, compare

pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_against_torch(case: Case, dtype: str) -> None:
    assert compare(case, dtype) > 0
