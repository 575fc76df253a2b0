"""Schedule choices: what may be chosen for a kernel without changing a bit of its results, as data.

A choice that is None is the cost model's own. A number is a wish: a schedule takes the nearest to
it that it can carry out, so that any choices fit any kernel. `graphc.passes.schedule` carries them
out, `graphc.passes.schedule_candidates` lists those worth measuring, `graphc.tune` measures.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ScheduleChoices:
    """What a CPU's schedule of one kernel may choose, the same for all its nests.

    lane          the loop that vectors go along, counted from the innermost parallel one outwards
    vectors       registers that go together along that loop: the width of a panel of columns
    tile_rows     rows of a register tile
    panels        panels of columns in a task
    serial_block  iterations of a summing loop before its partial sums are put aside; 0: all
    task_rows     rows of a task
    copies        1: columns that are adjacent are copied to panels all the same; 0: they are not
    tasks         tasks for each core; 0: one thread alone
    """

    lane: int | None = None
    vectors: int | None = None
    tile_rows: int | None = None
    panels: int | None = None
    serial_block: int | None = None
    task_rows: int | None = None
    copies: int | None = None
    tasks: int | None = None

    @property
    def chosen(self) -> dict[str, int]:
        """The choices that are not left to the cost model, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        """Return "tile_rows 8, panels 4", or "the cost model's own"."""
        listing = ", ".join(f"{name} {value}" for name, value in self.chosen.items())
        return listing or "the cost model's own"


MODEL = ScheduleChoices()


@dataclass(frozen=True, slots=True)
class Tuned:
    """What measuring the schedules of a kernel found. Times are in seconds.

    seconds         the least time of a launch with `choices`
    model_seconds   the least time with the cost model's own choices
    candidates      how many different schedules were measured
    threads         that could share the work
    """

    choices: ScheduleChoices
    seconds: float
    model_seconds: float
    candidates: int
    threads: int

    def to_json(self) -> bytes:
        """Return everything as JSON, to be kept on disk."""
        return json.dumps(asdict(self) | {"choices": self.choices.chosen}).encode()


def tuned_from_json(text: bytes) -> Tuned | None:
    """Return what `Tuned.to_json` wrote, or None for anything else."""
    try:
        found = json.loads(text)
        return Tuned(
            ScheduleChoices(**{name: _count(n) for name, n in found["choices"].items()}),
            _positive(found["seconds"]),
            _positive(found["model_seconds"]),
            _count(found["candidates"]),
            _count(found["threads"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _positive(value: Any) -> float:
    if not isinstance(value, float) or not value > 0:
        raise ValueError(f"{value!r} is no time")
    return value
