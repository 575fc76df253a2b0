"""Why edges are fused or not: what `fuse` notes as it goes, told as one decision for each edge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from graphc.graph import Graph
from graphc.group import Decision, Reason
from graphc.node import Node
from graphc.op import Item, View
from graphc.passes.fuse_cluster import Cluster
from graphc.passes.iteration_space import is_accumulator, stands_alone
from graphc.passes.operation_cost import weight

_MOST_WORDS = 4


class Verdicts:
    """Where nodes were placed, and why readers were refused."""

    def __init__(self) -> None:
        self._homes: dict[Node, list[Cluster]] = {}
        self._refusals: dict[tuple[Node, int], Reason] = {}
        self._merged: dict[int, Cluster] = {}

    def place(self, node: Node, cluster: Cluster) -> None:
        """Note that the cluster computes the node."""
        self._homes.setdefault(node, []).append(cluster)

    def refuse(self, node: Node, cluster: Cluster, reason: Reason) -> None:
        """Note why the cluster reads the node from memory."""
        self._refusals[node, cluster.number] = reason

    def merge(self, kept: Cluster, gone: Cluster) -> None:
        """Note that `kept` now stands for `gone`, too."""
        self._merged[gone.number] = kept
        for node in gone.reads:
            reason = self._refusals.get((node, gone.number))
            if reason is not None:
                self._refusals.setdefault((node, kept.number), reason)

    def homes(self, node: Node) -> list[Cluster]:
        """Return the clusters that compute the node."""
        found: dict[Cluster, None] = {}
        for cluster in self._homes.get(node, ()):
            while cluster.number in self._merged:
                cluster = self._merged[cluster.number]
            found[cluster] = None
        return list(found)

    def decisions(self, graph: Graph) -> tuple[Decision, ...]:
        """Return one decision for each edge between two computed nodes."""
        homes = {node: self.homes(node) for node in graph.nodes}
        return tuple(
            [
                Decision(producer, consumer, number, self._reason(producer, consumer, homes))
                for consumer in graph.nodes
                for number, producer in enumerate(consumer.inputs)
                if not producer.op.is_leaf
            ]
        )

    def _reason(
        self, producer: Node, consumer: Node, homes: Mapping[Node, list[Cluster]]
    ) -> Reason:
        for cluster in homes[consumer]:
            if producer not in cluster.members:
                return self._refusals.get((producer, cluster.number), Reason.BOUNDARY)
        return _fused(producer, consumer, homes[consumer][0], len(homes[producer]) > 1)


def _fused(producer: Node, consumer: Node, cluster: Cluster, is_repeated: bool) -> Reason:
    if isinstance(producer.op.lowering, View) or isinstance(consumer.op.lowering, View | Item):
        return Reason.INDEX_MAP
    if is_accumulator(consumer):
        return Reason.SAME_ROWS if is_accumulator(producer) else Reason.PROLOGUE
    if is_accumulator(producer):
        return Reason.EPILOGUE
    if producer in cluster.outputs:
        return Reason.SIBLINGS
    return Reason.REPEATED if is_repeated else Reason.ELEMENTWISE


def group_name(members: Iterable[Node]) -> str:
    """Return a name for a kernel: the ops that do most of its work, in their order."""
    computed = [node for node in members if not isinstance(node.op.lowering, View | Item)]
    heavy = [n for n in computed if is_accumulator(n) or stands_alone(n) or weight(n) > 1]
    names = _without_echo([node.op.name for node in heavy or computed])
    return "_".join(names[:_MOST_WORDS]) or "copy"


def _without_echo(names: Sequence[str]) -> list[str]:
    return [name for n, name in enumerate(names) if n == 0 or names[n - 1] != name]
