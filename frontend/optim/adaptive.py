"""Optimisers that scale steps without counting them: Adagrad, RMSprop, and Lion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from graphc.errors import GraphcValueError
from graphc.frontend import elementwise
from graphc.frontend.operands import fail
from graphc.frontend.optim.optimiser import Optimiser, Options, Rate, check_number, check_share
from graphc.frontend.tensor import Tensor

__all__ = ["Adagrad", "Lion", "RMSprop"]


class Adagrad(Optimiser):
    """Adagrad: s := s + g² and p := p - rate * g / (sqrt(s) + epsilon), with s from `first_sum`.

    Source: Duchi, Hazan and Singer 2011, as PyTorch has it.
    """

    def __init__(
        self,
        learning_rate: Rate = 1e-2,
        epsilon: float = 1e-10,
        first_sum: float = 0.0,
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        check_number("Adagrad: epsilon", epsilon)
        check_number("Adagrad: the first sum", first_sum)
        if first_sum < 0:
            fail(GraphcValueError, f"Adagrad: the first sum of squares is {first_sum}")
        self.epsilon, self.first_sum = epsilon, first_sum

    def state_names(self) -> tuple[str, ...]:
        """Return the name of the sum of squares."""
        return ("square_sum",)

    def first_value(self, name: str) -> float:
        """Return what sums of squares start from."""
        return self.first_sum if name == "square_sum" else 0.0

    def update(
        self, gradient: Tensor, rate: Tensor, state: Mapping[str, Tensor], shared: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what is to be subtracted, and the new sum."""
        total = state["square_sum"] + elementwise.square(gradient)
        step = rate * gradient / (elementwise.sqrt(total) + self.epsilon)
        return step, {"square_sum": total}


class RMSprop(Optimiser):
    """RMSprop: s := decay s + (1 - decay) g² and p := p - rate * g / (sqrt(s) + epsilon).

    If `centred`, the square of the running mean of g is subtracted from s, which makes a variance.
    With momentum the steps before the rate go through v := momentum v + step.
    Source: Hinton, Lectures on neural networks (2012), 6e; centred, Graves, arXiv:1308.0850.
    """

    def __init__(  # the settings that PyTorch has, by name
        self,
        learning_rate: Rate = 1e-2,
        decay: float = 0.99,
        epsilon: float = 1e-8,
        centred: bool = False,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        check_share("RMSprop: decay", decay)
        check_share("RMSprop: momentum", momentum)
        check_number("RMSprop: epsilon", epsilon)
        self.decay, self.epsilon = decay, epsilon
        self.centred, self.momentum = centred, momentum

    def state_names(self) -> tuple[str, ...]:
        """Return the names of the running means and of the velocity, as far as there are such."""
        names = ("square_mean", *(("mean",) if self.centred else ()))
        return (*names, *(("velocity",) if self.momentum else ()))

    def update(
        self, gradient: Tensor, rate: Tensor, state: Mapping[str, Tensor], shared: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what is to be subtracted, and the new means and velocity."""
        squares = self._running(state["square_mean"], elementwise.square(gradient))
        new, spread = {"square_mean": squares}, squares
        if self.centred:
            new["mean"] = self._running(state["mean"], gradient)
            spread = elementwise.maximum(squares - elementwise.square(new["mean"]), 0)
        step = gradient / (elementwise.sqrt(spread) + self.epsilon)
        if self.momentum:
            step = new["velocity"] = self.momentum * state["velocity"] + step
        return rate * step, new

    def _running(self, mean: Tensor, value: Tensor) -> Tensor:
        return self.decay * mean + (1 - self.decay) * value


class Lion(Optimiser):
    """Lion: steps of the size of the rate, with the sign of an interpolated momentum.

    p := p - rate * (sign(beta1 m + (1 - beta1) g) + weight_decay * p) and
    m := beta2 m + (1 - beta2) g: the weight decay is decoupled. Source: Chen et al.,
    arXiv:2302.06675, algorithm 2.
    """

    is_decoupled = True

    def __init__(
        self,
        learning_rate: Rate = 1e-4,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **options)
        check_share("Lion: beta1", beta1)
        check_share("Lion: beta2", beta2)
        self.beta1, self.beta2 = beta1, beta2

    def state_names(self) -> tuple[str, ...]:
        """Return the name of the momentum."""
        return ("moment",)

    def update(
        self, gradient: Tensor, rate: Tensor, state: Mapping[str, Tensor], shared: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what is to be subtracted, and the new momentum."""
        moment = state["moment"]
        direction = elementwise.sign(self.beta1 * moment + (1 - self.beta1) * gradient)
        return rate * direction, {"moment": self.beta2 * moment + (1 - self.beta2) * gradient}
