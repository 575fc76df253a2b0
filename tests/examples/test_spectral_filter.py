"""The example of docs/complex_numbers.md finds the filter."""

from __future__ import annotations

import importlib.util
from typing import Any

from tests.source_tree import ROOT


def example() -> Any:
    path = ROOT / "examples" / "spectral_filter.py"
    specification = importlib.util.spec_from_file_location("spectral_filter", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_response_is_found() -> None:
    found, error = example().learn()
    assert found.dtype.name == "complex64" and error < 1e-5
