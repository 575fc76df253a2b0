"""Transposes by way of blocks: large matrices of which the last cache holds both forms.

    for blocks of columns                       (parallel, by graphc.passes.schedule)
      where in a line of the caches the matrix begins
      for strips of rows of the result, each a line of what is read
        scratch block[rows of the strip, columns of the block]
        for squares of the block { columns vector { rows unrolled { body, into the block } } }
        for rows of the strip { for columns of the block vector { result = block } }

Squares alone write a line here and a line there, which no processor foresees, and lines that are a
power of two apart share few places in the caches. A block gives each row of the result in a piece
of several lines; and each line of what is read is read once and as a whole, since the strips begin
where lines do, wherever the matrix lies. The strips at both ends are moved inside, so that some
rows are computed twice, by one task and to the same numbers. No bit changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphc.dtypes import bool_, int64
from graphc.index import Index, LoopVariable, ValueAtom, as_index
from graphc.kernel import (
    LINE,
    IndexValue,
    Let,
    Load,
    Loop,
    LoopKind,
    Misalignment,
    Scope,
    Scratch,
    Store,
    Value,
)
from graphc.passes.loop_analysis import Shapes, offset_of
from graphc.passes.rewrite_statements import Body, Names, rewrite, substitute
from graphc.passes.transform_loops import over
from graphc.tensor_type import TensorType

SQUARES = 4  # of a block, side by side: the lines of a piece of the result


@dataclass(frozen=True)
class _Strip:
    """A strip of rows of the result, from `start` on, and the columns of one block from `first` on.

    `lane` is the loop over all columns, `crossing` the variable of all rows; a square has `columns`
    and `rows`.
    """

    lane: Loop
    crossing: LoopVariable
    columns: int
    rows: int
    first: Index
    start: Index
    names: Names

    @property
    def place(self) -> tuple[LoopVariable, LoopVariable, LoopVariable]:
        """New variables: a square of the block, a column of the square, a row of the strip."""
        names, columns = self.names, self.lane.variable
        return (
            names.variable(columns, SQUARES),
            names.variable(columns, self.columns),
            names.variable(self.crossing, self.rows),
        )

    def computed(self, blocks: dict[str, Scratch]) -> Body:
        """Return the squares, whose stores go into `blocks`."""
        square, column, row = self.place
        inside = as_index(square) * self.columns + as_index(column)

        def redirect(access: Load | Store) -> Load | Store:
            if isinstance(access, Load):
                return access
            indices = (as_index(row), inside)
            return replace(access, buffer=blocks[access.buffer].name, indices=indices)

        place = {self.lane.variable: self.first + inside, self.crossing: self.start + as_index(row)}
        body = rewrite(substitute(self.lane.body, place), memory=redirect)
        body = over(row, LoopKind.UNROLLED, body)
        return over(square, LoopKind.SERIAL, over(column, LoopKind.VECTOR, body))

    def written(self, store: Store, block: Scratch) -> Body:
        """Return the loops that write the rows of a block where `store` would."""
        square, column, row = self.place
        inside = as_index(square) * self.columns + as_index(column)
        place = {self.lane.variable: self.first + inside, self.crossing: self.start + as_index(row)}
        value = self.names.value(store.value)
        load = Load(value, block.name, (as_index(row), inside))
        (moved,) = substitute((replace(store, value=value),), place)
        vectors = over(square, LoopKind.UNROLLED, over(column, LoopKind.VECTOR, (load, moved)))
        return over(row, LoopKind.SERIAL, vectors)


def transpose_blocks(
    crossing: LoopVariable, lane: Loop, square: tuple[int, int], shapes: Shapes, tasks: int,
    names: Names,
) -> Body | None:  # fmt: skip
    """Return the nest of a matrix, transposed by way of blocks; None where its lines forbid it.

    Law: the loops over `crossing` and `lane` are independent, and all there are. The columns of
    `square` are a line of what is written, its rows lie side by side in what is read. None too
    where there would be fewer blocks than `tasks`.
    """
    columns, rows = square
    width = SQUARES * columns
    source = _source(crossing, lane, shapes)
    stores = [s for s in lane.body if isinstance(s, Store)]
    is_even = lane.variable.extent % width == 0 and crossing.extent >= 2 * rows
    is_wide = lane.variable.extent >= tasks * width
    if source is None or not (is_even and is_wide) or any(s.where is not None for s in stores):
        return None
    task = names.variable(lane.variable, lane.variable.extent // width)
    line = LINE // source.result.dtype.itemsize
    strips = names.variable(crossing, -(-(crossing.extent - rows + line - 1) // rows) + 1)
    skew = Value(names.fresh("skew"), int64)
    wanted = as_index(strips) * rows - as_index(ValueAtom(skew.name, 0, line - 1))
    found, start = _clamped(wanted, crossing.extent - rows, names)
    strip = _Strip(lane, crossing, columns, rows, as_index(task) * width, start, names)
    blocks = {
        s.buffer: Scratch(
            names.fresh("block"), TensorType((rows, width), s.value.dtype), Scope.CACHE
        )
        for s in stores
    }
    written = tuple(s for store in stores for s in strip.written(store, blocks[store.buffer]))
    body = (*found, *blocks.values(), *strip.computed(blocks), *written)
    inside = (Misalignment(skew, source.buffer), *over(strips, LoopKind.SERIAL, body))
    return (Loop(task, LoopKind.PARALLEL, inside),)


def _source(crossing: LoopVariable, lane: Loop, shapes: Shapes) -> Load | None:
    """Return the load of rows that all begin at one place in a line, that of its buffer."""
    for load in (s for s in lane.body if isinstance(s, Load) and s.buffer in shapes):
        offset, line = offset_of(load, shapes), LINE // load.result.dtype.itemsize
        apart = offset.stride(lane.variable)
        if load.count == 1 and offset.stride(crossing) == 1 and apart and apart % line == 0:
            return load if offset.constant % line == 0 and not offset.values else None
    return None


def _clamped(wanted: Index, most: int, names: Names) -> tuple[Body, Index]:
    """Return the statements that move an index into 0 … `most`, and what it is then."""
    given, low, high = (Value(names.fresh("start"), int64) for _ in range(3))
    zero, last = (Value(names.fresh("end"), int64) for _ in range(2))
    below, above = (Value(names.fresh("is_outside"), bool_) for _ in range(2))
    return (
        IndexValue(given, wanted),
        Let(zero, "literal", (), 0),
        Let(last, "literal", (), most),
        Let(below, "lt", (given, zero)),
        Let(low, "select", (below, zero, given)),
        Let(above, "lt", (last, low)),
        Let(high, "select", (above, last, low)),
    ), as_index(ValueAtom(high.name, 0, most))
