"""How one element of a node is computed: a row for each kind of lowering that needs no loop.

Each row is a generator over an emitter: it yields the elements it wants, is sent their values, and
returns its own. What it emits stands where its element's indices are known. Values of the 16-bit
floats are converted to float32 before an elementwise op and rounded after it, so that a fused
program rounds where an unfused one does. Reductions and contractions are in `lower_accumulators`.
"""

from __future__ import annotations

from graphc import dtypes
from graphc.dtypes import DType
from graphc.errors import InternalError
from graphc.index import Index
from graphc.kernel import Access, Value
from graphc.node import Node
from graphc.op import Checked, Elementwise, FromIndex, Gather, Guarded, View
from graphc.ops.gather import out_of_bounds
from graphc.passes.lower_emitter import Element, Emitter, Row, Wanting
from graphc.plan import STATUS, Check


def row_of(node: Node) -> Row:
    """Return the row for the node's kind of lowering."""
    row = _ROWS.get(type(node.op.lowering))
    if row is None:
        raise InternalError(f"an element of {node.op.name} is wanted before its loop has run")
    return row


def _elementwise(emitter: Emitter, element: Element) -> Wanting:
    node, depth = element.node, emitter.depth_of(element)
    lowering = node.op.lowering
    assert isinstance(lowering, Elementwise)
    operands = []
    for operand in node.inputs:
        value = yield Element(operand, element.indices, element.where)
        wide = value.dtype if lowering.native_16_bit else value.dtype.compute
        operands.append(emitter.convert(value, wide))
    result = node.type.dtype
    computed = result if lowering.native_16_bit else result.compute
    return emitter.convert(emitter.apply(node.op.name, operands, computed, depth), result)


def _from_index(emitter: Emitter, element: Element) -> Wanting:
    node, depth = element.node, emitter.depth_of(element)
    lowering = node.op.lowering
    assert isinstance(lowering, FromIndex)
    index = emitter.index_value(
        lowering.index(node, element.indices), _index_dtype(node.type.dtype), depth
    )
    result = node.type.dtype
    return emitter.convert(emitter.convert(index, result.compute), result)
    yield element  # makes this function a generator like the other rows


def _index_dtype(dtype: DType) -> DType:
    return dtype if dtype.is_integer else dtypes.int64


def _view(emitter: Emitter, element: Element) -> Wanting:
    lowering = element.node.op.lowering
    assert isinstance(lowering, View)
    source = lowering.source(element.node, element.indices)
    value = yield Element(element.node.inputs[0], source, element.where)
    return value


def _guarded(emitter: Emitter, element: Element) -> Wanting:
    node = element.node
    lowering = node.op.lowering
    assert isinstance(lowering, Guarded)
    source = lowering.source(node, element.indices)
    open_conditions = [
        (left, right)
        for left, right in lowering.inside(node, element.indices)
        if left.bounds[1] >= right.bounds[0]
    ]
    if not open_conditions:
        value = yield Element(node.inputs[0], source, element.where)
        return value
    depth = emitter.depth_of(element)
    inside = _all_less(emitter, open_conditions, depth)
    where = inside
    if element.where is not None:
        where = emitter.let("and", (inside, element.where), dtypes.bool_, None, depth)
    value = yield Element(node.inputs[0], source, where)
    other = yield Element(node.inputs[1], (), element.where)
    return emitter.let("select", (inside, value, other), value.dtype, None, depth)


def _all_less(emitter: Emitter, conditions: list[tuple[Index, Index]], depth: int) -> Value:
    result: Value | None = None
    for left, right in conditions:
        sides = [emitter.index_value(side, dtypes.int64, depth) for side in (left, right)]
        holds = emitter.let("lt", sides, dtypes.bool_, None, depth)
        result = (
            holds
            if result is None
            else emitter.let("and", (result, holds), dtypes.bool_, None, depth)
        )
    assert result is not None
    return result


def _gather(emitter: Emitter, element: Element) -> Wanting:
    node = element.node
    data, indices = node.inputs
    axis, count = node.attributes["axis"], len(indices.shape)
    lowering = node.op.lowering
    assert isinstance(lowering, Gather)
    if lowering.along_axis:
        inner = element.indices
        before, after = element.indices[:axis], element.indices[axis + 1 :]
    else:
        inner = element.indices[axis : axis + count]
        before, after = element.indices[:axis], element.indices[axis + count :]
    number = yield Element(indices, inner, element.where)
    depth = emitter.depth_of(Element(indices, inner, element.where))
    place, where = gathered_place(emitter, node, number, element.where, depth)
    value = yield Element(data, (*before, place, *after), where)
    return value


def gathered_place(
    emitter: Emitter, node: Node, number: Value, where: Value | None, depth: int
) -> tuple[Index, Value | None]:
    """Return the place that `number`, an int64, means along the node's axis, clamped into it.

    In the mode "raise" a number outside sets the status. The predicate returned is `where`, or
    false where the axis is empty, so that nothing is read or written there.
    """
    extent, raises = (
        node.inputs[0].shape[node.attributes["axis"]],
        node.attributes["mode"] == "raise",
    )
    clamped = _clamped(emitter, node, number, extent, where, depth, raises=raises)
    if extent == 0:
        return emitter.place(clamped, 1), emitter.literal(False, dtypes.bool_, depth)
    return emitter.place(clamped, extent), where


def _checked(emitter: Emitter, element: Element) -> Wanting:
    node = element.node
    given = yield Element(node.inputs[0], element.indices, element.where)
    number = emitter.convert(given, dtypes.int64)
    depth, extent = emitter.depth_of(element), node.attributes["extent"]
    return _clamped(emitter, node, number, extent, element.where, depth, raises=True)


def _clamped(
    emitter: Emitter,
    node: Node,
    number: Value,
    extent: int,
    where: Value | None,
    depth: int,
    *,
    raises: bool,
) -> Value:
    """Return `number` moved into 0 … extent - 1; with `raises` one outside sets the status."""
    zero = emitter.literal(0, dtypes.int64, depth)
    last = emitter.literal(max(extent - 1, 0), dtypes.int64, depth)
    below = emitter.let("lt", (number, zero), dtypes.bool_, None, depth)
    above = emitter.let("lt", (last, number), dtypes.bool_, None, depth)
    if raises:
        bad = emitter.let("or", (below, above), dtypes.bool_, None, depth)
        if extent == 0:
            bad = emitter.literal(True, dtypes.bool_, depth)
        _check(emitter, node, bad, where, depth)
    low = emitter.let("select", (below, zero, number), dtypes.int64, None, depth)
    return emitter.let("select", (above, last, low), dtypes.int64, None, depth)


def _check(emitter: Emitter, node: Node, bad: Value, where: Value | None, depth: int) -> None:
    if where is not None:
        bad = emitter.let("and", (bad, where), dtypes.bool_, None, depth)
    emitter.checks.append(Check(out_of_bounds(node), node.line))
    code = emitter.literal(len(emitter.checks), dtypes.int32, depth)
    buffer = emitter.buffer_of(STATUS, Access.INOUT)
    emitter.store(buffer, (Index((), 0),), code, bad, depth)


_ROWS: dict[type, Row] = {
    Elementwise: _elementwise,
    FromIndex: _from_index,
    View: _view,
    Guarded: _guarded,
    Gather: _gather,
    Checked: _checked,
}
