"""A graph in float64 and complex128, at one point: what gradients are checked on.

Every float and every complex number is widened, in bodies and attributes too, and variables are
inputs, so that all leaves can be moved; `body_and_values` says the same of a body in its first run.
Nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from graphc import ops
from graphc.body import Body, nested_bodies
from graphc.dtypes import DType, as_dtype, complex128, float64
from graphc.errors import GraphcTypeError
from graphc.graph import Graph, rewrite
from graphc.node import ArrayData, Node, at_line, fresh_number, given_name

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


@dataclass(frozen=True)
class Point:
    """A graph in float64: its float outputs, the leaves that move, and the values of all leaves."""

    outputs: tuple[Node, ...]
    moved: tuple[Node, ...]
    values: dict[Node, Array]


def widened(graph: Graph, arguments: Sequence[Array]) -> Point:
    """Return the graph with float64 in the place of every other float, variables as inputs."""
    given = dict(zip(graph.inputs, arguments, strict=True))
    values: dict[Node, Array] = {}
    bodies: dict[Body, Body] = {}

    def widen(node: Node, operands: tuple[Node, ...]) -> Node:
        with at_line(node.line):
            if node.op.name in ("input", "variable"):
                array = given[node] if node in given else node.attributes["state"].host()
                wide = input_like(node)
                values[wide] = array.astype(wide.type.dtype.numpy)
                return wide
            attributes = {name: _wide(value, bodies) for name, value in node.attributes.items()}
            return node.op(*operands, **attributes)

    for body in nested_bodies(graph.tuples):
        places = dict(zip(body.inputs, map(input_like, body.inputs), strict=True))
        outputs = rewrite(body.outputs, partial(_placed, widen, places))
        bodies[body] = Body(Graph(list(places.values()), outputs, name="body"))
    outputs = rewrite(graph.outputs, widen)
    moved = tuple(node for node in values if node.type.dtype.is_inexact)
    floats = tuple(node for node in outputs if node.type.dtype.is_inexact)
    if not moved or not floats:
        what = "takes no floats" if not moved else "gives no floats"
        raise GraphcTypeError(f"check_grads: {graph.name} {what}, so it has no derivatives")
    return Point(floats, moved, values)


def _placed(
    widen: Callable[[Node, tuple[Node, ...]], Node],
    places: Mapping[Node, Node],
    node: Node,
    operands: tuple[Node, ...],
) -> Node:
    return places[node] if node in places else widen(node, operands)


def input_like(node: Node) -> Node:
    """Return a new input for the values of a node, in float64 or complex128 if they are inexact."""
    dtype, name = _wide(node.type.dtype, {}), given_name(node)
    return ops.input_(number=fresh_number(), name=name, shape=node.shape, dtype=dtype)


_WIDE: dict[str, DType] = {"float": float64, "complex": complex128}


def _wide(value: Any, bodies: Mapping[Body, Body]) -> Any:
    """Return an attribute with float64 in the place of other floats."""
    if isinstance(value, DType):
        return _WIDE.get(value.kind, value)
    if isinstance(value, ArrayData):
        return ArrayData(value.array.astype(_wide(as_dtype(value.array.dtype), bodies).numpy))
    if isinstance(value, tuple):
        return tuple(_wide(part, bodies) for part in value)
    return bodies[value] if isinstance(value, Body) else value


def body_and_values(node: Node, operands: Sequence[Array]) -> tuple[Body, list[Array]] | None:
    """Return a body of `node`, and the values of its parameters where it first runs on `operands`.

    None for nodes without bodies, for loops that run none, and for rules of users, whose bodies
    derivatives do not look at.
    """
    given = list(operands)
    if node.op is ops.scan and node.attributes["length"]:
        first = node.attributes["carries"] + node.attributes["constants"]
        step = -1 if node.attributes["reverse"] else 0
        slices = [array[step] for array in given[first:]]
        return node.attributes["body"], [*given[:first], *slices]
    if node.op is ops.switch:
        branches = node.attributes["branches"]
        return branches[min(max(int(given[0]), 0), len(branches) - 1)], given[1:]
    if node.op in (ops.checkpoint, ops.while_loop):
        return node.attributes["body"], given
    return None
