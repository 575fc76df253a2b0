"""Scatters into large tables: every thread has rows of its own, which it fills and combines with.

    for blocks of rows parallel
      scratch met[rows of the block], first[rows of the block]
      for k serial
        which row update k goes to; if it is a row of the block: count it, and keep the first k
      for rows of the block
        if no update meets it { for columns vector { fill } }
        if one does { for columns vector { combine what would be filled and update first } }
      for k serial
        which row update k goes to; if it is a row of the block that several meet
          if k is the first of them { for columns vector { fill } }
          for columns vector { combine }

As it is lowered, a scatter fills the table and then goes over the updates, of which every thread
has some columns: rows that an update meets go to memory twice, in pieces. Here every row is written
once and in order, past the caches if the table is too large for these, but for the few rows of
several updates: these are filled just before the first of them. Each block looks at all updates,
and how many fall into it is not known before, so this is for tables that have many more rows than
there are updates. The updates of a row keep their order, so no bit changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from graphc.dtypes import int32, uint8
from graphc.index import Index, LoopVariable, ValueAtom, as_index
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
    Store,
    Value,
    result_of,
)
from graphc.passes.loop_analysis import Shapes, element_bytes, peel, work
from graphc.passes.memory_hints import CACHED
from graphc.passes.rewrite_statements import (
    Body,
    Names,
    copy,
    rename,
    rewrite,
    substitute,
)
from graphc.passes.transform_loops import enclose, hoist, join, over, vectorise
from graphc.target import Target
from graphc.tensor_type import TensorType

SPARSE = 4  # rows for each update, from which on it matters little into which block updates fall
LONG = 256  # bytes of a row, from which on it is written in whole lines
SLOW = 4  # operations in the time that the memory takes for a vector
_FILLED = 3
_COUNT, _NUMBER = uint8, int32
_MOST_LANES = 64


@dataclass(frozen=True)
class _Scatter:
    """A scatter in parts: `fill` over the columns of `row`; `combine` over those of `place`.

    `around` are the loops over the updates, each with what stands before it; `lookup` finds
    `place`, the row that an update goes to.
    """

    table: str
    row: LoopVariable
    fill: Loop
    around: tuple[tuple[Body, LoopVariable], ...]
    lookup: Body
    place: ValueAtom
    combine: Loop

    @property
    def updates(self) -> int:
        """How many rows are combined with."""
        return prod(variable.extent for _, variable in self.around)

    @property
    def number(self) -> Index:
        """The number of an update, in the order of the loops around it."""
        flat = as_index(0)
        for _, variable in self.around:
            flat = flat * variable.extent + as_index(variable)
        return flat

    def numbered(self, flat: Index) -> dict[LoopVariable, Index]:
        """Return the loop variables of the update with this number."""
        found = {}
        for _, variable in reversed(self.around):
            found[variable] = flat % variable.extent
            flat = flat // variable.extent
        return found


def scatter_by_rows(kernel: Kernel, shapes: Shapes, target: Target, names: Names) -> Body | None:
    """Return the scheduled body of a scatter, each block of rows a task of its own.

    None where `kernel`, in the lowered form, is something else or better shared out by columns.
    """
    found = _match(kernel.body, shapes, names)
    if found is None or not _pays(found, kernel, target):
        return None
    is_large = kernel.buffer(found.table).type.nbytes > CACHED * target.cache_bytes[2]
    return _blocks(found, target, names, past_caches=is_large)


def _pays(scatter: _Scatter, kernel: Kernel, target: Target) -> bool:
    table = kernel.buffer(scatter.table).type
    rows = scatter.row.extent
    if table.nbytes <= target.cores * target.cache_bytes[1] or table.nbytes < LONG * rows:
        return False
    vectors = work((scatter.fill,)) * rows // target.lanes(table.dtype.itemsize)
    blocks = -(-rows // _rows_of_block(scatter, target))
    scans = 2 * blocks * scatter.updates * work(scatter.lookup)
    return SPARSE * scatter.updates <= rows and scans <= SLOW * vectors


def _rows_of_block(scatter: _Scatter, target: Target) -> int:
    """Return how many rows a block has: one block for each core if what it notes stays near."""
    most = target.cache_bytes[1] // (2 * (_COUNT.itemsize + _NUMBER.itemsize))
    return min(-(-scatter.row.extent // target.cores), most)


# --- recognising ---------------------------------------------------------------------------------


def _match(body: Body, shapes: Shapes, names: Names) -> _Scatter | None:
    if len(body) != 3 or not isinstance(body[1], Barrier):
        return None
    first, _, second = body
    if not (isinstance(first, Loop) and isinstance(second, Loop)):
        return None
    rows, fill_body = peel(first)
    columns, fill_body = join(rows[1:], fill_body, shapes, names)
    lanes, update = join(*peel(second), shapes, names)
    around, update = _serial_loops(update)
    if len(columns) != 1 or len(lanes) != 1 or not around or not _is_flat((*fill_body, *update)):
        return None
    *lookup, combine = hoist(Loop(lanes[0], LoopKind.PARALLEL, update))
    assert isinstance(combine, Loop)
    fill = Loop(columns[0], LoopKind.PARALLEL, fill_body)
    table = _filled_table(rows[0], fill)
    place = _found_row(table, fill, combine)
    made = {v.name for s in lookup if (v := result_of(s)) is not None}
    if place is None or place.name not in made or _accesses(tuple(lookup), table):
        return None
    return _Scatter(table, rows[0], fill, around, tuple(lookup), place, combine)


def _is_flat(body: Body) -> bool:
    return not any(isinstance(s, Loop | Guard | Scratch | Barrier) for s in body)


def _serial_loops(body: Body) -> tuple[tuple[tuple[Body, LoopVariable], ...], Body]:
    """Return the serial loops nested in `body`, with the constants before each, and what is left.

    They are none where anything else stands before one.
    """
    around: list[tuple[Body, LoopVariable]] = []
    while body and isinstance(loop := body[-1], Loop) and loop.kind is LoopKind.SERIAL:
        if loop.variable.extent == 0 or not all(isinstance(s, Let) for s in body[:-1]):
            return (), body
        around.append((body[:-1], loop.variable))
        body = loop.body
    return tuple(around), body


def _filled_table(row: LoopVariable, fill: Loop) -> str:
    """Return the buffer of which `fill` writes row `row`, and does nothing else; or nothing."""
    stores = [s for s in fill.body if isinstance(s, Store)]
    if len(stores) != 1 or stores[0] is not fill.body[-1] or stores[0].where is not None:
        return ""
    table, (first, *others) = stores[0].buffer, stores[0].indices
    is_row = first == as_index(row) and not any(row in i.variables for i in others)
    return table if is_row and len(_accesses(fill.body, table)) == 1 else ""


def _found_row(table: str, fill: Loop, combine: Loop) -> ValueAtom | None:
    """Return the value that is the row of all accesses to `table` in `combine`, if one is.

    Their columns are those that `fill` writes.
    """
    accesses = _accesses(combine.body, table)
    written = _accesses(fill.body, table)
    if not accesses or not written or any(a.where is not None for a in accesses):
        return None
    to = {fill.variable: as_index(combine.variable)}
    columns = tuple(i.substitute(to) for i in written[0].indices[1:])
    place = accesses[0].indices[0]
    atoms = [atom for atom, _ in place.terms if isinstance(atom, ValueAtom)]
    if not all(a.indices == (place, *columns) for a in accesses):
        return None
    return atoms[0] if atoms and place == as_index(atoms[0]) else None


def _accesses(body: Body, buffer: str) -> list[Load | Store]:
    return [s for s in body if isinstance(s, Load | Store) and s.buffer == buffer]


# --- building ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Block:
    """What the statements for one block of rows have in common.

    `met` counts, for each row, the updates of it, up to two; three says that it is filled too.
    `first` is the number of the first of them.
    """

    scatter: _Scatter
    met: Scratch
    first: Scratch
    begin: Index
    target: Target
    names: Names
    past_caches: bool

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.met.type.shape[0]

    def where(self, row: Index, low: int, high: int, body: Body) -> Body:
        """Return `body` for a row of the block that was met `low` to `high` times."""
        known = Value(self.names.fresh("known"), _COUNT)
        count = as_index(ValueAtom(known.name, 0, _FILLED))
        conditions = ((as_index(low - 1), count), (count, as_index(high + 1)))
        return (Load(known, self.met.name, (row,)), Guard(conditions, body))

    def note(self, row: Index, count: int) -> Body:
        """Return the store that says how often a row was met."""
        value = Value(self.names.fresh("count"), _COUNT)
        return (Let(value, "literal", (), count), Store(self.met.name, (row,), value))

    def lane_wise(self, loop: Loop) -> Body:
        """Return `loop`, over columns, in vectors, two at a time."""
        width = min(_MOST_LANES, 2 * self.target.lanes(element_bytes(loop.body)))
        return vectorise(loop, width, self.names)

    def filled(self, row: Index, *, is_last: bool) -> Body:
        """Return the loop that fills a row; `is_last` says that it is read by nobody soon."""
        body = substitute(copy((self.scatter.fill,), self.names), {self.scatter.row: row})
        if is_last and self.past_caches:
            body = rewrite(body, memory=_past_caches)
        (loop,) = body
        assert isinstance(loop, Loop)
        return self.lane_wise(loop)


def _blocks(scatter: _Scatter, target: Target, names: Names, *, past_caches: bool) -> Body:
    """Return the loop over blocks of rows."""
    rows = _rows_of_block(scatter, target)
    variable = names.variable(scatter.row, -(-scatter.row.extent // rows))
    met = Scratch(names.fresh("met"), TensorType((rows,), _COUNT), Scope.CACHE)
    first = Scratch(names.fresh("first"), TensorType((rows,), _NUMBER), Scope.CACHE)
    block = _Block(scatter, met, first, as_index(variable) * rows, target, names, past_caches)
    clear = names.variable(scatter.row, rows)
    cleared = Loop(clear, LoopKind.PARALLEL, block.note(as_index(clear), 0))
    body: Body = (
        met,
        first,
        *vectorise(cleared, target.lanes(1), names),
        *_each_update(block, _counted(block)),
        *_written_once(block),
        *_each_update(block, _combined(block)),
    )
    if variable.extent == 1:
        return enclose(substitute(body, {variable: as_index(0)}), names, always=True)
    return (Loop(variable, LoopKind.PARALLEL, body),)


def _each_update(block: _Block, body: Body) -> Body:
    """Return the loops over all updates, with `body` for those of the block's rows."""
    row = as_index(block.scatter.place)
    conditions = ((block.begin, row + 1), (row - block.begin, as_index(block.rows)))
    done: Body = (*block.scatter.lookup, Guard(conditions, body))
    for before, variable in reversed(block.scatter.around):
        done = (*before, *over(variable, LoopKind.SERIAL, done))
    return copy(done, block.names)


def _counted(block: _Block) -> Body:
    """Return what counts an update, and keeps the number of a row's first one."""
    row = as_index(block.scatter.place) - block.begin
    number = Value(block.names.fresh("number"), _NUMBER)
    keep: Body = (
        IndexValue(number, block.scatter.number),
        Store(block.first.name, (row,), number),
    )
    again = block.where(row, 1, 1, block.note(row, 2))
    return (*again, *block.where(row, 0, 0, (*block.note(row, 1), *keep)))


def _written_once(block: _Block) -> Body:
    """Return the loop over the block's rows that writes those of at most one update."""
    each = block.names.variable(block.scatter.row, block.rows)
    row, extent = block.begin + as_index(each), block.scatter.row.extent
    number = Value(block.names.fresh("number"), _NUMBER)
    alone = (Load(number, block.first.name, (as_index(each),)), *_only_update(block, number))
    fill = block.filled(row, is_last=True)
    body = block.where(as_index(each), 0, 0, fill) + block.where(as_index(each), 1, 1, alone)
    if row.bounds[1] >= extent:
        body = (Guard(((row, as_index(extent)),), body),)
    return over(each, LoopKind.SERIAL, body)


def _only_update(block: _Block, number: Value) -> Body:
    """Return what combines what a row is filled with and its only update, of which it is given."""
    scatter = block.scatter
    flat = as_index(ValueAtom(number.name, 0, scatter.updates - 1))
    before = tuple(s for constants, _ in scatter.around for s in constants)
    body = copy((*before, *scatter.lookup, _joined(block)), block.names)
    *found, combine = substitute(body, scatter.numbered(flat))
    assert isinstance(combine, Loop)
    return (*found, *block.lane_wise(combine))


def _joined(block: _Block) -> Loop:
    """Return the loop that combines what the row would be filled with and an update."""
    scatter = block.scatter
    lane = scatter.combine.variable
    to = {scatter.row: as_index(scatter.place), scatter.fill.variable: as_index(lane)}
    *filling, stored = substitute(copy(scatter.fill.body, block.names), to)
    assert isinstance(stored, Store)
    loads = [s for s in _accesses(scatter.combine.body, scatter.table) if isinstance(s, Load)]
    rest = tuple(s for s in scatter.combine.body if s not in loads)
    body = (*filling, *rename(rest, {s.result.name: stored.value for s in loads}, {}))
    if block.past_caches:
        body = rewrite(body, memory=lambda a: _past_caches(a) if a.buffer == scatter.table else a)
    return replace(scatter.combine, body=body)


def _combined(block: _Block) -> Body:
    """Return what an update does to its row, if that has several."""
    place = as_index(block.scatter.place)
    row = place - block.begin
    fill = (*block.filled(place, is_last=False), *block.note(row, _FILLED))
    first = block.where(row, 2, 2, fill)
    return (*first, *block.where(row, _FILLED, _FILLED, block.lane_wise(block.scatter.combine)))


def _past_caches(access: Load | Store) -> Load | Store:
    return access if isinstance(access, Load) else replace(access, is_streaming=True)
