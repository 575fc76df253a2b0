"""Folding: what depends on constants alone, with the bits that kernels would compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.graph import Graph
from graphc.node import ArrayData, Node, constant_value, fresh_number, is_constant
from graphc.op import scalar_program
from graphc.passes import Compilation, _fold
from graphc.passes.fold_constants import fold_constants
from graphc.scalar_interpreter import evaluate
from graphc.target import Target


def constant(value: object, dtype: str = "float32") -> Node:
    return ops.constant(value=ArrayData(np.asarray(value, dtype)))


def folded(node: Node, *inputs: Node) -> Node:
    return fold_constants(Graph(inputs, [node])).outputs[0]


def test_elementwise_ops_fold_by_their_formula() -> None:
    values = np.linspace(-3, 3, 101).astype(np.float32)
    result = folded(ops.exp(constant(values)))
    program = scalar_program("exp", (dtypes.float32,), dtypes.float32)
    expected = evaluate(program, values, resolve=scalar_program)
    assert is_constant(result)
    assert constant_value(result).tobytes() == expected.tobytes()


def test_half_precision_is_rounded_once_an_op() -> None:
    half = constant([0.1, 200.0, 1e-7], "float16")
    result = folded(ops.multiply(half, half))
    assert constant_value(result).dtype == np.float16
    product = half.attributes["value"].array.astype(np.float32) ** 2
    assert constant_value(result).tolist() == product.astype(np.float16).tolist()


def test_views_fold_but_broadcasts_stay() -> None:
    matrix = constant([[1.0, 2.0], [3.0, 4.0]])
    assert constant_value(folded(ops.permute_dims(matrix, axes=(1, 0)))).tolist() == [
        [1, 3],
        [2, 4],
    ]
    large = constant(np.arange(6000.0).reshape(60, 100))
    turned = constant_value(folded(ops.permute_dims(large, axes=(1, 0))))
    assert turned.tolist() == constant_value(large).T.tolist()
    assert np.shares_memory(turned, constant_value(large)) and not turned.flags.writeable
    part = ops.slice_(large, start=(0, 0), stop=(30, 100), step=(1, 1))
    assert not np.shares_memory(constant_value(folded(part)), constant_value(large))
    spread = ops.broadcast_to(matrix, shape=(5, 2, 2))
    assert folded(spread) is spread


def test_uniform_operands_fold_to_one_number() -> None:
    two = ops.broadcast_to(constant(2.0), shape=(1000, 1000))
    three = ops.broadcast_to(constant(3.0), shape=(1000, 1000))
    result = folded(ops.add(two, three))
    assert result.op.name == "broadcast_to"
    assert constant_value(result.inputs[0]).tolist() == 5.0


def test_sums_are_left_to_the_kernels() -> None:
    node = ops.sum_(constant([1.0, 2.0]), axes=(0,))
    assert folded(node) is node


def test_nothing_that_depends_on_an_input_folds() -> None:
    x = ops.input_(number=fresh_number(), name="x", shape=(2,), dtype=dtypes.float32)
    node = ops.add(x, constant([1.0, 2.0]))
    assert folded(node, x) is node


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.0, 1e-45])
def test_special_values_survive(value: float) -> None:
    result = folded(ops.negative(constant([value])))
    assert constant_value(result).tobytes() == (-np.array([value], np.float32)).tobytes()


def test_out_of_range_indices_are_not_folded_away() -> None:
    node = ops.take(constant([1.0, 2.0]), constant([5], "int64"), axis=0, mode="raise")
    assert folded(node) is node


def test_a_graph_that_was_folded_is_not_folded_again() -> None:
    x = ops.input_(number=fresh_number(), name="x", shape=(), dtype=dtypes.float32)
    graph = Graph([x], [ops.multiply(x, ops.add(constant(2.0), constant(1.0)))])
    state = Compilation(graph, Target("any", "cpu", 16, 16, 1))
    done = _fold(state)
    assert done.graph is not graph and _fold(done) is done
    assert str(_fold(replace(done, graph=graph)).graph) == str(done.graph)
