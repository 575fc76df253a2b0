"""First values of parameters: functions that make initialisers, which make arrays.

An initialiser is called as `initialiser(shape, random, dtype)` with a NumPy `Generator` and gives
an array. There is no global state: who wants random numbers passes a seed, and the same seed gives
the same bits. Kernels have the shape (fan in, fan out); of more axes, all but the last are fan in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from graphc.dtypes import DType
from graphc.errors import GraphcTypeError
from graphc.frontend.operands import fail
from graphc.tensor_type import Shape

__all__ = [
    "Initialiser", "Seed", "constant", "generator", "he_normal", "he_uniform", "lecun_normal",
    "lecun_uniform", "normal", "ones", "uniform", "xavier_normal", "xavier_uniform", "zeros",
]  # fmt: skip

Initialiser: TypeAlias = Callable[[Shape, np.random.Generator, DType], np.ndarray[Any, Any]]
Seed: TypeAlias = "int | np.random.SeedSequence | np.random.Generator"


def generator(seed: Seed) -> np.random.Generator:
    """Return the stream of random numbers of `seed`; a Generator is itself, and moves on when used.

    Raises GraphcTypeError for None: every seed is explicit.

    >>> bool(generator(7).integers(100) == generator(7).integers(100))
    True
    """
    if not isinstance(seed, int | np.integer | np.random.SeedSequence | np.random.Generator):
        fail(
            GraphcTypeError,
            f"a seed is an integer, a SeedSequence or a Generator of NumPy, not {seed!r}",
            hint="layers that share numpy.random.default_rng(0) draw from it in turn",
        )
    return np.random.default_rng(seed)


def constant(value: float) -> Initialiser:
    """Return the initialiser that fills with `value`."""

    def initialise(shape: Shape, random: np.random.Generator, dtype: DType) -> np.ndarray[Any, Any]:
        return np.full(shape, value, dtype.numpy)

    return initialise


zeros: Initialiser = constant(0.0)
ones: Initialiser = constant(1.0)


def uniform(low: float, high: float) -> Initialiser:
    """Return the initialiser that draws uniformly from low … high."""

    def initialise(shape: Shape, random: np.random.Generator, dtype: DType) -> np.ndarray[Any, Any]:
        return random.uniform(low, high, shape).astype(dtype.numpy)

    return initialise


def normal(mean: float = 0.0, deviation: float = 1.0) -> Initialiser:
    """Return the initialiser that draws from the normal distribution."""

    def initialise(shape: Shape, random: np.random.Generator, dtype: DType) -> np.ndarray[Any, Any]:
        return random.normal(mean, deviation, shape).astype(dtype.numpy)

    return initialise


def fans(shape: Shape) -> tuple[int, int]:
    """Return the numbers of inputs and of outputs of a kernel of `shape`, at least 1 each."""
    if len(shape) < 2:
        return max(math.prod(shape), 1), max(math.prod(shape), 1)
    return max(math.prod(shape[:-1]), 1), max(shape[-1], 1)


def _scaled(variance: Callable[[int, int], float], is_normal: bool, summary: str) -> Initialiser:
    """Return an initialiser of mean 0 whose variance depends on fan in and fan out."""

    def initialise(shape: Shape, random: np.random.Generator, dtype: DType) -> np.ndarray[Any, Any]:
        deviation = math.sqrt(variance(*fans(shape)))
        if is_normal:
            return normal(0.0, deviation)(shape, random, dtype)
        limit = math.sqrt(3.0) * deviation
        return uniform(-limit, limit)(shape, random, dtype)

    initialise.__doc__ = summary
    return initialise


def _xavier(fan_in: int, fan_out: int) -> float:
    return 2.0 / (fan_in + fan_out)


def _he(fan_in: int, fan_out: int) -> float:
    return 2.0 / fan_in


def _lecun(fan_in: int, fan_out: int) -> float:
    return 1.0 / fan_in


xavier_uniform = _scaled(_xavier, False, "Glorot and Bengio 2010: for tanh and sigmoid.")
xavier_normal = _scaled(_xavier, True, "Glorot and Bengio 2010: for tanh and sigmoid.")
he_uniform = _scaled(_he, False, "He et al. 2015 (arXiv:1502.01852): for relu.")
he_normal = _scaled(_he, True, "He et al. 2015 (arXiv:1502.01852): for relu.")
lecun_uniform = _scaled(_lecun, False, "LeCun et al. 1998, Efficient BackProp.")
lecun_normal = _scaled(_lecun, True, "LeCun et al. 1998, Efficient BackProp.")
