"""`save` and `load`: a model, and the state of its optimiser, in one safetensors file.

    file     ::= variables of the model by path, "optimizer/" names of the optimiser's, metadata
    metadata ::= "format", and "optimizer": the optimiser's class, if one was saved

A checkpoint of `graphc.fit` is such a file with more in it: "fit/" names of counters, "callback0/"
names of what the first callback keeps, and so on. `load` leaves those alone.

The optimiser's variables are its own attributes (`step_count`) by their names, and those it keeps
for a parameter by `path of the parameter/name` (`layers.0.weight/moment1`), or by what the
optimiser calls one that is not the model's. An optimiser makes
those when it is first traced; loading makes them earlier where need be. Files are written whole or
not at all, and what does not fit is named before anything has changed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.array_file import Arrays, Metadata, Path, read_arrays, write_arrays
from graphc.errors import GraphcValueError
from graphc.frontend.nn import Module
from graphc.frontend.nn.state_dicts import Unmatched, values
from graphc.frontend.nn.state_dicts import load as load_values
from graphc.frontend.operands import fail
from graphc.frontend.optim import Optimiser
from graphc.frontend.variable import Variable

__all__ = ["load", "save"]

FORMAT = "graphc model 1"
CHECKPOINT_FORMAT = "graphc checkpoint 1"
OPTIMIZER = "optimizer/"
COUNTERS = "fit/"
CALLBACK = "callback"
OF_A_RUN = re.compile(rf"{COUNTERS}|{CALLBACK}\d+/")


def save(path: Path, model: Module, optimizer: Optimiser | None = None) -> None:
    """Write the variables of `model`, and the state of `optimizer`, to a safetensors file.

    The file is replaced whole or not at all, also if the process is killed meanwhile. Its tensors
    have the model's paths as names, so that other programs can read them. Raises
    UnwritableFileError, an OSError, where it cannot be written.

    >>> import os, tempfile
    >>> import graphc
    >>> from graphc import nn
    >>> model, other = nn.Linear(3, 2, seed=0), nn.Linear(3, 2, seed=1)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = os.path.join(directory, "model.safetensors")
    ...     graphc.save(path, model)
    ...     graphc.load(path, other)
    >>> bool((model.weight.value == other.weight.value).all())
    True
    """
    write_arrays(path, *state_of(model, optimizer))


def load(
    path: Path, model: Module, optimizer: Optimiser | None = None, *, strict: bool = True
) -> None:
    """Give `model`, and `optimizer`, the values that `save` wrote; all of them or none.

    A checkpoint of `graphc.fit` is such a file too: the model gets the weights that it had then.
    The state of an optimiser in the file is left alone where no `optimizer` is given. Raises
    OSError where there is no such file, DamagedFileError where it is not what was written, and
    GraphcValueError that names what is missing, unexpected, or of another shape or dtype. With
    `strict=False` what is missing or unexpected is left out.
    """
    arrays, metadata = read_arrays(path)
    if metadata.get("format") == CHECKPOINT_FORMAT:
        arrays = {name: a for name, a in arrays.items() if not OF_A_RUN.match(name)}
    restore(arrays, metadata, model, optimizer, strict=strict, source=os.fspath(path))


def state_of(model: Module, optimizer: Optimiser | None) -> tuple[Arrays, Metadata]:
    """Return the arrays and the metadata that `save` writes."""
    arrays = model.state_dict()
    metadata = {"format": FORMAT}
    if optimizer is not None:
        check_free(arrays, re.compile(OPTIMIZER), "the optimiser's")
        arrays |= values(optimizer_variables(model, optimizer).items())
        metadata["optimizer"] = type(optimizer).__name__
    return arrays, metadata


def check_free(arrays: Arrays, pattern: re.Pattern[str], whose: str) -> None:
    """Raise GraphcValueError where a variable of the model has a name that is somebody else's."""
    clash = next((found for found in map(pattern.match, arrays) if found), None)
    if clash is not None:
        raise GraphcValueError(f"{clash.string}: names that begin with {clash[0]} are {whose}")


def restore(
    arrays: Mapping[str, np.ndarray[Any, Any]],
    metadata: Mapping[str, str],
    model: Module,
    optimizer: Optimiser | None,
    *,
    strict: bool = True,
    source: str = "load",
    **messages: str,
) -> Unmatched:
    """Give the variables their values from what `state_of` returned."""
    own = {name: a for name, a in arrays.items() if not name.startswith(OPTIMIZER)}
    variables = dict(model.named_variables())
    if optimizer is not None:
        _check_optimizer(metadata, optimizer, source)
        state = {name: a for name, a in arrays.items() if name.startswith(OPTIMIZER)}
        _make_state(model, optimizer, state)
        variables |= optimizer_variables(model, optimizer)
        own |= state
    return load_values(variables, own, strict=strict, source=source, **messages)


def optimizer_variables(model: Module, optimizer: Optimiser) -> dict[str, Variable]:
    """Return the variables that `optimizer` keeps now, by their names in a file."""
    paths = {variable.state: path for path, variable in model.named_parameters()}
    found = {
        f"{OPTIMIZER}{name}": value
        for name, value in vars(optimizer).items()
        if isinstance(value, Variable)
    }
    for parameter, name, variable in optimizer.kept():
        place = paths.get(parameter) or variable.name.removesuffix(f".{name}")
        found[f"{OPTIMIZER}{place}/{name}"] = variable
    return found


def _make_state(
    model: Module, optimizer: Optimiser, state: Mapping[str, np.ndarray[Any, Any]]
) -> None:
    """Let `optimizer` make the variables for parameters that it has not made so far.

    They are made in the order in which a step over the model's parameters makes them.
    """
    held: dict[str, set[str]] = {}
    for entry in state:
        place, _, name = entry.removeprefix(OPTIMIZER).rpartition("/")
        held.setdefault(place, set()).add(name)
    for place, parameter in model.named_parameters():
        optimizer.prepare([parameter], held.get(place, set()))


def _check_optimizer(metadata: Mapping[str, str], optimizer: Optimiser, source: str) -> None:
    given, held = type(optimizer).__name__, metadata.get("optimizer")
    if held == given:
        return
    fail(
        GraphcValueError,
        f"{source}: the file holds "
        + (f"the state of {held}, not of {given}" if held else "no state of an optimiser"),
        hint="leave out the optimizer to load the model alone",
    )
