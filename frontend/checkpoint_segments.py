"""Where to cut a checkpointed function, and what to keep of it, within a budget of memory.

The function's nodes, in an order in which they can be computed, are cut into *segments*. Of a
segment only what later ones read is kept between the forward and the backward pass; its inside is
computed again when its derivative comes, so that the insides are in memory one after another. The
derivative takes then at most what is kept and the largest inside. Each value is computed again at
most once, however many segments there are, so as many are made as need the least memory; what the
budget leaves goes to the values that are the dearest to compute again.

All values count, also those that fusion would never store: less than the budget is taken. The
function's arguments and results are not counted, they are there in any case. What views hold is
counted with what they view, and what loops keep of each step with the loops.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from graphc.body import Body
from graphc.graph import topological_order
from graphc.node import Node
from graphc.op import Contraction, Elementwise, Gather, Item, Reduction, Scan, Scatter, View

_MOST_SEGMENTS = 256
_NEVER = 2**62  # bytes: no cut goes between an op of several results and what takes one of them
_COMPUTED = (Elementwise, Contraction, Reduction, Gather, Scatter)


@dataclass(frozen=True)
class Segment:
    """Nodes that are computed again together: what they read, give to others, and keep besides."""

    inputs: tuple[Node, ...]
    results: tuple[Node, ...]
    kept: tuple[Node, ...]


@dataclass(frozen=True)
class Cut:
    """A function in segments, and the bytes that its derivative needs for its inner values."""

    segments: tuple[Segment, ...]
    needed: int


def candidates(parameters: Sequence[Node], results: Sequence[Node]) -> list[Node]:
    """Return what can be kept: values that a function computes and does not return."""
    given = {*parameters, *results}
    return [
        node
        for node in topological_order(results)
        if node not in given and node.inputs and isinstance(node.op.lowering, _COMPUTED)
    ]


def cut(parameters: Sequence[Node], results: Sequence[Node], budget: int) -> Cut | None:
    """Return the segments that need the least memory, and keep in them what `budget` leaves.

    None where everything fits, and nothing has to be computed again.
    """
    order = _Order(parameters, results)
    if sum(order.weights) <= budget:
        return None
    tried = _counts(min(_MOST_SEGMENTS, len(order.nodes)))
    bounds = min((order.bounds(count) for count in tried), key=order.needed, default=[0])
    needed = order.needed(bounds)
    kept = _within(candidates(parameters, results), order.carried(bounds), budget - needed)
    segments = order.segments(bounds, kept)
    return Cut(segments, needed + sum(node.type.nbytes for node in kept))


def _counts(most: int) -> Iterator[int]:
    """Yield the numbers of segments that are tried: a fifth more each time."""
    count = 1
    while count <= most:
        yield count
        count = max(count + 1, count * 6 // 5)


@dataclass
class _Order:
    """The nodes of a function that depend on its parameters, in order, and who reads them last."""

    parameters: Sequence[Node]
    outputs: Sequence[Node]
    nodes: list[Node] = field(init=False)

    def __post_init__(self) -> None:
        dependent = set(self.parameters)
        self.nodes = []
        for node in topological_order(self.outputs):
            if node not in dependent and any(operand in dependent for operand in node.inputs):
                dependent.add(node)
                self.nodes.append(node)
        place = {node: number for number, node in enumerate(self.nodes)}
        self.last = dict(place)
        for number, node in enumerate(self.nodes):
            for operand in node.inputs:
                if operand in place:
                    self.last[operand] = number
        results = set(self.outputs)
        self.weights = [_inside(n) + _nbytes(n) * (n not in results) for n in self.nodes]
        self.alive = self._alive()

    def _alive(self) -> list[int]:
        """Return how many bytes a cut in front of each node would keep."""
        change = [0] * (len(self.nodes) + 2)
        for number, node in enumerate(self.nodes):
            size = _NEVER if node.is_tuple else node.type.nbytes
            change[number + 1] += size
            change[self.last[node] + 1] -= size
        alive, total = [], 0
        for difference in change[: len(self.nodes)]:
            total += difference
            alive.append(total)
        return alive

    def bounds(self, count: int) -> list[int]:
        """Return where segments begin: about equally much inside, cut where little is alive."""
        share = sum(self.weights) / count
        starts, total, begin = [0], 0, 0
        for number, weight in enumerate(self.weights):
            total += weight
            if total >= share * len(starts) and len(starts) < count:
                window = range(max(begin + 1, number - self._reach(count)), number + 1)
                begin = min(window, key=lambda n: (self.alive[n], -n), default=number)
                if begin > starts[-1] and self.alive[begin] < _NEVER:
                    starts.append(begin)
        return starts

    def _reach(self, count: int) -> int:
        return len(self.nodes) // (2 * count)

    def carried(self, bounds: Sequence[int]) -> set[Node]:
        """Return what one segment gives to a later one."""
        ends = [*bounds[1:], len(self.nodes)]
        return {
            node
            for begin, end in zip(bounds, ends, strict=True)
            for node in self.nodes[begin:end]
            if self.last[node] >= end
        }

    def needed(self, bounds: Sequence[int]) -> int:
        """Return the bytes of what is carried, and of the largest inside."""
        carried = self.carried(bounds)
        ends = [*bounds[1:], len(self.nodes)]
        results = set(self.outputs)
        inside = [
            sum(self.weights[n] for n in range(begin, end) if self.nodes[n] not in carried)
            for begin, end in zip(bounds, ends, strict=True)
        ]
        return sum(n.type.nbytes for n in carried - results) + max(inside)

    def segments(self, bounds: Sequence[int], kept: Collection[Node]) -> tuple[Segment, ...]:
        """Return the segments."""
        carried = self.carried(bounds) | set(self.outputs)
        ends = [*bounds[1:], len(self.nodes)]
        return tuple(
            _segment(self.nodes[begin:end], set(self.parameters), carried, kept)
            for begin, end in zip(bounds, ends, strict=True)
        )


def _is_seen(node: Node) -> bool:
    """Return whether a node is another sight of memory that is counted already."""
    return isinstance(node.op.lowering, View | Item)


def _nbytes(node: Node) -> int:
    return 0 if _is_seen(node) else sum(type_.nbytes for type_ in node.results)


def _inside(node: Node) -> int:
    """Return the bytes that the derivative of a loop keeps of its steps: values and cotangents."""
    if not isinstance(node.op.lowering, Scan):
        return 0
    body: Body = node.attributes["body"]
    length = int(node.attributes["length"])
    step = sum(_nbytes(inner) + _inside(inner) for inner in body.graph.nodes if inner.inputs)
    if node.attributes["recompute"]:
        carries = body.result_types[: node.attributes["carries"]]
        return 2 * step + length * sum(type_.nbytes for type_ in carries)
    return 2 * step * length


def _segment(
    nodes: Sequence[Node], parameters: set[Node], carried: set[Node], kept: Collection[Node]
) -> Segment:
    own = set(nodes)
    read = dict.fromkeys(operand for node in nodes for operand in node.inputs)
    inputs = tuple(n for n in read if n not in own and (n in parameters or n in carried))
    results = tuple(node for node in nodes if node in carried)
    return Segment(inputs, results, tuple(n for n in nodes if n in kept and n not in carried))


def _within(nodes: Sequence[Node], carried: set[Node], budget: int) -> set[Node]:
    """Return the nodes that save the most operations for each byte and fit the budget."""
    kept: set[Node] = set()
    for node in sorted(nodes, key=_worth, reverse=True):
        if node not in carried and node.type.nbytes <= budget:
            budget -= node.type.nbytes
            kept.add(node)
    return kept


def _worth(node: Node) -> float:
    """Return the operations that computing a node takes, for each byte that keeping it does."""
    work = node.type.size
    if isinstance(node.op.lowering, Reduction):
        work = node.inputs[0].type.size
    elif isinstance(node.op.lowering, Contraction):
        pairs = zip(node.attributes["lhs"], node.inputs[0].shape, strict=True)
        summed = [extent for label, extent in pairs if label not in node.attributes["out"]]
        work *= 2 * math.prod(summed)
    return work / max(1, node.type.nbytes)
