"""What the networks of the zoo share: how one is declared, found and run, and what it may draw.

    @network("held-out accuracy", at_least=0.95, quick=0.8, peer=0.96)
    def train(lesson): …                    returns the value of the metric

The bar is what a full run must reach, with every seed; a shortened one (`--quick`) must reach
`quick`. `peer` is what another library reaches on the same data with seed 0, measured by
`python -m benchmarks.zoo_peers NAME`. The docstring of a network says what its bar follows from:
the peer, or what is known of the task; docs/zoo.md has the values of several seeds. A lesson tells
the network its seed and whether to be quick, and takes its diagrams, pictures and tables.
"""

from __future__ import annotations

import importlib
import pathlib
import pkgutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import graphc
from graphc import nn
from graphc.errors import GraphcValueError
from graphc.training.history import History, save_figure

__all__ = ["Lesson", "Network", "Report", "draw_lines", "find", "names", "network"]

T = TypeVar("T")


@dataclass
class Lesson:
    """One run of a network: its seed, whether it is shortened, and where its pictures go."""

    out: pathlib.Path
    seed: int = 0
    is_quick: bool = False
    verbose: bool | None = None
    files: list[str] = field(default_factory=list)

    def choose(self, full: T, quick: T) -> T:
        """Return `full`, or `quick` in a shortened run."""
        return quick if self.is_quick else full

    def path(self, name: str) -> pathlib.Path:
        """Return the place of a file that is about to be written."""
        self.out.mkdir(parents=True, exist_ok=True)
        if str(self.out / name) not in self.files:
            self.files.append(str(self.out / name))
        return self.out / name

    def tell(self, name: str, text: str) -> None:
        """Write a text, which is printed too."""
        self.path(name).write_text(text.rstrip("\n") + "\n", "utf-8")

    def compare(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Tell a table: a line for each of the things compared, and a column for each figure."""
        titles = ["", *next(iter(rows.values()))]
        lines = [[name, *map(_figure, figures.values())] for name, figures in rows.items()]
        widths = [max(map(len, column)) for column in zip(titles, *lines, strict=True)]
        self.tell(
            "comparison.txt",
            "\n".join(
                f"{first:<{widths[0]}}  "
                + "  ".join(f"{x:>{w}}" for x, w in zip(rest, widths[1:], strict=True))
                for first, *rest in [titles, *lines]
            ),
        )

    def draw_forward(self, function: Callable[..., Any], *examples: Any) -> None:
        """Draw the graph of a model, or of a function, called on `examples`: arrays or types."""
        traced = function.forward if isinstance(function, nn.Module) else function
        graphc.compile(traced).program(*examples).draw(self.path("forward.svg"))

    def draw_step(self, step: graphc.Program | None) -> None:
        """Draw the training step, as it was compiled."""
        if step is not None:
            step.draw(self.path("step.svg"))

    def draw(self, model: nn.Module, history: History, *examples: Any) -> None:
        """Draw the model, the training step, and the curves."""
        self.draw_forward(model, *examples)
        self.draw_step(history.program)
        history.plot(self.path("curves.svg"))

    def curves(
        self,
        name: str,
        ylabel: str,
        lines: Mapping[str, Any],
        xlabel: str = "epoch",
        **settings: Any,
    ) -> None:
        """Draw figures of several things over epochs, which are counted from 1."""
        with self.figure(name) as axes:
            draw_lines(axes, lines, xlabel=xlabel, ylabel=ylabel, **settings)

    @contextmanager
    def figure(
        self, name: str, rows: int = 1, columns: int = 1, size: tuple[float, float] = (4.5, 3.6)
    ) -> Iterator[Any]:
        """Yield the axes of a picture, one or an array of them, and write it to `name`."""
        from matplotlib.figure import Figure  # heavy, and needed here alone

        shape = (size[0] * columns, size[1] * rows)
        figure = Figure(figsize=shape, layout="constrained")
        yield figure.subplots(rows, columns)
        save_figure(figure, self.path(name))

    def show_images(self, name: str, rows: list[tuple[str, Any]]) -> None:
        """Write a picture of rows of grey images, a title before each row."""
        columns = len(rows[0][1])
        with self.figure(name, len(rows), columns, size=(0.9, 0.9)) as axes:
            for line, (title, images) in zip(axes.reshape(len(rows), columns), rows, strict=True):
                for place, image in zip(line, images, strict=True):
                    place.imshow(image, cmap="gray")
                    place.set(xticks=[], yticks=[])
                line[0].set_ylabel(title, fontsize=7)


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def draw_lines(axes: Any, lines: Mapping[str, Any], **settings: Any) -> None:
    """Draw lines over 1, 2, …, with their names and a grid."""
    for name, values in lines.items():
        mark = {"marker": "o", "markersize": 3} if len(values) <= 40 else {}
        axes.plot(range(1, len(values) + 1), values, label=name, **mark)
    axes.set(**settings)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()


@dataclass(frozen=True)
class Report:
    """What a run of a network came to; it has no value where an error ended it."""

    name: str
    metric: str
    value: float | None
    bar: float
    passed: bool
    seconds: float
    peer_value: float | None
    files: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {name: value for name, value in vars(self).items() if name != "files"}


@dataclass(frozen=True)
class Network:
    """A network of the zoo. `is_less_better` tells of errors, which must stay below the bar."""

    name: str
    title: str
    metric: str
    bar: float
    quick_bar: float
    is_less_better: bool
    peer: float | None
    train: Callable[[Lesson], float]

    def run(self, lesson: Lesson) -> Report:
        """Train, and hold the result against the bar."""
        start = time.perf_counter()
        value = float(self.train(lesson))
        bar = lesson.choose(self.bar, self.quick_bar)
        seconds = round(time.perf_counter() - start, 2)
        files, passed = tuple(lesson.files), self.passes(value, bar)
        return Report(self.name, self.metric, value, bar, passed, seconds, self.peer, files)

    def passes(self, value: float, bar: float) -> bool:
        """Return whether a value reaches a bar."""
        return value <= bar if self.is_less_better else value >= bar


def network(
    metric: str,
    *,
    quick: float,
    at_least: float | None = None,
    at_most: float | None = None,
    peer: float | None = None,
) -> Callable[[Callable[[Lesson], float]], Network]:
    """Declare the network of a file by its training function, which returns the metric's value."""
    bar = at_least if at_least is not None else at_most
    if bar is None or (at_least is not None and at_most is not None):
        raise GraphcValueError("a network has one bar: at_least or at_most")

    def declare(train: Callable[[Lesson], float]) -> Network:
        module = importlib.import_module(train.__module__)
        name = train.__module__.rpartition(".")[2]
        title = (module.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        return Network(name, title, metric, bar, quick, at_most is not None, peer, train)

    return declare


def names() -> list[str]:
    """Return the names of the networks: the files of the package."""
    package = importlib.import_module("graphc.zoo")
    found = pkgutil.iter_modules(package.__path__)
    return sorted(module.name for module in found if not module.ispkg)


def find(name: str) -> Network:
    """Return the network of this name, in which `-` stands for `_` too.

    Raises GraphcValueError where there is none.
    """
    wanted = name.replace("-", "_")
    if wanted not in names():
        raise GraphcValueError(f"the zoo has no {name!r}", hint="graphc zoo lists its networks")
    found: Network = importlib.import_module(f"graphc.zoo.{wanted}").train
    return found
