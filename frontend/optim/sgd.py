"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from graphc.errors import GraphcValueError
from graphc.frontend.operands import fail
from graphc.frontend.optim.optimiser import Optimiser, Options, Rate, check_number
from graphc.frontend.tensor import Tensor

__all__ = ["SGD"]


class SGD(Optimiser):
    """Stochastic gradient descent: p := p - rate * g.

    With momentum, v := momentum * v + g and p := p - rate * v; with `nesterov` it is
    p := p - rate * (g + momentum * v). Source: Sutskever et al. 2013, as PyTorch has it.
    Complex parameters move as pairs of floats.
    """

    takes_complex = True

    def __init__(
        self,
        learning_rate: Rate,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        check_number("a momentum", momentum)
        if not 0 <= momentum < 1:
            fail(GraphcValueError, f"a momentum of {momentum} is not in 0 … 1")
        if nesterov and not momentum:
            fail(GraphcValueError, "Nesterov's momentum needs a momentum above 0")
        self.momentum, self.nesterov = momentum, nesterov

    def state_names(self) -> tuple[str, ...]:
        """Return the name of the velocity, if there is momentum."""
        return ("velocity",) if self.momentum else ()

    def update(
        self, gradient: Tensor, rate: Tensor, state: Mapping[str, Tensor], shared: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what is to be subtracted, and the new velocity."""
        if not self.momentum:
            return rate * gradient, {}
        velocity = self.momentum * state["velocity"] + gradient
        direction = gradient + self.momentum * velocity if self.nesterov else velocity
        return rate * direction, {"velocity": velocity}
