"""Layers: modules with parameters, and activations as modules."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.dtypes import DTypeLike, as_dtype, float32
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import composites, elementwise, initialisers, shapes
from graphc.frontend.nn.module import Module
from graphc.frontend.operands import as_node, fail
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.variable import Variable

__all__ = [
    "ELU", "GELU", "Flatten", "LeakyReLU", "Linear", "ReLU", "Sequential", "SiLU", "Sigmoid",
    "Softmax", "Softplus", "Tanh",
]  # fmt: skip


class Linear(Module):
    """`x @ weight + bias` over the last axis of x; the weight has the shape (inputs, outputs).

    The weight is drawn by `weight_initialiser`, a function of `nn.initialisers` or its name (by
    default He's, for relu), from `seed`, an integer or a NumPy Generator that several layers draw
    from in turn; the bias starts at 0. Layers of one shape and one integer seed start equal. `name`
    goes before those of the two variables.

    >>> layer = Linear(64, 10, seed=0)
    >>> [p.shape for p in layer.parameters()]
    [(64, 10), (10,)]
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: bool = True,
        *,
        seed: initialisers.Seed,
        dtype: DTypeLike = float32,
        weight_initialiser: initialisers.Start = "he_uniform",
        bias_initialiser: initialisers.Start = "zeros",
        name: str = "",
    ) -> None:
        _check_extents(inputs, outputs)
        random, kind = initialisers.generator(seed), as_dtype(dtype)
        shape = (inputs, outputs)
        weight = initialisers.first_value("Linear", weight_initialiser, shape, random, kind)
        prefix = f"{name}." if name else ""
        self.weight = Variable(weight, name=f"{prefix}weight")
        self.bias = None
        if bias:
            start = initialisers.first_value("Linear", bias_initialiser, shape[1:], random, kind)
            self.bias = Variable(start, name=f"{prefix}bias")

    def forward(self, x: TensorLike) -> Tensor:
        """Return the layer's result for x of shape (…, inputs): shape (…, outputs)."""
        node = as_node(x)
        inputs, outputs = self.weight.shape
        if not node.shape or node.shape[-1] != inputs:
            fail(
                ShapeError,
                f"Linear({inputs}, {outputs}) wants {inputs} as the last extent, not {node.shape}",
                [node, self.weight.node],
                _hint(node.shape, inputs),
            )
        product = Tensor(node) @ self.weight
        return product if self.bias is None else product + self.bias

    def extra_repr(self) -> str:
        """Return the extents."""
        inputs, outputs = self.weight.shape
        return f"{inputs}, {outputs}" + ("" if self.bias is not None else ", bias=False")


def _check_extents(*extents: Any) -> None:
    for extent in extents:
        if not isinstance(extent, int | np.integer) or isinstance(extent, bool):
            fail(GraphcTypeError, f"Linear: an extent is an integer, not {extent!r}")
        if extent < 0:
            fail(GraphcValueError, f"Linear: an extent is not negative, but {extent} was given")


def _hint(shape: tuple[int, ...], inputs: int) -> str:
    if len(shape) > 1 and math.prod(shape[1:]) == inputs:
        return "flatten each sample first: nn.Flatten() or x.reshape(len(x), -1)"
    if len(shape) > 1 and shape[-2] == inputs:
        return "x looks transposed: x.mT"
    return ""


class Sequential(Module):
    """Modules, or functions, one after another.

    >>> model = Sequential(Linear(8, 4, seed=0), ReLU(), Linear(4, 2, seed=1))
    >>> print(model)
    Sequential()
      0: Linear(8, 4)
      1: ReLU()
      2: Linear(4, 2)
    """

    def __init__(self, *layers: Any) -> None:
        for layer in layers:
            if not callable(layer):
                fail(
                    GraphcTypeError,
                    f"Sequential: a layer is a module or a function, not {type(layer).__name__}",
                    hint="Sequential(*layers) takes the layers of a list",
                )
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        """Return the last layer's result."""
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, place: int) -> Any:
        return self.layers[place]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.layers)


class ReLU(Module):
    """`relu` as a module."""

    def forward(self, x: TensorLike) -> Tensor:
        """Return relu(x)."""
        return composites.relu(x)


class LeakyReLU(Module):
    """`leaky_relu` as a module."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: TensorLike) -> Tensor:
        """Return leaky_relu(x)."""
        return composites.leaky_relu(x, self.negative_slope)


class ELU(Module):
    """`elu` as a module."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: TensorLike) -> Tensor:
        """Return elu(x)."""
        return composites.elu(x, self.alpha)


class Tanh(Module):
    """`tanh` as a module."""

    def forward(self, x: TensorLike) -> Tensor:
        """Return tanh(x)."""
        return elementwise.tanh(x)


class Sigmoid(Module):
    """`sigmoid` as a module."""

    def forward(self, x: TensorLike) -> Tensor:
        """Return sigmoid(x)."""
        return elementwise.sigmoid(x)


class SiLU(Module):
    """`silu` as a module."""

    def forward(self, x: TensorLike) -> Tensor:
        """Return silu(x)."""
        return composites.silu(x)


class Softplus(Module):
    """`softplus` as a module."""

    def forward(self, x: TensorLike) -> Tensor:
        """Return softplus(x)."""
        return composites.softplus(x)


class GELU(Module):
    """`gelu` as a module."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: TensorLike) -> Tensor:
        """Return gelu(x)."""
        return composites.gelu(x, self.approximate)


class Softmax(Module):
    """`softmax` over one axis as a module."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: TensorLike) -> Tensor:
        """Return softmax(x)."""
        return composites.softmax(x, self.axis)


class Flatten(Module):
    """All axes but the first, the batch, joined into one."""

    def forward(self, x: TensorLike) -> Tensor:
        """Return x of shape (n, …) in the shape (n, product of the rest)."""
        node = as_node(x)
        if not node.shape:
            fail(ShapeError, "Flatten: a tensor without axes has no batch", [node])
        return shapes.reshape(Tensor(node), (node.shape[0], math.prod(node.shape[1:])))
