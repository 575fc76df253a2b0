"""The NumPy meaning of a graph: every node's reference, in topological order.

This is the oracle that compiled programs are tested against. It iterates, so depth costs no stack,
and drops each value after its last use. It reads the values of variables and writes none: new
values are returned. It does not try to be fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import GraphcError, GraphcTypeError, GraphcValueError, InternalError
from graphc.graph import Graph, topological_order
from graphc.node import Node, describe, given_name, shown_type
from graphc.state import VariableState

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


def interpret(
    graph: Graph, arguments: Sequence[Array]
) -> tuple[tuple[Array, ...], dict[VariableState, Array]]:
    """Return the outputs of `graph` and the new values of the variables that it assigns.

    `arguments` are arrays of exactly the types of `graph.inputs`; they are not written to, and
    every result is a fresh dense array. Raises GraphcTypeError or GraphcValueError for arguments
    that do not fit and GraphcIndexError where the graph reads or writes out of bounds.
    """
    if len(arguments) != len(graph.inputs):
        raise GraphcValueError(f"{len(graph.inputs)} inputs, but {len(arguments)} arguments")
    for node, array in zip(graph.inputs, arguments, strict=True):
        _check_argument(node, array)
    values = evaluate(graph.roots, dict(zip(graph.inputs, arguments, strict=True)))
    fresh = [np.array(value, order="C", copy=True) for value in values]
    states = (target.attributes["state"] for target, _ in graph.assignments)
    count = len(graph.outputs)
    return tuple(fresh[:count]), dict(zip(states, fresh[count:], strict=True))


def evaluate(
    nodes: Sequence[Node], bindings: Mapping[Node, Array] | None = None
) -> tuple[Array, ...]:
    """Return the values of `nodes` where `bindings` gives those of inputs, or of any other node.

    What is bound hides its operands. Results may share memory with the bindings and with constants.
    """
    bindings = bindings or {}
    return Evaluation(nodes, tuple(bindings))(tuple(bindings.values()))


class Evaluation:
    """The values of `nodes` as a function of those of `bound`, to be computed many times."""

    def __init__(self, nodes: Sequence[Node], bound: Sequence[Node]) -> None:
        self.nodes, self.bound = tuple(nodes), tuple(bound)
        hidden = set(bound)
        self.order = [n for n in _order_above(nodes, hidden) if n not in hidden]
        self.last_readers = _last_readers(self.order, nodes)

    def __call__(
        self, arrays: Sequence[Array], watch: Callable[[Node, Any], None] = lambda _n, _v: None
    ) -> tuple[Array, ...]:
        """Return the values of the nodes, in their order, where `arrays` are those of `bound`.

        `watch(node, value)` sees each node's value when it has been computed.
        """
        values: dict[Node, Any] = dict(zip(self.bound, arrays, strict=True))
        for node in self.order:
            values[node] = _value(node, [values[operand] for operand in node.inputs])
            watch(node, values[node])
            for operand in node.inputs:
                if self.last_readers[operand] is node:
                    values.pop(operand, None)
        return tuple(values[node] for node in self.nodes)


def _order_above(nodes: Sequence[Node], bound: Set[Node]) -> tuple[Node, ...]:
    """Return what `nodes` reach, in topological order, without going through bound nodes."""
    inner = [n for n in bound if n.inputs]
    if not inner:
        return topological_order(nodes)
    needed, pending = set(nodes), list(nodes)
    while pending:
        node = pending.pop()
        fresh = [] if node in bound else [i for i in node.inputs if i not in needed]
        needed.update(fresh)
        pending.extend(fresh)
    return tuple(n for n in topological_order(nodes) if n in needed)


def _last_readers(order: Sequence[Node], kept: Sequence[Node]) -> dict[Node, Node | None]:
    readers: dict[Node, Node | None] = {o: node for node in order for o in node.inputs}
    readers.update(dict.fromkeys(kept))
    return readers


def _value(node: Node, operands: Sequence[Any]) -> Array | tuple[Array, ...]:
    """Return the value of a node, or all values of one that has several."""
    values = values_of(node, operands)
    return values if node.is_tuple else values[0]


def values_of(node: Node, operands: Sequence[Any]) -> tuple[Array, ...]:
    """Return the results of a node over the values of its operands, by its op's reference.

    Raises what the reference raises, completed with the operands and the user's line.
    """
    result = node.results if node.is_tuple else node.type
    try:
        computed = node.op.reference(*operands, result=result, **node.attributes)
    except GraphcError as error:
        raise describe(error, node.inputs, node.line) from None
    values = tuple(map(np.asarray, computed if node.is_tuple else (computed,)))
    types = [(value.dtype, value.shape) for value in values]
    if types != [(type_.dtype.numpy, type_.shape) for type_ in node.results]:
        given = ", ".join(f"{dtype}{list(shape)}" for dtype, shape in types)
        raise InternalError(f"the reference of {node.op.name} gave {given}, not {shown_type(node)}")
    return values


def _check_argument(node: Node, array: Array) -> None:
    name = given_name(node)
    if array.dtype != node.type.dtype.numpy:
        raise GraphcTypeError(f"the input {name} is {node.type}, but {array.dtype} was given")
    if array.shape != node.shape:
        raise GraphcValueError(f"the input {name} is {node.type}, but {array.shape} was given")
