"""Products in bfloat16: which contractions change, and how it shows in the text."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.graph import Graph
from graphc.graph_text import parse_graph, print_graph
from graphc.node import ArrayData, Node
from graphc.passes import Compilation, Options, run_pipeline
from graphc.passes.round_operands import round_operands
from graphc.target import Target

BEFORE = """
graph f(%x: float32[2, 3], %w: float32[3, 4], %d: float64[2, 2], %i: int32[2, 2]) {
  %h = contraction(%x, %w) {lhs='ik', rhs='kj', out='ij'} : float32[2, 4]
  %y = contraction(%h, %h) {lhs='ik', rhs='jk', out='ij'} : float32[2, 2]
  %e = contraction(%d, %d) {lhs='ik', rhs='kj', out='ij'} : float64[2, 2]
  %n = contraction(%i, %i) {lhs='ik', rhs='kj', out='ij'} : int32[2, 2]
  return %y, %e, %n
}"""
AFTER = """
graph f(%x: float32[2, 3], %w: float32[3, 4], %d: float64[2, 2], %i: int32[2, 2]) {
  %4 = cast(%x) {dtype=bfloat16} : bfloat16[2, 3]
  %5 = cast(%w) {dtype=bfloat16} : bfloat16[3, 4]
  %6 = contraction(%4, %5) {lhs='ik', rhs='kj', out='ij', dtype=float32} : float32[2, 4]
  %7 = cast(%6) {dtype=bfloat16} : bfloat16[2, 4]
  %8 = contraction(%7, %7) {lhs='ik', rhs='jk', out='ij', dtype=float32} : float32[2, 2]
  %9 = contraction(%d, %d) {lhs='ik', rhs='kj', out='ij'} : float64[2, 2]
  %10 = contraction(%i, %i) {lhs='ik', rhs='kj', out='ij'} : int32[2, 2]
  return %8, %9, %10
}"""


def test_contractions_of_float32_round_their_operands() -> None:
    graph = round_operands(parse_graph(BEFORE), "bfloat16")
    text = print_graph(graph, full=True, lines=False)
    assert text == print_graph(parse_graph(AFTER), full=True, lines=False)
    assert "dtype=float32} : float32[2, 4]" in text


def test_what_is_not_to_be_rounded_stays_the_same_object() -> None:
    graph = parse_graph(BEFORE)
    assert round_operands(graph, "float32") is graph
    once = round_operands(graph, "bfloat16")
    assert round_operands(once, "bfloat16").outputs == once.outputs


@pytest.mark.parametrize("optimise", [True, False])
def test_constants_fold_to_what_they_round_to(optimise: bool) -> None:
    x = ops.input_(number=0, name="x", shape=(2, 3), dtype=dtypes.float32)
    w: Node = ops.constant(value=ArrayData(np.full((3, 2), 1 / 3, np.float32)))
    graph = Graph([x], [ops.contraction(x, w, lhs="ik", rhs="kj", out="ij")])
    target = Target("small", "cpu", 16, 16, 1)
    options = Options(optimise=optimise, precision="bfloat16")
    state = run_pipeline(Compilation(graph, target, options))
    (root,) = state.graph.outputs
    assert root.inputs[1].type.dtype is dtypes.bfloat16
    assert (root.inputs[1].op.name == "constant") is optimise
