"""The compiled programs of training: the step, with its figures, and the evaluation of a batch.

One training step is one program: the model, the loss, the metrics, the gradients, the updates, and
the counting. How many batches were trained on, and the sums of the figures over the epoch, are
variables that the step itself updates, in one go with the weights. So whenever Python is
interrupted, between any two of its instructions, weights and counters belong together.

    batch ::= (inputs, *targets) | inputs
    loss(outputs, *targets) gives a scalar, metric(outputs, *targets) a scalar or one per sample

Inputs that are a tuple or a dict are the model's arguments.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc import api
from graphc.dtypes import float64
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import metrics as known_metrics
from graphc.frontend import reductions
from graphc.frontend.nn import Module
from graphc.frontend.operands import as_node, fail
from graphc.frontend.optim import Optimiser
from graphc.frontend.structures import Structure, flatten, unflatten
from graphc.frontend.tensor import Tensor
from graphc.frontend.variable import Variable
from graphc.program import Program
from graphc.training.batches import batch_size_of

__all__ = ["Loss", "Metrics", "Steps", "as_metrics"]

Loss: TypeAlias = Callable[..., Any]
Metrics: TypeAlias = "Mapping[str, Callable[..., Any]] | list[Any] | tuple[Any, ...]"
LOSS = "loss"


def as_metrics(given: Any) -> dict[str, Callable[..., Any]]:
    """Return metrics by name; a text names a function of `graphc.metrics`."""
    if isinstance(given, str) or callable(given):
        given = [given]
    pairs = given.items() if isinstance(given, Mapping) else [("", metric) for metric in given]
    found: dict[str, Callable[..., Any]] = {}
    for name, metric in pairs:
        if isinstance(metric, str):
            metric = _named(metric)
        if not callable(metric):
            raise GraphcTypeError(f"a metric is a name or a function, not {metric!r}")
        name = str(name or getattr(metric, "__name__", type(metric).__name__))
        if name in found or name == LOSS or not name.isidentifier():
            raise GraphcValueError(
                f"a metric cannot be called {name!r}",
                hint="name metrics in a dict: metrics={'error': lambda outputs, targets: …}",
            )
        found[name] = metric
    return found


def _named(name: str) -> Callable[..., Any]:
    if name not in known_metrics.__all__ or name == "top_k_accuracy":
        known = ", ".join(n for n in known_metrics.__all__ if n != "top_k_accuracy")
        raise GraphcValueError(f"there is no metric {name!r}", hint=f"choose one of {known}")
    metric: Callable[..., Any] = getattr(known_metrics, name)
    return metric


class Steps:
    """The programs of one training run, compiled when a batch of new types comes."""

    def __init__(
        self,
        model: Module,
        loss: Loss,
        metrics: Mapping[str, Callable[..., Any]],
        **options: Any,
    ) -> None:
        """`options` are those of `graphc.compile`."""
        self.model, self._loss, self._metrics, self._options = model, loss, metrics, options
        self._compiled: dict[Hashable, api.CompiledFunction[..., Any]] = {}
        self._known: set[Hashable] = set()
        self.compile_seconds = 0.0
        self.batch_count = Variable(np.int64(0), name="fit.batch_count")
        self.sample_count = Variable(np.float64(0), name="fit.sample_count")
        self.sums = {n: Variable(np.float64(0), name=f"fit.{n}") for n in (LOSS, *metrics)}
        self.program: Program | None = None

    @property
    def counters(self) -> dict[str, Variable]:
        """The variables that tell how far training is, by name."""
        sums = {f"sum_{name}": variable for name, variable in self.sums.items()}
        return {"batch_count": self.batch_count, "sample_count": self.sample_count, **sums}

    def begin_epoch(self) -> None:
        """Set the sums to zero."""
        for variable in (self.sample_count, *self.sums.values()):
            variable.assign(np.float64(0))

    def means(self) -> dict[str, float]:
        """Return the figures of the samples of this epoch so far."""
        samples = float(self.sample_count.value)
        return {name: float(v.value) / samples for name, v in self.sums.items()} if samples else {}

    def train(self, batch: Any, optimizer: Optimiser) -> float:
        """Train on one batch and return its loss."""
        leaves, structure = flatten(batch)
        step = self._find(
            ("train", structure), lambda *x: self._training_step(x, structure, optimizer)
        )
        self._prepare(step, leaves, structure)
        loss: float = step(*leaves).item()
        return loss

    def evaluate(self, batch: Any) -> tuple[dict[str, float], int]:
        """Return the figures of one batch, and how many samples it has."""
        leaves, structure = flatten(batch)
        step = self._find(("evaluate", structure), lambda *x: self._figures(x, structure)[0])
        found = step(*leaves)
        return {name: float(value) for name, value in found.items()}, batch_size_of(batch)

    def _find(
        self, key: tuple[str, Structure], function: Callable[..., Any]
    ) -> api.CompiledFunction[..., Any]:
        if key not in self._compiled:
            function.__name__ = f"{key[0]}_step"
            self._compiled[key] = api.compile(function, **self._options)
        return self._compiled[key]

    def _prepare(
        self, step: api.CompiledFunction[..., Any], leaves: list[Any], structure: Structure
    ) -> None:
        """Compile for a batch of new types, so that the time that it takes is known apart."""
        key = (structure, *((leaf.shape, leaf.dtype) for leaf in leaves))
        if key in self._known:
            return
        start = time.perf_counter()
        program = step.program(*leaves)
        self.program = self.program or program
        self._known.add(key)
        self.compile_seconds += time.perf_counter() - start

    def _training_step(
        self, leaves: tuple[Tensor, ...], structure: Structure, optimizer: Optimiser
    ) -> Tensor:
        figures, loss = self._figures(leaves, structure)
        optimizer.minimize(loss, self.model.parameters())
        samples = leaves[0].shape[0]
        self.batch_count.assign(self.batch_count + 1)
        self.sample_count.assign(self.sample_count + samples)
        for name, figure in figures.items():
            self.sums[name].assign(self.sums[name] + figure * samples)
        return loss

    def _figures(
        self, leaves: tuple[Tensor, ...], structure: Structure
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return the loss and the metrics of a batch, in float64, and the loss as it is."""
        batch = unflatten(structure, leaves)
        inputs, *targets = batch if isinstance(batch, tuple) else (batch,)
        outputs = _call(self.model, inputs)
        _check_takes("loss", self._loss, outputs, targets)
        loss = Tensor(as_node(self._loss(outputs, *targets)))
        if loss.shape or not loss.dtype.is_float:
            fail(ShapeError, f"a loss is a scalar, not {loss.type}", [loss.node], "take its mean()")
        figures = {LOSS: loss.astype(float64)}
        for name, metric in self._metrics.items():
            _check_takes("metric", metric, outputs, targets)
            value = Tensor(as_node(metric(outputs, *targets))).astype(float64)
            figures[name] = reductions.mean(value) if value.shape else value
        return figures, loss


def _call(model: Module, inputs: Any) -> Any:
    positional = inputs if isinstance(inputs, tuple) else ()
    named = inputs if isinstance(inputs, dict) else {}
    if not isinstance(inputs, tuple | dict):
        positional = (inputs,)
    fault = _misfit(model.forward, positional, named)
    if fault:
        given = ", ".join(named) or f"{len(positional)} positional arguments"
        fail(
            GraphcTypeError,
            f"{type(model).__name__}.forward does not take a batch ({given}): {fault}",
            hint="inputs that are a tuple or a dict are the arguments of the model: "
            "data=((x1, x2), targets)",
        )
    return model(*positional, **named)


def _check_takes(kind: str, function: Callable[..., Any], outputs: Any, targets: list[Any]) -> None:
    """Raise GraphcTypeError where a loss or metric does not take so many targets."""
    fault = _misfit(function, (outputs, *targets), {})
    if not fault:
        return
    name = getattr(function, "__name__", type(function).__name__)
    fail(
        GraphcTypeError,
        f"the {kind} {name} is called with the outputs and the targets of a batch, and this one "
        f"has {len(targets) or 'no'} target{'s' * (len(targets) != 1)}: {fault}",
        hint="" if targets else "fit(…, data=(inputs, targets))",
    )


def _misfit(function: Callable[..., Any], positional: Sequence[Any], named: Any) -> str:
    """Return what is wrong with these arguments, as far as the signature tells."""
    try:
        inspect.signature(function).bind(*positional, **named)
    except TypeError as error:
        return str(error)
    except ValueError:  # it has no signature
        pass
    return ""
