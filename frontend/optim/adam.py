"""Adam, exactly as in the paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.dtypes import DType, float32, float64
from graphc.errors import GraphcValueError
from graphc.frontend import elementwise
from graphc.frontend.operands import fail
from graphc.frontend.optim.optimiser import Optimiser, check_number
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.variable import Variable

__all__ = ["Adam"]


class Adam(Optimiser):
    """Adam: steps scaled by running means of the gradient and of its square.

    m := beta1 m + (1 - beta1) g, v := beta2 v + (1 - beta2) g², and with t the number of steps
    p := p - rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).
    Source: Kingma and Ba, arXiv:1412.6980, algorithm 1. Steps are counted in int64.
    """

    def __init__(
        self,
        learning_rate: TensorLike = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, weight_decay)
        for name, beta in (("beta1", beta1), ("beta2", beta2)):
            check_number(f"Adam: {name}", beta)
            if not 0 <= beta < 1:
                fail(GraphcValueError, f"Adam: {name} is {beta}, which is not in 0 … 1")
        check_number("Adam: epsilon", epsilon)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.step_count = Variable(np.int64(0), name="adam.step_count")

    @property
    def variables(self) -> list[Variable]:
        """The variables that hold the optimiser's state: the number of steps, then the moments."""
        return [self.step_count, *super().variables]

    def begin_step(self) -> dict[DType, tuple[Tensor, Tensor]]:
        """Count the step and return 1 - beta^t for both betas, in float32 and in float64."""
        count = self.step_count + 1
        self.step_count.assign(count)
        return {
            dtype: (
                _correction(self.beta1, count.astype(dtype)),
                _correction(self.beta2, count.astype(dtype)),
            )
            for dtype in (float32, float64)
        }

    def update(self, parameter: Variable, gradient: Tensor, rate: Tensor, factors: Any) -> Tensor:
        """Return what is to be subtracted, and assign the moments."""
        first, second = (self.state_of(parameter, f"moment{i}") for i in (1, 2))
        mean = self.beta1 * first + (1 - self.beta1) * gradient
        spread = self.beta2 * second + (1 - self.beta2) * elementwise.square(gradient)
        first.assign(mean)
        second.assign(spread)
        correction1, correction2 = factors[gradient.dtype]
        scale = elementwise.sqrt(spread / correction2) + self.epsilon
        step: Tensor = rate / correction1 * mean / scale  # scalars first
        return step


def _correction(beta: float, count: Tensor) -> Tensor:
    """Return 1 - beta^t without cancellation, as -expm1(t log(beta)) with log(beta) in float64."""
    if beta == 0:
        return elementwise.astype(1.0, count.dtype)
    return -elementwise.expm1(count * math.log(beta))
