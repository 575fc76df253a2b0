"""Modules: functions with parameters.

A module is an object whose attributes hold variables, other modules, or lists, tuples and dicts of
them. Its parameters are found there, in the order in which the attributes were first set, each
variable once; they are the variables that are `trainable`. A variable without a name of its own
takes its path as its name: the attribute that holds it, then the attribute that holds its module,
and so on outwards (`encoder.0.weight`).

A module trains until `eval()` is called. Its mode is compiled in: a compiled function that asked
for it is compiled once for each mode, and a call after a change runs the program of the new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from graphc.errors import GraphcTypeError
from graphc.frontend.operands import fail
from graphc.frontend.recording import current_trace, mode_changed
from graphc.frontend.tensor import is_tensor_like
from graphc.frontend.variable import Variable

__all__ = ["Module"]


class Module:
    """The base of layers and models: subclasses set attributes in `__init__` and define `forward`.

    >>> import numpy as np
    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.factor = Variable(np.float32(2))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> [name for name, _ in Scale().named_parameters()]
    ['factor']
    """

    training_mode = True  # of a module that was set to none; `training` is for those who ask

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        """Return the module's result; subclasses define it."""
        fail(
            GraphcTypeError,
            f"{type(self).__name__} defines no forward",
            hint="define `def forward(self, x):` in the class",
        )

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self.forward(*arguments, **keywords)

    def __setattr__(self, name: str, value: Any) -> None:
        held = self.__dict__.get(name)
        is_value = is_tensor_like(value) and not isinstance(value, Variable)
        if isinstance(held, Variable) and is_value:
            fail(
                GraphcTypeError,
                f"{type(self).__name__}.{name} is a variable and would be lost",
                [held.node],
                f"self.{name}.assign(value) gives it a new value",
            )
        object.__setattr__(self, name, value)
        _name_parameters(name, value)

    @property
    def training(self) -> bool:
        """Whether the module is trained; asked for while a function is traced, it is compiled in.

        >>> model = Module()
        >>> model.training, model.eval().training, model.train().training
        (True, False, True)
        """
        self._note_mode()
        return self.training_mode

    def train(self, mode: bool = True) -> Self:
        """Set this module and all below it to training, or with False to evaluation."""
        modules: list[Module] = [self]
        modules += [value for _, value in _walk(self) if isinstance(value, Module)]
        for module in modules:
            module._note_mode()
            object.__setattr__(module, "training_mode", bool(mode))
        mode_changed()
        return self

    def _note_mode(self) -> None:
        """Tell the open traces that what they record depends on the mode as it is now."""
        trace = current_trace()
        if trace is not None:
            trace.note_mode(self)

    def eval(self) -> Self:
        """Set this module and all below it to evaluation: the same as `train(False)`."""
        return self.train(False)

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """Yield path and variable of all that the module keeps, parameters or not, each once."""
        seen: set[int] = set()
        for path, value in _walk(self):
            if isinstance(value, Variable) and id(value.state) not in seen:
                seen.add(id(value.state))
                yield path, value

    def named_parameters(self) -> Iterator[tuple[str, Variable]]:
        """Yield path and variable of every parameter: `layers.0.weight`; each variable once."""
        return ((path, variable) for path, variable in self.named_variables() if variable.trainable)

    def parameters(self) -> list[Variable]:
        """Return every parameter once, in the order of definition."""
        return [variable for _, variable in self.named_parameters()]

    def summary(self) -> str:
        """Return what stands behind the name in the printed tree; layers tell their extents."""
        return ""

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__}({self.summary()})"]
        for path, value in _walk(self):
            if isinstance(value, Module):
                depth = path.count(".") + 1
                name = path.rpartition(".")[2]
                lines.append(f"{'  ' * depth}{name}: {type(value).__name__}({value.summary()})")
        return "\n".join(lines)


def _name_parameters(name: str, value: Any) -> None:
    """Name the variables in `value`, set as the attribute `name`, after their paths from there."""
    if isinstance(value, Variable):
        value.state.name = value.state.name or name
    elif isinstance(value, Module | list | tuple | dict):
        for path, found in _walk(value):
            if isinstance(found, Variable) and f".{path}".endswith(f".{found.state.name}"):
                found.state.name = f"{name}.{path}"


def _walk(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield path and value of every variable and module below `module`, depth first, in order."""
    entered = {id(module)}
    pending = [_children("", module)]
    while pending:
        found = next(pending[-1], None)
        if found is None:
            pending.pop()
            continue
        path, value = found
        if isinstance(value, Variable):
            yield found
        elif isinstance(value, Module | list | tuple | dict) and id(value) not in entered:
            if isinstance(value, Module):
                entered.add(id(value))
                yield found
            pending.append(_children(path + ".", value))


def _children(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Module):
        items = list(vars(value).items())
    elif isinstance(value, dict):
        items = list(value.items())
    else:
        items = [(str(place), item) for place, item in enumerate(value)]
    return ((f"{prefix}{key}", item) for key, item in items)
