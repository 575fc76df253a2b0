"""Clusters: groups while `fuse` makes them, and where in its loops each wants its values.

A cluster has a space (`iteration_space`), and its loops run over `i0`, `i1`, … in the order of that
space, whatever nodes are in it; so two clusters over one space want a node at equal indices when
they want the same element. A cluster of a concatenation or a scatter has no space.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from graphc.group import Reason
from graphc.index import Index, LoopVariable
from graphc.node import Node
from graphc.op import Indices, Reduction, Selection
from graphc.passes.iteration_space import (
    Space,
    accumulation_space,
    is_prefix,
    loop_indices,
    spread,
    stands_alone,
    strip,
    whole_space,
)

MOST_MEMBERS = 200
MOST_MEMORIES = 40  # nodes read or written by one kernel
_FEW_ELEMENTS = 1 << 14
_ROWS_AT_ONCE = 16
_MOST_ATOMS = 32
_MOST_VIEWS = 8


@dataclass(frozen=True, slots=True)
class Demand:
    """A place at which a cluster wants a node.

    `repeated` is the cost of what stands between the node and values that are computed once;
    `in_memory` is the reason why the node must be in memory, if it must (a contraction's operand);
    `is_dense` says that it must be there itself, not behind a view.
    """

    indices: Indices
    repeated: int = 0
    in_memory: Reason | None = None
    views: int = 0  # between the node and a reader of memory
    is_dense: bool = False

    @property
    def is_tangled(self) -> bool:
        """Return whether the node is not read through a view: the place would become too long."""
        if self.is_dense:
            return True
        atoms = sum(1 for index in self.indices for _ in index.atoms())
        return atoms > _MOST_ATOMS or self.views > _MOST_VIEWS


@dataclass(eq=False)
class Cluster:
    """A group under construction. `accumulates` says that its space is that of a reduction."""

    number: int
    space: Space | None
    least_rows: int  # that keep all threads busy
    accumulates: bool = False
    contracts: bool = False
    members: dict[Node, None] = field(default_factory=dict)
    outputs: dict[Node, None] = field(default_factory=dict)
    reads: dict[Node, None] = field(default_factory=dict)
    wanted: dict[Node, list[Demand]] = field(default_factory=dict)

    def want(self, node: Node, demand: Demand) -> None:
        """Note that the cluster wants `node` at a place."""
        demands = self.wanted.setdefault(node, [])
        for n, known in enumerate(demands):
            if known.indices == demand.indices and known.in_memory is demand.in_memory:
                if known.repeated < demand.repeated:
                    demands[n] = demand
                return
        demands.append(demand)

    @property
    def is_full(self) -> bool:
        """Return whether the kernel would grow too large with one more member."""
        memories = len(self.outputs) + len(self.reads)
        return len(self.members) >= MOST_MEMBERS or memories >= MOST_MEMORIES

    def has_enough_rows(self, space: Space) -> bool:
        """Return whether threads can share the rows of `space`, or there is little to share.

        Rows whose elements are not adjacent are computed in vectors, many rows at once.
        """
        parts = space.row_count if _is_adjacent(space) else space.row_count // _ROWS_AT_ONCE
        return parts >= self.least_rows or math.prod(space.extents) <= _FEW_ELEMENTS

    def has_adjacent_rows(self) -> bool:
        """Return whether threads share rows of adjacent elements: a home for more results."""
        space = self.space
        return space is not None and _is_adjacent(space) and self.has_enough_rows(space)

    def own_place(self, node: Node) -> Indices | None:
        """Return where the loops have every element of `node` once in its own order, if they do."""
        space, extents = self.space, strip(node.shape)
        if space is None:
            return None
        if extents == space.extents:
            return spread(node.shape, loop_indices(space.extents))
        if extents == space.rows:
            return spread(node.shape, row_indices(space))
        return None

    def repeats(self, demand: Demand, node: Node) -> float:
        """Return how often each element of `node` is computed for this demand, on the average."""
        if demand.indices == self.own_place(node) or self.has_prefix(node, demand.indices):
            return 1.0
        wanted = _variables(demand.indices)
        if self.space is None:
            count = math.prod(variable.extent for variable in wanted)
        elif wanted <= _variables(row_indices(self.space)):
            count = self.space.row_count
        else:
            count = math.prod(self.space.extents)
        return max(1.0, count / max(1, node.type.size))

    def has_prefix(self, node: Node, place: Indices) -> bool:
        """Return whether the cluster's outer loops alone have the elements of `node` in order."""
        if self.space is None or self.accumulates or not is_prefix(node, self.space):
            return False
        outer = loop_indices(self.space.extents)[: len(strip(node.shape))]
        return place == spread(node.shape, outer)


def _is_adjacent(space: Space) -> bool:
    return space.reduced[:1] == (len(space.kept),)


@lru_cache(maxsize=1024)
def _variables(indices: Indices) -> frozenset[LoopVariable]:
    return frozenset(variable for index in indices for variable in index.variables)


@lru_cache(maxsize=1024)
def row_indices(space: Space) -> Indices:
    """Return the loop variables of the rows."""
    everywhere = loop_indices(space.extents)
    return tuple(everywhere[p] for p in space.kept)


def space_of(node: Node) -> Space | None:
    """Return the space of a cluster made for `node`."""
    if stands_alone(node):
        return None
    if isinstance(node.op.lowering, Reduction | Selection):
        return accumulation_space(node)
    return whole_space(node.shape)


def fits_reduction(cluster: Cluster, node: Node, place: Indices) -> bool:
    """Return whether reduction `node`, wanted at `place`, can be computed in the cluster's rows."""
    own, space = accumulation_space(node), cluster.space
    if space is None or cluster.contracts:
        return False
    if cluster.accumulates:
        return space == own and place == spread(node.shape, row_indices(space))
    if space.extents == own.extents:
        return place == spread(node.shape, row_indices(own)) and cluster.has_enough_rows(own)
    return space.extents == own.rows and place == spread(node.shape, loop_indices(space.extents))


def fits_contraction(cluster: Cluster, node: Node, place: Indices) -> bool:
    """Return whether the cluster can be the epilogue of contraction `node`, wanted at `place`."""
    space = cluster.space
    if space is None or cluster.accumulates:
        return False
    extents = strip(node.shape)
    return extents == space.extents and place == spread(node.shape, loop_indices(extents))


def adopt_space(cluster: Cluster, node: Node) -> None:
    """Give the cluster the space of accumulator `node`, which fits it."""
    own, old = accumulation_space(node), cluster.space
    assert old is not None
    cluster.contracts = not isinstance(node.op.lowering, Reduction | Selection)
    cluster.accumulates = True
    if not cluster.contracts:
        enter_space(cluster, own)


def enter_space(cluster: Cluster, space: Space) -> None:
    """Let the cluster's loops be those of `space`: all of it, or its rows only."""
    old = cluster.space
    assert old is not None
    if old.extents != space.extents:
        _rename(cluster, old, space)
    cluster.space = space


def _rename(cluster: Cluster, old: Space, new: Space) -> None:
    before, after = loop_indices(old.extents), row_indices(new)
    if before == after:
        return
    mapping = {_variable(b): a for b, a in zip(before, after, strict=True)}
    for node, demands in cluster.wanted.items():
        cluster.wanted[node] = [_moved(demand, mapping) for demand in demands]


def _moved(demand: Demand, mapping: Mapping[LoopVariable, Index]) -> Demand:
    moved = tuple(index.substitute(mapping) for index in demand.indices)
    return replace(demand, indices=moved)


def _variable(index: Index) -> LoopVariable:
    (variable,) = index.variables
    return variable
