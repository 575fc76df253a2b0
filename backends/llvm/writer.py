"""Writing one LLVM function: fresh names, nested regions, and pure instructions put where they
belong.

A function is written as nested *regions*: the function itself, and inside it loops and guarded
blocks. What a region defines is visible in it and in the regions inside. `pure` writes an
instruction without side effects (index arithmetic, splats) once, in the outermost region that
knows its operands: in front of the loops that do not change it. So loop invariants are hoisted and
common subexpressions shared while the text is written, and no pass has to find them again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_NAME = re.compile(r"%[\w.]+")


@dataclass
class _Region:
    """Text written so far; `known` maps the text of pure instructions to their names."""

    lines: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)


class Writer:
    """Collects the body of one function."""

    def __init__(self) -> None:
        self._regions = [_Region()]
        self._entry: list[str] = []
        self._depth: dict[str, int] = {}
        self._count = 0
        self.block = "%entry"

    def fresh(self, hint: str = "v") -> str:
        """Return a name that occurs nowhere else in the function."""
        self._count += 1
        return f"%{hint}.{self._count}"

    @property
    def depth(self) -> int:
        """How many regions are open inside the function's own."""
        return len(self._regions) - 1

    def depth_of(self, name: str) -> int:
        """Return how many regions stand around the definition of `name`; 0 for parameters."""
        return self._depth.get(name, 0)

    def emit(self, expression: str) -> str:
        """Write `%new = expression` at the current place and return the name."""
        name = self.fresh()
        self.line(f"{name} = {expression}")
        self._depth[name] = self.depth
        return name

    def line(self, text: str) -> None:
        """Write one line at the current place."""
        self._regions[-1].lines.append("  " + text)

    def pure(self, expression: str, *, within: int = 0) -> str:
        """Return the name of an `expression` without side effects, written once, far out.

        `within` is the depth of a region that it must not leave (a load stays inside its guard).
        """
        depth, depth_of = within, self._depth.get
        for name in _NAME.findall(expression):
            depth = max(depth, depth_of(name, 0))
        region = self._regions[depth]
        if expression not in region.known:
            name = self.fresh("x")
            region.lines.append(f"  {name} = {expression}")
            region.known[expression] = name
            self._depth[name] = depth
        return region.known[expression]

    def allocate(self, type_: str, count: int) -> str:
        """Return the address of a new private array, made once when the function is entered."""
        name = self.fresh("scratch")
        self._entry.append(f"  {name} = alloca [{count} x {type_}], align 64")
        return name

    def label(self, name: str) -> None:
        """Begin the basic block called `name` (with its %)."""
        self._regions[-1].lines.append(f"{name[1:]}:")
        self.block = name

    @contextmanager
    def region(self) -> Iterator[None]:
        """Write what is inside as a region of its own.

        Its text follows what the regions around it hold when it ends, so pure instructions written
        meanwhile stand in front of it. It begins with the branch into it.
        """
        self._regions.append(_Region())
        yield
        inner = self._regions.pop()
        self._regions[-1].lines.extend(inner.lines)

    @contextmanager
    def loop(self, begin: str, end: str, hint: str, *, maybe_empty: bool) -> Iterator[str]:
        """Write a loop of an i64 variable over begin … end-1 and give the variable's name.

        A loop that is not `maybe_empty` runs at least once and is tested at its end only.
        """
        head, done = self.fresh("loop"), self.fresh("done")
        variable, following = self.fresh(hint), self.fresh("next")
        with self.region():
            self._depth[variable] = self.depth
            before = self._enter(head, done, begin, end, maybe_empty=maybe_empty)
            self.label(head)
            place = len(self._regions[-1].lines)
            yield variable
            self.line(f"{following} = add nuw nsw i64 {variable}, 1")
            more = self.emit(f"icmp slt i64 {following}, {end}")
            self.line(f"br i1 {more}, label {head}, label {done}")
            phi = f"  {variable} = phi i64 [ {begin}, {before} ], [ {following}, {self.block} ]"
            self._regions[-1].lines.insert(place, phi)
        self.label(done)

    def _enter(self, head: str, done: str, begin: str, end: str, *, maybe_empty: bool) -> str:
        """Write the branch into a loop and return the block it stands in."""
        before = self.block
        if maybe_empty:
            some = self.fresh()
            self.line(f"{some} = icmp slt i64 {begin}, {end}")
            self.line(f"br i1 {some}, label {head}, label {done}")
        else:
            self.line(f"br label {head}")
        return before

    @contextmanager
    def guarded(self, condition: str, *, likely: bool = True) -> Iterator[None]:
        """Write what is inside so that it runs only where the i1 `condition` holds."""
        then, done = self.fresh("then"), self.fresh("done")
        weights = "" if likely else ', !prof !{!"branch_weights", i32 1, i32 1000}'
        with self.region():
            self.line(f"br i1 {condition}, label {then}, label {done}{weights}")
            self.label(then)
            yield
            self.line(f"br label {done}")
        self.label(done)

    def text(self, result: str = "void") -> str:
        """Return the body of the function, without its braces, ending in `ret` of `result`."""
        return "\n".join(["entry:", *self._entry, *self._regions[0].lines, f"  ret {result}"])
