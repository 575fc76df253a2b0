"""Random arrays to measure programs on, the same ones each time.

Floats are standard normal, bools fair coins, integers from 0 up to a bound, so that they can be
class numbers and indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.tensor_type import TensorType


def random_arrays(types: Sequence[TensorType], integers_below: int) -> list[np.ndarray[Any, Any]]:
    """Return an array of each type, integers from 0 to `integers_below` - 1."""
    random = np.random.default_rng(0)
    return [_random_array(random, type_, integers_below) for type_ in types]


def _random_array(
    random: np.random.Generator, type_: TensorType, integers_below: int
) -> np.ndarray[Any, Any]:
    dtype = type_.dtype
    if dtype.is_complex:
        parts = random.standard_normal((*type_.shape, 2)).astype(dtype.real.numpy)
        return parts.view(dtype.numpy).reshape(type_.shape)
    if dtype.is_float:
        return random.standard_normal(type_.shape).astype(dtype.numpy)
    below = 2
    if dtype.kind != "bool":
        below = min(integers_below, int(np.iinfo(dtype.numpy).max))
    return random.integers(0, below, type_.shape).astype(dtype.numpy)
