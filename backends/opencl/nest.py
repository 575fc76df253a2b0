"""How the loops of a kernel fall on work-groups and work-items: the analysis before emission.

A group loop is *shared out* when its body holds item loops, serial loops over such, barriers,
scratch, and values (which every work-item computes for itself). Whatever else a kernel may hold,
a single work-item can run it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from graphc.index import LoopVariable, as_index
from graphc.kernel import (
    Barrier,
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

    `owned` names the scratch of the group of which each work-item uses only one element, its own:
    it is a private variable. The rest of the group's scratch is `local` memory.
    """

    groups: tuple[LoopVariable, ...]
    body: tuple[Statement, ...]
    items: int
    local: tuple[Scratch, ...]
    owned: frozenset[str]

    @property
    def local_bytes(self) -> int:
        """Bytes of local memory."""
        return sum(max(s.type.nbytes, s.type.dtype.itemsize) for s in self.local)


def lay_out(nest: Loop, most_items: int) -> Layout:
    """Return how a group nest is run by work-groups of at most `most_items`."""
    groups, body = perfect_nest(nest, LoopKind.GROUP)
    shared = list(in_group(body))
    items = [s for s in shared if isinstance(s, Loop) and s.kind is LoopKind.ITEM]
    widest = max((volume(perfect_nest(s, LoopKind.ITEM)[0]) for s in items), default=1)
    count = max(1, min(widest, most_items))
    scratch = [s for s in shared if isinstance(s, Scratch)]
    owned = {s.name for s in scratch if s.scope is not Scope.LOCAL and s.type.size <= count}
    for loop in items:
        owned -= _not_owned(loop, scratch)
    owned -= {s.buffer for s in shared if isinstance(s, Load)}
    local = tuple(s for s in scratch if s.name not in owned)
    return Layout(groups, body, count, local, frozenset(owned))


def _not_owned(nest: Loop, scratch: list[Scratch]) -> set[str]:
    """Return the scratch of which an iteration may use another element than its own."""
    variables, body = perfect_nest(nest, LoopKind.ITEM)
    own = tuple(as_index(v) for v in variables)
    extents = tuple(v.extent for v in variables)
    fits = {s.name for s in scratch if s.type.shape == extents}
    accesses = [s for s in statements(body) if isinstance(s, Load | Store)]
    return {a.buffer for a in accesses if a.buffer not in fits or a.indices != own}
