"""Fusion: decide which nodes are computed together in one kernel, and say why.

Nodes are taken from the results to the inputs, so that all readers of a node are placed before it.
A node that its readers can compute for themselves, where they want it, joins them and is never
stored: views always; elementwise nodes that one reader wants once, or that are cheap to repeat; a
reduction or a contraction whose rows are the rows of its only reader. Any other node is stored, by
the reader that computes it anyway or by a cluster of its own. Readers of one node over one space
become one cluster, unless a kernel would then wait for itself (`acyclic_order`). Host functions,
loops and branches are clusters of their own, with all their results.

Fusing never changes a bit of any result. Time is nearly linear in the number of nodes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import partial

from graphc.graph import Graph
from graphc.group import Group, Grouping, Reason
from graphc.node import Node
from graphc.op import Contraction, Item, Leaf, View
from graphc.passes.acyclic_order import AcyclicOrder
from graphc.passes.fuse_cluster import (
    MOST_MEMBERS,
    MOST_MEMORIES,
    Cluster,
    Demand,
    adopt_space,
    enter_space,
    fits_contraction,
    fits_reduction,
    space_of,
)
from graphc.passes.fuse_demand import demands_of
from graphc.passes.fuse_report import Verdicts, group_name
from graphc.passes.iteration_space import (
    Space,
    accumulation_space,
    is_accumulator,
    stands_alone,
    strip,
)
from graphc.passes.operation_cost import MOST_REPEATED, weight
from graphc.target import Target

_ROWS_A_CORE = 4  # so many rows are shared evenly enough
_MOST_PARTNERS = 8  # clusters with which a reader is compared, so that time stays linear
_SMALL = 1024  # elements; reading so few again costs nothing


def fuse(graph: Graph, target: Target, *, enabled: bool = True) -> Grouping:
    """Return the groups of `graph` and the verdict on every edge between computed nodes.

    If not `enabled`, every computed node but the views is a group of its own: the baseline, with
    the same bits. Of `target` only the number of cores counts: rows are shared among them.
    """
    return _Fusion(graph, target.cores, enabled).run()


class _Fusion:
    def __init__(self, graph: Graph, cores: int, enabled: bool) -> None:
        self.graph, self.enabled = graph, enabled
        self.least_rows = _ROWS_A_CORE * cores
        self.roots = frozenset(graph.roots)
        self.order = AcyclicOrder()
        self.clusters: dict[int, Cluster] = {}
        self.readers: dict[Node, dict[Cluster, None]] = {}
        self.several: dict[Node, Cluster] = {}  # of the nodes that have several results
        self.verdicts = Verdicts()
        self._numbers = itertools.count()

    def run(self) -> Grouping:
        for node in reversed(self.graph.nodes):
            readers = list(self.readers.pop(node, ()))
            if isinstance(node.op.lowering, Leaf):
                self._read(node, self._merge_readers(node, readers))
            elif readers or node in self.roots:
                self._place(node, readers)
        self._read_before_assigning()
        return Grouping(self.graph, self._groups(), partial(self.verdicts.decisions, self.graph))

    # --- placing a node --------------------------------------------------------------------------

    def _place(self, node: Node, readers: list[Cluster]) -> None:
        if isinstance(node.op.lowering, View):
            self._place_view(node, readers)
        elif isinstance(node.op.lowering, Item):
            self._place_item(node, readers)
        elif node.is_tuple:
            self._join(self.several[node], node, 0)
        elif not self.enabled or stands_alone(node):
            self._store(node, readers)
        elif is_accumulator(node):
            self._place_accumulator(node, self._merge_readers(node, readers))
        else:
            self._place_pointwise(node, readers)

    def _place_view(self, node: Node, readers: list[Cluster]) -> None:
        """Let every reader go through the view, but for those that have gone through too many."""
        tangled = [r for r in readers if any(d.is_tangled for d in r.wanted[node])]
        for reader in readers:
            if reader not in tangled:
                self._join(reader, node, 0)
        if tangled or node in self.roots:
            home = self._start(node)
            for reader in tangled:
                self.verdicts.refuse(node, reader, Reason.LIMIT)
                self.order.add_edge(home.number, reader.number)
            self._read(node, tangled)

    def _place_item(self, node: Node, readers: list[Cluster]) -> None:
        """Let the cluster of a node with several results store one of them."""
        (source,) = node.inputs
        cluster = self.several.get(source) or self._start_cluster(node)
        if source not in self.several:
            self.several[source] = cluster
            cluster.want(source, Demand(()))
            self.readers[source] = {cluster: None}
        cluster.members[node] = cluster.outputs[node] = None
        self.verdicts.place(node, cluster)
        for reader in readers:
            self.verdicts.refuse(node, reader, Reason.WHOLE_OPERAND)
            self.order.add_edge(cluster.number, reader.number)
        self._read(node, readers)

    def _place_accumulator(self, node: Node, readers: list[Cluster]) -> None:
        if node not in self.roots and len(readers) == 1 and self._can_compute(readers[0], node):
            self._join(readers[0], node, 0)
        else:
            self._store(node, readers)

    def _place_pointwise(self, node: Node, readers: list[Cluster]) -> None:
        if node in self.roots or any(_reads_memory(reader, node) for reader in readers):
            self._store(node, self._merge_readers(node, readers))
        elif self._is_repeatable(node, readers):
            self._inline(node, readers)
        else:
            readers = self._merge_readers(node, readers)
            if self._is_repeatable(node, readers):
                self._inline(node, readers)
            else:
                self._store(node, readers)

    def _is_repeatable(self, node: Node, readers: list[Cluster]) -> bool:
        """Return whether the readers may each compute the node for themselves."""
        if any(reader.is_full for reader in readers):
            return False
        if _copies(node, readers) <= 1:
            return True
        if _repeated_cost(node, readers) > MOST_REPEATED:
            return False
        large = [i for i in node.inputs if _stored_size(i) >= max(_SMALL, node.type.size // 2)]
        return len(readers) == 1 or len(large) <= 1

    def _inline(self, node: Node, readers: list[Cluster]) -> None:
        is_repeated = _copies(node, readers) > 1
        repeated = _repeated_cost(node, readers) if is_repeated else 0
        for reader in readers:
            self._join(reader, node, repeated)

    def _store(self, node: Node, readers: list[Cluster]) -> None:
        """Let one cluster store the node, a reader that computes it anyway if there is one."""
        host = self._host(node, readers) if self.enabled else None
        for reader in readers:
            if reader is not host:
                self.verdicts.refuse(node, reader, self._refusal(node, reader, readers, host))
        if host is not None:
            self._join(host, node, 0)
        else:
            host = self._start(node)
        host.outputs[node] = None
        for reader in readers:
            if reader is not host:
                self.order.add_edge(host.number, reader.number)
        self._read(node, [reader for reader in readers if reader is not host])

    def _host(self, node: Node, readers: list[Cluster]) -> Cluster | None:
        able = [reader for reader in readers if self._can_store(reader, node)]
        able.sort(key=lambda cluster: self.order.position(cluster.number))
        for host in able:
            others = [reader for reader in readers if reader is not host]
            if all(self.order.add_edge(host.number, other.number) for other in others):
                return host
        return None

    # --- what fits -------------------------------------------------------------------------------

    def _can_store(self, cluster: Cluster, node: Node) -> bool:
        """Return whether the cluster computes every element of the node once, in its own order."""
        if stands_alone(node) or not self._can_compute(cluster, node):
            return False
        if is_accumulator(node):
            return True
        space = cluster.space
        if space is None or (_is_whole(node, space) and not cluster.has_adjacent_rows()):
            return False
        return cluster.own_place(node) == cluster.wanted[node][0].indices

    def _can_compute(self, cluster: Cluster, node: Node) -> bool:
        demands = cluster.wanted[node]
        if len(demands) != 1 or demands[0].in_memory is not None or cluster.is_full:
            return False
        if isinstance(node.op.lowering, Contraction):
            return fits_contraction(cluster, node, demands[0].indices)
        if is_accumulator(node):
            return fits_reduction(cluster, node, demands[0].indices)
        return True

    def _refusal(
        self, node: Node, reader: Cluster, readers: list[Cluster], host: Cluster | None
    ) -> Reason:
        """Return why `reader` does not compute the node itself."""
        for demand in reader.wanted[node]:
            if demand.in_memory is not None:
                return demand.in_memory
        if stands_alone(node):
            return Reason.WHOLE_OPERAND
        if reader.is_full:
            return Reason.LIMIT
        if not self.enabled:
            return Reason.DISABLED
        if self._can_store(reader, node):
            return Reason.SEVERAL_READERS if host is not None else Reason.CYCLE
        if len(readers) > 1:
            return Reason.SEVERAL_READERS
        if is_accumulator(node):
            return _refusal_of_rows(node, reader)
        return Reason.BOUNDARY if node in self.roots else Reason.OTHER_AXES

    # --- changing clusters -----------------------------------------------------------------------

    def _start(self, node: Node) -> Cluster:
        """Make a cluster that stores `node`."""
        cluster = self._start_cluster(node)
        cluster.accumulates = is_accumulator(node)
        cluster.contracts = isinstance(node.op.lowering, Contraction)
        cluster.outputs[node] = None
        cluster.want(node, Demand(cluster.own_place(node) or ()))
        self._join(cluster, node, 0)
        return cluster

    def _start_cluster(self, node: Node) -> Cluster:
        """Make a cluster over the space of `node`."""
        cluster = Cluster(next(self._numbers), space_of(node), self.least_rows)
        self.clusters[cluster.number] = cluster
        self.order.add(cluster.number)
        return cluster

    def _join(self, cluster: Cluster, node: Node, repeated: int) -> None:
        """Let the cluster compute the node, and want its operands where the node reads them."""
        if is_accumulator(node) and not cluster.accumulates:
            adopt_space(cluster, node)
        cluster.members[node] = None
        self.verdicts.place(node, cluster)
        for demand in cluster.wanted.pop(node):
            for number, wish in demands_of(node, demand, repeated):
                operand = node.inputs[number]
                cluster.want(operand, wish)
                self.readers.setdefault(operand, {})[cluster] = None

    def _read(self, node: Node, readers: Iterable[Cluster]) -> None:
        for reader in readers:
            reader.reads[node] = None
            reader.wanted.pop(node, None)

    def _merge_readers(self, node: Node, readers: list[Cluster]) -> list[Cluster]:
        """Merge the readers that want the same elements of the node at once, where they can be."""
        if not self.enabled or len(readers) < 2:
            return readers
        merged: list[Cluster] = []
        for reader in readers:
            latest = merged[-_MOST_PARTNERS:]
            partner = next((m for m in latest if self._merge(m, reader, node)), None)
            if partner is None:
                merged.append(reader)
        return merged

    def _merge(self, kept: Cluster, gone: Cluster, node: Node) -> bool:
        if not _want_alike(kept, gone, node):
            return False
        wide, narrow = (gone, kept) if gone.accumulates else (kept, gone)
        if not _can_share_loops(wide, narrow) or not self.order.merge(kept.number, gone.number):
            return False
        assert wide.space is not None
        enter_space(narrow, wide.space)
        kept.space, kept.accumulates, kept.contracts = wide.space, wide.accumulates, wide.contracts
        kept.members |= gone.members
        kept.outputs |= gone.outputs
        kept.reads |= gone.reads
        for wanted, demands in gone.wanted.items():
            for demand in demands:
                kept.want(wanted, demand)
            others = self.readers.get(wanted, {})
            if gone in others:
                del others[gone]
                others[kept] = None
        self.verdicts.merge(kept, gone)
        del self.clusters[gone.number]
        return True

    def _read_before_assigning(self) -> None:
        """Let what computes a variable's new value run after what reads the old, where it can."""
        readers: dict[Node, list[Cluster]] = {
            variable: [] for variable, _ in self.graph.assignments
        }
        makers = {node: c for c in self.clusters.values() for node in c.outputs}
        for cluster in self.clusters.values():
            for node in cluster.reads:
                if node in readers:
                    readers[node].append(cluster)
        for variable, value in self.graph.assignments:
            for reader in readers[variable] if value in makers else ():
                self.order.add_edge(reader.number, makers[value].number)

    # --- the result ------------------------------------------------------------------------------

    def _groups(self) -> tuple[Group, ...]:
        position = {node: n for n, node in enumerate(self.graph.nodes)}
        groups = []
        for cluster in sorted(self.clusters.values(), key=lambda c: self.order.position(c.number)):
            members = tuple(sorted(cluster.members, key=position.__getitem__))
            outputs = tuple(sorted(cluster.outputs, key=position.__getitem__))
            groups.append(Group(group_name(members), members, outputs))
        return tuple(groups)


def _refusal_of_rows(node: Node, reader: Cluster) -> Reason:
    """Return why the reader does not compute this accumulator in its rows."""
    own, space = accumulation_space(node), reader.space
    is_too_few = (
        space is not None and space.extents == own.extents and not reader.has_enough_rows(own)
    )
    return Reason.FEW_ROWS if is_too_few and own.reduced else Reason.OTHER_AXES


def _is_whole(node: Node, space: Space) -> bool:
    """Return whether the node has the elements of the space, and its rows are fewer."""
    return bool(space.reduced) and strip(node.shape) == space.extents


def _reads_memory(cluster: Cluster, node: Node) -> bool:
    return any(demand.in_memory is not None for demand in cluster.wanted[node])


def _copies(node: Node, readers: list[Cluster]) -> float:
    """Return how often each element would be computed if every reader computed it."""
    return sum([reader.repeats(d, node) for reader in readers for d in reader.wanted[node]])


def _repeated_cost(node: Node, readers: list[Cluster]) -> int:
    return weight(node) + max(d.repeated for reader in readers for d in reader.wanted[node])


def _stored_size(node: Node) -> int:
    """Return the elements read for the node, seen through views."""
    size = node.type.size
    while isinstance(node.op.lowering, View):
        node = node.inputs[0]
        size = min(size, node.type.size)
    return size


def _want_alike(one: Cluster, other: Cluster, node: Node) -> bool:
    """Return whether both want each element of the node once, at the same point of their loops."""
    demands = [*one.wanted[node], *other.wanted[node]]
    if len(demands) != 2 or any(demand.in_memory is not None for demand in demands):
        return False
    first, second = (demand.indices for demand in demands)
    if first == one.own_place(node) and second == other.own_place(node):
        return True
    if first != second or node.op.is_leaf or one.space is None or other.space is None:
        return False
    if one.accumulates or other.accumulates:
        wide = one if one.accumulates else other
        return one.space.extents == other.space.extents and first == wide.own_place(node)
    is_reduction = is_accumulator(node) and not isinstance(node.op.lowering, Contraction)
    return is_reduction and all(fits_reduction(cluster, node, first) for cluster in (one, other))


def _can_share_loops(wide: Cluster, narrow: Cluster) -> bool:
    """Return whether the loops of `wide` can hold what `narrow` computes."""
    if wide.space is None or narrow.space is None:
        return False
    members = len(wide.members) + len(narrow.members)
    memories = sum(len(c.outputs) + len(c.reads) for c in (wide, narrow))
    if members > MOST_MEMBERS or memories > MOST_MEMORIES:
        return False
    if narrow.accumulates:
        is_reduction = not (wide.contracts or narrow.contracts)
        return is_reduction and wide.space == narrow.space
    if narrow.space.extents == wide.space.extents:
        return wide.contracts or not wide.accumulates or wide.has_adjacent_rows()
    return wide.accumulates and narrow.space.extents == wide.space.rows
