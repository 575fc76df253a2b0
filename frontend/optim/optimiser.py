"""What optimisers share: gradients are taken and assignments recorded in the trace of a training
step.

An optimiser keeps its state in variables, made once for each parameter and kept between traces, in
float32 for 16-bit parameters. A step reads every old value before any new one is assigned. In
order, it adds up gradients over several calls, limits them, adds what weight decay asks for, and
lets the subclass say what is to be subtracted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias, TypedDict, Unpack

import numpy as np

from graphc.dtypes import DType, float64
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError, TracingError
from graphc.frontend import elementwise
from graphc.frontend.operands import as_node, fail
from graphc.frontend.optim.clipping import Clipping
from graphc.frontend.optim.equal_starts import warn_of_equal_starts
from graphc.frontend.recording import is_tracing
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.transforms import gradients
from graphc.frontend.variable import Variable
from graphc.node import scalar_value
from graphc.state import VariableState

__all__ = ["Optimiser", "Options", "Rate"]

Rate: TypeAlias = "TensorLike | Callable[[Tensor], TensorLike]"


class Options(TypedDict, total=False):
    """What every optimiser may be told beside its own settings; `Optimiser` explains each."""

    weight_decay_l1: float
    clip: Clipping | None
    accumulate: int


def check_number(name: str, value: Any) -> None:
    """Raise GraphcTypeError unless `value` is a real number, or an array of one."""
    is_array = isinstance(value, np.ndarray | np.generic)
    if is_array and value.shape == () and np.isrealobj(value):
        return
    if not isinstance(value, int | float):
        fail(GraphcTypeError, f"{name} is a number, not {value!r}")


def check_share(name: str, value: Any) -> None:
    """Raise unless `value` is a number from 0 up to but without 1."""
    check_number(name, value)
    if not 0 <= value < 1:
        fail(GraphcValueError, f"{name} is {value}, which is not in 0 … 1")


def listed(parameters: Any) -> list[Variable]:
    """Return parameters as a list; raises GraphcTypeError for what is no list of variables."""
    if not isinstance(parameters, Iterable) or isinstance(parameters, Tensor):
        fail(
            GraphcTypeError,
            f"parameters are a list of variables, not {type(parameters).__name__}",
            hint="pass model.parameters(); one variable alone as [variable]",
        )
    wanted = list(parameters)
    for parameter in wanted:
        if not isinstance(parameter, Variable):
            fail(
                GraphcTypeError,
                f"a parameter is a variable, not {type(parameter).__name__}",
                hint="pass model.parameters()",
            )
    return wanted


class Optimiser:
    """The base of optimisers; a subclass defines `update`, and what state it keeps.

    learning_rate    a Python number; a tensor or variable, which a program may change; or a
                     function of the number of steps taken before, an int64 tensor, as
                     `optim.schedules` has them
    weight_decay     times the parameter, is added to its gradient (L2); in an optimiser that is
                     decoupled the parameter shrinks by the rate times this instead
    weight_decay_l1  the same with the sign of the parameter
    clip             what limits the gradients: `ClipByValue`, `ClipByNorm`, `ClipByGlobalNorm`
    accumulate       n: gradients are added up, and each n-th call takes a step with their mean;
                     the calls between change no parameter and no state of the optimiser

    The state is in variables: `step_count`, the number of steps taken; `call_count`, that of calls
    since, if gradients are accumulated; and for each parameter those of `kept`.
    """

    is_decoupled: ClassVar[bool] = False
    takes_complex: ClassVar[bool] = False  # whether its steps are linear in the gradients

    def __init__(
        self, learning_rate: Rate, weight_decay: float = 0.0, **options: Unpack[Options]
    ) -> None:
        _check_options(type(self).__name__, options)
        self.learning_rate = _checked_rate(learning_rate)
        self.weight_decay = weight_decay
        self.weight_decay_l1 = options.get("weight_decay_l1", 0.0)
        self.clip, self.accumulate = options.get("clip"), options.get("accumulate", 1)
        check_number("the weight decay", self.weight_decay)
        check_number("the weight decay of L1", self.weight_decay_l1)
        if type(self.accumulate) is not int or self.accumulate < 1:
            fail(GraphcValueError, f"accumulate is a number of calls, not {self.accumulate!r}")
        name = type(self).__name__.lower()
        self.step_count = Variable(np.int64(0), name=f"{name}.step_count", trainable=False)
        self.call_count: Variable | None = None
        if self.accumulate > 1:
            self.call_count = Variable(np.int64(0), name=f"{name}.call_count", trainable=False)
        self._state: dict[tuple[VariableState, str], Variable] = {}
        self._labels: dict[VariableState, str] = {}

    def minimize(self, loss: Tensor, parameters: Sequence[Variable]) -> None:
        """Record the step that makes `loss`, a scalar, smaller by changing `parameters`.

        Raises TracingError outside of tracing, ShapeError for a loss that is no scalar, and
        GraphcValueError where no gradient reaches any of the parameters.
        """
        wanted = listed(parameters)
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
        wanted = listed(parameters)
        self._check(wanted)
        if len(found) != len(wanted):
            fail(
                GraphcValueError,
                f"apply_gradients: {len(found)} gradients for {len(wanted)} parameters",
                hint="optimizer.apply_gradients(graphc.grad(loss, parameters), parameters)",
            )
        if not self.step_count.value:
            warn_of_equal_starts(wanted)
        self.prepare(wanted)
        pairs = zip(found, wanted, strict=True)
        slopes = [Tensor(as_node(slope, p.dtype.compute)) for slope, p in pairs]
        assigned: list[tuple[Variable, Tensor]] = []
        is_last: Tensor | None = None
        if self.call_count is not None:
            slopes, is_last = self._accumulated(wanted, slopes, assigned)
        if self.clip is not None:
            slopes = self.clip(slopes)
        before = Tensor(self.step_count.node)
        count = before + 1
        assigned.append((self.step_count, _chosen(is_last, count, before)))
        shared, rate = self.begin_step(count), self._rate(count)
        for parameter, slope in zip(wanted, slopes, strict=True):
            new = self._updated(parameter, slope, rate, shared)
            assigned += [(v, _chosen(is_last, x, Tensor(v.node))) for v, x in new]
        for variable, value in assigned:
            variable.assign(value.astype(variable.dtype))

    def begin_step(self, count: Tensor) -> Any:
        """Return what all parameters of a step share; `count` is its number, from 1."""
        return None

    def state_names(self) -> tuple[str, ...]:
        """Return the names of the variables kept for each parameter, zeros at first."""
        return ()

    def update(
        self, gradient: Tensor, rate: Tensor, state: Mapping[str, Tensor], shared: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what is to be subtracted from a parameter, and its new state by name."""
        raise NotImplementedError

    def state_of(self, parameter: Variable, name: str) -> Variable:
        """Return the variable `name` kept for `parameter`, made if there is none so far."""
        key = (parameter.state, name)
        if key not in self._state:
            start = np.full(parameter.shape, self.first_value(name), parameter.dtype.compute.numpy)
            label = f"{self._label(parameter)}.{name}"
            self._state[key] = Variable(start, name=label, trainable=False)
        return self._state[key]

    def _label(self, parameter: Variable) -> str:
        """Return the name of a parameter, with a number where another one has it already."""
        if parameter.state not in self._labels:
            name = parameter.name or "parameter"
            taken, number = set(self._labels.values()), 1
            while (label := f"{name}_{number}" if number > 1 else name) in taken:
                number += 1
            self._labels[parameter.state] = label
        return self._labels[parameter.state]

    def first_value(self, name: str) -> float:
        """Return what the variable `name` of a parameter is filled with when it is made."""
        return 0.0

    def prepare(self, parameters: Sequence[Variable], names: Iterable[str] | None = None) -> None:
        """Make the state for `parameters` now, so that it can be given values before a step.

        With `names`, of what an optimiser keeps for a parameter only that; in the same order.
        """
        known = self._names()
        wanted = known if names is None else sorted(names, key=[*known, *names].index)
        for parameter in parameters:
            for name in wanted:
                self.state_of(parameter, name)

    @property
    def variables(self) -> list[Variable]:
        """The variables that hold the optimiser's state, in the order in which they were made."""
        calls = [] if self.call_count is None else [self.call_count]
        return [self.step_count, *calls, *self._state.values()]

    def kept(self) -> Iterator[tuple[VariableState, str, Variable]]:
        """Yield what is kept for parameters: the parameter's state, the name, and the variable."""
        for (parameter, name), variable in self._state.items():
            yield parameter, name, variable

    def _names(self) -> tuple[str, ...]:
        return (*self.state_names(), *(("accumulated",) if self.accumulate > 1 else ()))

    def _updated(
        self, parameter: Variable, slope: Tensor, rate: Callable[[DType], Tensor], shared: Any
    ) -> list[tuple[Variable, Tensor]]:
        """Return the variables of one parameter with their new values."""
        compute = parameter.dtype.compute
        value, speed = parameter.astype(compute), rate(compute)
        decay = self._decay(value)
        if decay is not None and not self.is_decoupled:
            slope = slope + decay
        held = {name: self.state_of(parameter, name) for name in self.state_names()}
        state = {name: Tensor(variable.node) for name, variable in held.items()}
        step, new = self.update(slope, speed, state, shared)
        if decay is not None and self.is_decoupled:
            step = step + speed * decay
        return [(parameter, value - step), *((held[name], x) for name, x in new.items())]

    def _decay(self, value: Tensor) -> Tensor | None:
        terms = []
        if self.weight_decay:
            terms.append(self.weight_decay * value)
        if self.weight_decay_l1:
            terms.append(self.weight_decay_l1 * elementwise.sign(value))
        return sum(terms[1:], terms[0]) if terms else None

    def _rate(self, count: Tensor) -> Callable[[DType], Tensor]:
        """Return the learning rate as a function of the dtype; a schedule runs in float64."""
        given: Any = self.learning_rate
        if callable(given):
            given = given(count - 1)
            if as_node(given).shape:
                fail(ShapeError, "a schedule gives one number", [as_node(given)])
            given = Tensor(as_node(given, float64))
        return lambda compute: Tensor(as_node(given, compute))

    def _accumulated(
        self,
        parameters: Sequence[Variable],
        slopes: Sequence[Tensor],
        assigned: list[tuple[Variable, Tensor]],
    ) -> tuple[list[Tensor], Tensor]:
        """Return the means of the gradients so far, and whether this call takes a step."""
        assert self.call_count is not None
        calls = self.call_count + 1
        is_last = calls == self.accumulate
        assigned.append((self.call_count, elementwise.where(is_last, 0, calls)))
        means = []
        for parameter, slope in zip(parameters, slopes, strict=True):
            variable = self.state_of(parameter, "accumulated")
            total = variable + slope
            assigned.append((variable, elementwise.where(is_last, 0, total)))
            means.append(total / float(self.accumulate))
        return means, is_last

    def __repr__(self) -> str:
        unsaid = {"clip": None, "accumulate": 1, "weight_decay_l1": 0.0}
        settings = {
            name: value
            for name, value in vars(self).items()
            if name[0] != "_" and not name.endswith("_count")
        }
        said = {k: v for k, v in settings.items() if k not in unsaid or v != unsaid[k]}
        listing = ", ".join(f"{name}={value!r}" for name, value in said.items())
        return f"{type(self).__name__}({listing})"

    def _check(self, parameters: Sequence[Variable]) -> None:
        if not is_tracing():
            fail(
                TracingError,
                "an optimiser changes variables, which only a compiled function can do",
                hint="call minimize in a function decorated with @graphc.compile",
            )
        for parameter in parameters:
            self._check_parameter(parameter)
        if len({id(p.state) for p in parameters}) < len(parameters):
            fail(GraphcValueError, "a parameter is listed twice", [p.node for p in parameters])

    def _check_parameter(self, parameter: Variable) -> None:
        if parameter.dtype.is_complex and (self.clip is not None or not self.takes_complex):
            name = type(self).__name__ + (" that clips" if self.takes_complex else "")
            fail(
                GraphcTypeError,
                f"{name} does not move {parameter.dtype}",
                [parameter.node],
                "keep the parts as two variables: graphc.complex(x, y) joins them",
            )


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    known = Options.__annotations__
    unknown = next((option for option in options if option not in known), None)
    if unknown is not None:
        fail(
            GraphcTypeError,
            f"{name} takes no option {unknown!r}",
            hint=f"beside its own settings it takes weight_decay, {', '.join(known)}",
        )
    clip = options.get("clip")
    if clip is not None and not callable(clip):
        fail(
            GraphcTypeError,
            f"clip is a function of the gradients, not {clip!r}",
            hint="clip=optim.ClipByGlobalNorm(1.0), ClipByNorm or ClipByValue",
        )


def _checked_rate(rate: Rate) -> Rate:
    if isinstance(rate, Tensor) or callable(rate):
        return rate
    check_number("a learning rate", rate)
    if isinstance(rate, int | float) and rate < 0:
        fail(GraphcValueError, f"a learning rate of {rate} is negative")
    return rate


def _chosen(condition: Tensor | None, new: Tensor, old: Tensor) -> Tensor:
    """Return the new value where the condition, if there is one, holds."""
    return new if condition is None else elementwise.where(condition, new, old)
