"""Streams: serial loops over rows of a large array that several vectors of columns share.

    for chunks of columns                            (parallel, by graphc.passes.schedule)
      scratch accumulator[chunk]
      for vectors of the chunk                       what stands before the loop
      for blocks of k serial
        for vectors of the chunk
          for k of the block unrolled                its body, accumulated in a register
      for vectors of the chunk                       what stands after it

Where nothing is shared between rows, a column of vectors all the way down a matrix touches another
page with every step. Here each row is read in long pieces instead, and what is accumulated stays in
the first-level cache, where it is fetched and left once for several rows. The order of the serial
loops is kept, so no bit changes.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.dtypes import DType
from graphc.index import LoopVariable, as_index
from graphc.kernel import (
    Load,
    Loop,
    LoopKind,
    Scope,
    Scratch,
    Statement,
    Store,
    Value,
    statements,
)
from graphc.passes.loop_analysis import Shapes, element_bytes, nest, offset_of, work
from graphc.passes.rewrite_statements import Body, Names, copy, rewrite, substitute
from graphc.passes.transform_loops import (
    distribute,
    enclose,
    over,
    split,
    split_off_tail,
    vectorise,
)
from graphc.target import Target
from graphc.tensor_type import TensorType

PAGE = 4096  # bytes between rows, from which on reading a row in long pieces pays
CHUNK = 16 * 1024  # bytes of all accumulators
FEWEST_VECTORS = 4  # of a chunk
ROWS = 8  # of one block
LIGHT = 12  # scalar operations, up to which reading is what takes the time


def stream_columns(
    lane: Loop, others: list[LoopVariable], shapes: Shapes, target: Target, tasks: int, names: Names
) -> tuple[Body, Loop | None]:
    """Return nests over `others` and chunks of the columns `lane`, and a loop over what is left.

    Law: the loops are independent, those inside serial. `tasks` is how many parallel iterations are
    wanted. The nests are empty where streams are of no use.
    """
    width = min(64, 4 * target.lanes(element_bytes(lane.body)))
    if not _jumps_a_page(lane, shapes) or lane.variable.extent < 2 * FEWEST_VECTORS * width:
        return (), lane
    size = _chunk(lane, width, tasks)
    chunks = lane.variable.extent // size
    rest = lane.variable.extent - chunks * size
    chunk, inside = names.variable(lane.variable, chunks), names.variable(lane.variable, size)
    index = as_index(chunk) * size + as_index(inside)
    main = substitute(copy(lane.body, names), {lane.variable: index})
    pushed = _push_inside(Loop(inside, LoopKind.PARALLEL, main), width, names)
    variables = [*others, chunk] if chunks > 1 else others
    nests = nest(variables, pushed) if variables else enclose(pushed, names, always=True)
    if rest == 0:
        return nests, None
    last = names.variable(lane.variable, rest)
    body = substitute(lane.body, {lane.variable: as_index(last) + chunks * size})
    return nests, Loop(last, lane.kind, body)


def _jumps_a_page(lane: Loop, shapes: Shapes) -> bool:
    """Return whether light serial loops read adjacent columns of rows that lie far apart."""
    found = False
    for loop in (s for s in statements(lane.body) if isinstance(s, Loop)):
        if any(isinstance(s, Loop) for s in loop.body):
            continue
        if work(loop.body) > LIGHT:
            return False
        for load in (s for s in loop.body if isinstance(s, Load) and s.buffer in shapes):
            offset = offset_of(load, shapes)
            step = offset.stride(loop.variable) or 0
            far = abs(step) * load.result.dtype.itemsize >= PAGE
            found = found or (far and offset.stride(lane.variable) == 1)
    return found


def _chunk(lane: Loop, width: int, tasks: int) -> int:
    """Return how many columns a chunk has, a multiple of `width`."""
    made = [s.type.nbytes for s in statements(lane.body) if isinstance(s, Scratch)]
    most = CHUNK // max(sum(made), 1)
    wanted = min(most, -(-lane.variable.extent // max(tasks, 1)))
    vectors = max(FEWEST_VECTORS, wanted // width)
    return min(vectors, lane.variable.extent // width) * width


def _push_inside(lane: Loop, width: int, names: Names) -> Body:
    """Return `lane` inside the loops it holds, cut into vectors; what they share becomes arrays."""
    if not any(isinstance(s, Loop) for s in lane.body):
        return vectorise(lane, width, names)
    arrays, parts = distribute(lane, _cut_at_loops(lane.body), names)
    done: list[Statement] = [
        replace(a, scope=Scope.CACHE) if isinstance(a, Scratch) else a for a in arrays
    ]
    for part in parts:
        *before, last = part.body
        if isinstance(last, Loop):
            inner = replace(part, body=(*before, *last.body))
            done.extend(_rows(last, inner, width, names))
        else:
            done.extend(vectorise(part, width, names))
    return tuple(done)


def _rows(rows: Loop, lane: Loop, width: int, names: Names) -> Body:
    """Return the loop over `rows` with `lane`, which has its body, inside: several at a time."""
    stored = _accumulators(lane)
    if stored is None or rows.variable.extent < ROWS:
        return (replace(rows, body=_push_inside(lane, width, names)),)
    whole, rest = split_off_tail(replace(rows, body=lane.body), ROWS, names)
    assert whole is not None
    blocks = split(whole, ROWS, names, LoopKind.UNROLLED)
    held = replace(lane, body=_in_registers(blocks.body, stored, names))
    done = over(blocks.variable, rows.kind, vectorise(held, width, names))
    if rest is None:
        return done
    last = vectorise(replace(lane, body=rest.body), width, names)
    return (*done, *over(rest.variable, rows.kind, last))


def _accumulators(lane: Loop) -> dict[str, DType] | None:
    """Return the arrays that the lanes accumulate in, an element each; None if there are others."""
    found: dict[str, DType] = {}
    for statement in statements(lane.body):
        if isinstance(statement, Loop | Scratch):
            return None
        if isinstance(statement, Store):
            found[statement.buffer] = statement.value.dtype
    place = (as_index(lane.variable),)
    uses = [s for s in lane.body if isinstance(s, Load | Store) and s.buffer in found]
    return found if all(s.indices == place and s.where is None for s in uses) else None


def _in_registers(body: Body, arrays: dict[str, DType], names: Names) -> Body:
    """Return `body` with each element of `arrays` loaded before it and stored after it."""
    before: list[Statement] = []
    after: list[Statement] = []
    registers: dict[str, str] = {}
    place = next(s.indices for s in statements(body) if isinstance(s, Store))
    for array, dtype in arrays.items():
        scratch = Scratch(names.fresh(array), TensorType((), dtype), Scope.REGISTER)
        old, new = (Value(names.fresh("sum"), dtype) for _ in range(2))
        registers[array] = scratch.name
        before += [scratch, Load(old, array, place), Store(scratch.name, (), old)]
        after += [Load(new, scratch.name, ()), Store(array, place, new)]

    def hold(access: Load | Store) -> Load | Store:
        if access.buffer not in registers:
            return access
        return replace(access, buffer=registers[access.buffer], indices=())

    return (*before, *rewrite(body, memory=hold), *after)


def _cut_at_loops(body: Body) -> list[Body]:
    groups: list[list[Statement]] = [[]]
    for statement in body:
        if isinstance(statement, Loop):
            groups.extend(([statement], []))
        else:
            groups[-1].append(statement)
    return [tuple(group) for group in groups if group]
