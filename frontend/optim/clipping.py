"""Limits of gradients: functions from gradients to gradients, also usable without an optimiser.

Each keeps directions or signs and makes nothing longer: gradients within the limit keep their bits.
A gradient with NaN stays NaN. Norms are sums of squares, of 16-bit floats in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend import elementwise, reductions
from graphc.frontend.operands import fail
from graphc.frontend.tensor import Tensor

__all__ = ["ClipByGlobalNorm", "ClipByNorm", "ClipByValue", "Clipping", "global_norm"]


class Clipping(Protocol):
    """A function from gradients to gradients."""

    def __call__(self, gradients: Sequence[Tensor], /) -> list[Tensor]:
        """Return the gradients, limited."""


@dataclass(frozen=True)
class _Limited:
    """A limit above 0."""

    limit: float

    def __post_init__(self) -> None:
        name = type(self).__name__
        if not isinstance(self.limit, int | float):
            fail(GraphcTypeError, f"{name}: a limit is a number, not {self.limit!r}")
        if not self.limit > 0:
            fail(GraphcValueError, f"{name}: a limit of {self.limit} is not above 0")


class ClipByValue(_Limited):
    """Every element is brought into -limit … limit.

    >>> ClipByValue(0.5)
    ClipByValue(limit=0.5)
    """

    def __call__(self, gradients: Sequence[Tensor], /) -> list[Tensor]:
        """Return the gradients, limited."""
        return [elementwise.clip(g, -self.limit, self.limit) for g in gradients]


class ClipByNorm(_Limited):
    """Each gradient is shortened to the length `limit` if it is longer."""

    def __call__(self, gradients: Sequence[Tensor], /) -> list[Tensor]:
        """Return the gradients, limited."""
        return [_shortened(g, global_norm([g]), self.limit) for g in gradients]


class ClipByGlobalNorm(_Limited):
    """All gradients together, as one vector, are shortened to the length `limit` if it is longer.

    Source: Pascanu, Mikolov and Bengio 2013 (arXiv:1211.5063).
    """

    def __call__(self, gradients: Sequence[Tensor], /) -> list[Tensor]:
        """Return the gradients, limited."""
        norm = global_norm(gradients)
        return [_shortened(g, norm, self.limit) for g in gradients]


def global_norm(gradients: Sequence[Tensor]) -> Tensor:
    """Return the length of all gradients together, as one vector.

    >>> from graphc.frontend import input
    >>> global_norm([input((3, 2)), input((2,))]).type
    TensorType(shape=(), dtype=graphc.float32)
    """
    squares = [reductions.sum(elementwise.square(g.astype(g.dtype.compute))) for g in gradients]
    return elementwise.sqrt(sum(squares[1:], squares[0]))


def _shortened(gradient: Tensor, norm: Tensor, limit: float) -> Tensor:
    factor = (limit / elementwise.maximum(norm, limit)).astype(gradient.dtype)
    return gradient * factor
