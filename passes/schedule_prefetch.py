"""Prefetches: while a task goes over its rows, what the next task begins with is on its way.

The columns that a task of a sum of products reads come from far and are read once by each task, row
by row of the serial loop. The task before has many tiles of rows to go over meanwhile: spread over
its innermost iterations, it asks for one cache line after the other of the columns beside its own.
A prefetch means nothing, so no bit of any result changes.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.index import LoopVariable, as_index
from graphc.kernel import LINE, Load, Loop, Prefetch
from graphc.passes.rewrite_statements import Body
from graphc.passes.schedule_panels import Columns


def prefetch_columns(
    body: Body, load: Load, tile: LoopVariable, serial: LoopVariable, columns: Columns
) -> Body:
    """Return the loops over `tile` in `body` with a prefetch in each iteration of `serial`.

    Law: `load` reads adjacent elements along the columns, at places that `tile` does not move. The
    columns of the next iteration of the innermost loop outside are asked for; where there is none,
    or a line is due more often than once an iteration, nothing is.
    """
    row_lines = -(-columns.count * load.result.dtype.itemsize // LINE)
    rounds = tile.extent * columns.panel.extent
    if not columns.outer or rounds < row_lines:
        return body
    iterations = rounds // row_lines  # for each line
    done = as_index(tile) * columns.panel.extent + as_index(columns.panel)
    done = done * serial.extent + as_index(serial)
    line = done // iterations
    elements = LINE // load.result.dtype.itemsize
    next_task = columns.outer[-1]
    places = {
        next_task: as_index(next_task) + 1,
        columns.panel: as_index(0),
        columns.lane: line % row_lines * elements,
        serial: line // row_lines,
    }
    prefetch = Prefetch(load.buffer, tuple(i.substitute(places) for i in load.indices), 2)
    return _at_head(body, serial, prefetch)


def _at_head(body: Body, variable: LoopVariable, statement: Prefetch) -> Body:
    """Return `body` with `statement` at the head of every loop over `variable`."""
    done = []
    for s in body:
        if isinstance(s, Loop):
            inside = _at_head(s.body, variable, statement)
            s = replace(s, body=(statement, *inside) if s.variable == variable else inside)
        done.append(s)
    return tuple(done)
