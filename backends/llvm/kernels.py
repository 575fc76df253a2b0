"""Kernels in LLVM IR: one function each, written statement by statement.

    define void @kernel(ptr buffer…, ptr workspace, ptr team, i64 thread, i64 threads)

All threads of a team call the function; each runs its share of the outermost parallel loop of
every top-level nest, and thread 0 runs nests that have none. A kernel whose top level has memory
of its own is run by thread 0 alone. Vector loops become vectors of exactly their extent: every
statement inside is carried out in all lanes, guards that differ by lane become masks. Unrolled
loops are copied here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from graphc.backends.llvm import memory, operations, polling, primitives, spelling, transposition
from graphc.backends.llvm.addresses import Environment
from graphc.backends.llvm.division import is_parallel, is_whole
from graphc.backends.llvm.memory import Storage
from graphc.backends.llvm.module import Module
from graphc.backends.llvm.operations import Operand
from graphc.backends.llvm.writer import Writer
from graphc.errors import InternalError
from graphc.index import Index, LoopVariable
from graphc.kernel import (
    Access,
    Barrier,
    Buffer,
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
    statements,
)

# Scratch arrays up to this size are on the stack, where LLVM can put them into registers, as long
# as all of them together leave a thread's stack, which may be a small one, nearly empty.
_MOST_STACK_BYTES = 8 * 1024
_MOST_STACK_BYTES_TOGETHER = 64 * 1024
_MOST_LANES = 64
_MOST_COPIES = 256


@dataclass(frozen=True, slots=True)
class BufferFacts:
    """What the plan proves of one buffer of a kernel in every launch of it."""

    is_alone: bool  # no other buffer of the launch is the same memory
    alignment: int


@dataclass(frozen=True, slots=True)
class Written:
    """A kernel as it stands in a module: the function's name and the workspace a thread needs."""

    function: str
    workspace_bytes: int


def write_kernel(
    module: Module,
    kernel: Kernel,
    facts: tuple[BufferFacts, ...],
    name: str,
    *,
    is_exported: bool = False,
    is_polled: bool = False,
) -> Written:
    """Add the function of `kernel` to `module`; `facts` has an entry for each buffer.

    `is_exported` lets other modules call it. With `is_polled` it takes one more argument, `ptr
    control`; see `polling`.
    """
    emitter = _Emitter(module, kernel, facts, is_polled=is_polled)
    emitter.top_level(kernel.body)
    emitter.fence()
    function = spelling.quoted(name)
    parameters = [
        f"ptr {_attributes(f)}{emitter.storages[b.name].address}"
        for b, f in zip(kernel.buffers, facts, strict=True)
    ]
    parameters += ["ptr %workspace", "ptr %team", "i64 %thread", "i64 %threads"]
    parameters += ["ptr %control"] if is_polled else []
    linkage = "" if is_exported else "internal "
    head = f"define {linkage}void {function}({', '.join(parameters)}) noinline nounwind"
    module.add(function, f"{head} {{\n{emitter.writer.text()}\n}}")
    return Written(function, emitter.workspace_bytes)


def _attributes(facts: BufferFacts) -> str:
    return ("noalias " if facts.is_alone else "") + f"align {facts.alignment} "


class _Emitter:
    """Writes the body of one kernel."""

    def __init__(
        self, module: Module, kernel: Kernel, facts: tuple[BufferFacts, ...], *, is_polled: bool
    ) -> None:
        self.module, self.writer = module, Writer()
        self.environment = Environment(self.writer)
        given = zip(kernel.buffers, facts, strict=True)
        self.storages = {b.name: _storage(b, f, i) for i, (b, f) in enumerate(given)}
        self.registers = {
            s.name
            for s in statements(kernel.body)
            if isinstance(s, Scratch) and s.scope is Scope.REGISTER
        }
        self.workspace_bytes = self.stack_bytes = 0
        self.mask = ""  # of the guards in the vector loop around; empty for all lanes
        self.within = 0  # the depth of the innermost guard
        self.is_shared = not is_whole(kernel.body)
        self.is_polled, self.has_barriers = is_polled, polling.has_barriers(kernel)
        self.escape = ""  # where a poll goes to in order to leave the nest around it
        self.is_unfenced = False  # whether stores past the caches may still be on their way
        self.copied: Loop | None = None  # the innermost loop that is written out
        self.copied_depth = 0
        self.columns: dict[str, list[Operand]] = {}  # what its copies load, by the load's result

    # --- the top level: what each thread does -----------------------------------------------------

    def top_level(self, body: tuple[Statement, ...]) -> None:
        """Write the whole kernel."""
        with self._skipped_if_stopped(not self.has_barriers):
            if self.is_shared:
                self._shared(body)
            else:
                self._alone(body)

    def _alone(self, body: tuple[Statement, ...]) -> None:
        """Write statements that thread 0 runs for all."""
        is_first = self.writer.pure("icmp eq i64 %thread, 0")
        with self._guarded(is_first), self._skipped_if_stopped(self.has_barriers):
            self._block(body)

    @contextlib.contextmanager
    def _skipped_if_stopped(self, applies: bool) -> Iterator[None]:
        """Write what is inside so that it is skipped, and left by polls, where the call stops."""
        if not (applies and self.is_polled):
            yield
            return
        self.escape = self.writer.fresh("stopped")
        with self.writer.region():
            polling.leave_if(self.writer, polling.write_stopped(self.writer), self.escape)
            outer, self.within = self.within, self.writer.depth
            yield
            self.within = outer
            self.writer.line(f"br label {self.escape}")
        self.writer.label(self.escape)

    def _shared(self, body: tuple[Statement, ...]) -> None:
        for statement in body:
            if isinstance(statement, Barrier):
                self.fence()
                self.writer.line("call void @graphc.barrier(ptr %team, i64 %threads)")
            elif isinstance(statement, Guard):
                with self._guarded(self._condition(statement)):
                    self._shared(statement.body)
            elif is_parallel(statement):
                assert isinstance(statement, Loop)
                self._divided(statement)
            elif isinstance(statement, Loop | Store):
                self._alone((statement,))
            else:
                self._statement(statement)

    def fence(self) -> None:
        """Put in order what was stored past the caches, before other threads may read it."""
        if self.is_unfenced and self.module.features.fence:
            self.writer.line(self.module.features.fence)
        self.is_unfenced = False

    def _divided(self, loop: Loop) -> None:
        """Write a loop of which each thread runs a contiguous share, the same for every kernel."""
        extent = loop.variable.extent
        if extent <= 1:
            self._alone((loop,))
            return
        begin = self._share("%thread", extent)
        end = self._share(self.writer.pure("add i64 %thread, 1"), extent)
        with self._skipped_if_stopped(self.has_barriers):
            self._repeat(loop, begin, end, maybe_empty=True)

    def _repeat(self, loop: Loop, begin: str, end: str, *, maybe_empty: bool) -> None:
        """Write a loop, cut into chunks between which it polls if it is long."""
        count = polling.iterations_per_poll(loop) if self.is_polled else 0
        if not count:
            self._iterations(loop, begin, end, maybe_empty=maybe_empty)
            return
        with polling.chunks(self.writer, (begin, end), count, self.escape) as limits:
            self._iterations(loop, *limits, maybe_empty=False)

    def _iterations(self, loop: Loop, begin: str, end: str, *, maybe_empty: bool) -> None:
        hint = _word(loop.variable.name)
        with (
            self.writer.loop(begin, end, hint, maybe_empty=maybe_empty) as variable,
            self._inside(loop.variable, variable),
        ):
            self._block(loop.body)

    def _share(self, thread: str, extent: int) -> str:
        scaled = self.writer.pure(f"mul i64 {thread}, {extent}")
        return self.writer.pure(f"udiv i64 {scaled}, %threads")

    # --- statements -------------------------------------------------------------------------------

    def _block(self, body: tuple[Statement, ...]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, statement: Statement) -> None:
        write = _STATEMENTS.get(type(statement))
        if write is None:
            raise InternalError(f"{type(statement).__name__} stands inside a loop")
        write(self, statement)

    def _let(self, let: Let) -> None:
        operands = tuple(self.environment.value(o.name) for o in let.operands)
        if let.op in primitives.TRAPPING and self.mask:
            operands = (operands[0], self._divisor(operands[1]))
        result = operations.write_let(
            self.writer, self.module, let.op, operands, let.result.dtype, let.payload
        )
        self.environment.values[let.result.name] = result

    def _divisor(self, divisor: Operand) -> Operand:
        """Return a divisor that is 1 in the lanes masked out: their division may not trap."""
        lanes = self.environment.lanes
        type_, text = spelling.register(divisor.dtype, lanes), self._spread(divisor)
        one = spelling.literal(divisor.dtype, 1, lanes)
        chosen = f"select <{lanes} x i1> {self.mask}, {type_} {text}, {type_} {one}"
        return Operand(self.writer.pure(chosen), divisor.dtype, lanes)

    def _spread(self, operand: Operand) -> str:
        return operations.spread(self.writer, operand, self.environment.lanes)

    def _index_value(self, statement: IndexValue) -> None:
        value = self.environment.converted(statement.index, statement.result.dtype)
        self.environment.values[statement.result.name] = value

    def _misalignment(self, statement: Misalignment) -> None:
        storage = self.storages[statement.buffer]
        rest = memory.bytes_into_a_line(self.writer, storage)
        number = self.writer.pure(f"udiv i64 {rest}, {storage.type.dtype.itemsize}")
        self.environment.values[statement.result.name] = Operand(number, statement.result.dtype)

    def _load(self, load: Load) -> None:
        place = memory.in_words(self._place(load.buffer, load.indices, load), load)
        value = self._transposed(load, place) or memory.load(self.environment, place)
        self.environment.values[load.result.name] = value

    def _transposed(self, load: Load, place: memory.Place) -> Operand | None:
        """Return what this copy of an unrolled loop loads of a matrix that all of them load."""
        loop = self.copied
        if loop is None or self.writer.depth != self.copied_depth:
            return None
        if not transposition.is_transposing(self.environment, place, loop):
            return None
        copy = self.environment.variables[loop.variable.name]
        if copy == 0:
            columns = transposition.load_columns(self.environment, place, loop.variable.extent)
            self.columns[load.result.name] = columns
        return self.columns[load.result.name][int(copy)]

    def _store(self, statement: Store) -> None:
        place = self._place(statement.buffer, statement.indices, statement)
        value = self.environment.value(statement.value.name)
        self.is_unfenced |= memory.store(
            self.environment, place, value, past_caches=statement.is_streaming
        )

    def _prefetch(self, statement: Prefetch) -> None:
        place = memory.make_place(
            self.environment, self.storages[statement.buffer], statement.indices, None, "", 0
        )
        memory.prefetch(self.environment, place, statement.level)

    def _place(
        self, buffer: str, indices: tuple[Index, ...], statement: Load | Store
    ) -> memory.Place:
        predicate = statement.where
        where = None if predicate is None else self.environment.value(predicate.name)
        return memory.make_place(
            self.environment, self.storages[buffer], indices, where, self.mask, self.within
        )

    def _scratch(self, statement: Scratch) -> None:
        lanes, type_ = self.environment.lanes, statement.type
        element, count = spelling.memory(type_.dtype), type_.size * lanes
        size = count * type_.dtype.itemsize
        if size <= _MOST_STACK_BYTES and self.stack_bytes + size <= _MOST_STACK_BYTES_TOGETHER:
            self.stack_bytes += size
            address = self.writer.allocate(element, max(count, 1))
        else:
            address = self.writer.pure(
                f"getelementptr i8, ptr %workspace, i64 {self.workspace_bytes}"
            )
            self.workspace_bytes += -(-size // 64) * 64
        if lanes > 1:
            # masked lanes of it are read and computed with: they must not be undefined
            self.writer.line(
                f"call void @llvm.memset.p0.i64(ptr {address}, i8 0, i64 {size}, i1 false)"
            )
        self.storages[statement.name] = Storage(address, type_, lanes, is_private=True)

    def _barrier(self, _: Barrier) -> None:
        """One thread alone has nobody to wait for; barriers of the team stand at the top level."""

    # --- loops and guards -------------------------------------------------------------------------

    def _loop(self, loop: Loop) -> None:
        extent = loop.variable.extent
        if extent == 0:
            return
        if extent == 1:
            with self._inside(loop.variable, 0):
                self._block(loop.body)
        elif self._is_copied(loop):
            outer = self.copied, self.copied_depth
            self.copied, self.copied_depth = loop, self.writer.depth
            for value in range(extent):
                with self._inside(loop.variable, value):
                    self._block(loop.body)
            self.copied, self.copied_depth = outer
        elif loop.kind is LoopKind.VECTOR and self._is_vectorisable(extent):
            self._vector(loop)
        else:
            self._repeat(loop, "0", str(extent), maybe_empty=False)

    def _is_copied(self, loop: Loop) -> bool:
        """Whether to write the body once for each iteration.

        Short loops over the elements of register scratch are: only known elements can be registers.
        """
        extent = loop.variable.extent
        if loop.kind is LoopKind.UNROLLED:
            return extent <= _MOST_COPIES
        inside = tuple(statements(loop.body))
        if loop.kind is LoopKind.VECTOR or extent * len(inside) > _MOST_COPIES:
            return False
        return any(
            isinstance(s, Load | Store)
            and s.buffer in self.registers
            and any(loop.variable in index.variables for index in s.indices)
            for s in inside
        )

    def _is_vectorisable(self, extent: int) -> bool:
        is_power = extent & (extent - 1) == 0
        return self.environment.lane is None and is_power and extent <= _MOST_LANES

    def _vector(self, loop: Loop) -> None:
        self.environment.lane = loop.variable
        with self._inside(loop.variable, 0):
            self._block(loop.body)
        self.environment.lane = None

    @contextlib.contextmanager
    def _inside(self, variable: LoopVariable, value: int | str) -> Iterator[None]:
        """Give the loop variable its value for what is written inside."""
        outer = self.environment.variables.get(variable.name)
        self.environment.variables[variable.name] = value
        yield
        if outer is not None:
            self.environment.variables[variable.name] = outer

    def _guard(self, guard: Guard) -> None:
        varying = [c for c in guard.conditions if self._varies(c)]
        uniform = [c for c in guard.conditions if not self._varies(c)]
        with self._guarded(self._all_hold(uniform)):
            outer = self.mask
            for condition in varying:
                self._narrow(self._lane_condition(*condition))
            self._block(guard.body)
            self.mask = outer

    def _varies(self, condition: tuple[Index, Index]) -> bool:
        return any(self.environment.is_varying(index) for index in condition)

    def _narrow(self, mask: str) -> None:
        lanes = self.environment.lanes
        both = f"and <{lanes} x i1> {self.mask}, {mask}"
        self.mask = self.writer.pure(both) if self.mask else mask

    def _lane_condition(self, left: Index, right: Index) -> str:
        environment, lanes = self.environment, self.environment.lanes
        bits = environment.narrow_bits(left, right)
        sides = [environment.vector(index, bits) for index in (left, right)]
        return self.writer.pure(f"icmp slt <{lanes} x i{bits}> {sides[0]}, {sides[1]}")

    def _condition(self, guard: Guard) -> str:
        return self._all_hold(list(guard.conditions))

    def _all_hold(self, conditions: list[tuple[Index, Index]]) -> str:
        """Return whether uniform conditions hold, an i1; empty for no conditions."""
        result = ""
        for left, right in conditions:
            sides = self.environment.scalar(left), self.environment.scalar(right)
            holds = self.writer.pure(f"icmp slt i64 {sides[0]}, {sides[1]}")
            result = self.writer.pure(f"and i1 {result}, {holds}") if result else holds
        return result

    @contextlib.contextmanager
    def _guarded(self, condition: str) -> Iterator[None]:
        if not condition:
            yield
            return
        with self.writer.guarded(condition):
            outer, self.within = self.within, self.writer.depth
            yield
            self.within = outer


def _storage(buffer: Buffer, facts: BufferFacts, number: int) -> Storage:
    address, is_read = f"%{_word(buffer.name)}.b{number}", buffer.access is Access.IN
    return Storage(address, buffer.type, is_read_only=is_read, alignment=facts.alignment)


def _word(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)


_STATEMENTS: dict[type, Callable[[_Emitter, Any], None]] = {
    Let: _Emitter._let,
    Load: _Emitter._load,
    IndexValue: _Emitter._index_value,
    Misalignment: _Emitter._misalignment,
    Store: _Emitter._store,
    Prefetch: _Emitter._prefetch,
    Scratch: _Emitter._scratch,
    Loop: _Emitter._loop,
    Guard: _Emitter._guard,
    Barrier: _Emitter._barrier,
}
