"""Random numbers, `graphc.random`: each a function of a key, a shape and the distribution.

    key = graphc.random.key(0)                          a seed becomes a key
    first, second = graphc.random.split(key)            a key becomes several, once each is needed
    graphc.random.normal(first, (64, 10))               a key is used once

There is no state: the same key gives the same bits always, on every CPU, on OpenCL, and with any
number of threads, fused into whatever uses them. (On the reference backend logarithms are NumPy's,
and numbers that go through one may differ in the last place.) Who wants other numbers at each call
passes another key, or keeps one in a Variable and assigns it what `split` gives. The generator is
Threefry (`graphc.frontend.threefry`); an element takes one block of it, 64 random bits.

A share u between 0 and 1 is known by 32 bits for float32 and by 63 for float64, together with
1 - u, each with full relative precision, so that both tails of a distribution are as exact as its
middle and reach to probabilities of 2**-33 and 2**-64. float16 and bfloat16 numbers are those of
float32, rounded; `uniform` alone takes as many bits as they have. Gradients flow through the
parameters of a distribution: samples are locations plus scales times numbers that are constants.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from graphc.dtypes import DType, DTypeLike, as_dtype, float32, float64, int32, int64, uint64
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import constructors, elementwise, indexing, reductions, shapes, sorting
from graphc.frontend.composites import as_float
from graphc.frontend.normal_quantile import normal_quantile
from graphc.frontend.operands import (
    as_node,
    broadcast_shapes,
    broadcast_to,
    fail,
    normalise_axis,
)
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.threefry import bits, blocks, fold_in, key, split
from graphc.tensor_type import Shape, ShapeLike, as_shape

__all__ = [
    "bernoulli", "bits", "categorical", "choice", "exponential", "fold_in", "gumbel", "key",
    "laplace", "logistic", "normal", "permutation", "randint", "shuffle", "split",
    "truncated_normal", "uniform",
]  # fmt: skip

DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
WORD = np.uint64(32)


def uniform(
    key: TensorLike,
    shape: ShapeLike = (),
    low: TensorLike = 0.0,
    high: TensorLike = 1.0,
    dtype: DTypeLike = float32,
) -> Tensor:
    """Return numbers evenly spread over low … high; `low` and `high` broadcast to `shape`.

    Multiples of 2**-24 in float32, of 2**-53 in float64, 2**-11 in float16 and 2**-8 in bfloat16,
    from 0 up to but without 1, times `high - low`, plus `low`; that sum may round to `high`.

    >>> uniform(key(0), (64, 10)).type
    TensorType(shape=(64, 10), dtype=graphc.float32)
    """
    kind, extents = _float("uniform", dtype), as_shape(shape)
    share = _share(key, extents, kind)
    if _is_number(low, 0) and _is_number(high, 1):
        return share.astype(kind)
    start, end = (_parameter("uniform", name, x, extents, kind) for name, x in _named(low, high))
    return (start + (end - start) * share).astype(kind)


def _named(low: TensorLike, high: TensorLike) -> tuple[tuple[str, TensorLike], ...]:
    return ("low", low), ("high", high)


def _share(key: TensorLike, shape: Shape, kind: DType) -> Tensor:
    """Return multiples of 2**-digits in 0 … 1, in the type that `kind` is computed in."""
    digits = DIGITS[kind.name]
    first, second = blocks(key, shape)
    if kind is float64:  # 32 bits and 21
        lower = (second >> np.uint32(11)).astype(int32).astype(float64)
        return (first.astype(float64) * 2.0**21 + lower) * 2.0**-digits
    # a conversion from int32 is one instruction everywhere, from uint32 it is not
    whole = ((first ^ second) >> np.uint32(32 - digits)).astype(int32)
    return whole.astype(float32) * 2.0**-digits


def _shares(key: TensorLike, shape: Shape, compute: DType) -> tuple[Tensor, Tensor]:
    """Return a number between 0 and 1, and what is missing to 1, both with all their digits."""
    first, second = blocks(key, shape)
    return _fraction(first, second, compute), _fraction(~first, ~second, compute)


def _fraction(upper: Tensor, lower: Tensor, compute: DType) -> Tensor:
    """Return (n + 1/2) * 2**-bits for the number n that the words are, of 32 or 63 bits."""
    if compute is float32:
        return (upper.astype(float32) + 0.5) * 2.0**-32
    rest = (lower >> np.uint32(1)).astype(int32).astype(float64) + 0.5
    return (upper.astype(float64) * 2.0**31 + rest) * 2.0**-63


def _float(name: str, dtype: DTypeLike) -> DType:
    kind = as_dtype(dtype)
    if not kind.is_float:
        fail(GraphcTypeError, f"{name}: numbers of this distribution are floats, not {kind}")
    return kind


def _is_number(value: object, number: int) -> bool:
    return type(value) in (int, float) and value == number


def _parameter(name: str, what: str, value: TensorLike, shape: Shape, kind: DType) -> Tensor:
    """Return a parameter in the type to compute in; it may widen the shape in no way."""
    node = as_node(value, kind.compute)
    try:
        fits = broadcast_shapes(node.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        fail(
            ShapeError,
            f"{name}: {what} of shape {node.shape} does not broadcast to {shape}",
            [node],
            "shape= is that of the result",
        )
    return Tensor(broadcast_to(node, shape))


def _located(
    name: str, numbers: Tensor, location: TensorLike, scale: TensorLike, kind: DType
) -> Tensor:
    """Return location + scale * numbers, rounded once."""
    result = numbers
    if not _is_number(scale, 1):
        result = result * _parameter(name, "scale", scale, numbers.shape, kind)
    if not _is_number(location, 0):
        result = _parameter(name, "location", location, numbers.shape, kind) + result
    return result.astype(kind)


def normal(
    key: TensorLike,
    shape: ShapeLike = (),
    location: TensorLike = 0.0,
    scale: TensorLike = 1.0,
    dtype: DTypeLike = float32,
) -> Tensor:
    """Return normally distributed numbers, of mean `location` and standard deviation `scale`.

    By the quantile of the normal distribution, exact in the tails; the greatest magnitude is 6.3 in
    float32 and 9.1 in float64, beyond which a number lies with probability 2**-32 and 2**-63.

    >>> normal(key(0), (3,), dtype="float64").type
    TensorType(shape=(3,), dtype=graphc.float64)
    """
    kind = _float("normal", dtype)
    least = 2.0**-33 if kind.compute is float32 else 2.0**-64
    numbers = normal_quantile(*_shares(key, as_shape(shape), kind.compute), least)
    return _located("normal", numbers, location, scale, kind)


def truncated_normal(
    key: TensorLike,
    low: float,
    high: float,
    shape: ShapeLike = (),
    location: TensorLike = 0.0,
    scale: TensorLike = 1.0,
    dtype: DTypeLike = float32,
) -> Tensor:
    """Return normally distributed numbers between `low` and `high`, times scale, plus location.

    The bounds are Python numbers and belong to the standard normal distribution, before scale and
    location. Exact far out too: `low=5, high=6` is as good as any. Raises GraphcValueError for an
    interval that is empty or has a probability below 1e-30.

    >>> truncated_normal(key(0), -2, 2, (64, 10)).shape
    (64, 10)
    """
    kind, compute = _float("truncated_normal", dtype), as_dtype(dtype).compute
    below, above, inside = _masses(float(low), float(high))
    share, rest = _shares(key, as_shape(shape), compute)
    numbers = normal_quantile(below + inside * share, above + inside * rest)
    bounded = elementwise.clip(numbers, float(low), float(high))
    return _located("truncated_normal", bounded, location, scale, kind)


def _masses(low: float, high: float) -> tuple[float, float, float]:
    """Return the probabilities below, above and inside of an interval, each without cancelling."""

    def upper_tail(x: float) -> float:
        return math.erfc(x * math.sqrt(0.5)) / 2

    below, above = upper_tail(-low), upper_tail(high)
    if low > 0:
        inside = upper_tail(low) - above
    elif high < 0:
        inside = upper_tail(-high) - below
    else:
        inside = 1 - below - above
    if not inside >= 1e-30:
        fail(
            GraphcValueError,
            f"truncated_normal: {low} … {high} has no probability to speak of: {inside:.3g}",
            hint="low is less than high, and both are measured in standard deviations",
        )
    return below, above, inside


def exponential(
    key: TensorLike, shape: ShapeLike = (), scale: TensorLike = 1.0, dtype: DTypeLike = float32
) -> Tensor:
    """Return exponentially distributed numbers of mean `scale`; all are positive.

    >>> exponential(key(0), (3,)).shape
    (3,)
    """
    kind = _float("exponential", dtype)
    share, rest = _shares(key, as_shape(shape), kind.compute)
    return _located("exponential", -_logarithm(rest, share), 0.0, scale, kind)


def _logarithm(share: Tensor, rest: Tensor) -> Tensor:
    """Return log(share), exact near 1 by what is missing to it."""
    small = elementwise.where(share < 0.5, 0.5, rest)
    return elementwise.where(share < 0.5, elementwise.log(share), elementwise.log1p(-small))


def gumbel(
    key: TensorLike,
    shape: ShapeLike = (),
    location: TensorLike = 0.0,
    scale: TensorLike = 1.0,
    dtype: DTypeLike = float32,
) -> Tensor:
    """Return numbers of Gumbel's distribution, that of the greatest of many: -log(-log(u)).

    >>> gumbel(key(0), (3,)).shape
    (3,)
    """
    kind = _float("gumbel", dtype)
    numbers = _gumbel(key, as_shape(shape), kind.compute)
    return _located("gumbel", numbers, location, scale, kind)


def _gumbel(key: TensorLike, shape: Shape, compute: DType) -> Tensor:
    return -elementwise.log(-_logarithm(*_shares(key, shape, compute)))


def logistic(
    key: TensorLike,
    shape: ShapeLike = (),
    location: TensorLike = 0.0,
    scale: TensorLike = 1.0,
    dtype: DTypeLike = float32,
) -> Tensor:
    """Return numbers whose distribution function is the sigmoid: log(u / (1 - u)).

    >>> logistic(key(0), (3,)).shape
    (3,)
    """
    kind = _float("logistic", dtype)
    share, rest = _shares(key, as_shape(shape), kind.compute)
    numbers = elementwise.log(share) - elementwise.log(rest)
    return _located("logistic", numbers, location, scale, kind)


def laplace(
    key: TensorLike,
    shape: ShapeLike = (),
    location: TensorLike = 0.0,
    scale: TensorLike = 1.0,
    dtype: DTypeLike = float32,
) -> Tensor:
    """Return numbers of Laplace's distribution: exponential ones of either sign.

    >>> laplace(key(0), (3,)).shape
    (3,)
    """
    kind = _float("laplace", dtype)
    share, rest = _shares(key, as_shape(shape), kind.compute)
    size = elementwise.log(2 * elementwise.minimum(share, rest))
    numbers = elementwise.where(share < rest, size, -size)
    return _located("laplace", numbers, location, scale, kind)


def bernoulli(
    key: TensorLike, probability: TensorLike = 0.5, shape: ShapeLike | None = None
) -> Tensor:
    """Return bools that are true with a probability; in its shape, unless another is given.

    A Python number is kept to within 2**-33, a tensor in its own precision. Probabilities below 0
    and above 1 count as 0 and 1.

    >>> bernoulli(key(0), 0.9, (64, 10)).type
    TensorType(shape=(64, 10), dtype=graphc.bool_)
    """
    if isinstance(probability, int | float):
        return _coins(key, float(probability), as_shape(() if shape is None else shape))
    wide, kind = as_float(probability)
    extents = wide.shape if shape is None else as_shape(shape)
    chance = _parameter("bernoulli", "probability", wide, extents, kind)
    return _share(key, extents, kind.compute) < chance


def _coins(key: TensorLike, probability: float, shape: Shape) -> Tensor:
    if math.isnan(probability):
        fail(GraphcValueError, "bernoulli: the probability is NaN")
    threshold = round(min(max(probability, 0.0), 1.0) * 2**32)
    if threshold == 2**32:
        blocks(key, ())  # a key is asked for, whatever the probability
        return constructors.full(shape, True)
    return bits(key, shape) < np.uint32(threshold)


def randint(
    key: TensorLike, shape: ShapeLike, low: int, high: int, dtype: DTypeLike = int64
) -> Tensor:
    """Return integers from `low` up to but without `high`, Python integers.

    Of the n = high - low integers, at most 2**32, each has a probability that differs from 1 / n by
    less than 2**-64. Raises GraphcValueError where there are none, or too many, or beyond `dtype`.

    >>> randint(key(0), (3, 2), 0, 10).type
    TensorType(shape=(3, 2), dtype=graphc.int64)
    """
    kind, first, last = as_dtype(dtype), operator.index(low), operator.index(high) - 1
    if not kind.is_integer:
        fail(GraphcTypeError, f"randint gives integers, not {kind}")
    limits = np.iinfo(kind.numpy)
    if last < first or last - first >= 2**32:
        fail(GraphcValueError, f"randint: {low} … {high} are not 1 to 2**32 integers")
    if first < limits.min or last > limits.max:
        fail(GraphcValueError, f"randint: {low} … {high} does not fit {kind}")
    upper, lower = (word.astype(uint64) for word in blocks(key, shape))
    count = np.uint64(last - first + 1)
    # The product of the 64 random bits with the count, without its lower 64 bits.
    place = (upper * count + (lower * count >> WORD)) >> WORD
    return (place + np.uint64(first % 2**64)).astype(kind)


def categorical(
    key: TensorLike, logits: TensorLike, axis: int = -1, samples: ShapeLike = ()
) -> Tensor:
    """Return class numbers, int64, drawn with the probabilities softmax(logits) over `axis`.

    In the shape of the logits without that axis; `samples` is put before it. A class of logit -inf
    is never drawn while there is another. By Gumbel's trick: the greatest of logit plus noise.

    >>> categorical(key(0), np.zeros((4, 10), np.float32), samples=(100,)).shape
    (100, 4)
    """
    wide, _ = as_float(logits)
    if not wide.ndim:
        fail(ShapeError, "categorical: the logits have no axis of classes", [wide.node])
    place = normalise_axis("categorical", axis, wide.ndim, wide.node)
    leading = as_shape(samples)
    noise = _gumbel(key, (*leading, *wide.shape), wide.dtype)
    return reductions.argmax(wide + noise, axis=len(leading) + place)


def permutation(key: TensorLike, count: int) -> Tensor:
    """Return the integers 0 … count - 1 in a random order, int64.

    The places of `count` random 64-bit words in their order. Two words are equal with a probability
    of at most count**2 / 2**65; the earlier one then goes first.

    >>> permutation(key(0), 5).type
    TensorType(shape=(5,), dtype=graphc.int64)
    """
    number = operator.index(count)
    if number < 0:
        fail(GraphcValueError, f"permutation: {number} elements")
    upper, lower = (word.astype(uint64) for word in blocks(key, (number,)))
    return sorting.argsort(upper << WORD | lower)


def shuffle(key: TensorLike, x: TensorLike, axis: int = 0) -> Tensor:
    """Return x with its parts along `axis` in a random order, that of `permutation`.

    >>> shuffle(key(0), np.zeros((5, 2))).shape
    (5, 2)
    """
    node = as_node(x)
    place = normalise_axis("shuffle", axis, len(node.shape), node)
    return indexing.take(Tensor(node), permutation(key, node.shape[place]), place, mode="clip")


def choice(
    key: TensorLike,
    options: int | TensorLike,
    shape: ShapeLike = (),
    replace: bool = True,
    probabilities: TensorLike | None = None,
) -> Tensor:
    """Return elements of `options`, or, of an integer, numbers below it, in a shape.

    `options` has one axis, and `probabilities`, if there are any, one for each. With
    `replace=False` every one is chosen at most once, each among those that are left; what has the
    probability 0 comes last. Raises GraphcValueError where there are too few.

    >>> choice(key(0), np.float32([0.1, 0.2, 0.3]), (4, 2)).type
    TensorType(shape=(4, 2), dtype=graphc.float32)
    """
    given: Any = constructors.arange(options) if isinstance(options, int) else options
    node, extents = as_node(given), as_shape(shape)
    if len(node.shape) != 1 or not node.shape[0]:
        fail(ShapeError, f"choice: options of shape {node.shape} are no list of any", [node])
    count, wanted = node.shape[0], math.prod(extents)
    if not replace and wanted > count:
        fail(GraphcValueError, f"choice: {wanted} of {count} without replacement", [node])
    if probabilities is None:
        drawn = randint(key, extents, 0, count) if replace else permutation(key, count)[:wanted]
    else:
        wide, kind = as_float(probabilities)
        logits = elementwise.log(_parameter("choice", "probabilities", wide, (count,), kind))
        if replace:
            drawn = categorical(key, logits, samples=extents)
        else:
            noisy = logits + _gumbel(key, (count,), logits.dtype)
            drawn = sorting.argsort(noisy, descending=True)[:wanted]
    places = shapes.reshape(drawn, extents)
    return indexing.take(Tensor(node), places, 0, mode="clip")
