"""Reverse-mode differentiation, from graph to graph.

`gradients` walks back from the outputs, hands each node's cotangent to its op's declared derivative
and adds up what arrives at an operand. The result is an ordinary graph, so it can be differentiated
again. The cotangents of an op with several results are handed to its derivative together. Requires
nothing; guarantees that every gradient has the type of the node it belongs to, that backward nodes
carry the user's line of their forward node, and that cotangents are added in one order, that of the
users from the last to the first. Integers and bool have no cotangents. Exact: it changes no node.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.arithmetic import zeros_like
from graphc.errors import GraphcTypeError, GraphcValueError, InternalError
from graphc.graph import topological_order
from graphc.node import Node, at_line, shown_type
from graphc.op import Item
from graphc.passes import differentiate_calls, differentiate_loops


def gradients(
    outputs: Sequence[Node], cotangents: Sequence[Node], wrt: Sequence[Node]
) -> tuple[Node, ...]:
    """Return, for each node of `wrt`, the sum over outputs of cotangent times derivative.

    outputs     nodes of floats or complex numbers
    cotangents  one node for each output, of its type
    wrt         such nodes, inner ones of the graph included; zeros where no output depends on one

    A complex number is a pair of floats, in cotangents too (`graphc.ops.complex_numbers`). Raises
    GraphcTypeError where a node is of another kind, or an op on the way from `wrt` to an output has
    no derivative (it names the user's line), and GraphcValueError where types do not agree.
    """
    _check(outputs, cotangents, wrt)
    order = topological_order(outputs)
    dependent = _dependent(order, wrt)
    arrived: dict[Node, Node] = {}
    results: dict[Node, dict[int, Node]] = {}
    for output, cotangent in zip(outputs, cotangents, strict=True):
        _accumulate(arrived, output, cotangent)
    for node in reversed(order):
        if not any(i in dependent for i in node.inputs):
            continue
        if isinstance(node.op.lowering, Item) and node in arrived:
            results.setdefault(node.inputs[0], {})[node.attributes["index"]] = arrived[node]
        elif node in results:
            collected = tuple(results[node].get(k) for k in range(len(node.results)))
            _pull_back(node, collected, arrived, dependent)
        elif node in arrived:
            _pull_back(node, arrived[node], arrived, dependent)
    return tuple(arrived[node] if node in arrived else _zeros(node) for node in wrt)


def _check(outputs: Sequence[Node], cotangents: Sequence[Node], wrt: Sequence[Node]) -> None:
    if len(outputs) != len(cotangents):
        raise GraphcValueError(f"{len(outputs)} outputs, but {len(cotangents)} cotangents")
    for node in (*outputs, *wrt):
        if not node.type.dtype.is_inexact:
            raise GraphcTypeError(
                f"only floats have a derivative, but {node.op.name} is {node.type}",
                line=str(node.line or ""),
                hint="cast it to a float before using it",
            )
    for output, cotangent in zip(outputs, cotangents, strict=True):
        if output.type != cotangent.type:
            raise GraphcValueError(
                f"the cotangent of a {output.type} is a {output.type}, not a {cotangent.type}"
            )


def _dependent(order: Sequence[Node], wrt: Sequence[Node]) -> set[Node]:
    """Return the nodes of `order` that derivatives reach: in `wrt`, or computed from such nodes."""
    dependent = set(wrt)
    for node in order:
        has_derivative = any(type_.dtype.is_inexact for type_ in node.results)
        if has_derivative and any(i in dependent for i in node.inputs):
            dependent.add(node)
    return dependent


def _pull_back(
    node: Node,
    cotangent: Node | tuple[Node | None, ...],
    arrived: dict[Node, Node],
    dependent: set[Node],
) -> None:
    """Hand the cotangent of `node` on to those of its operands that depend on `wrt`."""
    with at_line(node.line):
        pulled = pulled_back(node, cotangent, [operand in dependent for operand in node.inputs])
        for operand, part in zip(node.inputs, pulled, strict=True):
            if part is not None and operand in dependent:
                _accumulate(arrived, operand, part)


def pulled_back(
    node: Node, cotangent: Node | tuple[Node | None, ...], needed: Sequence[bool]
) -> Sequence[Node | None]:
    """Return the cotangent of each operand of one node, or None; those not `needed` may be None.

    Of a node with several results `cotangent` is a tuple, with None for what has none. Raises
    GraphcTypeError, with the user's line, where the op has no derivative.
    """
    rule = differentiate_loops.RULES.get(node.op) or differentiate_calls.RULES.get(node.op)
    pulled: Sequence[Node | None]
    if rule is not None:
        pulled = rule(node, cotangent, needed, gradients)
    elif node.op.derivative is not None:
        pulled = node.op.derivative(node, cotangent)
    else:
        raise GraphcTypeError(
            f"{node.op.name} has no derivative",
            notes=tuple(f"operand {i}: {shown_type(o)}" for i, o in enumerate(node.inputs)),
            line=str(node.line or ""),
            hint="stop_gradient treats its operand as a constant",
        )
    if len(pulled) != len(node.inputs):
        raise InternalError(f"the derivative of {node.op.name} gives {len(pulled)} cotangents")
    return pulled


def _accumulate(arrived: dict[Node, Node], node: Node, cotangent: Node) -> None:
    if cotangent.type != node.type:
        raise InternalError(f"a {node.type} ({node.op.name}) got the cotangent {cotangent.type}")
    arrived[node] = arrived[node] + cotangent if node in arrived else cotangent


def _zeros(node: Node) -> Node:
    with at_line(node.line):
        return zeros_like(node)
