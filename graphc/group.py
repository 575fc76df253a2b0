"""Groups: which nodes are computed together in one kernel, and why.

    grouping ::= group*            group ::= member nodes, of which some are outputs

Every computed node that is materialised is an output of exactly one group; a node that is cheap to
repeat may be a member of several (each computes it for itself). Groups are in an order in which
they can run. For each edge between computed nodes there is one `Decision` with a reason from
`Reason`. The pass that makes groups is passes/fuse.py; explanations and drawings read them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from graphc.graph import Graph
from graphc.lazy import LazyProperty
from graphc.node import Node


class Reason(StrEnum):
    """Why an edge is inside a group, or is not. The value is the text that a user reads."""

    # fused
    ELEMENTWISE = "fused: elementwise producer computed where it is used"
    INDEX_MAP = "fused: only an index map, costs nothing"
    REPEATED = "fused: cheap enough to compute again in each reader"
    PROLOGUE = "fused: computed inside the reduction that reads it"
    EPILOGUE = "fused: applied to the result while it is in registers"
    SAME_ROWS = "fused: reductions over the same rows share one pass of the kernel"
    SIBLINGS = "fused: results over the same elements are computed together"
    # not fused
    BOUNDARY = "not fused: one end is an input, a variable, a constant or an output"
    SEVERAL_READERS = "not fused: read by several kernels and too costly to repeat"
    OTHER_AXES = "not fused: the reader goes over other axes or another shape"
    CONTRACTION_OPERAND = "not fused: a contraction reads each operand element many times"
    WHOLE_OPERAND = "not fused: the reader needs all elements before its first"
    ORDER = "not fused: the reader only waits until it has been computed"
    FEW_ROWS = "not fused: too few rows for the threads to share"
    CYCLE = "not fused: the kernel would wait for itself"
    LIMIT = "not fused: the kernel would grow too large"
    DISABLED = "not fused: fusion is turned off"

    @property
    def is_fused(self) -> bool:
        return self.value.startswith("fused")


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on the edge from `producer` to its use as operand `operand` of `consumer`."""

    producer: Node
    consumer: Node
    operand: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes computed together: `members` in topological order, `outputs` those that are stored."""

    name: str
    members: tuple[Node, ...]
    outputs: tuple[Node, ...]

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes that the group reads from memory, in order of first use."""
        inside = set(self.members)
        read = [i for node in self.members for i in node.inputs if i not in inside]
        return tuple(dict.fromkeys(read))


@dataclass(frozen=True)
class Grouping:
    """All groups of a graph in an order in which they can run, and the verdict on every edge.

    `decide` tells the verdicts, which are worked out when somebody wants to read them.
    """

    graph: Graph
    groups: tuple[Group, ...]
    decide: Callable[[], tuple[Decision, ...]]

    @LazyProperty
    def decisions(self) -> tuple[Decision, ...]:
        """One for each edge between two computed nodes."""
        return self.decide()
