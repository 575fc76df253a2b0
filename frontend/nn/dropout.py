"""Dropout: parts of a tensor are set to 0 at random while a model is trained.

The layers keep their key in a variable, which is no parameter. Every call in training takes the
next key and assigns it, also several in one step; in evaluation they give back what they get. The
numbers that are kept are divided by the probability to be kept, so that means stay. Under `vmap`
the number of the example goes into the key: each has a mask of its own.
Source: Srivastava et al. 2014; of channels, Tompson et al. 2015 (arXiv:1411.4280).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.dtypes import uint32
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import constructors, elementwise, random_numbers
from graphc.frontend.nn.module import Module
from graphc.frontend.operands import as_node, fail, normalise_axes
from graphc.frontend.recording import example_numbers
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.variable import Variable
from graphc.interpreter import evaluate

__all__ = ["Dropout", "Dropout1d", "Dropout2d", "dropout"]

DropoutLike: TypeAlias = "float | Callable[[Any], Tensor] | None"  # a layer's argument `dropout`


def dropout(
    x: TensorLike, rate: float, key: TensorLike, shared_axes: int | Sequence[int] = ()
) -> Tensor:
    """Return x with each element set to 0 with probability `rate`, the others over 1 - rate.

    `rate` is a Python number from 0 to 1. Along `shared_axes` elements share their fate. Raises
    GraphcTypeError unless x is a tensor of floats, and GraphcValueError for another rate.

    >>> from graphc.frontend import input, random_numbers
    >>> dropout(input((64, 10)), 0.5, random_numbers.key(0)).shape
    (64, 10)
    """
    node = as_node(x)
    _check_rate(rate)
    if not node.type.dtype.is_float:
        fail(GraphcTypeError, f"dropout: floats are needed, not {node.type.dtype}", [node])
    given = (shared_axes,) if isinstance(shared_axes, int) else tuple(shared_axes)
    shared = normalise_axes("dropout", given, len(node.shape), node)
    extents = tuple(1 if axis in shared else n for axis, n in enumerate(node.shape))
    if rate == 0:
        return Tensor(node)
    kept = random_numbers.bernoulli(key, 1 - rate, extents)
    scaled = Tensor(node) * (1 / (1 - rate) if rate < 1 else 1.0)
    return elementwise.where(kept, scaled, 0)


def _check_rate(rate: float) -> None:
    if not isinstance(rate, int | float):
        fail(GraphcTypeError, f"a rate of dropout is a number, not {rate!r}")
    if not 0 <= rate <= 1:
        fail(GraphcValueError, f"a rate of dropout is in 0 … 1, and not {rate}")


def _following(key: Tensor) -> Tensor:
    """Return the key after this one: as a number of 64 bits it is greater by one."""
    carry = elementwise.equal(key[1], np.uint32(0xFFFFFFFF)).astype(uint32)
    is_lower = constructors.iota((2,), 0, uint32) == np.uint32(1)
    return key + elementwise.where(is_lower, np.uint32(1), carry)


class Dropout(Module):
    """`dropout` of single elements while it is trained, with a key of its own.

    `seed` makes the first key; layers of one seed and one shape drop the same elements. The key is
    a random one, and counted up: streams of other seeds do not meet this one.

    >>> Dropout(0.5, seed=0)
    Dropout(0.5)
    """

    def __init__(self, rate: float = 0.5, *, seed: int) -> None:
        _check_rate(rate)
        self.rate = rate
        (first,) = evaluate([random_numbers.fold_in(random_numbers.key(seed), 0).node])
        self.key = Variable(first, trainable=False)

    def shared_axes(self, x: Tensor) -> tuple[int, ...]:
        """Return the axes along which elements share their fate; raise where x has too few."""
        return ()

    def forward(self, x: TensorLike) -> Tensor:
        """Return x with parts set to 0 in training, x itself in evaluation.

        Raises TracingError in training outside of a compiled function, since the key moves on.
        """
        tensor = Tensor(as_node(x))
        shared = self.shared_axes(tensor)
        if not self.training or not self.rate:
            return tensor
        key = Tensor(self.key.node)
        self.key.assign(_following(key))
        for number in example_numbers():
            key = random_numbers.fold_in(key, Tensor(number))
        return dropout(tensor, self.rate, key, shared)

    def extra_repr(self) -> str:
        """Return the rate."""
        return str(self.rate)


def as_dropout(
    layer: str, given: DropoutLike, random: np.random.Generator
) -> Callable[[Any], Tensor] | None:
    """Return the function that a layer's argument `dropout` means: of a rate, a `Dropout`.

    Its seed comes of a child of `random`, whose own numbers stay what they are without dropout.
    """
    if isinstance(given, bool | type) or not (
        given is None or callable(given) or isinstance(given, int | float | np.floating)
    ):
        fail(
            GraphcTypeError,
            f"{layer}: dropout is a rate, a module, a function or None, not {given!r}",
            hint="dropout=0.1, or dropout=nn.Dropout(0.1, seed=…)",
        )
    if given is None or callable(given):
        return given
    _check_rate(float(given))
    return Dropout(float(given), seed=int(random.spawn(1)[0].integers(2**63)))


class _OfChannels(Dropout):
    """Dropout of whole channels: all places of a sample share their fate.

    x is (batch, places…, channels), or with `channels_first` (batch, channels, places…).
    """

    places: int

    def __init__(self, rate: float = 0.5, *, seed: int, channels_first: bool = False) -> None:
        super().__init__(rate, seed=seed)
        self.channels_first = channels_first

    def shared_axes(self, x: Tensor) -> tuple[int, ...]:
        """Return the axes of places: all but those of the batch and of the channels."""
        if x.ndim != self.places + 2:
            fail(
                ShapeError,
                f"{type(self).__name__} wants {self.places + 2} axes, not the shape {x.shape}",
                [x.node],
                "one axis is that of the batch, and one that of the channels",
            )
        return tuple(range(2, x.ndim) if self.channels_first else range(1, x.ndim - 1))


class Dropout1d(_OfChannels):
    """Dropout of whole channels of sequences: (batch, length, channels)."""

    places = 1


class Dropout2d(_OfChannels):
    """Dropout of whole channels of images: (batch, height, width, channels)."""

    places = 2
