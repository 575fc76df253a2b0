"""Pairs of floats in the place of complex numbers, text to text, and with the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc
from graphc import ops
from graphc.body import nested_bodies
from graphc.errors import GraphcTypeError
from graphc.graph import Graph
from graphc.graph_text import parse_graph, print_graph
from graphc.interpreter import interpret
from graphc.node import Node, fresh_number
from graphc.op import OnPairs, Op, all_ops, forget
from graphc.passes.split_complex import split_complex
from graphc.tensor_type import TensorType
from tests.samples import as_graph, cases
from tests.test_op_matrix import computed_ops

COMPLEX = [op for op in computed_ops() if "complex" in op.kinds or op.name == "complex"]


def split(text: str) -> str:
    return print_graph(split_complex(parse_graph(text)), full=True, lines=False)


def as_pairs(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.kind != "c":
        return array
    return np.stack([array.real, array.imag], axis=-1)


TEXTS = {
    "what is done to each part": (
        """graph main(%x: complex64[3], %y: complex64[3]) {
          %s = add(%x, %y) : complex64[3]
          %v = reshape(%s) {shape=(3, 1)} : complex64[3, 1]
          return %v
        }""",
        """graph main(%x: float32[3, 2], %y: float32[3, 2]) {
  %2 = add(%x, %y) : float32[3, 2]
  %3 = reshape(%2) {shape=(3, 1, 2)} : float32[3, 1, 2]
  return %3
}""",
    ),
    "a function of the host": (
        """graph main(%x: complex128[4, 3]) {
          %f = fft(%x) {axes=(1,), norm='ortho'} : complex128[4, 3]
          %r = real(%f) : float64[4, 3]
          return %r
        }""",
        """graph main(%x: float64[4, 3, 2]) {
  %1 = on_pairs(%x) {function='fft', settings=(('axes', (1,)), ('norm', 'ortho')), """
        """dtypes=('complex128',)} : float64[4, 3, 2]
  %2 = slice(%1) {start=(0, 0, 0), stop=(4, 3, 1), step=(1, 1, 1)} : float64[4, 3, 1]
  %3 = reshape(%2) {shape=(4, 3)} : float64[4, 3]
  return %3
}""",
    ),
    "zeros around": (
        """graph main(%x: complex64[2], %y: complex64[]) {
          %z = constant() {value=array(0000000000000000)} : complex64[]
          %a = pad(%x, %z) {low=(1,), high=(0,)} : complex64[3]
          %b = pad(%a, %y) {low=(0,), high=(1,)} : complex64[4]
          return %b
        }""",
        "pad(%x, %4) {low=(1, 0), high=(0, 0)} : float32[3, 2]",
    ),
    "a product of matrices": (
        """graph main(%x: complex64[2, 3], %y: complex64[3, 2]) {
          %s = contraction(%x, %y) {lhs='ik', rhs='kj', out='ij'} : complex64[2, 2]
          return %s
        }""",
        "contraction(%x, %12) {lhs='ika', rhs='akjb', out='ijb'} : float32[2, 2, 2]",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name: str) -> None:
    given, wanted = TEXTS[name]
    made = split(given)
    assert wanted in made and "complex64[" not in made and "complex128[" not in made


def test_a_graph_without_complex_numbers_is_the_same_object() -> None:
    graph = parse_graph(
        "graph main(%x: float32[3]) {\n %s = add(%x, %x) : float32[3]\n return %s\n}"
    )
    assert split_complex(graph) is graph


def test_every_op_that_takes_complex_numbers_says_what_it_is_of_pairs() -> None:
    by_kind = ("contraction", "fft", "ifft", "irfft")
    assert COMPLEX and all(op.on_pairs or op.name in by_kind for op in COMPLEX if op.name != "iota")
    assert [op for op in all_ops() if isinstance(op.lowering, OnPairs) and not op.on_pairs] == []


@pytest.mark.parametrize("op", COMPLEX, ids=str)
def test_pairs_have_the_values_of_the_complex_numbers(op: Op) -> None:
    dtypes = (graphc.complex128,) if "complex" in op.kinds else (graphc.float64,)
    for case in (c for dtype in dtypes for c in list(cases(op, dtype))[1:12]):
        graph = as_graph(op, case)
        (want,), _ = interpret(graph, case.operands)
        pairs = split_complex(graph)
        (got,), _ = interpret(pairs, [as_pairs(a) for a in case.operands])
        np.testing.assert_allclose(got, as_pairs(want), rtol=1e-12, atol=1e-12)


def test_bodies_of_loops_and_branches_are_split() -> None:
    def function(z: Any, rows: Any) -> Any:
        def step(carry: Any, row: Any) -> Any:
            chosen = graphc.cond(row.sum() > 0, lambda c: c * 1j, lambda c: c.conj(), carry)
            return chosen + row, abs(chosen)

        last, all_ = graphc.scan(step, z, rows)
        return graphc.while_loop(lambda c: abs(c).sum() < 50, lambda c: c * 2, last), all_

    traced = graphc.trace(function, [np.ones(3, np.complex64), np.ones((4, 3), np.float32)])
    graph = split_complex(traced.graph)
    nodes = [*graph.nodes, *(n for b in nested_bodies(graph.nodes) for n in b.graph.nodes)]
    assert not any(t.dtype.is_complex for node in nodes for t in node.results)
    z = np.array([1 + 2j, 3j, -1], np.complex64)
    rows = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    wanted, _ = interpret(traced.graph, [z, rows])
    got, _ = interpret(graph, [as_pairs(z), rows])
    for found, want in zip(got, wanted, strict=True):
        np.testing.assert_allclose(found, as_pairs(want), rtol=1e-6)


def test_variables_are_read_and_assigned_as_pairs() -> None:
    state = graphc.Variable(np.array([1 + 2j, 3], np.complex64), name="w")
    node = state.variable_node
    graph = Graph([], [ops.real(node)], [(node, ops.multiply(node, node))])
    made = split_complex(graph)
    (target, value) = made.assignments[0]
    assert target.type == value.type == TensorType((2, 2), graphc.float32)
    assert target.attributes["state"] is state.state
    again = parse_graph(print_graph(made, full=True), {"w": state.state})
    assert again.outputs == made.outputs and again.assignments == made.assignments
    (outputs, assigned) = interpret(made, [])
    assert outputs[0].tolist() == [1, 3]
    assert assigned[state.state].tolist() == [[-3, 4], [9, 0]]


def test_an_op_without_a_rule_is_refused_with_the_line() -> None:
    strange = Op(
        name="strange",
        operands=("x",),
        type_rule=lambda x: x,
        reference=lambda x, result: x,
        lowering=OnPairs(),
    )
    try:
        x: Node = ops.input_(number=fresh_number(), name="x", shape=(3,), dtype=graphc.complex64)
        with pytest.raises(GraphcTypeError, match="strange does not take complex") as caught:
            split_complex(Graph([x], [strange(x)]))
        assert "test_split_complex.py" in str(caught.value)
    finally:
        forget(strange)
