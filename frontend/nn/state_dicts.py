"""Values of variables by name, taken out and put back.

Loading looks at everything before it changes anything, and says of each name what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend.operands import as_array, fail
from graphc.frontend.variable import Variable

__all__ = ["Unmatched", "load", "values"]

SHOWN = 8  # names of one fault in a message


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Names of variables that a state lacks, and names in it that no variable has."""

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()


def values(variables: Iterable[tuple[str, Variable]]) -> dict[str, np.ndarray[Any, Any]]:
    """Return a copy of the value of each variable, by its name."""
    return {name: variable.value for name, variable in variables}


def load(
    variables: Mapping[str, Variable],
    state: Mapping[str, np.ndarray[Any, Any]],
    *,
    strict: bool = True,
    source: str = "load_state_dict",
    hint: str = "strict=False leaves out what is missing and unexpected",
) -> Unmatched:
    """Give each variable the value of its name, all or none; `source` begins the error's message.

    Raises GraphcValueError where shapes or dtypes differ and, if `strict`, where names do, for
    which `hint` is the likely mend; GraphcTypeError for a state that is no dict.
    """
    if not isinstance(state, Mapping):
        fail(
            GraphcTypeError,
            f"{source}: a state is a dict of arrays by name, not {type(state).__name__}",
            hint="model.load_state_dict(other.state_dict()); graphc.load(path, model) reads a file",
        )
    arrays = {name: as_array(value) for name, value in state.items()}
    missing = tuple(name for name in variables if name not in arrays)
    unexpected = tuple(name for name in arrays if name not in variables)
    both = [(name, variables[name], arrays[name]) for name in variables if name in arrays]
    faults = list(_misfits(both))
    if strict:
        faults += [_listing("missing", missing)] if missing else []
        faults += [_listing("unexpected", unexpected)] if unexpected else []
    if faults:
        fail(
            GraphcValueError,
            f"{source}: the state does not fit: " + "; ".join(faults),
            hint=hint if strict and (missing or unexpected) else "",
        )
    for _, variable, array in both:
        variable.state.assign(array)
    return Unmatched(missing, unexpected)


def _misfits(both: Iterable[tuple[str, Variable, np.ndarray[Any, Any]]]) -> Iterable[str]:
    both = list(both)
    shapes = [
        f"{name} is {a.shape} and should be {v.shape}" for name, v, a in both if a.shape != v.shape
    ]
    dtypes = [
        f"{name} is {a.dtype} and should be {v.dtype}"
        for name, v, a in both
        if a.dtype != v.dtype.numpy
    ]
    if shapes:
        yield _listing("shape", shapes)
    if dtypes:
        yield _listing("dtype", dtypes)


def _listing(title: str, entries: Iterable[str]) -> str:
    entries = list(entries)
    more = f" and {len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
    return f"{title}: {', '.join(entries[:SHOWN])}{more}"
