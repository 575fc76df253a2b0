"""The interpreter: outputs, assignments, memory, depth, and errors that name the user's line."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from graphc import dtypes, interpreter, ops
from graphc.errors import GraphcIndexError, GraphcTypeError, GraphcValueError, InternalError
from graphc.graph import Graph
from graphc.interpreter import evaluate, interpret
from graphc.node import Node, fresh_number
from graphc.op import Elementwise, Op, forget
from graphc.ops.type_rules import elementwise_rule
from graphc.state import VariableState
from graphc.tensor_type import TensorType

THREE = np.full((), 3, np.float32)


def tensor(*shape: int, name: str = "x") -> Node:
    return ops.input_(number=fresh_number(), name=name, shape=shape, dtype=dtypes.float32)


def test_outputs_are_fresh_dense_arrays() -> None:
    x = tensor(2, 3)
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    (same, turned), _ = interpret(Graph([x], [x, ops.permute_dims(x, axes=(1, 0))]), [array])
    assert not np.shares_memory(same, array) and not np.shares_memory(turned, array)
    assert turned.flags.c_contiguous and turned.tolist() == array.T.tolist()


def test_an_assignment_is_returned_and_reads_see_the_old_value() -> None:
    state = VariableState(TensorType((), dtypes.float32), np.ones(()), "count")
    count = ops.variable(state=state)
    outputs, new = interpret(Graph([], [count + 10], [(count, count + 1)]), [])
    assert outputs[0] == 11
    assert {s: float(v) for s, v in new.items()} == {state: 2}
    assert state.host() == 1


def test_evaluate_takes_bindings_of_inner_nodes() -> None:
    x = tensor()
    inner = ops.sqrt(x)
    assert evaluate([inner * inner], {inner: THREE})[0] == 9
    assert evaluate([inner], {inner: THREE})[0] == 3


def test_arguments_are_checked() -> None:
    graph = Graph([tensor(2)], [])
    with pytest.raises(GraphcValueError, match="1 inputs, but 0"):
        interpret(graph, [])
    with pytest.raises(GraphcTypeError, match="float64 was given"):
        interpret(graph, [np.zeros(2)])
    with pytest.raises(GraphcValueError, match=r"\(3,\) was given"):
        interpret(graph, [np.zeros(3, np.float32)])


def test_out_of_bounds_names_the_users_line() -> None:
    x, places = tensor(3), ops.iota(shape=(4,), axis=0, dtype=dtypes.int64)
    taken = ops.take(x, places, axis=0, mode="raise")
    with pytest.raises(GraphcIndexError, match="index 3 is out of bounds") as caught:
        interpret(Graph([x], [taken]), [np.zeros(3, np.float32)])
    assert "taken = ops.take(x, places" in str(caught.value)


def test_an_unbound_input_is_named() -> None:
    with pytest.raises(InternalError, match="weights is bound to no array"):
        evaluate([tensor(name="weights") + 1])


def test_values_are_freed_after_their_last_use(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0
    compute = interpreter._value

    def watch(node: Node, operands: list[np.ndarray]) -> Any:
        nonlocal most
        value: Any = compute(node, operands)
        alive.append(weakref.ref(value))
        gc.collect()
        most = max(most, sum(r() is not None for r in alive))
        return value

    monkeypatch.setattr(interpreter, "_value", watch)
    x = tensor(100)
    y = x
    for _ in range(20):
        y = ops.sin(y)
    evaluate([y], {x: np.zeros(100, np.float32)})
    assert most == 2


def test_a_chain_of_100000_nodes_needs_no_stack() -> None:
    x = tensor()
    y = x
    for _ in range(100_000):
        y = -y
    assert evaluate([y], {x: THREE})[0] == 3


def test_a_reference_that_breaks_its_type_rule_is_a_fault() -> None:
    broken = Op(
        "broken", ("x",), elementwise_rule("broken", ("float",)),
        lambda x, result: x.astype(np.float64), Elementwise(lambda x: x),
    )  # fmt: skip
    x = tensor()
    try:
        with pytest.raises(InternalError, match="broken gave float64"):
            evaluate([broken(x)], {x: np.zeros((), np.float32)})
    finally:
        forget(broken)
