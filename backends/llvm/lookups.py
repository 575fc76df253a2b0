"""Lookups in small tables of constants: permutations of registers where the CPU has them.

AVX-512 and AVX2 permute a register of 16 or 8 words by words of another: a table that fills one
is read in one instruction for all lanes, one of twice the size in two and a blend. Other tables,
and those of other CPUs, are read from memory. The entries are the same, and so are the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.backends.llvm import helpers, spelling
from graphc.backends.llvm.module import Module
from graphc.backends.llvm.parts import in_parts
from graphc.backends.llvm.writer import Writer
from graphc.dtypes import DType
from graphc.scalar import index_mask

_REGISTERS = 2  # that a table may fill
_WORD, _NARROWEST = 32, 8  # bits of an entry and of an index; words in the narrowest register
_PERMUTATIONS = {
    (16, "float"): "@llvm.x86.avx512.permvar.sf.512",
    (16, "i32"): "@llvm.x86.avx512.permvar.si.512",
    (8, "float"): "@llvm.x86.avx2.permps",
    (8, "i32"): "@llvm.x86.avx2.permd",
}


def write(
    writer: Writer, module: Module, dtype: DType, lanes: int, table: Sequence[Any],
    index: tuple[DType, str],
) -> str:  # fmt: skip
    """Return the entries of `table`, of type `dtype`, at the index of each lane."""
    source, place = index
    width = min(lanes, module.features.permutation)
    is_narrow = source.bits == dtype.bits == _WORD and width >= _NARROWEST
    if is_narrow and len(table) <= _REGISTERS * width:
        return _by_permutation(writer, module.features.permutation, dtype, lanes, table, place)
    return _from_memory(writer, module, dtype, lanes, table, index)


def _by_permutation(
    writer: Writer, most: int, dtype: DType, lanes: int, table: Sequence[Any], index: str
) -> str:
    element = spelling.register(dtype)

    def part(width: int, index: str) -> str:
        type_ = f"<{width} x {element}>"
        index = writer.pure(f"bitcast {type_} {index} to <{width} x i32>")
        if width != len(table):  # the instruction reads the low bits alone
            index = _inside(writer, _WORD, width, table, index)
        entries = [
            _permute(writer, dtype, width, table[start : start + width], index)
            for start in range(0, len(table), width)
        ]
        if len(entries) == 1:
            return entries[0]
        limit = spelling.splat("i32", str(width), width)
        is_low = writer.pure(f"icmp ult <{width} x i32> {index}, {limit}")
        low, high = entries
        return writer.pure(f"select <{width} x i1> {is_low}, {type_} {low}, {type_} {high}")

    given, wanted = spelling.vector("i32", lanes), spelling.vector(element, lanes)
    index = writer.pure(f"bitcast {given} {index} to {wanted}")
    return in_parts(writer, lanes, part, ((element, index),), most)


def _permute(writer: Writer, dtype: DType, width: int, entries: Sequence[Any], index: str) -> str:
    element = spelling.register(dtype)
    filled = [*entries, *[0] * (width - len(entries))]
    texts = ", ".join(f"{element} {spelling.constant(dtype, entry)}" for entry in filled)
    type_, function = f"<{width} x {element}>", _PERMUTATIONS[width, element]
    return writer.pure(f"call {type_} {function}({type_} <{texts}>, <{width} x i32> {index})")


def _inside(writer: Writer, bits: int, lanes: int, table: Sequence[Any], index: str) -> str:
    """Return the index modulo the length of the table, where that is a power of two."""
    mask = index_mask(table)
    if mask < 0:
        return index
    type_ = spelling.vector(f"i{bits}", lanes)
    return writer.pure(f"and {type_} {index}, {spelling.number(bits, mask, lanes)}")


def _from_memory(
    writer: Writer, module: Module, dtype: DType, lanes: int, table: Sequence[Any],
    index: tuple[DType, str],
) -> str:  # fmt: skip
    source, place = index
    element, width = spelling.memory(dtype), spelling.register(source, lanes)
    place = _inside(writer, source.bits, lanes, table, place)
    if not source.is_signed or index_mask(table) >= 0:  # getelementptr extends by sign
        wide = spelling.vector("i64", lanes)
        place = place if width == wide else writer.pure(f"zext {width} {place} to {wide}")
        width = wide
    start = module.table(dtype, tuple(table))
    place = writer.pure(f"getelementptr {element}, ptr {start}, {width} {place}")
    if lanes == 1:
        loaded = writer.pure(f"load {element}, ptr {place}")
    else:
        loaded = helpers.gather(writer, element, lanes, place)
    return helpers.from_memory(writer, dtype, lanes, loaded)
