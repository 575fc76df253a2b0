"""Scheduling for a CPU: how a naive kernel is carried out, its results bit for bit the same.

From the lowered form, where every independent loop is `parallel`, `schedule` makes the scheduled
form: in each top-level nest at most the outermost loop is parallel, the others are serial, and the
innermost are vector loops of at most 64 lanes with a power of two of them. Everything is decided
from the structure of indices, extents and the target's limits, never from names. The order in
which numbers are combined is fixed by the lowered kernel and never changes.

In which way the vectors go is decided for each nest: along one of its parallel loops, the whole
body lane-wise, where most accesses are then to adjacent elements; or along the parallel loops
inside the body (rows that are reduced in lanes). Contractions go in register tiles
(`schedule_tiles`).
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from graphc.index import LoopVariable
from graphc.kernel import Guard, Kernel, Load, Loop, LoopKind, Statement, Store, statements
from graphc.passes.join_words import join_words
from graphc.passes.loop_analysis import (
    Shapes,
    accesses,
    buffer_shapes,
    count,
    element_bytes,
    holds,
    moved_unevenly,
    nest,
    peel,
    unit_stride_score,
    work,
)
from graphc.passes.memory_hints import CACHED, add_memory_hints
from graphc.passes.passes_abreast import passes_abreast
from graphc.passes.rewrite_statements import Body, Names
from graphc.passes.rows_abreast import rows_abreast
from graphc.passes.schedule_scatters import scatter_by_rows
from graphc.passes.schedule_streams import stream_columns
from graphc.passes.schedule_tiles import Tiler
from graphc.passes.schedule_transposes import square_of, transpose_squares
from graphc.passes.tile_model import MOST_VECTORS, TASKS
from graphc.passes.transform_loops import (
    collapse,
    enclose,
    hoist,
    join,
    only_loop,
    over,
    split,
    split_off_tail,
    split_with_guard,
    vectorise,
)
from graphc.passes.transpose_blocks import transpose_blocks
from graphc.schedule_choices import MODEL, ScheduleChoices
from graphc.target import Target

MOST_LANES = 64
CHEAP = 20_000  # scalar operations that are not worth waking a thread for
GRAIN = 16_000  # scalar operations that one iteration of a parallel loop should have
SMALL_BODY = 8  # statements, up to which an elementwise body goes in two vectors at once
DEEP = 4  # operations a statement, from which formulas are long chains: four vectors at once
LIGHT = 12  # scalar operations, up to which the lanes of a reduction wait for one another
STREAMS = 2  # tasks for each core where rows are read in long pieces
BLOCKS = 2  # of a transpose for each core, at least
MOST_CHUNKS = 4  # vectors of a lanes loop that are unrolled, so that they stay in registers


def schedule(kernel: Kernel, target: Target, choices: ScheduleChoices = MODEL) -> Kernel:
    """Return `kernel` in the scheduled form for `target`, with `choices` in place of the model's.

    Requires the lowered form: independent loops are `parallel`, all others `serial`. Guarantees the
    same bits for every input and all choices.
    """
    nbytes = sum(buffer.type.nbytes for buffer in kernel.buffers)
    scheduler = _Scheduler(target, Names(kernel), buffer_shapes(kernel), choices, nbytes)
    by_rows = scatter_by_rows(kernel, scheduler.shapes, target, scheduler.names)
    if by_rows is not None:
        return add_memory_hints(kernel.with_body(by_rows), target)
    body: list[Statement] = []
    for statement in join_words(kernel.body, scheduler.shapes):
        if isinstance(statement, Loop) and statement.kind is LoopKind.PARALLEL:
            body.extend(scheduler.top_nest(statement))
        else:
            inside = scheduler.inner((statement,))
            body.extend(enclose(inside, scheduler.names, always=len(inside) > 1))
    return add_memory_hints(kernel.with_body(tuple(body)), target)


class _Scheduler:
    def __init__(
        self,
        target: Target,
        names: Names,
        shapes: Shapes,
        choices: ScheduleChoices,
        nbytes: int,
    ) -> None:
        self.target, self.names, self.shapes, self.choices = target, names, shapes, choices
        self.is_cached = nbytes <= CACHED * target.cache_bytes[2]
        self.is_near = nbytes <= target.cores * target.cache_bytes[1]

    # --- a top-level nest

    def top_nest(self, loop: Loop) -> Body:
        variables, body = peel(loop)
        if any(v.extent == 0 for v in variables):
            return ()
        cost = work((loop,))
        variables, body = join(variables, body, self.shapes, self.names)
        lane = self.chosen_lane(variables, body) or self.lane_variable(variables, body)
        if lane is None:
            inside = self.inner(body)
            if not variables:
                return enclose(inside, self.names, always=True)
            *outer, rows = variables
            alone = Loop(rows, LoopKind.PARALLEL, inside)
            together: Body = (alone,)
            if abreast := passes_abreast(alone, self.target, self.names):
                together = (abreast,)
            elif self.is_cached:  # from memory, two rows at once are read more slowly than one
                together = rows_abreast(alone, self.target, self.names)
            return self.spread(nest(outer, together), cost)
        body = _serial(body)
        others = [v for v in variables if v != lane]
        tiler = Tiler(self.target, self.names, self.shapes, cost // GRAIN, self.choices)
        tiled = tiler.nests(others, lane, body)
        if tiled is None:
            tiled = self.streams(others, Loop(lane, LoopKind.PARALLEL, body), cost)
        return tuple(s for part in tiled for s in self.spread((part,), cost))

    def chosen_lane(self, variables: list[LoopVariable], body: Body) -> LoopVariable | None:
        """Return the loop that the choices name; None where lanes would each need whole rows."""
        lane = self.choices.lane
        if lane is None or lane >= len(variables) or holds(body, LoopKind.PARALLEL):
            return None
        return variables[-1 - lane]

    def lane_variable(self, variables: list[LoopVariable], body: Body) -> LoopVariable | None:
        """Return the loop along which vectors go best; None for those inside the body."""
        has_inner = holds(body, LoopKind.PARALLEL)
        lanes = self.target.lanes(element_bytes(body))
        best, best_score = None, self.inner_score(body) if has_inner else -(10**9)
        for variable in reversed(variables):
            score = unit_stride_score(body, variable, self.shapes, 2 * lanes)
            if variable.extent < 4 and len(variables) > 1:
                score -= 4
            if score > best_score:
                best, best_score = variable, score
        if best is None or has_inner or not holds(body, LoopKind.SERIAL):
            return best
        wide = [v for v in variables if v.extent >= lanes]
        return min([best, *wide], key=lambda v: moved_unevenly(body, v, self.shapes, 2 * lanes))

    def inner_score(self, body: Body) -> int:
        loops = [s for s in statements(body) if isinstance(s, Loop)]
        return sum(
            unit_stride_score(loop.body, loop.variable, self.shapes)
            for loop in loops
            if loop.kind is LoopKind.PARALLEL and not holds(loop.body, LoopKind.PARALLEL)
        )

    def lane_wise(self, others: list[LoopVariable], lane: LoopVariable, body: Body) -> Body:
        """Return nests in which vectors over `lane` are innermost."""
        crossing = self.crossing(others, lane, body)
        if crossing is None:
            return self.vectors(others, lane, body, None)
        square = square_of(lane, crossing, body, self.shapes, self.target)
        if square is None:
            return self.vectors(others, lane, body, crossing)
        others = [v for v in others if v != crossing]
        if not others and self.is_cached and not self.is_near:
            whole = Loop(lane, LoopKind.PARALLEL, body)
            least = BLOCKS * self.target.cores
            blocks = transpose_blocks(crossing, whole, square, self.shapes, least, self.names)
            if blocks is not None:
                return blocks
        nests, rest = transpose_squares(
            others, crossing, Loop(lane, LoopKind.PARALLEL, body), square, self.names
        )
        for across, along in rest:
            nests += self.vectors([*others, across], along.variable, along.body, across)
        return nests

    def vectors(
        self,
        others: list[LoopVariable],
        lane: LoopVariable,
        body: Body,
        crossing: LoopVariable | None,
    ) -> Body:
        loop = Loop(lane, LoopKind.PARALLEL, body)
        if others and crossing is None and _product(others) >= 4 * self.target.cores:
            before, loop = _once_a_row(loop)
            width = self.width(loop.body, lane.extent)
            rows = vectorise(loop, width, self.names, LoopKind.PARALLEL)
            return nest(self.in_reading_order(others, body), (*before, *rows))
        width = self.width(body, lane.extent)
        first, last = split_off_tail(loop, width, self.names)
        if crossing is not None:
            others = [*(v for v in others if v != crossing), crossing]
        nests: list[Statement] = []
        for part in (first, last):
            if part is not None:
                blocks = vectorise(part, width, self.names, LoopKind.PARALLEL)
                nested = _outside_in(blocks, others, crossing is not None)
                nests.extend(enclose(nested, self.names))
        return tuple(nests)

    def in_reading_order(self, variables: list[LoopVariable], body: Body) -> list[LoopVariable]:
        """Return the loops in the order in which the only load goes through memory, if that is far.

        A processor foresees what is read next to what was read; what is written waits for nobody.
        """
        found = [(a, o) for a, o in accesses(body, self.shapes) if isinstance(a, Load)]
        if len(found) != 1:
            return variables
        load, offset = found[0]
        size = prod(self.shapes[load.buffer]) * load.result.dtype.itemsize
        strides = {v: offset.stride(v) for v in variables}
        if 2 * size <= CACHED * self.target.cache_bytes[2] or not all(strides.values()):
            return variables
        return sorted(variables, key=lambda v: -abs(strides[v] or 0))

    def streams(self, others: list[LoopVariable], lane: Loop, cost: int) -> Body:
        """Return nests that read far rows in long pieces, and others for what is left."""
        tasks = min(self.tasks(STREAMS), cost // GRAIN) // _product(others)
        nests, rest = stream_columns(lane, others, self.shapes, self.target, tasks, self.names)
        if rest is None:
            return nests
        return (*nests, *self.lane_wise(others, rest.variable, rest.body))

    def crossing(
        self, others: list[LoopVariable], lane: LoopVariable, body: Body
    ) -> LoopVariable | None:
        """Return the loop over which some access is to adjacent elements that jumps over `lane`."""
        for _, offset in accesses(body, self.shapes):
            stride = offset.stride(lane)
            if stride is None or abs(stride) <= 1:
                continue
            for other in others:
                if offset.stride(other) == 1:
                    return other
        return None

    def width(self, body: Body, extent: int) -> int:
        lanes = self.target.lanes(element_bytes(body))
        factor = 1 if count(body) > SMALL_BODY else 2
        if holds(body, LoopKind.SERIAL):
            factor = 4 if count(body) <= 2 * SMALL_BODY else 2
        elif work(body) >= DEEP * count(body):
            factor = 4
        if self.choices.vectors:
            factor = 1 << (min(self.choices.vectors, MOST_VECTORS).bit_length() - 1)
        while factor > 1 and extent < lanes * factor:
            factor //= 2
        return min(lanes * factor, MOST_LANES)

    # --- parallel loops inside a body

    def inner(self, body: Body) -> Body:
        """Return `body` with vectors for its parallel loops."""
        done: list[Statement] = []
        for statement in body:
            if isinstance(statement, Loop) and statement.kind is LoopKind.PARALLEL:
                done.extend(self.inner_nest(statement))
            elif isinstance(statement, Loop):
                inside = self.inner(statement.body)
                done.extend(over(statement.variable, statement.kind, inside))
            elif isinstance(statement, Guard):
                done.append(replace(statement, body=self.inner(statement.body)))
            else:
                done.append(statement)
        return tuple(done)

    def inner_nest(self, loop: Loop) -> Body:
        variables, body = peel(loop)
        if any(v.extent == 0 for v in variables):
            return ()
        variables, body = join(variables, body, self.shapes, self.names)
        lane = self.lane_variable(variables, body)
        if lane is None:
            return nest(variables, self.inner(body), LoopKind.SERIAL)
        others = [v for v in variables if v != lane]
        body = _serial(body)
        width = self.inner_width(body, lane.extent)
        chunks = lane.extent // width
        light = work(body) <= LIGHT
        outer = LoopKind.UNROLLED if light and 1 < chunks <= MOST_CHUNKS else LoopKind.SERIAL
        vectors = vectorise(Loop(lane, LoopKind.PARALLEL, body), width, self.names, outer)
        return nest(others, vectors, LoopKind.SERIAL)

    def inner_width(self, body: Body, extent: int) -> int:
        """Return the width of vectors over lanes; more than one where each waits for itself."""
        if not _stores_scratch(body, self.shapes) or work(body) > LIGHT:
            return self.width(body, extent)
        return min(MOST_LANES, 4 * self.target.lanes(element_bytes(body)))

    # --- threads

    def tasks(self, each: int) -> int:
        """Return how many tasks are wanted: `each` for a core, or what is chosen."""
        chosen = self.choices.tasks
        return (each if chosen is None else chosen) * self.target.cores

    def spread(self, body: Body, cost: int) -> Body:
        """Return the nests of `body` with the outermost loops of each shared among threads."""
        done: list[Statement] = []
        for statement in body:
            if isinstance(statement, Loop) and statement.kind is LoopKind.PARALLEL:
                done.extend(self.share(statement, cost))
            else:
                done.append(statement)
        return tuple(done)

    def share(self, loop: Loop, cost: int) -> Body:
        """Return `loop` parallel with enough work in an iteration, or serial if it is cheap."""
        own = work((loop,))
        if cost < CHEAP or own < CHEAP or self.target.cores < 2 or self.choices.tasks == 0:
            return _serial((loop,))
        wanted = min(self.tasks(TASKS), own // GRAIN)
        while loop.variable.extent < wanted:
            inner = only_loop(loop)
            if inner is None or inner.kind is not LoopKind.PARALLEL:
                break
            loop = collapse(loop, self.names)
        factor = _block(loop.variable.extent, -(-GRAIN // max(work(loop.body), 1)))
        if factor >= loop.variable.extent:
            return _serial((loop,))
        if factor > 1:
            whole = loop.variable.extent % factor == 0
            loop = (split if whole else split_with_guard)(loop, factor, self.names)
        return (replace(loop, body=_serial(loop.body)),)


def _outside_in(blocks: Body, others: list[LoopVariable], blocks_outside: bool) -> Body:
    """Return the loop over vectors, or the only vector, with the loops over `others` around it.

    With `blocks_outside` the loop over vectors is the outermost and the others go inside. There are
    no vectors where the loops inside go over nothing.
    """
    if not blocks:
        return ()
    block = blocks[0]
    if blocks_outside and isinstance(block, Loop) and block.kind is LoopKind.PARALLEL:
        return (replace(block, body=nest(others, block.body)),)
    return nest(others, blocks)


def _once_a_row(loop: Loop) -> tuple[Body, Loop]:
    """Return `loop` after what it looks up and checks anew for each of its elements."""
    *before, inside = hoist(loop)
    assert isinstance(inside, Loop)
    if any(isinstance(s, Load | Store) for s in before):
        return tuple(before), inside
    return (), loop


def _serial(body: Body) -> Body:
    """Return `body` with serial loops for the parallel ones."""
    done: list[Statement] = []
    for statement in body:
        if isinstance(statement, Loop):
            kind = LoopKind.SERIAL if statement.kind is LoopKind.PARALLEL else statement.kind
            done.extend(over(statement.variable, kind, _serial(statement.body)))
        elif isinstance(statement, Guard):
            done.append(replace(statement, body=_serial(statement.body)))
        else:
            done.append(statement)
    return tuple(done)


def _stores_scratch(body: Body, shapes: Shapes) -> bool:
    """Return whether `body` stores to scratch, as the lanes of a reduction do."""
    return any(isinstance(s, Store) and s.buffer not in shapes for s in statements(body))


def _block(extent: int, least: int) -> int:
    """Return how many iterations go in a block: a divisor of `extent` near `least`, or `least`."""
    if least >= extent:
        return extent
    for factor in range(least, min(2 * least, extent) + 1):
        if extent % factor == 0:
            return factor
    return least


def _product(variables: list[LoopVariable]) -> int:
    product = 1
    for variable in variables:
        product *= variable.extent
    return product
