"""Transformations of loop nests, each a pure function that keeps the meaning of a kernel exactly.

Each function states its law: what must hold for it to be used. None of them decides anything; that
is the business of `graphc.passes.schedule`. Independent loops are those whose kind promises it
(`parallel`, `vector`, `group`, `item`). Names made here come from a `Names`, which knows all
names of the kernel, so that values stay in single assignment. A loop over one iteration is left
out: what it holds stands in its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from graphc.errors import InternalError
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
    Value,
    result_of,
    statements,
)
from graphc.passes.loop_analysis import Shapes, can_collapse, nest
from graphc.passes.rewrite_statements import (
    Body,
    Names,
    copy,
    rename,
    rewrite,
    substitute,
    used,
    uses_of,
)
from graphc.tensor_type import TensorType

INDEPENDENT = frozenset({LoopKind.PARALLEL, LoopKind.VECTOR, LoopKind.GROUP, LoopKind.ITEM})


def replaced(loop: Loop, index: Index, body: Body | None = None) -> Body:
    """Return the body of `loop` (or `body`) with `index` for its variable."""
    return substitute(loop.body if body is None else body, {loop.variable: index})


def over(variable: LoopVariable, kind: LoopKind, body: Body) -> Body:
    """Return a loop, or its body where there is one iteration, or nothing where there is none."""
    if variable.extent == 0:
        return ()
    if variable.extent == 1:
        return substitute(body, {variable: as_index(0)})
    return (Loop(variable, kind, body),)


def enclose(body: Body, names: Names, *, always: bool = False) -> Body:
    """Return `body` if it is loops and barriers, as the top of a kernel is, else in one loop."""
    if not always and all(isinstance(s, Loop | Barrier) for s in body):
        return body
    return (Loop(LoopVariable(names.fresh("once"), 1), LoopKind.SERIAL, body),)


def mark(loop: Loop, kind: LoopKind) -> Loop:
    """Give `loop` another kind. Law: it is independent, or the new kind is serial or unrolled."""
    if kind in INDEPENDENT and loop.kind not in INDEPENDENT:
        raise InternalError(f"the loop over {loop.variable} is not known to be independent")
    return replace(loop, kind=kind)


# --- splitting and joining loops -----------------------------------------------------------------


def split(loop: Loop, factor: int, names: Names, inner: LoopKind | None = None) -> Loop:
    """Return a loop over blocks of `factor` iterations. Law: `factor` divides the extent.

    The inner loop has the kind `inner`, or that of `loop`.
    """
    extent = loop.variable.extent
    if extent % factor:
        raise InternalError(f"{factor} does not divide the extent of {loop.variable}, {extent}")
    outside = names.variable(loop.variable, extent // factor)
    inside = names.variable(loop.variable, factor)
    body = replaced(loop, as_index(outside) * factor + as_index(inside))
    within = mark(Loop(inside, loop.kind, body), inner or loop.kind)
    return Loop(outside, loop.kind, (within,))


def split_with_guard(loop: Loop, factor: int, names: Names) -> Loop:
    """Return a loop over blocks of `factor` iterations; a guard skips those past the end."""
    extent = loop.variable.extent
    if extent % factor == 0:
        return split(loop, factor, names)
    outside = names.variable(loop.variable, -(-extent // factor))
    inside = names.variable(loop.variable, factor)
    index = as_index(outside) * factor + as_index(inside)
    guarded = Guard(((index, as_index(extent)),), replaced(loop, index))
    return Loop(outside, loop.kind, (Loop(inside, loop.kind, (guarded,)),))


def split_off_tail(loop: Loop, factor: int, names: Names) -> tuple[Loop | None, Loop | None]:
    """Return a loop over the first iterations, a multiple of `factor`, and one over the rest."""
    extent = loop.variable.extent
    rest = extent % factor
    if rest == 0:
        return loop, None
    tail = names.variable(loop.variable, rest)
    if rest == extent:
        return None, loop
    last = Loop(tail, loop.kind, replaced(loop, as_index(tail) + (extent - rest)))
    head = names.variable(loop.variable, extent - rest)
    first = Loop(head, loop.kind, replaced(loop, as_index(head), copy(loop.body, names)))
    return first, last


def collapse(outer: Loop, names: Names) -> Loop:
    """Return one loop for `outer` and the loop in it. Law: nothing else is in it, both are
    independent or both serial."""
    inner = only_loop(outer)
    if inner is None or inner.kind is not outer.kind:
        raise InternalError(f"the loop over {outer.variable} does not hold one loop of its kind")
    extent = inner.variable.extent
    both = names.variable(outer.variable, outer.variable.extent * extent)
    index = as_index(both)
    mapping = {outer.variable: index // max(extent, 1), inner.variable: index % max(extent, 1)}
    return Loop(both, outer.kind, substitute(inner.body, mapping))


def join(
    variables: list[LoopVariable], body: Body, shapes: Shapes, names: Names
) -> tuple[list[LoopVariable], Body]:
    """Collapse neighbouring parallel loops over which all accesses go on evenly."""
    position = len(variables) - 2
    while position >= 0:
        outer, inner = variables[position : position + 2]
        if can_collapse(outer, inner, body, shapes):
            (pair,) = nest([outer, inner], body)
            assert isinstance(pair, Loop)
            joined = collapse(pair, names)
            variables = [*variables[:position], joined.variable, *variables[position + 2 :]]
            body = joined.body
        position -= 1
    return variables, body


def only_loop(loop: Loop) -> Loop | None:
    """Return the loop that is all that `loop` holds, if it is."""
    if len(loop.body) == 1 and isinstance(loop.body[0], Loop):
        return loop.body[0]
    return None


def interchange(outer: Loop) -> Loop:
    """Exchange `outer` and the loop in it. Law: nothing else is in it; one is independent."""
    inner = only_loop(outer)
    if inner is None or not ({outer.kind, inner.kind} & INDEPENDENT):
        raise InternalError(f"the loop over {outer.variable} cannot go inside")
    return replace(inner, body=(replace(outer, body=inner.body),))


def sink(loop: Loop) -> Loop:
    """Exchange `loop` with the serial loops that are all it holds, until it is the innermost."""
    inner = only_loop(loop)
    if inner is None or inner.kind is not LoopKind.SERIAL:
        return loop
    exchanged = interchange(loop)
    below = exchanged.body[0]
    return replace(exchanged, body=(sink(below),)) if isinstance(below, Loop) else exchanged


# --- moving statements ---------------------------------------------------------------------------


def distribute(loop: Loop, groups: Iterable[Body], names: Names) -> tuple[Body, list[Loop]]:
    """Return scratch, and a loop for each of `groups`, into which the body of `loop` is cut.

    A group of which nothing is left, since all of its scratch became arrays, has none.

    Law: `loop` is independent. What one group leaves to another, a value or scratch, becomes an
    array with an element for each iteration; constants are made again. All loops have the same
    variable.
    """
    if loop.kind not in INDEPENDENT:
        raise InternalError(f"the loop over {loop.variable} is not known to be independent")
    groups = list(groups)
    shared = _shared_scratch(groups)
    arrays: list[Statement] = [replace(s, type=_one_each(loop, s.type)) for s in shared.values()]

    def expand(access: Load | Store) -> Load | Store:
        if access.buffer not in shared:
            return access
        return replace(access, indices=(as_index(loop.variable), *access.indices))

    homes = {v.name: (v, s) for g in groups for s in g if (v := result_of(s)) is not None}
    done: list[Body] = []
    kept: dict[str, str] = {}  # the array of each value that crosses
    for group in groups:
        own = {v.name for s in statements(group) if (v := result_of(s)) is not None}
        taken = [homes[n] for n in used(group) if n in homes and n not in own]
        prefix, renamed = _bring_in(loop, taken, kept, names)
        for value, _ in taken:
            if value.name in kept and all(kept[value.name] != _name_of(a) for a in arrays):
                array_type = _one_each(loop, TensorType((), value.dtype))
                arrays.append(Scratch(kept[value.name], array_type, Scope.REGISTER))
        body = tuple(s for s in group if not (isinstance(s, Scratch) and s.name in shared))
        done.append((*prefix, *rename(body, renamed, {})))
    loops = [replace(loop, body=rewrite(_keep(b, kept, loop), memory=expand)) for b in done if b]
    return tuple(arrays), loops


def _shared_scratch(groups: list[Body]) -> dict[str, Scratch]:
    """Return the scratch made directly in one group and accessed in another."""
    made = {s.name: (i, s) for i, g in enumerate(groups) for s in g if isinstance(s, Scratch)}
    shared = {}
    for i, group in enumerate(groups):
        for s in statements(group):
            if isinstance(s, Load | Store) and s.buffer in made and made[s.buffer][0] != i:
                shared[s.buffer] = made[s.buffer][1]
    return shared


def _one_each(loop: Loop, of: TensorType) -> TensorType:
    return of.with_shape((loop.variable.extent, *of.shape))


def _name_of(statement: Statement) -> str | None:
    return statement.name if isinstance(statement, Scratch) else None


def _bring_in(
    loop: Loop, taken: list[tuple[Value, Statement]], kept: dict[str, str], names: Names
) -> tuple[Body, dict[str, Value]]:
    """Return statements that make the values of earlier groups again, and their new names."""
    prefix: list[Statement] = []
    renamed = {}
    for value, home in taken:
        new = names.value(value)
        renamed[value.name] = new
        if isinstance(home, Let) and not home.operands:
            prefix.append(replace(home, result=new))
            continue
        array = kept.setdefault(value.name, names.fresh(value.name))
        prefix.append(Load(new, array, (as_index(loop.variable),)))
    return tuple(prefix), renamed


def _keep(body: Body, kept: Mapping[str, str], loop: Loop) -> Body:
    """Return `body` with a store after each value that a later group takes."""
    result: list[Statement] = []
    for statement in body:
        result.append(statement)
        value = result_of(statement)
        if value is not None and value.name in kept:
            result.append(Store(kept[value.name], (as_index(loop.variable),), value))
    return tuple(result)


def hoist(loop: Loop) -> Body:
    """Return `loop` after the statements in it that do the same in every iteration.

    Law: the loop has an iteration. Loads go from memory that is not stored to in the loop, stores
    to memory that nothing else in it accesses.
    """
    stored = {s.buffer for s in statements(loop.body) if isinstance(s, Store)}
    accessed = Counter(s.buffer for s in statements(loop.body) if isinstance(s, Load | Store))
    made = {s.name for s in loop.body if isinstance(s, Scratch)}
    own = {v.name for s in statements(loop.body) if (v := result_of(s)) is not None}
    before: list[Statement] = []
    inside: list[Statement] = []
    for s in loop.body:
        names, indices = uses_of(s)
        varies = bool(names & own) or any(
            loop.variable in i.variables or i.values & own for i in indices
        )
        value = result_of(s)
        fixed = value is not None and not (isinstance(s, Load) and s.buffer in stored | made)
        if isinstance(s, Store):
            fixed = accessed[s.buffer] == 1
        if varies or not fixed:
            inside.append(s)
            continue
        if value is not None:
            own.discard(value.name)
        before.append(s)
    return (*before, replace(loop, body=tuple(inside)))


def vectorise(loop: Loop, width: int, names: Names, outer: LoopKind = LoopKind.SERIAL) -> Body:
    """Return vector loops of at most `width` lanes (a power of two) for the iterations of `loop`.

    Law: `loop` is independent, and holds only serial and unrolled loops. What does not fill a
    vector is a shorter vector loop, with a guard where its extent is no power of two.
    """
    extent = loop.variable.extent
    if extent <= width:
        return _short_vector(loop, names)
    first, last = split_off_tail(loop, width, names)
    body: Body = ()
    if first is not None:
        blocks = split(first, width, names, LoopKind.VECTOR)
        body = over(blocks.variable, outer, blocks.body)
    return body if last is None else (*body, *_short_vector(last, names))


def _short_vector(loop: Loop, names: Names) -> Body:
    extent = loop.variable.extent
    lanes = 1 << max(extent - 1, 0).bit_length()
    if extent in (lanes, 0):
        return over(loop.variable, LoopKind.VECTOR, loop.body)
    lane = names.variable(loop.variable, lanes)
    condition = (as_index(lane), as_index(extent))
    guarded = Guard((condition,), replaced(loop, as_index(lane)))
    return (Loop(lane, LoopKind.VECTOR, (guarded,)),)
