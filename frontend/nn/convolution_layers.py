"""Convolutions as layers: over one, two or three spatial axes, plain and transposed.

Tensors have the channels last, unless `channels_first`; see `graphc.frontend.convolutions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.dtypes import DTypeLike, as_dtype, float32
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import initialisers, shapes
from graphc.frontend.convolutions import convolution, transposed_convolution
from graphc.frontend.nn.module import Module
from graphc.frontend.operands import as_node, fail
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.variable import Variable
from graphc.frontend.window_geometry import Extents, Padding
from graphc.tensor_type import Shape

__all__ = [
    "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d",
]  # fmt: skip


class _Convolution(Module):
    """What all convolutions share.

    The weight has the shape (spatial axes…, inputs / groups, outputs).
    """

    rank: ClassVar[int]
    weight: Variable
    bias: Variable | None
    groups: int
    channels_first: bool
    geometry: dict[str, Any]

    def _make_parameters(
        self,
        shape: Shape,
        bias: bool,
        seed: initialisers.Seed,
        dtype: DTypeLike,
        first: tuple[initialisers.Start, initialisers.Start],
        name: str,
    ) -> None:
        """Draw the weight, and the bias if there is one, by the initialisers `first`."""
        random, kind = initialisers.generator(seed), as_dtype(dtype)
        prefix = f"{name}." if name else ""
        weight = initialisers.first_value(self._title, first[0], shape, random, kind)
        self.weight = Variable(weight, name=f"{prefix}weight")
        self.bias = None
        if bias:
            start = initialisers.first_value(self._title, first[1], shape[-1:], random, kind)
            self.bias = Variable(start, name=f"{prefix}bias")

    def _weight_shape(self, inputs: int, outputs: int, size: Extents, groups: int) -> Shape:
        sizes = tuple(size) if isinstance(size, Sequence) else (size,) * self.rank
        numbers: tuple[Any, ...] = (inputs, outputs, groups, *sizes)
        for number in numbers:
            if not isinstance(number, int | np.integer) or isinstance(number, bool):
                fail(GraphcTypeError, f"{self._title}: {number!r} is no integer")
        if len(sizes) != self.rank or min(inputs, outputs, groups, *sizes) < 1:
            fail(GraphcValueError, f"{self._title}: {self.rank} sizes of 1 or more, not {size}")
        if inputs % groups or outputs % groups:
            fail(
                GraphcValueError,
                f"{self._title}: {groups} groups do not divide {inputs} and {outputs} channels",
            )
        return (*sizes, inputs // groups, outputs)

    @property
    def _title(self) -> str:
        return type(self).__name__

    def _check(self, x: TensorLike) -> Tensor:
        node = as_node(x)
        inputs = self.weight.shape[-2] * self.groups
        place = 1 if self.channels_first else self.rank + 1
        if len(node.shape) != self.rank + 2 or node.shape[place] != inputs:
            axes = ("channels", "spatial…") if self.channels_first else ("spatial…", "channels")
            fail(
                ShapeError,
                f"{self._title} wants (batch, {', '.join(axes)}) with {self.rank} spatial axes and "
                f"{inputs} channels, not {node.shape}",
                [node, self.weight.node],
                self._hint(node.shape, inputs),
            )
        return Tensor(node)

    def _hint(self, shape: tuple[int, ...], inputs: int) -> str:
        axis = 1 if self.channels_first else -1
        if len(shape) == self.rank + 1 and inputs == 1:
            return f"an axis of one channel is missing: graphc.expand_dims(x, {axis})"
        if len(shape) == self.rank + 2 and shape[-1 if self.channels_first else 1] == inputs:
            there = "last" if self.channels_first else "first"
            here = not self.channels_first
            return f"the channels come {there}: say channels_first={here}, or move the axis"
        return ""

    def _with_bias(self, result: Tensor) -> Tensor:
        if self.bias is None:
            return result
        if self.channels_first:
            return result + shapes.reshape(self.bias, (-1, *(1 for _ in range(self.rank))))
        return result + self.bias

    def extra_repr(self) -> str:
        """Return channels, sizes, and what differs from the plainest convolution."""
        *sizes, inputs, outputs = self.weight.shape
        size = sizes[0] if len(set(sizes)) == 1 else tuple(sizes)
        words = [str(inputs * self.groups), str(outputs), f"size={size}"]
        words += [f"{k}={v!r}" for k, v in self.geometry.items() if v != _PLAIN[k]]
        words += [f"groups={self.groups}"] * (self.groups != 1)
        words += ["bias=False"] * (self.bias is None)
        return ", ".join(words)


_PLAIN = {"stride": 1, "padding": "valid", "dilation": 1, "output_padding": 0}


class _Conv(_Convolution):
    def __init__(  # noqa: PLR0913  # a layer says all that there is to say of its windows
        self,
        inputs: int,
        outputs: int,
        size: Extents,
        stride: Extents = 1,
        padding: Padding = "valid",
        dilation: Extents = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        seed: initialisers.Seed,
        dtype: DTypeLike = float32,
        channels_first: bool = False,
        weight_initialiser: initialisers.Start = "he_uniform",
        bias_initialiser: initialisers.Start = "zeros",
        name: str = "",
    ) -> None:
        shape = self._weight_shape(inputs, outputs, size, groups)
        first = weight_initialiser, bias_initialiser
        self._make_parameters(shape, bias, seed, dtype, first, name)
        self.groups, self.channels_first = groups, channels_first
        self.geometry = {"stride": stride, "padding": padding, "dilation": dilation}

    def forward(self, x: TensorLike) -> Tensor:
        """Return the convolution of x with the weight, plus the bias."""
        tensor = self._check(x)
        result = convolution(
            tensor,
            self.weight,
            groups=self.groups,
            channels_first=self.channels_first,
            **self.geometry,
        )
        return self._with_bias(result)


class _ConvTranspose(_Convolution):
    def __init__(  # noqa: PLR0913  # as above
        self,
        inputs: int,
        outputs: int,
        size: Extents,
        stride: Extents = 1,
        padding: Padding = "valid",
        dilation: Extents = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        output_padding: Extents = 0,
        seed: initialisers.Seed,
        dtype: DTypeLike = float32,
        channels_first: bool = False,
        weight_initialiser: initialisers.Start = "he_uniform",
        bias_initialiser: initialisers.Start = "zeros",
        name: str = "",
    ) -> None:
        shape = self._weight_shape(inputs, outputs, size, groups)
        first = weight_initialiser, bias_initialiser
        self._make_parameters(shape, bias, seed, dtype, first, name)
        self.groups, self.channels_first = groups, channels_first
        self.geometry = {"stride": stride, "padding": padding, "dilation": dilation}
        self.geometry["output_padding"] = output_padding

    def forward(self, x: TensorLike) -> Tensor:
        """Return the transposed convolution of x with the weight, plus the bias."""
        tensor = self._check(x)
        result = transposed_convolution(
            tensor,
            self.weight,
            groups=self.groups,
            channels_first=self.channels_first,
            **self.geometry,
        )
        return self._with_bias(result)


class Conv1d(_Conv):
    """A convolution over one axis: x (batch, length, channels), as `graphc.convolution` has it.

    >>> from graphc.frontend import input
    >>> layer = Conv1d(8, 16, 3, padding="same", seed=0)
    >>> layer(input((2, 100, 8))).shape
    (2, 100, 16)
    """

    rank = 1


class Conv2d(_Conv):
    """A convolution over two axes: x (batch, height, width, channels).

    >>> print(Conv2d(3, 16, 5, stride=2, seed=0))
    Conv2d(3, 16, size=5, stride=2)
    """

    rank = 2


class Conv3d(_Conv):
    """A convolution over three axes: x (batch, depth, height, width, channels)."""

    rank = 3


class ConvTranspose1d(_ConvTranspose):
    """A transposed convolution over one axis, as `graphc.transposed_convolution` has it."""

    rank = 1


class ConvTranspose2d(_ConvTranspose):
    """A transposed convolution over two axes.

    >>> from graphc.frontend import input
    >>> ConvTranspose2d(16, 8, 4, stride=2, padding=1, seed=0)(input((2, 7, 7, 16))).shape
    (2, 14, 14, 8)
    """

    rank = 2


class ConvTranspose3d(_ConvTranspose):
    """A transposed convolution over three axes."""

    rank = 3
