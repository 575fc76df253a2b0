"""The iteration space of a group: which loops its kernel has, told from the shapes of its nodes
alone.

    space ::= extents kept            (the extents other than 1, and the positions that are rows)

Axes of extent 1 cost nothing and are left out, so that (N, 1) and (N,) are one space. A group
without reductions loops over all of its space. A group with reductions loops over the *rows*, the
positions that every reduction in it keeps, and inside each row once for every reduction and once
for the results that have the full space. Fusion decides by these laws and lowering builds the loops
by them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from graphc.errors import InternalError
from graphc.index import ZERO, Index, LoopVariable, as_index
from graphc.node import Node
from graphc.op import (
    Concatenation,
    Contraction,
    Host,
    Indices,
    Item,
    Reduction,
    Scan,
    Scatter,
    Selection,
    Switch,
    While,
)

_ACCUMULATORS = (Reduction, Selection, Contraction)
_WHOLE = (Host, Scan, While, Switch)
_ALONE = (Concatenation, Scatter, Item, *_WHOLE)


@dataclass(frozen=True, slots=True)
class Space:
    """The extents (none of them 1) of the loops, and the positions among them that are rows."""

    extents: tuple[int, ...]
    kept: tuple[int, ...]

    @property
    def rows(self) -> tuple[int, ...]:
        """The extents of the rows."""
        return tuple(self.extents[p] for p in self.kept)

    @property
    def reduced(self) -> tuple[int, ...]:
        """The positions that are no rows."""
        return tuple(p for p in range(len(self.extents)) if p not in self.kept)

    @property
    def reduced_extents(self) -> tuple[int, ...]:
        """The extents of the positions that are no rows."""
        return tuple(self.extents[p] for p in self.reduced)

    def interleave(self, rows: Sequence[Index], inner: Sequence[Index]) -> Indices:
        """Return the indices of the space from those of the rows and those inside a row."""
        by_position = dict(zip(self.kept, rows, strict=True))
        by_position.update(zip(self.reduced, inner, strict=True))
        return tuple(by_position[p] for p in range(len(self.extents)))

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return math.prod(self.rows)


@lru_cache(maxsize=1024)
def strip(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the extents of `shape` other than 1."""
    return tuple(extent for extent in shape if extent != 1)


@lru_cache(maxsize=1024)
def spread(shape: tuple[int, ...], indices: Indices) -> Indices:
    """Return an index for each axis of `shape`: 0 where the extent is 1, else the next one."""
    following = iter(indices)
    return tuple(ZERO if extent == 1 else next(following) for extent in shape)


@lru_cache(maxsize=1024)
def loop_indices(extents: tuple[int, ...], prefix: str = "i") -> Indices:
    """Return the loop variables prefix0, prefix1, … over `extents` as indices."""
    return tuple(as_index(LoopVariable(f"{prefix}{n}", e)) for n, e in enumerate(extents))


@lru_cache(maxsize=1024)
def whole_space(extents: tuple[int, ...]) -> Space:
    """Return the space over `extents` (1 left out) all of which are rows."""
    stripped = strip(extents)
    return Space(stripped, tuple(range(len(stripped))))


def is_accumulator(node: Node) -> bool:
    """Return whether an element takes a loop of its own: of reductions and contractions."""
    return isinstance(node.op.lowering, _ACCUMULATORS)


def stands_alone(node: Node) -> bool:
    """Return whether the node is lowered to nests of its own, with nothing computed after it."""
    return isinstance(node.op.lowering, _ALONE)


def takes_whole(node: Node) -> bool:
    """Return whether the node is computed by no loop nest, from operands that lie in memory."""
    return isinstance(node.op.lowering, _WHOLE)


def reduced_axes(node: Node) -> tuple[int, ...]:
    """Return the axes that a reduction or a selection removes."""
    if isinstance(node.op.lowering, Reduction):
        return tuple(node.attributes["axes"])
    if isinstance(node.op.lowering, Selection):
        return (node.attributes["axis"],)
    raise InternalError(f"{node.op.name} reduces nothing")


def accumulation_space(node: Node) -> Space:
    """Return the space of a group made for this accumulator."""
    if isinstance(node.op.lowering, Contraction):
        return whole_space(node.shape)
    axes, shape = reduced_axes(node), node.inputs[0].shape
    real = [axis for axis, extent in enumerate(shape) if extent != 1]
    kept = tuple(p for p, axis in enumerate(real) if axis not in axes)
    return Space(strip(shape), kept)


def is_prefix(node: Node, space: Space) -> bool:
    """Return whether the node has the extents of some outer loops of the space, but not of all."""
    extents = strip(node.shape)
    return 0 < len(extents) < len(space.extents) and space.extents[: len(extents)] == extents


def group_space(members: Iterable[Node], outputs: Sequence[Node]) -> Space:
    """Return the space of a group: that of its accumulators, or else of its outputs."""
    for node in members:
        if is_accumulator(node):
            return accumulation_space(node)
    return whole_space(outputs[0].shape)
