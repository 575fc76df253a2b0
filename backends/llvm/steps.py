"""Every second element, or third, …: vectors read whole, of which shuffles pick what lanes want.

A vector loop whose lanes are a few elements apart in memory reads all that lies between, as whole
vectors, and picks; each vector costs a load and a shuffle, where a gather costs a load for each
lane. What is read begins with the first element that is wanted and ends with the last one, but
for what is known to belong to the same array: nothing behind its end or before its start is read.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.backends.llvm import spelling
from graphc.backends.llvm.writer import Writer
from graphc.target import SHORT_STEP


def is_short(stride: int) -> bool:
    """Return whether lanes lie so close that what is between them is read as well."""
    return 2 <= abs(stride) <= SHORT_STEP


def starts(lanes: int, step: int, before: int, after: int) -> list[int]:
    """Return where vectors of `lanes` elements begin that hold one element in every `step`.

    They are counted from the first of `lanes` such elements. As many elements belong to the array
    `before` it, and `after` the last one, at least.
    """
    length = lanes * step
    for shift in (before % step, *range(min(before, step - 1) + 1)):
        if step - 1 - shift <= after:
            return [start - shift for start in range(0, length, lanes)]
    last = length - step + 1 - lanes
    return [min(start, last) for start in range(0, length, lanes)]


def pick(writer: Writer, element: str, lanes: int, vectors: dict[int, str], stride: int) -> str:
    """Return a vector of the elements that are `stride` apart, from `vectors` by their starts."""
    type_, result = spelling.vector(element, lanes), "poison"
    wanted = [(lane if stride > 0 else lanes - 1 - lane) * abs(stride) for lane in range(lanes)]
    done: set[int] = set()
    for start, vector in vectors.items():
        here = {n for n, place in enumerate(wanted) if 0 <= place - start < lanes} - done
        order = [
            lanes + wanted[n] - start if n in here else n if n in done else "poison"
            for n in range(lanes)
        ]
        result = _shuffled(writer, type_, result, vector, order) if here else result
        done |= here
    return result


def spread(writer: Writer, element: str, lanes: int, value: str, stride: int) -> dict[int, str]:
    """Return the vectors that hold the lanes of `value` `stride` apart, by their starts.

    What lies between is anything.
    """
    type_ = spelling.vector(element, lanes)
    return {
        start: _shuffled(writer, type_, value, "poison", ["poison" if n < 0 else n for n in order])
        for start, order in _lanes_at(lanes, stride).items()
    }


def masks(writer: Writer, lanes: int, mask: str, stride: int) -> dict[int, str]:
    """Return the masks of the vectors of `spread` where the lanes of `mask` hold; empty for all."""
    places = _lanes_at(lanes, stride)
    if mask:
        type_, false = f"<{lanes} x i1>", "zeroinitializer"
        return {
            start: _shuffled(writer, type_, mask, false, [lanes if n < 0 else n for n in order])
            for start, order in places.items()
        }
    return {
        start: "<" + ", ".join(f"i1 {str(n >= 0).lower()}" for n in order) + ">"
        for start, order in places.items()
    }


def _lanes_at(lanes: int, stride: int) -> dict[int, list[int]]:
    """Return the lane at each place of vectors, by their starts; -1 between lanes."""
    step, last = abs(stride), lanes - 1
    lane_at = {(n if stride > 0 else last - n) * step: n for n in range(lanes)}
    return {
        start: [lane_at.get(place, -1) for place in range(start, start + lanes)]
        for start in range(0, lanes * step, lanes)
    }


def _shuffled(writer: Writer, type_: str, left: str, right: str, order: Sequence[int | str]) -> str:
    places = ", ".join(f"i32 {place}" for place in order)
    mask = f"<{len(order)} x i32> <{places}>"
    return writer.pure(f"shufflevector {type_} {left}, {type_} {right}, {mask}")
