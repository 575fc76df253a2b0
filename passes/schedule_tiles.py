"""Register tiles: several rows at once of a serial loop whose loads they share.

    for column panels, blocks of rows             (parallel, by graphc.passes.schedule)
      scratch panel; copy the panel               (what is not adjacent, or much used)
      for row tiles serial
        for j < two registers vector
          scratch accumulator[rows]
          for rows unrolled                       what stands before the loop
          for k serial { load; for rows unrolled  its body }
          for rows unrolled                       what stands after it

A tile is made wherever a nest has a serial loop with a load that moves along the vector but not
with the rows: a contraction of any kind, convolutions too. Where no direction has adjacent
elements and nothing is shared (a product with a vector), rows are unrolled without vectors. The
order of the serial loops is kept, so no bit changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from graphc import dtypes
from graphc.index import Index, LoopVariable, as_index, linearise
from graphc.kernel import (
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
from graphc.passes.loop_analysis import Shapes, count, element_bytes, nest, work
from graphc.passes.rewrite_statements import Body, Names, copy, rewrite, substitute
from graphc.passes.transform_loops import distribute, enclose, hoist, over, sink
from graphc.target import Target
from graphc.tensor_type import TensorType

MOST_ROWS = 14
MOST_STATEMENTS = 64  # that are unrolled in one place
CACHE_SCRATCH = 128 * 1024  # bytes of cache scratch that a kernel may have
REUSED = 4  # row tiles that share a panel of adjacent elements before copying it pays
SCALAR_ROWS = 8  # rows that hide the latency of an addition
LIGHT = 12  # scalar operations of a serial loop that are not worth gathering vectors for
COPIED_TOGETHER = 8  # columns of a panel that are copied in one go


@dataclass(frozen=True)
class _Columns:
    """A panel of columns: its lanes, and how many of them are in the array."""

    outer: list[LoopVariable]
    lane: LoopVariable
    valid: int


class Tiler:
    """Makes register tiles for one kernel."""

    def __init__(self, target: Target, names: Names, shapes: Shapes, most_tasks: int) -> None:
        self.target, self.names, self.shapes = target, names, shapes
        self.most_tasks = most_tasks  # that the work of the nest is worth

    def nests(self, others: list[LoopVariable], lane: LoopVariable, body: Body) -> Body | None:
        """Return nests of tiles for `body` in independent loops over `others` and `lane`.

        Loops over `others` and panels are parallel. None where tiles are of no use.
        """
        if not any(isinstance(s, Loop) for s in body):
            return None
        rows = self.row_variable(others, lane, body)
        if rows is None:
            return self.scalar_rows(others, lane, body) if self.jumps(lane, body) else None
        others = [v for v in others if v != rows]
        width = self.width(lane, rows, body)
        whole, rest = divmod(lane.extent, width)
        nests: list[Statement] = []
        if whole:
            panel, inside = self.names.variable(lane, whole), self.names.variable(lane, width)
            index = as_index(panel) * width + as_index(inside)
            columns = _Columns([panel] if whole > 1 else [], inside, width)
            main = substitute(copy(body, self.names) if rest else body, {lane: index})
            nests.extend(self.panels(others, rows, columns, main))
        if rest:
            inside = self.names.variable(lane, 1 << (rest - 1).bit_length())
            index = as_index(inside) + whole * width
            columns = _Columns([], inside, rest)
            nests.extend(self.panels(others, rows, columns, substitute(body, {lane: index})))
        return tuple(nests)

    # --- choices

    def row_variable(
        self, others: list[LoopVariable], lane: LoopVariable, body: Body
    ) -> LoopVariable | None:
        """Return the loop with most rows that share a load along `lane`, the innermost such."""
        offsets = [self.offset(load) for _, load in self.serial_loads(body)]
        moving = [o for o in offsets if lane in o.variables]
        shared = [v for v in others if any(v not in o.variables for o in moving)]
        return max(reversed(shared), key=lambda v: min(v.extent, MOST_ROWS), default=None)

    def jumps(self, lane: LoopVariable, body: Body) -> bool:
        """Return whether light serial loops have loads that jump along `lane`."""
        strides = {self.offset(load).stride(lane) for _, load in self.serial_loads(body)}
        light = all(work(s.body) <= LIGHT for s in _innermost(body))
        return light and not strides <= {0, 1}

    def width(self, lane: LoopVariable, rows: LoopVariable, body: Body) -> int:
        lanes = self.target.lanes(element_bytes(body))
        width = min(64, 2 * lanes if lane.extent > lanes else 1 << (lane.extent - 1).bit_length())
        for loops, load in self.serial_loads(body):
            offset = self.offset(load)
            if self.can_pack(load, offset, rows, body) and offset.stride(lane) not in (0, 1):
                column = _panel_type(loops, offset, 1, load).nbytes
                while width > max(lanes // 2, 1) and column * width > self.budget(body):
                    width //= 2
        return width

    def budget(self, body: Body) -> int:
        made = (s for s in statements(body) if isinstance(s, Scratch) and s.scope is Scope.CACHE)
        return CACHE_SCRATCH - sum(s.type.nbytes for s in made)

    def most_rows(self, columns: _Columns, body: Body) -> int:
        lanes = self.target.lanes(element_bytes(body))
        vectors = max(1, columns.lane.extent // lanes)
        arrays = max(1, sum(isinstance(s, Scratch) for s in body))
        fitting = (self.target.vector_registers - vectors - 2) // (vectors * arrays)
        longest = max(count(s.body) for s in _innermost(body))
        return max(2, min(MOST_ROWS, fitting, MOST_STATEMENTS // longest))

    # --- loads

    def offset(self, load: Load) -> Index:
        return linearise(load.indices, self.shapes[load.buffer])

    def serial_loads(self, body: Body) -> Iterator[tuple[list[LoopVariable], Load]]:
        """Yield the loads from buffers directly in the innermost serial loops, with those loops."""
        for statement in body:
            loops: list[LoopVariable] = []
            inside: Body = (statement,)
            while len(inside) == 1 and isinstance(inside[0], Loop):
                loops.append(inside[0].variable)
                inside = inside[0].body
            for s in inside:
                if loops and isinstance(s, Load) and s.buffer in self.shapes:
                    yield loops, s

    def can_pack(self, load: Load, offset: Index, rows: LoopVariable, body: Body) -> bool:
        stored = any(isinstance(s, Store) and s.buffer == load.buffer for s in statements(body))
        moves = rows in offset.variables or bool(offset.values)
        return not stored and not moves and load.where is None

    # --- panels

    def panels(
        self, others: list[LoopVariable], rows: LoopVariable, columns: _Columns, body: Body
    ) -> Body:
        """Return the nest over `others` and a panel of columns, in it the row tiles."""
        body = self.predicate(columns, body)
        height = _tile_rows(rows.extent, self.most_rows(columns, body))
        tiles, rest = divmod(rows.extent, height)
        outer = [*others, *columns.outer]
        blocks = self.row_blocks(outer, tiles)
        copies, body = self.pack(columns, rows, body, -(-tiles // (blocks.extent if blocks else 1)))
        tile, inside = self.names.variable(rows, tiles), self.names.variable(rows, height)
        index = as_index(tile) * height + as_index(inside)
        main = self.rows(columns, inside, substitute(body, {rows: index}))
        row_tiles = self.in_blocks(tile, blocks, main)
        if rest:
            inside = self.names.variable(rows, rest)
            index = as_index(inside) + tiles * height
            last = self.rows(columns, inside, substitute(copy(body, self.names), {rows: index}))
            if blocks is not None:
                final = (as_index(blocks.extent - 2), as_index(blocks))
                last = (Guard((final,), last),)
            row_tiles = (*row_tiles, *last)
        variables = [*outer, *([] if blocks is None else [blocks])]
        body = (*copies, *row_tiles)
        return nest(variables, body) if variables else enclose(body, self.names, always=True)

    def row_blocks(self, outer: list[LoopVariable], tiles: int) -> LoopVariable | None:
        """Return a loop over blocks of row tiles, if the loops outside are few for the threads."""
        tasks = 1
        for variable in outer:
            tasks *= variable.extent
        blocks = min(-(-min(4 * self.target.cores, self.most_tasks) // tasks), tiles // REUSED)
        if blocks < 2 or self.target.cores < 2:
            return None
        size = -(-tiles // blocks)
        return LoopVariable(self.names.fresh("rows"), -(-tiles // size))

    def in_blocks(self, tile: LoopVariable, blocks: LoopVariable | None, body: Body) -> Body:
        """Return `body` in a serial loop over all tiles, or over those of one block."""
        if blocks is None:
            return over(tile, LoopKind.SERIAL, body)
        size = -(-tile.extent // blocks.extent)
        inside = self.names.variable(tile, size)
        index = as_index(blocks) * size + as_index(inside)
        body = substitute(body, {tile: index})
        if size * blocks.extent > tile.extent:
            body = (Guard(((index, as_index(tile.extent)),), body),)
        return over(inside, LoopKind.SERIAL, body)

    def predicate(self, columns: _Columns, body: Body) -> Body:
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

    # --- copying panels

    def pack(
        self, columns: _Columns, rows: LoopVariable, body: Body, tiles: int
    ) -> tuple[Body, Body]:
        """Return loops that copy to scratch what tiles load, and `body` loading it from there."""
        lane, budget = columns.lane, self.budget(body)
        copies: list[Statement] = []
        packed: dict[str, Load] = {}
        for loops, load in self.serial_loads(body):
            offset = self.offset(load)
            where, plain = load.where, replace(load, where=None)
            if lane not in offset.variables or not self.can_pack(plain, offset, rows, body):
                continue
            if where is not None and not self.is_column_predicate(where, body):
                continue
            type_ = _panel_type(loops, offset, lane.extent, load)
            adjacent = offset.stride(lane) == 1
            if type_.nbytes > budget or (adjacent and tiles < REUSED):
                continue
            budget -= type_.nbytes
            panel = Scratch(self.names.fresh("panel"), type_, Scope.CACHE)
            place = tuple(as_index(v) for v in (*_moving(loops, offset), lane))
            copies.extend((panel, *self.copy_panel(columns, panel, place, load, body)))
            packed[load.result.name] = Load(load.result, panel.name, place)

        def memory(access: Load | Store) -> Load | Store:
            return packed.get(access.result.name, access) if isinstance(access, Load) else access

        return tuple(copies), rewrite(body, memory=memory) if packed else body

    @staticmethod
    def is_column_predicate(where: Value, body: Body) -> bool:
        return len(body) > 2 and isinstance(body[2], Let) and body[2].result == where

    def copy_panel(
        self, columns: _Columns, panel: Scratch, place: tuple[Index, ...], load: Load, body: Body
    ) -> Body:
        lane = columns.lane
        value = self.names.value(load.result)
        move: Body = (replace(load, result=value), Store(panel.name, place, value))
        if load.where is not None:
            move = copy((*body[:3], *move), self.names)
        loops = [v for i in place[:-1] for v in i.variables]
        fresh = {v: self.names.variable(v, v.extent) for v in loops}
        move = substitute(move, {v: as_index(f) for v, f in fresh.items()})
        variables = list(fresh.values())
        if self.offset(load).stride(lane) == 1:
            return nest(variables, over(lane, LoopKind.VECTOR, move), LoopKind.SERIAL)
        together = min(COPIED_TOGETHER, lane.extent)
        block = self.names.variable(lane, lane.extent // together)
        inside = self.names.variable(lane, together)
        index = as_index(block) * together + as_index(inside)
        unrolled = over(inside, LoopKind.UNROLLED, substitute(move, {lane: index}))
        return over(block, LoopKind.SERIAL, nest(variables, unrolled, LoopKind.SERIAL))

    # --- tiles

    def rows(self, columns: _Columns, inside: LoopVariable, body: Body) -> Body:
        """Return the vector loop over a tile of rows."""
        return over(columns.lane, LoopKind.VECTOR, self.unroll_and_jam(inside, body))

    def unroll_and_jam(self, rows: LoopVariable, body: Body) -> Body:
        """Return `body` for all `rows`: unrolled, inside the serial loops of `body`."""
        if rows.extent == 1:
            return over(rows, LoopKind.SERIAL, body)
        groups = _cut(body)
        arrays, loops = distribute(Loop(rows, LoopKind.PARALLEL, body), groups, self.names)
        done: list[Statement] = list(arrays)
        for loop in loops:
            done.extend(_unroll_inside(sink(loop), rows))
        return tuple(done)

    def scalar_rows(self, others: list[LoopVariable], rows: LoopVariable, body: Body) -> Body:
        """Return nests that take several rows at once, without vectors."""
        tiles, rest = divmod(rows.extent, SCALAR_ROWS)
        nests: list[Statement] = []
        if tiles:
            tile = self.names.variable(rows, tiles)
            inside = self.names.variable(rows, SCALAR_ROWS)
            index = as_index(tile) * SCALAR_ROWS + as_index(inside)
            main = substitute(copy(body, self.names) if rest else body, {rows: index})
            variables = [*others, tile] if tiles > 1 else others
            if tiles == 1:
                main = substitute(main, {tile: as_index(0)})
            nests.extend(enclose(nest(variables, self.unroll_and_jam(inside, main)), self.names))
        if rest:
            inside = self.names.variable(rows, rest)
            index = as_index(inside) + tiles * SCALAR_ROWS
            last = self.unroll_and_jam(inside, substitute(body, {rows: index}))
            nests.extend(enclose(nest(others, last), self.names))
        return tuple(nests)


def _innermost(body: Body) -> list[Loop]:
    """Return the loops in `body` that hold no loop."""
    loops = [s for s in statements(body) if isinstance(s, Loop)]
    return [s for s in loops if not any(isinstance(i, Loop) for i in statements(s.body))]


def _moves(access: Load | Store, lane: LoopVariable) -> bool:
    return any(lane in i.variables or i.values for i in access.indices)


def _moving(loops: list[LoopVariable], offset: Index) -> list[LoopVariable]:
    return [v for v in loops if v in offset.variables]


def _panel_type(loops: list[LoopVariable], offset: Index, lanes: int, load: Load) -> TensorType:
    extents = (v.extent for v in _moving(loops, offset))
    return TensorType((*extents, lanes), load.result.dtype)


def _tile_rows(extent: int, most: int) -> int:
    """Return how many rows a tile has: all, a divisor, or so that few tiles are needed."""
    if extent <= most:
        return extent
    for rows in range(most, most // 2, -1):
        if extent % rows == 0:
            return rows
    return -(-extent // -(-extent // most))


def _cut(body: Body) -> list[Body]:
    """Cut `body` into its loops, what stands between them, and at last the loads of results.

    The loads from scratch after the last loop go apart, so that what follows may be a loop.
    """
    groups: list[list[Statement]] = [[]]
    for statement in body:
        if isinstance(statement, Loop):
            groups.extend(([statement], []))
        else:
            groups[-1].append(statement)
    last = groups.pop()
    scratch = {s.name for s in body if isinstance(s, Scratch)}
    leading = 0
    while leading < len(last):
        statement = last[leading]
        if not (isinstance(statement, Load) and statement.buffer in scratch):
            break
        leading += 1
    if len(groups) > 0 and leading and _is_long(last[leading:]):
        groups.append(last[:leading])
        last = last[leading:]
    return [tuple(g) for g in (*groups, last) if g]


def _is_long(group: list[Statement]) -> bool:
    return count(tuple(group)) * 8 > MOST_STATEMENTS


def _unroll_inside(loop: Loop, rows: LoopVariable) -> Body:
    """Unroll the loop over `rows` in `loop`, unless it is long, after what it does not change."""
    if loop.variable != rows:
        (inner,) = loop.body
        assert isinstance(inner, Loop)
        return (replace(loop, body=_unroll_inside(inner, rows)),)
    *before, inside = hoist(loop)
    assert isinstance(inside, Loop)
    long = count(inside.body) * rows.extent > 2 * MOST_STATEMENTS
    kind = LoopKind.SERIAL if long else LoopKind.UNROLLED
    return (*before, *over(rows, kind, inside.body))
