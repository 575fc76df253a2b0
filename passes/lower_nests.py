"""The loop nests of a group, naive: one form for rows, one for concatenations, one for scatters.

Every top-level statement of the body is a loop (or a barrier between two), so that a schedule may
share out each among threads; a group with a single row has a loop of extent 1 around it. Loops over
rows and over the elements of results are `parallel`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from graphc.index import ZERO
from graphc.kernel import Access, LoopKind
from graphc.node import Node
from graphc.op import Cumulative, Indices, Scatter
from graphc.passes.iteration_space import (
    Space,
    group_space,
    is_accumulator,
    is_prefix,
    spread,
    strip,
)
from graphc.passes.lower_accumulators import accumulate
from graphc.passes.lower_elements import gathered_place
from graphc.passes.lower_emitter import Element, Emitter
from graphc.passes.operation_cost import MOST_REPEATED, weight
from graphc.passes.row_caches import make_row_caches
from graphc.tensor_type import TensorType


@contextmanager
def _nest(emitter: Emitter, extents: tuple[int, ...]) -> Iterator[Indices]:
    """Open a top-level nest of parallel loops over `extents`, at least one; it is perfect."""
    if not strip(extents):
        with emitter.loop(1, LoopKind.PARALLEL, "once"):
            emitter.outermost = emitter.depth
            yield tuple(ZERO for _ in extents)
        return
    with emitter.loops(extents, LoopKind.PARALLEL, "i") as indices:
        emitter.outermost = emitter.depth
        yield indices


# --- rows ----------------------------------------------------------------------------------------


def emit_rows(emitter: Emitter, members: tuple[Node, ...], outputs: tuple[Node, ...]) -> None:
    """Emit the nest of a group of elementwise nodes, views, reductions or one contraction."""
    space = group_space(members, outputs)
    accumulators = [node for node in members if is_accumulator(node)]
    by_row = [node for node in outputs if is_of_rows(node, space)]
    whole = [node for node in outputs if node not in by_row]
    with _nest(emitter, space.rows) as rows:
        if not accumulators:
            emitter.outermost = _outer_loops(members, space)
        fills = make_row_caches(emitter, space, rows, [*accumulators, *whole])
        for node in accumulators:
            indices = spread(node.shape, rows)
            emitter.remember(Element(node, indices), accumulate(emitter, node, indices))
            emitter.filled.update(fills.get(node, ()))
        for node in by_row:
            _store(emitter, node, spread(node.shape, rows))
        if whole:
            with emitter.loops(space.reduced_extents, LoopKind.PARALLEL, "j") as inner:
                full = space.interleave(rows, inner)
                for node in whole:
                    _store(emitter, node, spread(node.shape, full))


def is_of_rows(node: Node, space: Space) -> bool:
    """Return whether the node has one element for each row."""
    return strip(node.shape) == space.rows


def _outer_loops(members: tuple[Node, ...], space: Space) -> int:
    """Return how many loops have costly values of their own; all of them if there are none.

    Computing these in an outer loop saves more than a perfect nest gives to the schedule.
    """
    found = [node for node in members if is_prefix(node, space) and weight(node)]
    is_costly = sum(map(weight, found)) > MOST_REPEATED
    depths = [len(strip(node.shape)) for node in found if is_costly]
    return min(depths, default=max(1, len(space.extents)))


def _store(emitter: Emitter, node: Node, indices: Indices) -> None:
    value = emitter.value(Element(node, indices))
    emitter.store(emitter.buffer_of(node, Access.OUT), indices, value)


# --- concatenation -------------------------------------------------------------------------------


def emit_concatenation(emitter: Emitter, node: Node) -> None:
    """Emit a nest for each operand of a concatenation."""
    axis, start = node.attributes["axis"], 0
    out = emitter.buffer_of(node, Access.OUT)
    for operand in node.inputs:
        with _nest(emitter, operand.shape) as indices:
            value = emitter.value(Element(operand, indices))
            moved = (*indices[:axis], indices[axis] + start, *indices[axis + 1 :])
            emitter.store(out, moved, value)
        start += operand.shape[axis]


# --- cumulative ----------------------------------------------------------------------------------


def emit_cumulative(emitter: Emitter, node: Node) -> None:
    """Emit a nest over all axes but one, in it a serial loop that goes on from what there is."""
    lowering, operand, axis = node.op.lowering, node.inputs[0], node.attributes["axis"]
    assert isinstance(lowering, Cumulative)
    out, dtype = emitter.buffer_of(node, Access.OUT), operand.type.dtype.compute
    extent = operand.shape[axis]
    with _nest(emitter, (*operand.shape[:axis], *operand.shape[axis + 1 :])) as others:
        total = emitter.scratch("accumulator", TensorType((), dtype))
        emitter.store(total, (), emitter.literal(lowering.identity(dtype), dtype))
        with emitter.loops((extent,), LoopKind.SERIAL, "k") as (number,):
            here = number * -1 + (extent - 1) if node.attributes["reverse"] else number
            place = (*others[:axis], here, *others[axis:])
            value = emitter.convert(emitter.value(Element(operand, place)), dtype)
            new = emitter.apply(lowering.combine, (emitter.load(total, (), dtype), value), dtype)
            emitter.store(total, (), new)
            emitter.store(out, place, emitter.convert(new, node.type.dtype))


# --- scatter -------------------------------------------------------------------------------------


def emit_scatter(emitter: Emitter, node: Node) -> None:
    """Emit a nest that copies the data and one that combines the updates in row-major order."""
    data, _, updates = node.inputs
    out = emitter.buffer_of(node, Access.INOUT)
    with _nest(emitter, data.shape) as indices:
        emitter.store(out, indices, emitter.value(Element(data, indices)))
    emitter.barrier()
    axis, count = node.attributes["axis"], _moving_axes(node)
    still = (*updates.shape[:axis], *updates.shape[axis + count :])
    with _nest(emitter, still) as outer:
        moving = updates.shape[axis : axis + count]
        with emitter.loops(moving, LoopKind.SERIAL, "k") as inner:
            _emit_update(emitter, node, (outer[:axis], inner, outer[axis:]), out)


def _moving_axes(node: Node) -> int:
    """Return how many axes of the updates share one axis of the data."""
    lowering = node.op.lowering
    assert isinstance(lowering, Scatter)
    return 1 if lowering.along_axis else len(node.inputs[1].shape)


def _emit_update(
    emitter: Emitter, node: Node, place: tuple[Indices, Indices, Indices], out: str
) -> None:
    _, indices, updates = node.inputs
    before, moving, after = place
    here = (*before, *moving, *after)
    lowering = node.op.lowering
    assert isinstance(lowering, Scatter)
    number = emitter.value(Element(indices, here if lowering.along_axis else moving))
    target, where = gathered_place(emitter, node, number, None, emitter.depth)
    dtype, combine = node.type.dtype, lowering.combine
    new = emitter.value(Element(updates, here))
    if combine is not None:
        update = emitter.convert(new, dtype.compute)
        old = emitter.load(out, (*before, target, *after), dtype, where)
        wide = emitter.convert(old, dtype.compute)
        new = emitter.convert(emitter.apply(combine, (wide, update), dtype.compute), dtype)
    emitter.store(out, (*before, target, *after), new, where)
