"""Rewriting the statements of kernels: fresh names, substitution, renaming, copies.

What always holds: the functions are pure, and keep the meaning of a kernel where the law that each
states holds. They change no loop; `graphc.passes.transform_loops` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from graphc.index import Atom, Index, LoopVariable, ValueAtom, as_index
from graphc.kernel import (
    Barrier,
    Guard,
    IndexValue,
    Kernel,
    Let,
    Load,
    Loop,
    Misalignment,
    Prefetch,
    Scratch,
    Statement,
    Store,
    Value,
    result_of,
    statements,
)

Body = tuple[Statement, ...]
T = TypeVar("T")


class Names:
    """All names of a kernel; `fresh` makes new ones, the same ones in every run."""

    def __init__(self, kernel: Kernel) -> None:
        self.used = {b.name for b in kernel.buffers}
        self.next: dict[str, int] = {}
        for statement in statements(kernel.body):
            if isinstance(statement, Loop):
                self.used.add(statement.variable.name)
            elif isinstance(statement, Scratch):
                self.used.add(statement.name)
            elif (made := result_of(statement)) is not None:
                self.used.add(made.name)

    def fresh(self, like: str) -> str:
        """Return a name that nothing in the kernel has, made from `like`."""
        stem = re.sub(r"_\d+$", "", like)
        number = self.next.get(stem, 1)
        while f"{stem}_{number}" in self.used:
            number += 1
        self.next[stem] = number + 1
        self.used.add(f"{stem}_{number}")
        return f"{stem}_{number}"

    def value(self, like: Value) -> Value:
        """Return a new value of the dtype of `like`."""
        return Value(self.fresh(like.name), like.dtype)

    def variable(self, like: LoopVariable, extent: int) -> LoopVariable:
        """Return a new loop variable."""
        return LoopVariable(self.fresh(like.name), extent)


# --- rewriting everywhere ------------------------------------------------------------------------


def _same(thing: T) -> T:
    return thing


def rewrite(
    body: Body,
    *,
    index: Callable[[Index], Index] = _same,
    value: Callable[[Value], Value] = _same,
    buffer: Callable[[str], str] = _same,
    memory: Callable[[Load | Store], Load | Store] = lambda m: m,
) -> Body:
    """Return `body` with its indices, values and names of memory replaced, then its accesses."""

    def optional(where: Value | None) -> Value | None:
        return None if where is None else value(where)

    def renamed(s: Let) -> Let:
        return Let(value(s.result), s.op, tuple(map(value, s.operands)), s.payload)

    def one(s: Statement) -> Statement:
        match s:
            case Let():  # most statements are such, and most keep their values
                return s if value is _same else renamed(s)
            case Load():
                place, where = tuple(map(index, s.indices)), optional(s.where)
                return memory(Load(value(s.result), buffer(s.buffer), place, where, s.count))
            case IndexValue():
                return IndexValue(value(s.result), index(s.index))
            case Misalignment():
                return Misalignment(value(s.result), buffer(s.buffer))
            case Store():
                place, where = tuple(map(index, s.indices)), optional(s.where)
                return memory(Store(buffer(s.buffer), place, value(s.value), where, s.is_streaming))
            case Prefetch():
                return Prefetch(buffer(s.buffer), tuple(map(index, s.indices)), s.level)
            case Scratch():
                return s if buffer is _same else replace(s, name=buffer(s.name))
            case Loop():
                return Loop(s.variable, s.kind, tuple(map(one, s.body)))
            case Guard():
                conditions = tuple((index(a), index(b)) for a, b in s.conditions)
                return Guard(conditions, tuple(map(one, s.body)))
            case Barrier():
                return s

    return tuple(map(one, body))


def substitute(body: Body, mapping: Mapping[LoopVariable, Index]) -> Body:
    """Replace loop variables in every index. Law: each index has the value the variable had."""
    if not mapping:
        return body
    return rewrite(body, index=lambda i: i.substitute(mapping) if i.variables else i)


def rename(body: Body, values: Mapping[str, Value], buffers: Mapping[str, str]) -> Body:
    """Rename values (where they are made and used) and memory. Law: the names are new in `body`."""

    def atom(a: Atom) -> Index | None:
        if isinstance(a, ValueAtom) and a.name in values:
            return as_index(ValueAtom(values[a.name].name, a.low, a.high))
        return None

    return rewrite(
        body,
        index=lambda i: i.map_atoms(atom) if i.values else i,
        value=lambda v: values.get(v.name, v),
        buffer=lambda b: buffers.get(b, b),
    )


def copy(body: Body, names: Names) -> Body:
    """Return `body` with new names for all values and scratch that it makes, to stand beside it."""
    inside = list(statements(body))
    made = [v for s in inside if (v := result_of(s)) is not None]
    scratch = [s.name for s in inside if isinstance(s, Scratch)]
    return rename(
        body, {v.name: names.value(v) for v in made}, {s: names.fresh(s) for s in scratch}
    )


def uses_of(statement: Statement) -> tuple[set[str], set[Index]]:
    """Return the names of the values, and the indices, that a statement itself uses."""
    match statement:
        case Let():
            return {o.name for o in statement.operands}, set()
        case Load():
            return _named(statement.where), set(statement.indices)
        case IndexValue():
            return set(), {statement.index}
        case Prefetch():
            return set(), set(statement.indices)
        case Store():
            return _named(statement.where, statement.value), set(statement.indices)
        case Guard():
            return set(), {i for pair in statement.conditions for i in pair}
        case _:
            return set(), set()


def _named(*values: Value | None) -> set[str]:
    return {v.name for v in values if v is not None}


def used(body: Body) -> list[str]:
    """Return the names of all values used in `body`, in order."""
    found: dict[str, None] = {}
    for statement in statements(body):
        names, indices = uses_of(statement)
        found.update(dict.fromkeys(sorted(names)))
        for index in indices:
            found.update(dict.fromkeys(sorted(index.values)))
    return list(found)
