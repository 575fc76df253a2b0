"""Closing graphs: what a loop or a branch reads from outside becomes its operands.

`close` makes a `Body` of nodes over parameters that were made for it. Whatever lies outside is
computed there, once, and handed in: for a loop all that does not depend on what changes from step
to step, for a branch what was made before the branch. Small constants, and views of outer tensors
that show their elements over and over, stay inside: they cost nothing there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from graphc.body import Body
from graphc.graph import Graph, belongs_to, substitute, topological_order
from graphc.node import Node, constant_value, fresh_number, is_constant
from graphc.op import FromIndex, Item, View, find
from graphc.tensor_type import TensorType

LARGEST_CONSTANT = 4096  # bytes; a larger one is an operand


def close(
    before: Sequence[Node],
    after: Sequence[Node],
    roots: Sequence[Node],
    is_outside: Callable[[Node], bool],
) -> tuple[Body, tuple[Node, ...]]:
    """Return the body of `roots` and the outer nodes that it reads.

    Its parameters are `before`, one for each outer node, and `after`.
    """
    outer = captured(roots, (*before, *after), is_outside)
    inner = [new_parameter(node.type) for node in outer]
    replaced = substitute(roots, dict(zip(outer, inner, strict=True)))
    return Body(Graph([*before, *inner, *after], replaced)), outer


def captured(
    roots: Sequence[Node], parameters: Collection[Node], is_outside: Callable[[Node], bool]
) -> tuple[Node, ...]:
    """Return the nodes nearest to `roots` that lie outside, in a deterministic order."""
    found: dict[Node, None] = {}
    seen, pending = set(parameters), [*roots][::-1]
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        if _may_be_operand(node) and is_outside(node):
            found[node] = None
        else:
            pending += node.inputs[::-1]
    return tuple(found)


def _may_be_operand(node: Node) -> bool:
    return not node.is_tuple and not is_small_constant(node)


def invariant(
    roots: Iterable[Node], parameters: Collection[Node], *, runs: bool = True
) -> Callable[[Node], bool]:
    """Return a predicate: whether a node is the same at every step, and better computed once.

    Where the body may never run (`runs` is False), what may raise an error stays in it.
    """
    varying = depending(topological_order(roots), parameters)
    raising: set[Node] = set()
    if not runs:
        order = topological_order(roots)
        raising = depending(order, [n for n in order if n.attributes.get("mode") == "raise"])

    def is_outside(node: Node) -> bool:
        return node not in varying and node not in raising and not _stays_inside(node)

    return is_outside


def made_before(serial: int) -> Callable[[Node], bool]:
    """Return a predicate: whether a node was made before this serial number, or is given."""

    def is_outside(node: Node) -> bool:
        source = node.inputs[0] if isinstance(node.op.lowering, Item) else node
        return source.serial < serial or (node.op.is_leaf and not is_small_constant(node))

    return is_outside


def depending(order: Iterable[Node], on: Collection[Node]) -> set[Node]:
    """Return `on` and the nodes of `order`, a topological one, that are computed from it."""
    found = set(on)
    for node in order:
        if not found.isdisjoint(node.inputs):
            found.add(node)
    return found


def is_small_constant(node: Node) -> bool:
    """Return whether a node is a constant that bodies hold themselves."""
    return is_constant(node) and constant_value(node).nbytes <= LARGEST_CONSTANT


def _stays_inside(node: Node) -> bool:
    """Return whether a node costs nothing at each step: small constants, and what repeats them."""
    if isinstance(node.op.lowering, View):
        return node.type.size >= node.inputs[0].type.size
    return is_small_constant(node) or isinstance(node.op.lowering, FromIndex)


def new_parameter(type_: TensorType, name: str = "", owner: str = "") -> Node:
    """Return a fresh input of this type; `owner` is the function to whose body it belongs."""
    op = find("input")
    assert op is not None
    node = op(number=fresh_number(), name=name, shape=type_.shape, dtype=type_.dtype)
    if owner:
        belongs_to(node, owner)
    return node
