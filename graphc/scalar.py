"""Scalar code: what one element of an elementwise op computes, written once for every backend.

    program     ::= parameter* instruction* result
    instruction ::= value '=' name operand* (payload)? ':' dtype
    name        ::= a primitive of PRIMITIVES | the name of a declared elementwise op | 'rarely'

A *formula* is a Python function over `Scalar` handles; `trace` runs it once and records a
`ScalarProgram`, a list of instructions in static single assignment. LLVM, OpenCL and the NumPy
interpreter each hold one table, a row per primitive, and nothing else about arithmetic. A formula
may `call` another declared op; emitters make a function of each op they meet.

`rarely` holds a program of its own for the few inputs that need more work than the others: where
its condition does not hold it is its second operand. Its meaning is that of a `select`. Emitters
may branch around the program where the condition holds in no lane of a vector, and nowhere else is
there a branch: what an element gives does not depend on its neighbours.

What always holds: operands of one arithmetic instruction have one dtype; there is no trap and no
contraction (`multiply` then `add` rounds twice; only `fma` rounds once); float16 and
bfloat16 do not occur in arithmetic (the kernel converts to float32 first), but may be bitcast,
converted, selected and paired. Subnormals and signed zeros are kept, but in `dot_bfloat16`: where a
CPU has an instruction for it, that takes subnormals as zeros.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from graphc import dtypes
from graphc.dtypes import DType
from graphc.errors import InternalError

Number: TypeAlias = "int | float | bool"


@dataclass(frozen=True, slots=True)
class Primitive:
    """One row of the instruction set. `kinds` are the dtype kinds its operands may have."""

    name: str
    arity: int
    kinds: frozenset[str]
    meaning: str


def _row(name: str, arity: int, kinds: str, meaning: str) -> tuple[str, Primitive]:
    return name, Primitive(name, arity, frozenset(kinds.split()), meaning)


PRIMITIVES: dict[str, Primitive] = dict(
    [
        _row("literal", 0, "bool int uint float", "the constant in the payload"),
        # arithmetic: integers wrap modulo 2**bits; floats round to nearest even
        _row("add", 2, "int uint float", "a + b"),
        _row("sub", 2, "int uint float", "a - b"),
        _row("mul", 2, "int uint float", "a * b"),
        _row("div", 2, "float", "a / b, correctly rounded"),
        _row("fma", 3, "float", "a * b + c, rounded once"),
        _row("neg", 1, "int float", "-a; flips the sign bit of a float, NaN included"),
        _row("abs", 1, "int float", "|a|; clears the sign bit of a float; INT_MIN stays"),
        _row("sqrt", 1, "float", "the square root, correctly rounded"),
        _row("floor", 1, "float", "the largest integer not above a; keeps -0.0"),
        _row("ceil", 1, "float", "the smallest integer not below a; keeps -0.0"),
        _row("trunc", 1, "float", "a without its fraction; keeps -0.0"),
        _row("rint", 1, "float", "the nearest integer, ties to even; keeps -0.0"),
        _row("copysign", 2, "float", "|a| with the sign bit of b"),
        # undefined but for 1/4 <= |a| <= 4 and integers b of at most twice the largest exponent
        _row("scale", 2, "float", "a * 2**b, rounded once; NaN where both are NaN"),
        # division of integers is undefined where b is 0 or a // b overflows: formulas guard it
        _row("quotient", 2, "int uint", "a / b rounded towards zero"),
        _row("modulus", 2, "int uint", "a - quotient(a, b) * b"),
        # bits; a shift count outside [0, bits) is undefined: formulas guard it
        _row("and", 2, "bool int uint", "bitwise and"),
        _row("or", 2, "bool int uint", "bitwise or"),
        _row("xor", 2, "bool int uint", "bitwise exclusive or"),
        _row("not", 1, "bool int uint", "bitwise complement; logical for bool"),
        _row("shl", 2, "int uint", "a shifted left"),
        _row("shr", 2, "int uint", "a shifted right: arithmetic for int, logical for uint"),
        # comparisons give bool; with a NaN all are false but ne
        _row("eq", 2, "bool int uint float", "a == b"),
        _row("ne", 2, "bool int uint float", "a != b"),
        _row("lt", 2, "bool int uint float", "a < b"),
        _row("le", 2, "bool int uint float", "a <= b"),
        _row("select", 3, "bool int uint float", "b where the bool a holds, else c"),
        # conversions: the target type is the instruction's own dtype
        _row("convert", 1, "bool int uint float", "to the nearest value; see docs/semantics.md"),
        _row("bitcast", 1, "int uint float", "the same bits as another type of the same width"),
        # small numbers in words, the first in the low bits: for instructions that take several
        _row(
            "pair", 2, "int uint float", "the bits of a and, above them, those of b; 8 or 16 each"
        ),
        _row("dot_bfloat16", 3, "uint float", "low a * low b + (high a * high b + c) by two fma"),
        _row("dot_int8", 3, "int uint", "c and the four products of bytes of the words a and b"),
        _row("dot_uint8", 3, "int uint", "the same of unsigned bytes"),
        _row("lookup", 1, "int uint", "entry a of the payload, a table; see `lookup`"),
    ]
)

# What may be done to 16-bit floats as they are; anything else is computed in float32.
KEEPS_16_BIT = frozenset({"literal", "lookup", "convert", "bitcast", "select", "pair"})
RARELY = "rarely"
COMPARISONS = frozenset({"eq", "ne", "lt", "le"})


@dataclass(frozen=True, slots=True)
class Instruction:
    """`name(operands)` with a result of type `dtype`.

    `operands` number earlier values of the program: parameters first, then instructions.
    `payload` is the value of a `literal` (a Python number), the table of a `lookup` (a tuple) or
    the `ScalarProgram` of a `rarely`, whose operands are a condition, what the result is where it
    does not hold, and the operands of the program.
    """

    name: str
    operands: tuple[int, ...]
    dtype: DType
    payload: Any = None


@dataclass(frozen=True, slots=True)
class ScalarProgram:
    """A traced formula: `parameters` are the dtypes of its arguments, `result` its value."""

    name: str
    parameters: tuple[DType, ...]
    instructions: tuple[Instruction, ...]
    result: int

    def dtype_of(self, value: int) -> DType:
        """Return the dtype of value number `value`."""
        count = len(self.parameters)
        return self.parameters[value] if value < count else self.instructions[value - count].dtype

    def __str__(self) -> str:
        count = len(self.parameters)
        head = ", ".join(f"%{i}: {d}" for i, d in enumerate(self.parameters))
        lines = [f"{self.name}({head}) -> %{self.result}"]
        for i, ins in enumerate(self.instructions):
            payload = "" if ins.payload is None else f" {ins.payload}"
            operands = ", ".join(f"%{o}" for o in ins.operands)
            lines.append(f"  %{count + i} = {ins.name}({operands}){payload} : {ins.dtype}")
        return "\n".join(lines)


class Recorder:
    """Collects the instructions of one formula; equal instructions are recorded once."""

    def __init__(self, parameters: Sequence[DType]) -> None:
        self.parameters = tuple(parameters)
        self.instructions: list[Instruction] = []
        self._known: dict[Any, int] = {}

    def append(
        self, name: str, operands: Sequence[Scalar], dtype: DType, payload: Any = None
    ) -> Scalar:
        """Record one instruction and return its result."""
        numbers = tuple(o.number for o in operands)
        key = (name, numbers, dtype, repr(payload))
        if key not in self._known:
            self._known[key] = len(self.parameters) + len(self.instructions)
            self.instructions.append(Instruction(name, numbers, dtype, payload))
        return Scalar(self, self._known[key], dtype)


class Scalar:
    """A value inside a formula. Python's operators record primitives; numbers become literals.

    `a / b` is float division; `a == b` and the other comparisons record a bool Scalar, so a Scalar
    cannot be hashed or used in `if`. `>>` follows the signedness of the dtype.
    """

    __slots__ = ("dtype", "number", "recorder")
    __hash__ = None  # type: ignore[assignment]  # == records a comparison

    def __init__(self, recorder: Recorder, number: int, dtype: DType) -> None:
        self.recorder, self.number, self.dtype = recorder, number, dtype

    def __bool__(self) -> bool:
        raise InternalError("a Scalar has no truth value while a formula is traced; use select()")

    def literal(self, value: Number, dtype: DType | None = None) -> Scalar:
        """Return the constant `value`, of this value's dtype unless another is named."""
        return literal(self.recorder, value, dtype or self.dtype)

    def _coerce(self, other: Scalar | Number) -> Scalar:
        return other if isinstance(other, Scalar) else self.literal(other)

    def _binary(self, name: str, other: Scalar | Number, *, swap: bool = False) -> Scalar:
        left, right = self, self._coerce(other)
        if left.dtype is not right.dtype:
            raise InternalError(f"{name} of {left.dtype} and {right.dtype} in a formula")
        if swap:
            left, right = right, left
        result = dtypes.bool_ if name in COMPARISONS else left.dtype
        return primitive(name, left, right, dtype=result)

    def __add__(self, other: Scalar | Number) -> Scalar:
        return self._binary("add", other)

    def __radd__(self, other: Number) -> Scalar:
        return self._binary("add", other, swap=True)

    def __sub__(self, other: Scalar | Number) -> Scalar:
        return self._binary("sub", other)

    def __rsub__(self, other: Number) -> Scalar:
        return self._binary("sub", other, swap=True)

    def __mul__(self, other: Scalar | Number) -> Scalar:
        return self._binary("mul", other)

    def __rmul__(self, other: Number) -> Scalar:
        return self._binary("mul", other, swap=True)

    def __truediv__(self, other: Scalar | Number) -> Scalar:
        return self._binary("div", other)

    def __rtruediv__(self, other: Number) -> Scalar:
        return self._binary("div", other, swap=True)

    def __and__(self, other: Scalar | Number) -> Scalar:
        return self._binary("and", other)

    def __or__(self, other: Scalar | Number) -> Scalar:
        return self._binary("or", other)

    def __xor__(self, other: Scalar | Number) -> Scalar:
        return self._binary("xor", other)

    def __lshift__(self, other: Scalar | Number) -> Scalar:
        return self._binary("shl", other)

    def __rshift__(self, other: Scalar | Number) -> Scalar:
        return self._binary("shr", other)

    def __eq__(self, other: object) -> Scalar:  # type: ignore[override]  # records a comparison
        return self._binary("eq", other)  # type: ignore[arg-type]  # object, by Python's protocol

    def __ne__(self, other: object) -> Scalar:  # type: ignore[override]  # records a comparison
        return self._binary("ne", other)  # type: ignore[arg-type]  # object, by Python's protocol

    def __lt__(self, other: Scalar | Number) -> Scalar:
        return self._binary("lt", other)

    def __le__(self, other: Scalar | Number) -> Scalar:
        return self._binary("le", other)

    def __gt__(self, other: Scalar | Number) -> Scalar:
        return self._binary("lt", other, swap=True)

    def __ge__(self, other: Scalar | Number) -> Scalar:
        return self._binary("le", other, swap=True)

    def __neg__(self) -> Scalar:
        return primitive("neg", self)

    def __invert__(self) -> Scalar:
        return primitive("not", self)

    def __abs__(self) -> Scalar:
        return primitive("abs", self)

    def convert(self, dtype: DType) -> Scalar:
        """Return the nearest value of type `dtype` (this value itself if it has that type)."""
        return self if dtype is self.dtype else primitive("convert", self, dtype=dtype)

    def bitcast(self, dtype: DType) -> Scalar:
        """Return the same bits read as `dtype`, which must be as wide."""
        if dtype.bits != self.dtype.bits:
            raise InternalError(f"bitcast of {self.dtype} to {dtype} changes the width")
        return self if dtype is self.dtype else primitive("bitcast", self, dtype=dtype)


Formula: TypeAlias = Callable[..., Scalar]


def primitive(name: str, *operands: Scalar, dtype: DType | None = None) -> Scalar:
    """Record one primitive; the result has the dtype of the first operand unless it is given."""
    row = PRIMITIVES[name]
    if len(operands) != row.arity or operands[0].dtype.kind not in row.kinds:
        given = ", ".join(o.dtype.name for o in operands)
        raise InternalError(f"{name}({given}) is not an instruction")
    return operands[0].recorder.append(name, operands, dtype or operands[0].dtype)


def literal(recorder: Recorder, value: Number, dtype: DType) -> Scalar:
    """Record a constant of type `dtype`; `value` is rounded to it once."""
    exact = dtype.numpy.type(value)
    return recorder.append("literal", (), dtype, exact.item() if hasattr(exact, "item") else value)


def fma(a: Scalar, b: Scalar | Number, c: Scalar | Number) -> Scalar:
    """Return a * b + c with one rounding."""
    return primitive("fma", a, a._coerce(b), a._coerce(c))


def select(condition: Scalar, yes: Scalar | Number, no: Scalar | Number) -> Scalar:
    """Return `yes` where the bool `condition` holds, else `no`; one of the two must be a Scalar."""
    like = yes if isinstance(yes, Scalar) else no
    assert isinstance(like, Scalar)
    yes, no = like._coerce(yes), like._coerce(no)
    if condition.dtype is not dtypes.bool_ or yes.dtype is not no.dtype:
        raise InternalError(f"select of {condition.dtype}, {yes.dtype}, {no.dtype}")
    return primitive("select", condition, yes, no, dtype=yes.dtype)


def sqrt(a: Scalar) -> Scalar:
    """Return the correctly rounded square root."""
    return primitive("sqrt", a)


def rint(a: Scalar) -> Scalar:
    """Return the nearest integer, ties to even, as a float."""
    return primitive("rint", a)


def floor(a: Scalar) -> Scalar:
    """Return the largest integer not above `a`, as a float."""
    return primitive("floor", a)


def ceil(a: Scalar) -> Scalar:
    """Return the smallest integer not below `a`, as a float."""
    return primitive("ceil", a)


def trunc(a: Scalar) -> Scalar:
    """Return `a` without its fraction, as a float."""
    return primitive("trunc", a)


def copysign(a: Scalar, b: Scalar | Number) -> Scalar:
    """Return |a| with the sign of `b`."""
    return primitive("copysign", a, a._coerce(b))


def scale(a: Scalar, exponent: Scalar) -> Scalar:
    """Return a * 2**exponent, rounded once; `exponent` is an integer in the float type of `a`."""
    return primitive("scale", a, exponent)


def index_mask(table: Sequence[Any]) -> int:
    """Return the bits of an index of `table` that count; -1, all of them, where it must fit."""
    return -1 if len(table) & (len(table) - 1) else len(table) - 1


def lookup(index: Scalar, table: Sequence[Number], dtype: DType) -> Scalar:
    """Return `table[index]`, the index taken modulo the length where that is a power of two.

    Elsewhere the index must lie inside the table for every input, NaN included.
    """
    entries = np.asarray(table, dtype.numpy).tolist()  # rounded once
    return index.recorder.append("lookup", (index,), dtype, tuple(entries))


def call(name: str, *operands: Scalar, dtype: DType | None = None) -> Scalar:
    """Record a call of the declared elementwise op `name`."""
    return operands[0].recorder.append(name, operands, dtype or operands[0].dtype)


def rarely(condition: Scalar, formula: Formula, otherwise: Scalar, *operands: Scalar) -> Scalar:
    """Return `formula(*operands)` where the bool `condition` holds, else `otherwise`.

    It should hold seldom: a vector in which it holds nowhere does not run the formula.
    """
    program = trace("rare", formula, [o.dtype for o in operands])
    result = program.dtype_of(program.result)
    if condition.dtype is not dtypes.bool_ or result is not otherwise.dtype:
        raise InternalError(f"rarely of {condition.dtype}, {result}, {otherwise.dtype}")
    # functions are told apart by it
    digest = hashlib.sha256(str(program).encode()).hexdigest()[:12]
    program = replace(program, name=f"{formula.__name__.strip('_<>')}_{digest}")
    given = (condition, otherwise, *operands)
    return condition.recorder.append(RARELY, given, otherwise.dtype, program)


def is_nan(a: Scalar) -> Scalar:
    """Return whether `a` is NaN."""
    return a != a  # noqa: PLR0124  # the definition of NaN


def polynomial(x: Scalar, coefficients: Sequence[float]) -> Scalar:
    """Return c[0] + c[1] x + c[2] x^2 + ... by Horner's rule with fused multiply-adds."""
    result = x.literal(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = fma(result, x, coefficient)
    return result


def trace(name: str, formula: Formula, parameters: Sequence[DType]) -> ScalarProgram:
    """Run `formula` on fresh parameters of the given dtypes and return what it recorded."""
    recorder = Recorder(parameters)
    arguments = [Scalar(recorder, i, d) for i, d in enumerate(recorder.parameters)]
    result = formula(*arguments)
    return ScalarProgram(name, recorder.parameters, tuple(recorder.instructions), result.number)
