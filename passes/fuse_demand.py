"""What a node wants of its operands: for each kind of lowering, where it reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from graphc.group import Reason
from graphc.node import Node
from graphc.op import (
    Checked,
    Concatenation,
    Contraction,
    Cumulative,
    Elementwise,
    Gather,
    Guarded,
    Host,
    Indices,
    Reduction,
    Scan,
    Scatter,
    Selection,
    Switch,
    View,
    While,
)
from graphc.passes.fuse_cluster import Demand
from graphc.passes.iteration_space import accumulation_space, loop_indices, spread, strip

Wish = tuple[int, Demand]  # the operand's number, and where it is wanted


def demands_of(node: Node, demand: Demand, repeated: int) -> Iterator[Wish]:
    """Yield where `node`, itself wanted by `demand`, wants its operands.

    `repeated` is the cost, from here on, of what is computed again for each demand.
    """
    row = _ROWS.get(type(node.op.lowering))
    if row is not None:
        yield from row(node, demand, repeated)


def _elementwise(node: Node, demand: Demand, repeated: int) -> Iterator[Wish]:
    wish = Demand(demand.indices, repeated)
    for number in range(len(node.inputs)):
        yield number, wish


def _view(node: Node, demand: Demand, repeated: int) -> Iterator[Wish]:
    lowering = node.op.lowering
    assert isinstance(lowering, View)
    if demand.in_memory is not None:
        yield 0, replace(demand, views=demand.views + 1)
    else:
        yield 0, Demand(lowering.source(node, demand.indices), max(repeated, demand.repeated))
    for number in range(1, len(node.inputs)):
        yield number, Demand((), 0, Reason.ORDER)


def _guarded(node: Node, demand: Demand, repeated: int) -> Iterator[Wish]:
    lowering = node.op.lowering
    assert isinstance(lowering, Guarded)
    yield 0, Demand(lowering.source(node, demand.indices), repeated)
    yield 1, Demand((), repeated)


def _gather(node: Node, demand: Demand, repeated: int) -> Iterator[Wish]:
    lowering, axis = node.op.lowering, node.attributes["axis"]
    assert isinstance(lowering, Gather)
    yield 0, Demand((), 0, Reason.WHOLE_OPERAND)
    count = len(node.inputs[1].shape)
    at = demand.indices if lowering.along_axis else demand.indices[axis : axis + count]
    yield 1, Demand(at, repeated)


def _reduction(node: Node, _demand: Demand, _repeated: int) -> Iterator[Wish]:
    yield 0, Demand(_everywhere(node.inputs[0], accumulation_space(node).extents, "i"))


def _contraction(node: Node, _demand: Demand, _repeated: int) -> Iterator[Wish]:
    for number in range(len(node.inputs)):
        yield number, Demand((), 0, Reason.CONTRACTION_OPERAND)


def _concatenation(node: Node, _demand: Demand, _repeated: int) -> Iterator[Wish]:
    for number, operand in enumerate(node.inputs):
        yield number, Demand(_everywhere(operand, strip(operand.shape), f"c{number}_"))


def _cumulative(node: Node, _demand: Demand, _repeated: int) -> Iterator[Wish]:
    yield 0, Demand(_everywhere(node.inputs[0], strip(node.inputs[0].shape), "i"))


def _scatter(node: Node, _demand: Demand, _repeated: int) -> Iterator[Wish]:
    data, indices, updates = node.inputs
    lowering, axis = node.op.lowering, node.attributes["axis"]
    assert isinstance(lowering, Scatter)
    yield 0, Demand(_everywhere(data, strip(data.shape), "d"))
    here = _everywhere(updates, strip(updates.shape), "u")
    at = here if lowering.along_axis else here[axis : axis + len(indices.shape)]
    yield 1, Demand(at)
    yield 2, Demand(here)


def _whole(node: Node, _demand: Demand, _repeated: int) -> Iterator[Wish]:
    for number in range(len(node.inputs)):
        yield number, Demand((), 0, Reason.WHOLE_OPERAND, is_dense=True)


def _everywhere(node: Node, extents: tuple[int, ...], prefix: str) -> Indices:
    return spread(node.shape, loop_indices(extents, prefix))


_ROWS: dict[type, Callable[[Node, Demand, int], Iterator[Wish]]] = {
    Checked: _elementwise,
    Elementwise: _elementwise,
    View: _view,
    Guarded: _guarded,
    Gather: _gather,
    Reduction: _reduction,
    Selection: _reduction,
    Contraction: _contraction,
    Concatenation: _concatenation,
    Cumulative: _cumulative,
    Scatter: _scatter,
    Host: _whole,
    Scan: _whole,
    While: _whole,
    Switch: _whole,
}
