"""Which buffers of a kernel may share memory: an `in` may be written over by an `out`.

That is so if the kernel never loads the `out`, and no element of it is stored before the last load
of that element of the `in`. A kernel stores each element of an `out` once. So a load is harmless
that is followed, in the same block, by a store at the same place: no other store comes to it. It is
harmless also beside a store that stands behind it inside the loops around both, where an element
belongs to one iteration of these (rows that are read several times before they are written), or
that comes to the element some iterations later (passes abreast), and beside a store to other
elements. Both hold for naive and for scheduled kernels. The iterations of
the loops of a device run in no order, so that there the first rule alone counts; concatenations
store at other places than they load from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from graphc.dtypes import DType
from graphc.index import ZERO, Index, LoopVariable, linearise
from graphc.kernel import Access, Buffer, Guard, Kernel, Load, Loop, LoopKind, Statement, Store

_UNORDERED = (LoopKind.GROUP, LoopKind.ITEM)

# The way to a statement: its number in each block around it, and the loop or guard that it is.
_Path: TypeAlias = tuple[tuple[int, Statement], ...]


@dataclass(frozen=True, slots=True)
class _Use:
    """A load or a store of one element of a buffer, by its place in the whole array."""

    path: _Path
    place: Index

    @property
    def loops(self) -> list[Loop]:
        return [s for _, s in self.path if isinstance(s, Loop)]


@dataclass(slots=True)
class _Uses:
    loads: list[_Use]
    stores: list[_Use]


def replaceable_inputs(kernel: Kernel) -> frozenset[tuple[str, str]]:
    """Return the pairs (in, out) of buffers of one size and dtype that may be one memory."""
    uses = _uses(kernel)
    outs: dict[tuple[int, DType], list[Buffer]] = {}
    for buffer in kernel.buffers:
        if buffer.access is Access.OUT:
            outs.setdefault((buffer.type.size, buffer.type.dtype), []).append(buffer)
    return frozenset(
        (source.name, out.name)
        for source in kernel.buffers
        if source.access is Access.IN
        for out in outs.get((source.type.size, source.type.dtype), ())
        if _reads_before(uses[source.name].loads, uses[out.name])
    )


def _reads_before(loads: list[_Use], out: _Uses) -> bool:
    """Return whether no store comes before a load of the same element."""
    if not loads or out.loads:
        return False
    return all(
        any(_meet(load, store) for store in out.stores)
        or all(_is_harmless(load, store) for store in out.stores)
        for load in loads
    )


def _meet(load: _Use, store: _Use) -> bool:
    """Return whether both stand in one block, the load first, at one place."""
    (at, _), (behind, _) = load.path[-1], store.path[-1]
    is_one_block = len(load.path) == len(store.path) == _shared(load, store) + 1
    return is_one_block and at < behind and load.place - store.place == ZERO


def _is_harmless(load: _Use, store: _Use) -> bool:
    """Return whether the store never comes before the load of the same element.

    The places of both are c·v + w, with v the variables of the loops around both, each counted from
    where the guards of the load or the store begin, and w from a range of its own for each. Where
    those of different v lie apart, equal places have equal v.
    """
    depth = _shared(load, store)
    loops = [s for _, s in load.path[:depth] if isinstance(s, Loop)]
    around = [s.variable for s in loops]
    windows = [_windows(use, around) for use in (load, store)]
    ranges = [
        _range_without(use, window) for use, window in zip((load, store), windows, strict=True)
    ]
    factors = [[use.place.stride(v) for v in around] for use in (load, store)]
    if None in ranges or factors[0] != factors[1]:
        return False
    (first, last), (low, high) = (r for r in ranges if r is not None)
    extents = [max(window[v].extent for window in windows) for v in around]
    if not _lie_apart(extents, factors[0], max(last, high) - min(first, low) + 1):
        return False
    if last < low or high < first:
        return True
    if any(s.kind in _UNORDERED for use in (load, store) for s in use.loops):
        return False
    # loops at the top level are shared by threads, each without waiting for the others
    is_behind = bool(around) and load.path[depth][0] < store.path[depth][0]
    return _comes_later(loops, windows[0], windows[1], is_behind)


def _comes_later(loops: list[Loop], load: _Windows, store: _Windows, is_behind: bool) -> bool:
    """Return whether the store of one element comes later: by an iteration, else as it stands."""
    for loop in loops:
        delay = store[loop.variable].first - load[loop.variable].first
        if delay:
            return delay > 0 and loop.kind is LoopKind.SERIAL
    return is_behind


def _shared(load: _Use, store: _Use) -> int:
    """Return how many loops and guards stand around both."""
    depth = 0
    for (at, _), (other, _) in zip(load.path, store.path, strict=False):
        if at != other:
            break
        depth += 1
    return depth


@dataclass(frozen=True, slots=True)
class _Window:
    """The values that a variable may have: `extent` of them, from `first` on."""

    first: int
    extent: int


_Windows: TypeAlias = dict[LoopVariable, _Window]


def _windows(use: _Use, variables: Iterable[LoopVariable]) -> _Windows:
    """Return what the guards around a use say of each variable alone."""
    first = dict.fromkeys(variables, 0)
    end = {v: v.extent for v in first}
    conditions = [c for _, s in use.path if isinstance(s, Guard) for c in s.conditions]
    for room in (right - left for left, right in conditions):  # positive
        match room.terms:
            case ((LoopVariable() as v, -1),) if v in end:
                end[v] = min(end[v], room.constant)
            case ((LoopVariable() as v, 1),) if v in first:
                first[v] = max(first[v], 1 - room.constant)
    return {v: _Window(first[v], max(end[v] - first[v], 0)) for v in first}


def _range_without(use: _Use, around: _Windows) -> tuple[int, int] | None:
    """Return the least and the greatest value of a place where the variables `around` begin."""
    place = use.place
    low = high = place.constant + sum((place.stride(v) or 0) * w.first for v, w in around.items())
    others = [a for a, _ in place.terms if isinstance(a, LoopVariable) and a not in around]
    windows = _windows(use, others)
    for atom, factor in place.terms:
        if not isinstance(atom, LoopVariable):
            return None
        if atom in windows:
            start, reach = (factor * n for n in (windows[atom].first, windows[atom].extent - 1))
            low, high = low + start + min(reach, 0), high + start + max(reach, 0)
    return low, high


def _lie_apart(extents: list[int], factors: list[int | None], length: int) -> bool:
    """Return whether ranges of `length` at the sums of factors and variables never overlap."""
    steps = [(f, extent) for f, extent in zip(factors, extents, strict=True) if extent > 1]
    for factor, extent in sorted((abs(f or 0), extent) for f, extent in steps):
        if factor < length:
            return False
        length += factor * (extent - 1)
    return True


def _uses(kernel: Kernel) -> dict[str, _Uses]:
    shapes = {buffer.name: buffer.type.shape for buffer in kernel.buffers}
    found = {name: _Uses([], []) for name in shapes}
    for path in _paths(kernel.body):
        statement = path[-1][1]
        if isinstance(statement, Load | Store) and statement.buffer in shapes:
            place = linearise(statement.indices, shapes[statement.buffer])
            uses = found[statement.buffer]
            if isinstance(statement, Store):
                uses.stores.append(_Use(path, place))
            else:
                uses.loads += [_Use(path, place + n) for n in range(statement.count)]
    return found


def _paths(body: tuple[Statement, ...]) -> Iterator[_Path]:
    pending: list[_Path] = [((number, s),) for number, s in enumerate(body)]
    while pending:
        path = pending.pop()
        yield path
        statement = path[-1][1]
        if isinstance(statement, Loop | Guard):
            pending.extend((*path, (number, s)) for number, s in enumerate(statement.body))
