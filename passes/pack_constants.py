"""Lay constant operands of products out as their kernels read them. Exact.

A contraction goes over its columns in panels of a few vectors (`schedule_tiles`), and copies what
does not lie like that in each call. A constant operand is copied once, here: the new constant holds
panel after panel, in each the summed elements in their order (small ones in words, as
`graphc.passes.lower_words` adds them), and views show it in its old shape, so that the graph means
the same. Lowering composes the views into the index of the load, which then is as a panel's.

Requires that constants are folded, and that no folding follows, which would undo it. Guarantees the
same bits. Only what several tiles of rows read is packed; the last panel is filled with zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphc import ops
from graphc.all_cores import on_all_cores, shares
from graphc.dtypes import as_dtype
from graphc.graph import Graph, rebuild
from graphc.node import ArrayData, Node, at_line, constant_value, is_constant
from graphc.op import Contraction
from graphc.passes.lower_words import goes_in_words, word_axis
from graphc.passes.schedule_panels import panel_width
from graphc.state import aligned_empty
from graphc.target import Target
from graphc.tensor_type import TensorType

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

FEWEST_ROWS = 8  # that share a panel


def pack_constants(graph: Graph, target: Target) -> Graph:
    """Return `graph` with the constant columns of contractions in panels for `target`, a CPU."""
    if target.kind != "cpu":
        return graph

    def replace(node: Node, inputs: tuple[Node, ...]) -> Node:
        node = rebuild(node, inputs)
        return _packed(node, target) if isinstance(node.op.lowering, Contraction) else node

    return graph.rewrite(replace)


def _packed(node: Node, target: Target) -> Node:
    """Return the contraction `node` over a packed operand, or `node` where none is to be packed."""
    out = node.attributes["out"]
    for side, other in (("lhs", "rhs"), ("rhs", "lhs")):
        labels, rows = node.attributes[side], node.attributes[other]
        number = 0 if side == "lhs" else 1
        operand = node.inputs[number]
        if not out or out[-1] not in labels or not is_constant(operand):
            continue
        extents = dict(zip(rows, node.inputs[1 - number].shape, strict=True))
        free = [label for label in rows if label in out]
        width = panel_width(target, node.type.dtype, operand.shape[labels.index(out[-1])])
        shared = set(labels) & set(free)
        if shared or max((extents[f] for f in free), default=1) < FEWEST_ROWS:
            continue
        with at_line(node.line):
            view = _in_panels(operand, _Panels(labels, out[-1], width, *_summed(node)))
            inputs = (view, node.inputs[1]) if number == 0 else (node.inputs[0], view)
            return node.op(*inputs, **node.attributes)
    return node


def _summed(node: Node) -> tuple[list[str], dict[str, int]]:
    """Return the summed labels in order, and the one that goes in words, and in which.

    None does where its last word would not be full.
    """
    lhs, out = node.attributes["lhs"], node.attributes["out"]
    extents = {s: e for s, e in zip(lhs, node.inputs[0].shape, strict=True) if s not in out}
    shape = tuple(extents.values())
    if not goes_in_words(node, shape):
        return [*extents], {}
    axis, count = word_axis(node.inputs[0].type.dtype, shape)
    return [*extents], {} if shape[axis] % count else {[*extents][axis]: count}


@dataclass(frozen=True)
class _Panels:
    """How a constant lies in panels of its axis `column`.

    The axes of the new constant: the other free labels, panels of the column, the summed labels in
    the order in which they are summed, the columns of a panel, and the elements of a word, which
    are neighbours along the label in `words`.
    """

    labels: str
    column: str
    width: int
    summed: list[str]
    words: dict[str, int]

    @property
    def inner(self) -> dict[str, int]:
        """The labels that are split, and in blocks of which size."""
        return {self.column: self.width, **self.words}

    def places(self) -> dict[str, int]:
        """Where each label stands when the axes are split: its blocks, and next to them inside."""
        places, place = {}, 0
        for label in self.labels:
            places[label] = place
            place += 2 if label in self.inner else 1
        return places

    def split(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return `shape` with its axes split, rounded up to whole blocks."""
        found: list[int] = []
        for label, extent in zip(self.labels, shape, strict=True):
            size = self.inner.get(label)
            found += [extent] if size is None else [-(-extent // size), size]
        return tuple(found)

    @property
    def order(self) -> list[int]:
        """The places of the split axes, as they lie in the constant."""
        places, moved = self.places(), {self.column, *self.summed}
        free = [label for label in self.labels if label not in moved]
        outer = [places[label] for label in (*free, self.column, *self.summed)]
        return [*outer, *(places[label] + 1 for label in self.inner)]


def _in_panels(operand: Node, panels: _Panels) -> Node:
    """Return views, of the shape of `operand`, of a constant that holds it in panels."""
    array, order = constant_value(operand), panels.order
    constant = ops.constant(value=ArrayData(_reordered(array, panels), handed_over=True))
    node = ops.permute_dims(constant, axes=tuple(order.index(a) for a in range(len(order))))
    axis = panels.labels.index(panels.column)
    filled = -(-array.shape[axis] // panels.width) * panels.width
    shape = operand.shape
    node = ops.reshape(node, shape=(*shape[:axis], filled, *shape[axis + 1 :]))
    if filled == shape[axis]:
        return node
    return ops.slice_(node, start=(0,) * len(shape), stop=shape, step=(1,) * len(shape))


def _reordered(array: Array, panels: _Panels) -> Array:
    """Return `array`, its axes split, filled up with zeros, and brought into order."""
    split, order, width = panels.split(array.shape), panels.order, panels.width
    shape = tuple(split[a] for a in order)
    packed = aligned_empty(TensorType(shape, as_dtype(array.dtype)))
    target = packed.transpose(np.argsort(order))  # with the axes of `split`
    axis, place = panels.labels.index(panels.column), panels.places()[panels.column]

    def columns(chosen: slice, *extents: int) -> Array:
        part = array[(*(slice(None),) * axis, chosen)]
        return part.reshape(*split[:place], *extents, *split[place + 2 :])

    whole, rest = divmod(array.shape[axis], width)
    before = (slice(None),) * place

    def fill(part: slice) -> None:
        panels = range(whole)[part]
        chosen = slice(panels.start * width, panels.stop * width)
        target[(*before, part)] = columns(chosen, len(panels), width)

    on_all_cores(fill, shares(whole, array.nbytes))
    if rest:
        target[(*before, whole, slice(rest))] = columns(slice(whole * width, None), rest)
        target[(*before, whole, slice(rest, None))] = 0
    return packed
