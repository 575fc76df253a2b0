"""Register tiles: several rows at once of a serial loop whose loads they share.

    for blocks of column panels, blocks of rows   (parallel, by graphc.passes.schedule)
      scratch panels; copy the panels             (what is not adjacent, or much used)
      for row tiles serial
        for panels serial
          for j < two registers vector
            scratch accumulator[rows]
            for rows unrolled                     what stands before the loop
            for k serial { load; for rows unrolled  its body }
            for rows unrolled                     what stands after it

The panels of a task lie in the second-level cache, and every row tile goes over all of them while
its own rows are in the first; so each column is copied once, and each row read once for many
columns. A tile is made wherever a nest has a serial loop with a load that moves along the vector
but not with the rows: a contraction of any kind, convolutions too. Where no direction has adjacent
elements and nothing is shared (a product with a vector), rows are unrolled without vectors. The
order of the serial loops is kept, so no bit changes.
"""

from __future__ import annotations

import math
from dataclasses import replace

from graphc.index import LoopVariable, as_index
from graphc.kernel import (
    Barrier,
    Guard,
    Let,
    Load,
    Loop,
    LoopKind,
    Scope,
    Scratch,
    Statement,
    Store,
    statements,
)
from graphc.passes.loop_analysis import Shapes, count, element_bytes, nest, work
from graphc.passes.rewrite_statements import Body, Names, copy, substitute
from graphc.passes.schedule_panels import REUSED, Columns, Packer, panel_bytes
from graphc.passes.schedule_prefetch import prefetch_columns
from graphc.passes.schedule_serial_blocks import in_serial_blocks
from graphc.passes.transform_loops import enclose, over
from graphc.passes.unroll_and_jam import MOST_STATEMENTS, unroll_and_jam
from graphc.target import Target

MOST_ROWS = 14
MOST_PANELS = 8  # of a task
LONG_TASK = 256  # rows that are worth copying the panels of a task for
SERIAL_PANEL = 128 * 1024  # bytes of a panel where the serial loop is cut into blocks
FEW_ROWS = 4  # which need more vectors to hide the latency of an addition
SCALAR_ROWS = 8  # rows that hide the latency of an addition
LIGHT = 12  # scalar operations of a serial loop that are not worth gathering vectors for


class Tiler:
    """Makes register tiles for one kernel."""

    def __init__(self, target: Target, names: Names, shapes: Shapes, most_tasks: int) -> None:
        self.target, self.names, self.shapes = target, names, shapes
        self.most_tasks = most_tasks  # that the work of the nest is worth
        self.packer = Packer(names, shapes, target)

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
            main = copy(body, self.names) if rest else body
            nests.extend(self.whole_panels(others, rows, lane, width, main))
        if rest:
            inside = self.names.variable(lane, 1 << (rest - 1).bit_length())
            index = as_index(inside) + whole * width
            columns = Columns([], self.names.variable(lane, 1), inside, rest)
            nests.extend(self.panels(others, rows, columns, substitute(body, {lane: index})))
        return tuple(nests)

    def whole_panels(
        self,
        others: list[LoopVariable],
        rows: LoopVariable,
        lane: LoopVariable,
        width: int,
        body: Body,
    ) -> Body:
        """Return nests over the panels of `width` columns that are full."""
        whole = lane.extent // width
        inside = self.names.variable(lane, width)
        together = self.panels_together(others, rows, lane, width, body)
        block = self.names.variable(lane, -(-whole // together))
        panel = self.names.variable(lane, together)
        number = as_index(block) * together + as_index(panel)
        exists = (number, as_index(whole)) if whole % together else None
        outer = [block] if block.extent > 1 else []
        columns = Columns(outer, panel, inside, width, exists)
        main = substitute(body, {lane: number * width + as_index(inside)})
        return self.panels(others, rows, columns, main)

    # --- choices

    def row_variable(
        self, others: list[LoopVariable], lane: LoopVariable, body: Body
    ) -> LoopVariable | None:
        """Return the loop with most rows that share a load along `lane`, the innermost such."""
        offsets = [self.packer.offset(load) for _, load in self.packer.serial_loads(body)]
        moving = [o for o in offsets if lane in o.variables]
        shared = [v for v in others if any(v not in o.variables for o in moving)]
        return max(reversed(shared), key=lambda v: min(v.extent, MOST_ROWS), default=None)

    def jumps(self, lane: LoopVariable, body: Body) -> bool:
        """Return whether light serial loops have loads that jump along `lane`."""
        strides = {
            self.packer.offset(load).stride(lane) for _, load in self.packer.serial_loads(body)
        }
        light = all(work(s.body) <= LIGHT for s in _innermost(body))
        return light and not strides <= {0, 1}

    def width(self, lane: LoopVariable, rows: LoopVariable, body: Body) -> int:
        lanes = self.target.lanes(element_bytes(body))
        vectors = 4 if rows.extent <= FEW_ROWS else 2
        width = min(64, vectors * lanes, 1 << (lane.extent - 1).bit_length())
        if sum(isinstance(s, Loop) for s in body) == 1 and _is_simple(body):
            return width
        for loops, load in self.packer.serial_loads(body):
            offset = self.packer.offset(load)
            if self.packer.can_pack(load, offset, rows, body) and offset.stride(lane) not in (0, 1):
                column = panel_bytes(loops, offset, 1, load)
                while width > max(lanes // 2, 1) and column * width > self.packer.budget(body):
                    width //= 2
        return width

    def most_rows(self, columns: Columns, body: Body) -> int:
        lanes = self.target.lanes(element_bytes(body))
        vectors = max(1, columns.lane.extent // lanes)
        arrays = max(1, sum(isinstance(s, Scratch) for s in body))
        fitting = (self.target.vector_registers - vectors - 2) // (vectors * arrays)
        longest = max(count(s.body) - 2 * _pairs(s.body) for s in _innermost(body))
        return max(2, min(MOST_ROWS, fitting, MOST_STATEMENTS // longest))

    def panels_together(
        self,
        others: list[LoopVariable],
        rows: LoopVariable,
        lane: LoopVariable,
        width: int,
        body: Body,
    ) -> int:
        """Return how many panels a task has: as many as fit, if enough tasks can be made."""
        whole = lane.extent // width
        loops, step = self.packed_column(rows, lane, width, body)
        if not step:
            return 1
        length = self.serial_block(rows, lane, width, body) or loops
        fitting = self.packer.budget(body) // (step * length * width)
        most = max(1, min(MOST_PANELS, fitting, whole))
        tasks = -(-whole // most) * _product(others)
        if rows.extent * tasks < LONG_TASK * self.wanted_tasks:  # too few to be cut as well
            most = max(1, min(most, whole * _product(others) // self.wanted_tasks))
        return _even_part(whole, most)

    @property
    def wanted_tasks(self) -> int:
        return min(4 * self.target.cores, self.most_tasks) if self.target.cores > 1 else 1

    def packed_column(
        self, rows: LoopVariable, lane: LoopVariable, width: int, body: Body
    ) -> tuple[int, int]:
        """Return the iterations of the outermost serial loop, and the bytes that are packed for
        each of them of one column; 0 of them where nothing is packed or there are several loops."""
        loops = [s for s in body if isinstance(s, Loop)]
        if len(loops) != 1:
            return 0, 0
        outermost, total = loops[0].variable, 0
        inside = LoopVariable(lane.name, width)
        for variables, load in self.packer.serial_loads(body):
            offset = self.packer.offset(load)
            if lane not in offset.variables or outermost not in offset.variables:
                continue
            if not self.packer.can_pack(replace(load, where=None), offset, rows, body):
                continue
            offset = offset.substitute({lane: as_index(inside)})
            if self.packer.is_panel(variables, offset, inside):
                continue
            if offset.stride(inside) == 1 and rows.extent < REUSED * MOST_ROWS:
                continue
            total += panel_bytes(variables, offset, 1, load)
        return outermost.extent, total // max(1, outermost.extent)

    # --- panels

    def panels(
        self, others: list[LoopVariable], rows: LoopVariable, columns: Columns, body: Body
    ) -> Body:
        """Return nests over `others`, a panel of columns and blocks of rows, in them the tiles."""
        outer = [*others, *columns.outer]
        block_length = self.serial_block(rows, columns.lane, columns.lane.extent, body)
        body = self.packer.predicate(columns, body)
        size = self.block_rows(outer, rows, columns, body, block_length is not None)
        whole, rest = divmod(rows.extent, size)
        nests: list[Statement] = []
        if whole:
            block, inside = self.names.variable(rows, whole), self.names.variable(rows, size)
            index = as_index(block) * size + as_index(inside)
            main = substitute(copy(body, self.names) if rest else body, {rows: index})
            variables = [*others, block, *columns.outer] if whole > 1 else outer
            nests.extend(self.task(variables, inside, columns, main, block_length))
        if rest:
            inside = self.names.variable(rows, rest)
            last = substitute(body, {rows: as_index(inside) + whole * size})
            nests.extend(self.task(outer, inside, columns, last, block_length))
        return tuple(nests)

    def task(
        self,
        outer: list[LoopVariable],
        rows: LoopVariable,
        columns: Columns,
        body: Body,
        block_length: int | None,
    ) -> Body:
        if block_length is None:
            inside = self.tiles(rows, columns, body)
        else:
            inside = in_serial_blocks(rows, columns, body, block_length, self.names, self.tiles)
        return nest(outer, inside) if outer else enclose(inside, self.names, always=True)

    def block_rows(
        self,
        outer: list[LoopVariable],
        rows: LoopVariable,
        columns: Columns,
        body: Body,
        keeps_partial: bool,
    ) -> int:
        """Return how many rows one task has: few enough for the threads and for partial sums."""
        height = _tile_rows(rows.extent, self.most_rows(columns, body))
        wanted = -(-self.wanted_tasks // _product(outer))
        size = rows.extent
        if wanted > 1:
            size = max(REUSED * height, -(-rows.extent // wanted))
        if columns.panel.extent == 1:  # every panel reads all rows: let them stay near
            row_bytes, near = self.row_bytes(rows, body), self.target.cache_bytes[1] * 3 // 4
            size = min(size, max(near // row_bytes, 2 * REUSED * height))
        if keeps_partial:
            sums = sum(columns.count * s.type.dtype.itemsize for s in _scratch(body))
            size = min(size, max(height, self.target.cache_bytes[1] // 4 // sums))
        if size >= rows.extent:
            return rows.extent
        size = max(1, size // height) * height
        even = (n for n in range(size, size // 2, -height) if rows.extent % n == 0)
        return next(even, size)

    def row_bytes(self, rows: LoopVariable, body: Body) -> int:
        """Return how many bytes the serial loops load for each row."""
        total = 1
        for loops, load in self.packer.serial_loads(body):
            offset = self.packer.offset(load)
            if rows in offset.variables:
                total += panel_bytes(loops, offset, 1, load)
        return total

    def tiles(self, rows: LoopVariable, columns: Columns, body: Body) -> Body:
        """Return the copies of panels and the loop over tiles of rows."""
        height = _tile_rows(rows.extent, self.most_rows(columns, body))
        count_, rest = divmod(rows.extent, height)
        whole = body
        copies, body = self.packer.pack(columns, rows, body, count_)
        tile, inside = self.names.variable(rows, count_), self.names.variable(rows, height)
        index = as_index(tile) * height + as_index(inside)
        main = copy(body, self.names) if rest else body
        tiled = columns.each(self.rows(columns, inside, substitute(main, {rows: index})))
        for serial, load in self.far_columns(rows, columns, whole):
            tiled = prefetch_columns(tiled, load, tile, serial, columns)
        done = over(tile, LoopKind.SERIAL, tiled)
        if rest:
            inside = self.names.variable(rows, rest)
            last = substitute(body, {rows: as_index(inside) + count_ * height})
            done = (*done, *columns.each(self.rows(columns, inside, last)))
        return (*copies, *done)

    def far_columns(
        self, rows: LoopVariable, columns: Columns, body: Body
    ) -> list[tuple[LoopVariable, Load]]:
        """Return the loads of adjacent columns in one serial loop from arrays that lie far away."""
        found = []
        for loops, load in self.packer.serial_loads(body):
            offset = self.packer.offset(load)
            nbytes = math.prod(self.shapes[load.buffer]) * load.result.dtype.itemsize
            if (
                len(loops) == 1
                and nbytes > self.target.cache_bytes[1]
                and offset.stride(columns.lane) == 1
                and self.packer.can_pack(load, offset, rows, body)
            ):
                found.append((loops[0], load))
        return found

    # --- long serial loops, block by block

    def serial_block(
        self, rows: LoopVariable, lane: LoopVariable, width: int, body: Body
    ) -> int | None:
        """Return in blocks of which length the serial loop goes, if its panels do not fit whole.

        Two panels have to fit for rows to be read seldom; one will do where rows are few.
        """
        extent, step = self.packed_column(rows, lane, width, body)
        if not step or not _is_simple(body):
            return None
        panel, fitting = extent * step * width, self.packer.budget(body)
        few_rows = rows.extent * self.row_bytes(rows, body) <= 2 * self.target.cache_bytes[1]
        if 2 * panel <= fitting or (few_rows and panel <= fitting):
            return None
        blocks = -(-extent // max(1, min(SERIAL_PANEL, fitting) // (step * width)))
        even = (n for n in range(blocks, 2 * blocks) if extent % n == 0)
        return -(-extent // next(even, blocks))

    # --- tiles

    def rows(self, columns: Columns, inside: LoopVariable, body: Body) -> Body:
        """Return the vector loop over a tile of rows."""
        return over(columns.lane, LoopKind.VECTOR, unroll_and_jam(inside, body, self.names))

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
            nests.extend(
                enclose(nest(variables, unroll_and_jam(inside, main, self.names)), self.names)
            )
        if rest:
            inside = self.names.variable(rows, rest)
            index = as_index(inside) + tiles * SCALAR_ROWS
            last = unroll_and_jam(inside, substitute(body, {rows: index}), self.names)
            nests.extend(enclose(nest(others, last), self.names))
        return tuple(nests)


def _innermost(body: Body) -> list[Loop]:
    """Return the loops in `body` that hold no loop."""
    loops = [s for s in statements(body) if isinstance(s, Loop)]
    return [s for s in loops if not any(isinstance(i, Loop) for i in statements(s.body))]


def _pairs(body: Body) -> int:
    """Return how many pairs are made of loads, which are mostly copied as words before."""
    return sum(isinstance(s, Let) and s.op == "pair" for s in body)


def _scratch(body: Body) -> list[Scratch]:
    return [s for s in body if isinstance(s, Scratch)]


def _is_simple(body: Body) -> bool:
    """Return whether before its loop `body` only makes constants and scalar accumulators."""
    names = {s.name for s in _scratch(body)}
    for statement in body:
        match statement:
            case Loop():
                return True
            case Scratch() if statement.type.shape != () or statement.scope is not Scope.REGISTER:
                return False
            case Store() if statement.buffer not in names:
                return False
            case Load() | Guard() | Barrier():
                return False
    return False


def _product(variables: list[LoopVariable]) -> int:
    return math.prod(v.extent for v in variables)


def _even_part(extent: int, most: int) -> int:
    """Return the greatest divisor of `extent` above half of `most`, or an even share near it."""
    divisors = (n for n in range(most, most // 2, -1) if extent % n == 0)
    return next(divisors, -(-extent // -(-extent // most)))


def _tile_rows(extent: int, most: int) -> int:
    """Return how many rows a tile has: all, a divisor, or so that few tiles are needed."""
    return extent if extent <= most else _even_part(extent, most)
