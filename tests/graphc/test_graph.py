"""Nodes and graphs: identity, order, rewriting, depth, verification."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError, VerificationError
from graphc.graph import Graph, rebuild, substitute, topological_order
from graphc.graph_verifier import verify
from graphc.node import ArrayData, Node, fresh_number
from graphc.state import VariableState
from graphc.tensor_type import TensorType, tensor_type
from tests.random_graphs import random_graph

DEPTH = 100_000


def new_input(shape: tuple[int, ...] = (3,), dtype: dtypes.DType = dtypes.float32) -> Node:
    return ops.input_(number=fresh_number(), name="x", shape=shape, dtype=dtype)


def constant(value: object) -> Node:
    return ops.constant(value=ArrayData(np.asarray(value)))


def test_equal_nodes_are_one() -> None:
    x, y = new_input(), new_input()
    assert ops.add(x, y) is ops.add(x, y)
    assert ops.add(x, y) is not ops.add(y, x)
    assert x is not y


def test_constants_are_one_by_bits() -> None:
    assert constant(1.0) is constant(1.0)
    assert constant(0.0) is not constant(-0.0)
    assert constant(np.float32(1)) is not constant(np.int32(1))
    assert constant([1.0, 2.0]) is not constant([[1.0, 2.0]])


def test_large_constants_are_told_apart_by_every_element() -> None:
    array = np.random.default_rng(0).normal(size=(700, 600))
    first = constant(array)
    assert first.attributes["value"]._digest is None  # not worked out where nothing is alike
    assert constant(array) is first and constant(array[::-1]) is not first
    for place in ((0, 0), (699, 599), (350, 17)):
        other = array.copy()
        other[place] += 1
        assert constant(other) is not first
    strided = ops.constant(value=ArrayData(array.T.copy().T, handed_over=True))
    assert strided is first
    assert first.attributes["value"].array.tobytes() == array.tobytes()


def test_a_constant_is_a_copy() -> None:
    array = np.ones(3, np.float32)
    node = constant(array)
    array[0] = 7
    assert node.attributes["value"].array.tolist() == [1, 1, 1]
    large = np.ones((3, 1 << 19), np.float32)
    kept = constant(large).attributes["value"].array
    large[...] = 7
    assert (kept == 1).all() and kept.ctypes.data % 64 == 0
    with pytest.raises(ValueError, match="read-only"):
        node.attributes["value"].array[0] = 7


def test_nodes_die_with_their_last_user() -> None:
    x = new_input()
    dead = weakref.ref(ops.exp(x))
    gc.collect()
    assert dead() is None


def test_a_node_knows_the_line_of_its_user() -> None:
    node = ops.exp(new_input())
    assert node.line is not None
    assert node.line.file == __file__
    assert "ops.exp(new_input())" in str(node.line)


def test_misuse_names_the_line_and_the_operands() -> None:
    x = ops.exp(new_input((3,)))
    y = ops.exp(new_input((4,)))
    with pytest.raises(ShapeError) as caught:
        ops.add(x, y)
    text = str(caught.value)
    assert "float32[3]" in text and "float32[4]" in text
    assert "ops.add(x, y)" in text and "y = ops.exp(new_input((4,)))" in text


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: ops.exp(x, x), "exp takes the operands x, not 2 operands"),
        (ops.add, "add takes the operands x, y, not 1 operand"),
        (lambda x: ops.where(x, x), "where takes the operands condition, x, y, not 2 operands"),
        (lambda x: ops.reshape(x, x, shape=(3,)), "reshape takes the operands x, not 2 operands"),
    ],
)
def test_a_wrong_number_of_operands_is_refused(build: Callable[[Node], Node], message: str) -> None:
    with pytest.raises(GraphcTypeError) as caught:
        build(new_input())
    assert caught.value.message == message
    assert __file__ in caught.value.line and caught.value.notes


def test_any_number_of_operands_is_taken_where_the_op_says_so() -> None:
    x = new_input()
    assert [ops.concat(*[x] * n, axis=0).shape for n in (1, 2, 3)] == [(3,), (6,), (9,)]


def test_the_verifier_finds_a_wrong_number_of_operands() -> None:
    x = new_input()
    bad = Node()
    bad.op, bad.inputs, bad.attributes, bad.type = ops.exp, (x, x), {}, x.type
    bad.line, bad.is_tuple, bad.results = None, False, (x.type,)
    with pytest.raises(VerificationError, match="exp takes the operands x"):
        verify(Graph([x], [bad]))


def test_topological_order_is_deterministic_and_complete() -> None:
    for seed in range(30):
        graph = random_graph(seed).graph
        place = {node: i for i, node in enumerate(graph.nodes)}
        assert all(place[i] < place[n] for n in graph.nodes for i in n.inputs)
        assert topological_order(graph.roots) == topological_order(graph.roots)
        assert set(topological_order(graph.roots)) <= set(graph.nodes)


def test_a_graph_names_an_input_that_is_not_listed() -> None:
    x, y = new_input(), new_input()
    with pytest.raises(GraphcValueError, match="not listed") as caught:
        Graph([x], [ops.add(x, y)])
    assert "inputs=[" in str(caught.value)


def test_substitution_gives_the_same_nodes_back() -> None:
    for seed in range(30):
        graph = random_graph(seed).graph
        fresh = {
            i: ops.input_(number=fresh_number(), name="", shape=i.shape, dtype=i.type.dtype)
            for i in graph.inputs
        }
        there = substitute(graph.roots, fresh)
        back = substitute(there, {new: old for old, new in fresh.items()})
        assert back == graph.roots


def test_the_verifier_accepts_random_graphs() -> None:
    for seed in range(100):
        verify(random_graph(seed).graph)


def test_the_verifier_finds_a_wrong_type() -> None:
    node = ops.exp(new_input())
    graph = Graph(list(node.inputs), [node])
    node.type = TensorType((9,), dtypes.float32)
    with pytest.raises(VerificationError, match=r"should be of type float32\[3\]"):
        verify(graph)


def test_the_verifier_finds_a_twin() -> None:
    node = ops.exp(new_input())
    twin = Node()
    for name in ("op", "inputs", "attributes", "line", "type", "is_tuple", "results"):
        setattr(twin, name, getattr(node, name))
    with pytest.raises(VerificationError, match="hash-consed"):
        verify(Graph(list(node.inputs), [node, twin]))


def test_the_verifier_finds_wrong_assignments() -> None:
    state = VariableState(tensor_type(3), np.zeros(3))
    variable = ops.variable(state=state)
    x = new_input()
    verify(Graph([x], [], [(variable, x)]))
    with pytest.raises(VerificationError, match="assigned twice"):
        verify(Graph([x], [], [(variable, x), (variable, x)]))
    with pytest.raises(VerificationError, match="no variable"):
        verify(Graph([x], [], [(x, x)]))
    long = new_input((4,))
    with pytest.raises(VerificationError, match="assigned a value"):
        verify(Graph([long], [], [(variable, long)]))


def test_a_very_long_chain_lives_and_dies_at_the_default_recursion_limit() -> None:
    assert sys.getrecursionlimit() <= 1000 or "pytest" in sys.modules
    x = node = new_input()
    for _ in range(DEPTH):
        node = ops.add(ops.negative(node), x)
    graph = Graph([x], [node])
    assert len(graph.nodes) == 2 * DEPTH + 1
    verify(graph)
    assert graph.rewrite(rebuild).outputs[0] is node
    text = str(graph)
    assert text.count("\n") == 2 * DEPTH + 2
    alive = weakref.ref(node)
    del graph, node
    gc.collect()
    assert alive() is None
