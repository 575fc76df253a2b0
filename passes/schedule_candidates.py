"""Schedule candidates: choices worth measuring for a kernel, each giving a different schedule.

They differ from given choices in one number each, so that whoever measures goes from the best found
so far to what lies around it, until nothing there is better. Nothing here measures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from graphc.kernel import Kernel, Loop, statements
from graphc.passes.schedule import schedule
from graphc.schedule_choices import MODEL, ScheduleChoices
from graphc.target import Target

_ELEMENTWISE: dict[str, tuple[int, ...]] = {
    "lane": (0, 1, 2),
    "vectors": (1, 2, 4),
    "tasks": (0, 1, 2, 4, 8),
}
_SUMS: dict[str, tuple[int, ...]] = _ELEMENTWISE | {
    "tile_rows": (1, 2, 4, 6, 7, 8, 10, 12, 13, 14, 16),
    "copies": (0, 1),
    "panels": (1, 2, 3, 4, 6, 8, 12, 16),
    "serial_block": (0, 64, 128, 192, 256, 384, 512),
    "task_rows": (16, 32, 48, 64, 96, 128, 192, 256, 512),
}


def candidates(
    kernel: Kernel, target: Target, base: ScheduleChoices = MODEL
) -> dict[Kernel, ScheduleChoices]:
    """Return the schedules of `kernel` that are one choice away from `base`, and `base`'s first.

    Requires the lowered form of a kernel, and a CPU. Choices that make no difference are left out.
    """
    found = {schedule(kernel, target, base): base}
    for choices in _around(base, _SUMS if _has_sums(kernel) else _ELEMENTWISE):
        found.setdefault(schedule(kernel, target, choices), choices)
    return found


def _around(base: ScheduleChoices, values: dict[str, tuple[int, ...]]) -> Iterator[ScheduleChoices]:
    for name, numbers in values.items():
        yield from (replace(base, **{name: number}) for number in numbers)


def _has_sums(kernel: Kernel) -> bool:
    """Return whether some loop stands in a loop behind what starts a sum."""
    loops = (s for s in statements(kernel.body) if isinstance(s, Loop))
    return any(len(s.body) > 1 and any(isinstance(i, Loop) for i in s.body) for s in loops)
