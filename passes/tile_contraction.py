"""Tiling of sums of products for a GPU: panels of both operands in local memory.

A contraction `out[…, i, …, j, …] = sum over k of a[…, i, k] * b[…, k, j]` becomes, for each
square tile of (i, j), a walk along k in steps of the tile: the group's items load one panel of
each operand, wait, and add the products of the panels to the accumulators, one an item, in
ascending k. Loads that vary with both or neither of i and j stay where they are. The order of
additions, and so every bit, is that of the naive loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from graphc.dtypes import DType
from graphc.index import Index, LoopVariable, as_index
from graphc.kernel import (
    Barrier,
    Guard,
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
from graphc.passes.loop_analysis import nest
from graphc.passes.rewrite_statements import (
    Body,
    Names,
    copy,
    result_of,
    rewrite,
    substitute,
    used,
)
from graphc.target import Target
from graphc.tensor_type import TensorType

_SIDES = (16, 8)  # of a tile; the items of a group are as many as its elements
_SHORTEST = 4  # a sum of fewer products is not worth panels


@dataclass(frozen=True)
class _Sum:
    """The parts of `prefix; for outer…, k serial { body }; suffix`, accumulating in `total`."""

    prefix: Body  # values
    start: Body
    outer: tuple[LoopVariable, ...]
    k: LoopVariable
    body: Body
    suffix: Body
    total: Scratch


def tile_contraction(
    variables: Sequence[LoopVariable], body: Body, names: Names, target: Target
) -> Body | None:
    """Return the tiled nest for the parallel loops over `variables` around `body`.

    None where `body` is not a sum that gains from panels, or the target's groups are too small.
    """
    found = _sum_of(body)
    sides = [s for s in _SIDES if s * s <= target.group_items]
    if found is None or found.k.extent < _SHORTEST or not sides:
        return None
    pair = _operand_axes(variables, found)
    if pair is None:
        return None
    return _Tiling(tuple(variables), pair, sides[0], found, names).body()


def _sum_of(body: Body) -> _Sum | None:
    loops = [n for n, s in enumerate(body) if isinstance(s, Loop)]
    scratch = [s for s in statements(body) if isinstance(s, Scratch)]
    if len(loops) != 1 or len(scratch) != 1 or scratch[0].type.rank or scratch[0] not in body:
        return None
    before, loop, after = body[: loops[0]], body[loops[0]], body[loops[0] + 1 :]
    assert isinstance(loop, Loop)
    chain = [loop.variable]
    inner = loop.body
    while len(inner) == 1 and isinstance(inner[0], Loop) and inner[0].kind is LoopKind.SERIAL:
        chain.append(inner[0].variable)
        inner = inner[0].body
    total = scratch[0]
    is_sum = all(isinstance(s, Let | Load | Store) for s in inner) and all(
        s.buffer == total.name for s in inner if isinstance(s, Store)
    )
    if loop.kind is not LoopKind.SERIAL or not is_sum or 0 in [v.extent for v in chain]:
        return None
    prefix = tuple(s for s in before if result_of(s) is not None)
    start = tuple(s for s in before if isinstance(s, Store))
    if len(prefix) + len(start) + 1 != len(before) or any(isinstance(s, Guard) for s in after):
        return None
    if any(s.buffer != total.name for s in start) or any(
        isinstance(s, Load) and s.buffer == total.name for s in prefix
    ):
        return None
    return _Sum(prefix, start, tuple(chain[:-1]), chain[-1], inner, after, total)


def _panel_loads(found: _Sum) -> list[Load]:
    """Return the loads that move along k, at places that no value decides."""
    return [
        s
        for s in found.body
        if isinstance(s, Load)
        and s.buffer != found.total.name
        and s.where is None
        and not any(i.values for i in s.indices)
        and any(found.k in i.variables for i in s.indices)
    ]


def _moves(load: Load, variable: LoopVariable) -> bool:
    return any(variable in index.variables for index in load.indices)


def _operand_axes(
    variables: Sequence[LoopVariable], found: _Sum
) -> tuple[LoopVariable, LoopVariable] | None:
    """Return (i, j): one operand moves along i and not along j, another the other way round."""
    loads = _panel_loads(found)
    large = [v for v in variables if v.extent >= _SIDES[-1]]
    best: tuple[LoopVariable, LoopVariable] | None = None
    for i in large:
        for j in large:
            left = any(_moves(s, i) and not _moves(s, j) for s in loads)
            right = any(_moves(s, j) and not _moves(s, i) for s in loads)
            better = best is None or i.extent * j.extent > best[0].extent * best[1].extent
            if i is not j and left and right and better:
                best = (i, j)
    return best


@dataclass
class _Tiling:
    """Builds the tiled nest; `side` is the extent of a tile along i, j and k."""

    variables: tuple[LoopVariable, ...]
    pair: tuple[LoopVariable, LoopVariable]
    side: int
    sum: _Sum
    names: Names

    def body(self) -> Body:
        """Return the whole nest."""
        i, j = self.pair
        self.groups = {v: self.names.variable(v, -(-v.extent // self.side)) for v in self.pair}
        self.panels: dict[str, Scratch] = {}
        found, k = self.sum, self.sum.k
        total = replace(found.total, type=self.tile_of(found.total.type.dtype))
        whole, rest = divmod(k.extent, self.side)
        walk: list[Statement] = []
        if whole:
            step = self.names.variable(k, whole)
            steps = self.step(as_index(step) * self.side, self.side)
            walk.append(Loop(step, LoopKind.SERIAL, steps))
        if rest:
            walk.extend(self.step(as_index(whole * self.side), rest))
        start = self.at_own_place(found.start)
        finish = self.at_own_place(found.suffix)
        panels = tuple(self.panels.values())
        inside = (*panels, total, start, *nest(list(found.outer), tuple(walk), LoopKind.SERIAL))
        rows = [v for v in self.variables if v not in self.pair]
        groups = [*rows, self.groups[i], self.groups[j]]
        return nest(groups, (*inside, finish), LoopKind.GROUP)

    def tile_of(self, dtype: DType) -> TensorType:
        return TensorType((self.side, self.side), dtype)

    def step(self, first: Index, count: int) -> Body:
        """Fill the panels for `count` products from `first` on, and add them up."""
        staged = {s.result.name: side for s in _panel_loads(self.sum) if (side := self.side_of(s))}
        fills = tuple(
            self.fill(load, staged[load.result.name], first, count)
            for load in _panel_loads(self.sum)
            if load.result.name in staged
        )
        k = self.names.variable(self.sum.k, count)

        def from_panel(memory: Load | Store) -> Load | Store:
            if isinstance(memory, Load) and memory.result.name in staged:
                own = self.item(staged[memory.result.name])
                return replace(memory, buffer=self.panel(memory), indices=(own, as_index(k)))
            return memory

        self.items = {v: self.names.variable(v, self.side) for v in self.pair}
        body = rewrite(self.sum.body, memory=from_panel)
        body = substitute(body, {self.sum.k: first + as_index(k)})
        add = self.at_own_place((Loop(k, LoopKind.SERIAL, body),), renew=False)
        return (*fills, Barrier(), add, Barrier())

    def side_of(self, load: Load) -> LoopVariable | None:
        """Return along which of i and j a panel of this load lies."""
        moving = [v for v in self.pair if _moves(load, v)]
        return moving[0] if len(moving) == 1 else None

    def item(self, variable: LoopVariable) -> Index:
        return as_index(self.items[variable])

    def panel(self, load: Load) -> str:
        """Return the name of the panel of a load."""
        name = load.result.name
        if name not in self.panels:
            panel = self.names.fresh(f"panel_{load.buffer}")
            self.panels[name] = Scratch(panel, self.tile_of(load.result.dtype), Scope.LOCAL)
        return self.panels[name].name

    def fill(self, load: Load, side: LoopVariable, first: Index, count: int) -> Statement:
        """Return the nest that loads one panel; adjacent items load adjacent elements."""
        across = self.names.variable(side, self.side)
        along = self.names.variable(self.sum.k, count)
        value = self.names.value(load.result)
        places = {
            side: as_index(self.groups[side]) * self.side + as_index(across),
            self.sum.k: first + as_index(along),
        }
        other = next(v for v in self.pair if v is not side)
        assert not _moves(load, other)
        indices = tuple(index.substitute(places) for index in load.indices)
        body: Body = (
            Load(value, load.buffer, indices),
            Store(self.panel(load), (as_index(across), as_index(along)), value),
        )
        if side.extent % self.side:
            body = (Guard(((places[side], as_index(side.extent)),), body),)
        last_moves = self.sum.k in load.indices[-1].variables
        loops = [across, along] if last_moves else [along, across]
        return nest(loops, body, LoopKind.ITEM)[0]

    def at_own_place(self, part: Body, *, renew: bool = True) -> Statement:
        """Return the nest in which each item carries out `part` for its own element."""
        if renew:
            self.items = {v: self.names.variable(v, self.side) for v in self.pair}
        own = tuple(self.item(v) for v in self.pair)

        def accumulator(memory: Load | Store) -> Load | Store:
            if memory.buffer == self.sum.total.name:
                return replace(memory, indices=own)
            return memory

        body = copy((*_needed(self.sum.prefix, part), *part), self.names)
        body = rewrite(body, memory=accumulator)
        places = {
            v: as_index(self.groups[v]) * self.side + as_index(self.items[v]) for v in self.pair
        }
        body = substitute(body, places)
        conditions = [(places[v], as_index(v.extent)) for v in self.pair if v.extent % self.side]
        if conditions:
            body = (Guard(tuple(conditions), body),)
        return nest([self.items[v] for v in self.pair], body, LoopKind.ITEM)[0]


def _needed(values: Body, part: Body) -> Body:
    """Return those of `values` that `part` uses, directly or through others."""
    wanted = set(used(part))
    kept: list[Statement] = []
    for statement in reversed(values):
        value = result_of(statement)
        if value is not None and value.name in wanted:
            kept.append(statement)
            wanted.update(used((statement,)))
    return tuple(reversed(kept))
