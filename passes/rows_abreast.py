"""Rows abreast: several short rows that are reduced go through the passes over a row together.

    for rows by two parallel
      what is summed of the first row; what is summed of the second
      the lanes of the first sum are combined; those of the second
      results of the first row; of the second

Lanes are combined in steps that wait for one another, and what follows waits for the last one. A
processor meanwhile works on the pass that stands next in the code: with the other row's there, it
need not wait. Rows are independent, so statements of different rows may stand in any order, and no
bit changes. Long rows, for which the wait is nothing, stay as they are, and so do rows that are
reduced once: nothing waits for their sums, and two rows at once are read more slowly than one.
"""

from __future__ import annotations

from graphc.index import as_index
from graphc.kernel import Loop, LoopKind, Scope, Scratch, statements
from graphc.passes.loop_analysis import work
from graphc.passes.rewrite_statements import Body, Names, copy, substitute
from graphc.passes.transform_loops import over
from graphc.target import Target

ABREAST = 2  # rows together; four were slower
FEWEST = 16  # rows for each core
MOST_WORK = 64_000  # scalar operations of a row: beyond, the wait is one part in a hundred


def rows_abreast(rows: Loop, target: Target, names: Names) -> Body:
    """Return the loop over `rows`, by several rows where that helps. Law: it is independent."""
    if rows.variable.extent % ABREAST or not _has_short_rows(rows, target):
        return (rows,)
    outer = names.variable(rows.variable, rows.variable.extent // ABREAST)
    copies = [
        substitute(copy(rows.body, names), {rows.variable: as_index(outer) * ABREAST + row})
        for row in range(ABREAST)
    ]
    return over(outer, rows.kind, tuple(s for group in zip(*copies, strict=True) for s in group))


def _has_short_rows(rows: Loop, target: Target) -> bool:
    """Return whether many rows are reduced in lanes, more than once and each in a short time."""
    scratch = [s for s in statements(rows.body) if isinstance(s, Scratch)]
    reductions = sum(s.scope is Scope.REGISTER and s.type.shape != () for s in scratch)
    kept = sum(s.type.nbytes for s in scratch if s.scope is not Scope.REGISTER)
    return (
        reductions > 1
        and rows.kind is LoopKind.PARALLEL
        and rows.variable.extent >= FEWEST * target.cores
        and work(rows.body) <= MOST_WORK
        and ABREAST * kept <= target.cache_bytes[0] // 2
    )
