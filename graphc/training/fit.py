"""`fit` and `evaluate`: what a user calls to train a model and to judge it.

>>> import numpy as np
>>> import graphc
>>> from graphc import nn, optim
>>> x = np.random.default_rng(0).normal(size=(256, 2)).astype(np.float32)
>>> y = (x[:, 0] > x[:, 1]).astype(np.int64)
>>> model = nn.Linear(2, 2, seed=0)
>>> history = graphc.fit(
...     model, nn.cross_entropy, optim.Adam(0.1), (x, y), epochs=10, metrics="accuracy"
... )
>>> history["loss"][-1] < history["loss"][0], history["accuracy"][-1] > 0.95
(True, True)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.array_file import Path, check_writable
from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend.nn import Module
from graphc.frontend.operands import fail
from graphc.frontend.optim import LBFGS, Optimiser
from graphc.graph_compilation import BackendName
from graphc.training.batches import ArrayBatches, Batches, as_batches, with_validation
from graphc.training.callbacks import as_callbacks
from graphc.training.checkpoints import Checkpoint, as_checkpoint
from graphc.training.display import make_display
from graphc.training.history import History
from graphc.training.loop import Run, evaluate_batches
from graphc.training.steps import Loss, Metrics, Steps, as_metrics

__all__ = ["evaluate", "fit"]


def fit(  # noqa: PLR0913  # here users say all that there is to say of a training run
    model: Module,
    loss: Loss,
    optimizer: Optimiser,
    data: Any,
    *,
    epochs: int = 1,
    batch_size: int = 32,
    validation: Any = None,
    metrics: Metrics | str = (),
    callbacks: Any = (),
    seed: int = 0,
    shuffle: bool = True,
    drop_last: bool = False,
    checkpoint: Checkpoint | Path | None = None,
    resume: bool = False,
    verbose: bool | None = None,
    check_numerics: bool = False,
    backend: BackendName = "llvm",
) -> History:
    """Train `model` and return what it showed; one training step is one compiled program.

    loss         a function of (outputs, targets) that gives a scalar; outputs are what the model
                 gives for the inputs
    data         a tuple of arrays (inputs, targets); a function that gives an iterator of batches
                 for each epoch (which it is told if it has a parameter `epoch`); or any iterable of
                 batches. A batch is (inputs, targets). Inputs that are a tuple or dict are the
                 arguments of the model. With further targets all are passed on, with none none.
    epochs       passes over the data
    batch_size   samples of a batch, of data in arrays. The last batch is smaller where it does not
                 come out even, which compiles one more program; `drop_last` leaves it out
    validation   data of the same forms, evaluated after each epoch; or, of data in arrays, the
                 share of the samples to hold out for that: 0.2
    metrics      "accuracy", another function of `graphc.metrics` or of your own, of (outputs,
                 targets); or several, in a list or by name in a dict
    callbacks    `training.Callback`s, such as `training.EarlyStopping`, and functions of the run,
                 called after each epoch; one, or several in a list
    seed         of the order of samples, with `shuffle`: the same seed, the same batches
    checkpoint   a path, or a `training.Checkpoint`: the run is kept there after each epoch
    resume       go on from the checkpoint, if the file is there, to the same bits as without a
                 break; with more `epochs` than before, to train on
    check_numerics  look at each step for NaN and infinity, and name the operation that made it;
                 slower
    verbose      progress on stderr: by default if it is a terminal; True: a line an epoch
                 elsewhere; False: none

    Raises NumericsError when the loss, or after an epoch a weight, has turned NaN or infinite,
    `training.TrainingInterrupted` (a KeyboardInterrupt that holds the history) on Ctrl-C,
    UnwritableFileError, before it trains, where no checkpoint can be written, and what the model,
    the loss and the data raise. The model then has the weights after the last whole batch.
    """
    _check(model, loss, optimizer, epochs)
    kept = _checkpoint(checkpoint, resume)
    found = as_metrics(metrics)
    training: Batches = as_batches(data, batch_size, seed, shuffle=shuffle, drop_last=drop_last)
    training, held_out = with_validation(training, validation, batch_size)
    steps = Steps(model, loss, found, backend=backend, check_numerics=check_numerics)
    settings, called = _settings(training, list(found)), as_callbacks(callbacks)
    run = Run(model, optimizer, steps, (training, held_out), int(epochs), called, settings)
    return run.execute(make_display(verbose), kept, resume)


def evaluate(
    model: Module,
    loss: Loss,
    data: Any,
    *,
    metrics: Metrics | str = (),
    batch_size: int = 32,
    backend: BackendName = "llvm",
) -> dict[str, float]:
    """Return the loss and the metrics of `model` over `data`, which is as for `fit`.

    >>> import numpy as np
    >>> from graphc import nn
    >>> x, y = np.ones((10, 3), np.float32), np.zeros(10, np.int64)
    >>> list(evaluate(nn.Linear(3, 2, seed=0), nn.cross_entropy, (x, y), metrics="accuracy"))
    ['loss', 'accuracy']
    """
    batches = as_batches(data, batch_size)
    return evaluate_batches(Steps(model, loss, as_metrics(metrics), backend=backend), batches)


def _check(model: Any, loss: Any, optimizer: Any, epochs: Any) -> None:
    if not isinstance(model, Module):
        fail(
            GraphcTypeError,
            f"a model is an nn.Module, not {type(model).__name__}",
            hint="nn.Sequential(function) makes one of functions",
        )
    if not callable(loss):
        fail(GraphcTypeError, f"a loss is a function of (outputs, targets), not {loss!r}")
    if isinstance(optimizer, LBFGS):
        fail(
            GraphcTypeError,
            "fit takes no LBFGS, which asks for the loss of a step as often as its search needs",
            hint="optim.LBFGS(model.parameters()).minimize(lambda x, y: loss(model(x), y), x, y) "
            "is the whole loop",
        )
    if not isinstance(optimizer, Optimiser):
        fail(
            GraphcTypeError,
            f"an optimizer is an optim.Optimiser, not {optimizer!r}",
            hint="fit(model, loss, optim.Adam(1e-3), data)",
        )
    if not isinstance(epochs, int | np.integer) or isinstance(epochs, bool):
        fail(GraphcTypeError, f"epochs is an integer, not {epochs!r}")
    if epochs < 0:
        fail(GraphcValueError, f"epochs is not negative, not {epochs}")


def _checkpoint(given: Any, resume: bool) -> Checkpoint | None:
    """Return where the run is kept; raises where it cannot be."""
    found = as_checkpoint(given)
    if found is not None:
        check_writable(found.path)
    elif resume:
        fail(GraphcValueError, "resume=True goes on from checkpoint=, which was not given")
    return found


def _settings(training: Batches, metrics: list[str]) -> dict[str, Any]:
    """Return what fixes the batches and the figures of a run."""
    if not isinstance(training, ArrayBatches):
        return {"metrics": metrics}
    names = ("batch_size", "seed", "shuffle", "drop_last", "samples")
    return {name: getattr(training, name) for name in names} | {"metrics": metrics}
