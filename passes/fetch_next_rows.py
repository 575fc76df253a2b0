"""Fetching the next row: while the last pass over a row runs, the row that follows is asked for.

A kernel with reductions goes over each row several times; its first pass waits for the row to come
from a cache far away, and the later ones, which compute most, leave that cache idle. So the last
pass that reads a row asks for the next one, and for the lines that the kernel will write for it.
Only hints are set, for what does not stay in the cores' own caches; no bit changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from graphc.index import Index, LoopVariable, as_index, linearise
from graphc.kernel import Access, Guard, Kernel, Load, Loop, LoopKind, Prefetch, Statement, Store
from graphc.kernel import statements as all_statements
from graphc.passes.rewrite_statements import Body


def fetch_next_rows(kernel: Kernel) -> Kernel:
    """Return `kernel`, in the scheduled form, with prefetches of what its next rows need."""
    return kernel.with_body(tuple(_in_nest(kernel, s) for s in kernel.body))


def _in_nest(kernel: Kernel, nest: Statement) -> Statement:
    """Return `nest` with prefetches in the innermost loop that holds all of a row's passes."""
    if not isinstance(nest, Loop):
        return nest
    if len(nest.body) == 1:
        return replace(nest, body=(_in_nest(kernel, nest.body[0]),))
    last = _last_of_several(kernel, nest)
    written = {s.buffer for s in all_statements(nest.body) if isinstance(s, Store)}
    shapes = {b.name: b.type.shape for b in kernel.buffers}
    outputs = [b.name for b in kernel.buffers if b.access is Access.OUT and b.name in written]

    def prefetches(load: Load) -> Body:
        if load.result.name not in last:
            return ()
        row = as_index(nest.variable) + 1
        place = tuple(i.substitute({nest.variable: row}) for i in load.indices)
        like = [name for name in outputs if shapes[name] == shapes[load.buffer]]
        return tuple(Prefetch(name, place, 1) for name in (load.buffer, *like))

    return replace(nest, body=tuple(_before_loads(nest.body, prefetches)))


def _before_loads(body: Body, prefetches: Callable[[Load], Body]) -> Iterator[Statement]:
    for s in body:
        if isinstance(s, Load):
            yield from prefetches(s)
        if isinstance(s, Loop | Guard):
            s = replace(s, body=tuple(_before_loads(s.body, prefetches)))
        yield s


def _last_of_several(kernel: Kernel, rows: Loop) -> set[str]:
    """Return the last loads of rows that several passes inside `rows` read, by their results."""
    shapes = {b.name: b.type.shape for b in kernel.buffers if b.access is Access.IN}
    passes: dict[tuple[str, Index], list[str]] = {}
    for load, lane in _vector_loads(rows.body, None):
        if load.buffer not in shapes or load.where is not None or lane is None:
            continue
        offset = linearise(load.indices, shapes[load.buffer])
        if offset.values or offset.stride(lane) != 1 or offset.stride(rows.variable) in (0, None):
            continue
        inner = {v: as_index(0) for v in offset.variables - {rows.variable}}
        passes.setdefault((load.buffer, offset.substitute(inner)), []).append(load.result.name)
    return {loads[-1] for loads in passes.values() if len(loads) > 1}


def _vector_loads(
    body: Body, lane: LoopVariable | None
) -> Iterator[tuple[Load, LoopVariable | None]]:
    for s in body:
        if isinstance(s, Load):
            yield s, lane
        elif isinstance(s, Loop):
            inside = s.variable if s.kind is LoopKind.VECTOR else lane
            yield from _vector_loads(s.body, inside)
        elif isinstance(s, Guard):
            yield from _vector_loads(s.body, lane)
