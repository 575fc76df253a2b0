"""Offsets in one arena for blocks that are alive for a while: blocks alive together do not overlap.

The largest block is placed first, each into the smallest gap that holds it between the blocks
placed before it that live at the same time (best fit in decreasing size; Y. Pisarchyk and J. Lee,
"Efficient memory management for deep neural net inference", 2020). Sizes are rounded up to
`ALIGNMENT`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.state import ALIGNMENT

_GOOD_ENOUGH = 1.02
_MOST_TRIES = 40
_MOST_PLACEMENTS = 4000


@dataclass(frozen=True, slots=True)
class Lifetime:
    """`nbytes` bytes needed at the times `first` to `last`, both included."""

    nbytes: int
    first: int
    last: int


def place_blocks(blocks: Sequence[Lifetime]) -> tuple[list[int], int]:
    """Return the offset of each block, a multiple of `ALIGNMENT`, and the bytes of the arena.

    Where the arena is larger than what lives at one time, the blocks at its end are placed first in
    another try, a few times; the smallest arena is kept. The work is bounded whatever the blocks.
    """
    order = sorted(range(len(blocks)), key=lambda b: (-blocks[b].nbytes, blocks[b].first))
    enough = largest_live_set(blocks) * _GOOD_ENOUGH
    tried = best = _place_in_order(blocks, order)
    for _ in range(min(_MOST_TRIES, _MOST_PLACEMENTS // max(1, len(blocks)))):
        if best[1] <= enough:
            break
        ends = {b for b in order if tried[0][b] + rounded(blocks[b].nbytes) == tried[1]}
        order = [*(b for b in order if b in ends), *(b for b in order if b not in ends)]
        tried = _place_in_order(blocks, order)
        best = min(best, tried, key=lambda found: found[1])
    return best


def _place_in_order(blocks: Sequence[Lifetime], order: Sequence[int]) -> tuple[list[int], int]:
    offsets, total, placed = [0] * len(blocks), 0, _Placed(len(blocks))
    for number in order:
        block, size = blocks[number], rounded(blocks[number].nbytes)
        offsets[number] = placed.gap(size, block.first, block.last)
        placed.add(offsets[number], size, block.first, block.last)
        total = max(total, offsets[number] + size)
    return offsets, total


def rounded(nbytes: int) -> int:
    """Return `nbytes` rounded up to a multiple of `ALIGNMENT`."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def largest_live_set(blocks: Sequence[Lifetime]) -> int:
    """Return the most bytes that are alive at one time: no arena can be smaller."""
    changes: dict[int, int] = {}
    for block in blocks:
        changes[block.first] = changes.get(block.first, 0) + rounded(block.nbytes)
        changes[block.last + 1] = changes.get(block.last + 1, 0) - rounded(block.nbytes)
    alive = most = 0
    for time in sorted(changes):
        alive += changes[time]
        most = max(most, alive)
    return most


class _Placed:
    """The blocks placed so far, in order of their offsets: rows of start, end, first, last."""

    def __init__(self, count: int) -> None:
        self._rows = np.zeros((4, count), np.int64)
        self._count = 0

    def gap(self, size: int, first: int, last: int) -> int:
        """Return the start of the smallest gap of `size` that is free from `first` to `last`."""
        start, end, born, dead = self._rows[:, : self._count]
        meets = (born <= last) & (dead >= first)
        start, end = start[meets], np.maximum.accumulate(end[meets])
        before = np.concatenate([np.zeros(1, np.int64), end])
        room = start - before[:-1]
        fitting: Any = np.flatnonzero(room >= size)
        if not fitting.size:
            return int(before[-1])
        return int(before[fitting[np.argmin(room[fitting])]])

    def add(self, offset: int, size: int, first: int, last: int) -> None:
        """Insert a block, keeping the rows sorted by offset."""
        at = int(np.searchsorted(self._rows[0, : self._count], offset))
        self._rows[:, at + 1 : self._count + 1] = self._rows[:, at : self._count]
        self._rows[:, at] = (offset, offset + size, first, last)
        self._count += 1
