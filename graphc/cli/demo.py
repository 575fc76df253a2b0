"""`graphc demo`: train a classifier of handwritten digits in native code, measure it and draw it.

The model is 64-256-128-10 with ReLU; the loss is the cross-entropy of labels smoothed by 0.1; the
optimiser is Adam. One training step, gradients and updates included, is one native call. The data
are 1,437 real digits for training and 360 held out (see `graphc.datasets`).
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.cli import UsageError
from graphc.datasets import Digits, load_digits
from graphc.training.history import save_figure

BATCH = 64
SMOOTHING = 0.1
LEARNING_RATE = 1e-3
REFERENCE_STEPS = 20


class Classifier(nn.Module):
    """Three linear layers with ReLU between them: (batch, 64) images to (batch, 10) logits."""

    def __init__(self, seed: int) -> None:
        self.hidden1 = nn.Linear(64, 256, seed=3 * seed, name="hidden1")
        self.hidden2 = nn.Linear(256, 128, seed=3 * seed + 1, name="hidden2")
        self.output = nn.Linear(128, 10, seed=3 * seed + 2, name="output")

    def forward(self, images: graphc.Tensor) -> graphc.Tensor:
        """Return the logits of the ten digits."""
        hidden = graphc.relu(self.hidden1(images))
        logits: graphc.Tensor = self.output(graphc.relu(self.hidden2(hidden)))
        return logits


@dataclass
class History:
    """What training showed, an entry an epoch."""

    loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    test_accuracy: list[float] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--epochs", type=int, default=40, help="passes over the data (40)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the batches (0)")
    parser.add_argument("--out", default="graphc-demo", help="directory of the pictures")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Train, measure, draw and report."""
    if options.epochs < 1 or options.seed < 0:
        raise UsageError("--epochs is at least 1 and --seed at least 0")
    out = writable_directory(options.out)
    report = Training(options.seed, options.epochs).report(out)
    if options.json:
        print(json.dumps(report))
    else:
        _print_report(report)
    return 0


def writable_directory(name: str) -> pathlib.Path:
    """Return the directory, made if need be; raises UsageError where nothing can be written."""
    path = pathlib.Path(name)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise UsageError(f"cannot write into --out {name}: {error.strerror}") from None


class Training:
    """One run: a model, its compiled step and predictor, and the data."""

    def __init__(self, seed: int, epochs: int) -> None:
        self.digits: Digits = load_digits()
        self.epochs, self.seed = epochs, seed
        self.model = Classifier(seed)
        self.step = make_step(self.model, "llvm")
        self.predict = graphc.compile(lambda images: graphc.argmax(self.model(images), axis=-1))
        self.history = History()

    def report(self, out: pathlib.Path) -> dict[str, Any]:
        """Train and return the figures; write the pictures into `out`."""
        first_call = self.first_call_seconds()
        rate = self.train()
        program = self.step.programs[0]
        files = self.draw(out)
        return {
            "accuracy": self.history.test_accuracy[-1],
            "first_call_seconds": first_call,
            "steps_per_second": rate,
            "reference_steps_per_second": self.reference_rate(),
            "kernels": len(program.kernels),
            "files": files,
        }

    def first_call_seconds(self) -> float:
        """Return the time from a Python function to the end of its first native step."""
        images, labels = self.digits.train_images[:BATCH], self.digits.train_labels[:BATCH]
        fresh = make_step(Classifier(self.seed), "llvm")
        start = time.perf_counter()
        fresh(images, labels)
        return time.perf_counter() - start

    def batches(self, epoch: int) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """Yield the whole batches of one epoch, in an order that the seed and the epoch fix."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.digits.train_labels))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            yield self.digits.train_images[chosen], self.digits.train_labels[chosen]

    def train(self) -> float:
        """Train all epochs and return the steps a second, evaluation not counted."""
        images, labels = next(self.batches(0))
        self.step.program(images, labels)  # compile, so that the rate is the rate of steps
        seconds, steps = 0.0, 0
        with _progress(self.epochs) as advance:
            for epoch in range(self.epochs):
                start = time.perf_counter()
                losses = [float(self.step(*batch)) for batch in self.batches(epoch)]
                seconds, steps = seconds + time.perf_counter() - start, steps + len(losses)
                self.record(float(np.mean(losses)))
                advance(self.history, steps / seconds)
        return steps / seconds

    def record(self, loss: float) -> None:
        """Add an epoch's figures to the history."""
        digits = self.digits
        self.history.loss.append(loss)
        self.history.train_accuracy.append(self.accuracy(digits.train_images, digits.train_labels))
        self.history.test_accuracy.append(self.accuracy(digits.test_images, digits.test_labels))

    def accuracy(self, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> float:
        """Return the share of images whose digit the model names."""
        return float(np.mean(self.predict(images) == labels))

    def reference_rate(self) -> float:
        """Return the steps a second of the same model on the reference backend, at its fastest."""
        step = make_step(Classifier(self.seed), "reference")
        images, labels = next(self.batches(0))
        seconds = []
        for _ in range(REFERENCE_STEPS):
            start = time.perf_counter()
            step(images, labels)
            seconds.append(time.perf_counter() - start)
        return 1 / min(seconds)

    def draw(self, out: pathlib.Path) -> list[str]:
        """Draw the graphs and the curves; return the files."""
        curves = out / "training.svg"
        draw_history(self.history, curves)
        return [str(path) for path in (*self.draw_graphs(out), curves)]

    def draw_graphs(self, out: pathlib.Path) -> list[pathlib.Path]:
        """Draw the forward graph and the training step; return the files."""
        forward, step = out / "graph.svg", out / "step.svg"
        images = graphc.input((BATCH, 64), name="images")
        graphc.compile([self.model(images)], inputs=[images]).draw(forward)
        self.step.programs[0].draw(step)
        return [forward, step]


def make_step(model: Classifier, backend: Any) -> Any:
    """Return the compiled training step of `model`: (images, labels) to the loss."""
    optimizer = optim.Adam(LEARNING_RATE)

    @graphc.compile(backend=backend)
    def train_step(images: graphc.Tensor, labels: graphc.Tensor) -> graphc.Tensor:
        targets = graphc.one_hot(labels, 10) * (1 - SMOOTHING) + SMOOTHING / 10
        loss = nn.cross_entropy(model(images), targets)
        optimizer.minimize(loss, model.parameters())
        return loss

    return train_step


def draw_history(history: History, path: pathlib.Path) -> None:
    """Write the curves of loss and accuracy as SVG."""
    from matplotlib.figure import Figure  # heavy, and needed here alone
    from matplotlib.ticker import MaxNLocator  # heavy, and needed here alone

    epochs = range(1, len(history.loss) + 1)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    mark = {"marker": "o", "markersize": 3}  # a run of one epoch is a point, and no line
    left.plot(epochs, history.loss, color="#1f5f99", **mark)
    left.set(title="training loss", xlabel="epoch", ylabel="cross-entropy")
    right.plot(epochs, history.train_accuracy, color="#b35900", label="training", **mark)
    right.plot(epochs, history.test_accuracy, color="#2e7d32", label="held out", **mark)
    lowest = min(0.9, *history.train_accuracy, *history.test_accuracy)
    right.set(title="accuracy", xlabel="epoch", ylim=(lowest - 0.002, 1.002))
    right.legend(loc="lower right")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    save_figure(figure, path)


@contextmanager
def _progress(epochs: int) -> Iterator[Callable[[History, float], None]]:
    """Show a bar on stderr while it is a terminal.

    Yields a function that takes the history and the steps a second after each epoch.
    """
    if not sys.stderr.isatty():
        yield lambda _history, _rate: None
        return
    from rich import progress  # needed on a terminal alone
    from rich.console import Console  # needed on a terminal alone

    columns = ("training", progress.BarColumn(), progress.MofNCompleteColumn())
    figures = progress.TextColumn("{task.description}")
    with progress.Progress(
        *columns, figures, progress.TimeRemainingColumn(), console=Console(stderr=True)
    ) as bar:
        task = bar.add_task("", total=epochs)

        def advance(history: History, rate: float) -> None:
            accuracy = f"held-out accuracy {history.test_accuracy[-1]:.3f}"
            text = f"{rate:.0f} steps/s  loss {history.loss[-1]:.4f}  {accuracy}"
            bar.update(task, advance=1, description=text)

        yield advance


def _print_report(report: dict[str, Any]) -> None:
    ratio = report["steps_per_second"] / report["reference_steps_per_second"]
    print(f"held-out accuracy      {report['accuracy']:.4f}")
    print(f"first call (compile)   {report['first_call_seconds'] * 1e3:.0f} ms")
    print(f"training               {report['steps_per_second']:.0f} steps/s of {BATCH} images")
    print(f"reference backend      {report['reference_steps_per_second']:.0f} steps/s")
    print(f"native is faster by    {ratio:.1f} times")
    print(f"kernels of one step    {report['kernels']}")
    for path in report["files"]:
        print(f"wrote                  {path}")
