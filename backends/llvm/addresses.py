"""Index expressions in LLVM IR: i64 numbers where they are uniform, vectors where they vary by
lane.

An `Environment` knows what loop variables and values are at the current place. One loop variable
may be the *lane*: the variable of the vector loop around, which has every value at once. An index
that is affine in it has a base (its value in lane 0) and a stride; any other is computed in all
lanes, in 32 bits where the known bounds allow it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from graphc.backends.llvm import helpers, spelling
from graphc.backends.llvm.operations import Operand
from graphc.backends.llvm.writer import Writer
from graphc.dtypes import DType
from graphc.errors import InternalError
from graphc.index import Atom, FloorDiv, Index, LoopVariable, Mod, ValueAtom


@dataclass
class Environment:
    """`variables`: each a number, if known while compiling, or the name of an i64."""

    writer: Writer
    variables: dict[str, int | str] = field(default_factory=dict)
    values: dict[str, Operand] = field(default_factory=dict)
    lane: LoopVariable | None = None

    @property
    def lanes(self) -> int:
        """The lanes of the vector loop around, 1 outside of one."""
        return self.lane.extent if self.lane is not None else 1

    def value(self, name: str) -> Operand:
        """Return what the kernel's value `name` is here."""
        if name not in self.values:
            raise InternalError(f"%{name} has no value here")
        return self.values[name]

    # --- uniform indices --------------------------------------------------------------------------

    def base(self, index: Index) -> tuple[str, int]:
        """Return an index in lane 0 as a sum: an i64 (empty for 0) and a constant."""
        constant, parts = index.constant, []
        for atom, coefficient in index.terms:
            value = 0 if atom == self.lane else self._scalar_atom(atom)
            if isinstance(value, int):
                constant += coefficient * value
            else:
                parts.append((value, coefficient))
        parts.sort(key=lambda part: self.writer.depth_of(part[0]))
        total = ""
        for value, coefficient in parts:
            term = self._times(value, coefficient)
            total = self.writer.pure(f"add i64 {total}, {term}") if total else term
        return total, constant

    def scalar(self, index: Index) -> str:
        """Return an index in lane 0 as one i64, a name or a constant."""
        total, constant = self.base(index)
        if not total:
            return str(constant)
        return self.writer.pure(f"add i64 {total}, {constant}") if constant else total

    def converted(self, index: Index, dtype: DType) -> Operand:
        """Return an index as a value of an integer dtype, wrapped."""
        if self.is_varying(index):
            return Operand(self.vector(index, dtype.bits), dtype, self.lanes)
        text = self.scalar(index)
        if text.startswith("%") and dtype.bits < 64:
            text = self.writer.pure(f"trunc i64 {text} to i{dtype.bits}")
        elif not text.startswith("%"):
            text = spelling.number(dtype.bits, int(text), 1)
        return Operand(text, dtype)

    def _times(self, value: str, factor: int) -> str:
        return value if factor == 1 else self.writer.pure(f"mul i64 {value}, {factor}")

    def _scalar_atom(self, atom: Atom) -> int | str:
        if isinstance(atom, LoopVariable):
            if atom.extent == 1:
                return 0
            return self.variables[atom.name]
        if isinstance(atom, ValueAtom):
            return self._widen(self.value(atom.name), 64)
        value = self.scalar(atom.numerator)
        low, _ = atom.numerator.bounds
        return self._divide(atom, value, 64, 1, is_natural=low >= 0)

    def _widen(self, operand: Operand, bits: int) -> str:
        """Return an integer value with another number of bits."""
        if operand.dtype.bits == bits:
            return operand.text
        name = "trunc" if operand.dtype.bits > bits else "sext"
        if operand.dtype.bits < bits and not operand.dtype.is_signed:
            name = "zext"
        before = spelling.register(operand.dtype, operand.lanes)
        after = spelling.vector(f"i{bits}", operand.lanes)
        return self.writer.pure(f"{name} {before} {operand.text} to {after}")

    def _divide(
        self, atom: FloorDiv | Mod, value: str, bits: int, lanes: int, *, is_natural: bool
    ) -> str:
        """Return a floored quotient or remainder; of a number that may be negative, corrected."""
        type_, divisor = spelling.vector(f"i{bits}", lanes), atom.divisor
        wanted = isinstance(atom, FloorDiv)
        if divisor & (divisor - 1) == 0:
            amount = divisor.bit_length() - 1 if wanted else divisor - 1
            name = "ashr" if wanted else "and"
            return self.writer.pure(
                f"{name} {type_} {value}, {spelling.number(bits, amount, lanes)}"
            )
        by = spelling.number(bits, divisor, lanes)
        if is_natural:
            return self.writer.pure(f"{'udiv' if wanted else 'urem'} {type_} {value}, {by}")
        rest = self.writer.pure(f"srem {type_} {value}, {by}")
        zero, condition = spelling.number(bits, 0, lanes), spelling.vector("i1", lanes)
        negative = self.writer.pure(f"icmp slt {type_} {rest}, {zero}")
        if wanted:
            quotient = self.writer.pure(f"sdiv {type_} {value}, {by}")
            one = self.writer.pure(f"sext {condition} {negative} to {type_}")
            return self.writer.pure(f"add {type_} {quotient}, {one}")
        raised = self.writer.pure(f"add {type_} {rest}, {by}")
        return self.writer.pure(f"select {condition} {negative}, {type_} {raised}, {type_} {rest}")

    # --- indices that vary by lane ----------------------------------------------------------------

    def is_varying(self, index: Index) -> bool:
        """Return whether lanes may have different values of `index`."""
        return self.stride(index) != 0

    def stride(self, index: Index) -> int | None:
        """Return how far the index moves from lane to lane; None where that is not constant."""
        if self.lane is None:
            return 0
        if any(self.value(name).lanes > 1 for name in index.values):
            return None
        return index.stride(self.lane)

    def vector(self, index: Index, bits: int) -> str:
        """Return the index in every lane, a vector of integers of `bits` bits (wrapping)."""
        assert self.lane is not None
        type_ = spelling.vector(f"i{bits}", self.lanes)
        uniform, stride, varying = index.constant, 0, []
        even = []
        for atom, coefficient in index.terms:
            if atom == self.lane:
                stride += coefficient
            elif self._atom_varies(atom):
                varying.append((self._vector_atom(atom, bits), coefficient))
            else:
                even.append((atom, coefficient))
        total = self._uniform_part(Index(tuple(even), uniform), bits)
        if stride:
            steps = spelling.ramp(bits, self.lanes, stride)
            total = self.writer.pure(f"add {type_} {total}, {steps}")
        for value, coefficient in varying:
            factor = spelling.number(bits, coefficient, self.lanes)
            term = value if coefficient == 1 else self.writer.pure(f"mul {type_} {value}, {factor}")
            total = self.writer.pure(f"add {type_} {total}, {term}")
        return total

    def narrow_bits(self, *indices: Index) -> int:
        """Return 32 if every step of computing the indices fits in 32 bits, else 64."""
        return 32 if all(_magnitude(index) < 2**31 for index in indices) else 64

    def _uniform_part(self, index: Index, bits: int) -> str:
        value = self.scalar(index)
        if bits != 64 and value.startswith("%"):
            value = self.writer.pure(f"trunc i64 {value} to i{bits}")
        return helpers.splat(self.writer, f"i{bits}", value, self.lanes)

    def _atom_varies(self, atom: Atom) -> bool:
        return self.stride(Index(((atom, 1),), 0)) != 0

    def _vector_atom(self, atom: Atom, bits: int) -> str:
        if isinstance(atom, ValueAtom):
            return self._widen(self.value(atom.name), bits)
        assert isinstance(atom, FloorDiv | Mod)
        inner = self.narrow_bits(atom.numerator)
        low, _ = atom.numerator.bounds
        value = self.vector(atom.numerator, inner)
        result = self._divide(atom, value, inner, self.lanes, is_natural=low >= 0)
        if inner == bits:
            return result
        before, after = (spelling.vector(f"i{b}", self.lanes) for b in (inner, bits))
        return self.writer.pure(
            f"{'sext' if inner < bits else 'trunc'} {before} {result} to {after}"
        )


def _magnitude(index: Index) -> int:
    """Return a bound of the absolute value of everything that is computed for `index`."""
    total = abs(index.constant)
    for atom, coefficient in index.terms:
        total += abs(coefficient) * _atom_magnitude(atom)
    return total


def _atom_magnitude(atom: Atom) -> int:
    if isinstance(atom, LoopVariable):
        return atom.extent
    if isinstance(atom, ValueAtom):
        return max(abs(atom.low), abs(atom.high))
    return max(_magnitude(atom.numerator), atom.divisor)
