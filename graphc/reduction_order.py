"""The order in which a reduction combines its elements: a function of the shape, of nothing else.

The elements of one result are numbered 0 … K-1 in row-major order of the reduced axes. If the last
axis of the operand is among them, element k goes to lane k mod L; each lane combines its elements
in ascending order, starting from the identity; at last the lanes are combined as a tree, lane l
with lane l + s for s = L/2, L/4, … 1. Otherwise (the last axis is kept) there is one lane. Sums of
more than BLOCK elements a lane are formed in blocks of BLOCK elements, each from the identity, and
the block results combined in ascending order, so that the error grows with BLOCK + K / BLOCK rather
than with K.

Since nothing else decides it, results have the same bits for every vector width, every number of
threads, fused or not, on every backend.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BLOCK = 1024


@dataclass(frozen=True, slots=True)
class ReductionOrder:
    """`lanes` is a power of two; `count` elements are combined for each result."""

    lanes: int
    count: int

    @property
    def steps(self) -> int:
        """Elements of the busiest lane."""
        return -(-self.count // self.lanes)

    @property
    def is_blocked(self) -> bool:
        return self.steps > BLOCK


def reduction_order(shape: tuple[int, ...], axes: tuple[int, ...]) -> ReductionOrder:
    """Return the order for an operand of `shape` reduced over the sorted `axes`."""
    count = math.prod(shape[a] for a in axes)
    last_is_reduced = bool(axes) and axes[-1] == len(shape) - 1
    return ReductionOrder(_lanes(count) if last_is_reduced else 1, count)


def _lanes(count: int) -> int:
    if count < 8:
        return 1
    return 16 if count < 256 else 64
