"""Where the work-items of a group must wait for each other.

`with_barriers` puts a barrier before each statement of a group that touches what another work-item
may have touched since the last barrier, one of the two writing. What an iteration of an item loop
does at *its own* place, the element whose indices are the loop variables, needs none: iteration i
belongs to the same work-item in every such loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from graphc.index import LoopVariable, as_index
from graphc.kernel import Barrier, Load, Loop, LoopKind, Scratch, Statement, Store, statements
from graphc.passes.rewrite_statements import Body

_Owner = tuple[int, ...] | None  # who touches a buffer: None is anybody
_SINGLE: _Owner = ()  # the first work-item alone


@dataclass
class _Touched:
    """The owners of the accesses to each buffer since the last barrier."""

    read: dict[str, set[_Owner]] = field(default_factory=dict)
    written: dict[str, set[_Owner]] = field(default_factory=dict)

    def add(self, other: _Touched) -> None:
        for mine, theirs in ((self.read, other.read), (self.written, other.written)):
            for buffer, owners in theirs.items():
                mine.setdefault(buffer, set()).update(owners)

    def conflicts(self, later: _Touched) -> bool:
        """Return whether `later` must wait for what has been touched."""
        return (
            _clash(self.written, later.read)
            or _clash(self.written, later.written)
            or _clash(self.read, later.written)
        )


def _clash(a: Mapping[str, set[_Owner]], b: Mapping[str, set[_Owner]]) -> bool:
    for buffer in a.keys() & b.keys():
        owners = a[buffer] | b[buffer]
        if len(owners) > 1 or None in owners:
            return True
    return False


def with_barriers(body: Body) -> Body:
    """Return the statements of a group with the barriers that they need."""
    return _insert(body, _Touched())[0]


def _insert(body: Body, before: _Touched) -> tuple[Body, _Touched]:
    """Return `body` with barriers, and what is touched after its last one (or since `before`)."""
    result: list[Statement] = []
    touched = _Touched()
    touched.add(before)
    for statement in body:
        if isinstance(statement, Barrier):
            touched = _Touched()
        elif isinstance(statement, Loop) and statement.kind is LoopKind.SERIAL:
            _, after = _insert(statement.body, touched)
            touched.add(after)  # an iteration follows those before it
            inner, after = _insert(statement.body, touched)
            touched.add(after)
            statement = replace(statement, body=inner)
        else:
            own = _touched_by(statement)
            if touched.conflicts(own):
                result.append(Barrier())
                touched = _Touched()
            touched.add(own)
        result.append(statement)
    return tuple(result), touched


def _touched_by(statement: Statement) -> _Touched:
    touched = _Touched()
    variables: tuple[LoopVariable, ...] | None = None
    if isinstance(statement, Loop) and statement.kind is LoopKind.ITEM:
        variables = _item_variables(statement)
    private = {s.name for s in statements((statement,)) if isinstance(s, Scratch)}
    for access in statements((statement,)):
        if isinstance(access, Load | Store) and access.buffer not in private:
            side = touched.written if isinstance(access, Store) else touched.read
            side.setdefault(access.buffer, set()).add(_owner(access, variables))
    return touched


def _item_variables(loop: Loop) -> tuple[LoopVariable, ...]:
    """Return the variables of item loops that hold nothing but the next one."""
    variables = [loop.variable]
    while len(loop.body) == 1:
        inner = loop.body[0]
        if not isinstance(inner, Loop) or inner.kind is not LoopKind.ITEM:
            break
        loop = inner
        variables.append(loop.variable)
    return tuple(variables)


def _owner(access: Load | Store, variables: tuple[LoopVariable, ...] | None) -> _Owner:
    """Say whose the accessed element is. One axis is shared out alike whatever its extent."""
    if variables is None:
        return None
    extents = tuple(v.extent for v in variables)
    if all(extent == 1 for extent in extents):
        return _SINGLE
    if access.indices != tuple(map(as_index, variables)):
        return None
    return (-1,) if len(extents) == 1 else extents
