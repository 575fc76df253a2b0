"""Checkpoints: all that a training run needs to go on, in one file that is never half written.

A checkpoint holds the weights, the optimiser's state, the counters and sums of the epoch, what
callbacks ask to keep, the history, and the settings that fix the batches. A run that goes on from
it gives the same bits as one that was never interrupted. State that turned NaN or infinite is not
written: the file from before stays.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphc.array_file import Path, read_arrays, write_arrays
from graphc.errors import DamagedFileError, GraphcTypeError, GraphcValueError
from graphc.frontend.nn.state_dicts import load as load_values
from graphc.frontend.nn.state_dicts import values
from graphc.frontend.operands import fail
from graphc.saving import (
    CALLBACK,
    CHECKPOINT_FORMAT,
    COUNTERS,
    OF_A_RUN,
    check_free,
    restore,
    state_of,
)

if TYPE_CHECKING:
    from graphc.training.loop import Run

__all__ = ["Checkpoint", "as_checkpoint", "read_checkpoint", "write_checkpoint"]

TOLD = ("settings", "history", "starts", "seconds", "callbacks")  # metadata in JSON
ANEW = "resume=False starts anew"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where to keep a training run, and how often: after each epoch, and every so many batches."""

    path: Path
    every_batches: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | os.PathLike):
            raise GraphcTypeError(f"a checkpoint's path is a text or a path, not {self.path!r}")
        if self.every_batches is not None and self.every_batches < 1:
            raise GraphcValueError(f"every_batches is at least 1, not {self.every_batches}")


def as_checkpoint(given: Checkpoint | Path | None) -> Checkpoint | None:
    """Return what `given` says; a path alone means after each epoch."""
    return given if given is None or isinstance(given, Checkpoint) else Checkpoint(given)


def write_checkpoint(path: Path, run: Run) -> None:
    """Write the run as it is now.

    Raises NumericsError where its state turned NaN or infinite, and UnwritableFileError.
    """
    arrays, metadata = state_of(run.model, run.optimizer)
    run.check_finite(arrays)
    check_free(arrays, OF_A_RUN, "those of checkpoints")
    arrays |= {COUNTERS + name: a for name, a in values(run.steps.counters.items()).items()}
    for place, callback in enumerate(run.callbacks):
        arrays |= {f"{CALLBACK}{place}/{name}": a for name, a in callback.state().items()}
    names = [type(callback).__name__ for callback in run.callbacks]
    told = (run.settings, run.history.rows, run.epoch_starts, run.seconds, names)
    metadata |= {name: json.dumps(value) for name, value in zip(TOLD, told, strict=True)}
    metadata["format"] = CHECKPOINT_FORMAT
    write_arrays(path, arrays, metadata)


def read_checkpoint(path: Path, run: Run) -> None:
    """Bring `run` to where it was when the checkpoint was written.

    Raises DamagedFileError for a file that is no checkpoint, and GraphcValueError for one of
    another model, optimiser, data or settings.
    """
    source = os.fspath(path)
    arrays, metadata = read_arrays(path)
    if metadata.get("format") != CHECKPOINT_FORMAT:
        raise DamagedFileError(f"{source} is no checkpoint of graphc.fit")
    told = {name: json.loads(metadata.get(name, "[]")) for name in TOLD}
    _check_settings(source, told["settings"], run.settings)
    parts: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        owner, inner = name.split("/", 1) if OF_A_RUN.match(name) else ("", name)
        parts.setdefault(owner, {})[inner] = array
    model, counters = parts.pop("", {}), parts.pop(COUNTERS.rstrip("/"), {})
    _check_callbacks(source, parts, told["callbacks"], run)
    hint = f"the checkpoint is that of another model, or of other settings of it; {ANEW}"
    restore(model, metadata, run.model, run.optimizer, source=source, hint=hint)
    load_values(run.steps.counters, counters, source=source, hint=hint)
    for place, callback in enumerate(run.callbacks):
        callback.restore(parts.get(f"{CALLBACK}{place}", {}))
    run.history.rows[:], run.epoch_starts[:] = told["history"], told["starts"]
    run.seconds = told["seconds"]


def _check_callbacks(source: str, kept: Iterable[str], then: list[str], run: Run) -> None:
    """Raise where a callback that the checkpoint keeps something of is not in its place."""
    now = [type(callback).__name__ for callback in run.callbacks]
    for owner in kept:
        place = int(owner.removeprefix(CALLBACK))
        name = then[place] if place < len(then) else "a callback"
        if place >= len(now) or (place < len(then) and now[place] != name):
            fail(
                GraphcValueError,
                f"{source} keeps the state of {name}, callback {place} of that run; this run has "
                f"{', '.join(now) or 'no callbacks'}",
                hint=f"pass the same callbacks, in the same order; {ANEW}",
            )


def _check_settings(source: str, then: dict[str, Any], now: dict[str, Any]) -> None:
    differing = [
        f"{name} was {then.get(name)} and is {now.get(name)}"
        for name in {**then, **now}
        if then.get(name) != now.get(name)
    ]
    if differing:
        fail(
            GraphcValueError,
            f"{source} is the checkpoint of another run: {'; '.join(differing)}",
            hint=ANEW,
        )
