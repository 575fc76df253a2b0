"""Exponential moving averages of parameters, which often judge better than the last ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from graphc.errors import TracingError
from graphc.frontend.operands import fail
from graphc.frontend.optim.optimiser import check_share, listed
from graphc.frontend.recording import is_tracing
from graphc.frontend.tensor import Tensor
from graphc.frontend.variable import Variable

__all__ = ["ExponentialMovingAverage"]


class ExponentialMovingAverage:
    """Averages a of parameters p: a := decay a + (1 - decay) p, starting from the parameters.

    `update()` belongs into the compiled step, after the optimiser's; `variables` hold the averages,
    in float32 for 16-bit parameters. Source: Polyak and Juditsky 1992, with a decay.

    >>> import numpy as np
    >>> weight = Variable(np.float32([1, 2]), name="weight")
    >>> average = ExponentialMovingAverage([weight], decay=0.9)
    >>> average.variables
    [<Variable 'weight.average' float32[2]>]
    """

    def __init__(self, parameters: Sequence[Variable], decay: float = 0.999) -> None:
        check_share("a decay of averages", decay)
        self.parameters, self.decay = listed(parameters), decay
        self.variables = [_average_of(parameter) for parameter in self.parameters]

    def update(self) -> None:
        """Record that the averages take in the parameters as they are now in this trace.

        Raises TracingError outside of tracing.
        """
        if not is_tracing():
            fail(
                TracingError,
                "averages are variables, which only a compiled function can compute",
                hint="call update() in the training step, after minimize",
            )
        for variable, parameter in zip(self.variables, self.parameters, strict=True):
            value = Tensor(parameter.node).astype(variable.dtype)
            variable.assign(self.decay * variable + (1 - self.decay) * value)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the parameters have the averages as their values inside a `with`, and theirs after.

        Not while a program that changes them runs.
        """
        kept = [parameter.value for parameter in self.parameters]
        for parameter, variable in zip(self.parameters, self.variables, strict=True):
            parameter.assign(variable.value.astype(parameter.dtype.numpy))
        try:
            yield
        finally:
            for parameter, value in zip(self.parameters, kept, strict=True):
                parameter.assign(value)


def _average_of(parameter: Variable) -> Variable:
    name = f"{parameter.name or 'parameter'}.average"
    return Variable(parameter.value, parameter.dtype.compute, name=name, trainable=False)
