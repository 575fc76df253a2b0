"""Index expressions: integers computed from loop variables, in which kernels address memory.

    index ::= term ('+' term)*          term ::= integer | (integer '*')? atom
    atom  ::= NAME | '%'NAME '{' integer '..' integer '}'
            | '(' '(' index ')' ('floordiv' | 'mod') integer ')'

An `Index` is quasi-affine: a constant plus integer multiples of *atoms*. An atom is a loop variable
(with its extent: it runs over 0 … extent-1), a scalar value of the kernel with its inclusive bounds
(a gathered index), or the quotient or remainder of another index by a positive constant.
Construction simplifies with the known ranges, so that splitting a loop and putting it together
again gives the loop variable back. Indices are immutable and compare by structure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from graphc.errors import InternalError
from graphc.lazy import LazyProperty


@dataclass(frozen=True, slots=True)
class LoopVariable:
    """The variable of a loop over 0 … extent-1. Equal names in one kernel mean one variable."""

    name: str
    extent: int

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ValueAtom:
    """An integer value of the kernel used as an index; `low` and `high` are inclusive bounds."""

    name: str
    low: int
    high: int

    def __str__(self) -> str:
        return f"%{self.name}{{{self.low}..{self.high}}}"


@dataclass(frozen=True, slots=True)
class FloorDiv:
    """The quotient of `numerator` by the positive constant `divisor`, rounded down."""

    numerator: Index
    divisor: int

    def __str__(self) -> str:
        return f"(({self.numerator}) floordiv {self.divisor})"


@dataclass(frozen=True, slots=True)
class Mod:
    """The remainder of `numerator` by the positive constant `divisor`, never negative."""

    numerator: Index
    divisor: int

    def __str__(self) -> str:
        return f"(({self.numerator}) mod {self.divisor})"


Atom: TypeAlias = LoopVariable | ValueAtom | FloorDiv | Mod


@dataclass(frozen=True, eq=False)
class Index:
    """`constant` plus the sum of coefficient * atom over `terms` (no zero coefficients)."""

    terms: tuple[tuple[Atom, int], ...]
    constant: int

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Index):
            return NotImplemented
        return self.constant == other.constant and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    @LazyProperty
    def _hash(self) -> int:
        return hash((self.terms, self.constant))

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.terms, self.constant + other) if other else self
        other = as_index(other)
        if not self.terms or not other.terms:
            return Index(self.terms or other.terms, self.constant + other.constant)
        return _combine([*self.terms, *other.terms], self.constant + other.constant)

    __radd__ = __add__

    def __sub__(self, other: Index | int) -> Index:
        return self + as_index(other) * -1

    def __mul__(self, factor: int) -> Index:
        if factor == 0:
            return ZERO
        # what belongs together is together already
        terms = tuple([(atom, coefficient * factor) for atom, coefficient in self.terms])
        return Index(terms, self.constant * factor)

    __rmul__ = __mul__

    def __floordiv__(self, divisor: int) -> Index:
        if divisor == 1:
            return self
        whole, rest = self._divide_terms(divisor)
        low, high = rest.bounds
        if low // divisor == high // divisor:
            return whole + low // divisor
        unit, coarse, _ = rest._in_units(divisor)
        if unit > 1:
            return whole + coarse // (divisor // unit)
        nested = rest._single(FloorDiv)
        if nested is not None:
            return whole + nested.numerator // (nested.divisor * divisor)
        nested = rest._single(Mod)
        if nested is not None and nested.divisor % divisor == 0:
            return whole + nested.numerator // divisor % (nested.divisor // divisor)
        return whole + Index(((FloorDiv(rest, divisor), 1),), 0)

    def __mod__(self, divisor: int) -> Index:
        if divisor == 1:
            return ZERO
        _, rest = self._divide_terms(divisor)
        low, high = rest.bounds
        if low // divisor == high // divisor:
            return rest - low // divisor * divisor
        unit, coarse, fine = rest._in_units(divisor)
        if unit > 1:
            return coarse % (divisor // unit) * unit + fine
        nested = rest._single(Mod)
        if nested is not None and nested.divisor % divisor == 0:
            return nested.numerator % divisor
        return Index(((Mod(rest, divisor), 1),), 0)

    def _divide_terms(self, divisor: int) -> tuple[Index, Index]:
        """Return (whole, rest), self = whole * divisor + rest, with every multiple in whole."""
        whole = [(a, c // divisor) for a, c in self.terms if c % divisor == 0]
        rest = [(a, c) for a, c in self.terms if c % divisor]
        quotient, remainder = divmod(self.constant, divisor)
        return _combine(whole, quotient), _combine(rest, remainder)

    def _in_units(self, divisor: int) -> tuple[int, Index, Index]:
        """Return (unit, coarse, fine), self = unit * coarse + fine with fine in 0 … unit-1.

        The unit is the greatest that divides `divisor` and a coefficient, 1 where there is none.
        """
        units = {math.gcd(c, divisor) for _, c in self.terms}
        for unit in sorted(units - {1}, reverse=True):
            coarse, fine = self._divide_terms(unit)
            low, high = fine.bounds
            if low >= 0 and high < unit:
                return unit, coarse, fine
        return 1, self, ZERO

    def _single(self, kind: type[FloorDiv] | type[Mod]) -> FloorDiv | Mod | None:
        if len(self.terms) == 1 and self.constant == 0 and self.terms[0][1] == 1:
            atom = self.terms[0][0]
            return atom if isinstance(atom, kind) else None
        return None

    @LazyProperty
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest value, inclusive, as far as the atoms' ranges tell."""
        low = high = self.constant
        for atom, coefficient in self.terms:
            ends = [coefficient * end for end in _atom_bounds(atom)]
            low, high = low + min(ends), high + max(ends)
        return low, high

    @LazyProperty
    def variables(self) -> frozenset[LoopVariable]:
        """Every loop variable that occurs, inside quotients and remainders too."""
        return frozenset(a for a in self.atoms() if isinstance(a, LoopVariable))

    @LazyProperty
    def values(self) -> frozenset[str]:
        """The names of the kernel's values that occur."""
        return frozenset(a.name for a in self.atoms() if isinstance(a, ValueAtom))

    def atoms(self) -> Iterable[Atom]:
        """Yield every atom, nested ones included."""
        for atom, _ in self.terms:
            yield atom
            if isinstance(atom, FloorDiv | Mod):
                yield from atom.numerator.atoms()

    def is_constant(self) -> bool:
        """Return whether no atom occurs."""
        return not self.terms

    def stride(self, variable: LoopVariable) -> int | None:
        """Return how far the index moves when `variable` grows by one; None where that varies."""
        stride = 0
        for atom, coefficient in self.terms:
            if atom == variable:
                stride += coefficient
            elif isinstance(atom, FloorDiv | Mod) and variable in atom.numerator.variables:
                return None
        return stride

    def divisor(self, lane: LoopVariable | None = None) -> int:
        """Return the greatest number known to divide every value where `lane` is 0; 0 for 0."""
        return math.gcd(self.constant, *(c for atom, c in self.terms if atom != lane))

    def substitute(self, mapping: Mapping[LoopVariable, Index]) -> Index:
        """Return the index with variables replaced, simplified again."""
        return self.map_atoms(lambda a: mapping.get(a) if isinstance(a, LoopVariable) else None)

    def map_atoms(self, replace: Callable[[Atom], Index | None]) -> Index:
        """Return the index with each atom for which `replace` gives an index replaced by it."""
        result = as_index(self.constant)
        for atom, coefficient in self.terms:
            result = result + _map_atom(atom, replace) * coefficient
        return result

    def evaluate(self, environment: Mapping[str, int]) -> int:
        """Return the number this index has when variables and values have these values by name."""
        total = self.constant
        for atom, coefficient in self.terms:
            total += coefficient * _evaluate_atom(atom, environment)
        return total

    def __str__(self) -> str:
        parts = [str(a) if c == 1 else f"{c}*{a}" for a, c in self.terms]
        if self.constant or not parts:
            parts.append(str(self.constant))
        return " + ".join(parts)


ZERO = Index((), 0)
IndexLike: TypeAlias = "Index | LoopVariable | ValueAtom | int"


def as_index(like: IndexLike) -> Index:
    """Return an integer, a loop variable or a value atom as an index."""
    if isinstance(like, Index):
        return like
    if isinstance(like, int):
        return Index((), like)
    if isinstance(like, LoopVariable) and like.extent == 1:
        return ZERO
    return Index(((like, 1),), 0)


def linearise(indices: Iterable[Index], shape: Iterable[int]) -> Index:
    """Return the row-major offset of `indices` in a dense array of `shape`."""
    offset = ZERO
    for index, extent in zip(indices, shape, strict=True):
        offset = offset * extent + index
    return offset


def delinearise(offset: Index, shape: tuple[int, ...]) -> tuple[Index, ...]:
    """Return the indices of the row-major `offset` (inside the array) in an array of `shape`."""
    indices = []
    for axis in range(len(shape)):
        inner = math.prod(shape[axis + 1 :])
        index = offset // inner if inner else ZERO
        if axis > 0 and shape[axis]:
            index = index % shape[axis]
        indices.append(index)
    return tuple(indices)


def _combine(terms: Iterable[tuple[Atom, int]], constant: int) -> Index:
    collected: dict[Atom, int] = {}
    has_remainders = False
    for atom, coefficient in terms:
        collected[atom] = collected.get(atom, 0) + coefficient
        has_remainders |= type(atom) is Mod
    while has_remainders:
        merged = _reunite(collected)
        if merged is None:
            break
        rest, collected = collected, dict(merged.terms)
        for atom, coefficient in rest.items():
            collected[atom] = collected.get(atom, 0) + coefficient
        constant += merged.constant
    return Index(tuple([(a, c) for a, c in collected.items() if c]), constant)


def _reunite(collected: dict[Atom, int]) -> Index | None:
    """Take two terms that belong together from `collected` and return their sum, if there are such.

    Besides c * (x mod d) that is c * d * (x floordiv d), which makes c * x, or
    c * d * ((a + x floordiv d) mod m), which makes c * ((d * a + x) mod (d * m)).
    """
    for atom, coefficient in collected.items():
        if not isinstance(atom, Mod) or not coefficient:
            continue
        x, divisor = atom.numerator, atom.divisor
        quotient = x // divisor
        if len(quotient.terms) != 1 or quotient.constant or quotient.terms[0][1] != 1:
            continue
        partner = quotient.terms[0][0]
        if collected.get(partner, 0) == coefficient * divisor:
            del collected[atom], collected[partner]
            return x * coefficient
        for other, factor in collected.items():
            if not isinstance(other, Mod) or factor != coefficient * divisor:
                continue
            if (partner, 1) in other.numerator.terms:
                del collected[atom], collected[other]
                joined = (other.numerator - quotient) * divisor + x
                return joined % (divisor * other.divisor) * coefficient
    return None


def _atom_bounds(atom: Atom) -> tuple[int, int]:
    if isinstance(atom, LoopVariable):
        return 0, max(atom.extent - 1, 0)
    if isinstance(atom, ValueAtom):
        return atom.low, atom.high
    low, high = atom.numerator.bounds
    if isinstance(atom, FloorDiv):
        return low // atom.divisor, high // atom.divisor
    return 0, atom.divisor - 1


def _map_atom(atom: Atom, replace: Callable[[Atom], Index | None]) -> Index:
    replaced = replace(atom)
    if replaced is not None:
        return replaced
    if isinstance(atom, FloorDiv):
        return atom.numerator.map_atoms(replace) // atom.divisor
    if isinstance(atom, Mod):
        return atom.numerator.map_atoms(replace) % atom.divisor
    return as_index(atom)


def _evaluate_atom(atom: Atom, environment: Mapping[str, int]) -> int:
    if isinstance(atom, FloorDiv):
        return atom.numerator.evaluate(environment) // atom.divisor
    if isinstance(atom, Mod):
        return atom.numerator.evaluate(environment) % atom.divisor
    if atom.name not in environment:
        raise InternalError(f"index over {atom}, which has no value here")
    return int(environment[atom.name])
