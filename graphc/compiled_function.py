"""Compiled functions: one program for each combination of types that a function is called with.

A `CompiledFunction` finds its program by the types, structure and static values of the arguments of
a call, and makes one where there is none. Calls on plain arrays of the types of the call before
come to the program's native call almost at once. May be called from many threads.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, overload

import numpy as np

from graphc.collection import paused_collection
from graphc.errors import GraphcTypeError
from graphc.frontend.recording import Moded, current_mode_epoch, is_tracing
from graphc.frontend.structures import Structure, flatten_as, unflatten
from graphc.frontend.tensor import Tensor
from graphc.frontend.tracing import signature, takes_keyword, trace
from graphc.graph_compilation import Settings, compile_graph, get_ready
from graphc.lazy import LazyProperty
from graphc.program import Program
from graphc.shown_function import ShownFunction
from graphc.source import user_line
from graphc.turns import Turns

MANY_PROGRAMS = 32  # of one function: more are likely a mistake
_SCALARS = (np.number, np.bool_)
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Known:
    """A program of a function, and the modes for which it was traced."""

    program: Program
    structure: Structure
    modes: tuple[tuple[Moded, bool], ...]

    @property
    def holds(self) -> bool:
        """Whether the modes are now what they were."""
        return all(moded.training_mode is mode for moded, mode in self.modes)


class CompiledFunction(ShownFunction, Generic[Parameters, Result]):
    """A function that is traced and compiled when it is called with new types of arguments.

    `programs` lists what was compiled so far; `explain`, `draw`, `text` and `profile` show it.
    Called on tensors, or while another function is traced, it becomes a part of that graph. A
    program holds for the modes that were asked for when it was traced (`nn.Module.training`); under
    other modes the function is compiled anew.
    """

    def __init__(self, function: Callable[Parameters, Result], settings: Settings) -> None:
        functools.update_wrapper(self, function)
        self._function, self._settings = function, settings
        self._turns = Turns()
        self._known: dict[Hashable, list[_Known]] = {}
        self._made: list[Program] = []
        # the same by the types of plain arrays, without names: all that many calls consist of; each
        # with the epoch of modes in which it was found
        self._plain: dict[Hashable, tuple[Program, Structure, int]] = {}
        self._latest: tuple[Program, Structure, int] | None = None  # found by plain arrays

    @overload
    def __call__(self, *arguments: Parameters.args, **keywords: Parameters.kwargs) -> Result: ...

    @overload
    def __call__(self, *arguments: Any, out: Any, **keywords: Any) -> Result: ...

    def __call__(self, *arguments: Any, **keywords: Any) -> Result:
        """Run on arrays and return arrays, in the structure of the function's result.

        out     arrays to put the result into, in the same structure, None for those that are to be
                made; see `Program.__call__`. A function with a parameter called `out`, or with
                `**keywords`, has it for itself.

        >>> import numpy as np
        >>> import graphc
        >>> double = graphc.compile(lambda x: 2 * x)
        >>> y = np.zeros(3, np.float32)
        >>> double(np.float32([1, 2, 3]), out=y) is y, y
        (True, array([2., 4., 6.], dtype=float32))
        """
        if not keywords and not is_tracing():
            if self._latest is not None:
                program, structure, epoch = self._latest
                if epoch == current_mode_epoch():
                    outputs = program.call_natively(*arguments)  # None for arguments of other types
                    if outputs is not None:
                        return self._assemble(structure, outputs)
            arrays = _with_arrays(arguments)
            plain = _plain_key(arrays)
            if plain is not None:
                return self._call_plain(plain, arrays)
        if "out" in keywords and not self._has_own_out:
            return self._call_into(keywords.pop("out"), arguments, keywords)
        key, leaves = signature(arguments, keywords)
        if is_tracing() or any(isinstance(leaf, Tensor) for leaf in leaves):
            return self._function(*arguments, **keywords)
        program, structure = self._find(key, arguments, keywords)
        return self._assemble(structure, program(*leaves))

    def _call_into(self, out: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Result:
        arrays = _with_arrays(arguments)
        plain = None if keywords or is_tracing() else _plain_key(arrays)
        if plain is not None:
            program, structure = self._find_plain(plain, arrays)
            given = flatten_as(structure, out)
            return self._assemble(structure, program(*arrays, out=given))
        key, leaves = signature(arguments, keywords)
        if is_tracing() or any(isinstance(leaf, Tensor) for leaf in leaves):
            raise GraphcTypeError("out= takes the results of a call on arrays, not on tensors")
        program, structure = self._find(key, arguments, keywords)
        return self._assemble(structure, program(*leaves, out=flatten_as(structure, out)))

    def _call_plain(self, plain: Hashable, arguments: tuple[Any, ...]) -> Result:
        program, structure = self._find_plain(plain, arguments)
        return self._assemble(structure, program(*arguments))

    def _find_plain(self, plain: Hashable, arguments: tuple[Any, ...]) -> tuple[Program, Structure]:
        epoch = current_mode_epoch()
        found = self._plain.get(plain)
        if found is None or found[2] != epoch:
            found = (*self._find(signature(arguments)[0], arguments, {}), epoch)
            self._plain[plain] = found
        self._latest = found
        return found[0], found[1]

    def _assemble(self, structure: Structure, outputs: list[np.ndarray[Any, Any]]) -> Result:
        is_one = structure.kind == "leaf"
        result: Result = outputs[0] if is_one else unflatten(structure, outputs)  # type: ignore[assignment]  # what the function returned
        return result

    @LazyProperty
    def _has_own_out(self) -> bool:
        return takes_keyword(self._function, "out")

    def program(self, *arguments: Any, **keywords: Any) -> Program:
        """Return the program for such arguments, compiled if need be and not run.

        Arguments are as in a call; a `TensorType` stands for any array of that type.
        """
        key, _ = signature(arguments, keywords)
        return self._find(key, arguments, keywords)[0]

    @property
    def programs(self) -> tuple[Program, ...]:
        """The programs compiled so far, oldest first."""
        return tuple(self._made)

    def _find(self, key: Hashable, arguments: Any, keywords: Any) -> tuple[Program, Structure]:
        found = self._look_up(key)
        if found is not None:
            return found.program, found.structure
        try:
            with self._turns.of(key):  # two threads with the same types trace once
                found = self._look_up(key) or self._make(key, arguments, keywords)
        finally:
            self._turns.forget(key)
        return found.program, found.structure

    def _make(self, key: Hashable, arguments: Any, keywords: Any) -> _Known:
        with paused_collection():
            get_ready(self._settings.backend)
            traced = trace(self._function, arguments, keywords)
            settings = self._settings.for_inputs(traced.inputs)
            program = compile_graph(traced.graph, settings)
        found = _Known(program, traced.structure, traced.modes)
        self._known.setdefault(key, []).append(found)
        self._made.append(program)
        self._warn_of_many_programs()
        return found

    def _look_up(self, key: Hashable) -> _Known | None:
        return next((known for known in self._known.get(key, ()) if known.holds), None)

    def _warn_of_many_programs(self) -> None:
        if len(self.programs) == MANY_PROGRAMS:
            line = user_line()
            warnings.warn_explicit(
                f"{self._function.__name__} was compiled for {MANY_PROGRAMS} combinations of "
                "arguments. Python numbers and other objects that are no arrays are compiled in; "
                "pass numpy.float32(x) to make a number an input",
                RuntimeWarning,
                line.file if line else __file__,
                line.number if line else 1,
            )

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else CompiledMethod(self, instance)

    def __repr__(self) -> str:
        name = getattr(self._function, "__qualname__", repr(self._function))
        return f"<compiled {name}, {len(self.programs)} programs, {self._settings.backend}>"


@dataclass(frozen=True, slots=True)
class CompiledMethod:
    """A compiled function bound to the object through which it was looked up."""

    function: CompiledFunction[Any, Any]
    instance: object

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Run on arrays, as `CompiledFunction` does."""
        return self.function(self.instance, *arguments, **keywords)

    def program(self, *arguments: Any, **keywords: Any) -> Program:
        """Return the program for such arguments, compiled if need be and not run."""
        return self.function.program(self.instance, *arguments, **keywords)


def _with_arrays(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments with NumPy's scalars as arrays: both are inputs of the same type."""
    if not any(isinstance(argument, _SCALARS) for argument in arguments):
        return arguments
    return tuple(np.asarray(a) if isinstance(a, _SCALARS) else a for a in arguments)


def _plain_key(arguments: tuple[Any, ...]) -> Hashable:
    """Return a key that is equal for arguments of the same types if all are arrays, else None."""
    key = []
    for argument in arguments:
        if type(argument) is not np.ndarray:
            return None
        key += [argument.dtype, argument.shape]
    return tuple(key)
