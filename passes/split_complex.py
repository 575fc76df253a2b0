"""Put pairs of floats in the place of complex numbers: afterwards no node is complex. Exact.

    x : complex64[S]  ->  x' : float32[*S, 2]       the same bytes: real and imaginary parts

Requires a graph without compositions. Each node that takes or gives complex numbers becomes what
its op is of pairs: what the op declares (`Op.on_pairs`), or, of a host function, the same function
called on pairs. Loops and branches get bodies over pairs. Inputs, variables and constants are read
as pairs, and outputs and assigned values are pairs: whoever calls the program sees the same memory
as complex numbers (`Plan.inputs`, `Plan.outputs`). Guarantees that every node carries the user's
line of the node it stands for, and that a graph without complex numbers is the same object. It runs
for graphs that are not optimised too, and before all passes that know what multiplication is:
their laws hold for floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc import ops
from graphc.body import Body, bodies_of, nested_bodies
from graphc.errors import GraphcTypeError
from graphc.graph import Graph, rebuild
from graphc.node import ArrayData, Node, at_line, constant_value
from graphc.op import Host, Item, Scan, Switch, While
from graphc.ops.on_pairs import called_on_pairs
from graphc.ops.pairs import paired_type


def split_complex(graph: Graph) -> Graph:
    """Return `graph` with pairs of floats in the place of complex numbers."""
    images: dict[Body, Body] = {}
    for body in nested_bodies(graph.tuples):
        images[body] = Body(_split(body.graph, images))
    return _split(graph, images)


def _split(graph: Graph, images: Mapping[Body, Body]) -> Graph:
    changed = {body for body, image in images.items() if body != image}
    if not any(_is_concerned(node, changed) for node in graph.nodes):
        return graph
    found: dict[Node, Node] = {}
    for node in graph.nodes:
        operands = tuple(found[operand] for operand in node.inputs)
        with at_line(node.line):
            found[node] = _image(node, operands, images)
    assignments = [(found[target], found[value]) for target, value in graph.assignments]
    inputs = [found[node] for node in graph.inputs]
    return Graph(inputs, [found[node] for node in graph.outputs], assignments, graph.name)


def _is_complex(node: Node) -> bool:
    return any(type_.dtype.is_complex for type_ in node.results)


def _is_concerned(node: Node, changed: set[Body]) -> bool:
    return _is_complex(node) or not changed.isdisjoint(bodies_of(node))


def _image(node: Node, operands: tuple[Node, ...], images: Mapping[Body, Body]) -> Node:
    lowering = node.op.lowering
    if isinstance(lowering, Scan | While | Switch):
        attributes = {name: _of_pairs(value, images) for name, value in node.attributes.items()}
        return node.op(*operands, **attributes)
    if isinstance(lowering, Item) or not (_is_complex(node) or any(map(_is_complex, node.inputs))):
        return rebuild(node, operands)
    if not node.inputs:
        return _leaf(node)
    if isinstance(lowering, Host):
        return called_on_pairs(node, operands)
    if node.op.on_pairs is None:
        raise GraphcTypeError(
            f"{node.op.name} does not take complex numbers", line=str(node.line or "")
        )
    return node.op.on_pairs(node, operands)


def _leaf(node: Node) -> Node:
    type_ = paired_type(node.type)
    if node.op is ops.input_:
        return ops.input_(**{**node.attributes, "shape": type_.shape, "dtype": type_.dtype})
    if node.op is ops.variable:
        return ops.variable(state=node.attributes["state"], pairs=True)
    array = constant_value(node)
    pairs = array.reshape((*array.shape, 1)).view(type_.dtype.numpy)
    return ops.constant(value=ArrayData(pairs))


def _of_pairs(value: Any, images: Mapping[Body, Body]) -> Any:
    if isinstance(value, tuple):
        return tuple(_of_pairs(part, images) for part in value)
    return images[value] if isinstance(value, Body) else value
