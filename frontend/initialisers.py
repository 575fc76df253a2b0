"""First values of parameters: functions that make initialisers, which make arrays.

An initialiser is called as `initialiser(shape, random, dtype)` with a NumPy `Generator` and gives
an array. There is no global state: who wants random numbers passes a seed, and the same seed gives
the same bits. Kernels have the shape (…, inputs, outputs); the axes before are a convolution's
window. `initialisers.he_uniform` and the five others like it are initialisers; functions with
settings make such.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np

from graphc.dtypes import DType
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend.operands import fail
from graphc.tensor_type import Shape

__all__ = [
    "Initialiser", "Seed", "constant", "gain", "generator", "he_normal", "he_uniform", "identity",
    "lecun_normal", "lecun_uniform", "normal", "ones", "orthogonal", "truncated_normal", "uniform",
    "variance_scaling", "xavier_normal", "xavier_uniform", "zeros",
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


def truncated_normal(
    mean: float = 0.0, deviation: float = 1.0, low: float = -2.0, high: float = 2.0
) -> Initialiser:
    """Return the initialiser that draws from the normal distribution between two bounds.

    `low` and `high` are measured in deviations from the mean; what lies outside is drawn again.
    Raises GraphcValueError where less than a thousandth lies between them.
    """
    inside = NormalDist().cdf(high) - NormalDist().cdf(low)
    if not inside >= 1e-3:
        fail(GraphcValueError, f"truncated_normal: hardly any number lies in {low} … {high}")

    def initialise(shape: Shape, random: np.random.Generator, dtype: DType) -> np.ndarray[Any, Any]:
        numbers = random.normal(size=shape)
        outside = (numbers < low) | (numbers > high)
        while outside.any():
            numbers[outside] = random.normal(size=int(outside.sum()))
            outside = (numbers < low) | (numbers > high)
        return np.asarray(mean + deviation * numbers).astype(dtype.numpy)

    return initialise


def orthogonal(gain: float = 1.0) -> Initialiser:
    """Return the initialiser of orthogonal matrices times `gain`, evenly spread over all of them.

    Of a kernel that is not square the shorter side is orthonormal; more than two axes are seen as
    a matrix of the last one. By the QR decomposition of LAPACK, whose last bits may differ from one
    machine to the next. Source: Saxe, McClelland and Ganguli, arXiv:1312.6120.
    """

    def initialise(shape: Shape, random: np.random.Generator, dtype: DType) -> np.ndarray[Any, Any]:
        _check_kernel("orthogonal", shape)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        numbers = random.normal(size=(max(rows, columns), min(rows, columns)))
        matrix, triangle = np.linalg.qr(numbers)
        matrix = matrix * np.where(np.diag(triangle) < 0, -1.0, 1.0)
        matrix = matrix if rows >= columns else matrix.T
        return np.asarray(gain * matrix.reshape(shape)).astype(dtype.numpy)

    return initialise


def identity(gain: float = 1.0) -> Initialiser:
    """Return the initialiser of the identity times `gain`: each output is the input of its place.

    In a kernel of a convolution the identity stands at the middle of the window.
    """

    def initialise(shape: Shape, random: np.random.Generator, dtype: DType) -> np.ndarray[Any, Any]:
        _check_kernel("identity", shape)
        kernel = np.zeros(shape, dtype.numpy)
        kernel[tuple(extent // 2 for extent in shape[:-2])] = gain * np.eye(shape[-2], shape[-1])
        return kernel

    return initialise


def _check_kernel(name: str, shape: Shape) -> None:
    if len(shape) < 2 or 0 in shape:
        fail(ShapeError, f"{name}: the shape {shape} is not that of a kernel, (…, inputs, outputs)")


def fans(shape: Shape) -> tuple[int, int]:
    """Return the numbers of inputs and of outputs of a kernel of `shape`, at least 1 each.

    The last two axes are inputs and outputs, those before them the window of a convolution, each
    place of which counts.

    >>> fans((784, 10)), fans((3, 3, 16, 32))
    ((784, 10), (144, 288))
    """
    if len(shape) < 2:
        return max(math.prod(shape), 1), max(math.prod(shape), 1)
    window = math.prod(shape[:-2])
    return max(window * shape[-2], 1), max(window * shape[-1], 1)


FANS: dict[str, Callable[[int, int], float]] = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "fan_average": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
}
# What draws numbers of mean 0 and of a given deviation.
DISTRIBUTIONS: dict[str, Callable[[float], Initialiser]] = {
    "normal": lambda deviation: normal(0.0, deviation),
    "uniform": lambda deviation: uniform(-math.sqrt(3) * deviation, math.sqrt(3) * deviation),
    "truncated_normal": lambda deviation: truncated_normal(0.0, deviation / TRUNCATED_DEVIATION),
}
TRUNCATED_DEVIATION = 0.8796256610342398  # of the normal distribution between -2 and 2


def variance_scaling(
    scale: float = 1.0, mode: str = "fan_in", distribution: str = "uniform"
) -> Initialiser:
    """Return the initialiser of mean 0 and of the variance scale / fan.

    scale          the square of a gain, for which `gain` has the usual numbers
    mode           the fan: "fan_in" keeps variances in the forward pass, "fan_out" in the backward
                   one, "fan_average" is between them
    distribution   "uniform", "normal" or "truncated_normal", within two deviations before scaling

    Raises GraphcValueError for other words.

    >>> from graphc.dtypes import float32
    >>> kernel = variance_scaling(gain("tanh") ** 2)((64, 32), generator(0), float32)
    >>> kernel.shape
    (64, 32)
    """
    for word, given, known in (("mode", mode, FANS), ("distribution", distribution, DISTRIBUTIONS)):
        if given not in known:
            names = ", ".join(known)
            fail(GraphcValueError, f"variance_scaling: {word} is one of {names}, not {given!r}")

    def initialise(shape: Shape, random: np.random.Generator, dtype: DType) -> np.ndarray[Any, Any]:
        deviation = math.sqrt(scale / FANS[mode](*fans(shape)))
        return DISTRIBUTIONS[distribution](deviation)(shape, random, dtype)

    return initialise


GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}


def gain(activation: str, negative_slope: float = 0.01) -> float:
    """Return the usual gain before an activation: "linear", "sigmoid", "tanh", "relu", "selu", or
    "leaky_relu", which alone has a slope.

    >>> gain("relu") == gain("leaky_relu", negative_slope=0.0)
    True
    """
    if activation == "leaky_relu":
        return math.sqrt(2 / (1 + negative_slope**2))
    if activation not in GAINS:
        names = ", ".join([*GAINS, "leaky_relu"])
        fail(GraphcValueError, f"gain: an activation is one of {names}, not {activation!r}")
    return GAINS[activation]


# Glorot and Bengio 2010: for tanh and sigmoid.
xavier_uniform = variance_scaling(1.0, "fan_average", "uniform")
xavier_normal = variance_scaling(1.0, "fan_average", "normal")
# He et al. 2015 (arXiv:1502.01852): for relu.
he_uniform = variance_scaling(2.0, "fan_in", "uniform")
he_normal = variance_scaling(2.0, "fan_in", "normal")
# LeCun et al. 1998, Efficient BackProp.
lecun_uniform = variance_scaling(1.0, "fan_in", "uniform")
lecun_normal = variance_scaling(1.0, "fan_in", "normal")
