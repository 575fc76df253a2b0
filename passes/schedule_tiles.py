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

from graphc.index import LoopVariable, as_index
from graphc.kernel import (
    Load,
    Loop,
    LoopKind,
    Statement,
)
from graphc.passes.loop_analysis import Shapes, nest
from graphc.passes.rewrite_statements import Body, Names, copy, substitute
from graphc.passes.schedule_panels import Columns, Packer
from graphc.passes.schedule_prefetch import prefetch_columns
from graphc.passes.schedule_serial_blocks import in_serial_blocks
from graphc.passes.tile_model import TileModel
from graphc.passes.transform_loops import enclose, over
from graphc.passes.unroll_and_jam import unroll_and_jam
from graphc.schedule_choices import MODEL, ScheduleChoices
from graphc.target import Target

SCALAR_ROWS = 8  # rows that hide the latency of an addition


class Tiler:
    """Makes register tiles for one kernel."""

    def __init__(
        self,
        target: Target,
        names: Names,
        shapes: Shapes,
        most_tasks: int,
        choices: ScheduleChoices = MODEL,
    ) -> None:
        """`most_tasks` is how many tasks the work of the nest is worth."""
        self.target, self.names, self.shapes = target, names, shapes
        self.packer = Packer(names, shapes, target, choices)
        self.model = TileModel(target, self.packer, most_tasks, choices)

    def nests(self, others: list[LoopVariable], lane: LoopVariable, body: Body) -> Body | None:
        """Return nests of tiles for `body` in independent loops over `others` and `lane`.

        Loops over `others` and panels are parallel. None where tiles are of no use.
        """
        if not any(isinstance(s, Loop) for s in body):
            return None
        rows = self.model.row_variable(others, lane, body)
        if rows is None:
            return self.scalar_rows(others, lane, body) if self.model.jumps(lane, body) else None
        others = [v for v in others if v != rows]
        width = self.model.width(lane, rows, body)
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
        together = self.model.panels_together(others, rows, lane, width, body)
        block = self.names.variable(lane, -(-whole // together))
        panel = self.names.variable(lane, together)
        number = as_index(block) * together + as_index(panel)
        exists = (number, as_index(whole)) if whole % together else None
        outer = [block] if block.extent > 1 else []
        columns = Columns(outer, panel, inside, width, exists)
        main = substitute(body, {lane: number * width + as_index(inside)})
        return self.panels(others, rows, columns, main)

    # --- panels

    def panels(
        self, others: list[LoopVariable], rows: LoopVariable, columns: Columns, body: Body
    ) -> Body:
        """Return nests over `others`, a panel of columns and blocks of rows, in them the tiles."""
        outer = [*others, *columns.outer]
        block_length = self.model.serial_block(rows, columns.lane, columns.lane.extent, body)
        body = self.packer.predicate(columns, body)
        size = self.model.block_rows(outer, rows, columns, body, block_length is not None)
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

    def tiles(self, rows: LoopVariable, columns: Columns, body: Body) -> Body:
        """Return the copies of panels and the loop over tiles of rows."""
        height = self.model.tile_rows(rows.extent, columns, body)
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
