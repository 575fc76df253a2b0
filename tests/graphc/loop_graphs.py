"""Small graphs with loops and branches, made by hand, for the tests of the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import graphc
from graphc import Tensor, ops
from graphc.body import Body
from graphc.dtypes import DType, float32, int32
from graphc.graph import Graph
from graphc.node import Node
from graphc.ops.loops import items


def close(function: Callable[..., Sequence[Tensor]], *types: tuple[Sequence[int], DType]) -> Body:
    """Return the body that a function of tensors of these types makes."""
    inputs = [graphc.input(tuple(shape), dtype) for shape, dtype in types]
    return Body(Graph([x.node for x in inputs], [y.node for y in function(*inputs)]))


SCALAR, VECTOR = ((), float32), ((3,), float32)


def decay(number: float = 0.5) -> Body:
    """Return the body `c, k, x -> (number * c + k * x, c * x)`."""
    return close(lambda c, k, x: (c * number + k * x, c * x), VECTOR, SCALAR, VECTOR)


def scan_of(body: Body, operands: Sequence[Node], length: int, *, reverse: bool = False) -> Node:
    """Return a scan of one carry and one constant."""
    return ops.scan(*operands, body=body, carries=1, constants=1, length=length, reverse=reverse)


def scan_graph(length: int = 4, number: float = 0.5, *, reverse: bool = False) -> Graph:
    """Return a graph of one scan: the last carry and the stacked outputs."""
    start, rate = graphc.input((3,), name="start"), graphc.input((), name="rate")
    stacked = graphc.input((length, 3), name="stacked")
    inputs = [start.node, rate.node, stacked.node]
    return Graph(inputs, items(scan_of(decay(number), inputs, length, reverse=reverse)))


def nested_graph() -> Graph:
    """Return a scan whose body holds a switch, one branch of which holds a loop."""
    condition = close(lambda c: (c.sum() < 100,), VECTOR)
    double = close(lambda c: (abs(abs(c)) * 2,), VECTOR)
    loop = ops.while_loop
    branch = close(
        lambda c: (Tensor(items(loop(c.node, condition=condition, body=double, carries=1))[0]),),
        VECTOR,
    )
    same = close(lambda c: (c,), VECTOR)

    def step(c: Tensor, k: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        number = (x.sum() > k).astype(int32).node
        (chosen,) = items(ops.switch(number, c.node, branches=(same, branch)))
        return Tensor(chosen) + x, c

    body = close(step, VECTOR, SCALAR, VECTOR)
    start, rate = graphc.input((3,), name="start"), graphc.input((), name="rate")
    stacked = graphc.input((4, 3), name="stacked")
    inputs = [start.node, rate.node, stacked.node]
    return Graph(inputs, items(scan_of(body, inputs, 4)))
