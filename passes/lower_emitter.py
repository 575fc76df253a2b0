"""The emitter: builds a kernel's body, and computes elements of nodes where they are wanted.

An *element* is a node at a tuple of indices, perhaps under a predicate where it may lie outside.
Its value is made once in the outermost loop in which its indices are known (and in no loop outside
the rows) and remembered there, so what varies with the row only is computed once a row. Members of
the group are computed by the row of their kind in `lower_elements`; all other nodes are loaded. A
chain of any length costs no stack: the rows are generators that yield the elements they want.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from graphc import dtypes
from graphc.dtypes import DType
from graphc.errors import InternalError
from graphc.index import ZERO, Index, LoopVariable, ValueAtom, as_index
from graphc.kernel import (
    Access,
    Barrier,
    Buffer,
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
)
from graphc.node import Node, constant_value, is_constant
from graphc.op import Indices, scalar_program
from graphc.plan import STATUS, Check
from graphc.scalar import PRIMITIVES, ScalarProgram
from graphc.tensor_type import TensorType


class Element(NamedTuple):
    """What is wanted: `node` at `indices`; where `where` does not hold nothing is read."""

    node: Node
    indices: Indices
    where: Value | None = None


Wanting: TypeAlias = Generator[Element, Value, Value]
Row: TypeAlias = "Callable[[Emitter, Element], Wanting]"


@dataclass(slots=True)
class _Block:
    """A body under construction, with the elements known in it."""

    statements: list[Statement] = field(default_factory=list)
    known: dict[Any, Value] = field(default_factory=dict)


class Emitter:
    """Builds one kernel; `members` are computed by the rows of `row_of`, others are loaded."""

    def __init__(
        self, members: Collection[Node], row_of: Callable[[Node], Row], checks: list[Check]
    ) -> None:
        self.members, self.row_of, self.checks = frozenset(members), row_of, checks
        self.buffers: dict[Node | str, Buffer] = {}
        self.cache: dict[Node, tuple[str, Indices]] = {}  # the scratch row, the row's indices
        self.filled: set[Node] = set()
        self.outermost = 0  # no element is computed outside so many loops: nests stay perfect
        self._blocks = [_Block()]
        self._depths: dict[str, int] = {}
        self._index_depths: dict[Indices, int] = {}  # names are unique: they never change
        self._counts: dict[str, int] = {}

    # --- blocks and statements -------------------------------------------------------------------

    @contextmanager
    def loop(self, extent: int, kind: LoopKind, name: str) -> Iterator[Index]:
        """Open `for name < extent`, a name made unique; gives its variable as an index."""
        variable = LoopVariable(self._unique(name), extent)
        self._depths[variable.name] = len(self._blocks)
        self._blocks.append(_Block())
        yield as_index(variable)
        body = tuple(self._blocks.pop().statements)
        self._blocks[-1].statements.append(Loop(variable, kind, body))

    @contextmanager
    def loops(self, extents: Sequence[int], kind: LoopKind, name: str) -> Iterator[Indices]:
        """Open a loop for each extent, the first outermost; extents of 1 need none."""
        with ExitStack() as stack:
            yield tuple(
                ZERO if extent == 1 else stack.enter_context(self.loop(extent, kind, name))
                for extent in extents
            )

    @property
    def depth(self) -> int:
        """How many loops are open."""
        return len(self._blocks) - 1

    def emit(self, statement: Statement, depth: int | None = None) -> None:
        """Append a statement to the innermost block, or to the one inside `depth` loops."""
        self._blocks[-1 if depth is None else depth].statements.append(statement)

    def barrier(self) -> None:
        """Separate two top-level nests."""
        self.emit(Barrier())

    def statements(self) -> tuple[Statement, ...]:
        """Return the finished body; every loop is closed."""
        if len(self._blocks) != 1:
            raise InternalError("a loop is still open")
        return tuple(self._blocks[0].statements)

    def _unique(self, name: str) -> str:
        number = self._counts.get(name, 0)
        self._counts[name] = number + 1
        return f"{name}{number}"

    def _result(self, name: str, dtype: DType, depth: int) -> Value:
        value = Value(self._unique(_stem(name)), dtype)
        self._depths[value.name] = depth
        return value

    # --- memory ----------------------------------------------------------------------------------

    def buffer_of(self, node: Node | str, access: Access = Access.IN) -> str:
        """Return the name of the buffer that holds a node, or the status."""
        if node not in self.buffers:
            if isinstance(node, str):
                type_ = TensorType((1,), dtypes.int32)
                self.buffers[node] = Buffer(STATUS, type_, Access.INOUT)
            else:
                name = self._unique("x" if access is Access.IN else "y")
                self.buffers[node] = Buffer(name, node.type, access)
        return self.buffers[node].name

    def scratch(self, name: str, type_: TensorType, scope: Scope = Scope.REGISTER) -> str:
        """Make a private array in the innermost block and return its name."""
        scratch = Scratch(self._unique(name), type_, scope)
        self.emit(scratch)
        return scratch.name

    # --- scalar code -----------------------------------------------------------------------------

    def let(
        self, op: str, operands: Sequence[Value], dtype: DType, payload: Any = None,
        depth: int | None = None,
    ) -> Value:  # fmt: skip
        """Append `op(operands)`, a primitive or a declared op whose name is no primitive's."""
        depth = self.depth if depth is None else depth
        result = self._result(op, dtype, depth)
        self.emit(Let(result, op, tuple(operands), payload), depth)
        return result

    def literal(self, value: Any, dtype: DType, depth: int | None = None) -> Value:
        """Append a constant."""
        return self.let("literal", (), dtype, _plain(value, dtype), depth)

    def convert(self, value: Value, dtype: DType) -> Value:
        """Return the value as another dtype, converted once where it was made."""
        if value.dtype is dtype:
            return value
        depth = self._depths[value.name]
        known = self._blocks[depth].known
        if (value, dtype) not in known:
            known[value, dtype] = self.let("convert", (value,), dtype, None, depth)
        return known[value, dtype]

    def apply(
        self, op: str, operands: Sequence[Value], dtype: DType, depth: int | None = None
    ) -> Value:
        """Append a declared elementwise op, whose name may also be that of a primitive."""
        if op not in PRIMITIVES:
            return self.let(op, operands, dtype, None, depth)
        program = scalar_program(op, tuple(o.dtype for o in operands), dtype)
        return self.inline(program, operands, depth)

    def inline(
        self, program: ScalarProgram, operands: Sequence[Value], depth: int | None = None
    ) -> Value:
        """Append the instructions of a traced formula."""
        values = list(operands)
        for instruction in program.instructions:
            chosen = [values[o] for o in instruction.operands]
            name, dtype = instruction.name, instruction.dtype
            values.append(self.let(name, chosen, dtype, instruction.payload, depth))
        return values[program.result]

    def index_value(self, index: Index, dtype: DType, depth: int | None = None) -> Value:
        """Append an index as a value."""
        depth = self.depth if depth is None else depth
        result = self._result("index", dtype, depth)
        self.emit(IndexValue(result, index), depth)
        return result

    def load(
        self, buffer: str, indices: Indices, dtype: DType,
        where: Value | None = None, depth: int | None = None,
    ) -> Value:  # fmt: skip
        """Append a load."""
        depth = self.depth if depth is None else depth
        result = self._result("load", dtype, depth)
        self.emit(Load(result, buffer, indices, where), depth)
        return result

    def store(
        self, buffer: str, indices: Indices, value: Value,
        where: Value | None = None, depth: int | None = None,
    ) -> None:  # fmt: skip
        """Append a store."""
        self.emit(Store(buffer, indices, value, where), depth)

    def place(self, value: Value, extent: int) -> Index:
        """Return a value known to lie in 0 … extent-1 as an index."""
        return as_index(ValueAtom(value.name, 0, extent - 1))

    # --- elements --------------------------------------------------------------------------------

    def depth_of(self, element: Element) -> int:
        """Return the number of loops inside which the element's indices and predicate are known."""
        depth = self._index_depths.get(element.indices)
        if depth is None:
            depth = self._index_depths[element.indices] = self._depth_of_indices(element.indices)
        if element.where is not None:
            depth = max(depth, self._depths[element.where.name])
        return max(depth, self.outermost)

    def _depth_of_indices(self, indices: Indices) -> int:
        variables = [variable.name for index in indices for variable in index.variables]
        names = [*variables, *(name for index in indices for name in index.values)]
        return max((self._depths[name] for name in names), default=0)

    def known(self, element: Element) -> Value | None:
        """Return the element's value if it is visible here."""
        block = self._blocks[self.depth_of(element)].known
        found = block.get((element.node, element.indices, element.where))
        if found is None and element.where is not None:
            return self.known(Element(element.node, element.indices))
        return found

    def remember(self, element: Element, value: Value) -> None:
        """Let the element have this value wherever its block is visible."""
        block = self._blocks[self.depth_of(element)]
        block.known[element.node, element.indices, element.where] = value

    def value(self, wanted: Element) -> Value:
        """Return the value of an element, computing what it takes where it is not known yet."""
        found = self._available(wanted)
        pending: list[tuple[Element, Wanting]] = []
        while found is None or pending:
            if found is None:
                pending.append((wanted, self._compute(wanted)))
            element, row = pending[-1]
            try:
                wanted = row.send(found)  # type: ignore[arg-type]  # None starts a generator
                found = self._available(wanted)
            except StopIteration as stop:
                pending.pop()
                found = stop.value
                self.remember(element, stop.value)
        return found

    def _available(self, element: Element) -> Value | None:
        """Return the value of an element that is known, or is loaded rather than computed."""
        found = self.known(element)
        if found is None and element.node not in self.members:
            found = self._load(element)
            self.remember(element, found)
        return found

    def _load(self, element: Element) -> Value:
        node, depth = element.node, self.depth_of(element)
        if is_constant(node) and node.type.size == 1:
            return self.literal(constant_value(node).reshape(()), node.type.dtype, depth)
        buffer = self.buffer_of(node)
        return self.load(buffer, element.indices, node.type.dtype, element.where, depth)

    def _compute(self, element: Element) -> Wanting:
        if element.node in self.cache:
            return self._cached(element)
        return self.row_of(element.node)(self, element)

    def _cached(self, element: Element) -> Wanting:
        """Compute an element into the row's cache, or read it from there once that is filled."""
        node, depth = element.node, self.depth_of(element)
        buffer, rows = self.cache[node]
        place = [i for i, e in zip(element.indices, node.shape, strict=True) if e != 1]
        is_of_row = tuple(place[: len(rows)]) == rows and element.where is None
        inside = tuple(place[len(rows) :])
        if is_of_row and node in self.filled:
            return self.load(buffer, inside, node.type.dtype, None, depth)
        value = yield from self.row_of(node)(self, element)
        if is_of_row:
            self.store(buffer, inside, value, None, depth)
        return value


@cache
def _stem(op: str) -> str:
    """Return how the names of an op's results begin."""
    return re.sub(r"\d+$", "", op) + "_"


def _plain(value: Any, dtype: DType) -> Any:
    """Return a number as the Python number that a literal of this dtype carries."""
    return np.asarray(value).astype(dtype.numpy).astype(dtype.compute.numpy).item()
