"""Long serial loops of register tiles, block by block, so that the panels of a block stay near.

    scratch partial[rows, columns]                what stands before the loop, kept here
    for blocks of the serial loop                 tiles that go on from what is kept, and keep it
    for rows { for columns }                      what stands after the loop

The order of the serial loop stays, and an accumulator comes back as it was left, so no bit changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from graphc.index import LoopVariable, as_index
from graphc.kernel import Load, Loop, LoopKind, Scope, Scratch, Statement, Store, Value
from graphc.passes.rewrite_statements import Body, Names, copy, substitute
from graphc.passes.schedule_panels import Columns
from graphc.passes.transform_loops import over

MakeTiles = Callable[[LoopVariable, Columns, Body], Body]


def in_serial_blocks(
    rows: LoopVariable,
    columns: Columns,
    body: Body,
    length: int,
    names: Names,
    tiles: MakeTiles,
) -> Body:
    """Return `tiles` of `rows` and `columns` for each block of `length` iterations of the loop.

    Law: the rows are independent; `body` holds one loop, and before it only values and scalar
    accumulators.
    """
    (loop,) = (s for s in body if isinstance(s, Loop))
    before, after = body[: body.index(loop)], body[body.index(loop) + 1 :]
    pure = tuple(s for s in before if not isinstance(s, Scratch | Store))
    declared = tuple(s for s in before if isinstance(s, Scratch))
    partial = _partial_sums(declared, rows, columns, names)
    place = tuple(map(as_index, (rows, *columns.place)))
    take: list[Statement] = []
    keep: list[Statement] = []
    for scratch, array in zip(declared, partial, strict=True):
        old, new = (Value(names.fresh("sum"), scratch.type.dtype) for _ in range(2))
        take += [Load(old, array.name, place), Store(scratch.name, (), old)]
        keep += [Load(new, scratch.name, ()), Store(array.name, place, new)]
    done: list[Statement] = list(partial)
    done.extend(_row_by_row(rows, columns, (*before, *keep), names))
    for block, inner in _pieces(loop, length, names):
        inside = (*pure, *declared, *take, inner, *keep)
        within = replace(columns, outer=[block] if block.extent > 1 else [])
        done.extend(over(block, LoopKind.SERIAL, tiles(rows, within, copy(inside, names))))
    done.extend(_row_by_row(rows, columns, (*before, *take, *after), names))
    return tuple(done)


def _partial_sums(
    accumulators: tuple[Scratch, ...], rows: LoopVariable, columns: Columns, names: Names
) -> tuple[Scratch, ...]:
    """Return an array for each accumulator, with an element for each row and column."""
    shape = (rows.extent, *(v.extent for v in columns.place))
    return tuple(
        Scratch(names.fresh("partial"), s.type.with_shape(shape), Scope.CACHE) for s in accumulators
    )


def _pieces(loop: Loop, length: int, names: Names) -> list[tuple[LoopVariable, Loop]]:
    """Return `loop` as a loop over blocks of `length` iterations and one over the rest."""
    whole, rest = divmod(loop.variable.extent, length)
    found = []
    for blocks, extent, start in ((whole, length, 0), (1, rest, whole * length)):
        block, inside = (names.variable(loop.variable, n) for n in (blocks, extent))
        index = as_index(block) * length + as_index(inside) + start
        if blocks and extent:
            body = substitute(loop.body, {loop.variable: index})
            found.append((block, Loop(inside, loop.kind, body)))
    return found


def _row_by_row(rows: LoopVariable, columns: Columns, body: Body, names: Names) -> Body:
    """Return a copy of `body` for one row after the other, in vectors."""
    vector = over(columns.lane, LoopKind.VECTOR, copy(body, names))
    return over(rows, LoopKind.SERIAL, columns.each(vector))
