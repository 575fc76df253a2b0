"""First values of parameters: functions that make initialisers, which make arrays.

An initialiser is called as `initialiser(shape, random, dtype)` with a NumPy `Generator` and gives
an array. There is no global state: who wants random numbers passes a seed, and the same seed gives
the same bits. Kernels have the shape (…, inputs, outputs); the axes before are a convolution's
window. Each name here is both: `orthogonal` is an initialiser, by its default settings, and
`orthogonal(gain=2.0)` makes one by others. Layers take such names as text too (`first_value`).
"""

from __future__ import annotations

import functools
import inspect
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

Initialiser: TypeAlias = "Callable[[Shape, np.random.Generator, DType], np.ndarray[Any, Any]]"
Start: TypeAlias = "str | Initialiser"  # what layers take: an initialiser, or the name of one
Seed: TypeAlias = "int | np.random.SeedSequence | np.random.Generator"
NAMED: dict[str, Initialiser] = {}


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


class Maker:
    """A function that makes initialisers, and is one itself, by its default settings.

    >>> from graphc.dtypes import float32
    >>> bool((zeros((2,), generator(0), float32) == zeros()((2,), generator(0), float32)).all())
    True
    """

    def __init__(self, make: Callable[..., Initialiser]) -> None:
        functools.update_wrapper(self, make)
        self._make, self._name = make, getattr(make, "__name__", "")
        NAMED[self._name] = self

    def __call__(self, *settings: Any, **named: Any) -> Any:
        if len(settings) > 1 and isinstance(settings[1], np.random.Generator):
            return self._bound()(*settings)
        return self._bound(*settings, **named)

    def _bound(self, *settings: Any, **named: Any) -> Initialiser:
        signature = inspect.signature(self._make)
        try:
            signature.bind(*settings, **named)
        except TypeError as error:
            known = ", ".join(signature.parameters)
            hint = f"initialisers.{self._name}({known}) makes one"
            fail(GraphcTypeError, f"initialisers.{self._name}: {error}", hint=hint)
        return self._make(*settings, **named)

    def __repr__(self) -> str:
        return f"initialisers.{self._name}"


def first_value(
    layer: str, given: Start, shape: Shape, random: np.random.Generator, dtype: DType
) -> np.ndarray[Any, Any]:
    """Return what an initialiser, or the one called `given`, makes; `layer` is who asks.

    Raises GraphcValueError for another name, GraphcTypeError for what is no initialiser, and
    ShapeError where an array of another shape comes back.
    """
    array = np.asarray(_found(layer, given)(shape, random, dtype))
    if array.shape != shape:
        fail(ShapeError, f"{layer}: an initialiser gives the shape {array.shape}, not {shape}")
    return array.astype(dtype.numpy, copy=False)


def _found(layer: str, given: Start) -> Initialiser:
    if isinstance(given, str):
        if given not in NAMED:
            names = ", ".join(sorted(NAMED))
            fail(GraphcValueError, f"{layer}: no initialiser is called {given!r}", hint=names)
        return NAMED[given]
    if isinstance(given, Maker):
        return given
    hint = "an initialiser is called as initialiser(shape, random, dtype): nn.initialisers has some"
    if not callable(given):
        fail(GraphcTypeError, f"{layer}: {type(given).__name__} is no initialiser", hint=hint)
    try:
        inspect.signature(given).bind((), None, None)
    except TypeError as error:
        fail(GraphcTypeError, f"{layer}: {given!r} is no initialiser: {error}", hint=hint)
    except ValueError:  # what is written in C may not tell its parameters
        pass
    return given


@Maker
def constant(value: float) -> Initialiser:
    """Return the initialiser that fills with `value`."""
    return _filled(value)


def _filled(value: float) -> Initialiser:
    def initialise(shape: Shape, random: np.random.Generator, dtype: DType) -> np.ndarray[Any, Any]:
        return np.full(shape, value, dtype.numpy)

    return initialise


@Maker
def zeros() -> Initialiser:
    """Return the initialiser that fills with 0."""
    return _filled(0.0)


@Maker
def ones() -> Initialiser:
    """Return the initialiser that fills with 1."""
    return _filled(1.0)


@Maker
def uniform(low: float, high: float) -> Initialiser:
    """Return the initialiser that draws uniformly from low … high."""

    def initialise(shape: Shape, random: np.random.Generator, dtype: DType) -> np.ndarray[Any, Any]:
        return random.uniform(low, high, shape).astype(dtype.numpy)

    return initialise


@Maker
def normal(mean: float = 0.0, deviation: float = 1.0) -> Initialiser:
    """Return the initialiser that draws from the normal distribution."""

    def initialise(shape: Shape, random: np.random.Generator, dtype: DType) -> np.ndarray[Any, Any]:
        return random.normal(mean, deviation, shape).astype(dtype.numpy)

    return initialise


@Maker
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


@Maker
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


@Maker
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


@Maker
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
    return _scaled(scale, mode, distribution)


def _scaled(scale: float, mode: str, distribution: str) -> Initialiser:
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


@Maker
def xavier_uniform() -> Initialiser:
    """Return the uniform initialiser of Glorot and Bengio 2010, for tanh and sigmoid."""
    return _scaled(1.0, "fan_average", "uniform")


@Maker
def xavier_normal() -> Initialiser:
    """Return the normal initialiser of Glorot and Bengio 2010, for tanh and sigmoid."""
    return _scaled(1.0, "fan_average", "normal")


@Maker
def he_uniform() -> Initialiser:
    """Return the uniform initialiser of He et al. 2015 (arXiv:1502.01852), for relu."""
    return _scaled(2.0, "fan_in", "uniform")


@Maker
def he_normal() -> Initialiser:
    """Return the normal initialiser of He et al. 2015 (arXiv:1502.01852), for relu."""
    return _scaled(2.0, "fan_in", "normal")


@Maker
def lecun_uniform() -> Initialiser:
    """Return the uniform initialiser of LeCun et al. 1998, Efficient BackProp."""
    return _scaled(1.0, "fan_in", "uniform")


@Maker
def lecun_normal() -> Initialiser:
    """Return the normal initialiser of LeCun et al. 1998, Efficient BackProp."""
    return _scaled(1.0, "fan_in", "normal")
