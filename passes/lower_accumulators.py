"""How an element of a reduction, a selection or a contraction is computed: by loops of its own.

`accumulate` emits them where it is called and returns the value. The order of combination is that
of `graphc.reduction_order` and, for contractions, ascending in row-major order of the summed
labels. Accumulation is in the operand's compute dtype, of a contraction in the result's, and is
rounded once at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from graphc import dtypes
from graphc.dtypes import DType
from graphc.errors import InternalError
from graphc.index import Index, as_index, delinearise
from graphc.kernel import LoopKind, Value
from graphc.node import Node
from graphc.op import Contraction, Indices, Reduction, Selection
from graphc.passes.iteration_space import reduced_axes
from graphc.passes.lower_emitter import Element, Emitter
from graphc.passes.lower_words import add_in_words, goes_in_words
from graphc.reduction_order import BLOCK, reduction_order
from graphc.scalar import trace
from graphc.tensor_type import TensorType


def accumulate(emitter: Emitter, node: Node, indices: Indices) -> Value:
    """Emit the loops that compute `node` at `indices` and return its value."""
    emit = _ROWS.get(type(node.op.lowering))
    if emit is None:
        raise InternalError(f"{node.op.name} is no accumulator")
    return emit(emitter, node, indices)


# --- reductions ----------------------------------------------------------------------------------


_Factors: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True)
class _Combination:
    """One reduction being emitted: how elements are had and combined."""

    emitter: Emitter
    node: Node
    rows: Indices
    dtype: DType
    identity: int | float | bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The extents of the reduced axes."""
        return tuple(self.node.inputs[0].shape[axis] for axis in reduced_axes(self.node))

    def element(self, reduced: Sequence[Index]) -> Value | _Factors:
        """Return the element at these indices of the reduced axes, in the compute dtype."""
        place = merge_axes(self.node, self.rows, reduced)
        value = self.emitter.value(Element(self.node.inputs[0], place))
        return self.emitter.convert(value, self.dtype)

    def fold(self, buffer: str, place: Indices, value: Value | _Factors) -> None:
        """Append `buffer[place] = combine(buffer[place], value)`."""
        lowering = self.node.op.lowering
        assert isinstance(lowering, Reduction) and isinstance(value, Value)
        old = self.emitter.load(buffer, place, self.dtype)
        new = self.emitter.apply(lowering.combine, (old, value), self.dtype)
        self.emitter.store(buffer, place, new)


def merge_axes(node: Node, rows: Sequence[Index], reduced: Sequence[Index]) -> Indices:
    """Return the indices of the operand from those of the result and of the reduced axes."""
    axes = reduced_axes(node)
    kept, gone = iter(rows), iter(reduced)
    rank = len(node.inputs[0].shape)
    return tuple(next(gone) if axis in axes else next(kept) for axis in range(rank))


def _reduce(emitter: Emitter, node: Node, rows: Indices) -> Value:
    lowering, operand = node.op.lowering, node.inputs[0]
    assert isinstance(lowering, Reduction)
    order = reduction_order(operand.shape, reduced_axes(node))
    dtype, result = operand.type.dtype.compute, node.type.dtype
    if order.count == 0:
        empty = lowering.empty or lowering.identity
        return emitter.literal(empty(result), result)
    combination = _Combination(emitter, node, rows, dtype, lowering.identity(dtype))
    reduce = _reduce_in_lanes if order.lanes > 1 else _reduce_serially
    return emitter.convert(reduce(combination, order.lanes), result)


def _reduce_serially(combination: _Combination, _lanes: int) -> Value:
    emitter, dtype = combination.emitter, combination.dtype
    shape = combination.shape
    total = _accumulator(emitter, "accumulator", (), dtype, combination.identity)
    if math.prod(shape) <= BLOCK:
        with emitter.loops(shape, LoopKind.SERIAL, "k") as reduced:
            combination.fold(total, (), combination.element(reduced))
        return emitter.load(total, (), dtype)

    def step(buffer: str, number: Index) -> None:
        combination.fold(buffer, (), combination.element(delinearise(number, shape)))

    def merge(block: str) -> None:
        combination.fold(total, (), emitter.load(block, (), dtype))

    _in_blocks(combination, (), math.prod(shape), step, merge)
    return emitter.load(total, (), dtype)


def _in_blocks(
    combination: _Combination,
    shape: tuple[int, ...],
    steps: int,
    step: Callable[[str, Index], None],
    merge: Callable[[str], None],
    tail: Callable[[str], None] | None = None,
) -> None:
    """Emit `steps` steps in blocks of BLOCK, each accumulated apart; the tail joins the last."""
    emitter = combination.emitter
    whole, rest = divmod(steps, BLOCK)
    if whole:
        with emitter.loop(whole, LoopKind.SERIAL, "b") as number:
            block = _accumulator(emitter, "block", shape, combination.dtype, combination.identity)
            with emitter.loop(BLOCK, LoopKind.SERIAL, "s") as inner:
                step(block, number * BLOCK + inner)
            merge(block)
    if rest == 0 and tail is None:
        return
    block = _accumulator(emitter, "block", shape, combination.dtype, combination.identity)
    if rest:
        with emitter.loop(rest, LoopKind.SERIAL, "s") as inner:
            step(block, inner + whole * BLOCK)
    if tail is not None:
        tail(block)
    merge(block)


def _reduce_in_lanes(combination: _Combination, lanes: int) -> Value:
    emitter, dtype = combination.emitter, combination.dtype
    shape = combination.shape
    count = math.prod(shape)
    steps, rest = divmod(count, lanes)
    total = _accumulator(emitter, "lane", (lanes,), dtype, combination.identity)

    def step(buffer: str, number: Index) -> None:
        with emitter.loop(lanes, LoopKind.PARALLEL, "l") as lane:
            reduced = _lane_indices(number, lane, lanes, shape)
            combination.fold(buffer, (lane,), combination.element(reduced))

    def tail(buffer: str) -> None:
        with emitter.loop(rest, LoopKind.PARALLEL, "l") as lane:
            reduced = _lane_indices(as_index(steps), lane, lanes, shape)
            combination.fold(buffer, (lane,), combination.element(reduced))

    def merge(block: str) -> None:
        with emitter.loop(lanes, LoopKind.PARALLEL, "l") as lane:
            combination.fold(total, (lane,), emitter.load(block, (lane,), dtype))

    if -(-count // lanes) > BLOCK:
        _in_blocks(combination, (lanes,), steps, step, merge, tail if rest else None)
    else:
        if steps:
            with emitter.loop(steps, LoopKind.SERIAL, "s") as number:
                step(total, number)
        if rest:
            tail(total)
    return _combine_lanes(combination, total, lanes)


def _combine_lanes(combination: _Combination, buffer: str, lanes: int) -> Value:
    emitter, dtype = combination.emitter, combination.dtype
    half = lanes // 2
    while half:
        with emitter.loops((half,), LoopKind.PARALLEL, "t") as (lane,):
            other = emitter.load(buffer, (lane + half,), dtype)
            combination.fold(buffer, (lane,), other)
        half //= 2
    return emitter.load(buffer, (as_index(0),), dtype)


def _lane_indices(number: Index, lane: Index, lanes: int, shape: tuple[int, ...]) -> Indices:
    """Return where element number * lanes + lane lies; affine in the lane wherever that can be."""
    last = shape[-1]
    if last % lanes:
        return delinearise(number * lanes + lane, shape)
    columns = last // lanes
    outer = delinearise(number, (*shape[:-1], columns))
    return (*outer[:-1], outer[-1] * lanes + lane)


def _accumulator(
    emitter: Emitter, name: str, shape: tuple[int, ...], dtype: DType, identity: int | float | bool
) -> str:
    buffer = emitter.scratch(name, TensorType(shape, dtype))
    with emitter.loops(shape, LoopKind.PARALLEL, "l") as indices:
        emitter.store(buffer, indices, emitter.literal(identity, dtype))
    return buffer


# --- selections ----------------------------------------------------------------------------------


def _select(emitter: Emitter, node: Node, rows: Indices) -> Value:
    lowering, operand = node.op.lowering, node.inputs[0]
    assert isinstance(lowering, Selection)
    dtype, extent = operand.type.dtype.compute, operand.shape[reduced_axes(node)[0]]
    better = trace(node.op.name, lowering.better, (dtype, dtype))

    def candidate(place: Index) -> Value:
        value = emitter.value(Element(operand, merge_axes(node, rows, (place,))))
        return emitter.convert(value, dtype)

    first = emitter.literal(0, dtypes.int64)
    if extent <= 1:
        return first
    best = emitter.scratch("best", TensorType((), dtype))
    found = emitter.scratch("place", TensorType((), dtypes.int64))
    emitter.store(best, (), candidate(as_index(0)))
    emitter.store(found, (), first)
    with emitter.loop(extent - 1, LoopKind.SERIAL, "k") as number:
        new, place = candidate(number + 1), emitter.index_value(number + 1, dtypes.int64)
        old, old_place = emitter.load(best, (), dtype), emitter.load(found, (), dtypes.int64)
        wins = emitter.inline(better, (new, old))
        emitter.store(best, (), emitter.let("select", (wins, new, old), dtype))
        chosen = emitter.let("select", (wins, place, old_place), dtypes.int64)
        emitter.store(found, (), chosen)
    return emitter.load(found, (), dtypes.int64)


# --- contractions --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Products(_Combination):
    """One contraction: products are added to what there is, in one rounding."""

    @property
    def summed(self) -> list[str]:
        """The labels that are summed, in the order of the first operand."""
        labels = self.node.attributes
        return [label for label in labels["lhs"] if label not in labels["out"]]

    @property
    def shape(self) -> tuple[int, ...]:
        extents = _extents(self.node)
        return tuple(extents[label] for label in self.summed)

    def factors(self, reduced: Sequence[Index]) -> tuple[Value, Value]:
        """Return the elements of both operands at these indices of the summed labels."""
        labels = self.node.attributes
        place = dict(zip(labels["out"], self.rows, strict=True))
        place.update(zip(self.summed, reduced, strict=True))
        a, b = (
            self.emitter.value(Element(operand, tuple(place[label] for label in labels[side])))
            for operand, side in zip(self.node.inputs, ("lhs", "rhs"), strict=True)
        )
        return a, b

    def element(self, reduced: Sequence[Index]) -> Value | _Factors:
        return tuple(self.emitter.convert(value, self.dtype) for value in self.factors(reduced))

    def fold(self, buffer: str, place: Indices, value: Value | _Factors) -> None:
        old = self.emitter.load(buffer, place, self.dtype)
        if isinstance(value, Value):
            add = "or" if self.dtype is dtypes.bool_ else "add"
            new = self.emitter.let(add, (old, value), self.dtype)
        else:
            new = _add_product(self.emitter, value, old)
        self.emitter.store(buffer, place, new)


def _contract(emitter: Emitter, node: Node, rows: Indices) -> Value:
    dtype = node.type.dtype.compute
    products = _Products(emitter, node, rows, dtype, 0)
    lanes = contraction_lanes(node)
    if lanes > 1:
        return emitter.convert(_reduce_in_lanes(products, lanes), node.type.dtype)
    total = _accumulator(emitter, "accumulator", (), dtype, 0)
    if goes_in_words(node, products.shape):
        add_in_words(products, node.inputs[0].type.dtype, total)
    else:
        with emitter.loops(products.shape, LoopKind.SERIAL, "k") as reduced:
            products.fold(total, (), products.element(reduced))
    return emitter.convert(emitter.load(total, (), dtype), node.type.dtype)


def contraction_lanes(node: Node) -> int:
    """Return in how many lanes a contraction sums: those of a reduction where nothing is reused.

    That is where the last axis of both operands is summed (axes of extent 1 left out) and one
    operand has no axis that the other lacks: products of matrices with vectors, and of vectors.
    """
    extents, labels = _extents(node), node.attributes
    lhs, rhs = ([s for s in labels[side] if extents[s] != 1] for side in ("lhs", "rhs"))
    if not lhs or not rhs or lhs[-1] in labels["out"] or rhs[-1] in labels["out"]:
        return 1
    if set(lhs) - set(rhs) and set(rhs) - set(lhs):
        return 1
    count = math.prod(extents[s] for s in lhs if s not in labels["out"])
    return reduction_order((count,), (0,)).lanes


def _extents(node: Node) -> dict[str, int]:
    labels, extents = node.attributes, dict[str, int]()
    for side, operand in zip((labels["lhs"], labels["rhs"]), node.inputs, strict=True):
        extents.update(zip(side, operand.shape, strict=True))
    return extents


def _add_product(emitter: Emitter, factors: Sequence[Value], total: Value) -> Value:
    dtype = total.dtype
    if dtype.is_float:
        return emitter.let("fma", (*factors, total), dtype)
    product, sum_ = ("and", "or") if dtype is dtypes.bool_ else ("mul", "add")
    return emitter.let(sum_, (emitter.let(product, factors, dtype), total), dtype)


_ROWS: dict[type, Callable[[Emitter, Node, Indices], Value]] = {
    Reduction: _reduce,
    Selection: _select,
    Contraction: _contract,
}
