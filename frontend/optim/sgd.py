"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphcValueError
from graphc.frontend.operands import fail
from graphc.frontend.optim.optimiser import Optimiser, check_number
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.variable import Variable

__all__ = ["SGD"]


class SGD(Optimiser):
    """Stochastic gradient descent: p := p - rate * g.

    With momentum, v := momentum * v + g and p := p - rate * v; with `nesterov` it is
    p := p - rate * (g + momentum * v). Source: Sutskever et al. 2013, as PyTorch has it.
    """

    def __init__(
        self,
        learning_rate: TensorLike,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, weight_decay)
        check_number("a momentum", momentum)
        if not 0 <= momentum < 1:
            fail(GraphcValueError, f"a momentum of {momentum} is not in 0 … 1")
        if nesterov and not momentum:
            fail(GraphcValueError, "Nesterov's momentum needs a momentum above 0")
        self.momentum, self.nesterov = momentum, nesterov

    def update(self, parameter: Variable, gradient: Tensor, rate: Tensor, factors: Any) -> Tensor:
        """Return what is to be subtracted, and assign the velocity."""
        if not self.momentum:
            return rate * gradient
        state = self.state_of(parameter, "velocity")
        velocity = self.momentum * state + gradient
        state.assign(velocity)
        return rate * (gradient + self.momentum * velocity if self.nesterov else velocity)
