"""What training showed, an epoch after the other: figures by name, as data and as curves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from graphc.array_file import Path, replace_file
from graphc.errors import GraphcValueError
from graphc.frontend.operands import fail
from graphc.program import Program

__all__ = ["History"]

VALIDATION = "validation_"
TIMES = ("seconds", "samples_per_second")
_COLORS = {"": "#1f5f99", VALIDATION: "#b35900"}


class History:
    """The figures of each epoch: "loss" and each metric, the same with "validation_" before it.

    "seconds" and "samples_per_second" tell of the time, validation not counted. `program` is the
    compiled training step, and `stopped` says what ended training: "epochs", "callback: …" or
    "interrupt".

    >>> history = History([{"loss": 2.0}, {"loss": 1.0}])
    >>> history["loss"], len(history), history.last
    ([2.0, 1.0], 2, {'loss': 1.0})
    """

    def __init__(self, rows: list[dict[str, float]] | None = None) -> None:
        self.rows = rows if rows is not None else []
        self.stopped = "epochs"
        self.program: Program | None = None

    @property
    def names(self) -> list[str]:
        """The names of the figures, in order."""
        return list(self.rows[0]) if self.rows else []

    @property
    def last(self) -> dict[str, float]:
        """The figures of the last epoch."""
        if not self.rows:
            raise GraphcValueError("no epoch was completed")
        return self.rows[-1]

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.names:
            known = ", ".join(self.names) or "none: no epoch was completed"
            raise GraphcValueError(f"the history has no {name!r}", hint=f"it has {known}")
        return [row[name] for row in self.rows]

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def to_dict(self) -> dict[str, list[float]]:
        """Return a list of figures by name, an entry an epoch."""
        return {name: self[name] for name in self.names}

    def to_json(self, path: Path) -> None:
        """Write `to_dict()` to a file."""
        replace_file(path, (json.dumps(self.to_dict(), indent=1) + "\n").encode())

    def plot(self, path: Path) -> None:
        """Draw the curves into a file; the suffix says which kind: .svg, .png or .pdf.

        One picture for the loss and one for each metric, training and validation in each.
        """
        from matplotlib.figure import Figure  # heavy, and needed here alone

        shown = [n for n in self.names if not n.startswith(VALIDATION) and n not in _NOT_SHOWN]
        if not shown:
            raise GraphcValueError("there is nothing to plot: no epoch was completed")
        _check_suffix(path)
        figure = Figure(figsize=(4.5 * len(shown), 3.6), layout="constrained")
        grid = figure.subplots(1, len(shown), squeeze=False)
        for axes, name in zip(grid[0], shown, strict=True):
            self._draw(axes, name)
        save_figure(figure, path)

    def _draw(self, axes: Any, name: str) -> None:
        from matplotlib.ticker import MaxNLocator  # heavy, and needed here alone

        epochs = range(1, len(self) + 1)
        mark = {"marker": "o", "markersize": 3} if len(self) <= 40 else {}
        for prefix, label in (("", "training"), (VALIDATION, "validation")):
            if prefix + name in self:
                axes.plot(epochs, self[prefix + name], color=_COLORS[prefix], label=label, **mark)
        axes.set(title=name.replace("_", " "), xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if VALIDATION + name in self:
            axes.legend()

    def __repr__(self) -> str:
        figures = ", ".join(
            f"{name}={value:.4g}" for name, value in (self.rows or [{}])[-1].items()
        )
        return f"<history of {len(self)} epochs{': ' * bool(figures)}{figures}>"


_NOT_SHOWN = (*TIMES, "batches")


def _check_suffix(path: Path) -> None:
    """Raise GraphcValueError for a kind of picture that Matplotlib does not draw."""
    from matplotlib.backend_bases import FigureCanvasBase  # heavy, and needed here alone

    suffix = os.path.splitext(path)[1]
    if suffix.lower().removeprefix(".") not in FigureCanvasBase.get_supported_filetypes():
        fail(
            GraphcValueError,
            f"history.plot: {os.fspath(path)} ends in {suffix or 'no suffix'}, which says no kind "
            "of picture",
            hint="history.plot('curves.svg'), or .png or .pdf",
        )


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure of Matplotlib, the same curves to the same bytes."""
    import matplotlib as mpl  # heavy, and needed here alone

    metadata = {"Date": None} if str(path).endswith((".svg", ".svgz")) else {}
    with mpl.rc_context({"svg.hashsalt": "graphc"}):
        figure.savefig(path, metadata=metadata, dpi=120)
