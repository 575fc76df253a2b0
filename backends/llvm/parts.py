"""Instructions of x86 that exist for vectors of certain widths, applied to any number of lanes.

An instruction for 4, 8 or 16 lanes is written for fewer lanes by filling them up with zeros, for
more by cutting them into parts. What is in a lane does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.backends.llvm import spelling
from graphc.backends.llvm.writer import Writer

_FEWEST, _MOST = 4, 16  # lanes of one instruction


def in_parts(
    writer: Writer,
    lanes: int,
    part: Callable[..., str],
    operands: tuple[tuple[str, str], ...],
    most: int = _MOST,
) -> str:
    """Return what `part(width, *operands)` gives over `lanes` lanes, of the type of the last.

    `operands` are types of elements and names of values; `most` is the widest that `part` takes.
    """
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
