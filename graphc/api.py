"""The facade: `compile`, which takes a graph or a function through frontend, passes and a backend.

    program = graphc.compile([y], inputs=[x])     a graph built by hand: a Program
    predict = graphc.compile(predict)             a function: a CompiledFunction (also a decorator)

Programs may be called from many threads at once. This module gives the frontend its differentiator
and compiler; `compiled_function` and `graph_compilation` do the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, overload

from graphc.compiled_function import CompiledFunction, Parameters, Result
from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend import hooks
from graphc.frontend.tensor import Tensor
from graphc.frontend.tracing import takes_keyword
from graphc.graph import Graph, topological_order
from graphc.graph_compilation import (
    BACKENDS,
    BackendName,
    Precision,
    Settings,
    compile_graph,
)
from graphc.passes import Options
from graphc.passes.batch import batch
from graphc.passes.differentiate import gradients
from graphc.passes.round_operands import PRECISIONS
from graphc.program import Program

hooks.set_batcher(batch)
hooks.set_differentiator(gradients)


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
