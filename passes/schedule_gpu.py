"""Schedule for a GPU: fits the loops of a lowered kernel to work-groups and work-items.

Requires a lowered kernel (independent loops `parallel`, all others `serial`). Guarantees a kernel
of the same meaning and the same bits whose top level is `group` loops and barriers; in a group
stand `item` loops, serial loops over such, barriers wherever one nest needs what another wrote,
and values, which every work-item computes for itself. There are three shapes, one for each
top-level nest:

    flat     all independent outer loops together are items in groups; everything inside is serial
    row      a group for each iteration of the outer loops; the independent loops inside are items,
             and scratch that crosses them is local memory
    tiled    a sum of products: a group for each tile of the result, with panels of the operands in
             local memory and several results an item (`graphc.passes.tile_contraction`)
"""

from __future__ import annotations

import math
from dataclasses import replace

from graphc.index import Index, LoopVariable, as_index, delinearise
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
    Statement,
    Store,
    result_of,
    statements,
)
from graphc.passes.group_barriers import with_barriers
from graphc.passes.loop_analysis import holds, nest, peel
from graphc.passes.rewrite_statements import Body, Names, substitute
from graphc.passes.tile_contraction import tile_contraction
from graphc.target import Target

_FEWEST_ITEMS = 32  # rows with less to do at once are better one to a work-item


def schedule_gpu(kernel: Kernel, target: Target) -> Kernel:
    """Return `kernel` for the work-groups of `target`."""
    names = Names(kernel)
    if any(not isinstance(s, Loop | Barrier) for s in kernel.body):
        return kernel.with_body(_row((), kernel.body, names))
    body: list[Statement] = []
    for statement in kernel.body:
        if isinstance(statement, Loop):
            body.extend(_schedule_nest(statement, names, target))
        else:
            body.append(statement)
    return kernel.with_body(tuple(body))


def _schedule_nest(loop: Loop, names: Names, target: Target) -> Body:
    if loop.kind is not LoopKind.PARALLEL:
        return _row((), (loop,), names)
    variables, body = peel(loop)
    rows = math.prod(v.extent for v in variables)
    if rows == 0:
        return ()
    widest = max((_width(s) for s in statements(body) if isinstance(s, Loop)), default=1)
    if widest > 1 and (widest >= _FEWEST_ITEMS or rows == 1):
        grouped = _row(tuple(variables), body, names)
        if _local_bytes(grouped) <= target.local_bytes:
            return grouped
    if widest == 1:
        tiled = tile_contraction(variables, body, names, target)
        if tiled is not None:
            return tiled
    return _flat(tuple(variables), body, names, target)


def _width(loop: Loop) -> int:
    return loop.variable.extent if loop.kind is LoopKind.PARALLEL else 1


def _local_bytes(body: Body) -> int:
    return sum(
        s.type.nbytes for s in statements(body) if isinstance(s, Scratch) and s.scope is Scope.LOCAL
    )


def serialised(body: Body) -> Body:
    """Return `body` with every loop serial."""
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, Loop):
            statement = replace(statement, kind=LoopKind.SERIAL, body=serialised(statement.body))
        elif isinstance(statement, Guard):
            statement = replace(statement, body=serialised(statement.body))
        result.append(statement)
    return tuple(result)


# --- flat ----------------------------------------------------------------------------------------


def _flat(variables: tuple[LoopVariable, ...], body: Body, names: Names, target: Target) -> Body:
    """Number the iterations of all `variables` together, and share them out in groups of items:
    as large ones as the target has, or smaller where some cores would have none."""
    extents = tuple(v.extent for v in variables)
    total = math.prod(extents)
    each = max(_FEWEST_ITEMS, 1 << (max(1, total // target.cores) - 1).bit_length())
    items = max(1, min(total, each, target.group_items))
    like = variables[0] if variables else LoopVariable("row", 1)
    group, item = names.variable(like, -(-total // items)), names.variable(like, items)
    number = as_index(group) * items + as_index(item)
    places = dict(zip(variables, delinearise(number, extents), strict=True))
    inner = substitute(serialised(body), places)
    if total % items:
        inner = (Guard(((number, as_index(total)),), inner),)
    return (Loop(group, LoopKind.GROUP, (Loop(item, LoopKind.ITEM, inner),)),)


# --- row -----------------------------------------------------------------------------------------


def _row(variables: tuple[LoopVariable, ...], body: Body, names: Names) -> Body:
    """Give each iteration of `variables` a group, in which the independent loops are items."""
    scratch: list[Scratch] = []
    shared = with_barriers(_share_out(body, names, scratch))
    local = tuple(replace(s, scope=Scope.LOCAL) for s in scratch)
    groups = list(variables) or [names.variable(LoopVariable("group", 1), 1)]
    return nest(groups, (*local, *shared), LoopKind.GROUP)


def _share_out(body: Body, names: Names, scratch: list[Scratch]) -> Body:
    """Return the statements of a group for those of a row; its scratch is added to `scratch`."""
    result: list[Statement] = []
    for statement in body:
        match statement:
            case Scratch():
                scratch.append(statement)
            case Let() | Load() | IndexValue() | Barrier():
                result.append(statement)
            case Loop(kind=LoopKind.PARALLEL):
                result.extend(_as_items(statement))
            case Loop() if holds(statement.body, LoopKind.PARALLEL):
                result.extend(_share_out_serial(statement, names, scratch))
            case _:
                one = names.variable(LoopVariable("one", 1), 1)
                result.append(Loop(one, LoopKind.ITEM, serialised((statement,))))
    return tuple(result)


def _as_items(loop: Loop) -> Body:
    variables, body = peel(loop)
    return nest(variables or [loop.variable], serialised(body), LoopKind.ITEM)


def _share_out_serial(loop: Loop, names: Names, scratch: list[Scratch]) -> Body:
    """Share out a serial loop over independent ones: each item runs all of its own iterations,
    where that is the same, or else all items go through the serial iterations together."""
    *values, last = loop.body
    if isinstance(last, Loop) and all(result_of(v) is not None for v in values):
        inner = replace(last, body=(*values, *last.body))
        if last.kind is LoopKind.PARALLEL and _keeps_to_itself(inner, loop.variable):
            return _as_items(replace(inner, body=(replace(loop, body=inner.body),)))
    return (replace(loop, body=_share_out(loop.body, names, scratch)),)


def _keeps_to_itself(loop: Loop, step: LoopVariable) -> bool:
    """Return whether what an iteration of `loop` stores to, no other iteration accesses, not even
    in another `step`: one axis of every access tells the iterations apart."""
    inside = [s for s in statements(loop.body) if isinstance(s, Loop | Scratch)]
    own = {s.name for s in inside if isinstance(s, Scratch)}
    within = {s.variable for s in inside if isinstance(s, Loop)}
    accesses = [s for s in statements(loop.body) if isinstance(s, Load | Store)]
    for buffer in {s.buffer for s in accesses if isinstance(s, Store)} - own:
        places = [s.indices for s in accesses if s.buffer == buffer]
        if not any(
            all(index == axis[0] for index in axis)
            and not axis[0].variables & within
            and _tells_apart(axis[0], loop.variable, step)
            for axis in zip(*places, strict=True)
        ):
            return False
    return True


def _tells_apart(index: Index, variable: LoopVariable, step: LoopVariable) -> bool:
    """Return whether `index` differs wherever `variable` does, whatever the steps are."""
    near, far = index.stride(variable), index.stride(step)
    if not near or far is None or index.values:
        return False
    return far == 0 or abs(far) >= abs(near) * variable.extent
