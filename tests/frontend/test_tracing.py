"""Tracing, structures, variables: what becomes an input, what is compiled in, what is assigned."""

from __future__ import annotations

import threading
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import graphc.frontend as gc
from graphc import dtypes
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError, TracingError
from graphc.frontend.structures import flatten, unflatten
from graphc.frontend.tracing import signature, trace
from graphc.tensor_type import TensorType
from tests.frontend.evaluation import run, same, step, tensor

Pair = namedtuple("Pair", ["left", "right"])


def test_structures_come_apart_and_together() -> None:
    a, b, c = np.zeros(1), np.zeros(2), np.zeros(3)
    tree = {"b": [a, 1, (None, b)], "a": Pair(c, "text")}
    leaves, structure = flatten(tree)
    assert [leaf.shape for leaf in leaves] == [(1,), (2,), (3,)]
    again = unflatten(structure, leaves)
    assert list(again) == ["b", "a"]
    assert again["b"][0] is a and again["b"][2] == (None, b)
    assert isinstance(again["a"], Pair) and again["a"].right == "text"
    assert structure.leaf_count == 3
    assert list(structure.paths("x")) == ["x.b.0", "x.b.2.1", "x.a.0"]


def same_program(first: Any, second: Any) -> bool:
    return signature([first])[0] == signature([second])[0]


def test_signatures_hold_types_and_static_arguments() -> None:
    assert same_program(np.zeros(3), np.ones(3))
    assert same_program(np.zeros(3), TensorType((3,), dtypes.float64))
    assert same_program(np.zeros(3, ">f8"), np.ones(3))
    assert not same_program(np.zeros(3), np.zeros(4))
    assert not same_program(np.zeros(3), np.zeros(3, np.float32))
    assert not same_program([np.zeros(3)], (np.zeros(3),))
    assert not same_program(1, True)
    assert not same_program(1, 1.0)
    assert not same_program(0.0, -0.0)
    assert same_program(float("nan"), float("nan"))
    assert same_program(np.float32(1), np.float32(2))
    assert not same_program({"a": 1}, {"b": 1})
    with pytest.raises(GraphcTypeError, match="neither an array nor hashable"):
        signature([{1, 2}])


def test_arguments_become_inputs_with_readable_names() -> None:
    def function(batch: Any, rate: float, *, options: Any) -> Any:
        return {"sum": batch[0] + options["bias"] * rate, "rate": rate}

    traced = trace(function, [(np.zeros(2), np.zeros(3)), 0.5], {"options": {"bias": np.ones(2)}})
    assert [n.attributes["name"] for n in traced.inputs] == ["batch.0", "batch.1", "options.bias"]
    assert traced.name == "function"
    assert traced.graph.outputs == traced.outputs
    assert trace(lambda x: x, [np.zeros(1)]).name == "main"
    assert unflatten(traced.structure, ["sum"]) == {"sum": "sum", "rate": 0.5}


def test_results_may_be_arrays_variables_and_nothing() -> None:
    v = gc.Variable(np.arange(2.0))
    result = run(lambda t: (np.ones(2), v, None, 3), np.zeros(1))
    same(result[0], np.ones(2))
    same(result[1], np.arange(2.0))
    assert result[2:] == (None, 3)


def test_variables_have_values() -> None:
    v = gc.Variable([1.0, 2.0], name="v")
    assert v.dtype is dtypes.float32 and v.name == "v"
    assert repr(v) == "<Variable 'v' float32[2]>"
    copy = v.value
    copy[0] = 9
    same(v.value, np.array([1, 2], np.float32))
    v.assign([3, 4])
    same(v.value, np.array([3, 4], np.float32))
    v.assign(5.0)
    same(v.value, np.array([5, 5], np.float32))
    v.assign(np.array([1, 2], np.int8))
    same(v.value, np.array([1, 2], np.float32))
    assert gc.Variable(3).dtype is dtypes.int64
    assert gc.Variable(3, "float16").dtype is dtypes.float16


def test_variables_may_stand_for_tensors() -> None:
    v = gc.Variable(np.arange(3.0))
    same(run(lambda t: np.add(v, t) * v + v[0] - v.sum(), np.ones(3)), np.array([-3.0, -1, 3]))


def test_what_may_be_assigned() -> None:
    v = gc.Variable(np.zeros((2, 3), np.float32))
    with pytest.raises(ShapeError, match=r"shape \(2, 3\), the value \(3,\)"):
        v.assign(np.zeros(3, np.float32))
    with pytest.raises(GraphcTypeError, match="float64 does not convert to float32"):
        v.assign(np.zeros((2, 3)))
    with pytest.raises(TracingError, match="only while a function is traced"):
        v.assign(tensor(2, 3))
    with gc.Trace(), pytest.raises(GraphcTypeError, match="does not convert"):
        v.assign(tensor(2, 3, dtype="float64"))
    with gc.Trace(), pytest.raises(ShapeError):
        v.assign(tensor(3))


def test_assignments_are_read_by_what_follows() -> None:
    v = gc.Variable(np.float64(1))

    def function(x: Any) -> Any:
        before = v * 10
        v.assign(v + x)
        between = v * 10
        v.assign(v * 2)
        return before, between, v

    before, between, after = step(function, np.float64(2))
    assert (before, between, after) == (10, 30, 6)
    assert v.value == 6


def test_assignments_are_recorded_once_in_order() -> None:
    a, b = gc.Variable(0.0), gc.Variable(0.0)
    with gc.Trace() as recorded:
        a.assign(1.0)
        b.assign(2.0)
        a.assign(3.0)
    assert [variable for variable, _ in recorded.assignments] == [a.variable_node, b.variable_node]
    assert not gc.is_tracing()
    assert a.node is a.variable_node


def test_inner_traces_read_outer_assignments() -> None:
    v = gc.Variable(0.0)
    with gc.Trace() as outer:
        v.assign(1.0)
        now = v.node
        with gc.Trace() as inner:
            assert v.node is now
            v.assign(2.0)
        assert v.node is now
    assert len(inner.assignments) == len(outer.assignments) == 1


def test_traces_are_of_one_thread() -> None:
    seen: list[bool] = []
    with gc.Trace():
        thread = threading.Thread(target=lambda: seen.append(gc.is_tracing()))
        thread.start()
        thread.join()
    assert seen == [False]


def test_a_trace_ends_when_the_function_raises() -> None:
    def function(x: Any) -> Any:
        raise KeyError

    with pytest.raises(KeyError):
        trace(function, [np.zeros(1)])
    assert not gc.is_tracing()


def test_a_tensor_of_elsewhere_is_refused() -> None:
    stranger = gc.input((3,), name="stranger")
    traced = trace(lambda x: x + stranger, [np.zeros(3, np.float32)])
    with pytest.raises(GraphcValueError, match="stranger"):
        _ = traced.graph


def test_long_chains_build_at_the_default_recursion_limit() -> None:
    x = y = tensor(2)
    for _ in range(100_000):
        y = y + x
    assert y.shape == (2,)
    assert repr(y).startswith("<Tensor float32[2]: add at ")
