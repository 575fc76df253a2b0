"""Kernels as text: `print_kernel` writes the grammar of `graphc.kernel`, `parse_kernel` reads it.

What always holds: parsing what was printed gives an equal kernel, constants to the last bit. The
parser checks the grammar and that loop variables and values in indices are known; the laws of
kernels are the business of `graphc.kernel_verifier`. Lines and spaces mean nothing but the place
of an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from graphc.dtypes import REAL, DType
from graphc.errors import GraphcError, ParseError
from graphc.index import Atom, FloorDiv, Index, LoopVariable, Mod, ValueAtom
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
    Value,
    payload_text,
)
from graphc.tensor_type import TensorType, tensor_type


def print_kernel(kernel: Kernel) -> str:
    """Return `kernel` as text that `parse_kernel` reads back, a statement a line."""
    buffers = ", ".join(f"{b.name}: {b.type} {b.access}" for b in kernel.buffers)
    lines = [f"kernel {kernel.name}({buffers}) {{", *print_statements(kernel.body), "}"]
    return "\n".join(lines) + "\n"


def print_statements(body: tuple[Statement, ...], indent: str = "  ") -> Iterator[str]:
    """Yield the lines of `body`, each with `indent` before it."""
    for statement in body:
        if isinstance(statement, Loop | Guard):
            yield f"{indent}{_head(statement)} {{"
            yield from print_statements(statement.body, indent + "  ")
            yield f"{indent}}}"
        else:
            yield indent + _PRINTERS[type(statement)](statement)


def _head(block: Loop | Guard) -> str:
    if isinstance(block, Loop):
        return f"for {block.variable} < {block.variable.extent} {block.kind}"
    return "if " + " and ".join(f"{left} < {right}" for left, right in block.conditions)


def _print_let(let: Let) -> str:
    operands = ", ".join(map(str, let.operands))
    payload = "" if let.payload is None else f" {payload_text(let.payload)}"
    return f"{let.result} = {let.op}({operands}){payload} : {let.result.dtype}"


def _print_load(load: Load) -> str:
    place = _place(load.buffer, load.indices)
    by = f" by {load.count}" if load.count > 1 else ""
    return f"{load.result} = load {place}{by}{_where(load.where)} : {load.result.dtype}"


def _print_index_value(statement: IndexValue) -> str:
    return f"{statement.result} = index({statement.index}) : {statement.result.dtype}"


def _print_misalignment(statement: Misalignment) -> str:
    return f"{statement.result} = misalignment {statement.buffer} : {statement.result.dtype}"


def _print_store(store: Store) -> str:
    streaming = " streaming" if store.is_streaming else ""
    place = _place(store.buffer, store.indices)
    return f"store {place} = {store.value}{_where(store.where)}{streaming}"


def _print_prefetch(prefetch: Prefetch) -> str:
    return f"prefetch {_place(prefetch.buffer, prefetch.indices)} into {prefetch.level}"


def _print_scratch(scratch: Scratch) -> str:
    return f"scratch {scratch.name} : {scratch.type} {scratch.scope}"


def _place(buffer: str, indices: tuple[Index, ...]) -> str:
    return f"{buffer}[{', '.join(map(str, indices))}]"


def _where(predicate: Value | None) -> str:
    return "" if predicate is None else f" where {predicate}"


_PRINTERS: dict[type, Callable[[Any], str]] = {
    Let: _print_let,
    Load: _print_load,
    IndexValue: _print_index_value,
    Misalignment: _print_misalignment,
    Store: _print_store,
    Prefetch: _print_prefetch,
    Scratch: _print_scratch,
    Barrier: lambda _: "barrier",
}


def parse_kernel(text: str) -> Kernel:
    """Return the kernel that `text` spells.

    Raises ParseError, which names the line, where the text does not follow the grammar, nests
    deeper than `MAX_DEPTH` or names a type that no tensor has.
    """
    return _Parser(text).kernel()


MAX_DEPTH = 100  # of blocks, and of divisions in an index
_DTYPES = {dtype.name: dtype for dtype in REAL}
_TOKEN = re.compile(
    r"(?P<space>\s+|#[^\n]*)"
    r"|(?P<value>%\w+)"
    r"|(?P<number>-?(?:inf\b|nan\b|\d+(?!\.\d|e[-+]?\d)\b|\d+(?:\.\d+)?(?:e[-+]?\d+)?))"
    r"|(?P<name>[A-Za-z_][\w.]*)"
    r"|(?P<mark>\.\.|[-{}()\[\]<,:=*+])"
    r"|(?P<other>.)"
)


class _Parser:
    """Recursive descent over a list of tokens: (text, line), ended by an empty one."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, int]] = []
        line = 1
        for match in _TOKEN.finditer(text):
            if match.lastgroup != "space":
                self.tokens.append((match.group(), line))
            line += match.group().count("\n")
        self.tokens.append(("", line))
        self.position = self.depth = 0
        self.loops: dict[str, LoopVariable] = {}
        self.dtypes: dict[str, DType] = {}

    # --- tokens

    @property
    def next(self) -> str:
        return self.tokens[self.position][0]

    def fail(self, expected: str) -> ParseError:
        token, line = self.tokens[self.position]
        found = f"'{token}'" if token else "the end"
        return ParseError(f"line {line}: expected {expected}, found {found}")

    def take(self) -> str:
        token = self.next
        self.position += bool(token)
        return token

    def accept(self, token: str) -> bool:
        if self.next != token:
            return False
        self.position += 1
        return True

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise self.fail(f"'{token}'")

    def name(self, what: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][\w.]*", self.next):
            raise self.fail(what)
        return self.take()

    def integer(self) -> int:
        if not re.fullmatch(r"-?\d+", self.next):
            raise self.fail("an integer")
        try:
            return int(self.next)
        except ValueError:  # Python reads no more than some thousand digits
            raise self.fail("an integer") from None
        finally:
            self.take()

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Enter a block or a division, which end where they began or in an error."""
        if self.depth == MAX_DEPTH:
            raise self.fail(f"at most {MAX_DEPTH} levels")
        self.depth += 1
        yield
        self.depth -= 1

    def list_until(self, end: str, item: Callable[[], Any]) -> tuple[Any, ...]:
        """Parse items separated by commas, and `end`."""
        if self.accept(end):
            return ()
        items = [item()]
        while self.accept(","):
            items.append(item())
        self.expect(end)
        return tuple(items)

    # --- the kernel

    def kernel(self) -> Kernel:
        self.expect("kernel")
        name = self.name("the kernel's name")
        self.expect("(")
        kernel = Kernel(name, self.list_until(")", self.buffer), self.block())
        if self.next:
            raise self.fail("the end")
        return kernel

    def buffer(self) -> Buffer:
        name = self.name("a buffer's name")
        self.expect(":")
        return Buffer(name, self.type(), self.member(Access, "an access"))

    def type(self) -> TensorType:
        dtype = self.dtype()
        self.expect("[")
        shape = self.list_until("]", self.integer)
        try:
            return tensor_type(shape, dtype)
        except GraphcError as error:
            raise ParseError(f"line {self.tokens[self.position - 1][1]}: {error.message}") from None

    def dtype(self) -> DType:
        if self.next not in _DTYPES:
            raise self.fail("a dtype")
        return _DTYPES[self.take()]

    def member(self, choices: Any, what: str) -> Any:
        if self.next not in {str(choice) for choice in choices}:
            raise self.fail(what)
        return choices(self.take())

    # --- statements

    def block(self) -> tuple[Statement, ...]:
        self.expect("{")
        body = []
        with self.nested():
            while not self.accept("}"):
                body.append(self.statement())
        return tuple(body)

    def statement(self) -> Statement:
        if self.next.startswith("%"):
            return self.assignment()
        parsers: dict[str, Callable[[], Statement]] = {
            "for": self.loop,
            "if": self.guard,
            "scratch": self.scratch,
            "store": self.store,
            "prefetch": self.prefetch,
            "barrier": Barrier,
        }
        parse = parsers.get(self.next)
        if parse is None:
            raise self.fail("a statement")
        self.take()
        return parse()

    def loop(self) -> Loop:
        name = self.name("a loop variable")
        self.expect("<")
        variable = LoopVariable(name, self.integer())
        kind = self.member(LoopKind, "a loop kind")
        outer = self.loops
        self.loops = {**outer, name: variable}
        body = self.block()
        self.loops = outer
        return Loop(variable, kind, body)

    def guard(self) -> Guard:
        conditions = [self.condition()]
        while self.accept("and"):
            conditions.append(self.condition())
        return Guard(tuple(conditions), self.block())

    def condition(self) -> tuple[Index, Index]:
        left = self.index()
        self.expect("<")
        return left, self.index()

    def scratch(self) -> Scratch:
        name = self.name("a scratch's name")
        self.expect(":")
        return Scratch(name, self.type(), self.member(Scope, "a scope"))

    def store(self) -> Store:
        buffer, indices = self.place()
        self.expect("=")
        value = self.value()
        return Store(buffer, indices, value, self.where(), self.accept("streaming"))

    def prefetch(self) -> Prefetch:
        buffer, indices = self.place()
        if self.name("'into'") != "into":
            raise self.fail("'into'")
        return Prefetch(buffer, indices, self.integer())

    def assignment(self) -> Statement:
        name = self.take()[1:]
        self.expect("=")
        op = self.name("an operation")
        if op == "load":
            buffer, indices = self.place()
            count = self.integer() if self.accept("by") else 1
            where = self.where()
            return Load(self.result(name), buffer, indices, where, count)
        if op == "misalignment":
            buffer = self.name("a buffer")
            return Misalignment(self.result(name), buffer)
        self.expect("(")
        if op == "index":
            index = self.index()
            self.expect(")")
            return IndexValue(self.result(name), index)
        operands = self.list_until(")", self.value)
        payload = None if self.next == ":" else self.payload()
        return Let(self.result(name), op, operands, payload)

    def result(self, name: str) -> Value:
        self.expect(":")
        dtype = self.dtype()
        self.dtypes[name] = dtype
        return Value(name, dtype)

    def place(self) -> tuple[str, tuple[Index, ...]]:
        buffer = self.name("a buffer")
        self.expect("[")
        return buffer, self.list_until("]", self.index)

    def where(self) -> Value | None:
        return self.value() if self.accept("where") else None

    def value(self) -> Value:
        name = self.next[1:]
        if not self.next.startswith("%") or name not in self.dtypes:
            raise self.fail("a value that is known here")
        self.take()
        return Value(name, self.dtypes[name])

    def payload(self) -> Any:
        return self.list_until("]", self.number) if self.accept("[") else self.number()

    def number(self) -> int | float | bool:
        if self.next in ("true", "false"):
            return self.take() == "true"
        try:
            return int(self.next) if re.fullmatch(r"-?\d+", self.next) else float(self.next)
        except ValueError:
            raise self.fail("a number") from None
        finally:
            self.take()

    # --- indices: built as they are written, so that printing gives the same text again

    def index(self) -> Index:
        terms: dict[Atom, int] = {}
        constant = 0
        while True:
            coefficient = self.integer() if re.fullmatch(r"-?\d+", self.next) else None
            if coefficient is not None and not self.accept("*"):
                constant += coefficient
            else:
                atom = self.atom()
                terms[atom] = terms.get(atom, 0) + (1 if coefficient is None else coefficient)
            if not self.accept("+"):
                return Index(tuple((a, c) for a, c in terms.items() if c), constant)

    def atom(self) -> Atom:
        if self.next.startswith("%"):
            name = self.value().name
            self.expect("{")
            low = self.integer()
            self.expect("..")
            atom = ValueAtom(name, low, self.integer())
            self.expect("}")
            return atom
        if self.accept("("):
            return self.division()
        if self.next not in self.loops:
            raise self.fail("a loop variable that is known here")
        return self.loops[self.take()]

    def division(self) -> FloorDiv | Mod:
        self.expect("(")
        with self.nested():
            numerator = self.index()
        self.expect(")")
        kind = self.next
        if kind not in ("floordiv", "mod"):
            raise self.fail("'floordiv' or 'mod'")
        self.take()
        divisor = self.integer()
        if divisor < 1:
            self.position -= 1
            raise self.fail("a positive divisor")
        self.expect(")")
        return FloorDiv(numerator, divisor) if kind == "floordiv" else Mod(numerator, divisor)
