"""Graphs as text: printed, parsed back, and refused where they cannot be read."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.errors import ParseError
from graphc.graph import Graph, substitute
from graphc.graph_text import parse_graph, print_graph
from graphc.graph_verifier import verify
from graphc.node import ArrayData, Node, fresh_number
from graphc.state import VariableState
from graphc.tensor_type import tensor_type
from tests.mutations import mutations
from tests.random_graphs import random_graph


def new_input(shape: tuple[int, ...], name: str = "") -> Node:
    return ops.input_(number=fresh_number(), name=name, shape=shape, dtype=dtypes.float32)


def assert_same(graph: Graph, parsed: Graph) -> None:
    """With the old inputs put for the new ones, the parsed graph is the printed one."""
    old = dict(zip(parsed.inputs, graph.inputs, strict=True))
    assert substitute(parsed.roots, old) == graph.roots


@pytest.mark.parametrize("seed", range(100))
def test_random_graphs_parse_back_to_themselves(seed: int) -> None:
    graph = random_graph(seed).graph
    text = print_graph(graph, full=True)
    parsed = parse_graph(text)
    assert_same(graph, parsed)
    assert print_graph(parsed, full=True, lines=False) == print_graph(graph, full=True, lines=False)


def test_the_text_of_a_small_graph() -> None:
    x, w = new_input((2, 3), "x"), new_input((3, 4), "w")
    y = ops.contraction(x, w, lhs="ik", rhs="kj", out="ij")
    graph = Graph([x, w], [ops.exp(y)], name="layer")
    assert print_graph(graph, lines=False).splitlines() == [
        "graph layer(%x: float32[2, 3], %w: float32[3, 4]) {",
        "  %2 = contraction(%x, %w) {lhs='ik', rhs='kj', out='ij'} : float32[2, 4]",
        "  %3 = exp(%2) : float32[2, 4]",
        "  return %3",
        "}",
    ]


def test_every_bit_of_a_constant_survives() -> None:
    bits = np.array([0x7FC00001, 0x80000000, 0x00000001, 0xFF800000], np.uint32)
    node = ops.constant(value=ArrayData(bits.view(np.float32)))
    parsed = parse_graph(print_graph(Graph([], [node]), full=True))
    assert parsed.outputs[0].attributes["value"].array.tobytes() == bits.tobytes()
    assert parsed.outputs[0] is node


def test_variables_and_assignments_are_bound_by_name() -> None:
    state = VariableState(tensor_type((3,)), np.zeros(3), "w")
    variable = ops.variable(state=state)
    x = new_input((3,), "x")
    graph = Graph([x], [variable], [(variable, ops.add(variable, x))])
    text = print_graph(graph, full=True)
    assert "assign %w := %" in text
    assert_same(graph, parse_graph(text, {"w": state}))
    other = parse_graph(text).variables[0].attributes["state"]
    assert other is not state and other.host().tolist() == [0, 0, 0]


def test_large_constants_are_elided_and_then_not_parsed() -> None:
    node = ops.constant(value=ArrayData(np.arange(100.0)))
    text = print_graph(Graph([], [node]))
    assert "elided(100 elements)" in text
    with pytest.raises(ParseError, match="full=True"):
        parse_graph(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: a graph begins"),
        ("graph g() {\n  return %a\n}", "line 2: %a is not defined"),
        ("graph g(%x: float32[2]) {\n  %1 = nonsense(%x) : float32[2]\n}", "no op is called"),
        ("graph g(%x: float32[2]) {\n  %1 = exp(%x) : float32[3]\n}", "line 2: %1 is of type"),
        ("graph g(%x: float32[2]) {\n  %1 exp %x\n}", "line 2: cannot read"),
        ("graph g(%x: float32[2]) {\n  %1 = exp(%x, %x) : float32[2]\n}", "line 2: exp takes"),
        ("graph g(%x: int32[2]) {\n  %1 = exp(%x) : int32[2]\n}", "line 2"),
    ],
)
def test_what_cannot_be_read_names_its_line(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse_graph(text)


LINES = [
    "%1 = sum(%x) {axes=(01,)} : float32[]",
    "%1 = broadcast_to(%x) {shape=(4, 5, axis=0} : float32[4, 5]",
    "%1 = cast(%x) {dtype=int99} : int64[2]",
    "%1 = slice(%x) {start=(7, 0), 1)} : float32[2]",
    "%1 = constant() {value=array(0)} : float32[2]",
    "%1 = constant() {value=array(00)} : float32[2]",
    "%1 = constant() {value} : float32[2]",
    "%1 = sum(%x) {axes=[0]} : float32[]",
    "%1 = sum(%x) {axes={0}} : float32[]",
    "%1 = sum(%x) {axes=0} : float32[]",
    "%1 = sum(%x) {axes=(0.5,)} : float32[]",
    "%1 = sum(%x) {axes=(9,)} : float32[]",
    "%1 = sum(%x) {axis=(0,)} : float32[]",
    "%1 = sum(%x) {axes=" + "(" * 5000 + "} : float32[]",
    "%1 = sum(%x, %x) {axes=(0,)} : float32[]",
    "%1 = variable() {state=state 3} : float32[2]",
    "%1 = variable() {state=3} : float32[2]",
    "%1 = exp(%x) : float32[2 2]",
    "%1 = exp(%x) : float32[" + "9" * 5000 + "]",
    "assign %x",
]


@pytest.mark.parametrize("line", LINES)
def test_whatever_is_wrong_is_a_parse_error(line: str) -> None:
    with pytest.raises(ParseError, match=r"^line [23]: "):
        parse_graph(f"graph g(%x: float32[2]) {{\n  {line}\n  return %x\n}}")


@pytest.mark.parametrize(
    "text",
    [
        "graph g(%x: float31[2]) {\n  return %x\n}",
        "graph g(%x: float32[2], y) {\n  return %x\n}",
        "graph g(%x: float32[2], %x: float32[2]) {\n  return %x\n}",
        "graph g(%x: int8[9223372036854775808]) {\n  return %x\n}",
        "graph g(%x: float32[2]) {\n}",
    ],
)
def test_a_wrong_head_or_end_is_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError, match=r"^line [12]: "):
        parse_graph(text)


@pytest.mark.parametrize("seed", range(20))
def test_mutated_text_is_read_or_is_a_parse_error(seed: int) -> None:
    text = print_graph(random_graph(seed).graph, full=True)
    for mutated in mutations(text, 50, seed):
        with contextlib.suppress(ParseError):
            verify(parse_graph(mutated))
