"""Convolutions, and the windows that they are made of.

Tensors have the channels last: (batch, spatial axes…, channels); `channels_first` says that x and
the result are (batch, channels, spatial axes…) instead. Weights always have the shape (spatial
axes…, input channels / groups, output channels) and are not flipped, as usual in this field. There
may be any number of spatial axes. The channels are cut into `groups` of neighbours, each of which
is convolved by itself; with as many groups as channels a convolution is depthwise.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, SupportsIndex

from graphc.dtypes import bool_
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend.operands import apply, as_node, fail, normalise_axes, promote
from graphc.frontend.shapes import reshape_node
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.window_geometry import (
    Extents,
    Padding,
    explicit_padding,
    geometry,
    numbers,
)
from graphc.node import Node
from graphc.tensor_type import Shape

__all__ = ["convolution", "transposed_convolution", "windows"]


def windows(
    x: TensorLike,
    sizes: Extents,
    axes: SupportsIndex | Sequence[SupportsIndex],
    strides: Extents = 1,
    dilations: Extents = 1,
) -> Tensor:
    """Return blocks of neighbouring elements along `axes`: a view that costs nothing.

    Each axis becomes one of as many places as windows fit; at the end follows an axis of offsets
    inside the window for each, as with `numpy.lib.stride_tricks.sliding_window_view`. Windows begin
    `strides` apart, their elements lie `dilations` apart. Raises ShapeError where none fits.

    >>> from graphc.frontend import input
    >>> windows(input((8, 9)), sizes=3, axes=1, strides=2).shape
    (8, 4, 3)
    """
    node = as_node(x)
    given = tuple(axes) if isinstance(axes, Sequence) else axes
    over = normalise_axes("windows", given, len(node.shape), node)
    extents = tuple(node.shape[a] for a in over)
    if isinstance(given, tuple) and [int(a) % len(node.shape) for a in given] != [*over]:
        fail(GraphcValueError, f"windows: the axes {axes} are not ascending", [node])
    found = geometry("windows", node, extents, sizes, strides, "valid", dilations)
    return Tensor(
        apply(
            "windows",
            node,
            axes=over,
            sizes=found.sizes,
            strides=found.strides,
            dilations=found.dilations,
        )
    )


def convolution(
    x: TensorLike,
    w: TensorLike,
    *,
    stride: Extents = 1,
    padding: Padding = "valid",
    dilation: Extents = 1,
    groups: int = 1,
    channels_first: bool = False,
) -> Tensor:
    """Return the convolution of x with the weights w, over all axes but batch and channels.

    `padding` is "valid", "same", a number of zeros on both sides, or for each spatial axis a number
    or a pair. Raises ShapeError where shapes do not fit.

    >>> from graphc.frontend import input
    >>> images, weights = input((64, 28, 28, 3)), input((5, 5, 3, 16))
    >>> convolution(images, weights, stride=2, padding="same").shape
    (64, 14, 14, 16)
    """
    node, weights = _operands("convolution", x, w)
    layout = _Layout("convolution", node, weights, groups, channels_first)
    found = geometry(
        "convolution", node, layout.extents, weights.shape[:-2], stride, padding, dilation
    )
    return layout.convolve(
        node,
        weights,
        strides=found.strides, low=found.low, high=found.high,
        dilations=found.dilations, x_dilations=(1,) * len(layout.extents),
    )  # fmt: skip


def transposed_convolution(
    x: TensorLike,
    w: TensorLike,
    *,
    stride: Extents = 1,
    padding: Padding = "valid",
    output_padding: Extents = 0,
    dilation: Extents = 1,
    groups: int = 1,
    channels_first: bool = False,
) -> Tensor:
    """Return the transpose of a convolution: every element of x adds w, times itself, to a window.

    It has the shape of what a convolution with this stride and padding would turn into that of x,
    and is its derivative. `padding` cuts so much off both ends; "same" leaves the extents of x
    times the stride. `output_padding` makes the end longer. Weights have the shape (spatial axes…,
    input channels / groups, output channels), the inputs being those of this function.

    >>> from graphc.frontend import input
    >>> transposed_convolution(input((8, 7, 7, 16)), input((4, 4, 16, 3)), stride=2).shape
    (8, 16, 16, 3)
    """
    name = "transposed_convolution"
    node, weights = _operands(name, x, w)
    layout = _Layout(name, node, weights, groups, channels_first)
    rank, sizes = len(layout.extents), weights.shape[:-2]
    step, apart = (
        numbers(name, what, values, rank, node)
        for what, values in (("stride", stride), ("dilation", dilation))
    )
    more = numbers(name, "output padding", output_padding, rank, node, least=0)
    reaches = [(k - 1) * d + 1 for k, d in zip(sizes, apart, strict=True)]
    if padding == "same":
        gone = [r - s for r, s in zip(reaches, step, strict=True)]
        low = tuple(max(0, n) // 2 for n in gone)
        high = tuple(n - a for n, a in zip(gone, low, strict=True))
    else:
        none = (0,) * rank
        cut = explicit_padding(name, none if padding == "valid" else padding, rank, node)
        low, high = cut
    _check_not_all_cut(name, node, layout.extents, step, reaches, low, high, more)
    return layout.convolve(
        node,
        _flipped(weights, rank),
        strides=(1,) * rank,
        low=tuple(r - 1 - a for r, a in zip(reaches, low, strict=True)),
        high=tuple(r - 1 - b + m for r, b, m in zip(reaches, high, more, strict=True)),
        dilations=apart,
        x_dilations=step,
    )


def _check_not_all_cut(
    name: str, node: Node, extents: Shape, step: Shape, reaches: Sequence[int], *ends: Shape
) -> None:
    low, high, more = ends
    for n, extent in enumerate(extents):
        if (extent - 1) * step[n] + reaches[n] + more[n] < low[n] + high[n]:
            fail(ShapeError, f"{name}: the padding of axis {n} leaves nothing of it", [node])


def _operands(name: str, x: TensorLike, w: TensorLike) -> tuple[Node, Node]:
    node, weights = promote(x, w)
    if node.type.dtype is bool_:
        fail(GraphcTypeError, f"{name} is not defined for bool", [node, weights])
    if len(node.shape) != len(weights.shape) or len(node.shape) < 3:
        fail(
            ShapeError,
            f"{name}: x {node.shape} is (batch, spatial…, channels) and the weights "
            f"{weights.shape} are (spatial…, inputs, outputs), of as many axes",
            [node, weights],
            "a batch of one: x[None]" if len(node.shape) + 1 == len(weights.shape) else "",
        )
    return node, weights


class _Layout:
    """Where the axes of x and of the result are, and how channels are cut into groups."""

    def __init__(
        self, name: str, x: Node, weights: Node, groups: int, channels_first: bool
    ) -> None:
        (self.groups,) = (groups,) = numbers(name, "number of groups", groups, 1, x)
        self.place = 1 if channels_first else len(x.shape) - 1
        channels = x.shape[self.place]
        self.extents = tuple(n for axis, n in enumerate(x.shape) if axis not in (0, self.place))
        inputs, outputs = weights.shape[-2:]
        if inputs * groups != channels or outputs % groups:
            fail(
                ShapeError,
                f"{name}: weights of shape {weights.shape} in {groups} groups take "
                f"{inputs * groups} channels and give a multiple of {groups}; x of shape "
                f"{x.shape} has {channels}",
                [x, weights],
                _channel_hint(x.shape, inputs * groups, channels_first),
            )

    def convolve(self, x: Node, weights: Node, **geometry: Shape) -> Tensor:
        """Return the convolution of `x` with `weights`."""
        digits = string.digits[: len(self.extents)]
        c, o, w = ("c", "o", f"{digits}co") if self.groups == 1 else ("gc", "go", f"{digits}cgo")
        lhs, out = (
            f"b{label}{digits}" if self.place == 1 else f"b{digits}{label}" for label in (c, o)
        )
        if self.groups > 1:
            x = _cut(x, self.place, self.groups)
            weights = _cut(weights, len(weights.shape) - 1, self.groups)
        result = apply("convolution", x, weights, lhs=lhs, rhs=w, out=out, **geometry)
        if self.groups > 1:
            shape, place = result.shape, self.place
            joined = (*shape[:place], shape[place] * shape[place + 1], *shape[place + 2 :])
            result = reshape_node(result, joined)
        return Tensor(result)


def _channel_hint(shape: Shape, wanted: int, channels_first: bool) -> str:
    if channels_first and shape[-1] == wanted:
        return "x looks as if its channels came last: leave channels_first out"
    if not channels_first and shape[1] == wanted:
        return "x looks as if its channels came first: channels_first=True"
    return ""


def _cut(node: Node, axis: int, groups: int) -> Node:
    """Return `node` with an axis of channels as two, of groups and of channels in a group."""
    shape = node.shape
    each = shape[axis] // groups
    return reshape_node(node, (*shape[:axis], groups, each, *shape[axis + 1 :]))


def _flipped(weights: Node, rank: int) -> Node:
    shape: Any = weights.shape
    turned = [axis < rank for axis in range(len(shape))]
    return apply(
        "slice",
        weights,
        start=tuple(n - 1 if t else 0 for n, t in zip(shape, turned, strict=True)),
        stop=tuple(-1 if t else n for n, t in zip(shape, turned, strict=True)),
        step=tuple(-1 if t else 1 for t in turned),
    )
