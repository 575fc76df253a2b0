"""The lowerings against the references: index maps evaluated everywhere, elements one by one."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from graphc import dtypes
from graphc.dtypes import DType
from graphc.index import Index, LoopVariable, as_index
from graphc.node import Node
from graphc.op import (
    FromIndex,
    Guarded,
    Op,
    Reduction,
    Selection,
    View,
    all_ops,
    find,
    scalar_program,
)
from graphc.scalar import trace
from graphc.scalar_interpreter import evaluate
from tests.agreement import assert_agrees
from tests.graphc.ops.test_formulas import run_formula
from tests.samples import Array, Case, as_graph, cases, formula_dtypes


def _of_kind(kind: type) -> list[Op]:
    return [op for op in all_ops() if isinstance(op.lowering, kind)]


def _places(node: Node) -> Iterator[tuple[tuple[int, ...], dict[str, int]]]:
    for place in itertools.product(*map(range, node.shape)):
        yield place, {f"i{axis}": at for axis, at in enumerate(place)}


def _variables(node: Node) -> tuple[Index, ...]:
    return tuple(as_index(LoopVariable(f"i{a}", n)) for a, n in enumerate(node.shape))


@pytest.mark.parametrize("op", _of_kind(View), ids=str)
def test_views_show_the_right_elements(op: Op) -> None:
    assert isinstance(op.lowering, View)
    for case in cases(op, dtypes.int32):
        node = as_graph(op, case).outputs[0]
        source = op.lowering.source(node, _variables(node))
        got = np.empty(node.shape, np.int32)
        for place, environment in _places(node):
            got[place] = case.operands[0][tuple(i.evaluate(environment) for i in source)]
        assert_agrees(op, case, got)


@pytest.mark.parametrize("op", _of_kind(Guarded), ids=str)
def test_guarded_views_show_the_right_elements(op: Op) -> None:
    assert isinstance(op.lowering, Guarded)
    for case in cases(op, dtypes.float32):
        node = as_graph(op, case).outputs[0]
        source = op.lowering.source(node, _variables(node))
        inside = op.lowering.inside(node, _variables(node))
        got = np.empty(node.shape, np.float32)
        for place, environment in _places(node):
            holds = all(a.evaluate(environment) < b.evaluate(environment) for a, b in inside)
            at = tuple(i.evaluate(environment) for i in source) if holds else ()
            got[place] = case.operands[0 if holds else 1][at]
        assert_agrees(op, case, got)


@pytest.mark.parametrize("op", _of_kind(FromIndex), ids=str)
def test_indices_become_values(op: Op) -> None:
    assert isinstance(op.lowering, FromIndex)
    for dtype in formula_dtypes(op):
        for case in cases(op, dtype):
            node = as_graph(op, case).outputs[0]
            index = op.lowering.index(node, _variables(node))
            got = np.empty(node.shape, np.int64)
            for place, environment in _places(node):
                got[place] = index.evaluate(environment)
            assert_agrees(op, case, got.astype(dtype.compute.numpy).astype(dtype.numpy))


@pytest.mark.parametrize("op", _of_kind(Reduction), ids=str)
def test_combining_one_by_one_gives_the_reduction(op: Op) -> None:
    for dtype in formula_dtypes(op):
        for case in cases(op, dtype):
            if case.operands[0].size < 1000:
                assert_agrees(op, case, _combine(op, case, dtype))


def _combine(op: Op, case: Case, dtype: DType) -> Array:
    assert isinstance(op.lowering, Reduction)
    axes, x = case.attributes["axes"], case.operands[0].astype(dtype.compute.numpy)
    kept = [a for a in range(x.ndim) if a not in axes]
    shape = [x.shape[a] for a in kept]
    count = int(np.prod([x.shape[a] for a in axes], dtype=int))
    elements = np.moveaxis(x, kept, range(len(kept))).reshape((*shape, count))
    start = op.lowering.identity if count else op.lowering.empty or op.lowering.identity
    total = np.full(shape, start(dtype), dtype.compute.numpy)
    combine = find(op.lowering.combine)
    assert combine is not None
    for k in range(count):
        total = run_formula(combine, Case((total, elements[..., k])))
    with np.errstate(all="ignore"):
        return total.astype(dtype.numpy)


@pytest.mark.parametrize("op", _of_kind(Reduction), ids=str)
def test_identities_are_exact(op: Op) -> None:
    assert isinstance(op.lowering, Reduction)
    for dtype in (d for d in formula_dtypes(op) if d.compute is d):
        program = scalar_program(op.lowering.combine, (dtype, dtype), dtype)
        x = np.array([0, -0.0, 1, np.inf, -np.inf] if dtype.is_float else [0, 1]).astype(
            dtype.numpy
        )
        start = np.full(x.shape, op.lowering.identity(dtype), dtype.numpy)
        assert evaluate(program, start, x).tobytes() == x.tobytes()


@pytest.mark.parametrize("op", _of_kind(Selection), ids=str)
def test_choosing_one_by_one_gives_the_place(op: Op) -> None:
    assert isinstance(op.lowering, Selection)
    for dtype in formula_dtypes(op):
        better = trace("better", op.lowering.better, (dtype.compute, dtype.compute))
        for case in cases(op, dtype):
            x = np.moveaxis(
                case.operands[0].astype(dtype.compute.numpy), case.attributes["axis"], 0
            )
            best, place = x[0], np.zeros(x.shape[1:], np.int64)
            for k in range(1, len(x)):
                wins = evaluate(better, x[k], best)
                best, place = np.where(wins, x[k], best), np.where(wins, k, place)
            assert_agrees(op, case, place)
