"""Lowering what is no loop nest: calls of host functions.

The operands of such a routine are whole dense arrays, and so are its results, of which each has its
memory, whether anybody reads it or not.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphc.group import Group
from graphc.kernel import Access, Buffer
from graphc.node import Node
from graphc.plan import STATUS, STATUS_BUFFER, Call, HostFunction, Operand, Temporary


def lower_whole(group: Group, node: Node) -> Call:
    """Return the call that computes `node`, and with it the outputs of its group."""
    results = tuple(_results(group, node))
    operands: tuple[Operand, ...] = (*node.inputs, *results, STATUS)
    buffers = (
        *(Buffer(f"x{n}", operand.type, Access.IN) for n, operand in enumerate(node.inputs)),
        *(Buffer(f"y{n}", type_, Access.OUT) for n, type_ in enumerate(node.results)),
        STATUS_BUFFER,
    )
    return Call(HostFunction(group.name, node, buffers), operands)


def _results(group: Group, node: Node) -> Iterator[Operand]:
    """Yield what takes each result: the node itself, an `item` of it, or memory for nobody."""
    items = {n.attributes["index"]: n for n in group.outputs if n is not node}
    for number, type_ in enumerate(node.results):
        yield items.get(number, Temporary(type_)) if node.is_tuple else node
