"""Batching, from graph to graph: what a graph computes of one example, computed of many at once.

    image(node) ::= node, where it depends on nothing batched
                  | node' of the shape (size, *node.shape), whose slice i is `node` of example i

Every node that depends on a batched one is rebuilt over operands with a new first axis. How is said
by the kind of the op's lowering, in one table here, or, where the kind does not say it (views), by
the op's own `batch`. Operands that are the same for all examples are repeated only where a rule
needs it, by `broadcast_to`, which costs nothing. Exact: each slice has the bits of the node of its
example but for sums, whose order depends on the shape (`graphc.reduction_order`). Requires nothing;
batched nodes carry the user's line of the node that they stand for.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from graphc import ops
from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.graph import rebuild, substitute, topological_order
from graphc.node import Node, at_line
from graphc.op import (
    Checked,
    Composition,
    Concatenation,
    Contraction,
    Elementwise,
    Gather,
    OnPairs,
    Op,
    Reduction,
    Scatter,
    Selection,
    find,
)
from graphc.ops.loops import items
from graphc.ops.views import reshaped
from graphc.passes import batch_calls, batch_loops
from graphc.passes.expand_compositions import expansion

Image: TypeAlias = "tuple[Node, bool]"  # and whether it has the new axis
Rule: TypeAlias = "Callable[[Node, Operands], Node]"


def batch(roots: Sequence[Node], batched: Mapping[Node, Node], size: int) -> tuple[Image, ...]:
    """Return for each root its image, and whether that has the new first axis.

    batched  for inputs (or any other nodes) their images, of the shape (size, *node.shape)

    Raises GraphcTypeError where an op cannot be batched, and GraphcValueError where an image has
    another type than that.
    """
    for node, image in batched.items():
        if image.type != node.type.with_shape((size, *node.shape)):
            raise GraphcValueError(f"the image of a {node.type} for {size} is no {image.type}")
    images: dict[Node, Image] = {node: (image, True) for node, image in batched.items()}
    results: dict[Node, list[Image]] = {}  # of ops that have several
    for node in topological_order(roots):
        if node in images or images.keys().isdisjoint(node.inputs):
            if results.keys().isdisjoint(node.inputs):
                continue
            images[node] = results[node.inputs[0]][node.attributes["index"]]
            continue
        with at_line(node.line):
            operands = Operands(node, images, size)
            if node.is_tuple:
                results[node] = _images_of_results(node, operands)
            elif operands.are_batched:
                images[node] = _image(node, operands), True
            else:
                images[node] = rebuild(node, operands.all_plain()), False
    return tuple(images.get(root, (root, False)) for root in roots)


class Operands:
    """The operands of a node on their way: as they are, or with the new axis."""

    def __init__(self, node: Node, images: Mapping[Node, Image], size: int) -> None:
        self.size = size
        self._images = [images.get(operand, (operand, False)) for operand in node.inputs]

    @property
    def are_batched(self) -> bool:
        """Whether any operand differs from example to example."""
        return any(self.flags)

    @property
    def flags(self) -> tuple[bool, ...]:
        """For each operand whether it differs from example to example."""
        return tuple(is_batched for _, is_batched in self._images)

    def plain(self, number: int) -> Node:
        """Return the image of an operand, with the new axis or without."""
        return self._images[number][0]

    def wide(self, number: int) -> Node:
        """Return the image of an operand with the new axis; one that has none is repeated."""
        return widened(*self._images[number], self.size)

    def all_plain(self) -> tuple[Node, ...]:
        """Return the images of all operands."""
        return tuple(image for image, _ in self._images)

    def all_wide(self) -> tuple[Node, ...]:
        """Return the images of all operands with the new axis."""
        return tuple(widened(*image, self.size) for image in self._images)


def widened(image: Node, is_batched: bool, size: int) -> Node:
    """Return an image with the new axis, along which it is repeated if it has none."""
    return image if is_batched else ops.broadcast_to(image, shape=(size, *image.shape))


def _images_of_results(node: Node, operands: Operands) -> list[Image]:
    rule = batch_loops.RULES.get(type(node.op.lowering))
    rule = batch_calls.RULES.get(node.op, rule)
    if rule is not None and operands.are_batched:
        return rule(node, operands, batch)
    if not operands.are_batched:
        return [(result, False) for result in items(rebuild(node, operands.all_plain()))]
    if node.op.batch is not None:
        return [(result, True) for result in items(node.op.batch(node, operands.all_wide()))]
    raise _refused(node)


def _image(node: Node, operands: Operands) -> Node:
    if node.op.batch is not None:
        return node.op.batch(node, operands.all_wide())
    rule = _RULES.get(type(node.op.lowering))
    if rule is None:
        raise _refused(node)
    return rule(node, operands)


def _refused(node: Node) -> GraphcTypeError:
    return GraphcTypeError(
        f"{node.op.name} cannot be batched",
        line=str(node.line or ""),
        hint="compute it outside of the function that vmap maps, or in a loop",
    )


def _elementwise(node: Node, operands: Operands) -> Node:
    return node.op(*operands.all_wide(), **node.attributes)


def _reduction(node: Node, operands: Operands) -> Node:
    return node.op(operands.wide(0), axes=tuple(axis + 1 for axis in node.attributes["axes"]))


def _along_an_axis(node: Node, operands: Operands) -> Node:
    attributes = {**node.attributes, "axis": node.attributes["axis"] + 1}
    return node.op(*operands.all_wide(), **attributes)


def _contraction(node: Node, operands: Operands) -> Node:
    """Give the new axis a label of its own in the operands that have it, and first in the result.

    An operand that is the same for all examples is read for all of them, and not repeated.
    """
    lhs, rhs, out = (str(node.attributes[name]) for name in ("lhs", "rhs", "out"))
    label = next(c for c in string.ascii_letters if c not in lhs + rhs)
    labels = {
        "lhs": label + lhs if operands.flags[0] else lhs,
        "rhs": label + rhs if operands.flags[1] else rhs,
        "out": label + out,
    }
    return node.op(operands.plain(0), operands.plain(1), **{**node.attributes, **labels})


def _gather(node: Node, operands: Operands) -> Node:
    lowering, axis = node.op.lowering, node.attributes["axis"]
    assert isinstance(lowering, Gather)
    if lowering.along_axis:
        return _along_an_axis(node, operands)
    if not operands.flags[1]:
        return node.op(operands.wide(0), operands.plain(1), axis=axis + 1, **_mode(node))
    if not operands.flags[0]:
        taken = node.op(operands.plain(0), operands.plain(1), **node.attributes)
        return _to_front(taken, axis)
    data, indices = operands.wide(0), operands.wide(1)
    along = _along(indices, node.inputs[0].shape, axis)
    taken = ops.take_along_axis(data, along, axis=axis + 1, **_mode(node))
    return reshaped(taken, (operands.size, *node.shape))


def _scatter(node: Node, operands: Operands) -> Node:
    lowering, axis = node.op.lowering, node.attributes["axis"]
    assert isinstance(lowering, Scatter)
    if lowering.along_axis:
        return _along_an_axis(node, operands)
    data, updates = operands.wide(0), operands.wide(2)
    if not operands.flags[1]:
        return node.op(data, operands.plain(1), updates, axis=axis + 1, **_mode(node))
    along = _along(operands.wide(1), node.inputs[0].shape, axis)
    pieces = reshaped(updates, along.shape)
    return _along_axis(node.op)(data, along, pieces, axis=axis + 1, **_mode(node))


def _along_axis(op: Op) -> Op:
    found = find(f"{op.name}_along_axis")
    assert found is not None  # each scatter is declared in both forms
    return found


def _composition(node: Node, operands: Operands) -> Node:
    """Label a new axis where axes have labels; else batch what the node expands to."""
    if node.op.attribute_names >= {"lhs", "rhs", "out"}:
        return _contraction(node, operands)
    return batched_expansion(node, operands)[0][0]


def _mode(node: Node) -> dict[str, str]:
    return {"mode": node.attributes["mode"]}


def _to_front(node: Node, axis: int) -> Node:
    others = (a for a in range(len(node.shape)) if a != axis)
    return ops.permute_dims(node, axes=(axis, *others))


def _along(indices: Node, data: tuple[int, ...], axis: int) -> Node:
    """Return indices of the shape (size, *any) as those into each row of data along `axis`."""
    size, count = indices.shape[0], indices.type.size // max(indices.shape[0], 1)
    before, after = data[:axis], data[axis + 1 :]
    column = reshaped(indices, (size, *(1 for _ in before), count, *(1 for _ in after)))
    return ops.broadcast_to(column, shape=(size, *before, count, *after))


def batched_expansion(node: Node, operands: Operands) -> list[Image]:
    """Return the images of the results of a composition, by way of what it is made of."""
    pairs = list(zip(node.inputs, operands.all_plain(), operands.flags, strict=True))
    images = {operand: image for operand, image, is_batched in pairs if is_batched}
    others = {operand: image for operand, image, is_batched in pairs if not is_batched}
    found = batch(expansion(node), images, operands.size)
    results = substitute([image for image, _ in found], others)
    flags = (is_batched for _, is_batched in found)
    both = zip(results, flags, strict=True)
    return [(widened(result, is_batched, operands.size), True) for result, is_batched in both]


_RULES: dict[type, Rule] = {
    Composition: _composition,
    Checked: _elementwise,
    Elementwise: _elementwise,
    OnPairs: _elementwise,
    Reduction: _reduction,
    Selection: _along_an_axis,
    Concatenation: _along_an_axis,
    Contraction: _contraction,
    Gather: _gather,
    Scatter: _scatter,
}
