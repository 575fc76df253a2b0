"""The loop of training: epochs of batches, figures, callbacks, checkpoints, and how it ends.

Where a run is follows from three things that a checkpoint holds: the number of batches, which the
compiled step counts; `epoch_starts`, that number at the start of each epoch; and the history. An
epoch counts as done in the moment when its entry in `epoch_starts` is made, after its callbacks.
Whatever is interrupted before that is done again, with the same result.

The loss of each batch is looked at, the weights after each epoch and before each checkpoint: a look
at them after each batch would cost small steps a good part of their time.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.errors import NumericsError
from graphc.frontend.nn import Module
from graphc.frontend.optim import Optimiser
from graphc.frontend.structures import flatten
from graphc.numerics_check import Health, health
from graphc.saving import OPTIMIZER
from graphc.source import user_line
from graphc.state import STATE_LOCK
from graphc.training import modes
from graphc.training.batches import Batches
from graphc.training.callbacks import Callback
from graphc.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from graphc.training.display import Display
from graphc.training.history import TIMES, VALIDATION, History
from graphc.training.steps import LOSS, Steps

CURES = (
    "fit(…, check_numerics=True) names the batch and the operation; a lower learning rate or "
    "clipped gradients are the usual cures"
)

__all__ = ["Run", "TrainingInterrupted", "evaluate_batches"]


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C while a model was trained. Nothing is lost: the model has the weights of the last
    whole batch, `history` the epochs that were completed, and the checkpoint, if there is one, was
    written, so that `resume=True` goes on to the same bits."""

    def __init__(self, history: History) -> None:
        super().__init__(f"training was interrupted after {len(history)} epochs")
        self.history = history


class Run:
    """One training run. Callbacks look at `model`, `optimizer` and `history`, and may `stop` it."""

    def __init__(
        self,
        model: Module,
        optimizer: Optimiser,
        steps: Steps,
        batches: tuple[Batches, Batches | None],
        epochs: int,
        callbacks: list[Callback],
        settings: dict[str, Any],
    ) -> None:
        self.model, self.optimizer, self.steps, self.epochs = model, optimizer, steps, epochs
        self.callbacks, self.settings = callbacks, settings
        self.history = History()
        self.epoch_starts = [0]
        self.seconds = 0.0  # of training in this epoch
        self._training, self._validation = batches
        self._reason = ""
        self._watched = {
            name: variable
            for name, variable in model.named_variables()
            if variable.dtype.is_float and health(variable.value) is Health.FINITE
        }

    def stop(self, reason: str) -> None:
        """End training after this epoch; `history.stopped` gives the reason."""
        self._reason = reason

    @property
    def epoch(self) -> int:
        """The epoch that is being trained, counted from 0."""
        return len(self.epoch_starts) - 1

    @property
    def batch(self) -> int:
        """How many batches of this epoch are done."""
        return int(self.steps.batch_count.value) - self.epoch_starts[-1]

    @property
    def figure_names(self) -> list[str]:
        """The figures that an epoch will have, but for those of callbacks."""
        names = list(self.steps.sums)
        held_out = [VALIDATION + name for name in names if self._validation is not None]
        return [*names, *held_out, *TIMES]

    def check_finite(self, arrays: Mapping[str, np.ndarray[Any, Any]] | None = None) -> None:
        """Raise NumericsError where the model's variables, or `arrays`, turned NaN or infinite.

        What the model held of such values before the run is its own affair.
        """
        if arrays is None:
            with STATE_LOCK:
                kinds = {name: health(v.state.host()) for name, v in self._watched.items()}
        else:
            judged = (n for n in arrays if n in self._watched or n.startswith(OPTIMIZER))
            kinds = {name: health(arrays[name]) for name in judged}
        for name, kind in kinds.items():
            if kind is not Health.FINITE:
                raise NumericsError(
                    f"{name} is {kind.text} after epoch {self.epoch + 1}, batch {self.batch}, "
                    "though the losses were finite",
                    hint=f"the gradient of a batch was not finite: {CURES}",
                    line=str(user_line() or ""),
                )

    def execute(self, display: Display, checkpoint: Checkpoint | None, resume: bool) -> History:
        """Train until the last epoch, a callback's stop, an error or Ctrl-C."""
        try:
            if resume and checkpoint is not None and os.path.exists(checkpoint.path):
                read_checkpoint(checkpoint.path, self)
            with modes.training(self.model):
                self._train_epochs(display, checkpoint)
            for callback in self.callbacks:
                callback.end(self)
        except NumericsError:
            for callback in self.callbacks:
                callback.failed(self)
            raise
        except KeyboardInterrupt:
            self._drop_unfinished_epoch()
            self.history.stopped = "interrupt"
            raise TrainingInterrupted(self.history) from None
        finally:
            display.close()
        self.history.stopped = self._reason or "epochs"
        return self.history

    def _train_epochs(self, display: Display, checkpoint: Checkpoint | None) -> None:
        """Train; an interrupt writes a checkpoint, for which only here all state fits together."""
        try:
            for callback in self.callbacks:
                callback.begin(self)
            while self.epoch < self.epochs and not self._reason:
                self._train_epoch(display, checkpoint)
        except KeyboardInterrupt:
            self._drop_unfinished_epoch()
            if checkpoint is not None:
                write_checkpoint(checkpoint.path, self)
            raise

    def _drop_unfinished_epoch(self) -> None:
        del self.history.rows[self.epoch :]

    def _train_epoch(self, display: Display, checkpoint: Checkpoint | None) -> None:
        epoch, done = self.epoch, self.batch
        if not done:
            self.steps.begin_epoch()
            self.seconds = 0.0
        display.begin_epoch(epoch + 1, self.epochs, self._training.batches, done)
        for batch in self._training.epoch(epoch, done):
            done += 1
            self._train_batch(batch, epoch, done)
            if display.is_due():
                figures = self.steps.means()
                display.batch_end(done, figures, self._rate())
            for callback in self.callbacks:
                callback.batch_end(self)
            every = checkpoint.every_batches if checkpoint is not None else None
            if checkpoint is not None and every is not None and done % every == 0:
                write_checkpoint(checkpoint.path, self)
        self.check_finite()
        self._end_epoch(display)
        if checkpoint is not None:
            write_checkpoint(checkpoint.path, self)

    def _train_batch(self, batch: Any, epoch: int, number: int) -> None:
        start, compiling = time.perf_counter(), self.steps.compile_seconds
        try:
            loss = self.steps.train(batch, self.optimizer)
        except NumericsError as error:
            raise _placed(error, epoch + 1, number) from None
        self.history.program = self.steps.program
        spent = time.perf_counter() - start - (self.steps.compile_seconds - compiling)
        self.seconds += spent
        if not math.isfinite(loss):
            raise NumericsError(
                f"the {LOSS} is {loss} in epoch {epoch + 1}, batch {number}",
                notes=_suspects(batch, number),
                hint=CURES,
                line=str(user_line() or ""),
            )

    def _end_epoch(self, display: Display) -> None:
        row = {**self.steps.means(), **self._validate()}
        row |= {"seconds": self.seconds, "samples_per_second": self._rate()}
        self._drop_unfinished_epoch()
        self.history.rows.append(row)
        for callback in self.callbacks:
            callback.epoch_end(self)
        display.epoch_end(self.epoch + 1, self.epochs, row)
        self.epoch_starts.append(int(self.steps.batch_count.value))

    def _validate(self) -> dict[str, float]:
        if self._validation is None:
            return {}
        figures = evaluate_batches(self.steps, self._validation, self.epoch)
        return {VALIDATION + name: value for name, value in figures.items()}

    def _rate(self) -> float:
        return float(self.steps.sample_count.value) / self.seconds if self.seconds else 0.0


def evaluate_batches(steps: Steps, batches: Batches, epoch: int = 0) -> dict[str, float]:
    """Return the figures over all samples of `batches`."""
    totals = dict.fromkeys(steps.sums, 0.0)
    samples = 0
    with modes.evaluating(steps.model):
        for batch in batches.epoch(epoch):
            figures, count = steps.evaluate(batch)
            samples += count
            for name, value in figures.items():
                totals[name] += value * count
    return {name: total / samples for name, total in totals.items()}


def _suspects(batch: Any, number: int) -> tuple[str, ...]:
    """Return what may have made the loss of a batch NaN or infinite, as far as one can see."""
    worst = max((health(np.asarray(leaf)) for leaf in flatten(batch)[0]), default=Health.FINITE)
    if worst is not Health.FINITE:
        return (f"this batch holds values that are {worst.text}",)
    if number == 1:
        return ()
    return (f"the gradient of batch {number - 1} may have spoiled the weights",)


def _placed(error: NumericsError, epoch: int, batch: int) -> NumericsError:
    """Return the error with the place in the data."""
    message = f"in epoch {epoch}, batch {batch}: {error.message}"
    placed = NumericsError(message, notes=error.notes, hint=error.hint, line=error.line)
    placed.op = error.op
    return placed
