"""Branches: each function of `cond` and `switch` run once, and their results made alike.

What a branch reads of the outside, everything that was made before it, becomes an operand; what it
makes itself is computed only where it is chosen. A variable that some branch assigns has its old
value after the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.body import Body
from graphc.capture import captured, made_before, new_parameter
from graphc.dtypes import bool_
from graphc.errors import GraphcTypeError
from graphc.frontend.body_tracing import as_like, assign, on_arrays, tensors
from graphc.frontend.operands import apply, as_node, fail, is_scalar, result_dtype
from graphc.frontend.recording import BodyTrace, outer_value
from graphc.frontend.structures import Structure, flatten_numbers, unflatten
from graphc.frontend.tensor import TensorLike
from graphc.graph import Graph, substitute
from graphc.node import Node, next_serial
from graphc.ops.loops import items


def predicate_node(name: str, value: TensorLike) -> Node:
    """Return the node of a condition; raises GraphcTypeError unless it is a bool scalar."""
    node = as_node(value)
    if node.shape or node.type.dtype is not bool_:
        fail(
            GraphcTypeError,
            f"{name}: the condition is a bool scalar, not {node.type}",
            [node],
            "compare, and reduce with all() or any()",
        )
    return node


@dataclass(frozen=True)
class _Branch:
    """What a branch gave: numbers, and nodes over the parameters and what it read of variables."""

    leaves: Sequence[Any]
    structure: Structure
    assigned: Mapping[Node, Node]
    stand_ins: Mapping[Node, Node]

    def roots(self, results: Sequence[Node], variables: Sequence[Node]) -> tuple[Node, ...]:
        """Return its results, and the values of the variables after it."""
        values = [self.assigned.get(v) or outer_value(v) for v in variables]
        outside = {node: outer_value(variable) for variable, node in self.stand_ins.items()}
        return substitute([*results, *values], outside)


def choose(
    name: str,
    index: Any,
    number: Callable[[Any], Node],
    functions: Sequence[Callable[..., Any]],
    operands: Sequence[Any],
) -> Any:
    """Return what the function gives that `number(index)` numbers, called with `operands`."""

    def symbolic(index: Any, operands: Sequence[Any]) -> Any:
        leaves, structure = flatten_numbers(tuple(operands))
        given = [as_node(leaf) for leaf in leaves]
        parameters = [new_parameter(node.type, "operand", name) for node in given]
        chosen, start = number(index), next_serial()
        arguments = unflatten(structure, tensors(parameters))
        branches = [_run(function, arguments) for function in functions]
        results = _alike(name, branches)
        variables = tuple(dict.fromkeys(v for branch in branches for v in branch.assigned))
        pairs = zip(branches, results, strict=True)
        roots = [branch.roots(nodes, variables) for branch, nodes in pairs]
        outer = captured(
            [node for nodes in roots for node in nodes], parameters, made_before(start)
        )
        inner = [new_parameter(node.type) for node in outer]
        over = dict(zip(outer, inner, strict=True))
        bodies = tuple(Body(Graph([*parameters, *inner], substitute(r, over))) for r in roots)
        found = items(apply("switch", chosen, *given, *outer, branches=bodies))
        count = len(results[0])
        assign(zip(variables, found[count:], strict=True))
        return unflatten(branches[0].structure, tensors(found[:count]))

    return on_arrays(symbolic, index, operands)


def _run(function: Callable[..., Any], arguments: Sequence[Any]) -> _Branch:
    with BodyTrace() as trace:
        leaves, structure = flatten_numbers(function(*arguments))
        values = [leaf if is_scalar(leaf) else as_node(leaf) for leaf in leaves]
    return _Branch(values, structure, dict(trace.assignments), trace.stand_ins)


def _alike(name: str, branches: Sequence[_Branch]) -> list[list[Node]]:
    """Return the results of each branch; raises GraphcTypeError where they differ in type."""
    first = branches[0].structure
    for number, branch in enumerate(branches):
        if branch.structure != first:
            shown = [", ".join(s.paths("result")) or "nothing" for s in (first, branch.structure)]
            fail(
                GraphcTypeError,
                f"{name}: {_word(name, 0)} gives {shown[0]}, {_word(name, number)} {shown[1]}",
                hint="all branches give the same containers, keys and numbers of results",
            )
    columns = zip(*(branch.leaves for branch in branches), strict=True)
    paths = first.paths("result")
    alike = [_column(name, path, column) for path, column in zip(paths, columns, strict=True)]
    return [list(row) for row in zip(*alike, strict=True)] or [[] for _ in branches]


def _column(name: str, path: str, values: Sequence[Any]) -> list[Node]:
    """Return one result of all branches as nodes of one type; numbers take that of the tensors."""
    strong = next((value for value in values if isinstance(value, Node)), None)
    if strong is None:
        dtype = result_dtype(*values)
        return [as_node(value, dtype) for value in values]
    nodes = [v if isinstance(v, Node) else as_like(v, strong) for v in values]
    for number, node in enumerate(nodes):
        if node.type != nodes[0].type:
            fail(
                GraphcTypeError,
                f"{name}: {path} is {nodes[0].type} in {_word(name, 0)} and {node.type} in "
                f"{_word(name, number)}",
                [nodes[0], node],
                "all branches give the same types: convert one with astype or broadcast_to",
            )
    return nodes


def _word(name: str, number: int) -> str:
    if name == "cond":
        return ("false_f", "true_f")[number]
    return f"branch {number}"
