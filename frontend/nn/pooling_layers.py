"""Pooling as layers; see `graphc.frontend.pooling` for what each computes. None has parameters."""

from __future__ import annotations

from graphc.frontend import pooling
from graphc.frontend.nn.module import Module
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.window_geometry import Extents, Padding

__all__ = [
    "AdaptiveAveragePool", "AdaptiveMaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool",
    "MaxPool",
]  # fmt: skip


class MaxPool(Module):
    """`max_pool` over every spatial axis there is.

    >>> from graphc.frontend import input
    >>> MaxPool(2)(input((8, 28, 28, 16))).shape
    (8, 14, 14, 16)
    """

    def __init__(
        self,
        size: Extents,
        stride: Extents | None = None,
        padding: Padding = "valid",
        dilation: Extents = 1,
        *,
        channels_first: bool = False,
    ) -> None:
        self.size, self.stride, self.padding = size, stride, padding
        self.dilation, self.channels_first = dilation, channels_first

    def forward(self, x: TensorLike) -> Tensor:
        """Return the greatest element of each window."""
        return pooling.max_pool(
            x,
            self.size,
            self.stride,
            self.padding,
            self.dilation,
            channels_first=self.channels_first,
        )

    def extra_repr(self) -> str:
        """Return the size, and the stride if it differs."""
        return str(self.size) + (f", stride={self.stride}" if self.stride is not None else "")


class AveragePool(Module):
    """`average_pool` over every spatial axis there is."""

    def __init__(
        self,
        size: Extents,
        stride: Extents | None = None,
        padding: Padding = "valid",
        *,
        count_include_pad: bool = True,
        channels_first: bool = False,
    ) -> None:
        self.size, self.stride, self.padding = size, stride, padding
        self.count_include_pad, self.channels_first = count_include_pad, channels_first

    def forward(self, x: TensorLike) -> Tensor:
        """Return the mean of each window."""
        return pooling.average_pool(
            x,
            self.size,
            self.stride,
            self.padding,
            count_include_pad=self.count_include_pad,
            channels_first=self.channels_first,
        )

    def extra_repr(self) -> str:
        """Return the size, and the stride if it differs."""
        return str(self.size) + (f", stride={self.stride}" if self.stride is not None else "")


class _OverAll(Module):
    def __init__(self, *, keepdims: bool = False, channels_first: bool = False) -> None:
        self.keepdims, self.channels_first = keepdims, channels_first


class GlobalMaxPool(_OverAll):
    """`global_max_pool` as a module."""

    def forward(self, x: TensorLike) -> Tensor:
        """Return the greatest element of each channel."""
        return pooling.global_max_pool(
            x, keepdims=self.keepdims, channels_first=self.channels_first
        )


class GlobalAveragePool(_OverAll):
    """`global_average_pool` as a module."""

    def forward(self, x: TensorLike) -> Tensor:
        """Return the mean of each channel."""
        return pooling.global_average_pool(
            x, keepdims=self.keepdims, channels_first=self.channels_first
        )


class _Adaptive(Module):
    def __init__(self, places: Extents, *, channels_first: bool = False) -> None:
        self.places, self.channels_first = places, channels_first

    def extra_repr(self) -> str:
        """Return the places."""
        return str(self.places)


class AdaptiveMaxPool(_Adaptive):
    """`adaptive_max_pool` as a module."""

    def forward(self, x: TensorLike) -> Tensor:
        """Return the greatest element of each window."""
        return pooling.adaptive_max_pool(x, self.places, channels_first=self.channels_first)


class AdaptiveAveragePool(_Adaptive):
    """`adaptive_average_pool` as a module."""

    def forward(self, x: TensorLike) -> Tensor:
        """Return the mean of each window."""
        return pooling.adaptive_average_pool(x, self.places, channels_first=self.channels_first)
