"""Passes abreast: the passes over rows that are reduced several times run in one loop, each on a
row of its own.

    for blocks of rows parallel
      scratch rings: what a later pass takes from an earlier one, for the rows under way
      for t < rows of the block + delay of the last pass serial
        for vectors of a row
          if row t is there: its vector of the first pass
          if row t - 2 is there: its vector of the second pass
          …
        lanes of row t are combined; those of row t - 2; …

A pass waits for the lanes of the one before it, and a formula's chain for itself; here whatever
waits has independent work of other rows beside it in the same loop, and a row has the time of a
whole turn to combine its lanes. Memory is read and written all the time, instead of in one pass of
three. Rows are independent and the passes over one row keep their order, so no bit changes. The
rows under way should stay in the first-level cache: long rows stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from graphc.index import Index, as_index
from graphc.kernel import (
    Guard,
    IndexValue,
    Let,
    Load,
    Loop,
    LoopKind,
    Scope,
    Scratch,
    Statement,
    Store,
    Value,
    result_of,
    statements,
)
from graphc.passes.loop_analysis import work
from graphc.passes.rewrite_statements import Body, Names, rename, rewrite, substitute
from graphc.passes.rewrite_statements import used as values_used
from graphc.passes.transform_loops import over, split_off_tail
from graphc.target import Target
from graphc.tensor_type import TensorType

DELAY = 2  # turns between two passes over a row: one for its vectors, one to combine its lanes
BLOCK = 64  # rows of a block at most, which fills and empties its turns once
FEWEST = 16  # rows for each core
LEAST_STEPS = 4  # vectors of a pass
MOST_WORK = 64_000  # scalar operations of a row: beyond, the wait is one part in a hundred


def passes_abreast(rows: Loop, target: Target, names: Names) -> Loop | None:
    """Return a loop over blocks of `rows`, or None where that is of no use. Law: independent."""
    extent = rows.variable.extent
    if extent < FEWEST * target.cores or work(rows.body) > MOST_WORK:
        return None
    if sum(isinstance(s, Loop) and s.kind is LoopKind.SERIAL for s in rows.body) < 2:
        return None
    stages = _stages(rows.body)
    crossing = _crossing(stages)
    if crossing is None or min(s.steps for s in stages) < LEAST_STEPS:
        return None
    blocks = max(2, target.cores * -(-extent // (target.cores * BLOCK)))
    return _Turns(rows, stages, crossing, -(-extent // blocks), names).loop()


# --- cutting the body of a row -------------------------------------------------------------------


@dataclass
class _Stage:
    """A pass over a row, what stands before it, and what takes from it."""

    loop: Loop
    before: list[Statement] = field(default_factory=list)
    behind: list[Statement] = field(default_factory=list)

    @property
    def steps(self) -> int:
        return self.loop.variable.extent

    @property
    def sections(self) -> tuple[Body, Body, Body]:
        return tuple(self.before), (self.loop,), tuple(self.behind)


def _stages(row: Body) -> list[_Stage]:
    """Cut the body of a row at its passes. What takes nothing from a pass goes to the next one."""
    stages: list[_Stage] = []
    waiting: list[Statement] = []
    taken: set[str] = set()  # what depends on the last pass: values and memory
    passes = [s for s in row if isinstance(s, Loop) and s.kind is LoopKind.SERIAL]
    for s in (s for s in row if not isinstance(s, Scratch)):
        if len(stages) < len(passes) and s is passes[len(stages)]:
            stages.append(_Stage(passes[len(stages)], waiting))
            waiting, taken = [], _stored((s,))
        elif len(stages) == len(passes):
            stages[-1].behind.append(s)
        elif stages and taken & (_loaded((s,)) | _stored((s,)) | set(values_used((s,)))):
            stages[-1].behind.append(s)
            value = result_of(s)
            taken |= _stored((s,)) | ({value.name} if value else set())
        else:
            waiting.append(s)
    return stages


def _stored(body: Body) -> set[str]:
    return {s.buffer for s in statements(body) if isinstance(s, Store)}


def _loaded(body: Body) -> set[str]:
    return {s.buffer for s in statements(body) if isinstance(s, Load)}


_Made = Let | Load | IndexValue


@dataclass
class _Crossing:
    """What sections leave to later ones, each with its stage and the last that takes it.

    `homes` are the statements that make values. A constant is made again wherever it is taken.
    """

    homes: dict[str, _Made] = field(default_factory=dict)
    values: dict[str, tuple[int, int]] = field(default_factory=dict)
    memory: dict[str, tuple[int, int]] = field(default_factory=dict)


def _crossing(stages: Sequence[_Stage]) -> _Crossing | None:
    """Return what crosses sections; None where something is taken before it is there."""
    crossing = _Crossing()
    made: dict[str, int] = {}
    for number, body in ((n, b) for n, stage in enumerate(stages) for b in stage.sections):
        own = {v.name for s in statements(body) if (v := result_of(s)) is not None}
        for name in (n for n in values_used(body) if n not in own):
            if name not in made:
                return None
            home = crossing.homes[name]
            if not isinstance(home, Let) or home.operands:
                crossing.values[name] = made[name], number
        for s in body:
            if isinstance(s, _Made):
                crossing.homes[s.result.name], made[s.result.name] = s, number
        for name in _stored(body):
            if crossing.memory.setdefault(name, (number, number))[0] != number:
                return None
        for name in _loaded(body) & crossing.memory.keys():
            crossing.memory[name] = crossing.memory[name][0], number
    return crossing


# --- putting it together -------------------------------------------------------------------------


class _Turns:
    """Writes the loop over blocks of `size` rows and, in it, the one over turns."""

    def __init__(
        self,
        rows: Loop,
        stages: Sequence[_Stage],
        crossing: _Crossing,
        size: int,
        names: Names,
    ) -> None:
        self.rows, self.stages, self.crossing = rows, stages, crossing
        self.size, self.names = size, names
        self.block = names.variable(rows.variable, -(-rows.variable.extent // size))
        self.turn = names.variable(rows.variable, size + DELAY * (len(stages) - 1))
        self.step = names.variable(stages[0].loop.variable, min(s.steps for s in stages))
        self.scratch = {s.name for s in rows.body if isinstance(s, Scratch)}
        self.kept = {name: names.fresh(name) for name in crossing.values}

    def loop(self) -> Loop:
        """Return the parallel loop over blocks."""
        rings, own = self._scratch()
        before: list[Statement] = []
        inside: list[Statement] = []
        behind: list[Statement] = []
        for number, stage in enumerate(self.stages):
            before += self._section(number, tuple(stage.before))
            main, rest = self._in_steps(stage.loop)
            inside += self._section(number, main)
            behind += self._section(number, (*rest, *stage.behind))
        steps = over(self.step, LoopKind.SERIAL, tuple(inside))
        turns = Loop(self.turn, LoopKind.SERIAL, (*own, *before, *steps, *behind))
        return Loop(self.block, LoopKind.PARALLEL, (*rings, turns))

    def _scratch(self) -> tuple[Body, Body]:
        """Return the memory of a block, with a place for each row under way, and of a turn."""
        rings: list[Statement] = []
        own: list[Statement] = []
        for name, kept in self.kept.items():
            dtype = self.crossing.homes[name].result.dtype
            type_ = TensorType(self._ring(self.crossing.values[name]), dtype)
            rings.append(Scratch(kept, type_, Scope.CACHE))
        for s in (s for s in self.rows.body if isinstance(s, Scratch)):
            ring = self._ring(self.crossing.memory[s.name])
            type_ = s.type.with_shape((*ring, *s.type.shape))
            if ring:
                rings.append(Scratch(s.name, type_, Scope.CACHE))
            else:
                own.append(s)
        return tuple(rings), tuple(own)

    def _in_steps(self, loop: Loop) -> tuple[Body, Body]:
        """Return what a step does of a pass, and what is left of it."""
        times = loop.variable.extent // self.step.extent
        whole, rest = split_off_tail(loop, times * self.step.extent, self.names)
        assert whole is not None
        inner = self.names.variable(loop.variable, times)
        index = as_index(self.step) * times + as_index(inner)
        body = substitute(whole.body, {whole.variable: index})
        return over(inner, LoopKind.UNROLLED, body), () if rest is None else (rest,)

    def _section(self, stage: int, body: Body) -> Body:
        """Return `body` of a stage for the row that has come to it, if there is one."""
        if not body:
            return ()
        delay = DELAY * stage
        row = as_index(self.block) * self.size + as_index(self.turn) - delay
        moved = substitute(self._with_crossing(stage, body), {self.rows.variable: row})
        conditions: list[tuple[Index, Index]] = []
        if delay:
            conditions.append((as_index(delay - 1), as_index(self.turn)))
        if self.size + delay < self.turn.extent:
            conditions.append((as_index(self.turn), as_index(self.size + delay)))
        if self.block.extent * self.size > self.rows.variable.extent:
            conditions.append((row, as_index(self.rows.variable.extent)))
        return (Guard(tuple(conditions), moved),) if conditions else moved

    def _with_crossing(self, stage: int, body: Body) -> Body:
        """Return `body` with what it takes from other sections, and leaves to them, in memory."""
        own = {v.name for s in statements(body) if (v := result_of(s)) is not None}
        first: list[Statement] = []
        renamed: dict[str, Value] = {}
        for name in (n for n in values_used(body) if n not in own):
            home = self.crossing.homes[name]
            value = renamed[name] = self.names.value(home.result)
            if name in self.kept:
                place = self._slot(stage, self.crossing.values[name])
                first.append(Load(value, self.kept[name], place))
            else:
                first.append(replace(home, result=value))
        done = list(first)
        for s in rename(body, renamed, {}):
            done.append(s)
            made = result_of(s)
            if made is not None and made.name in self.kept:
                place = self._slot(stage, self.crossing.values[made.name])
                done.append(Store(self.kept[made.name], place, made))

        def in_ring(access: Load | Store) -> Load | Store:
            stages = self.crossing.memory.get(access.buffer)
            if stages is None or access.buffer not in self.scratch:
                return access
            return replace(access, indices=(*self._slot(stage, stages), *access.indices))

        return rewrite(tuple(done), memory=in_ring)

    def _ring(self, stages: tuple[int, int]) -> tuple[int, ...]:
        """Return the axis of what the rows under way each have of a value, if several are."""
        first, last = stages
        return (DELAY * (last - first) + 1,) if last > first else ()

    def _slot(self, stage: int, stages: tuple[int, int]) -> tuple[Index, ...]:
        """Return the place of the row that has come to `stage` on that axis."""
        return tuple(
            (as_index(self.turn) + -(DELAY * stage) % size) % size for size in self._ring(stages)
        )
