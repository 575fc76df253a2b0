"""A warning for parameters that begin with the same values, as layers of one seed and shape do.

Such layers learn less than they could, and nothing else tells: a seed fixes the first values of a
layer whatever stands beside it. Values of few kinds (zeros, ones, the identity) are meant so and
are not looked at. Nothing is changed here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from graphc.frontend.variable import Variable
from graphc.source import user_line
from graphc.state import STATE_LOCK

__all__ = ["warn_of_equal_starts"]

LOOKED_AT = 64  # elements that tell most parameters apart


def warn_of_equal_starts(parameters: Sequence[Variable]) -> None:
    """Warn, at the user's line, of the first two parameters that hold the same random numbers."""
    with STATE_LOCK:
        pair = next(_equal_pairs(parameters), None)
    if pair is not None:
        (first, second), line = pair, user_line()
        warnings.warn_explicit(
            f"{first.name} and {second.name} begin with the same values: give each layer a seed of "
            "its own, or all of them one generator, seed=numpy.random.default_rng(0)",
            UserWarning,
            line.file if line else "graphc",
            line.number if line else 0,
        )


def _equal_pairs(parameters: Sequence[Variable]) -> Iterator[tuple[Variable, Variable]]:
    alike: dict[object, list[Variable]] = {}
    for parameter in parameters:
        start = parameter.state.host().reshape(-1)[:LOOKED_AT]
        if len(np.unique(start)) > 2:
            key = (parameter.shape, parameter.dtype, start.tobytes())
            alike.setdefault(key, []).append(parameter)
    for group in alike.values():
        for first, second in combinations(group, 2):
            if np.array_equal(first.state.host(), second.state.host()):
                yield first, second
