"""Transposes: squares of a matrix that is read along one axis and written along another.

    for blocks of columns                       (parallel, by graphc.passes.schedule)
      for the other loops
        for blocks of rows
          for columns of the block vector { for rows of the block unrolled { body } }

The vectors go along what is written. What is read lies apart there, but side by side over the
unrolled rows, so that a backend may read whole rows of the square and turn them in registers.
Nothing depends on its doing so. The iterations are independent, so no bit changes.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.index import Index, LoopVariable
from graphc.kernel import LINE, Load, Loop, LoopKind, Store
from graphc.passes.loop_analysis import Shapes, accesses, holds, nest
from graphc.passes.rewrite_statements import Body, Names
from graphc.passes.transform_loops import enclose, split, split_off_tail, vectorise
from graphc.target import Target

MOST_ROWS = 16  # of a square: each is a register
FEWEST_ROWS = 4
SIDE = 2  # squares of a block, if nothing lies between them


def square_of(
    lane: LoopVariable, crossing: LoopVariable, body: Body, shapes: Shapes, target: Target
) -> tuple[int, int] | None:
    """Return how many columns over `lane` and rows over `crossing` a square has.

    None where `body` reads nothing that way, or is more than elementwise.
    """
    if any(holds(body, kind) for kind in LoopKind):
        return None

    def turns(load: Load, offset: Index) -> bool:
        is_apart = offset.stride(lane) not in (None, -1, 0, 1)
        return is_apart and offset.stride(crossing) == 1 and load.where is None

    found = list(accesses(body, shapes))
    written = [a.value.dtype for a, o in found if isinstance(a, Store) and o.stride(lane) == 1]
    turned = [a.result.dtype for a, o in found if isinstance(a, Load) and turns(a, o)]
    if not turned or len(written) < sum(isinstance(a, Store) for a, _ in found):
        return None
    size = max(dtype.itemsize for dtype in (*written, *turned))
    rows = min(MOST_ROWS, target.lanes(size), _power_of_two(crossing.extent))
    columns = min(2 * rows, LINE // size)
    if rows < FEWEST_ROWS or lane.extent < columns:
        return None
    return columns, rows


def _power_of_two(extent: int) -> int:
    return 1 << extent.bit_length() - 1


def transpose_squares(
    others: list[LoopVariable], crossing: LoopVariable, lane: Loop, square: tuple[int, int],
    names: Names,
) -> tuple[Body, list[tuple[LoopVariable, Loop]]]:  # fmt: skip
    """Return the nest of all whole squares, and pairs of loops, crossing and lane, that are left.

    Law: all the loops are independent, `lane` holds none, and has a square's columns at least.
    """
    columns, rows = square
    first, last = split_off_tail(lane, columns, names)
    assert first is not None
    rest = [] if last is None else [(crossing, last)]
    whole, edge = split_off_tail(Loop(crossing, LoopKind.PARALLEL, first.body), rows, names)
    assert whole is not None
    if edge is not None:
        rest.append((edge.variable, Loop(first.variable, first.kind, edge.body)))
    blocks = split(whole, rows, names, LoopKind.UNROLLED)
    body = vectorise(
        Loop(first.variable, first.kind, blocks.body), columns, names, LoopKind.PARALLEL
    )
    inner = [blocks.variable] if blocks.variable.extent > 1 else []
    (vector,) = body
    if not isinstance(vector, Loop) or vector.kind is LoopKind.VECTOR:
        return enclose(nest([*others, *inner], body), names), rest
    if not others and inner and not vector.variable.extent % SIDE and not inner[0].extent % SIDE:
        return _two_by_two(vector, inner[0], names), rest
    return nest([vector.variable, *others, *inner], vector.body), rest


def _two_by_two(along: Loop, across: LoopVariable, names: Names) -> Body:
    """Return the squares of a matrix in blocks of two by two, two lines side by side at a time."""
    columns = split(replace(along, body=(Loop(across, along.kind, along.body),)), SIDE, names)
    (column,) = columns.body
    assert isinstance(column, Loop) and isinstance(column.body[0], Loop)
    rows = split(column.body[0], SIDE, names)
    (row,) = rows.body
    assert isinstance(row, Loop)
    order = [columns.variable, rows.variable, row.variable, column.variable]
    return nest(order, row.body)
