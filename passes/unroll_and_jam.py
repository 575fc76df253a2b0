"""Unroll-and-jam: copies of an independent loop's body that share its inner serial loops.

What stands in the body becomes a run of unrolled copies, its serial loops run once for all of them,
with the copies inside, and what is the same for all is computed once before them. So that code
stays short, a run that would be long stays a loop; then what it takes from the accumulators is
taken out before it, in an unrolled run of its own, and they can still live in registers.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.index import LoopVariable
from graphc.kernel import Load, Loop, LoopKind, Scratch, Statement
from graphc.passes.loop_analysis import count
from graphc.passes.rewrite_statements import Body, Names
from graphc.passes.transform_loops import distribute, hoist, over, sink

MOST_STATEMENTS = 64  # that are unrolled in one place


def unroll_and_jam(rows: LoopVariable, body: Body, names: Names) -> Body:
    """Return `body` for all iterations of `rows`. Law: they are independent."""
    if rows.extent == 1:
        return over(rows, LoopKind.SERIAL, body)
    *before, inside = hoist(Loop(rows, LoopKind.PARALLEL, body))
    assert isinstance(inside, Loop)
    arrays, loops = distribute(inside, _cut(inside.body), names)
    done: list[Statement] = [*before, *arrays]
    for loop in loops:
        done.extend(_unroll_inside(sink(loop), rows))
    return tuple(done)


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
