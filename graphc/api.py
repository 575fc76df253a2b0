"""The facade: `compile`, which takes a graph or a function through frontend, passes and a backend.

    program = graphc.compile([y], inputs=[x])     a graph built by hand: a Program
    predict = graphc.compile(predict)             a function: a CompiledFunction (also a decorator)

A compiled function keeps one program for each combination of input types, structure and static
arguments that it is called with. Programs may be called from many threads at once. This module
gives the frontend its differentiator and compiler; `graph_compilation` does the work.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, ParamSpec, TypeVar, overload

import numpy as np

from graphc.collection import paused_collection
from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend import hooks
from graphc.frontend.recording import Moded, current_mode_epoch, is_tracing
from graphc.frontend.structures import Structure, flatten_as, unflatten
from graphc.frontend.tensor import Tensor
from graphc.frontend.tracing import signature, takes_keyword, trace
from graphc.graph import Graph, topological_order
from graphc.graph_compilation import (
    BACKENDS,
    BackendName,
    Precision,
    Settings,
    compile_graph,
    get_ready,
)
from graphc.lazy import LazyProperty
from graphc.passes import Options
from graphc.passes.batch import batch
from graphc.passes.differentiate import gradients
from graphc.passes.round_operands import PRECISIONS
from graphc.program import Program
from graphc.shown_function import ShownFunction
from graphc.turns import Turns

MANY_PROGRAMS = 32  # of one function: more are likely a mistake
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

hooks.set_batcher(batch)
hooks.set_differentiator(gradients)


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
            plain = _plain_key(arguments)
            if plain is not None:
                return self._call_plain(plain, arguments)
        if "out" in keywords and not self._has_own_out:
            return self._call_into(keywords.pop("out"), arguments, keywords)
        key, leaves = signature(arguments, keywords)
        if is_tracing() or any(isinstance(leaf, Tensor) for leaf in leaves):
            return self._function(*arguments, **keywords)
        program, structure = self._find(key, arguments, keywords)
        return self._assemble(structure, program(*leaves))

    def _call_into(self, out: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Result:
        key, leaves = signature(arguments, keywords)
        if is_tracing() or any(isinstance(leaf, Tensor) for leaf in leaves):
            raise GraphcTypeError("out= takes the results of a call on arrays, not on tensors")
        program, structure = self._find(key, arguments, keywords)
        return self._assemble(structure, program(*leaves, out=flatten_as(structure, out)))

    def _call_plain(self, plain: Hashable, arguments: tuple[Any, ...]) -> Result:
        epoch = current_mode_epoch()
        found = self._plain.get(plain)
        if found is None or found[2] != epoch:
            found = (*self._find(signature(arguments)[0], arguments, {}), epoch)
            self._plain[plain] = found
        self._latest = found
        program, structure, _ = found
        return self._assemble(structure, program(*arguments))

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
            warnings.warn(
                f"{self._function.__name__} was compiled for {MANY_PROGRAMS} combinations of "
                "arguments. Python numbers and other objects that are no arrays are compiled in; "
                "pass numpy.float32(x) to make a number an input",
                RuntimeWarning,
                stacklevel=5,  # the user's call
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


def _plain_key(arguments: tuple[Any, ...]) -> Hashable:
    """Return a key that is equal for arguments of the same types if all are arrays, else None."""
    key = []
    for argument in arguments:
        if type(argument) is not np.ndarray:
            return None
        key += [argument.dtype, argument.shape]
    return tuple(key)


@overload
def compile(
    target: Tensor | Sequence[Tensor],
    *,
    inputs: Tensor | Sequence[Tensor] | None = None,
    backend: BackendName = "llvm",
    optimise: bool = True,
    reassociate: bool = False,
    precision: Precision = "float32",
    donate: Tensor | Sequence[Tensor] = (),
    tune: bool = False,
    check_numerics: bool = False,
    name: str = "main",
) -> Program: ...


@overload
def compile(
    target: Callable[Parameters, Result],
    *,
    backend: BackendName = "llvm",
    optimise: bool = True,
    reassociate: bool = False,
    precision: Precision = "float32",
    donate: str | Sequence[str] = (),
    tune: bool = False,
    check_numerics: bool = False,
) -> CompiledFunction[Parameters, Result]: ...


@overload
def compile(
    *,
    backend: BackendName = "llvm",
    optimise: bool = True,
    reassociate: bool = False,
    precision: Precision = "float32",
    donate: str | Sequence[str] = (),
    tune: bool = False,
    check_numerics: bool = False,
) -> Callable[[Callable[Parameters, Result]], CompiledFunction[Parameters, Result]]: ...


def compile(  # noqa: PLR0913  # here users say all that there is to say of compiling
    target: Any = None,
    *,
    inputs: Tensor | Sequence[Tensor] | None = None,
    backend: BackendName = "llvm",
    optimise: bool = True,
    reassociate: bool = False,
    precision: Precision = "float32",
    donate: Any = (),
    tune: bool = False,
    check_numerics: bool = False,
    name: str = "main",
) -> Any:
    """Compile a graph or a function; without a target, return a decorator.

    target       tensors (a `Program` is returned) or a function (a `CompiledFunction`)
    inputs       of a graph: the input, or the inputs in the order of the program's arguments; by
                 default all that the tensors depend on, in the order in which they were made
    backend      "llvm" (native code), "opencl" (a GPU) or "reference" (NumPy, node by node)
    optimise     False: no graph passes and a kernel for each node; the results have the same bits
    reassociate  True: allow rewriting that holds in real arithmetic only
    precision    "bfloat16": sums of products of float32 (matmul, einsum, …) round their factors to
                 bfloat16 and add in float32, which CPUs with such instructions do faster
    donate       arguments whose memory may be used for outputs of the same size and dtype: names of
                 a function's parameters (all arrays in them), or inputs of a graph. An array that
                 is passed for one holds an output or anything else after the call, also if that
                 raises, and shares its memory with the output: use what the call returns. A copy is
                 used where the array is read-only, not dense, or shares memory with another
                 argument. Only "llvm" makes use of it.
    tune         True: measure schedules of each kernel on this machine, for about ten seconds each,
                 and take the fastest; the results have the same bits. What was found is kept on
                 disk for other compilations with `tune=True`; see `explain()`. Only "llvm"

    check_numerics  True: NaN and infinity in results raise NumericsError, naming op and line

    Raises GraphcTypeError or GraphcValueError for wrong arguments and BackendError where the
    backend cannot work on this machine.

    >>> import graphc
    >>> x = graphc.input((3,), name="x")
    >>> graphc.compile([x * 2], inputs=[x])([1, 2, 3])
    [array([2., 4., 6.], dtype=float32)]
    """
    options = Options(optimise=optimise, reassociate=reassociate, precision=precision)
    _check_options(options, backend, tune, check_numerics)
    if isinstance(target, Tensor | list | tuple):
        graph = _graph_of(target, inputs, name)
        donated = frozenset() if check_numerics else _donated_inputs(donate, graph)
        options = replace(options, donated=donated)
        settings = Settings(backend, options, tune=tune, check_numerics=check_numerics)
        return compile_graph(graph, settings)
    if inputs is not None:
        raise GraphcTypeError("inputs= belongs to a graph; a function has its own arguments")
    names = (donate,) if isinstance(donate, str) else _several(donate)
    settings = Settings(backend, options, names, tune, check_numerics)
    if target is None:
        return lambda function: _compiled_function(function, settings)
    return _compiled_function(target, settings)


def _check_choice(what: str, chosen: object, known: Iterable[str]) -> None:
    if chosen not in (names := [*known]):
        raise GraphcValueError(
            f"there is no {what} {chosen!r}", hint="choose one of " + ", ".join(names)
        )


def _compiled_function(target: Any, settings: Settings) -> CompiledFunction[..., Any]:
    function = _function(target)
    for name in settings.donated:
        if not takes_keyword(function, name, or_any=False):
            raise GraphcValueError(
                f"cannot donate {name!r}: the function has no such parameter",
                hint="donate= takes the names of parameters",
            )
    return CompiledFunction(function, settings)


def _several(donate: Any) -> tuple[Any, ...]:
    if not isinstance(donate, Iterable):
        raise GraphcTypeError(f"donate= takes what is donated, or a list of it, not {donate!r}")
    return tuple(donate)


def _donated_inputs(donate: Any, graph: Graph) -> frozenset[int]:
    """Return the numbers of the inputs that are to be donated."""
    tensors = (donate,) if isinstance(donate, Tensor) else _several(donate)
    for tensor in tensors:
        if not isinstance(tensor, Tensor) or tensor.node not in graph.inputs:
            raise GraphcValueError(
                f"cannot donate {tensor!r}: it is no input of the graph",
                hint="donate= takes tensors among inputs=",
            )
    return frozenset(graph.inputs.index(tensor.node) for tensor in tensors)


def _check_options(options: Options, backend: str, tune: bool, check_numerics: bool) -> None:
    _check_choice("backend", backend, BACKENDS)
    _check_choice("precision", options.precision, PRECISIONS)
    _check_flag("optimise", options.optimise)
    _check_flag("reassociate", options.reassociate)
    _check_flag("check_numerics", check_numerics)
    _check_flag("tune", tune)
    _check_tune(tune, backend)


def _check_flag(what: str, flag: object) -> None:
    if not isinstance(flag, bool):
        raise GraphcTypeError(f"{what}= is True or False, not {flag!r}")


def _check_tune(tune: bool, backend: str) -> None:
    if tune and backend != "llvm":
        raise GraphcValueError(
            f"the {backend} backend has no schedules to choose from",
            hint='leave tune=True out, or compile with backend="llvm"',
        )


def _function(target: Any) -> Callable[..., Any]:
    if not callable(target):
        raise GraphcTypeError(
            f"an object of type {type(target).__name__} cannot be compiled",
            hint="pass a function, a tensor or a list of tensors",
        )
    if isinstance(target, CompiledFunction):
        return target._function
    return target  # type: ignore[no-any-return]  # callable was just asked


def _graph_of(
    target: Tensor | Sequence[Tensor], inputs: Tensor | Sequence[Tensor] | None, name: str
) -> Graph:
    tensors = [target] if isinstance(target, Tensor) else list(target)
    inputs = [inputs] if isinstance(inputs, Tensor) else inputs
    for tensor in [*tensors, *(inputs or ())]:
        if not isinstance(tensor, Tensor):
            raise GraphcTypeError(f"an object of type {type(tensor).__name__} is no tensor")
    outputs = [tensor.node for tensor in tensors]
    if inputs is None:
        found = [n for n in topological_order(outputs) if n.op.name == "input"]
        return Graph(sorted(found, key=lambda n: n.attributes["number"]), outputs, name=name)
    wrong = next((i for i in inputs if i.node.op.name != "input"), None)
    if wrong is not None:
        raise GraphcTypeError(
            f"{wrong!r} is computed or constant, no input", hint="make it with graphc.input"
        )
    return Graph([i.node for i in inputs], outputs, name=name)


hooks.set_compiler(compile)

__all__ = [
    "BACKENDS",
    "BackendName",
    "CompiledFunction",
    "Settings",
    "compile",
    "compile_graph",
]
