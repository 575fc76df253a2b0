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

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend.nn import state_dicts
from graphc.frontend.nn.call_records import Summary, indented_titles, record_call, summarise
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
        result = self.forward(*arguments, **keywords)
        record_call(self, result)
        return result

    def __setattr__(self, name: str, value: Any) -> None:
        if "." in name:
            fail(
                GraphcValueError,
                f"{type(self).__name__}: the attribute {name!r} holds a dot, as paths do",
                hint="nn.ModuleList and nn.ModuleDict hold modules by numbers and names",
            )
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
        """Yield path and variable of all that the module keeps, parameters or not, each once.

        Raises GraphcValueError where two have one path, as `a` in the attribute "b" and an
        attribute that is called "b.a" do.
        """
        seen: set[int] = set()
        paths: set[str] = set()
        for path, value in _walk(self):
            if isinstance(value, Variable) and id(value.state) not in seen:
                if path in paths:
                    fail(
                        GraphcValueError,
                        f"{type(self).__name__}: two variables have the path {path}",
                        [value.node],
                        "names of attributes and keys of dicts that hold modules have no dots",
                    )
                seen.add(id(value.state))
                paths.add(path)
                yield path, value

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Yield path and module of the module itself, whose path is empty, and all below it."""
        yield "", self
        for path, value in _walk(self):
            if isinstance(value, Module):
                yield path, value

    def named_parameters(self) -> Iterator[tuple[str, Variable]]:
        """Yield path and variable of every parameter: `layers.0.weight`; each variable once."""
        return ((path, variable) for path, variable in self.named_variables() if variable.trainable)

    def parameters(self) -> list[Variable]:
        """Return every parameter once, in the order of definition."""
        return [variable for _, variable in self.named_parameters()]

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return copies of the values of all variables, by their paths.

        >>> from graphc.frontend import nn
        >>> {path: array.shape for path, array in nn.Linear(3, 2, seed=0).state_dict().items()}
        {'weight': (3, 2), 'bias': (2,)}
        """
        return state_dicts.values(self.named_variables())

    def load_state_dict(
        self, state: Mapping[str, np.ndarray[Any, Any]], strict: bool = True
    ) -> state_dicts.Unmatched:
        """Give the variables the values of `state`, by their paths; all of them or none.

        Returns the paths of variables that `state` lacks and those of no variable, which both are
        empty if `strict`. Raises GraphcValueError that names the missing, the unexpected, and those
        of another shape or dtype; the last two also if not `strict`.

        >>> from graphc.frontend import nn
        >>> first, second = nn.Linear(3, 2, seed=0), nn.Linear(3, 2, seed=1)
        >>> second.load_state_dict(first.state_dict())
        Unmatched(missing=(), unexpected=())
        >>> bool((first.weight.value == second.weight.value).all())
        True
        """
        return state_dicts.load(dict(self.named_variables()), state, strict=strict)

    def summary(self, *examples: Any) -> Summary:
        """Return a table of the modules, the shapes of their results, and their parameters.

        An example is an argument of the model: a shape (of float32), a type as text
        ("int64[16, 8]") or a `TensorType`, or an array.
        The model is traced, not run. Without examples the shapes are left out.

        >>> from graphc.frontend import nn
        >>> model = nn.Sequential(nn.Linear(8, 4, seed=0), nn.ReLU(), nn.Linear(4, 2, seed=1))
        >>> print(model.summary((16, 8)))
        module              output             parameters
        Sequential()        float32[16, 2]
          0: Linear(8, 4)   float32[16, 4]             36
          1: ReLU()         float32[16, 4]
          2: Linear(4, 2)   float32[16, 2]             10
        total                                          46
        """
        return summarise(self, examples)

    def extra_repr(self) -> str:
        """Return what stands behind the name in the printed tree; layers tell their extents."""
        return ""

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """Yield name and value of what may hold variables: the attributes."""
        yield from vars(self).items()

    def __repr__(self) -> str:
        return "\n".join(indented_titles(self.named_modules()))


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
        items = list(value.named_children())
    elif isinstance(value, dict):
        items = list(value.items())
    else:
        items = [(str(place), item) for place, item in enumerate(value)]
    return ((f"{prefix}{key}", item) for key, item in items)
