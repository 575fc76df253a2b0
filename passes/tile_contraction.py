"""Tiling of sums of products for a GPU: panels of both operands in local memory, and several
results in the registers of each work-item.

A contraction `out[…, i, …, j, …] = sum over k of a[…, i, k] * b[…, k, j]` becomes, for each tile
of (i, j), a walk along k in steps. In each, the group's items put what they have fetched of both
operands into panels, wait, fetch what the next step needs, and add the products of the panels to
their accumulators, in ascending k. An item has `outputs` results along i and along j, four of them
side by side, so that it reads four elements of a panel at once. Loads that vary with both or
neither of i and j stay where they are. The order of additions, and so every bit, is that of the
naive loops.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from graphc.index import Index, LoopVariable, as_index, delinearise
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
    result_of,
    statements,
)
from graphc.passes.loop_analysis import nest
from graphc.passes.rewrite_statements import (
    Body,
    Names,
    copy,
    rewrite,
    substitute,
    used,
)
from graphc.target import Target
from graphc.tensor_type import TensorType

_SIDES = (16, 8)  # items of a group along i and along j
_OUTPUTS = (1, 2, 4, 8)  # of an item along i, or along j
_SHORTEST = 4  # a sum of fewer products is not worth panels
_DEPTHS = (32, 16, 8)  # products between two barriers
_PANEL = 1200  # elements of a panel: an item holds what it has fetched of them in registers
_TOGETHER = 4  # float32 that a work-item reads from local memory at once
_MAY_TRAP = frozenset({"quotient", "modulus", "lookup"})  # for some operands


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


@dataclass(frozen=True)
class _Tile:
    """A group of `side` by `side` items, with `outputs` results each along i and along j, which
    adds `depth` products at a time."""

    side: int
    outputs: tuple[int, int]
    depth: int

    @property
    def extents(self) -> tuple[int, int]:
        """How many results it has along i and along j."""
        return self.side * self.outputs[0], self.side * self.outputs[1]

    @property
    def elements(self) -> int:
        """How many elements a panel has at most."""
        return self.depth * (max(self.extents) + _TOGETHER)


def tile_contraction(
    variables: Sequence[LoopVariable], body: Body, names: Names, target: Target
) -> Body | None:
    """Return the tiled nest for the parallel loops over `variables` around `body`.

    None where `body` is not a sum that gains from panels, or the target's groups are too small.
    """
    found = _sum_of(body)
    if found is None or found.k.extent < _SHORTEST:
        return None
    pair = _operand_axes(variables, found)
    if pair is None:
        return None
    tile = _best_tile(variables, pair, found, target)
    if tile is None:
        return None
    return _Tiling(tuple(variables), pair, tile, found, names).body()


def _best_tile(
    variables: Sequence[LoopVariable],
    pair: tuple[LoopVariable, LoopVariable],
    found: _Sum,
    target: Target,
) -> _Tile | None:
    """Return the tile that is done fastest, None where none fits the target.

    Products for each load from a panel, `a b / (a + b)` for `a` by `b` results of an item, are
    weighed against cores that have no group and items beyond the edge.
    """
    rows = math.prod(v.extent for v in variables if v not in pair)

    def gain(tile: _Tile) -> float:
        counts = [-(-v.extent // extent) for v, extent in zip(pair, tile.extents, strict=True)]
        busy = min(1.0, rows * math.prod(counts) / target.cores)
        whole = math.prod(counts) * math.prod(tile.extents)
        inside = math.prod(v.extent for v in pair) / whole
        return busy * inside * math.prod(tile.outputs) / sum(tile.outputs)

    sides = [s for s in _SIDES if s * s <= target.group_items]
    bytes_each = sum(load.result.dtype.itemsize for load in _panel_loads(found))
    tiles = (
        _Tile(side, outputs, min(depth, found.k.extent))
        for side in sides[:1]
        for outputs in itertools.product(_OUTPUTS, _OUTPUTS)
        for depth in _DEPTHS
    )
    fitting = (t for t in tiles if bytes_each * t.elements <= target.local_bytes)
    return max((t for t in fitting if t.elements <= _PANEL), key=gain, default=None)


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


_PanelLoads: TypeAlias = Sequence[tuple[Load, LoopVariable]]  # and along which of i and j


@dataclass
class _Tiling:
    """Builds the tiled nest."""

    variables: tuple[LoopVariable, ...]
    pair: tuple[LoopVariable, LoopVariable]
    tile: _Tile
    sum: _Sum
    names: Names

    def body(self) -> Body:
        """Return the whole nest."""
        i, j = self.pair
        self.extents = dict(zip(self.pair, self.tile.extents, strict=True))
        self.groups = {v: self.names.variable(v, -(-v.extent // self.extents[v])) for v in (i, j)}
        self.panels: dict[str, Scratch] = {}
        self.fetched: dict[str, Scratch] = {}
        found = self.sum
        shape = (self.tile.side, self.tile.side, *self.tile.outputs)
        total = replace(found.total, type=TensorType(shape, found.total.type.dtype))
        loads = [(load, side) for load in _panel_loads(found) if (side := self.side_of(load))]
        for load, side in loads:
            self.reserve(load, side)
        walk = nest(list(found.outer), self.walk(loads), LoopKind.SERIAL)
        start, finish = self.at_own_places(found.start), self.at_own_places(found.suffix)
        scratch = (*self.panels.values(), *self.fetched.values(), total)
        rows = [v for v in self.variables if v not in self.pair]
        groups = [*rows, self.groups[i], self.groups[j]]
        return nest(groups, (*scratch, start, *walk, finish), LoopKind.GROUP)

    def reserve(self, load: Load, side: LoopVariable) -> None:
        """Make the panel of a load, and the registers for what an item fetches of it.

        Rows of a panel are longer than what they hold, so that its columns lie in all banks.
        """
        name, dtype = load.result.name, load.result.dtype
        shape = (self.tile.depth, self.extents[side] + _TOGETHER)
        panel = self.names.fresh(f"panel_{load.buffer}")
        self.panels[name] = Scratch(panel, TensorType(shape, dtype), Scope.LOCAL)
        items = self.tile.side
        each = -(-self.tile.depth * self.extents[side] // items**2)
        fetched = self.names.fresh(f"fetched_{load.buffer}")
        self.fetched[name] = Scratch(
            fetched, TensorType((items, items, each), dtype), Scope.REGISTER
        )

    def walk(self, loads: _PanelLoads) -> Body:
        """Return the steps along k; what remains of it is a step of its own."""
        k, depth = self.sum.k, self.tile.depth
        whole, rest = divmod(k.extent, depth)
        step = self.names.variable(k, whole)
        here, after = as_index(step) * depth, (as_index(step) + 1, as_index(whole))
        ahead = self.fetch(loads, here + depth, depth, after) if whole > 1 else ()
        add = (Barrier(), *ahead, self.add(loads, here, depth), Barrier())
        steps = (*self.put(loads, depth), *add)
        result: Body = (*self.fetch(loads, as_index(0), depth), Loop(step, LoopKind.SERIAL, steps))
        if rest:
            last = as_index(whole * depth)
            result += (*self.fetch(loads, last, rest), *self.put(loads, rest), Barrier())
            result += (self.add(loads, last, rest), Barrier())
        return result

    def add(self, loads: _PanelLoads, first: Index, count: int) -> Statement:
        """Return the nest that adds the products of the panels, `count` from `first` on."""
        k = self.names.variable(self.sum.k, count)
        sides = {load.result.name: side for load, side in loads}
        self.renew()

        def from_panel(memory: Load | Store) -> Load | Store:
            if isinstance(memory, Load) and memory.result.name in sides:
                place = (as_index(k), self.own[sides[memory.result.name]])
                return replace(memory, buffer=self.panels[memory.result.name].name, indices=place)
            return memory

        body = rewrite(self.sum.body, memory=from_panel)
        body = substitute(body, {self.sum.k: first + as_index(k)})
        return self.in_items(self.outputs_of(body), (k,))

    def side_of(self, load: Load) -> LoopVariable | None:
        """Return along which of i and j a panel of this load lies."""
        moving = [v for v in self.pair if _moves(load, v)]
        return moving[0] if len(moving) == 1 else None

    def fetch(
        self, loads: _PanelLoads, first: Index, count: int, *conditions: tuple[Index, Index]
    ) -> Body:
        """Return the nests that load `count` columns of each operand, from `first` on, into
        registers, where `conditions` hold; adjacent items load adjacent elements."""
        return tuple(self.share(load, side, first, count, conditions) for load, side in loads)

    def put(self, loads: _PanelLoads, count: int) -> Body:
        """Return the nests that put what was fetched into the panels."""
        return tuple(self.share(load, side, None, count) for load, side in loads)

    def share(
        self,
        load: Load,
        side: LoopVariable,
        first: Index | None,
        count: int,
        conditions: tuple[tuple[Index, Index], ...] = (),
    ) -> Statement:
        """Return the nest in which items fetch the elements of a panel from `first` on, or, with
        None, put them there."""
        self.renew()
        total, items = count * self.extents[side], self.tile.side**2
        each = self.names.variable(side, -(-total // items))
        own = (*map(as_index, self.items.values()), as_index(each))
        number = own[2] * items + own[0] * self.tile.side + own[1]
        if self.sum.k in load.indices[-1].variables:
            across, along = delinearise(number, (self.extents[side], count))
        else:
            along, across = delinearise(number, (count, self.extents[side]))
        place = as_index(self.groups[side]) * self.extents[side] + across
        value, register = self.names.value(load.result), self.fetched[load.result.name].name
        if first is None:
            panel = self.panels[load.result.name].name
            body: Body = (Load(value, register, own), Store(panel, (along, across), value))
        else:
            places = {side: place, self.sum.k: first + along}
            indices = tuple(index.substitute(places) for index in load.indices)
            body = (Load(value, load.buffer, indices), Store(register, own, value))
        if total % items:
            conditions += ((number, as_index(total)),)
        if side.extent % self.extents[side]:
            conditions += ((place, as_index(side.extent)),)
        guarded = (Guard(conditions, body),) if conditions else body
        return self.in_items(nest([each], guarded, LoopKind.UNROLLED))

    def renew(self) -> None:
        """Make new loops over the items, and over the results of each."""
        side = self.tile.side
        self.items = {v: self.names.variable(v, side) for v in self.pair}
        self.apart, self.own = {}, {}
        for v, count in zip(self.pair, self.tile.outputs, strict=True):
            self.apart[v] = self.names.variable(v, count)
            near = min(count, _TOGETHER)
            far, beside = delinearise(as_index(self.apart[v]), (count // near, near))
            self.own[v] = as_index(self.items[v]) * near + beside + far * (near * side)

    def at_own_places(self, part: Body) -> Statement:
        """Return the nest in which each item carries out `part` for each of its results."""
        self.renew()
        return self.in_items(self.outputs_of(part))

    def outputs_of(self, part: Body) -> Body:
        """Return the loops in which an item carries out `part` for each of its results.

        Beyond the edge nothing is done, but for what touches nothing that others see.
        """
        body = copy((*_needed(self.sum.prefix, part), *part), self.names)
        total = (*map(as_index, self.items.values()), *map(as_index, self.apart.values()))

        def accumulator(memory: Load | Store) -> Load | Store:
            if memory.buffer == self.sum.total.name:
                return replace(memory, indices=total)
            return memory

        body = rewrite(body, memory=accumulator)
        places = {v: as_index(self.groups[v]) * self.extents[v] + self.own[v] for v in self.pair}
        body = substitute(body, places)
        conditions = [
            (places[v], as_index(v.extent)) for v in self.pair if v.extent % self.extents[v]
        ]
        if conditions and not self.stays_inside(body):
            body = (Guard(tuple(conditions), body),)
        return nest(list(self.apart.values()), body, LoopKind.UNROLLED)

    def stays_inside(self, body: Body) -> bool:
        """Return whether `body` uses the group's own memory alone, and cannot trap."""
        inside = {self.sum.total.name, *(panel.name for panel in self.panels.values())}
        return all(
            s.buffer in inside if isinstance(s, Load | Store) else isinstance(s, Let) for s in body
        ) and not any(isinstance(s, Let) and s.op in _MAY_TRAP for s in body)

    def in_items(self, body: Body, serial: Sequence[LoopVariable] = ()) -> Statement:
        """Return `body` in serial loops in the loops over the items."""
        inner = nest(list(serial), body, LoopKind.SERIAL)
        return nest(list(self.items.values()), inner, LoopKind.ITEM)[0]


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
