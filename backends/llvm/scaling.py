"""Multiplication by a power of two: one instruction where the CPU has it, two products elsewhere.

Both round once, where the result is subnormal or overflows, and give the same bits. There are two
products because 2**b may lie outside the range of numbers: each takes one half of b.
"""

from __future__ import annotations

from graphc.backends.llvm.conversions import Code
from graphc.backends.llvm.parts import in_parts
from graphc.backends.llvm.writer import Writer
from graphc.dtypes import DType, float32, uint32, uint64

_MANTISSA = {32: 23, 64: 52}
_BIAS = {32: 127, 64: 1023}
_SUFFIX = {"float": "ps", "double": "pd"}
_MOST_BYTES = 64


def by_instruction(writer: Writer, dtype: DType, lanes: int, a: str, b: str) -> str:
    """Return a * 2**b by VSCALEF, which only a CPU with AVX-512 has."""
    element = "float" if dtype is float32 else "double"

    def part(width: int, a: str, b: str) -> str:
        type_, bits = f"<{width} x {element}>", width * dtype.bits
        name = f"@llvm.x86.avx512.mask.scalef.{_SUFFIX[element]}.{bits}"
        operands = f"{type_} {a}, {type_} {b}, {type_} zeroinitializer, i{max(width, 8)} -1"
        if bits == 8 * _MOST_BYTES:
            operands += ", i32 4"  # rounded as everything else
        return writer.pure(f"call {type_} {name}({operands})")

    return in_parts(
        writer, lanes, part, ((element, a), (element, b)), _MOST_BYTES // dtype.itemsize
    )


def by_products(code: Code, dtype: DType, a: str, b: str) -> str:
    """Return a * 2**b by two products; b is read off the low bits of a sum that rounds nothing."""
    mantissa, word = _MANTISSA[dtype.bits], uint32 if dtype is float32 else uint64
    shifter = 1.5 * 2.0**mantissa + 2 * _BIAS[dtype.bits]
    bits = code.bits(dtype, word, code.binary("fadd", dtype, b, shifter))
    half = code.binary("ashr", word, bits, 1)
    for exponent in (half, code.binary("sub", word, bits, half)):
        power = code.bits(word, dtype, code.binary("shl", word, exponent, mantissa))
        a = code.binary("fmul", dtype, a, power)
    return a
