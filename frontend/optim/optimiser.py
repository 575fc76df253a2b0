"""What optimisers share: gradients are taken and assignments recorded in the trace of a training
step.

An optimiser keeps its state in variables, made once for each parameter and kept between traces, in
float32 for 16-bit parameters. A step reads every old value before any new one is assigned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphcTypeError, GraphcValueError, TracingError
from graphc.frontend.operands import as_node, fail
from graphc.frontend.recording import is_tracing
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.transforms import gradients
from graphc.frontend.variable import Variable
from graphc.node import scalar_value
from graphc.state import VariableState

__all__ = ["Optimiser"]


def check_number(name: str, value: Any) -> None:
    """Raise GraphcTypeError unless `value` is a real number, or an array of one."""
    is_array = isinstance(value, np.ndarray | np.generic)
    if is_array and value.shape == () and np.isrealobj(value):
        return
    if not isinstance(value, int | float):
        fail(GraphcTypeError, f"{name} is a number, not {value!r}")


class Optimiser:
    """The base of optimisers; a subclass defines `update`, and `begin_step` if it counts steps.

    `learning_rate` is a Python number, or a tensor or variable, which a program may change.
    `weight_decay` times the parameter is added to its gradient.
    """

    def __init__(self, learning_rate: TensorLike, weight_decay: float = 0.0) -> None:
        if not isinstance(learning_rate, Tensor):
            check_number("a learning rate", learning_rate)
        check_number("the weight decay", weight_decay)
        if isinstance(learning_rate, int | float) and learning_rate < 0:
            fail(GraphcValueError, f"a learning rate of {learning_rate} is negative")
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self._state: dict[tuple[VariableState, str], Variable] = {}

    def minimize(self, loss: Tensor, parameters: Sequence[Variable]) -> None:
        """Record the step that makes `loss`, a scalar, smaller by changing `parameters`.

        Raises TracingError outside of tracing, ShapeError for a loss that is no scalar, and
        GraphcValueError where no gradient reaches any of the parameters.
        """
        wanted = list(parameters)
        self._check(wanted)
        if not isinstance(loss, Tensor):
            fail(GraphcTypeError, f"a loss is a scalar tensor, not {type(loss).__name__}")
        found = gradients(loss, wanted)
        if all(scalar_value(gradient.node) == 0 for gradient in found):
            names = ", ".join(p.name or "one without a name" for p in wanted) or "there are none"
            fail(
                GraphcValueError,
                f"minimize: the loss depends on none of the parameters ({names})",
                [loss.node],
                "pass the parameters of the model that the loss was computed with",
            )
        self.apply_gradients(found, wanted)

    def apply_gradients(self, found: Sequence[TensorLike], parameters: Sequence[Variable]) -> None:
        """Record the step for gradients that are given, one for each parameter."""
        wanted = list(parameters)
        self._check(wanted)
        factors = self.begin_step()
        steps: list[tuple[Variable, Tensor]] = []
        for gradient, parameter in zip(found, wanted, strict=True):
            compute = parameter.dtype.compute
            value = parameter.astype(compute)
            slope = Tensor(as_node(gradient, compute))
            if self.weight_decay:
                slope = slope + self.weight_decay * value
            rate = Tensor(as_node(self.learning_rate, compute))
            steps.append((parameter, value - self.update(parameter, slope, rate, factors)))
        for parameter, value in steps:
            parameter.assign(value.astype(parameter.dtype))

    def begin_step(self) -> Any:
        """Return what all parameters of a step share; called once a step."""
        return None

    def update(self, parameter: Variable, gradient: Tensor, rate: Tensor, factors: Any) -> Tensor:
        """Return what is to be subtracted from `parameter`; assign the optimiser's own state."""
        raise NotImplementedError

    def state_of(self, parameter: Variable, name: str) -> Variable:
        """Return the variable `name` kept for `parameter`, zeros when it is made."""
        key = (parameter.state, name)
        if key not in self._state:
            zeros = np.zeros(parameter.shape, parameter.dtype.compute.numpy)
            label = f"{parameter.name or 'parameter'}.{name}"
            self._state[key] = Variable(zeros, name=label)
        return self._state[key]

    @property
    def variables(self) -> list[Variable]:
        """The variables that hold the optimiser's state, in the order in which they were made."""
        return list(self._state.values())

    def kept(self) -> Iterator[tuple[VariableState, str, Variable]]:
        """Yield what is kept for parameters: the parameter's state, the name, and the variable."""
        for (parameter, name), variable in self._state.items():
            yield parameter, name, variable

    def __repr__(self) -> str:
        settings = {k: v for k, v in vars(self).items() if k[0] != "_" and k != "step_count"}
        listing = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        return f"{type(self).__name__}({listing})"

    def _check(self, parameters: Sequence[Variable]) -> None:
        if not is_tracing():
            fail(
                TracingError,
                "an optimiser changes variables, which only a compiled function can do",
                hint="call minimize in a function decorated with @graphc.compile",
            )
        for parameter in parameters:
            if not isinstance(parameter, Variable):
                fail(
                    GraphcTypeError,
                    f"a parameter is a variable, not {type(parameter).__name__}",
                    hint="pass model.parameters()",
                )
        if len({id(p.state) for p in parameters}) < len(parameters):
            fail(GraphcValueError, "a parameter is listed twice", [p.node for p in parameters])
