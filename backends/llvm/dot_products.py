"""The instructions of x86 that add dot products of small numbers, several in a word, to sums.

They work on 4, 8 or 16 sums. Fewer are filled up, more are cut into parts, and what is in a lane
does not depend on the others. Written only where the CPU has them (`Features`): LLVM stops the
process where it cannot select an intrinsic.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.backends.llvm import spelling
from graphc.backends.llvm.writer import Writer

_FEWEST, _MOST = 4, 16  # sums of one instruction


def pairs_of_bfloat16(writer: Writer, lanes: int, a: str, b: str, c: str) -> str:
    """Return float sums `c` with the products of the pairs in the words `a` and `b` added."""

    def part(width: int, a: str, b: str, c: str) -> str:
        halves, sums = f"<{2 * width} x bfloat>", f"<{width} x float>"
        a, b = (writer.pure(f"bitcast <{width} x i32> {w} to {halves}") for w in (a, b))
        name = f"@llvm.x86.avx512bf16.dpbf16ps.{32 * width}"
        return writer.pure(f"call {sums} {name}({sums} {c}, {halves} {a}, {halves} {b})")

    return _in_parts(writer, lanes, part, (("i32", a), ("i32", b), ("float", c)))


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

    return _in_parts(writer, lanes, part, (("i32", a), ("i32", b), ("i32", c)))


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

    return _in_parts(writer, lanes, part, (("i32", a), ("i32", b), ("i32", c)), most)


def _in_parts(
    writer: Writer,
    lanes: int,
    part: Callable[..., str],
    operands: tuple[tuple[str, str], ...],
    most: int = _MOST,
) -> str:
    """Return what `part(width, *operands)` gives over `lanes` lanes, of the type of the last."""
    element = operands[-1][0]
    if lanes == 1:
        narrow = [_first_lane(writer, *operand) for operand in operands]
        return writer.pure(f"extractelement <4 x {element}> {part(_FEWEST, *narrow)}, i64 0")
    width = max(_FEWEST, min(lanes, most))
    starts = range(0, lanes, width)
    parts = [
        part(width, *(_take(writer, e, v, lanes, start, width) for e, v in operands))
        for start in starts
    ]
    while len(parts) > 1:
        parts = [
            _join(writer, element, parts[i], parts[i + 1], width) for i in range(0, len(parts), 2)
        ]
        width *= 2
    return _take(writer, element, parts[0], width, 0, lanes)


def _first_lane(writer: Writer, element: str, value: str) -> str:
    return writer.pure(f"insertelement <4 x {element}> zeroinitializer, {element} {value}, i64 0")


def _take(writer: Writer, element: str, value: str, lanes: int, start: int, count: int) -> str:
    """Return `count` lanes from `start` on; zeros where there are none."""
    if (lanes, start) == (count, 0):
        return value
    order = [min(lane, lanes) for lane in range(start, start + count)]
    return _shuffle(writer, element, value, "zeroinitializer", lanes, order)


def _join(writer: Writer, element: str, left: str, right: str, lanes: int) -> str:
    return _shuffle(writer, element, left, right, lanes, list(range(2 * lanes)))


def _shuffle(
    writer: Writer, element: str, left: str, right: str, lanes: int, order: list[int]
) -> str:
    type_ = spelling.vector(element, lanes)
    places = ", ".join(f"i32 {place}" for place in order)
    mask = f"<{len(order)} x i32> <{places}>"
    return writer.pure(f"shufflevector {type_} {left}, {type_} {right}, {mask}")
