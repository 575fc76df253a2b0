"""Kernels: loop nests over named buffers with scalar code in their bodies.

    kernel    ::= 'kernel' NAME '(' buffer (',' buffer)* ')' block
    buffer    ::= NAME ':' type access                       access ::= 'in' | 'out' | 'inout'
    block     ::= '{' statement* '}'
    statement ::= 'for' NAME '<' integer loop-kind block
                | 'if' guard ('and' guard)* block            guard ::= index '<' index
                | 'scratch' NAME ':' type scope
                | '%'NAME '=' scalar-op '(' operand* ')' payload? ':' dtype
                | '%'NAME '=' 'load' NAME '[' index,* ']' by? where? ':' dtype
                | '%'NAME '=' 'index' '(' index ')' ':' dtype
                | '%'NAME '=' 'misalignment' NAME ':' dtype
                | 'store' NAME '[' index,* ']' '=' '%'NAME where? 'streaming'?
                | 'prefetch' NAME '[' index,* ']' 'into' integer
                | 'barrier'
    where     ::= 'where' '%'NAME
    by        ::= 'by' integer
    payload   ::= number | '[' number (',' number)* ']'
    number    ::= integer | float | 'true' | 'false' | '-'? 'inf' | '-'? 'nan'
    loop-kind ::= 'serial' | 'parallel' | 'vector' | 'unrolled' | 'group' | 'item'
    scope     ::= 'register' | 'cache' | 'local'

Meaning
- A loop runs its body for each value of its variable, 0 to extent-1. Kinds other than serial
  promise that the iterations are independent (parallel, vector, group, item) or ask for a copy of
  the body each (unrolled). The meaning of a kernel is that of all its loops run serially.
- A buffer is dense and row-major. Two buffers of one kernel do not overlap, except that an `out`
  may be the very same memory as an `in` where the plan says so (then every element is read, in
  the same innermost iteration, before it is written).
- `scratch` makes a private array, uninitialised, for one iteration of the loop it stands in (in
  `local` scope: one for the work-group, it must stand directly in a group loop).
- Values are in static single assignment within the kernel; a value is visible in its block and
  those inside. A loop carries nothing but memory.
- A load `where` a false predicate reads nothing and gives zero; a store `where` false does nothing.
  Indices may be out of bounds only there, or under a guard that does not hold.
- A load `by` n reads n neighbouring elements as one unsigned integer n times as wide, the first in
  the low bits. The row-major offset of the first is a multiple of n.
- `misalignment` gives how many elements after the beginning of a cache line (64 bytes) a buffer
  begins, or any other number below those of a line: no result depends on it.
- `prefetch` means nothing, and tells that a place will be read soon, from the cache of the level
  given; in a vector loop the places of all lanes. The place may be out of bounds.
- In a vector loop (innermost but for serial and unrolled loops inside it, extents of which do not
  depend on the lane) a store whose place is the same for all lanes stores a value that is the same
  for all lanes wherever its predicate holds.
- A `streaming` store means what any store means, and tells that what it writes will not be read
  soon: a backend may keep it out of the caches.
- `barrier` at the top of a kernel waits for all threads (memory written before is seen after);
  inside a group loop for all work-items of the group. Top-level nests without a barrier between
  them are independent. In a group loop the body is nests of `item` loops, barriers, and values,
  which every work-item computes for itself.
- Scalar ops are the primitives of `graphc.scalar` and the declared elementwise ops, with their
  dtypes taken from the operands; integers and floats as in docs/semantics.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeAlias

from graphc.dtypes import DType
from graphc.index import Index, LoopVariable
from graphc.lazy import LazyProperty
from graphc.tensor_type import TensorType

LINE = 64  # bytes of a line of the caches


class LoopKind(StrEnum):
    """How the iterations of a loop are carried out."""

    SERIAL = "serial"
    PARALLEL = "parallel"
    VECTOR = "vector"
    UNROLLED = "unrolled"
    GROUP = "group"
    ITEM = "item"


class Scope(StrEnum):
    """Where a scratch buffer lives: registers, the stack (cache), or a work-group's memory."""

    REGISTER = "register"
    CACHE = "cache"
    LOCAL = "local"


class Access(StrEnum):
    """What a kernel does with a buffer it is given."""

    IN = "in"
    OUT = "out"
    INOUT = "inout"


@dataclass(frozen=True, slots=True)
class Buffer:
    """A dense array that the kernel is given."""

    name: str
    type: TensorType
    access: Access


@dataclass(frozen=True, slots=True)
class Value:
    """A scalar result; its name is unique in the kernel."""

    name: str
    dtype: DType

    def __str__(self) -> str:
        return f"%{self.name}"


def payload_text(payload: Any) -> str:
    """Return the payload of a `literal` or a `lookup` as text: equal text is the same constant."""
    if isinstance(payload, tuple):
        return f"[{', '.join(map(payload_text, payload))}]"
    if isinstance(payload, bool):
        return str(payload).lower()
    if isinstance(payload, float) and math.isnan(payload):
        return "nan" if math.copysign(1.0, payload) > 0 else "-nan"
    return repr(payload)


@dataclass(frozen=True, slots=True)
class Let:
    """`result = op(operands)`: a primitive or a declared op; `literal` and `lookup` have a payload.

    A name that is both means the primitive; float16 and bfloat16 operands of either are converted
    to float32 first and a 16-bit result is rounded (but by `convert`, `bitcast`, `select` and the
    ops that ask for 16-bit elements). Two payloads are equal where their text is: 0.0 is not
    -0.0, and a NaN is itself.
    """

    result: Value
    op: str
    operands: tuple[Value, ...]
    payload: Any = field(default=None, compare=False)
    _payload_text: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        if self.payload is not None:
            object.__setattr__(self, "_payload_text", payload_text(self.payload))


@dataclass(frozen=True, slots=True)
class Load:
    """`result = buffer[indices]`, zero where `where` does not hold; `count` elements as a word."""

    result: Value
    buffer: str
    indices: tuple[Index, ...]
    where: Value | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class IndexValue:
    """`result = index` converted to the result's dtype (an integer type, wrapping)."""

    result: Value
    index: Index


@dataclass(frozen=True, slots=True)
class Misalignment:
    """`result` = the elements between a line of the caches and `buffer`; as int64, and a hint."""

    result: Value
    buffer: str


@dataclass(frozen=True, slots=True)
class Store:
    """`buffer[indices] = value`, where `where` holds."""

    buffer: str
    indices: tuple[Index, ...]
    value: Value
    where: Value | None = None
    is_streaming: bool = False


@dataclass(frozen=True, slots=True)
class Prefetch:
    """Ask for `buffer[indices]`, which need not exist, in the cache of `level` 1, 2 or 3."""

    buffer: str
    indices: tuple[Index, ...]
    level: int


@dataclass(frozen=True, slots=True)
class Scratch:
    """A private array of the enclosing iteration."""

    name: str
    type: TensorType
    scope: Scope


@dataclass(frozen=True, slots=True)
class Loop:
    """`for variable < variable.extent: body`."""

    variable: LoopVariable
    kind: LoopKind
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Guard:
    """`if left < right and …: body`; the conditions are pairs of indices."""

    conditions: tuple[tuple[Index, Index], ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Barrier:
    """All threads (or work-items) arrive here before any goes on."""


Statement: TypeAlias = (
    Let | Load | IndexValue | Misalignment | Store | Prefetch | Scratch | Loop | Guard | Barrier
)


@dataclass(frozen=True, eq=False)
class Kernel:
    """A named loop nest over `buffers`. Kernels are compared by what they are, and hashed once."""

    name: str
    buffers: tuple[Buffer, ...]
    body: tuple[Statement, ...]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Kernel):
            return NotImplemented
        if self._hash != other._hash:
            return False
        mine, others = (self.name, self.buffers, self.body), (other.name, other.buffers, other.body)
        return mine == others

    def __hash__(self) -> int:
        return self._hash

    @LazyProperty
    def _hash(self) -> int:
        return hash((self.name, self.buffers, self.body))

    def __str__(self) -> str:
        from graphc.kernel_text import print_kernel  # the printer knows this class

        return print_kernel(self)

    def buffer(self, name: str) -> Buffer:
        """Return the buffer called `name`; raises KeyError."""
        return next(b for b in self.buffers if b.name == name)

    def with_body(self, body: tuple[Statement, ...]) -> Kernel:
        """Return the kernel with another body."""
        return replace(self, body=body)


def statements(body: tuple[Statement, ...]) -> Iterator[Statement]:
    """Yield every statement of `body` in order of the text, an outer one before its inner ones."""
    pending = list(reversed(body))
    while pending:
        statement = pending.pop()
        yield statement
        if isinstance(statement, Loop | Guard):
            pending.extend(reversed(statement.body))


def result_of(statement: Statement) -> Value | None:
    """Return the value that a statement makes, if it makes one."""
    makers = Let | Load | IndexValue | Misalignment
    return statement.result if isinstance(statement, makers) else None
