"""The limits of a machine, and the least time in which it could do a piece of work.

The roofline model (Williams, Waterman and Patterson, CACM 52(4), 2009): a kernel that moves so many
bytes and does so many operations takes no less than either of the two would alone. How fast bytes
come depends on where they fit, so there is one bandwidth for each level of the memory. Backends
measure the numbers; nothing is measured here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """The bytes a second at which data comes that takes at most `most_bytes` (None: any)."""

    most_bytes: int | None
    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What so many threads together reach at best.

    operations_per_second   additions and multiplications in float32, two for a multiply-add
    bandwidths              the levels of the memory, nearest first; the last one has no bound
    """

    threads: int
    operations_per_second: float
    bandwidths: tuple[Bandwidth, ...]

    def bandwidth(self, nbytes: int) -> float:
        """Return the bytes a second of the nearest level that `nbytes` fit in."""
        levels = (b for b in self.bandwidths if b.most_bytes is None or nbytes <= b.most_bytes)
        return next(levels).bytes_per_second

    def least_seconds(self, nbytes: int, operations: int, itemsize: int = 4) -> float:
        """Return the least time for moving `nbytes` and for `operations` on elements of `itemsize`.

        A vector holds half as many elements of 8 bytes; narrower ones are computed in float32.
        """
        rate = self.operations_per_second * 4 / max(4, itemsize)
        return max(nbytes / self.bandwidth(nbytes), operations / rate)
