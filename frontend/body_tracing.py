"""Running the Python function of a loop's body once, and taking note of all that it did.

`carried` runs a step on symbolic carries: `Carried` is what it gave, with the variables that it
assigned as further carries. `on_arrays` runs a loop on arrays through the compiler. No node of a
loop is made here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.capture import new_parameter
from graphc.errors import GraphcTypeError, GraphcValueError, TracingError
from graphc.frontend.constructors import input as make_input
from graphc.frontend.hooks import hook
from graphc.frontend.operands import as_node, fail, is_scalar, result_dtype
from graphc.frontend.recording import BodyTrace, Trace, current_trace, is_tracing, outer_value
from graphc.frontend.structures import Structure, flatten_numbers, flatten_result, unflatten
from graphc.frontend.tensor import Tensor
from graphc.graph import substitute, topological_order
from graphc.node import Node

Step = Callable[[Any], tuple[Any, Any]]


@dataclass(frozen=True)
class Carried:
    """A step as nodes: `parameters` are the carries before it and `outputs` those after it.

    `start` are their first values. The carries are the leaves of `structure`, then `variables`.
    `others` are what the step gave besides, the leaves of `others_structure`.
    """

    structure: Structure
    variables: tuple[Node, ...]
    start: tuple[Node, ...]
    parameters: tuple[Node, ...]
    outputs: tuple[Node, ...]
    others: tuple[Node, ...]
    others_structure: Structure

    def finish(self, carries: Sequence[Node]) -> Any:
        """Assign the variables and return the carry, where `carries` are the last ones."""
        count = len(carries) - len(self.variables)
        assign(zip(self.variables, carries[count:], strict=True))
        return unflatten(self.structure, tensors(carries[:count]))


@dataclass(frozen=True)
class Words:
    """How messages speak of a loop: by the name of the function that was called.

    `hint` is that of a carry that changes its type. Where `is_counted`, the carry is a pair of a
    counter and of what its user calls the carry.
    """

    name: str
    hint: str = "convert it with astype, or start from another one"
    is_counted: bool = False

    def paths(self, structure: Structure) -> list[str]:
        """Return the path of each leaf of the carry, as its user would call it."""
        found = list(structure.paths("carry"))
        if not self.is_counted:
            return found
        return ["counter" if p == "carry.0" else "carry" + p.removeprefix("carry.1") for p in found]


def carried(words: Words, step: Step, init: Any) -> Carried:
    """Return `carry, others = step(carry)` on symbolic carries like `init`.

    A Python number in `init` takes the dtype that the step gives it; the step is then run again.
    Raises GraphcTypeError where the carry is another after the step.
    """
    leaves, structure = flatten_numbers(init)
    start = [as_node(leaf) for leaf in leaves]
    while True:
        parameters = [new_parameter(node.type, "carry", words.name) for node in start]
        with BodyTrace() as trace:
            after, others = step(unflatten(structure, tensors(parameters)))
            outputs = _outputs(words, structure, after, parameters)
            given, others_structure = flatten_numbers(others)
            rest = [as_node(value) for value in given]
        pairs = zip(leaves, start, outputs, strict=True)
        adapted = [_adapted(leaf, node, output) for leaf, node, output in pairs]
        if adapted == start:
            break
        start = adapted
    _check_types(words, structure, start, outputs)
    assigned = dict(trace.assignments)
    stand_ins = [trace.stand_in(variable) for variable in assigned]
    read = [(node, v) for v, node in trace.stand_ins.items() if v not in assigned]
    outside = {node: outer_value(variable) for node, variable in read}
    roots = substitute([*outputs, *assigned.values(), *rest], outside)
    count = len(outputs) + len(assigned)
    return Carried(
        structure,
        tuple(assigned),
        (*start, *map(outer_value, assigned)),
        (*parameters, *stand_ins),
        roots[:count],
        roots[count:],
        others_structure,
    )


def _outputs(
    words: Words, structure: Structure, after: Any, parameters: Sequence[Node]
) -> list[Node]:
    leaves, found = flatten_numbers(after)
    if found != structure:
        was, now = (", ".join(words.paths(s)) or "nothing" for s in (structure, found))
        fail(
            GraphcTypeError,
            f"{words.name}: the carry is nested in another way after a step: "
            f"{now} in the place of {was}",
            hint="a step gives the carry as it got it: the same containers, keys and numbers",
        )
    pairs = zip(leaves, parameters, strict=True)
    return [as_like(leaf, parameter) for leaf, parameter in pairs]


def as_like(value: Any, node: Node) -> Node:
    """Return the node of `value`; a Python number takes the dtype of `node` if that holds it."""
    dtype = node.type.dtype
    is_weak = is_scalar(value) and result_dtype(value, Tensor(node)) is dtype
    return as_node(value, dtype if is_weak else None)


def _adapted(leaf: Any, node: Node, output: Node) -> Node:
    if not is_scalar(leaf) or node.type == output.type or output.shape:
        return node
    return as_like(leaf, output)


def _check_types(
    words: Words, structure: Structure, start: Sequence[Node], outputs: Sequence[Node]
) -> None:
    for path, before, after in zip(words.paths(structure), start, outputs, strict=True):
        if before.type != after.type:
            fail(
                GraphcTypeError,
                f"{words.name}: {path} is {before.type} before a step and {after.type} after it",
                [before, after],
                f"a carry keeps its type: {words.hint}",
            )


def assign(pairs: Iterable[tuple[Node, Node]]) -> None:
    """Record assignments in the current trace. Raises TracingError where nothing is traced."""
    trace = current_trace()
    for variable, value in pairs:
        if trace is None:
            fail(
                TracingError,
                "a variable can be assigned in a loop only while a function is traced",
                [variable],
                "put the loop into a function and compile it with graphc.compile",
            )
        trace.assign(variable, value)


def checked_count(what: str, value: Any, least: int = 1) -> int:
    """Return a whole number; raises GraphcTypeError for another kind, GraphcValueError below."""
    try:
        count = operator.index(value)
    except TypeError:
        fail(GraphcTypeError, f"{what}= is a whole number, not {type(value).__name__}")
    if count < least or isinstance(value, bool):
        fail(GraphcValueError, f"{what}= is at least {least}, not {value}")
    return count


def tensors(nodes: Iterable[Node]) -> list[Tensor]:
    """Return tensors of nodes."""
    return [Tensor(node) for node in nodes]


def on_arrays(symbolic: Callable[..., Any], *arguments: Any) -> Any:
    """Return `symbolic(*arguments)`; outside of tracing and without tensors it is compiled and run.

    What a body reads from outside may be symbolic, though, and then so is the result.
    """
    leaves, structure = flatten_result(arguments)
    if is_tracing() or any(isinstance(leaf, Tensor) for leaf in leaves):
        return symbolic(*arguments)
    inputs = [make_input(leaf.shape, leaf.dtype).node for leaf in leaves]
    with Trace() as recorded:
        result, result_structure = flatten_result(symbolic(*unflatten(structure, tensors(inputs))))
    outputs = [as_node(x) for x in result]
    roots = [*outputs, *(value for _, value in recorded.assignments)]
    variables = [variable for variable, _ in recorded.assignments]

    def put_together(*values: Any) -> Any:
        given = dict(zip(inputs, map(as_node, values), strict=True))
        found = substitute(roots, given)
        assign(zip(variables, found[len(outputs) :], strict=True))
        return unflatten(result_structure, tensors(found[: len(outputs)]))

    is_symbolic = any(n.op.name == "input" and n not in inputs for n in topological_order(roots))
    return put_together(*leaves) if is_symbolic else hook("compiler")(put_together)(*leaves)
