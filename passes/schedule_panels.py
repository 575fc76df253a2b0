"""Panels: columns of a tile's operands, copied to scratch so that their elements are adjacent.

A load of an innermost serial loop is copied, for all lanes of the panels of a task and all
iterations of the serial loops by which it moves, where its elements are not adjacent along the
lanes, or where many row tiles share it. Loads of which words are made are copied as words. Columns
that do not fill the lanes are predicated: there a panel holds zeros. Copies change no value, so no
bit of any result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from graphc import dtypes
from graphc.dtypes import DType
from graphc.index import Index, LoopVariable, as_index
from graphc.kernel import (
    LINE,
    Guard,
    IndexValue,
    Let,
    Load,
    Loop,
    LoopKind,
    Scope,
    Scratch,
    Statement,
    Store,
    Value,
    statements,
)
from graphc.passes.join_words import replace_values
from graphc.passes.loop_analysis import Shapes, nest, offset_of
from graphc.passes.rewrite_statements import Body, Names, copy, substitute
from graphc.passes.transform_loops import over
from graphc.schedule_choices import MODEL, ScheduleChoices
from graphc.target import Target
from graphc.tensor_type import TensorType

REUSED = 4  # row tiles that share a panel of adjacent elements before copying it pays
REUSED_NEAR = 24  # the same where those that stay near are read from the second-level cache
CACHE_WAYS = (4096, 65536)  # bytes after which addresses meet the same set of a cache, as usual
COPIED_TOGETHER = 8  # columns of a panel that are copied in one go


@dataclass(frozen=True)
class Columns:
    """The columns of a task: neighbouring panels of `lane.extent` columns each.

    outer   the loops outside, over tasks
    panel   which panel of the task (one iteration where it has one)
    lane    which column of the panel
    valid   how many lanes of a panel are in the array
    exists  a condition on `outer` and `panel` that holds for panels in the array; None: for all
    """

    outer: list[LoopVariable]
    panel: LoopVariable
    lane: LoopVariable
    valid: int
    exists: tuple[Index, Index] | None = None

    @property
    def count(self) -> int:
        """How many columns a task has."""
        return self.panel.extent * self.lane.extent

    @property
    def place(self) -> tuple[LoopVariable, ...]:
        """The variables that say which column it is: the panel, where there are several, and
        the lane."""
        return (self.panel, self.lane) if self.panel.extent > 1 else (self.lane,)

    def each(self, body: Body) -> Body:
        """Return `body` for each panel of the task."""
        inside = body if self.exists is None else (Guard((self.exists,), body),)
        return over(self.panel, LoopKind.SERIAL, inside)


@dataclass(frozen=True)
class Column:
    """What a panel may hold: a load in serial `loops`, or a word that `pairs` of them make."""

    loops: list[LoopVariable]
    loads: tuple[Load, ...]
    pairs: tuple[Let, ...] = ()

    @property
    def result(self) -> Value:
        return self.pairs[-1].result if self.pairs else self.loads[0].result

    def joined(self, other: Column, pair: Let) -> Column:
        """Return the word that `pair` makes of two."""
        loads, pairs = self.loads + other.loads, self.pairs + other.pairs
        return Column(self.loops, loads, (*pairs, pair))


class Packer:
    """Copies panels for one kernel."""

    def __init__(
        self, names: Names, shapes: Shapes, target: Target, choices: ScheduleChoices = MODEL
    ) -> None:
        self.names, self.shapes, self.choices = names, shapes, choices
        self.cache_bytes = target.cache_bytes
        self.most_bytes = target.cache_bytes[1] // 2  # of the cache scratch of a kernel

    def offset(self, load: Load) -> Index:
        """Return the row-major offset of what `load` reads."""
        return offset_of(load, self.shapes)

    def serial_loads(self, body: Body) -> Iterator[tuple[list[LoopVariable], Load]]:
        """Yield the loads from buffers directly in the innermost serial loops, with those loops."""
        for loops, inside in _innermost(body):
            for s in inside:
                if isinstance(s, Load) and s.buffer in self.shapes:
                    yield loops, s

    def columns(self, body: Body) -> Iterator[Column]:
        """Yield the same loads, those of which a word is made as one."""
        for loops, inside in _innermost(body):
            found: dict[str, Column] = {}
            for s in inside:
                if isinstance(s, Load) and s.buffer in self.shapes:
                    found[s.result.name] = Column(loops, (s,))
                elif isinstance(s, Let) and s.op == "pair":
                    low, high = (found.get(o.name) for o in s.operands)
                    if low is not None and high is not None:
                        found = {n: c for n, c in found.items() if c is not low and c is not high}
                        found[s.result.name] = low.joined(high, s)
            yield from found.values()

    def can_pack(self, load: Load, offset: Index, rows: LoopVariable, body: Body) -> bool:
        """Return whether `load` may be copied before the loop over `rows` around `body`."""
        stored = any(isinstance(s, Store) and s.buffer == load.buffer for s in statements(body))
        moves = rows in offset.variables or bool(offset.values)
        return not stored and not moves and load.where is None

    def is_panel(self, loops: list[LoopVariable], offset: Index, lane: LoopVariable) -> bool:
        """Return whether the columns of a panel lie in memory as a copy of them would."""
        step, loops = lane.extent, _moving(loops, offset)
        for variable in reversed(loops):
            if offset.stride(variable) != step:
                return False
            step *= variable.extent
        return bool(loops) and offset.stride(lane) == 1

    def budget(self, body: Body) -> int:
        """Return how many bytes of cache scratch are left beside that of `body`."""
        made = (s for s in statements(body) if isinstance(s, Scratch) and s.scope is Scope.CACHE)
        return self.most_bytes - sum(s.type.nbytes for s in made)

    # --- columns that are not there

    def predicate(self, columns: Columns, body: Body) -> Body:
        """Return `body` with its accesses along the lanes predicated where a lane has no column."""
        if columns.valid == columns.lane.extent:
            return body
        names = self.names
        number = Value(names.fresh("column"), dtypes.int32)
        end = Value(names.fresh("columns"), dtypes.int32)
        holds = Value(names.fresh("inside"), dtypes.bool_)
        prefix = (
            IndexValue(number, as_index(columns.lane)),
            Let(end, "literal", (), columns.valid),
            Let(holds, "lt", (number, end)),
        )
        return (*prefix, *self.predicated(columns.lane, holds, body))

    def predicated(self, lane: LoopVariable, holds: Value, body: Body) -> Body:
        done: list[Statement] = []
        for s in body:
            if isinstance(s, Loop | Guard):
                done.append(replace(s, body=self.predicated(lane, holds, s.body)))
            elif isinstance(s, Load | Store) and s.buffer in self.shapes and _moves(s, lane):
                where = holds
                if s.where is not None:
                    where = self.names.value(holds)
                    done.append(Let(where, "and", (s.where, holds)))
                done.append(replace(s, where=where))
            else:
                done.append(s)
        return tuple(done)

    # --- copying

    def pack(
        self, columns: Columns, rows: LoopVariable, body: Body, tiles: int
    ) -> tuple[Body, Body]:
        """Return loops that copy to scratch what tiles load, and `body` loading it from there."""
        lane, budget = columns.lane, self.budget(body)
        copies: list[Statement] = []
        packed: dict[str, Load] = {}
        for column in self.columns(body):
            if not all(self.may_copy(load, columns, rows, body) for load in column.loads):
                continue
            offsets = [self.offset(load) for load in column.loads]
            if not column.pairs and self.is_panel(column.loops, offsets[0], lane):
                continue
            serial = [v for v in column.loops if any(v in o.variables for o in offsets)]
            moving = (*columns.place[:-1], *serial, lane)
            type_ = TensorType(tuple(v.extent for v in moving), column.result.dtype)
            adjacent = all(o.stride(lane) == 1 for o in offsets)
            worth = all(
                self.is_worth_copying(load, column.loops, offset, lane.extent, tiles)
                for load, offset in zip(column.loads, offsets, strict=True)
            )
            if type_.nbytes > budget or (adjacent and not worth):
                continue
            budget -= type_.nbytes
            panel = Scratch(self.names.fresh("panel"), type_, Scope.CACHE)
            place = tuple(map(as_index, moving))
            copies.extend((panel, *self.copy_panel(columns, panel, place, column, body)))
            packed[column.result.name] = Load(column.result, panel.name, place)
        return tuple(copies), replace_values(body, packed) if packed else body

    def may_copy(self, load: Load, columns: Columns, rows: LoopVariable, body: Body) -> bool:
        """Return whether `load` moves along the lanes and may be copied before the rows."""
        offset, plain = self.offset(load), replace(load, where=None)
        if columns.lane not in offset.variables or not self.can_pack(plain, offset, rows, body):
            return False
        return load.where is None or self.is_column_predicate(load.where, body)

    def is_worth_copying(
        self, load: Load, loops: list[LoopVariable], offset: Index, columns: int, tiles: int
    ) -> bool:
        """Return whether adjacent columns that so many tiles of rows read are worth a copy.

        Where they lie, the steps from one row of them to the next may meet few of the sets of a
        cache, of which the rest is of no use then, and fill lines only in part.
        """
        if self.choices.copies is not None:
            return self.choices.copies > 0
        itemsize, nbytes = load.result.dtype.itemsize, panel_bytes(loops, offset, columns, load)
        steps, row = [offset.stride(v) for v in _moving(loops, offset)], columns * itemsize
        if None in steps or row < LINE:
            return tiles >= REUSED
        gaps = [abs(step or 0) * itemsize for step in steps]
        useful = [
            size * row // max(row, math.gcd(way, *gaps))
            for size, way in zip(self.cache_bytes, CACHE_WAYS, strict=False)
        ]
        if nbytes <= useful[0]:
            return False
        return tiles >= (REUSED_NEAR if nbytes <= useful[1] else REUSED)

    @staticmethod
    def is_column_predicate(where: Value, body: Body) -> bool:
        return len(body) > 2 and isinstance(body[2], Let) and body[2].result == where

    def copy_panel(
        self,
        columns: Columns,
        panel: Scratch,
        place: tuple[Index, ...],
        column: Column,
        body: Body,
    ) -> Body:
        """Return the loops that fill `panel`, of which `place` is the element that `column` is.

        Adjacent columns are read row by row through all panels, others panel by panel.
        """
        lane = columns.lane
        predicate = body[:3] if any(s.where is not None for s in column.loads) else ()
        store = Store(panel.name, place, column.result)
        move = copy((*predicate, *column.loads, *column.pairs, store), self.names)
        loops = [v for i in place[:-1] for v in i.variables if v != columns.panel]
        fresh = {v: self.names.variable(v, v.extent) for v in loops}
        move = substitute(move, {v: as_index(f) for v, f in fresh.items()})
        variables = list(fresh.values())
        if all(self.offset(load).stride(lane) == 1 for load in column.loads):
            vector = columns.each(over(lane, LoopKind.VECTOR, move))
            return nest(variables, vector, LoopKind.SERIAL)
        together = min(COPIED_TOGETHER, lane.extent)
        block = self.names.variable(lane, lane.extent // together)
        inside = self.names.variable(lane, together)
        index = as_index(block) * together + as_index(inside)
        unrolled = over(inside, LoopKind.UNROLLED, substitute(move, {lane: index}))
        return columns.each(
            over(block, LoopKind.SERIAL, nest(variables, unrolled, LoopKind.SERIAL))
        )


def panel_width(target: Target, dtype: DType, columns: int) -> int:
    """Return how many columns a panel has: two vectors of what `dtype` is computed in."""
    most = min(64, 2 * target.lanes(dtype.compute.itemsize))
    return min(most, 1 << max(columns - 1, 0).bit_length())


def _innermost(body: Body) -> Iterator[tuple[list[LoopVariable], Body]]:
    """Yield what stands in the innermost of perfectly nested loops in `body`, with those loops."""
    for statement in body:
        loops: list[LoopVariable] = []
        inside: Body = (statement,)
        while len(inside) == 1 and isinstance(inside[0], Loop):
            loops.append(inside[0].variable)
            inside = inside[0].body
        if loops:
            yield loops, inside


def _moves(access: Load | Store, lane: LoopVariable) -> bool:
    return any(lane in i.variables or i.values for i in access.indices)


def _moving(loops: list[LoopVariable], offset: Index) -> list[LoopVariable]:
    return [v for v in loops if v in offset.variables]


def panel_bytes(loops: list[LoopVariable], offset: Index, columns: int, load: Load) -> int:
    """Return the bytes that `columns` columns of `load`, at `offset` inside `loops`, take."""
    extents = (v.extent for v in _moving(loops, offset))
    return TensorType((*extents, columns), load.result.dtype).nbytes
