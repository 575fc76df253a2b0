"""Long reductions of few rows become several kernels, and no bit of them changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc
from graphc import ops
from graphc.graph import Graph
from graphc.node import Node
from graphc.passes.split_reductions import FEWEST_BLOCKS, split_reductions
from graphc.reduction_order import BLOCK
from graphc.target import Target

LANES = 64
ROW = FEWEST_BLOCKS * BLOCK * LANES  # the shortest row that is split
CPU = Target("cpu", "cpu", 64, 32, 2)


def reductions(shape: tuple[int, ...], axes: tuple[int, ...], target: Target = CPU) -> list[str]:
    x = ops.input_(number=0, name="x", shape=shape, dtype=graphc.float32)
    graph = split_reductions(Graph([x], [ops.sum_(x, axes=axes)]), target)
    found: list[Node] = [n for n in graph.nodes if n.op.name == "sum"]
    return [f"{n.inputs[0].shape} over {n.attributes['axes']}" for n in found]


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((ROW,), (0,)),
        ((64, ROW // 64), (0, 1)),
        ((2, 2, ROW // 2), (1, 2)),
        ((4 * BLOCK, 3), (0,)),
        ((4 * BLOCK, 1024), (0,)),
    ],
)
def test_long_rows_are_split(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    assert len(reductions(shape, axes)) == 2


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((ROW - 1,), (0,)), ((8, ROW), (1,)), ((4, ROW // 4, 2), (0, 2)), ((4 * BLOCK, 8192), (0,)),
     ],
)  # fmt: skip
def test_what_has_rows_enough_is_short_or_lies_apart_stays(
    shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    assert len(reductions(shape, axes)) == 1


def test_rows_are_split_where_cores_want_more() -> None:
    many = Target("many", "cpu", 64, 32, 64)
    assert len(reductions((8, ROW), (1,), many)) == 2
    assert reductions((BLOCK * ROW,), (0,), many) == [f"({BLOCK * ROW},) over (0,)"]


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((ROW,), 0), ((ROW + 777,), 0), ((2, ROW + 65 * LANES), 1), ((5 * BLOCK + 3, 5), 0)],
)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "bool"])
def test_every_bit_is_that_of_one_reduction(shape: tuple[int, ...], axis: int, dtype: str) -> None:
    x = graphc.input(shape, dtype)
    outputs = [graphc.any(x, axis), graphc.all(x, axis)]
    if dtype != "bool":
        outputs = [f(x, axis) for f in (graphc.sum, graphc.prod, graphc.max, graphc.min)]
    array: Any = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    split = graphc.compile(outputs, inputs=[x])(array)
    whole = graphc.compile(outputs, inputs=[x], optimise=False)(array)
    assert [a.tobytes() for a in split] == [a.tobytes() for a in whole]


def test_a_sum_of_negative_zeros_is_one() -> None:
    x = graphc.input((ROW + 1,), "float32")
    (total,) = graphc.compile([graphc.sum(x)], inputs=[x])(np.full(ROW + 1, -0.0, np.float32))
    assert np.signbit(total)
