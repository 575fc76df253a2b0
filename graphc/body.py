"""Bodies: the closed graphs that loops and branches hold as attributes.

A `Body` takes parameters and gives results; it reads nothing else, assigns nothing and has no
variables. Its parameters are made canonical: inputs without a name, numbered -1, -2, … by their
place. So bodies that compute the same are one, as nodes are, and bodies of different loops have
parameters in common: whoever puts the nodes of a body into another graph gives it operands first
(`apply`). Only ops with several results hold bodies. Nested bodies are found by a list,
`nested_bodies`, innermost first; nothing recurses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.errors import InternalError
from graphc.graph import Graph, rebuild, substitute
from graphc.lazy import LazyProperty
from graphc.node import Node, at_line
from graphc.op import find
from graphc.tensor_type import TensorType

if TYPE_CHECKING:
    from graphc.interpreter import Evaluation


class Body:
    """A closed graph, compared by the identity of its parameters and results.

    Raises InternalError for a graph with variables or assignments, and GraphcValueError where it
    reads an input that is no parameter.
    """

    def __init__(self, graph: Graph) -> None:
        if graph.assignments or graph.variables:
            raise InternalError("a body has no variables: they are operands of its loop")
        inputs = [_parameter(place, node.type) for place, node in enumerate(graph.inputs)]
        outputs = graph.outputs
        if tuple(inputs) != graph.inputs:
            outputs = substitute(outputs, dict(zip(graph.inputs, inputs, strict=True)))
        self.graph = Graph(inputs, outputs, name="body")
        self._key = (self.graph.inputs, self.graph.outputs)

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The parameters."""
        return self.graph.inputs

    @property
    def outputs(self) -> tuple[Node, ...]:
        """The results."""
        return self.graph.outputs

    @property
    def parameter_types(self) -> tuple[TensorType, ...]:
        """The types of the parameters."""
        return tuple(node.type for node in self.inputs)

    @property
    def result_types(self) -> tuple[TensorType, ...]:
        """The types of the results."""
        return tuple(node.type for node in self.outputs)

    def apply(self, *operands: Node) -> tuple[Node, ...]:
        """Return the results as nodes over `operands`, which stand for the parameters."""
        return substitute(self.outputs, dict(zip(self.inputs, operands, strict=True)))

    def run(self, *arrays: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
        """Return the results by the NumPy meaning of the body; they may share memory."""
        return self._evaluation(arrays)

    @LazyProperty
    def _evaluation(self) -> Evaluation:
        from graphc.interpreter import Evaluation  # the interpreter computes all ops, loops too

        return Evaluation(self.outputs, self.inputs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Body) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Body({len(self.inputs)} -> {len(self.outputs)})"


def _parameter(place: int, type_: TensorType) -> Node:
    op = find("input")
    assert op is not None
    return op(number=-1 - place, name="", shape=type_.shape, dtype=type_.dtype)


def bodies_of(node: Node) -> tuple[Body, ...]:
    """Return the bodies among the attributes of a node, in their order."""
    if not node.is_tuple:
        return ()
    found: list[Body] = []
    for value in node.attributes.values():
        parts = value if isinstance(value, tuple) else (value,)
        found += [part for part in parts if isinstance(part, Body)]
    return tuple(found)


def nested_bodies(
    nodes: Iterable[Node], graph_of: Callable[[Body], Graph] = lambda body: body.graph
) -> tuple[Body, ...]:
    """Return every body that `nodes` hold and that those hold, each once, the inner ones first.

    What a body holds is looked up in `graph_of(body)`, asked for an outer one first.
    """
    order: dict[Body, None] = {}
    pending = [(body, False) for node in nodes for body in bodies_of(node)][::-1]
    while pending:
        body, is_done = pending.pop()
        if is_done:
            order.setdefault(body)
        elif body not in order:
            pending.append((body, True))
            pending += [(b, False) for n in graph_of(body).tuples for b in bodies_of(n)][::-1]
    return tuple(order)


def rewrite_nested(graph: Graph, function: Callable[[Graph], Graph]) -> Graph:
    """Return `function(graph)`, in which every nested body was rewritten by `function` before."""
    image: dict[Body, Body] = {}
    for body in nested_bodies(graph.tuples):
        image[body] = Body(function(_with_bodies(body.graph, image)))
    return function(_with_bodies(graph, image))


def rewrite_outer_first(graph: Graph, function: Callable[[Graph], Graph]) -> Graph:
    """Return `function(graph)`, the bodies of which are rewritten by `function` after it."""
    rewritten: dict[Body, Graph] = {}

    def graph_of(body: Body) -> Graph:
        if body not in rewritten:
            rewritten[body] = function(body.graph)
        return rewritten[body]

    outer = function(graph)
    image: dict[Body, Body] = {}
    for body in nested_bodies(outer.tuples, graph_of):
        image[body] = Body(_with_bodies(rewritten[body], image))
    return _with_bodies(outer, image)


def _with_bodies(graph: Graph, image: Mapping[Body, Body]) -> Graph:
    changed = {body for body, new in image.items() if new != body}

    def replace(node: Node, inputs: tuple[Node, ...]) -> Node:
        if changed.isdisjoint(bodies_of(node)):
            return rebuild(node, inputs)
        attributes = {name: _image(value, image) for name, value in node.attributes.items()}
        with at_line(node.line):
            return node.op(*inputs, **attributes)

    return graph.rewrite(replace) if changed else graph


def _image(value: Any, image: Mapping[Body, Body]) -> Any:
    if isinstance(value, tuple):
        return tuple(_image(part, image) for part in value)
    return image[value] if isinstance(value, Body) else value
