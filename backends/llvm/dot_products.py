"""The instructions of x86 that add dot products of small numbers, several in a word, to sums.

They work on 4, 8 or 16 sums. Fewer are filled up, more are cut into parts, and what is in a lane
does not depend on the others. Written only where the CPU has them (`Features`): LLVM stops the
process where it cannot select an intrinsic.
"""

from __future__ import annotations

from graphc.backends.llvm import spelling
from graphc.backends.llvm.parts import in_parts
from graphc.backends.llvm.writer import Writer


def pairs_of_bfloat16(writer: Writer, lanes: int, a: str, b: str, c: str) -> str:
    """Return float sums `c` with the products of the pairs in the words `a` and `b` added."""

    def part(width: int, a: str, b: str, c: str) -> str:
        halves, sums = f"<{2 * width} x bfloat>", f"<{width} x float>"
        a, b = (writer.pure(f"bitcast <{width} x i32> {w} to {halves}") for w in (a, b))
        name = f"@llvm.x86.avx512bf16.dpbf16ps.{32 * width}"
        return writer.pure(f"call {sums} {name}({sums} {c}, {halves} {a}, {halves} {b})")

    return in_parts(writer, lanes, part, (("i32", a), ("i32", b), ("float", c)))


def fours_of_int8(writer: Writer, lanes: int, a: str, b: str, c: str) -> str:
    """Return i32 sums `c` with the four products of signed bytes of `a` and `b` added.

    The instruction takes unsigned bytes of one operand: those of `a` plus 128. What that adds is a
    sum over `b` alone, which sums in which `b` is the same share.
    """

    def part(width: int, a: str, b: str, c: str) -> str:
        words, name = f"<{width} x i32>", f"@llvm.x86.avx512.vpdpbusd.{32 * width}"
        quads = f"<{4 * width} x i8>"
        sign = spelling.splat("i32", str(spelling.as_signed(0x80808080, 32)), width)

        def dot(total: str, unsigned: str, signed: str) -> str:
            pair = (writer.pure(f"bitcast {words} {w} to {quads}") for w in (unsigned, signed))
            operands = ", ".join(f"{quads} {w}" for w in pair)
            return writer.pure(f"call {words} {name}({words} {total}, {operands})")

        raised = writer.pure(f"xor {words} {a}, {sign}")
        extra = dot("zeroinitializer", sign, b)
        return writer.pure(f"sub {words} {dot(c, raised, b)}, {extra}")

    return in_parts(writer, lanes, part, (("i32", a), ("i32", b), ("i32", c)))


def bytes_by_pairs(
    writer: Writer, lanes: int, most: int, a: str, b: str, c: str, *, signed: bool
) -> str:
    """Return i32 sums `c` with the four products of bytes of `a` and `b` added, as pairs of i16."""
    names = {4: "sse2.pmadd.wd", 8: "avx2.pmadd.wd", 16: "avx512.pmaddw.d.512"}

    def part(width: int, a: str, b: str, c: str) -> str:
        words, halves = f"<{width} x i32>", f"<{2 * width} x i16>"
        eight = spelling.splat("i16", "8", 2 * width)
        shift = "ashr" if signed else "lshr"
        for is_high in (True, False):
            sides = []
            for word in (a, b):
                half = writer.pure(f"bitcast {words} {word} to {halves}")
                if not is_high:
                    half = writer.pure(f"shl {halves} {half}, {eight}")
                sides.append(f"{halves} {writer.pure(f'{shift} {halves} {half}, {eight}')}")
            added = writer.pure(f"call {words} @llvm.x86.{names[width]}({', '.join(sides)})")
            c = writer.pure(f"add {words} {c}, {added}")
        return c

    return in_parts(writer, lanes, part, (("i32", a), ("i32", b), ("i32", c)), most)
