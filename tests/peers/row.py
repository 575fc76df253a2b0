"""What is compared: rows, which name one function of graphc and one of PyTorch, and their operands.

A row's name begins with the public name of the function, up to the first comma; what follows says
which case it is. PyTorch takes channels first and weights as (outputs, inputs, …): the functions
here move axes for it. Nothing here imports PyTorch before a row is computed.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Shape: TypeAlias = tuple[int, ...]
DTYPES = ("float32", "float64")


class _Late:
    """A module of a peer, imported when something of it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


torch = _Late("torch")
functional = _Late("torch.nn.functional")


@dataclass(frozen=True)
class Layers:
    """One layer of each side with the same parameters, which are random.

    `ours` makes it for a dtype, `theirs` for PyTorch's default dtype. `shared` says how each
    parameter of ours, by its path, is made of those of theirs, linearly: gradients are compared so
    too. `settle` changes theirs after its parameters were drawn. `buffers` are the variables that
    are no parameters, said in the same way.
    """

    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    shared: Mapping[str, Callable[..., Any]]
    settle: Callable[[Any], None] = lambda module: None
    buffers: Mapping[str, Callable[..., Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One comparison. Both functions give a tensor, or a tuple of them.

    shapes       of operands that are drawn from low … high
    fixed        integer and bool operands, which follow them
    operands     instead of these all operands as arrays, the floats in float64
    skipped      places of float operands without a gradient
    orders       how many orders of derivatives are compared; the peer has no more if it is not 2
    slack        by how much errors may be greater than `compare.BOUNDS`, where a function's
                 condition is bad
    elementwise  whether each element has its own error, instead of one relative to the greatest
    layers       layers that both functions take before the operands
    compiled     whether ours is to be compiled; if not it takes arrays, and has no derivatives
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]  # of tensors of PyTorch
    shapes: Sequence[Shape] = ()
    fixed: Sequence[Array] = ()
    low: float = -2.0
    high: float = 2.0
    skipped: frozenset[int] = field(default_factory=frozenset)
    operands: Sequence[Array] = ()
    orders: int = 2
    slack: float = 1.0
    elementwise: bool = False
    layers: Layers | None = None
    compiled: bool = True

    @property
    def function(self) -> str:
        """The public name of the function that is compared."""
        return self.name.split(",")[0]

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The float dtypes in which it is computed: one where nothing depends on it."""
        has_floats = self.shapes or self.layers or any(a.dtype.kind == "f" for a in self.operands)
        return DTYPES if has_floats else DTYPES[-1:]

    def random(self) -> np.random.Generator:
        """Return the generator of this row, the same in every run."""
        return np.random.default_rng(zlib.crc32(self.name.encode()))

    def arrays(self, dtype: str) -> list[Array]:
        """Return the operands with floats of `dtype`."""
        random = self.random()
        drawn = [np.asarray(random.uniform(self.low, self.high, shape)) for shape in self.shapes]
        given = [*drawn, *self.fixed] if drawn or self.fixed else list(self.operands)
        return [a.astype(dtype) if a.dtype == np.float64 else a for a in given]


# --- layouts -------------------------------------------------------------------------------------


def first(x: Any) -> Any:
    """Return a tensor of PyTorch with its last axis at place 1."""
    return x.movedim(-1, 1)


def last(x: Any) -> Any:
    """Return a tensor of PyTorch with axis 1 at the end."""
    return x.movedim(1, -1)


def weight_first(w: Any) -> Any:
    """Return weights (spatial…, inputs, outputs) as PyTorch has them: (outputs, inputs, spatial…).

    Those of a transposed convolution it has the other way round.
    """
    return w.movedim((-1, -2), (0, 1))


def weight_last(w: Any) -> Any:
    """Return weights (outputs, inputs, spatial…) as graphc has them, the converse."""
    return w.movedim((0, 1), (-1, -2))
