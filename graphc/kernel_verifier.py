"""The laws of kernels (`graphc.kernel`), checked.

`verify` raises VerificationError, naming the law that is broken and the statement, where a kernel
does not keep its representation's laws: names and single assignment, scopes, dtypes, ranks, the
nesting of loop kinds, the places of barriers and local scratch, accesses in bounds, stores to
what may be stored to, uniform stores in vector loops. That the iterations of a parallel loop are
independent is a promise that it does not prove; neither does it compute with values, so a
gathered index is taken to lie in the bounds that it claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, NoReturn

from graphc import dtypes
from graphc.dtypes import DType, int64
from graphc.errors import VerificationError
from graphc.index import ZERO, FloorDiv, Index, LoopVariable, Mod, ValueAtom, linearise
from graphc.kernel import (
    Access,
    Barrier,
    Guard,
    IndexValue,
    Kernel,
    Let,
    Load,
    Loop,
    LoopKind,
    Misalignment,
    Prefetch,
    Scope,
    Scratch,
    Statement,
    Store,
    Value,
)
from graphc.kernel_text import print_statements
from graphc.op import Elementwise, find
from graphc.scalar import COMPARISONS, PRIMITIVES
from graphc.tensor_type import TensorType

_SERIAL = frozenset({LoopKind.SERIAL, LoopKind.UNROLLED})
_ORDINARY = _SERIAL | {LoopKind.PARALLEL, LoopKind.VECTOR}
_TOP = _ORDINARY | {LoopKind.GROUP}
# The kinds that may stand directly in a loop of a kind; serial and unrolled loops change nothing.
_INSIDE: dict[LoopKind, frozenset[LoopKind]] = {
    LoopKind.PARALLEL: _ORDINARY,
    LoopKind.VECTOR: _SERIAL,
    LoopKind.GROUP: frozenset({LoopKind.GROUP, LoopKind.ITEM, LoopKind.SERIAL}),
    LoopKind.ITEM: _SERIAL | {LoopKind.ITEM, LoopKind.VECTOR},
}
_MOST_POINTS = 4096


def verify(kernel: Kernel) -> None:
    """Raise VerificationError where `kernel` breaks a law of its representation."""
    buffers = {b.name: (b.type, b.access) for b in kernel.buffers}
    if len(buffers) < len(kernel.buffers):
        raise VerificationError(f"{kernel.name}: two buffers have one name")
    scope = _Scope(memories={n: _Memory(t, a) for n, (t, a) in buffers.items()})
    _Verifier(kernel).block(kernel.body, scope)


@dataclass(frozen=True)
class _Memory:
    """A buffer or scratch; `is_per_lane` says that it was made inside the vector loop around."""

    type: TensorType
    access: Access = Access.INOUT
    is_per_lane: bool = False


@dataclass
class _Scope:
    """What is visible at a statement, and what surrounds it."""

    variables: dict[str, LoopVariable] = field(default_factory=dict)
    values: dict[str, DType] = field(default_factory=dict)
    memories: dict[str, _Memory] = field(default_factory=dict)
    allowed: frozenset[LoopKind] = _TOP
    around: LoopKind | None = None  # the innermost loop
    is_group: bool = False  # directly in a group loop, or in serial loops of one
    is_guarded: bool = False
    lane: LoopVariable | None = None
    varying: set[str] = field(default_factory=set)  # values that differ between lanes

    def inner(self, **changes: Any) -> _Scope:
        own = {"values": dict(self.values), "memories": dict(self.memories)}
        return replace(self, **{**own, "varying": set(self.varying), **changes})


class _Verifier:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.extents: dict[str, int] = {}
        self.names: set[str] = {b.name for b in kernel.buffers}
        self.results: set[str] = set()
        self.rows: dict[type, Callable[[Any, _Scope], None]] = {
            Let: self.let,
            Load: self.load,
            IndexValue: self.index_value,
            Misalignment: self.misalignment,
            Store: self.store,
            Prefetch: self.prefetch,
            Scratch: self.scratch,
            Loop: self.loop,
            Guard: self.guard,
            Barrier: self.barrier,
        }

    def fail(self, law: str, statement: Statement) -> NoReturn:
        text = next(print_statements((statement,), ""))
        raise VerificationError(f"kernel {self.kernel.name}: {law}", notes=(f"in: {text}",))

    def block(self, body: tuple[Statement, ...], scope: _Scope) -> None:
        for statement in body:
            self.rows[type(statement)](statement, scope)

    # --- loops, guards, scratch, barriers

    def loop(self, loop: Loop, scope: _Scope) -> None:
        variable, kind = loop.variable, loop.kind
        if variable.extent < 0 or self.extents.setdefault(variable.name, variable.extent) != (
            variable.extent
        ):
            self.fail("a loop variable has one extent, not negative", loop)
        if variable.name in scope.variables:
            self.fail("nested loops have different variables", loop)
        if kind not in scope.allowed:
            around = scope.around or "the top of a kernel"
            self.fail(f"a {kind} loop does not stand in {around}", loop)
        inner = scope.inner(
            variables={**scope.variables, variable.name: variable},
            allowed=_INSIDE.get(kind, scope.allowed - {LoopKind.GROUP}),
            around=kind,
            is_group=kind is LoopKind.GROUP or (scope.is_group and kind is LoopKind.SERIAL),
            lane=variable if kind is LoopKind.VECTOR else scope.lane,
        )
        self.block(loop.body, inner)

    def guard(self, guard: Guard, scope: _Scope) -> None:
        for index in (i for pair in guard.conditions for i in pair):
            self.index(index, guard, scope)
        self.block(guard.body, scope.inner(is_guarded=True, is_group=False))

    def barrier(self, barrier: Barrier, scope: _Scope) -> None:
        if not scope.is_group and (scope.around is not None or scope.is_guarded):
            self.fail(
                "a barrier stands at the top of a kernel or directly in a group loop", barrier
            )

    def scratch(self, scratch: Scratch, scope: _Scope) -> None:
        if scratch.name in self.names:
            self.fail("buffers and scratch have names of their own", scratch)
        if scratch.scope is Scope.LOCAL and scope.around is not LoopKind.GROUP:
            self.fail("local scratch stands directly in a group loop", scratch)
        self.names.add(scratch.name)
        scope.memories[scratch.name] = _Memory(scratch.type, is_per_lane=scope.lane is not None)

    # --- values

    def define(self, result: Value, statement: Statement, scope: _Scope, *, varies: bool) -> None:
        if result.name in self.results:
            self.fail(f"{result} is assigned once", statement)
        self.results.add(result.name)
        scope.values[result.name] = result.dtype
        if varies:
            scope.varying.add(result.name)

    def use(self, value: Value, statement: Statement, scope: _Scope) -> None:
        if value.name not in scope.values:
            self.fail(f"{value} is not known here", statement)
        if scope.values[value.name] is not value.dtype:
            self.fail(f"{value} is {scope.values[value.name]}, not {value.dtype}", statement)

    def where(self, where: Value | None, statement: Statement, scope: _Scope) -> None:
        if where is None:
            return
        self.use(where, statement, scope)
        if where.dtype is not dtypes.bool_:
            self.fail("a predicate is a bool", statement)

    def let(self, let: Let, scope: _Scope) -> None:
        for operand in let.operands:
            self.use(operand, let, scope)
        fault = _type_fault(let)
        if fault:
            self.fail(fault, let)
        varies = any(o.name in scope.varying for o in let.operands)
        self.define(let.result, let, scope, varies=varies)

    def index_value(self, statement: IndexValue, scope: _Scope) -> None:
        self.index(statement.index, statement, scope)
        if not statement.result.dtype.is_integer:
            self.fail("an index gives an integer", statement)
        varies = _varies(statement.index, scope)
        self.define(statement.result, statement, scope, varies=varies)

    def misalignment(self, statement: Misalignment, scope: _Scope) -> None:
        if all(b.name != statement.buffer for b in self.kernel.buffers):
            self.fail(f"{statement.buffer} is no buffer", statement)
        if statement.result.dtype is not int64:
            self.fail("a misalignment is an int64", statement)
        self.define(statement.result, statement, scope, varies=False)

    # --- memory

    def load(self, load: Load, scope: _Scope) -> None:
        self.where(load.where, load, scope)
        memory = self.access(load, scope)
        if load.count == 1 and memory.type.dtype is not load.result.dtype:
            self.fail(f"{load.buffer} holds {memory.type.dtype}", load)
        if load.count != 1:
            self.word(load, memory.type)
        varies = memory.is_per_lane or any(_varies(i, scope) for i in load.indices)
        varies = varies or (load.where is not None and load.where.name in scope.varying)
        self.define(load.result, load, scope, varies=varies)

    def word(self, load: Load, type_: TensorType) -> None:
        result = load.result.dtype
        if load.count < 1 or result.kind != "uint" or result.bits != load.count * type_.dtype.bits:
            self.fail(f"{load.count} elements of {type_.dtype} are no {result}", load)
        if linearise(load.indices, type_.shape) % load.count != ZERO:
            self.fail("the offset of a word is a multiple of its elements", load)

    def store(self, store: Store, scope: _Scope) -> None:
        self.use(store.value, store, scope)
        self.where(store.where, store, scope)
        memory = self.access(store, scope)
        if memory.type.dtype is not store.value.dtype:
            self.fail(f"{store.buffer} holds {memory.type.dtype}", store)
        if memory.access is Access.IN:
            self.fail(f"{store.buffer} is only read", store)
        if scope.lane is None or scope.lane.extent < 2 or memory.is_per_lane:
            return
        if any(_varies(i, scope) for i in store.indices):
            return
        if store.value.name in scope.varying:
            self.fail("lanes store different values to one place", store)

    def prefetch(self, prefetch: Prefetch, scope: _Scope) -> None:
        self.place(prefetch, scope)
        if prefetch.level not in (1, 2, 3):
            self.fail("there are caches of level 1, 2 and 3", prefetch)

    def place(self, access: Load | Store | Prefetch, scope: _Scope) -> _Memory:
        memory = scope.memories.get(access.buffer)
        if memory is None:
            self.fail(f"{access.buffer} is not known here", access)
        if len(access.indices) != memory.type.rank:
            self.fail(f"{access.buffer} has {memory.type.rank} axes", access)
        for index in access.indices:
            self.index(index, access, scope)
        return memory

    def access(self, access: Load | Store, scope: _Scope) -> _Memory:
        memory = self.place(access, scope)
        runs = all(v.extent for v in scope.variables.values())
        if access.where is None and not scope.is_guarded and runs:
            for index, extent in zip(access.indices, memory.type.shape, strict=True):
                if not is_inside(index, extent):
                    self.fail(f"{index} may be out of bounds of {extent}", access)
        return memory

    def index(self, index: Index, statement: Statement, scope: _Scope) -> None:
        for atom in index.atoms():
            if isinstance(atom, LoopVariable) and scope.variables.get(atom.name) != atom:
                self.fail(f"no loop over {atom} < {atom.extent} is around", statement)
            if isinstance(atom, ValueAtom):
                dtype = scope.values.get(atom.name)
                if dtype is None or not dtype.is_integer:
                    self.fail(f"%{atom.name} is no integer that is known here", statement)


def _varies(index: Index, scope: _Scope) -> bool:
    if scope.lane in index.variables:
        return True
    return bool(index.values & scope.varying)


def is_inside(index: Index, extent: int) -> bool:
    """Return whether `index` is known to lie in 0 … extent-1.

    Where its bounds do not tell, an index with quotients or remainders is computed at its corners
    and, if they are few, at all points; then only a point that lies outside makes it false.
    """
    low, high = index.bounds
    if low >= 0 and high < extent:
        return True
    if not any(isinstance(a, FloorDiv | Mod) for a, _ in index.terms):
        return False
    return all(0 <= index.evaluate(point) < extent for point in _points(index))


def _points(index: Index) -> Iterator[dict[str, int]]:
    ranges: dict[str, range] = {}
    count = 1
    for atom in index.atoms():
        if isinstance(atom, LoopVariable):
            ranges[atom.name] = range(atom.extent)
        elif isinstance(atom, ValueAtom):
            ranges[atom.name] = range(atom.low, atom.high + 1)
    for values in ranges.values():
        count *= len(values)
    if count > _MOST_POINTS:
        ranges = {n: r[:: max(len(r) - 1, 1)] for n, r in ranges.items()}
    for point in product(*ranges.values()):
        yield dict(zip(ranges, point, strict=True))


# --- dtypes of scalar ops ------------------------------------------------------------------------


def _type_fault(let: Let) -> str | None:
    """Return what is wrong with the dtypes of `let`, if anything."""
    given = [o.dtype for o in let.operands]
    row = PRIMITIVES.get(let.op)
    if row is None:
        return _op_fault(let, given)
    if len(given) != row.arity:
        return f"{let.op} has {row.arity} operands"
    if any(d.kind not in row.kinds for d in given):
        return f"{let.op} does not take {', '.join(map(str, given))}"
    if (let.op in ("literal", "lookup")) != (let.payload is not None):
        return "a literal and a lookup have a payload, nothing else has"
    expected = _RESULTS.get(let.op, _first)(given, let.result.dtype)
    if expected is not let.result.dtype:
        return f"{let.op} of {', '.join(map(str, given))} is not {let.result.dtype}"
    return None


def _op_fault(let: Let, given: list[DType]) -> str | None:
    op = find(let.op)
    if op is None or not isinstance(op.lowering, Elementwise):
        return f"{let.op} is neither a primitive nor an elementwise op"
    if len(given) != len(op.operands):
        return f"{let.op} has {len(op.operands)} operands"
    attributes = {"dtype": let.result.dtype} if op.lowering.takes_result else {}
    result = op.type_rule(*(TensorType((), d) for d in given), **attributes)
    if result.dtype is not let.result.dtype:
        return f"{let.op} of {', '.join(map(str, given))} is {result.dtype}, not {let.result.dtype}"
    return None


def _first(given: list[DType], _result: DType) -> DType | None:
    return given[0] if all(d is given[0] for d in given) else None


def _any_result(_given: list[DType], result: DType) -> DType | None:
    return result


def _comparison(given: list[DType], _result: DType) -> DType | None:
    return dtypes.bool_ if given[0] is given[1] else None


def _select(given: list[DType], _result: DType) -> DType | None:
    return given[1] if given[0] is dtypes.bool_ and given[1] is given[2] else None


def _bitcast(given: list[DType], result: DType) -> DType | None:
    return result if result.bits == given[0].bits and result.kind != "bool" else None


def _pair(given: list[DType], result: DType) -> DType | None:
    holds_both = result.kind == "uint" and result.bits == 2 * given[0].bits <= 32
    return result if given[0] is given[1] and holds_both else None


def _dot_bfloat16(given: list[DType], _result: DType) -> DType | None:
    takes = given == [dtypes.uint32, dtypes.uint32, dtypes.float32]
    return dtypes.float32 if takes else None


def _dot_of_bytes(given: list[DType], _result: DType) -> DType | None:
    words = given[:2] == [dtypes.uint32, dtypes.uint32]
    return given[2] if words and given[2] in (dtypes.int32, dtypes.uint32) else None


_RESULTS: dict[str, Callable[[list[DType], DType], DType | None]] = {
    "literal": _any_result,
    "lookup": _any_result,
    "convert": _any_result,
    "bitcast": _bitcast,
    "select": _select,
    "pair": _pair,
    "dot_bfloat16": _dot_bfloat16,
    "dot_int8": _dot_of_bytes,
    "dot_uint8": _dot_of_bytes,
    **dict.fromkeys(COMPARISONS, _comparison),
}
