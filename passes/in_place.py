"""Which buffers of a kernel may share memory: an `in` may be written over by an `out` where they stand.

That is so if the `out` is stored by one statement only and every load of the `in` stands before it, in
the same block and at the same place; then each element is read before it is written, by the very
iteration that writes it.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphc.index import Index, linearise
from graphc.kernel import Access, Guard, Kernel, Load, Loop, Statement, Store


def replaceable_inputs(kernel: Kernel) -> frozenset[tuple[str, str]]:
    """Return the pairs (in, out) of buffers of one size and dtype that may be one memory."""
    accesses = _accesses(kernel)
    pairs = set()
    for out in kernel.buffers:
        for source in kernel.buffers:
            fits = out.access is Access.OUT and source.access is Access.IN
            same = (out.type.size, out.type.dtype) == (source.type.size, source.type.dtype)
            if fits and same and _reads_before(accesses[source.name], accesses[out.name]):
                pairs.add((source.name, out.name))
    return frozenset(pairs)


_Accesses = list[tuple[bool, int, int, Index]]  # is it a store, the block, the statement, the place


def _reads_before(source: _Accesses, out: _Accesses) -> bool:
    """Return whether every load of the source stands right before the only store of the out."""
    if len(out) != 1:
        return False
    _, block, statement, place = out[0]
    return all(b == block and s < statement and p == place for _, b, s, p in source)


def _accesses(kernel: Kernel) -> dict[str, _Accesses]:
    shapes = {buffer.name: buffer.type.shape for buffer in kernel.buffers}
    found: dict[str, _Accesses] = {name: [] for name in shapes}
    for number, block in enumerate(_blocks(kernel.body)):
        for position, statement in enumerate(block):
            if isinstance(statement, Load | Store) and statement.buffer in shapes:
                place = linearise(statement.indices, shapes[statement.buffer])
                is_store = isinstance(statement, Store)
                found[statement.buffer].append((is_store, number, position, place))
    return found


def _blocks(body: tuple[Statement, ...]) -> Iterator[tuple[Statement, ...]]:
    pending = [body]
    while pending:
        block = pending.pop()
        yield block
        pending.extend(s.body for s in block if isinstance(s, Loop | Guard))
