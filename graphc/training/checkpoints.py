"""Checkpoints: all that a training run needs to go on, in one file that is never half written.

A checkpoint holds the weights, the optimiser's state, the counters and sums of the epoch, what
callbacks ask to keep, the history, and the settings that fix the batches. A run that goes on from
it gives the same bits as one that was never interrupted.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphc.array_file import Path, read_arrays, write_arrays
from graphc.errors import DamagedFileError, GraphcTypeError, GraphcValueError
from graphc.frontend.nn.state_dicts import load as load_values
from graphc.frontend.nn.state_dicts import values
from graphc.saving import restore, state_of

if TYPE_CHECKING:
    from graphc.training.loop import Run

__all__ = ["Checkpoint", "as_checkpoint", "read_checkpoint", "write_checkpoint"]

FORMAT = "graphc checkpoint 1"
TOLD = ("settings", "history", "starts", "seconds")  # metadata in JSON
COUNTERS = "fit/"
CALLBACK = "callback"


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
    """Write the run as it is now."""
    arrays, metadata = state_of(run.model, run.optimizer)
    arrays |= {COUNTERS + name: a for name, a in values(run.steps.counters.items()).items()}
    for place, callback in enumerate(run.callbacks):
        arrays |= {f"{CALLBACK}{place}/{name}": a for name, a in callback.state().items()}
    told = (run.settings, run.history.rows, run.epoch_starts, run.seconds)
    metadata |= {name: json.dumps(value) for name, value in zip(TOLD, told, strict=True)}
    metadata["format"] = FORMAT
    write_arrays(path, arrays, metadata)


def read_checkpoint(path: Path, run: Run) -> None:
    """Bring `run` to where it was when the checkpoint was written.

    Raises DamagedFileError for a file that is no checkpoint, and GraphcValueError for one of
    another model, optimiser, data or settings.
    """
    source = os.fspath(path)
    arrays, metadata = read_arrays(path)
    if metadata.get("format") != FORMAT:
        raise DamagedFileError(f"{source} is no checkpoint of graphc.fit")
    told = {name: json.loads(metadata[name]) for name in TOLD}
    _check_settings(source, told["settings"], run.settings)
    callbacks: list[dict[str, Any]] = [{} for _ in run.callbacks]
    counters, rest = {}, {}
    for name, array in arrays.items():
        owner, _, inner = name.partition("/")
        if name.startswith(COUNTERS):
            counters[inner] = array
        elif owner in (known := [f"{CALLBACK}{place}" for place in range(len(callbacks))]):
            callbacks[known.index(owner)][inner] = array
        else:
            rest[name] = array
    restore(rest, metadata, run.model, run.optimizer, source=source)
    load_values(run.steps.counters, counters, source=source)
    for callback, state in zip(run.callbacks, callbacks, strict=True):
        callback.restore(state)
    run.history.rows[:], run.epoch_starts[:] = told["history"], told["starts"]
    run.seconds = told["seconds"]


def _check_settings(source: str, then: dict[str, Any], now: dict[str, Any]) -> None:
    differing = [
        f"{name} was {then.get(name)} and is {now.get(name)}"
        for name in {**then, **now}
        if then.get(name) != now.get(name)
    ]
    if differing:
        raise GraphcValueError(
            f"{source} is the checkpoint of another run: {'; '.join(differing)}",
            hint="resume=False starts anew",
        )
