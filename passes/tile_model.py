"""The cost model of register tiles: which rows, how many of them, how many columns, which blocks.

It decides from the extents of loops, the strides of loads and the limits of the target; where
`ScheduleChoices` name a number, it takes that as far as it can be carried out. It changes nothing:
`graphc.passes.schedule_tiles` makes the tiles, with the same bits whatever is decided here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from graphc.index import LoopVariable, as_index
from graphc.kernel import (
    LINE,
    Barrier,
    Guard,
    Let,
    Load,
    Loop,
    Scope,
    Scratch,
    Store,
    statements,
)
from graphc.passes.loop_analysis import count, element_bytes, work
from graphc.passes.rewrite_statements import Body
from graphc.passes.schedule_panels import CACHE_WAYS, REUSED, Columns, Packer, panel_bytes
from graphc.passes.unroll_and_jam import MOST_STATEMENTS
from graphc.schedule_choices import ScheduleChoices
from graphc.target import Target

MOST_ROWS = 14
MOST_PANELS = 8  # of a task
MOST_VECTORS = 4  # of a panel
LONG_TASK = 256  # rows that are worth copying the panels of a task for
SERIAL_PANEL = 128 * 1024  # bytes of a panel where the serial loop is cut into blocks
FEW_ROWS = 4  # which need more vectors to hide the latency of an addition
LIGHT = 12  # scalar operations of a serial loop that are not worth gathering vectors for
TASKS = 4  # for each core


@dataclass(frozen=True)
class TileModel:
    """Decides for one nest; `most_tasks` is how many its work is worth."""

    target: Target
    packer: Packer
    most_tasks: int
    choices: ScheduleChoices

    # --- rows and columns

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
        vectors = self.choices.vectors or (4 if rows.extent <= FEW_ROWS else 2)
        vectors = 1 << (min(vectors, MOST_VECTORS).bit_length() - 1)
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

    def tile_rows(self, extent: int, columns: Columns, body: Body) -> int:
        """Return how many of `extent` rows a tile has."""
        if self.choices.tile_rows is None:
            most = self.most_rows(columns, body)
            return extent if extent <= most else _even_part(extent, most)
        longest = max(count(s.body) - 2 * _pairs(s.body) for s in _innermost(body))
        return max(1, min(self.choices.tile_rows, extent, MOST_STATEMENTS // longest))

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
        if self.choices.panels is not None:
            return max(1, min(self.choices.panels, fitting, whole))
        most = max(1, min(MOST_PANELS, fitting, whole))
        tasks = -(-whole // most) * _product(others)
        if rows.extent * tasks < LONG_TASK * self.wanted_tasks:  # too few to be cut as well
            most = max(1, min(most, whole * _product(others) // self.wanted_tasks))
        return _even_part(whole, most)

    @property
    def wanted_tasks(self) -> int:
        if self.target.cores < 2:
            return 1
        each = TASKS if self.choices.tasks is None else self.choices.tasks
        return max(1, min(each * self.target.cores, self.most_tasks))

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
            tiles = rows.extent // MOST_ROWS
            worth = self.packer.is_worth_copying(load, variables, offset, width, tiles)
            if offset.stride(inside) == 1 and not worth:
                continue
            total += panel_bytes(variables, offset, 1, load)
        return outermost.extent, total // max(1, outermost.extent)

    # --- tasks

    def block_rows(
        self,
        outer: list[LoopVariable],
        rows: LoopVariable,
        columns: Columns,
        body: Body,
        keeps_partial: bool,
    ) -> int:
        """Return how many rows one task has: few enough for the threads and for partial sums."""
        height = self.tile_rows(rows.extent, columns, body)
        size = self.choices.task_rows or self.near_rows(outer, rows, columns, body, height)
        if keeps_partial:
            sums = sum(columns.count * s.type.dtype.itemsize for s in _scratch(body))
            size = min(size, max(height, self.target.cache_bytes[1] // 4 // sums))
        if size >= rows.extent:
            return rows.extent
        size = max(1, size // height) * height
        even = (n for n in range(size, size // 2, -height) if rows.extent % n == 0)
        return next(even, size)

    def near_rows(
        self,
        outer: list[LoopVariable],
        rows: LoopVariable,
        columns: Columns,
        body: Body,
        height: int,
    ) -> int:
        wanted = -(-self.wanted_tasks // _product(outer))
        size = rows.extent
        if wanted > 1:
            size = max(REUSED * height, -(-rows.extent // wanted))
        if columns.panel.extent == 1:  # every panel reads all rows: let them stay near
            row_bytes, near = self.row_bytes(rows, body), self.target.cache_bytes[1] * 3 // 4
            size = min(size, max(near // row_bytes, 2 * REUSED * height))
        return size

    def row_bytes(self, rows: LoopVariable, body: Body) -> int:
        """Return how many bytes the serial loops load for each row."""
        total = 1
        for loops, load in self.packer.serial_loads(body):
            offset = self.packer.offset(load)
            if rows in offset.variables:
                total += panel_bytes(loops, offset, 1, load)
        return total

    # --- long serial loops, block by block

    def serial_block(
        self, rows: LoopVariable, lane: LoopVariable, width: int, body: Body
    ) -> int | None:
        """Return in blocks of which length the serial loop goes, if its panels do not fit whole.

        Two panels have to fit for rows to be read seldom; one will do where rows are few. What is
        read for a tile of rows has to stay near until the next panel reads it again.
        """
        extent, step = self.packed_column(rows, lane, width, body)
        if not step or not _is_simple(body):
            return None
        wish = self.choices.serial_block
        if wish is not None:
            return wish if 0 < wish < extent else None
        panel, fitting = extent * step * width, self.packer.budget(body)
        few_rows = rows.extent * self.row_bytes(rows, body) <= 2 * self.target.cache_bytes[1]
        length = extent
        if 2 * panel > fitting and not (few_rows and panel <= fitting):
            length = max(1, min(SERIAL_PANEL, fitting) // (step * width))
        length = min(length, self.near_iterations(rows, extent, body))
        if length == extent:
            return None
        blocks = -(-extent // length)
        even = (n for n in range(blocks, 2 * blocks) if extent % n == 0)
        return -(-extent // next(even, blocks))

    def near_iterations(self, rows: LoopVariable, extent: int, body: Body) -> int:
        """Return how many iterations of the serial loop read rows that stay near: all, or few.

        Adjacent rows lie in a cache line for each iteration (of a left operand that is transposed).
        Where the steps from one to the next are a large power of two, few lines stay in the cache.
        """
        near = extent
        for loops, load in self.packer.serial_loads(body):
            offset = self.packer.offset(load)
            step = offset.stride(loops[0]) if len(loops) == 1 else None
            if step and offset.stride(rows) == 1:
                gap = math.gcd(abs(step) * load.result.dtype.itemsize, CACHE_WAYS[1])
                lines = self.target.cache_bytes[1] // max(LINE, gap)
                if extent > lines:
                    near = min(near, max(1, lines // 2))  # beside the lines of the columns
        return near


def _pairs(body: Body) -> int:
    """Return how many pairs are made of loads, which are mostly copied as words before."""
    return sum(isinstance(s, Let) and s.op == "pair" for s in body)


def _innermost(body: Body) -> list[Loop]:
    """Return the loops in `body` that hold no loop."""
    loops = [s for s in statements(body) if isinstance(s, Loop)]
    return [s for s in loops if not any(isinstance(i, Loop) for i in statements(s.body))]


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
