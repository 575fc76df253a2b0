"""Stores past the caches into arrays of a caller, which begin anywhere."""

from __future__ import annotations

import numpy as np
import pytest

import graphc
from graphc.kernel_text import parse_kernel
from tests.backends.llvm.harness import CPUS, compile_kernel


@pytest.mark.parametrize("skip", [0, 4, 16, 32, 64])
@pytest.mark.parametrize("cpu", CPUS)
def test_a_streaming_store_takes_an_array_that_begins_anywhere(skip: int, cpu: str) -> None:
    text = """kernel k(x: float32[320] in, y: float32[320] out) {
      for i < 10 parallel { for l < 32 vector {
        %a = load x[32*i + l] : float32
        store y[32*i + l] = %a streaming } } }"""
    x = np.random.default_rng(0).standard_normal(320, np.float32)
    executable, arguments, _ = compile_kernel(parse_kernel(text), {"x": x}, cpu)
    assert "movntps" in executable.text("asm")
    raw = np.zeros(4 * 320 + 192, np.uint8)
    start = -raw.ctypes.data % 64 + skip
    y = raw[start : start + 1280].view(np.float32)
    assert executable.run_into(arguments, [y])[0] is y
    assert y.tobytes() == x.tobytes()
    assert not raw[:start].any() and not raw[start + 1280 :].any()


@pytest.mark.parametrize("function", ["softmax", "transpose"])
def test_large_results_go_past_the_caches(function: str) -> None:
    x = graphc.input((8192, 4096), name="x")
    result = graphc.softmax(x) if function == "softmax" else x.mT + 1
    assert "movnt" in graphc.compile([result], inputs=[x]).text("asm")
