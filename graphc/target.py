"""Targets: what passes may know about a device. Never a backend object, only its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SHORT_STEP = 4  # elements between lanes, up to which vectors read what lies between them as well


@dataclass(frozen=True, slots=True)
class Target:
    """The limits of one device.

    vector_bytes     width of a vector register in bytes (64 AVX-512, 32 AVX2, 16 SSE and NEON)
    vector_registers how many of them there are
    cores            threads worth starting
    cache_bytes      sizes of the data caches a core can use: first, second, third level
    local_bytes      memory of a work-group (a GPU's local memory; 0 on a CPU)
    group_items      most work-items in a work-group (1 on a CPU)
    """

    name: str
    kind: Literal["cpu", "gpu"]
    vector_bytes: int
    vector_registers: int
    cores: int
    cache_bytes: tuple[int, int, int] = (32 * 1024, 1024 * 1024, 16 * 1024 * 1024)
    local_bytes: int = 0
    group_items: int = 1

    def lanes(self, itemsize: int) -> int:
        """Return how many elements of `itemsize` bytes fit in a vector register."""
        return max(1, self.vector_bytes // itemsize)
