"""Everything here runs on Oclgrind, which reports races and accesses out of bounds; a report fails.

Oclgrind reads its settings when the first context is made, so they are set while tests are
collected. It cannot check for uninitialised memory: it does not know LLVM's `freeze`.
GRAPHC_TEST_OPENCL_DEVICE runs the tests on another device (PoCL, a GPU), without those reports.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

DEVICE = os.environ.get("GRAPHC_TEST_OPENCL_DEVICE", "Oclgrind")
LOG = Path(tempfile.gettempdir()) / f"graphc-oclgrind-{os.getpid()}.log"

atexit.register(LOG.unlink, missing_ok=True)
os.environ.setdefault("OCLGRIND_LOG", str(LOG))
os.environ.setdefault("OCLGRIND_DATA_RACES", "1")
os.environ.setdefault("PYOPENCL_NO_CACHE", "1")


def reports() -> str:
    """Return what Oclgrind has reported since the last call."""
    path = Path(os.environ["OCLGRIND_LOG"])
    if not path.exists():
        return ""
    text = path.read_text()
    os.truncate(path, 0)
    return text.replace("\0", "")  # Oclgrind goes on writing where it was


@pytest.fixture(autouse=True)
def _oclgrind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if importlib.util.find_spec("pyopencl") is None:
        pytest.skip("pyopencl is not installed")
    monkeypatch.setenv("GRAPHC_OPENCL_DEVICE", DEVICE)
    reports()
    yield
    found = reports()
    assert not found, found[:4000]
