"""Adam, exactly as in the paper, and AdamW, whose weight decay goes past the moments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Unpack

from graphc.dtypes import DType, float32, float64
from graphc.frontend import elementwise
from graphc.frontend.optim.optimiser import Optimiser, Options, Rate, check_number, check_share
from graphc.frontend.tensor import Tensor

__all__ = ["Adam", "AdamW"]


class Adam(Optimiser):
    """Adam: steps scaled by running means of the gradient and of its square.

    m := beta1 m + (1 - beta1) g, v := beta2 v + (1 - beta2) g², and with t the number of steps
    p := p - rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).
    Source: Kingma and Ba, arXiv:1412.6980, algorithm 1. Steps are counted in int64.
    """

    def __init__(  # the settings of the paper, by name
        self,
        learning_rate: Rate = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        name = type(self).__name__
        check_share(f"{name}: beta1", beta1)
        check_share(f"{name}: beta2", beta2)
        check_number(f"{name}: epsilon", epsilon)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def begin_step(self, count: Tensor) -> dict[DType, tuple[Tensor, Tensor]]:
        """Return 1 - beta^t for both betas, in float32 and in float64."""
        return {
            dtype: (
                _correction(self.beta1, count.astype(dtype)),
                _correction(self.beta2, count.astype(dtype)),
            )
            for dtype in (float32, float64)
        }

    def state_names(self) -> tuple[str, ...]:
        """Return the names of the two moments."""
        return "moment1", "moment2"

    def update(
        self, gradient: Tensor, rate: Tensor, state: Mapping[str, Tensor], shared: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what is to be subtracted, and the new moments."""
        mean = self.beta1 * state["moment1"] + (1 - self.beta1) * gradient
        spread = self.beta2 * state["moment2"] + (1 - self.beta2) * elementwise.square(gradient)
        correction1, correction2 = shared[gradient.dtype]
        scale = elementwise.sqrt(spread / correction2) + self.epsilon
        step: Tensor = rate / correction1 * mean / scale  # scalars first
        return step, {"moment1": mean, "moment2": spread}


class AdamW(Adam):
    """Adam with decoupled weight decay: p := p - rate * (weight_decay * p) beside Adam's step.

    Source: Loshchilov and Hutter, arXiv:1711.05101, as PyTorch has it.
    """

    is_decoupled = True

    def __init__(  # those of Adam
        self,
        learning_rate: Rate = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, weight_decay, **options)


def _correction(beta: float, count: Tensor) -> Tensor:
    """Return 1 - beta^t without cancellation, as -expm1(t log(beta)) with log(beta) in float64."""
    if beta == 0:
        return elementwise.astype(1.0, count.dtype)
    return -elementwise.expm1(count * math.log(beta))
