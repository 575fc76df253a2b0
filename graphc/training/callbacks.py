"""Callbacks: what else happens while a model is trained.

A callback may look at the run (its model, optimiser and history) and stop it. It can be called
twice for the end of one epoch, where training was interrupted just then and goes on later; so what
it decides should follow from the history and from what it gives to a checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend.operands import fail

if TYPE_CHECKING:
    from graphc.training.loop import Run

__all__ = ["Callback", "EarlyStopping", "FunctionCallback", "as_callbacks"]


class Callback:
    """The base of callbacks, which do nothing; a subclass overrides what it needs."""

    def begin(self, run: Run) -> None:
        """Act before the first batch; of a resumed run the history is that from before."""

    def batch_end(self, run: Run) -> None:
        """Act after each batch."""

    def epoch_end(self, run: Run) -> None:
        """Act after each epoch, whose figures are `run.history.last`."""

    def end(self, run: Run) -> None:
        """Act when training has ended."""

    def failed(self, run: Run) -> None:
        """Act when a loss or weights that turned NaN or infinite end training with an error."""

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return what a checkpoint keeps of the callback."""
        return {}

    def restore(self, state: dict[str, np.ndarray[Any, Any]]) -> None:
        """Take back what `state` gave."""


class FunctionCallback(Callback):
    """A function of the run, called after each epoch."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def epoch_end(self, run: Run) -> None:
        """Call the function."""
        self.function(run)


def as_callbacks(given: Any) -> list[Callback]:
    """Return callbacks as a list; one alone, or a function, is a list of one."""
    if isinstance(given, Callback) or callable(given) or not isinstance(given, Iterable):
        given = [given]
    return [_as_callback(callback) for callback in given]


def _as_callback(given: Any) -> Callback:
    """Return a callback, or a function as one; raises GraphcTypeError for anything else."""
    if isinstance(given, Callback):
        return given
    if callable(given) and not isinstance(given, type):
        return FunctionCallback(given)
    fail(
        GraphcTypeError,
        f"a callback is a Callback or a function of the run, not {given!r}",
        hint="callbacks=[graphc.training.EarlyStopping(patience=3)]",
    )


class EarlyStopping(Callback):
    """Stop when a figure has not improved for `patience` epochs, and go back to the best weights.

    monitor         a figure of the history; by default "validation_loss", or "loss" without one
    minimum_change  less than that is no improvement
    maximise        True for accuracies and the like; by default told from the name: figures
                    that end in "accuracy" are to be large
    restore_best    give the model the weights of the best epoch when training ends, also with a
                    NumericsError

    `best_epoch` counts from 1. NaN never improves.
    """

    def __init__(
        self,
        monitor: str | None = None,
        patience: int = 5,
        *,
        minimum_change: float = 0.0,
        maximise: bool | None = None,
        restore_best: bool = True,
    ) -> None:
        if monitor is not None and not isinstance(monitor, str):
            fail(GraphcTypeError, f"monitor is the name of a figure, not {monitor!r}")
        if patience < 1:
            raise GraphcValueError(f"patience is an integer of at least 1, not {patience!r}")
        if not minimum_change >= 0:
            raise GraphcValueError(f"minimum_change is not negative, not {minimum_change!r}")
        self.monitor, self.patience, self.minimum_change = monitor, patience, minimum_change
        self.maximise, self.restore_best = maximise, restore_best
        self.best_epoch = 0
        self._best_weights: dict[str, np.ndarray[Any, Any]] = {}

    def begin(self, run: Run) -> None:
        """Look at the history of a resumed run; raises GraphcValueError for an unknown figure."""
        known = run.figure_names
        may_get_more = any(not isinstance(other, EarlyStopping) for other in run.callbacks)
        if self.monitor and self.monitor not in known and not may_get_more:
            fail(
                GraphcValueError,
                f"EarlyStopping: the history will have no {self.monitor!r}",
                hint=f"it will have {', '.join(known)}",
            )
        if not len(run.history):
            self.best_epoch, self._best_weights = 0, {}
            return
        self._look(run)

    def epoch_end(self, run: Run) -> None:
        """Keep the weights if they are the best, or stop."""
        self._look(run)
        if self.restore_best and self.best_epoch == len(run.history):
            self._best_weights = run.model.state_dict()

    def end(self, run: Run) -> None:
        """Give the model its best weights back."""
        if self._best_weights:
            run.model.load_state_dict(self._best_weights)

    def failed(self, run: Run) -> None:
        """Give the model its best weights back."""
        self.end(run)

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the best weights."""
        return self._best_weights

    def restore(self, state: dict[str, np.ndarray[Any, Any]]) -> None:
        """Take the best weights back."""
        self._best_weights = dict(state)

    def _look(self, run: Run) -> None:
        """Find the best epoch of the history."""
        default = "validation_loss" if "validation_loss" in run.history else "loss"
        name = self.monitor or default
        is_greater = name.endswith("accuracy") if self.maximise is None else self.maximise
        best, self.best_epoch = -math.inf, 0
        for epoch, value in enumerate(run.history[name], 1):
            score = value if is_greater else -value
            if score > best + (self.minimum_change if self.best_epoch else 0.0):
                best, self.best_epoch = score, epoch
        if len(run.history) - self.best_epoch >= self.patience:
            run.stop(f"early: {name} was best in epoch {self.best_epoch}")
