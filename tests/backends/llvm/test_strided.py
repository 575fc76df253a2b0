"""Lanes that lie a constant distance apart: the address of the first, and constants."""

from __future__ import annotations

import re

import numpy as np
import pytest

from graphc.kernel_text import parse_kernel
from tests.backends.llvm.harness import LEVELS, check, compile_kernel

KERNELS = {
    "store": """
        for i < 6 parallel { for l < 16 vector {
          %a = load x[i, l] : float32
          store y[l, i] = %a } }""",
    "load": """
        for i < 16 parallel { for l < 4 vector {
          %a = load x[l, i] : float32
          store z[i, l] = %a } }""",
    "backwards": """
        for i < 6 parallel { for l < 16 vector {
          %a = load x[i, -1*l + 15] : float32
          store y[-1*l + 15, i] = %a } }""",
    "guarded": """
        for i < 6 parallel { for l < 16 vector { if l < 11 {
          %a = load x[i, l] : float32
          store y[l, i] = %a } } }""",
}


@pytest.mark.parametrize("name", KERNELS)
def test_addresses_are_a_base_and_constants(name: str) -> None:
    outputs = {"load": "z: float32[16, 4]", "guarded": "y: float32[11, 6]"}
    output = outputs.get(name, "y: float32[16, 6]")
    text = f"kernel k(x: float32[6, 16] in, {output} out) {{ {KERNELS[name]} }}"
    x = np.arange(96, dtype=np.float32).reshape(6, 16)
    check(text, {"x": x})
    executable, _, _ = compile_kernel(parse_kernel(text), {"x": x}, LEVELS[-1])
    written = executable.text("llvm")
    assert "masked.scatter" in written or "masked.gather" in written
    assert re.search(r"getelementptr float, ptr %\S+, <\d+ x i32> <i32", written)
