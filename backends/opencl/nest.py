"""How the loops of a kernel fall on work-groups and work-items: the analysis before emission.

A group loop is *shared out* when its body holds item loops, serial loops over such, barriers,
scratch, and values (which every work-item computes for itself). Whatever else a kernel may hold,
a single work-item can run it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphc.index import LoopVariable, as_index
from graphc.kernel import (
    Barrier,
    Guard,
    IndexValue,
    Kernel,
    Let,
    Load,
    Loop,
    LoopKind,
    Scope,
    Scratch,
    Statement,
    Store,
    statements,
)

_IN_GROUP = (Let, Load, IndexValue, Scratch, Barrier)
_FEWEST_ITEMS = 64  # of a group, where there is work for so many: a core holds few groups at once
_ITEMS_OF_A_CORE = 2048  # that it can keep in flight; about what GPUs have


def top_nests(kernel: Kernel) -> tuple[Loop, ...] | None:
    """Return the top-level group loops of a kernel that can be shared out, or None."""
    nests = [s for s in kernel.body if isinstance(s, Loop)]
    others = [s for s in kernel.body if not isinstance(s, Loop | Barrier)]
    if others or not all(n.kind is LoopKind.GROUP and _is_shared_out(n.body) for n in nests):
        return None
    return tuple(nests)


def _is_shared_out(body: tuple[Statement, ...]) -> bool:
    for statement in body:
        if not isinstance(statement, Loop):
            if not isinstance(statement, _IN_GROUP):
                return False
        elif statement.kind in (LoopKind.GROUP, LoopKind.SERIAL):
            if not _is_shared_out(statement.body):
                return False
        elif statement.kind is not LoopKind.ITEM:
            return False
    return True


def perfect_nest(
    loop: Loop, kind: LoopKind
) -> tuple[tuple[LoopVariable, ...], tuple[Statement, ...]]:
    """Return the variables of the loops of `kind` that hold nothing but the next one, and the body
    of the last."""
    variables, body = [loop.variable], loop.body
    while len(body) == 1 and isinstance(body[0], Loop) and body[0].kind is kind:
        variables.append(body[0].variable)
        body = body[0].body
    return tuple(variables), body


def volume(variables: tuple[LoopVariable, ...]) -> int:
    """Return the number of iterations of a nest."""
    return math.prod(v.extent for v in variables)


def in_group(body: tuple[Statement, ...]) -> Iterator[Statement]:
    """Yield the statements of a group loop's body that are not inside item loops."""
    for statement in body:
        yield statement
        if isinstance(statement, Loop) and statement.kind is not LoopKind.ITEM:
            yield from in_group(statement.body)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a shared-out nest needs: its size in groups and items, and where its scratch lives.

    `owned` names the scratch of the group of which each work-item uses only its own part, the one
    at its loop variables: that part is private memory. It tells how many of the first axes are
    those variables. The rest of the group's scratch is `local` memory.
    """

    groups: tuple[LoopVariable, ...]
    body: tuple[Statement, ...]
    items: int
    local: tuple[Scratch, ...]
    owned: Mapping[str, int]

    @property
    def local_bytes(self) -> int:
        """Bytes of local memory."""
        return sum(max(s.type.nbytes, s.type.dtype.itemsize) for s in self.local)


def lay_out(nest: Loop, most_items: int, cores: int) -> Layout:
    """Return how a group nest is run by work-groups of at most `most_items` on so many cores."""
    groups, body = perfect_nest(nest, LoopKind.GROUP)
    shared = list(in_group(body))
    items = [s for s in shared if isinstance(s, Loop) and s.kind is LoopKind.ITEM]
    count = _group_items(body, volume(groups), most_items, cores)
    scratch = [s for s in shared if isinstance(s, Scratch)]
    by_all = {s.buffer for s in shared if isinstance(s, Load)}
    owned = {
        s.name: axes
        for s in scratch
        if s.scope is not Scope.LOCAL
        and s.name not in by_all
        and (axes := _own_axes(s, items, count)) is not None
    }
    local = tuple(s for s in scratch if s.name not in owned)
    return Layout(groups, body, count, local, owned)


def _group_items(body: tuple[Statement, ...], groups: int, most: int, cores: int) -> int:
    """Return how many items a group has: as many as its widest nest can use, or fewer where the
    groups fill the device all the same and fewer items then wait for the others."""
    nests = list(_item_nests(body))
    sizes = {max(1, min(width, most)) for width, _ in nests} or {1}
    enough = [n for n in sizes if n >= _FEWEST_ITEMS and groups * n >= cores * _ITEMS_OF_A_CORE]

    def held(size: int) -> int:
        return size * sum(steps * -(-width // size) for width, steps in nests)

    return min(enough, key=lambda n: (held(n), -n), default=max(sizes))


def _item_nests(body: tuple[Statement, ...], times: int = 1) -> Iterator[tuple[int, int]]:
    """Yield the iterations of each nest of item loops, and the statements that one runs in all."""
    for statement in body:
        if not isinstance(statement, Loop):
            continue
        if statement.kind is LoopKind.ITEM:
            variables, inner = perfect_nest(statement, LoopKind.ITEM)
            yield volume(variables), times * _steps(inner)
        else:
            yield from _item_nests(statement.body, times * statement.variable.extent)


def _steps(body: tuple[Statement, ...]) -> int:
    """Return how many statements running `body` takes."""
    total = 0
    for statement in body:
        if isinstance(statement, Loop):
            total += statement.variable.extent * _steps(statement.body)
        else:
            total += _steps(statement.body) if isinstance(statement, Guard) else 1
    return total


def _own_axes(scratch: Scratch, nests: Sequence[Loop], count: int) -> int | None:
    """Return how many of the first axes of `scratch` are the variables of every nest that uses it,
    None where an iteration may use another part than its own."""
    found: set[int] = set()
    for loop in nests:
        variables, body = perfect_nest(loop, LoopKind.ITEM)
        own, axes = tuple(map(as_index, variables)), len(variables)
        accesses = [s for s in statements(body) if isinstance(s, Load | Store)]
        used = [a for a in accesses if a.buffer == scratch.name]
        if not used:
            continue
        fits = scratch.type.shape[:axes] == tuple(v.extent for v in variables)
        if not fits or volume(variables) > count or any(a.indices[:axes] != own for a in used):
            return None
        found.add(axes)
    return found.pop() if len(found) == 1 else None
