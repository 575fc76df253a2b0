"""What a user sees while a model is trained: on stderr, a bar on a terminal, or a line an epoch."""

from __future__ import annotations

import sys
import time
from typing import Any

from graphc.training.history import TIMES

__all__ = ["Display", "make_display"]

SECONDS_BETWEEN = 0.1  # two looks at the figures


class Display:
    """Shows nothing."""

    def begin_epoch(self, epoch: int, epochs: int, batches: int | None, done: int) -> None:
        """Say that an epoch begins, counted from 1, of which `done` batches are done."""

    def is_due(self) -> bool:
        """Return whether the figures of a batch are to be shown now."""
        return False

    def batch_end(self, done: int, figures: dict[str, float], rate: float) -> None:
        """Show the figures so far."""

    def epoch_end(self, epoch: int, epochs: int, figures: dict[str, float]) -> None:
        """Show the figures of a whole epoch."""

    def close(self) -> None:
        """End."""


def make_display(verbose: bool | None) -> Display:
    """Return the bar on a terminal, lines where they are asked for, and else nothing."""
    if verbose is False:
        return Display()
    if sys.stderr.isatty():
        return BarDisplay()
    return LineDisplay() if verbose else Display()


def figures_text(figures: dict[str, float]) -> str:
    """Return figures as text: `loss 0.1234  accuracy 0.987`."""
    shown = {n: v for n, v in figures.items() if n not in TIMES}
    return "  ".join(f"{n.replace('_', ' ')} {v:.4g}" for n, v in shown.items())


def _epoch_text(epoch: int, epochs: int, figures: dict[str, float]) -> str:
    rate = f"  {figures['samples_per_second']:,.0f} samples/s"
    return f"epoch {epoch}/{epochs}  {figures_text(figures)}{rate}"


class LineDisplay(Display):
    """Prints a line after each epoch."""

    def epoch_end(self, epoch: int, epochs: int, figures: dict[str, float]) -> None:
        """Print the line."""
        print(_epoch_text(epoch, epochs, figures), file=sys.stderr, flush=True)


class BarDisplay(Display):
    """A bar for the batches of the epoch, and a line for each epoch that is done."""

    def __init__(self) -> None:
        from rich import progress  # needed on a terminal alone
        from rich.console import Console  # needed on a terminal alone

        self._progress = progress.Progress(
            progress.TextColumn("{task.fields[title]}"),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.description}"),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: Any = None
        self._next = 0.0
        self._progress.start()

    def begin_epoch(self, epoch: int, epochs: int, batches: int | None, done: int) -> None:
        """Begin a new bar."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        title = f"epoch {epoch}/{epochs}"
        self._task = self._progress.add_task("", total=batches, completed=done, title=title)

    def is_due(self) -> bool:
        """Return whether the last look is long enough ago."""
        return time.perf_counter() >= self._next

    def batch_end(self, done: int, figures: dict[str, float], rate: float) -> None:
        """Move the bar."""
        self._next = time.perf_counter() + SECONDS_BETWEEN
        text = f"{figures_text(figures)}  {rate:,.0f} samples/s"
        self._progress.update(self._task, completed=done, description=text)

    def epoch_end(self, epoch: int, epochs: int, figures: dict[str, float]) -> None:
        """Print the line above the bar."""
        self._progress.console.print(_epoch_text(epoch, epochs, figures), highlight=False)

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()
