"""Normalisation as layers; see `graphc.frontend.normalisation` for what each computes."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.dtypes import DTypeLike, as_dtype, float32
from graphc.errors import GraphcValueError, ShapeError
from graphc.frontend import composites, normalisation
from graphc.frontend.nn.module import Module
from graphc.frontend.operands import as_node, fail
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.variable import Variable

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm", "RMSNorm"]


class _Norm(Module):
    """What they share: a scale of ones and a bias of zeros for each feature, if `affine`."""

    scale: Variable | None
    bias: Variable | None

    def _make_parameters(self, features: int, affine: bool, dtype: DTypeLike) -> None:
        if features < 1:
            fail(GraphcValueError, f"{type(self).__name__}: {features} features are none")
        kind = as_dtype(dtype).numpy
        self.features = features
        self.scale = Variable(np.ones(features, kind)) if affine else None
        self.bias = Variable(np.zeros(features, kind)) if affine else None

    def _checked(self, x: TensorLike, channels_first: bool = False) -> Tensor:
        """Return x; raises ShapeError unless it has the features where they are expected."""
        node = as_node(x)
        place = 1 if channels_first else len(node.shape) - 1
        if not 0 <= place < len(node.shape) or node.shape[place] != self.features:
            axis = "axis 1, that of the channels" if channels_first else "the last axis"
            fail(
                ShapeError,
                f"{type(self).__name__}({self.features}) wants {self.features} features along "
                f"{axis}, not the shape {node.shape}",
                [node],
                self._hint(node.shape, channels_first),
            )
        return Tensor(node)

    def _hint(self, shape: tuple[int, ...], channels_first: bool) -> str:
        other = -1 if channels_first else 1
        if not hasattr(self, "channels_first") or len(shape) < 3 or shape[other] != self.features:
            return ""
        return f"the channels come elsewhere: say channels_first={not channels_first}"

    def extra_repr(self) -> str:
        """Return the features."""
        return str(self.features) + ("" if self.scale is not None else ", affine=False")


class BatchNorm(_Norm):
    """`batch_norm` over all axes but the channels', of tensors of any rank.

    In training it takes the moments of the batch, and moves `running_mean` and `running_variance`
    towards them by `momentum` (the variance divided by n - 1, as PyTorch has it); in evaluation
    (`model.eval()`) it takes those two, which are no parameters.

    >>> from graphc.frontend import input
    >>> layer = BatchNorm(32)
    >>> [name for name, _ in layer.named_parameters()]
    ['scale', 'bias']
    """

    def __init__(
        self,
        features: int,
        momentum: float = 0.1,
        epsilon: float = 1e-5,
        affine: bool = True,
        *,
        channels_first: bool = False,
        dtype: DTypeLike = float32,
    ) -> None:
        self._make_parameters(features, affine, dtype)
        kind = as_dtype(dtype).compute.numpy
        self.momentum, self.epsilon, self.channels_first = momentum, epsilon, channels_first
        self.running_mean = Variable(np.zeros(features, kind), trainable=False)
        self.running_variance = Variable(np.ones(features, kind), trainable=False)

    def forward(self, x: TensorLike) -> Tensor:
        """Return x normalised; while training, the running moments move on."""
        tensor = self._checked(x, self.channels_first)
        mean, variance = self._moments(tensor)
        return normalisation.batch_norm(
            tensor,
            mean,
            variance,
            self.scale,
            self.bias,
            self.epsilon,
            channels_first=self.channels_first,
        )

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            return self.running_mean, self.running_variance
        mean, variance = normalisation.moments(x, channels_first=self.channels_first)
        count = x.size // max(self.features, 1)
        if count == 0:  # an empty batch says nothing of the moments
            return mean, variance
        unbiased = variance * (count / max(count - 1, 1))
        for running, new in ((self.running_mean, mean), (self.running_variance, unbiased)):
            moved = running + self.momentum * (new.astype(running.dtype) - running)
            running.assign(moved)
        return mean, variance


class LayerNorm(_Norm):
    """`layer_norm` over the last axis."""

    def __init__(
        self,
        features: int,
        epsilon: float = 1e-5,
        affine: bool = True,
        *,
        dtype: DTypeLike = float32,
    ) -> None:
        self._make_parameters(features, affine, dtype)
        self.epsilon = epsilon

    def forward(self, x: TensorLike) -> Tensor:
        """Return x normalised over its last axis."""
        return composites.layer_norm(self._checked(x), self.scale, self.bias, epsilon=self.epsilon)


class RMSNorm(_Norm):
    """`rms_norm` over the last axis; it has no bias."""

    def __init__(
        self,
        features: int,
        epsilon: float = 1e-6,
        affine: bool = True,
        *,
        dtype: DTypeLike = float32,
    ) -> None:
        self._make_parameters(features, affine, dtype)
        self.bias = None
        self.epsilon = epsilon

    def forward(self, x: TensorLike) -> Tensor:
        """Return x divided by the root mean square over its last axis."""
        return normalisation.rms_norm(self._checked(x), self.scale, epsilon=self.epsilon)


class GroupNorm(_Norm):
    """`group_norm` over space and groups of channels.

    >>> GroupNorm(4, 32)
    GroupNorm(32, groups=4)
    """

    def __init__(
        self,
        groups: int,
        features: int,
        epsilon: float = 1e-5,
        affine: bool = True,
        *,
        channels_first: bool = False,
        dtype: DTypeLike = float32,
    ) -> None:
        self._make_parameters(features, affine, dtype)
        self.groups, self.epsilon, self.channels_first = groups, epsilon, channels_first

    def forward(self, x: TensorLike) -> Tensor:
        """Return x normalised."""
        settings: dict[str, Any] = {"channels_first": self.channels_first}
        checked = self._checked(x, self.channels_first)
        return normalisation.group_norm(
            checked, self.groups, self.scale, self.bias, self.epsilon, **settings
        )

    def extra_repr(self) -> str:
        """Return features and groups."""
        return f"{super().extra_repr()}, groups={self.groups}"


class InstanceNorm(_Norm):
    """`instance_norm`: each channel of each example over space."""

    def __init__(
        self,
        features: int,
        epsilon: float = 1e-5,
        affine: bool = True,
        *,
        channels_first: bool = False,
        dtype: DTypeLike = float32,
    ) -> None:
        self._make_parameters(features, affine, dtype)
        self.epsilon, self.channels_first = epsilon, channels_first

    def forward(self, x: TensorLike) -> Tensor:
        """Return x normalised."""
        checked = self._checked(x, self.channels_first)
        return normalisation.instance_norm(
            checked, self.scale, self.bias, self.epsilon, channels_first=self.channels_first
        )
