"""Which buffers of a kernel may share memory: an `in` may be written over by an `out`.

That is so if every load of the `in` is followed, in the same block, by a store to the `out` at the
same place, and the kernel never loads the `out`. Since a kernel stores each element of an `out`
once, each element is then read before it is written, by the very iteration that writes it. It holds
for naive and for scheduled kernels; concatenations store at other places than they load from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from graphc.index import ZERO, Index, linearise
from graphc.kernel import Access, Buffer, Guard, Kernel, Load, Loop, Statement, Store


def replaceable_inputs(kernel: Kernel) -> frozenset[tuple[str, str]]:
    """Return the pairs (in, out) of buffers of one size and dtype that may be one memory."""
    accesses = _accesses(kernel)
    outs: dict[object, list[Buffer]] = defaultdict(list)  # by what a pair has in common
    for out in kernel.buffers:
        if out.access is Access.OUT:
            for block in {block for _, block, _, _ in accesses[out.name]}:
                outs[out.type.size, out.type.dtype, block].append(out)
    pairs = set()
    for source in kernel.buffers:
        if source.access is Access.IN and (loads := accesses[source.name]):
            for out in outs[source.type.size, source.type.dtype, loads[0][1]]:
                if _reads_before(loads, accesses[out.name]):
                    pairs.add((source.name, out.name))
    return frozenset(pairs)


_Accesses = list[tuple[bool, int, int, Index]]  # is it a store, the block, the statement, the place


def _reads_before(source: _Accesses, out: _Accesses) -> bool:
    """Return whether every load of the source stands before a store to the out at its place."""
    if not all(is_store for is_store, _, _, _ in out):
        return False
    return all(
        any(b == block and at > statement and p - place == ZERO for _, b, at, p in out)
        for _, block, statement, place in source
    )


def _accesses(kernel: Kernel) -> dict[str, _Accesses]:
    shapes = {buffer.name: buffer.type.shape for buffer in kernel.buffers}
    found: dict[str, _Accesses] = {name: [] for name in shapes}
    for number, block in enumerate(_blocks(kernel.body)):
        for position, statement in enumerate(block):
            if isinstance(statement, Load | Store) and statement.buffer in shapes:
                place = linearise(statement.indices, shapes[statement.buffer])
                is_store = isinstance(statement, Store)
                count = 1 if isinstance(statement, Store) else statement.count
                found[statement.buffer] += [
                    (is_store, number, position, place + n) for n in range(count)
                ]
    return found


def _blocks(body: tuple[Statement, ...]) -> Iterator[tuple[Statement, ...]]:
    pending = [body]
    while pending:
        block = pending.pop()
        yield block
        pending.extend(s.body for s in block if isinstance(s, Loop | Guard))
