"""OpenCL C from kernels.

    source ::= library function*        function ::= one OpenCL kernel for each *part* of a kernel

A kernel whose top level is `group` loops and barriers has one part for each group loop: its groups
become work-groups, each `item` loop is shared out among the work-items (iteration i to work-item
i mod the size of the group). Parts are enqueued in order, which is what a top-level barrier asks
for. Any other kernel has one part, run by a single work-item, all its loops in order: slow, but
what every kernel means. Every buffer comes as a pointer and a number of elements to skip, so that
many can lie in one block of device memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.backends.opencl.functions import Library
from graphc.backends.opencl.nest import Layout, in_group, lay_out, perfect_nest, top_nests, volume
from graphc.backends.opencl.spelling import C_TYPES, Names, identifier
from graphc.index import Atom, FloorDiv, Index, LoopVariable, Mod, ValueAtom, linearise
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
    Scratch,
    Statement,
    Store,
    Value,
    statements,
)
from graphc.op import scalar_program
from graphc.scalar import PRIMITIVES
from graphc.tensor_type import TensorType

_UNROLLED = 256  # operations of several iterations of a loop, written one after the other
_MOST_UNROLLED = 16  # passes of a group over more iterations than it has items
_BARRIER = "barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);"


@dataclass(frozen=True, slots=True)
class Part:
    """One OpenCL kernel: its function, which buffers it takes, how many groups of how many items.

    `local_bytes` is the local memory of a group, declared inside the function.
    """

    function: str
    buffers: tuple[int, ...]
    groups: int
    items: int
    local_bytes: int


def emit_kernel(
    kernel: Kernel,
    library: Library,
    name: str,
    status: frozenset[str],
    *,
    most_items: int,
    cores: int,
) -> tuple[str, tuple[Part, ...]]:
    """Return the source of `kernel` and its parts, in the order in which they run.

    `name` begins the names of its functions; what they call is added to `library`. A store to a
    buffer of `status` keeps the first number stored. Groups have at most `most_items`, and fill
    `cores`. Raises BackendError where the device lacks a type.
    """
    nests = top_nests(kernel)
    if nests is None:
        bodies: list[tuple[tuple[Statement, ...], Layout | None]] = [(kernel.body, None)]
    else:
        layouts = [lay_out(nest, most_items, cores) for nest in nests]
        bodies = [(layout.body, layout) for layout in layouts if volume(layout.groups)]
    texts, parts = [], []
    for number, (body, layout) in enumerate(bodies):
        function = f"{name}_{identifier(kernel.name)}" + (f"_{number}" if len(bodies) > 1 else "")
        used = {s.buffer for s in statements(body) if isinstance(s, Load | Store)}
        taken = tuple(i for i, b in enumerate(kernel.buffers) if b.name in used)
        texts.append(_Function(kernel, taken, body, layout, library, status).text(function))
        groups, items, local = 1, 1, 0
        if layout is not None:
            groups, items, local = volume(layout.groups), layout.items, layout.local_bytes
        parts.append(Part(function, taken, groups, items, local))
    return "\n".join(texts), tuple(parts)


class _Function:
    """Writes one part; `layout` is None where a single work-item runs everything."""

    def __init__(
        self,
        kernel: Kernel,
        taken: Sequence[int],
        body: tuple[Statement, ...],
        layout: Layout | None,
        library: Library,
        status: frozenset[str],
    ) -> None:
        self.buffers = [kernel.buffers[i] for i in taken]
        self.body, self.layout, self.library, self.status = body, layout, library, status
        self.given = frozenset(b.name for b in self.buffers)
        self.types: dict[str, TensorType] = {b.name: b.type for b in self.buffers}
        self.types.update({s.name: s.type for s in statements(body) if isinstance(s, Scratch)})
        library.require(*(t.dtype for t in self.types.values()))
        self.names = Names()
        self.owned: Mapping[str, int] = layout.owned if layout else {}
        groups = volume(layout.groups) if layout else 1
        small = groups < 2**31 and _fits_int(body, self.types)
        self.index_type = "int" if small else "long"
        self.lines: list[str] = []
        self.depth = 1
        self.rows: dict[type, Callable[[Any], None]] = {
            Let: self.let,
            Load: self.load,
            IndexValue: self.index_value,
            Misalignment: self.misalignment,
            Store: self.store,
            Prefetch: lambda _: None,
            Scratch: self.scratch,
            Loop: self.loop,
            Guard: self.guard,
            Barrier: lambda _: self.line(_BARRIER) if layout else None,
        }

    def text(self, function: str) -> str:
        """Return the whole function."""
        for buffer in self.buffers:
            name = self.memory(buffer.name)
            self.line(f"{name} += skip_{name};")
        if self.layout is not None:
            self.head(self.layout)
        self.block(self.body)
        items = self.layout.items if self.layout else 1
        parameters = ",\n    ".join(self.parameter(b.name, b.access) for b in self.buffers)
        attribute = f"__attribute__((reqd_work_group_size({items}, 1, 1)))"
        return "\n".join(
            [f"__kernel {attribute}", f"void {function}(\n    {parameters}) {{", *self.lines, "}\n"]
        )

    def parameter(self, buffer: str, access: Access) -> str:
        name, constness = self.memory(buffer), "const " if access is Access.IN else ""
        kind = C_TYPES[self.types[buffer].dtype]
        return f"__global {constness}{kind} *{name}, const ulong skip_{name}"

    def head(self, layout: Layout) -> None:
        """Declare what the group has: its number in each group loop, and its scratch."""
        self.line(f"const {self.index_type} item = ({self.index_type})get_local_id(0);")
        self.unravel(f"({self.index_type})get_group_id(0)", layout.groups)
        for scratch in layout.local:
            self.declare(scratch, "__local ", " __attribute__((aligned(16)))")
        for owned in in_group(layout.body):
            if isinstance(owned, Scratch) and owned.name in layout.owned:
                size = math.prod(owned.type.shape[layout.owned[owned.name] :])
                self.line(f"{C_TYPES[owned.type.dtype]} {self.memory(owned.name)}[{size}];")

    def unravel(self, number: str, variables: Sequence[LoopVariable]) -> None:
        """Declare the variables of a nest, of which this is iteration `number`."""
        for position, variable in enumerate(variables):
            inner = math.prod(v.extent for v in variables[position + 1 :])
            text = f"{number} / {inner}" if inner > 1 else number
            if position:
                text = f"{f'({text})' if inner > 1 else text} % {variable.extent}"
            self.line(f"const {self.index_type} {self.variable(variable)} = {text};")

    # --- names

    def memory(self, name: str) -> str:
        return self.names(("memory", name), f"b_{name}")

    def value(self, name: str) -> str:
        return self.names(("value", name), f"v_{name}")

    def variable(self, variable: LoopVariable) -> str:
        return self.names(("loop", variable.name), f"i_{variable.name}")

    # --- statements

    def line(self, text: str) -> None:
        self.lines.append("  " * self.depth + text)

    def open(self, head: str) -> None:
        self.line(f"{head} {{".lstrip())
        self.depth += 1

    def close(self) -> None:
        self.depth -= 1
        self.line("}")

    def block(self, body: tuple[Statement, ...]) -> None:
        for statement in body:
            self.rows[type(statement)](statement)

    def let(self, let: Let) -> None:
        operands = [(self.value(o.name), o.dtype) for o in let.operands]
        result = self.value(let.result.name)
        for text in self.library.let(result, let.op, operands, let.result.dtype, let.payload):
            self.line(text)

    def load(self, load: Load) -> None:
        result, kind = self.value(load.result.name), C_TYPES[load.result.dtype]
        place = self.place(load.buffer, load.indices)
        if load.count > 1:
            word = linearise(load.indices, self.types[load.buffer].shape) // load.count
            memory = self.memory(load.buffer)
            place = f"as_{kind}(vload{load.count}({self.index(word)}, {memory}))"
        if load.where is None:
            self.line(f"const {kind} {result} = {place};")
            return
        self.line(f"{kind} {result} = 0;")
        self.line(f"if ({self.value(load.where.name)}) {result} = {place};")

    def index_value(self, statement: IndexValue) -> None:
        kind, result = C_TYPES[statement.result.dtype], self.value(statement.result.name)
        self.line(f"const {kind} {result} = ({kind})({self.index(statement.index)});")

    def misalignment(self, statement: Misalignment) -> None:
        self.line(f"const long {self.value(statement.result.name)} = 0;")

    def store(self, store: Store) -> None:
        place, value = self.place(store.buffer, store.indices), self.value(store.value.name)
        text = f"{place} = {value};"
        if store.buffer in self.status:
            text = f"atomic_cmpxchg((volatile __global int *)&{place}, 0, {value});"
        self.line(self.where(store.where) + text)

    def where(self, predicate: Value | None) -> str:
        return "" if predicate is None else f"if ({self.value(predicate.name)}) "

    def scratch(self, scratch: Scratch) -> None:
        if self.layout is None:  # that of a group stands at the head of the function
            self.declare(scratch, "")

    def declare(self, scratch: Scratch, space: str, attribute: str = "") -> None:
        kind, size = C_TYPES[scratch.type.dtype], max(1, scratch.type.size)
        self.line(f"{space}{kind} {self.memory(scratch.name)}[{size}]{attribute};")

    def guard(self, guard: Guard) -> None:
        conditions = [f"{self.index(a)} < {self.index(b)}" for a, b in guard.conditions]
        self.open(f"if ({' && '.join(conditions)})")
        self.block(guard.body)
        self.close()

    def loop(self, loop: Loop) -> None:
        if loop.variable.extent == 0:
            return
        if self.layout is not None and loop.kind is LoopKind.ITEM:
            self.items(loop, self.layout)
            return
        name, kind = self.variable(loop.variable), self.index_type
        if loop.kind is LoopKind.UNROLLED:
            self.line("#pragma unroll")
        elif self.streams(loop):
            times = _UNROLLED // _cost(loop.body)
            self.line(f"#pragma unroll {1 << times.bit_length() - 1}")
        self.open(f"for ({kind} {name} = 0; {name} < {loop.variable.extent}; ++{name})")
        self.block(loop.body)
        if loop.kind is LoopKind.GROUP and self.layout is not None:
            self.line(_BARRIER)  # the next iteration uses the same local memory
        self.close()

    def streams(self, loop: Loop) -> bool:
        """Return whether a work-item alone runs a short loop that reads on and on: it waits for
        each load, unless many of them are in flight."""
        loads = (s for s in loop.body if isinstance(s, Load) and s.buffer in self.given)
        return self.layout is None and any(loads) and 8 * _cost(loop.body) <= _UNROLLED

    def items(self, loop: Loop, layout: Layout) -> None:
        variables, body = perfect_nest(loop, LoopKind.ITEM)
        count, size = volume(variables), layout.items
        if count == size:
            self.open("")
            number = "item"
        elif count < size:
            self.open(f"if (item < {count})")
            number = "item"
        else:
            number = self.open_passes(count, size)
        if count:
            self.unravel(number, variables)
            outer, self.layout = self.layout, None  # inside, every loop is this work-item's own
            self.block(body)
            self.layout = outer
        self.close()

    def open_passes(self, count: int, size: int) -> str:
        """Open the loop in which an item has several of `count` iterations; return their number.

        The compiler knows how often the loop goes round, and has all its loads in flight at once.
        """
        passes, kind = -(-count // size), self.index_type
        if passes <= _MOST_UNROLLED:
            self.line("#pragma unroll")
        inside = f" && {size} * pass + item < {count}" if count % size else ""
        self.open(f"for ({kind} pass = 0; pass < {passes}{inside}; ++pass)")
        self.line(f"const {kind} number = {size} * pass + item;")
        return "number"

    # --- places

    def place(self, name: str, indices: tuple[Index, ...]) -> str:
        axes = self.owned.get(name, 0)  # a work-item has no other part than its own
        offset = linearise(indices[axes:], self.types[name].shape[axes:])
        return f"{self.memory(name)}[{self.index(offset)}]"

    def index(self, index: Index) -> str:
        """Return the C expression of an index."""
        parts = [
            self.atom(atom) if factor == 1 else f"{factor} * {self.atom(atom)}"
            for atom, factor in index.terms
        ]
        if index.constant or not parts:
            parts.append(str(index.constant))
        return " + ".join(parts).replace("+ -", "- ")

    def atom(self, atom: Atom) -> str:
        if isinstance(atom, LoopVariable):
            return self.variable(atom)
        if isinstance(atom, ValueAtom):
            return f"({self.index_type}){self.value(atom.name)}"
        numerator = self.index(atom.numerator)
        if atom.numerator.bounds[0] >= 0:
            symbol = "/" if isinstance(atom, FloorDiv) else "%"
            return f"(({numerator}) {symbol} {atom.divisor})"
        function = "graphc_floordiv" if isinstance(atom, FloorDiv) else "graphc_mod"
        return f"({self.index_type}){function}({numerator}, {atom.divisor})"


def _cost(body: tuple[Statement, ...]) -> int:
    """Return how many operations `body` is once formulas are written out; inner loops are many."""
    return sum(map(_operations, body))


def _operations(statement: Statement) -> int:
    if isinstance(statement, Loop | Guard):
        return _UNROLLED
    if not isinstance(statement, Let) or statement.op in PRIMITIVES:
        return 1
    parameters = tuple(o.dtype.compute for o in statement.operands)
    program = scalar_program(statement.op, parameters, statement.result.dtype.compute)
    return len(program.instructions)


def _fits_int(body: tuple[Statement, ...], types: Mapping[str, TensorType]) -> bool:
    """Return whether all index arithmetic stays below 2**31, intermediate results included."""
    largest = max((t.size for t in types.values()), default=0)
    product = 1
    for statement in statements(body):
        if isinstance(statement, Load | Store):
            offset = linearise(statement.indices, types[statement.buffer].shape)
            largest = max(largest, _magnitude(offset))
        elif isinstance(statement, IndexValue):
            largest = max(largest, _magnitude(statement.index))
        elif isinstance(statement, Guard):
            pairs = (i for pair in statement.conditions for i in pair)
            largest = max(largest, *map(_magnitude, pairs))
        elif isinstance(statement, Loop):
            product = max(product, volume(perfect_nest(statement, statement.kind)[0]))
    return max(largest, product) < 2**31 - 1024


def _magnitude(index: Index) -> int:
    total = abs(index.constant)
    for atom, factor in index.terms:
        if isinstance(atom, FloorDiv | Mod):
            size = max(_magnitude(atom.numerator), atom.divisor)
        elif isinstance(atom, ValueAtom):
            size = max(abs(atom.low), abs(atom.high))
        else:
            size = atom.extent
        total += abs(factor) * size
    return total
