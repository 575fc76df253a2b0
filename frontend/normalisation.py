"""Normalisation of features: batch, group, instance and RMS norm; `layer_norm` is in `composites`.

Each subtracts a mean and divides by a deviation (RMS norm by a root mean square alone), and takes a
`scale` and a `bias` for each channel. `epsilon` is added to the variance. float16 and bfloat16 are
computed in float32 and rounded once. Channels are the last axis, or axis 1 if `channels_first`.
"""

from __future__ import annotations

from typing import SupportsIndex

from graphc.errors import GraphcTypeError, ShapeError
from graphc.frontend import elementwise, reductions, shapes
from graphc.frontend.composites import as_float
from graphc.frontend.operands import as_node, cast, fail, normalise_axes
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.window_geometry import numbers

__all__ = ["batch_norm", "group_norm", "instance_norm", "moments", "rms_norm"]


def moments(x: TensorLike, *, channels_first: bool = False) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance (divided by their number) of the elements of each channel.

    >>> from graphc.frontend import input
    >>> [m.shape for m in moments(input((8, 14, 14, 32)))]
    [(32,), (32,)]
    """
    wide, _ = as_float(x)
    place = _channel_axis("moments", wide, channels_first)
    others = tuple(a for a in range(wide.ndim) if a != place)
    mean, variance = _moments(wide, others)
    return shapes.reshape(mean, (-1,)), shapes.reshape(variance, (-1,))


def batch_norm(
    x: TensorLike,
    mean: TensorLike,
    variance: TensorLike,
    scale: TensorLike | None = None,
    bias: TensorLike | None = None,
    epsilon: float = 1e-5,
    *,
    channels_first: bool = False,
) -> Tensor:
    """Return x with the mean and variance of each channel taken away; source: arXiv:1502.03167.

    `moments(x)` are those of a batch in training; `nn.BatchNorm` keeps a running average of them.

    >>> from graphc.frontend import input
    >>> x = input((8, 14, 14, 32))
    >>> batch_norm(x, *moments(x)).shape
    (8, 14, 14, 32)
    """
    wide, result = as_float(x)
    place = _channel_axis("batch_norm", wide, channels_first)
    centre, spread = (
        _of_channels("batch_norm", what, value, wide, place)
        for what, value in (("mean", mean), ("variance", variance))
    )
    answer = (wide - centre) * elementwise.reciprocal(elementwise.sqrt(spread + epsilon))
    return _scaled("batch_norm", answer, scale, bias, place).astype(result)


def group_norm(
    x: TensorLike,
    groups: int,
    scale: TensorLike | None = None,
    bias: TensorLike | None = None,
    epsilon: float = 1e-5,
    *,
    channels_first: bool = False,
) -> Tensor:
    """Return x normalised over space and groups of neighbouring channels; arXiv:1803.08494.

    Raises ShapeError where the groups do not divide the channels.
    """
    return _over_groups("group_norm", x, groups, (scale, bias), epsilon, channels_first)


def instance_norm(
    x: TensorLike,
    scale: TensorLike | None = None,
    bias: TensorLike | None = None,
    epsilon: float = 1e-5,
    *,
    channels_first: bool = False,
) -> Tensor:
    """Return x with each channel of each example normalised over space; arXiv:1607.08022."""
    name = "instance_norm"
    wide, _ = as_float(x)
    channels = wide.shape[_channel_axis(name, wide, channels_first)]
    return _over_groups(name, x, max(channels, 1), (scale, bias), epsilon, channels_first)


def rms_norm(
    x: TensorLike,
    scale: TensorLike | None = None,
    axis: SupportsIndex | tuple[SupportsIndex, ...] = -1,
    epsilon: float = 1e-6,
) -> Tensor:
    """Return x divided by its root mean square over `axis`, times `scale`; arXiv:1910.07467.

    >>> from graphc.frontend import input
    >>> rms_norm(input((8, 16)), scale=input((16,))).shape
    (8, 16)
    """
    wide, result = as_float(x)
    normalise_axes("rms_norm", axis, wide.ndim, wide.node)
    power = reductions.mean(elementwise.square(wide), axis, keepdims=True)
    answer = wide * elementwise.reciprocal(elementwise.sqrt(power + epsilon))
    if scale is not None:
        answer = answer * _fitting("rms_norm", "scale", scale, answer)
    return answer.astype(result)


def _over_groups(
    name: str,
    x: TensorLike,
    groups: int,
    parameters: tuple[TensorLike | None, TensorLike | None],
    epsilon: float,
    channels_first: bool,
) -> Tensor:
    wide, result = as_float(x)
    place = _channel_axis(name, wide, channels_first)
    (count,) = numbers(name, "number of groups", groups, 1, wide.node)
    shape = wide.shape
    if shape[place] % count:
        fail(
            ShapeError,
            f"{name}: {count} groups do not divide the {shape[place]} channels of {shape}",
            [wide.node],
        )
    grouped = (*shape[:place], count, shape[place] // count, *shape[place + 1 :])
    apart = shapes.reshape(wide, grouped)
    others = tuple(a for a in range(1, apart.ndim) if a != place)
    mean, variance = _moments(apart, others)
    normal = (apart - mean) * elementwise.reciprocal(elementwise.sqrt(variance + epsilon))
    answer = shapes.reshape(normal, shape)
    return _scaled(name, answer, *parameters, place).astype(result)


def _moments(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    mean = reductions.mean(x, axes, keepdims=True)
    return mean, reductions.mean(elementwise.square(x - mean), axes, keepdims=True)


def _channel_axis(name: str, x: Tensor, channels_first: bool) -> int:
    if x.ndim < 2:
        fail(ShapeError, f"{name}: x has axes of batch and channels, not {x.shape}", [x.node])
    return 1 if channels_first else x.ndim - 1


def _scaled(
    name: str, x: Tensor, scale: TensorLike | None, bias: TensorLike | None, place: int
) -> Tensor:
    if scale is not None:
        x = x * _of_channels(name, "scale", scale, x, place)
    if bias is not None:
        x = x + _of_channels(name, "bias", bias, x, place)
    return x


def _of_channels(name: str, what: str, value: TensorLike, x: Tensor, place: int) -> Tensor:
    """Return one number a channel so that it broadcasts against x, in the dtype of x."""
    node = as_node(value)
    if node.shape != (x.shape[place],):
        fail(
            ShapeError,
            f"{name}: the {what} has one number for each of {x.shape[place]} channels, "
            f"not the shape {node.shape}",
            [node, x.node],
        )
    along = tuple(-1 if a == place else 1 for a in range(x.ndim))
    return _fitting(name, what, shapes.reshape(Tensor(node), along), x)


def _fitting(name: str, what: str, value: TensorLike, x: Tensor) -> Tensor:
    node = as_node(value)
    if not node.type.dtype.is_float:
        fail(GraphcTypeError, f"{name}: the {what} is {node.type.dtype}, not a float", [node])
    return Tensor(cast(node, x.dtype))
