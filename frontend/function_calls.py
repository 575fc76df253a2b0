"""`checkpoint` and `custom_vjp`: functions that derivatives treat in a way of their own.

Both run the Python function once on symbolic arguments and make one node of it, which holds what it
computes as a body. What it reads besides its arguments, everything that was made before it, becomes
an operand too; variables that it assigns become results.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphc.body import Body
from graphc.capture import captured, made_before, new_parameter
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend.body_tracing import assign, tensors
from graphc.frontend.checkpoint_segments import candidates, cut
from graphc.frontend.operands import apply, as_node, fail
from graphc.frontend.recording import BodyTrace, outer_value
from graphc.frontend.structures import Structure, flatten_result, unflatten
from graphc.frontend.symbolic import as_tensors, compiled_on_arrays
from graphc.graph import Graph, substitute, topological_order
from graphc.node import Node, at_line, next_serial
from graphc.op import Contraction
from graphc.ops.loops import items
from graphc.source import user_line

__all__ = ["CustomVjp", "checkpoint", "custom_vjp"]

Policy: TypeAlias = "str | Callable[[str], bool] | None"
POLICIES: Mapping[str, Callable[[Node], bool]] = {
    "nothing": lambda node: False,
    "contractions": lambda node: isinstance(node.op.lowering, Contraction),
    "everything": lambda node: True,
}


@dataclass(frozen=True)
class _Called:
    """A function as nodes: its operands, a parameter for each, its results, the variables set."""

    operands: tuple[Node, ...]
    parameters: tuple[Node, ...]
    given: int  # operands that are leaves of the arguments; the others were read besides
    results: tuple[Node, ...]
    variables: tuple[Node, ...]
    structure: Structure

    def finish(self, results: Sequence[Node]) -> Any:
        """Assign the variables, and return the function's result."""
        count = self.structure.leaf_count
        assign(zip(self.variables, results[count:], strict=True))
        return unflatten(self.structure, tensors(results[:count]))


def _called(
    owner: str,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
) -> _Called:
    given = (tuple(as_tensors(a) for a in arguments), dict(keywords))
    leaves, structure = flatten_result(given)
    operands = [as_node(leaf) for leaf in leaves]
    parameters = [new_parameter(node.type, "operand", owner) for node in operands]
    start = next_serial()
    with BodyTrace() as trace:
        positional, named = unflatten(structure, tensors(parameters))
        outputs, result = flatten_result(function(*positional, **named))
        roots = [*(as_node(x) for x in outputs), *(value for _, value in trace.assignments)]
    outside = {node: outer_value(variable) for variable, node in trace.stand_ins.items()}
    roots = list(substitute(roots, outside))
    outer = captured(roots, parameters, made_before(start))
    inner = [new_parameter(node.type) for node in outer]
    return _Called(
        (*operands, *outer),
        (*parameters, *inner),
        len(operands),
        substitute(roots, dict(zip(outer, inner, strict=True))),
        tuple(variable for variable, _ in trace.assignments),
        result,
    )


# --- checkpoint ----------------------------------------------------------------------------------


def checkpoint(
    function: Callable[..., Any], *, policy: Policy = None, max_memory: int | None = None
) -> Callable[..., Any]:
    """Return `function`, whose derivatives compute its inner values again instead of keeping them.

    Only its arguments and results are kept between the forward and the backward pass, so that of
    many such blocks in a row the inside of one at a time is in memory; the forward pass runs twice.

    policy      what is kept nevertheless: "nothing", "contractions" (the dearest to compute again),
                "everything", or a function from the name of an op to whether its results are kept
    max_memory  bytes that the inner values of the derivative may take: the function is cut into
                segments that are computed again one after another, so that one call is enough for a
                whole network, and what is dear to compute again is kept as far as there is room.
                Warns where even the best cut may need more

    >>> import graphc
    >>> x = graphc.input((64, 64), name="x")
    >>> block = checkpoint(lambda x: graphc.tanh(x @ x))
    >>> graphc.grad(block(block(x)).sum(), x).shape
    (64, 64)
    """
    is_kept = _policy(policy, max_memory)

    @functools.wraps(function)
    def block(*arguments: Any, **keywords: Any) -> Any:
        called = _called("checkpoint", function, arguments, keywords)
        if max_memory is not None:
            return called.finish(_in_segments(called, int(max_memory)))
        inner = candidates(called.parameters, called.results)
        kept = [node for node in inner if is_kept(node)]
        body = Body(Graph(called.parameters, [*called.results, *kept], name="body"))
        count = len(called.results)
        found = items(apply("checkpoint", *called.operands, body=body, results=count))
        return called.finish(found[:count])

    return compiled_on_arrays(block)


def _policy(policy: Policy, max_memory: Any) -> Callable[[Node], bool]:
    if max_memory is not None:
        if policy is not None:
            fail(GraphcValueError, "checkpoint: a policy and max_memory both say what is kept")
        is_count = isinstance(max_memory, int | np.integer) and not isinstance(max_memory, bool)
        if not is_count or max_memory < 0:
            fail(GraphcValueError, f"checkpoint: max_memory is a count of bytes, not {max_memory}")
    if callable(policy):
        return lambda node: bool(policy(node.op.name))
    name = "nothing" if policy is None else policy
    if name not in POLICIES:
        known = ", ".join(map(repr, POLICIES))
        fail(GraphcValueError, f"checkpoint: there is no policy {name!r}", hint=f"one of {known}")
    return POLICIES[name]


def _in_segments(called: _Called, budget: int) -> list[Node]:
    """Return the results of a function that is computed in segments; see `checkpoint_segments`."""
    found = cut(called.parameters, called.results, budget)
    images = dict(zip(called.parameters, called.operands, strict=True))
    if found is None:
        return list(substitute(called.results, images))
    if found.needed > budget:
        _warn(f"checkpoint: max_memory={budget} cannot be kept, {found.needed} bytes may be needed")
    for segment in found.segments:
        given = [new_parameter(node.type) for node in segment.inputs]
        inner = dict(zip(segment.inputs, given, strict=True))
        outputs = substitute([*segment.results, *segment.kept], inner)
        body, operands = Body(Graph(given, outputs, name="body")), [images[n] for n in inner]
        count = len(segment.results)
        results = items(apply("checkpoint", *operands, body=body, results=count))[:count]
        images |= zip(segment.results, results, strict=True)
    return list(substitute(called.results, images))


def _warn(message: str) -> None:
    line = user_line()
    file, number = (line.file, line.number) if line else (__file__, 1)
    warnings.warn_explicit(message, RuntimeWarning, file, number)


# --- custom_vjp ----------------------------------------------------------------------------------


class CustomVjp:
    """A function with a reverse-mode derivative of its own; see `custom_vjp`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._rules: tuple[Callable[..., Any], Callable[..., Any]] | None = None
        self._on_arrays = compiled_on_arrays(self._symbolic)

    def defvjp(
        self, forward: Callable[..., Any], backward: Callable[[Any, Any], Any]
    ) -> Callable[..., Any]:
        """Say how the derivative is computed; returns `backward`.

        forward   takes the function's arguments, and gives its result and anything that `backward`
                  wants to know of them
        backward  takes that, and the cotangent of the result in its structure, and gives a tuple of
                  the cotangents of the positional arguments, None for one that has none
        """
        self._rules = forward, backward
        return backward

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Run on arrays, or become a part of the graph. Keywords stand for positional arguments."""
        if keywords:
            arguments = _positional(self._function, self._name, arguments, keywords)
        return self._on_arrays(*arguments)

    def _symbolic(self, *arguments: Any) -> Any:
        if self._rules is None:
            fail(
                GraphcTypeError,
                f"{self._name} has no derivative yet",
                hint="say it with defvjp(forward, backward), or leave custom_vjp out",
            )
        called = _called("custom_vjp", self._function, arguments, {})
        if called.variables:
            fail(GraphcTypeError, f"{self._name} assigns a variable, which custom_vjp cannot carry")
        body = Body(Graph(called.parameters, called.results, name="body"))
        given = tuple(as_tensors(a) for a in arguments)
        structure = flatten_result(given)[1]
        rule = _Rule(self._name, *self._rules, structure, called, _visible(called.results))
        return called.finish(items(apply("custom_vjp", *called.operands, body=body, rule=rule)))

    @property
    def _name(self) -> str:
        return getattr(self._function, "__name__", "the function")


def custom_vjp(function: Callable[..., Any]) -> CustomVjp:
    """Return `function` with a reverse-mode derivative of its own; a decorator.

    Its `defvjp(forward, backward)` says how that is computed; named as in JAX. Forward mode and
    higher orders differentiate `backward`. A derivative by what the function reads besides its
    arguments raises GraphcTypeError, since the rule says nothing of it. `check_grads` holds the
    rule against the function.

    >>> import numpy as np
    >>> import graphc
    >>> @custom_vjp
    ... def clipped(x):
    ...     return x
    >>> def forward(x):
    ...     return x, None
    >>> def backward(_, cotangent):
    ...     return (graphc.clip(cotangent, -1, 1),)
    >>> _ = clipped.defvjp(forward, backward)
    >>> graphc.grad(lambda x: (5 * clipped(x)).sum())(np.float32([1, 2]))
    array([1., 1.], dtype=float32)
    """
    return CustomVjp(function)


def _visible(results: Sequence[Node]) -> frozenset[Node]:
    """Return the nodes on which `results` depend other than through `stop_gradient`."""
    visible = set(results)
    for node in reversed(topological_order(results)):
        if node in visible and node.op.name != "stop_gradient":
            visible.update(node.inputs)
    return frozenset(visible)


@dataclass(frozen=True, eq=False)
class _Rule:
    """The user's rule, over nodes; see `graphc.ops.calls.PullbackRule`."""

    name: str
    forward: Callable[..., Any]
    backward: Callable[[Any, Any], Any]
    structure: Structure  # of the arguments
    called: _Called
    visible: frozenset[Node]  # what the results depend on, but for what stop_gradient hides

    @property
    def arguments(self) -> int:
        """See `PullbackRule`."""
        return self.called.given

    def pull_back(
        self, operands: Sequence[Node], cotangents: Sequence[Node], needed: Sequence[bool]
    ) -> Sequence[Node | None]:
        """Return the cotangents of the operands; None for those read besides the arguments."""
        count = self.called.given
        self._check_captured(operands[count:], needed[count:])
        given = unflatten(self.structure, tensors(operands[:count]))
        pair = _asked(self.forward, f"{self.name}: forward", given)
        if not isinstance(pair, tuple) or len(pair) != 2:
            fail(GraphcTypeError, f"{self.name}: forward gives a pair, the result and residuals")
        self._check_result(pair[0], cotangents)
        cotangent = unflatten(self.called.structure, tensors(cotangents))
        pulled = _asked(self.backward, f"{self.name}: backward", (pair[1], cotangent))
        found = self._leaves(pulled)
        pairs = zip(operands[:count], found, strict=True)
        return [
            *(self._checked(operand, value) for operand, value in pairs),
            *(None for _ in operands[count:]),
        ]

    def _check_captured(self, operands: Sequence[Node], needed: Sequence[bool]) -> None:
        inner = self.called.parameters[self.called.given :]
        for operand, parameter, is_needed in zip(operands, inner, needed, strict=True):
            if is_needed and parameter in self.visible:
                fail(
                    GraphcTypeError,
                    f"{self.name} reads a {operand.type} that is none of its arguments, "
                    "and its derivative says nothing of it",
                    [operand],
                    hint="pass it as an argument, or hold it constant with graphc.stop_gradient",
                )

    def _check_result(self, result: Any, cotangents: Sequence[Node]) -> None:
        """Raise where what `forward` gives is not of the types of the function's own result."""
        leaves, structure = flatten_result(result)
        given, wanted = [as_node(leaf) for leaf in leaves], [c.type for c in cotangents]
        if structure != self.called.structure or [node.type for node in given] != wanted:
            found = ", ".join(str(node.type) for node in given)
            fail(
                GraphcTypeError,
                f"{self.name}: forward gives {found or 'nothing'} as the result, "
                f"and the function {', '.join(map(str, wanted))}",
                given,
            )

    def _leaves(self, pulled: Any) -> list[Any]:
        """Return what `backward` gives for each leaf of the arguments."""
        wanted = self.structure.children
        if not isinstance(pulled, tuple) or len(pulled) != len(wanted):
            fail(
                GraphcTypeError,
                f"{self.name}: backward gives a tuple of {len(wanted)} cotangents",
                hint="one for each positional argument; None for one that has none",
            )
        leaves: list[Any] = []
        for part, child in zip(pulled, wanted, strict=True):
            found = [None] * child.leaf_count if part is None else flatten_result(part)[0]
            if len(found) != child.leaf_count:
                fail(GraphcTypeError, f"{self.name}: a cotangent is nested like its argument")
            leaves += found
        return leaves

    def _checked(self, operand: Node, value: Any) -> Node | None:
        if value is None or not operand.type.dtype.is_inexact:
            return None
        node = as_node(value, operand.type.dtype)
        if node.type != operand.type:
            fail(
                ShapeError,
                f"{self.name}: backward gives a cotangent {node.type} for a {operand.type}",
                [operand, node],
            )
        return node

    def __repr__(self) -> str:
        return f"<rule of {self.name}>"


def _asked(function: Callable[..., Any], what: str, arguments: Sequence[Any]) -> Any:
    """Call a part of a rule; raises GraphcTypeError where it takes other arguments."""
    _bound(function, what, arguments, {})
    with at_line(None):  # the nodes of a rule stand on its own lines
        return function(*arguments)


def _positional(
    function: Callable[..., Any], name: str, arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> tuple[Any, ...]:
    """Return the arguments of a call with keywords as positional ones."""
    bound = _bound(function, name, arguments, keywords)
    bound.apply_defaults()
    if bound.kwargs:
        named = ", ".join(bound.kwargs)
        fail(GraphcTypeError, f"{name}: custom_vjp takes positional arguments, and no {named}")
    return tuple(bound.args)


def _bound(
    function: Callable[..., Any], what: str, arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> inspect.BoundArguments:
    try:
        return inspect.signature(function).bind(*arguments, **keywords)
    except TypeError as error:
        fail(GraphcTypeError, f"{what} cannot be called on {len(arguments)} arguments: {error}")
