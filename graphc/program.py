"""Programs: compiled graphs, ready to call, that show every stage they went through.

A `Program` checks its arguments (shape and dtype exactly; any strides, alignment or byte order;
never written to), runs its executable, and keeps what the compiler knew: `.graph` as traced,
`.optimised`, `.grouping`, `.kernels`, `.plan`. It knows no backend and no pass; `graphc.api` puts
it together.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.dtypes import as_dtype
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.executable import INTO, Executable, HasNativeCall, NativeCall
from graphc.graph import Graph
from graphc.group import Grouping
from graphc.kernel import Kernel
from graphc.lazy import LazyProperty
from graphc.node import Node, given_name
from graphc.plan import Plan
from graphc.schedule_choices import Tuned
from graphc.tensor_type import TensorType

if TYPE_CHECKING:
    from graphc.program_profile import Profile


@dataclass(frozen=True, slots=True)
class Made:
    """What the passes made of a graph; the last two are None on the reference backend."""

    optimised: Graph
    grouping: Grouping | None = None
    plan: Plan | None = None
    tuned: dict[str, Tuned] = field(default_factory=dict)  # by the names of kernels


class Stages:
    """What the compiler made on the way, and the seconds that it took by stage.

    Of a program whose code was found on disk nothing was made: then `made` makes it when somebody
    asks, and it is what the passes made when that code was compiled.
    """

    def __init__(
        self, graph: Graph, made: Callable[[], Made], seconds: dict[str, float] | None = None
    ) -> None:
        self.graph, self._make, self.seconds = graph, made, seconds or {}

    @LazyProperty
    def _made(self) -> Made:
        return self._make()

    @property
    def optimised(self) -> Graph:
        """The graph after all graph passes."""
        return self._made.optimised

    @property
    def grouping(self) -> Grouping | None:
        """The groups, and the verdict on every edge."""
        return self._made.grouping

    @property
    def plan(self) -> Plan | None:
        """Kernels, launches and memory."""
        return self._made.plan

    @property
    def tuned(self) -> dict[str, Tuned]:
        """The schedules that measurements chose, by the names of kernels."""
        return self._made.tuned


_FIRST_NATIVE_CALL = 3


def _refuse(*_: Any) -> None:
    """Stand for the native call of a program that has none."""


class Program:
    """A compiled graph. Call it with one array for each input; it returns a list of arrays."""

    def __init__(
        self, executable: Executable, stages: Stages, backend: str, texts: tuple[str, ...] = ()
    ) -> None:
        """`texts` names the stages that the executable can show."""
        self._run = executable.run
        self._executable, self.stages, self.backend = executable, stages, backend
        self._backend_texts = texts
        self.inputs = stages.graph.inputs
        self._types = tuple(node.type for node in self.inputs)
        self._native: NativeCall = _refuse
        self._calls_until_native = _FIRST_NATIVE_CALL

    def through(self, wrap: Callable[[Executable], Executable]) -> Program:
        """Return the program that runs its executable by way of another."""
        return Program(wrap(self._executable), self.stages, self.backend, self._backend_texts)

    @property
    def graph(self) -> Graph:
        """The graph as it was traced."""
        return self.stages.graph

    @property
    def optimised(self) -> Graph:
        """The graph after all graph passes."""
        return self.stages.optimised

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The distinct kernels, in order of first use; none on the reference backend."""
        return self.stages.plan.kernels if self.stages.plan is not None else ()

    def __call__(self, *arguments: Any, out: Any = None) -> list[np.ndarray[Any, Any]]:
        """Run once. Raises GraphcTypeError or ShapeError where an argument does not fit its input.

        An argument is an array or anything NumPy makes one of. Python numbers, and lists and tuples
        of them, take the input's dtype if it is of their kind and can hold them.

        out     arrays to put the outputs into and return: a list with an array or None for each
                output, or the array of the only one. Each has the output's shape and dtype and can
                be written; any strides and alignment, but dense arrays are written directly, others
                by way of a copy. They may share memory with arguments, not with one another. Where
                the call raises they hold anything.

        Raises also GraphcTypeError, ShapeError or GraphcValueError where `out` cannot take the
        outputs, GraphcIndexError where an index among the arguments is out of bounds, MemoryError,
        and what a handler of a signal raises. No variable is changed then.

        >>> import graphc
        >>> x = graphc.input((3,), name="x")
        >>> program = graphc.compile([x * 2], inputs=[x])
        >>> y = np.zeros(3, np.float32)
        >>> program([1, 2, 3], out=y)[0] is y, y
        (True, array([2., 4., 6.], dtype=float32))
        """
        if out is not None:
            return self._call_into(out, arguments)
        outputs = self._native(*arguments)
        if outputs is not None:
            return outputs
        results = list(self._run(self._checked(arguments)))
        if self._calls_until_native > 0:  # the native call then takes over the arena of this one
            self._count_call(arguments)
        return results

    def _call_into(self, out: Any, arguments: tuple[Any, ...]) -> list[np.ndarray[Any, Any]]:
        given = (out,) if type(out) is np.ndarray else out
        if type(given) in (list, tuple):
            outputs = self._native(*arguments, INTO, *given)
            if outputs is not None:
                return outputs
        from graphc.call_into import checked_outputs, run_into  # many programs never need it

        given = checked_outputs(out, [node.type for node in self.graph.outputs])
        results = run_into(self._executable, self._checked(arguments), given)
        if self._calls_until_native > 0:
            self._count_call(arguments)
        return results

    def _checked(self, arguments: tuple[Any, ...]) -> list[np.ndarray[Any, Any]]:
        if len(arguments) != len(self._types):
            names = ", ".join(f"{_name(n)}: {n.type}" for n in self.inputs)
            raise GraphcTypeError(
                f"{self.graph.name}({names}) takes {len(self._types)} arguments, "
                f"not {len(arguments)}"
            )
        return [self._check(i, a) for i, a in enumerate(arguments)]

    def call_natively(self, *arguments: Any) -> list[np.ndarray[Any, Any]] | None:
        """Run once if arguments are plain arrays of exactly the right types, and the backend can.

        Otherwise return None, with nothing done.
        """
        return self._native(*arguments)

    def _count_call(self, arguments: tuple[Any, ...]) -> None:
        """Make the native call once the program was called a few times on plain arrays.

        It takes milliseconds, and keeps an arena.
        """
        if not all(type(argument) is np.ndarray for argument in arguments):
            return
        left = self._calls_until_native = self._calls_until_native - 1
        if left <= 0 and isinstance(self._executable, HasNativeCall):
            self._native = self._executable.native() or _refuse

    def _check(self, position: int, argument: Any) -> np.ndarray[Any, Any]:
        type_ = self._types[position]
        array: np.ndarray[Any, Any] = argument
        if type(argument) is not np.ndarray:
            array = as_argument(argument, type_)
        if array.dtype != type_.dtype.numpy or array.shape != type_.shape:
            array = _fit(array, type_, self.inputs[position])
        if not array.flags.c_contiguous or not array.flags.aligned:
            array = np.array(array, order="C", copy=True)
        return array

    def text(self, stage: str = "graph") -> str:
        """Return a stage as text: "graph", "optimised", "groups", "kernels", "plan", or one of the
        backend's ("llvm", "asm", "opencl"). Raises GraphcValueError for any other name."""
        makers: dict[str, Callable[[], str]] = {
            "graph": lambda: str(self.graph),
            "optimised": lambda: str(self.optimised),
            "groups": self.explain,
            "plan": lambda: str(self.stages.plan),
            "kernels": lambda: "\n\n".join(str(kernel).rstrip() for kernel in self.kernels),
        }
        if stage in makers:
            return makers[stage]()
        if stage not in self._backend_texts:
            known = ", ".join((*makers, *self._backend_texts))
            raise GraphcValueError(
                f"the {self.backend} backend has no stage {stage!r}", hint=f"choose one of {known}"
            )
        return self._executable.text(stage)

    def explain(self) -> str:
        """Return what was fused, why, what was not and why, with bytes moved and operations.

        Of a program compiled with `tune=True` also the schedules that were measured.
        """
        from graphc.explain import explain  # rarely needed

        return explain(self.stages)

    def profile(self, *arguments: Any, repeat: int = 20) -> Profile:
        """Run on `arguments` and return the time, bytes, operations and share of the roofline of
        each kernel, with the lines it came from. Variables have their old values afterwards.

        `repeat` runs are measured. The program is compiled once more, with a clock between its
        kernels. Raises GraphcValueError on a backend that cannot time them, and what a call raises.

        >>> import graphc
        >>> x = graphc.input((64, 64), name="x")
        >>> program = graphc.compile([graphc.softmax(x)], inputs=[x])
        >>> profile = program.profile(np.ones((64, 64), np.float32), repeat=3)
        >>> [(row.bytes, row.operations) for row in profile.rows]
        [(32768, 20544)]
        """
        from graphc.program_profile import profile  # rarely needed

        return profile(self, self._executable, arguments, repeat)

    def draw(self, path: str | os.PathLike[str], *, groups: bool = True) -> None:
        """Write a picture of the graph; the suffix (.svg, .dot, .png, .pdf) says which kind.

        `groups` draws the optimised graph with its fusion groups; without, the graph as traced.
        """
        from graphc.draw import draw_graph  # imports graphviz

        shown = self.stages.grouping if groups else None
        draw_graph(self.optimised if shown else self.graph, path, grouping=shown)

    def _repr_svg_(self) -> str:
        from graphc.draw import render_svg  # imports graphviz

        return render_svg(self.optimised, grouping=self.stages.grouping)

    def __repr__(self) -> str:
        types = ", ".join(map(str, self._types))
        return f"<program {self.graph.name}({types}), {len(self.kernels)} kernels, {self.backend}>"


def as_argument(argument: Any, type_: TensorType) -> np.ndarray[Any, Any]:
    """Return what the user passed, which is no plain array, as an array.

    Python numbers, and lists and tuples of them, take the dtype of `type_`. Raises GraphcTypeError
    for what is no array of numbers or of another kind, GraphcValueError for numbers out of range.
    """
    if isinstance(argument, np.ma.MaskedArray):
        raise GraphcTypeError("a masked array is no array of numbers", hint="pass array.filled(…)")
    try:
        array = np.asarray(argument)
        as_dtype(array.dtype)  # refuses objects, strings and records
    except (TypeError, ValueError, OverflowError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise GraphcTypeError(
            f"{type(argument).__name__} is no array of numbers: {reason}"
        ) from None
    is_python = type(argument) in (bool, int, float, complex) or isinstance(argument, list | tuple)
    return _take_dtype(array, type_) if is_python else array


_RANKS = {"bool": 0, "int": 1, "uint": 1, "float": 2, "complex": 3}


def _take_dtype(numbers: np.ndarray[Any, Any], type_: TensorType) -> np.ndarray[Any, Any]:
    """Return what stood as Python numbers in the dtype of `type_`, or raise if that loses them."""
    is_empty = numbers.size == 0  # NumPy has to guess float64
    if not is_empty and _RANKS[as_dtype(numbers.dtype).kind] > _RANKS[type_.dtype.kind]:
        raise GraphcTypeError(f"numbers of {numbers.dtype} do not fit {type_}")
    with np.errstate(all="ignore"):
        array = numbers.astype(type_.dtype.numpy)
        if type_.dtype.is_inexact:
            wide = np.complex128 if type_.dtype.is_complex else np.float64
            lost = np.isinf(array.astype(wide)) & np.isfinite(numbers)
        else:  # a negative number as an unsigned one comes back as it was
            lost = (array.astype(numbers.dtype) != numbers) | ((array < 0) != (numbers < 0))
    if lost.any():
        raise GraphcValueError(f"the number {numbers[lost][0]} does not fit {type_.dtype}")
    return array


def _name(node: Node) -> str:
    return given_name(node) or "the input"


def _fit(array: np.ndarray[Any, Any], type_: TensorType, node: Node) -> np.ndarray[Any, Any]:
    """Return `array` in native byte order, or raise because it is not of the type."""
    name = _name(node)
    if array.dtype.newbyteorder("=") != type_.dtype.numpy:
        raise GraphcTypeError(
            f"{name} takes {type_}, but an array of {array.dtype} was given",
            line=str(node.line or ""),
            hint=f"pass array.astype({type_.dtype.name!r})",
        )
    if array.shape != type_.shape:
        raise ShapeError(
            f"{name} takes {type_}, but an array of shape {array.shape} was given",
            line=str(node.line or ""),
            hint="compile a function instead of a graph to have one program a shape"
            if array.ndim == len(type_.shape)
            else "",
        )
    return array.astype(type_.dtype.numpy)
