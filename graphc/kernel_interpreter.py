"""The NumPy meaning of kernels, against which emitters and loop transformations are tested.

`run` carries out a kernel statement by statement on NumPy arrays. Every access is checked against
the bounds of its buffer, every gathered index against the bounds that it claims, and scratch
starts as garbage. An innermost parallel, vector or item loop is run over all its iterations at
once (lane-wise, as its promise of independence allows) unless `serial` is asked for; both give
the same bits for every kernel that keeps its promises. It is slow, and barriers mean nothing to
it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphc import dtypes
from graphc.dtypes import DType
from graphc.errors import InternalError, VerificationError
from graphc.index import Atom, FloorDiv, Index, LoopVariable, Mod
from graphc.kernel import (
    LINE,
    Barrier,
    Guard,
    IndexValue,
    Kernel,
    Let,
    Load,
    Loop,
    LoopKind,
    Misalignment,
    Prefetch,
    Scratch,
    Statement,
    Store,
    Value,
    statements,
)
from graphc.op import Elementwise, find, scalar_program
from graphc.scalar import KEEPS_16_BIT, PRIMITIVES
from graphc.scalar_interpreter import apply, evaluate

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

_LANE_WISE = frozenset({LoopKind.PARALLEL, LoopKind.VECTOR, LoopKind.ITEM})
_GARBAGE = 0xA5


@dataclass(frozen=True)
class _Memory:
    """An array, or one array a lane along the first axis."""

    array: Array
    is_per_lane: bool = False


@dataclass(frozen=True)
class _Lanes:
    """What a block knows: the lanes that run it, and for each a value of every name."""

    numbers: Array
    variables: dict[str, Array]
    values: dict[str, Array]
    memories: dict[str, _Memory]

    @property
    def count(self) -> int:
        return self.numbers.size

    def inner(self, variables: Mapping[str, Array]) -> _Lanes:
        """Return the same lanes for a block inside, with more loop variables."""
        return _Lanes(
            self.numbers, {**self.variables, **variables}, dict(self.values), dict(self.memories)
        )

    def only(self, mask: Array) -> _Lanes:
        """Return the lanes where `mask` holds."""

        def chosen(named: dict[str, Array]) -> dict[str, Array]:
            return {k: v[mask] if v.size == mask.size else v for k, v in named.items()}

        return _Lanes(
            self.numbers[mask], chosen(self.variables), chosen(self.values), dict(self.memories)
        )


def run(kernel: Kernel, arrays: Mapping[str, Array], *, serial: bool = False) -> None:
    """Run `kernel` on `arrays`, one for each buffer by name, writing to those it stores to.

    With `serial` every loop runs one iteration after another. Raises InternalError where an array
    is not dense or not of the type of its buffer, and VerificationError for an access out of
    bounds.
    """
    memories = {}
    for buffer in kernel.buffers:
        array = arrays[buffer.name]
        if array.shape != buffer.type.shape or array.dtype != buffer.type.dtype.numpy:
            raise InternalError(f"{buffer.name}: {buffer.type} is given {array.dtype}{array.shape}")
        if not array.flags.c_contiguous:
            raise InternalError(f"{buffer.name} is given an array that is not dense")
        memories[buffer.name] = _Memory(array)
    _Machine(serial).block(kernel.body, _Lanes(np.zeros(1, np.int64), {}, {}, memories))


class _Machine:
    """Runs statements; `lanes` is changed only by the statements of its own block."""

    def __init__(self, serial: bool) -> None:
        self.serial = serial
        self.rows: dict[type, Callable[[Any, _Lanes], None]] = {
            Let: self.let,
            Load: self.load,
            IndexValue: self.index_value,
            Misalignment: self.misalignment,
            Store: self.store,
            Prefetch: lambda _statement, _lanes: None,
            Scratch: self.scratch,
            Loop: self.loop,
            Guard: self.guard,
            Barrier: lambda _statement, _lanes: None,
        }

    def block(self, body: tuple[Statement, ...], lanes: _Lanes) -> None:
        for statement in body:
            self.rows[type(statement)](statement, lanes)

    def loop(self, loop: Loop, lanes: _Lanes) -> None:
        name, extent = loop.variable.name, loop.variable.extent
        if extent and not self.serial and lanes.count == 1 and _runs_lane_wise(loop):
            every = np.arange(extent, dtype=np.int64)
            inner = lanes.inner({name: every})
            self.block(loop.body, _Lanes(every, inner.variables, inner.values, inner.memories))
            return
        for iteration in range(extent):
            self.block(loop.body, lanes.inner({name: np.full(1, iteration, np.int64)}))

    def guard(self, guard: Guard, lanes: _Lanes) -> None:
        mask = np.ones(lanes.count, np.bool_)
        for left, right in guard.conditions:
            mask &= _evaluate(left, lanes) < _evaluate(right, lanes)
        if mask.all():
            self.block(guard.body, lanes.inner({}))
        elif mask.any():
            self.block(guard.body, lanes.only(mask))

    def scratch(self, scratch: Scratch, lanes: _Lanes) -> None:
        dtype, shape = scratch.type.dtype.numpy, scratch.type.shape
        per_lane = lanes.numbers.size > 1 or lanes.numbers[0] > 0
        if per_lane:
            shape = (int(lanes.numbers.max()) + 1, *shape)
        raw = np.full(int(np.prod(shape)) * dtype.itemsize, _GARBAGE, np.uint8)
        if dtype == np.bool_:
            raw[:] = 1
        lanes.memories[scratch.name] = _Memory(raw.view(dtype).reshape(shape), per_lane)

    def let(self, let: Let, lanes: _Lanes) -> None:
        operands = [lanes.values[o.name] for o in let.operands]
        result = compute(let.op, operands, let.result.dtype, let.payload)
        lanes.values[let.result.name] = np.atleast_1d(result)

    def index_value(self, statement: IndexValue, lanes: _Lanes) -> None:
        index = _evaluate(statement.index, lanes)
        lanes.values[statement.result.name] = index.astype(statement.result.dtype.numpy)

    def misalignment(self, statement: Misalignment, lanes: _Lanes) -> None:
        array = lanes.memories[statement.buffer].array
        number = array.ctypes.data % LINE // array.itemsize
        lanes.values[statement.result.name] = np.full(1, number, np.int64)

    def load(self, load: Load, lanes: _Lanes) -> None:
        mask = _mask(load.where, lanes)
        array, place = _place(load.buffer, load.indices, mask, lanes)
        if load.count > 1:
            whole = array[: array.size // load.count * load.count]
            array, place = whole.view(load.result.dtype.numpy), place // load.count
        result = np.zeros(lanes.count, array.dtype)
        result[mask] = array[place]
        lanes.values[load.result.name] = result

    def store(self, store: Store, lanes: _Lanes) -> None:
        mask = _mask(store.where, lanes)
        array, place = _place(store.buffer, store.indices, mask, lanes)
        array[place] = np.broadcast_to(lanes.values[store.value.name], lanes.count)[mask]


def _runs_lane_wise(loop: Loop) -> bool:
    """Return whether iterations may run at once: no loop inside makes lanes of its own."""
    return loop.kind in _LANE_WISE and not any(
        isinstance(s, Loop) and s.kind is not LoopKind.SERIAL and s.kind is not LoopKind.UNROLLED
        for s in statements(loop.body)
    )


def _mask(where: Value | None, lanes: _Lanes) -> Array:
    if where is None:
        return np.ones(lanes.count, np.bool_)
    return np.broadcast_to(lanes.values[where.name], lanes.count)


def _place(
    name: str, indices: tuple[Index, ...], mask: Array, lanes: _Lanes
) -> tuple[Array, Array]:
    """Return the elements of a buffer in a row and the places that the lanes in `mask` access."""
    memory = lanes.memories[name]
    chosen = lanes if mask.all() else lanes.only(mask)
    shape = memory.array.shape[1:] if memory.is_per_lane else memory.array.shape
    place = chosen.numbers if memory.is_per_lane else np.zeros(chosen.count, np.int64)
    for index, extent in zip(indices, shape, strict=True):
        number = _evaluate(index, chosen)
        if chosen.count and not (number.min() >= 0 and number.max() < extent):
            text = ", ".join(map(str, indices))
            raise VerificationError(f"{name}[{text}] is out of the bounds of {name}{shape}")
        place = place * extent + number
    return memory.array.reshape(-1), place


# --- indices -------------------------------------------------------------------------------------


def _evaluate(index: Index, lanes: _Lanes) -> Array:
    total = np.full(1, index.constant, np.int64)
    for atom, coefficient in index.terms:
        total = total + _atom(atom, lanes) * coefficient
    return total


def _atom(atom: Atom, lanes: _Lanes) -> Array:
    if isinstance(atom, LoopVariable):
        return lanes.variables[atom.name]
    if isinstance(atom, FloorDiv):
        return _evaluate(atom.numerator, lanes) // atom.divisor
    if isinstance(atom, Mod):
        return _evaluate(atom.numerator, lanes) % atom.divisor
    value = lanes.values[atom.name].astype(np.int64)
    if value.size and not (atom.low <= value.min() and value.max() <= atom.high):
        raise VerificationError(f"{atom} is as small as {value.min()} or as large as {value.max()}")
    return value


# --- scalar ops ----------------------------------------------------------------------------------


def compute(op: str, operands: list[Array], dtype: DType, payload: Any = None) -> Array:
    """Return what a `Let` of `op` gives: `operands` broadcast, the result has type `dtype`.

    Raises InternalError for a name that is neither a primitive nor a declared elementwise op.
    """
    if not _converts_16_bit(op):
        return _primitive_or_op(op, operands, dtype, payload)
    wide = [_convert(o, dtypes.as_dtype(o.dtype).compute) for o in operands]
    return _convert(_primitive_or_op(op, wide, dtype.compute, payload), dtype)


def _converts_16_bit(op: str) -> bool:
    if op in PRIMITIVES:
        return op not in KEEPS_16_BIT
    declared = find(op)
    lowering = declared.lowering if declared else None
    return not (isinstance(lowering, Elementwise) and lowering.native_16_bit)


def _convert(array: Array, dtype: DType) -> Array:
    return array if array.dtype == dtype.numpy else apply("convert", [array], dtype)


def _primitive_or_op(op: str, operands: list[Array], dtype: DType, payload: Any) -> Array:
    if op in PRIMITIVES:
        return apply(op, operands, dtype, payload)
    program = scalar_program(op, tuple(dtypes.as_dtype(o.dtype) for o in operands), dtype)
    return evaluate(program, *operands, resolve=scalar_program)
