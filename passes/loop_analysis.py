"""What a schedule needs to know about loop nests: strides, work, widths. It decides nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache

from graphc.dtypes import DType
from graphc.index import Index, LoopVariable, as_index, linearise
from graphc.kernel import (
    Guard,
    IndexValue,
    Kernel,
    Let,
    Load,
    Loop,
    LoopKind,
    Scratch,
    Statement,
    Store,
    result_of,
    statements,
)
from graphc.op import Elementwise, find, scalar_program
from graphc.passes.rewrite_statements import Body, substitute
from graphc.scalar import PRIMITIVES
from graphc.target import SHORT_STEP

Shapes = Mapping[str, tuple[int, ...]]


def buffer_shapes(kernel: Kernel) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the buffers that the kernel is given."""
    return {b.name: b.type.shape for b in kernel.buffers}


def accesses(body: Body, shapes: Shapes) -> Iterator[tuple[Load | Store, Index]]:
    """Yield each access to a buffer named in `shapes` and its row-major offset."""
    for statement in statements(body):
        if isinstance(statement, Load | Store) and statement.buffer in shapes:
            yield statement, offset_of(statement, shapes)


def offset_of(access: Load | Store, shapes: Shapes) -> Index:
    """Return the row-major offset of an access to a buffer: of a word, counted in words."""
    offset = linearise(access.indices, shapes[access.buffer])
    return offset // access.count if isinstance(access, Load) else offset


def stride_in_panels(offset: Index, variable: LoopVariable, width: int) -> int | None:
    """Return the stride by `variable` inside every block of `width` of its iterations."""
    stride = offset.stride(variable)
    if stride is not None or variable.extent <= width:
        return stride
    block = LoopVariable(f"{variable.name} block", -(-variable.extent // width))
    inside = LoopVariable(f"{variable.name} inside", width)
    index = as_index(block) * width + as_index(inside)
    return offset.substitute({variable: index}).stride(inside)


def unit_stride_score(body: Body, variable: LoopVariable, shapes: Shapes, width: int = 1) -> int:
    """Return how well `body` goes in vectors over `variable`, in blocks of `width`.

    Accesses to adjacent elements are good, loads a few elements apart fair, others that move with
    it bad, scattering stores worst.
    """
    score = 0
    for access, offset in accesses(body, shapes):
        if _moves_by_value(offset):
            continue
        stride = stride_in_panels(offset, variable, width)
        if stride == 1:
            score += 2
        elif stride and abs(stride) <= SHORT_STEP and isinstance(access, Load):
            score += 1
        elif stride != 0:
            score -= 3 if isinstance(access, Store) else 2
    return score


def moved_unevenly(body: Body, variable: LoopVariable, shapes: Shapes, width: int) -> int:
    """Return how many elements `body` in all its loops accesses with a jump along `variable`.

    An element that is accessed again where a variable does not move it counts once; jumps between
    blocks of `width` iterations do not count.
    """
    total = 0
    for _, offset in accesses(body, shapes):
        if stride_in_panels(offset, variable, width) not in (0, 1):
            total += math.prod(v.extent for v in offset.variables)
    return total


def _moves_by_value(offset: Index) -> bool:
    return bool(offset.values)


def work(body: Body) -> int:
    """Return about how many scalar operations running `body` takes."""
    total = 0
    for statement in body:
        if isinstance(statement, Loop):
            total += statement.variable.extent * work(statement.body)
        elif isinstance(statement, Guard):
            total += work(statement.body)
        else:
            total += _weight(statement)
    return total


def _weight(statement: Statement) -> int:
    if isinstance(statement, Let) and statement.op not in PRIMITIVES:
        return _op_weight(
            statement.op,
            tuple(o.dtype.compute for o in statement.operands),
            statement.result.dtype.compute,
        )
    return 0 if isinstance(statement, Scratch) else 1


@cache
def _op_weight(name: str, parameters: tuple[DType, ...], result: DType) -> int:
    op = find(name)
    if op is None or not isinstance(op.lowering, Elementwise):
        return 1
    return len(scalar_program(name, parameters, result).instructions)


def element_bytes(body: Body) -> int:
    """Return the width of the widest type that `body` computes with, integers only if all are."""
    found = {v.dtype.compute for s in statements(body) if (v := result_of(s)) is not None}
    floats = {d.itemsize for d in found if d.is_float}
    return max(floats or {d.itemsize for d in found} or {4})


def count(body: Body) -> int:
    """Return how many statements `body` has, inner ones included."""
    return sum(1 for _ in statements(body))


def holds(body: Body, *kinds: LoopKind) -> bool:
    """Return whether a loop of one of these kinds is in `body`, at any depth."""
    return any(isinstance(s, Loop) and s.kind in kinds for s in statements(body))


def peel(loop: Loop) -> tuple[list[LoopVariable], Body]:
    """Return the variables of `loop` and of the parallel loops directly nested in it, and the body.

    Loops over one iteration are left out.
    """
    variables: list[LoopVariable] = []
    body: Body = (loop,)
    while len(body) == 1 and isinstance(body[0], Loop) and body[0].kind is LoopKind.PARALLEL:
        inner = body[0]
        body = inner.body
        if inner.variable.extent == 1:
            body = substitute(body, {inner.variable: as_index(0)})
        else:
            variables.append(inner.variable)
    return variables, body


def nest(variables: list[LoopVariable], body: Body, kind: LoopKind = LoopKind.PARALLEL) -> Body:
    """Return `body` in loops over `variables`, the first outermost."""
    for variable in reversed(variables):
        body = (Loop(variable, kind, body),)
    return body


def can_collapse(outer: LoopVariable, inner: LoopVariable, body: Body, shapes: Shapes) -> bool:
    """Return whether every access moves by `outer` as by going round `inner` once more."""
    for statement in statements(body):
        indices: tuple[Index, ...] = ()
        if isinstance(statement, IndexValue):
            indices = (statement.index,)
        elif isinstance(statement, Guard):
            indices = tuple(i for pair in statement.conditions for i in pair)
        elif isinstance(statement, Load | Store) and statement.buffer not in shapes:
            indices = statement.indices
        if any({outer, inner} & i.variables for i in indices):
            return False
    for _, offset in accesses(body, shapes):
        far, near = offset.stride(outer), offset.stride(inner)
        if far is None or near is None or far != near * inner.extent:
            return False
    return True
