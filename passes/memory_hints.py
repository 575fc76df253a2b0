"""Hints for what is too large to stay in the caches: stores past them, and prefetches.

A store to memory that no cache holds first reads the line that it writes, and pushes others out; a
load waits for the memory wherever the processor did not foresee it, as at the beginning of pages.
Where a kernel goes over more bytes than may be in the last cache, its large outputs will not be
found there afterwards, whoever reads them, and its large inputs come from memory: the former are
stored past the caches, which saves a third of the traffic of a copy, and what is read once is
prefetched.
Smaller memory stays as it is, since it may well be in a cache, and so does what is read again and
again; a kernel that only reads, as sums do, has nothing else to wait for than the last cache, and
asks it earlier too. Only hints are set: which of them can be followed is the backend's business,
and no bit changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from graphc.index import Index, linearise
from graphc.kernel import (
    Access,
    Buffer,
    Guard,
    Kernel,
    Load,
    Loop,
    LoopKind,
    Prefetch,
    Statement,
    Store,
    statements,
)
from graphc.passes.fetch_next_rows import fetch_next_rows
from graphc.passes.rewrite_statements import Body, rewrite
from graphc.target import Target

AHEAD = 8 * 1024  # bytes between what is loaded and what is fetched meanwhile
CACHED = 0.75  # of the last cache, which others use too
_MOST_OFTEN = 2  # times that each element may be loaded by what fetches it


def add_memory_hints(kernel: Kernel, target: Target) -> Kernel:
    """Return `kernel`, in the scheduled form, with hints for its large buffers."""
    _, second, last = target.cache_bytes
    gathered = _gathered(kernel.body)
    whole = [b for b in kernel.buffers if b.name not in gathered]
    total = sum(b.type.nbytes for b in whole)
    if total <= target.cores * second:
        return kernel
    large = {b.name: b for b in whole if b.type.nbytes > target.cores * second}
    body: list[Statement] = []
    if total > last * CACHED:
        for nest in kernel.body:
            body.extend(_with_hints((nest,), large))
        return kernel.with_body(tuple(body))
    if not large or any(b.access is not Access.IN for b in large.values()):
        return fetch_next_rows(kernel)
    for nest in kernel.body:
        body.extend(_with_prefetches((nest,), _first_loads((nest,), large)))
    return kernel.with_body(tuple(body))


def _gathered(body: Body) -> set[str]:
    """Return the buffers of which an unknown part is accessed, at places that are values."""
    return {
        s.buffer
        for s in statements(body)
        if isinstance(s, Load | Store) and any(i.values for i in s.indices)
    }


def _with_hints(nest: Body, large: dict[str, Buffer]) -> Body:
    loaded = {s.buffer for s in statements(nest) if isinstance(s, Load)}
    written = {n for n, b in large.items() if b.access is Access.OUT} - loaded
    first = _first_loads(nest, large)

    def mark(access: Load | Store) -> Load | Store:
        if isinstance(access, Load):
            return access
        return replace(access, is_streaming=access.is_streaming or access.buffer in written)

    return _with_prefetches(rewrite(nest, memory=mark), first)


def _with_prefetches(body: Body, first: set[str]) -> Body:
    """Return `body` with a prefetch of what lies `AHEAD` before each of the loads `first`."""
    done: list[Statement] = []
    for s in body:
        if isinstance(s, Loop | Guard):
            s = replace(s, body=_with_prefetches(s.body, first))
        elif isinstance(s, Load) and s.result.name in first:
            further = s.indices[-1] + AHEAD // s.result.dtype.itemsize
            done.append(Prefetch(s.buffer, (*s.indices[:-1], further), 1))
        done.append(s)
    return tuple(done)


def _first_loads(nest: Body, large: dict[str, Buffer]) -> set[str]:
    """Return the results of the loads that go first over a large input, adjacent elements each."""
    seen: set[str] = set()
    found: set[str] = set()
    for load, loops in _loads(nest):
        buffer = large.get(load.buffer)
        if buffer is None or buffer.access is not Access.IN or load.buffer in seen:
            continue
        seen.add(load.buffer)
        offset = linearise(load.indices, buffer.type.shape)
        times = 1
        for loop in loops:
            times *= loop.variable.extent
        if (
            _goes_on_evenly(offset, loops)
            and load.where is None
            and times <= _MOST_OFTEN * buffer.type.size
        ):
            found.add(load.result.name)
    return found


def _goes_on_evenly(offset: Index, loops: tuple[Loop, ...]) -> bool:
    """Return whether the innermost loop goes over adjacent elements or adjacent vectors."""
    inner = loops[-1]
    if inner.kind is LoopKind.VECTOR:
        return offset.stride(inner.variable) == 1
    if len(loops) < 2 or loops[-2].kind is not LoopKind.VECTOR:
        return False
    lane = loops[-2].variable
    return offset.stride(lane) == 1 and offset.stride(inner.variable) == lane.extent


def _loads(body: Body) -> Iterator[tuple[Load, tuple[Loop, ...]]]:
    """Yield each load in order of the text, with the loops around it."""
    pending: list[tuple[Statement, tuple[Loop, ...]]] = [(s, ()) for s in reversed(body)]
    while pending:
        statement, loops = pending.pop()
        if isinstance(statement, Load):
            yield statement, loops
        elif isinstance(statement, Loop):
            pending.extend((s, (*loops, statement)) for s in reversed(statement.body))
        elif isinstance(statement, Guard):
            pending.extend((s, loops) for s in reversed(statement.body))
