"""Where steps must wait: a barrier stands before a step that touches what an earlier one
wrote, or writes what an earlier one touched, with no barrier between them. The status is free of
order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace

from graphc.kernel import Access
from graphc.plan import Place, Space, Step


def set_barriers(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps with `barrier` set where data crosses, and nowhere else."""
    written, touched = _Memory(), _Memory()
    result = []
    for step in steps:
        reads, writes = _places(step)
        waits = any(written.meets(*p) for p in reads) or any(touched.meets(*p) for p in writes)
        if waits:
            written, touched = _Memory(), _Memory()
        for place in writes:
            written.add(*place)
        for place in (*reads, *writes):
            touched.add(*place)
        result.append(replace(step, barrier=waits))
    return tuple(result)


def _places(step: Step) -> tuple[list[tuple[Place, int]], list[tuple[Place, int]]]:
    reads, writes = [], []
    for buffer, place in zip(step.routine.buffers, step.places, strict=True):
        if place.space is Space.STATUS or not buffer.type.nbytes:
            continue
        if buffer.access is not Access.OUT:
            reads.append((place, buffer.type.nbytes))
        if buffer.access is not Access.IN:
            writes.append((place, buffer.type.nbytes))
    return reads, writes


class _Memory:
    """A set of bytes: whole buffers outside the arena, disjoint intervals inside it."""

    def __init__(self) -> None:
        self._whole: set[Place] = set()
        self._starts: list[int] = []
        self._ends: list[int] = []

    def meets(self, place: Place, nbytes: int) -> bool:
        if place.space is not Space.ARENA:
            return place in self._whole
        before = bisect_left(self._starts, place.at + nbytes)
        return before > 0 and self._ends[before - 1] > place.at

    def add(self, place: Place, nbytes: int) -> None:
        if place.space is not Space.ARENA:
            self._whole.add(place)
            return
        start, end = place.at, place.at + nbytes
        low = bisect_left(self._ends, start)
        high = bisect_right(self._starts, end)
        if low < high:
            start = min(start, self._starts[low])
            end = max(end, self._ends[high - 1])
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]
