"""Random graphs over the whole op set, on OpenCL: the same bits as on LLVM, and no report."""

from __future__ import annotations

import pytest

from graphc.backends.llvm import BACKEND as LLVM
from graphc.backends.opencl import BACKEND
from tests.random_graphs import random_graph
from tests.test_random_graphs import TARGETS, assert_same_bits, run

SAMPLE = 40


@pytest.mark.parametrize("seed", range(SAMPLE))
def test_random_graphs_have_the_bits_of_llvm(seed: int) -> None:
    sample = random_graph(seed)
    expected = run(LLVM, sample.graph, sample.arguments, TARGETS[-1])
    got = run(BACKEND, sample.graph, sample.arguments, BACKEND.target())
    for left, right in zip(expected, got, strict=True):
        assert_same_bits(left, right, f"seed {seed}")
