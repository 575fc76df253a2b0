"""Take contractions out of scans that do not go from step to step: one large for many small. Exact.

    before   a contraction of slices, or of what is computed of them alone, with what is the same at
             each step becomes a stacked input: the products of all steps at once
    after    a stacked output that is computed with such a contraction, and that no carry needs, is
             computed after the loop, from the stacked values that it reads

The loop keeps what the carries need, the recurrence itself: of a recurrent network the product with
the old state, but neither that with the inputs nor the output layer. Only what has the same bits is
moved: contractions that sum in the same order with the axis of the steps as without, elementwise
ops and views. What is stacked for it is at most `MOST_GROWTH` times what was, or `FREE_BYTES`.
Scans that recompute are there to save memory, and stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from graphc.capture import close, depending, invariant, new_parameter
from graphc.graph import Graph, substitute, topological_order
from graphc.node import Node
from graphc.op import Contraction, Elementwise, FromIndex, Scan, View
from graphc.ops.loops import items
from graphc.passes.loop_results import Results, over_steps, rewrite_results
from graphc.passes.lower_accumulators import contraction_lanes

MOST_GROWTH = 4
FREE_BYTES = 16 * 1024 * 1024


def distribute_scans(graph: Graph) -> Graph:
    """Return `graph` with such contractions outside of its scans."""
    return rewrite_results(graph, {Scan: _distribute})


def _distribute(node: Node, used: Sequence[int]) -> Results:
    scan = _Scan(node)
    early = scan.early()
    late = {j: read for j in used if (read := scan.late(j)) is not None}
    if not early and not late:
        return dict(zip(used, (items(node)[j] for j in used), strict=True))
    return scan.rebuilt(used, early, late)


class _Scan:
    """A scan and its parts; `core` is what the carries need."""

    def __init__(self, node: Node) -> None:
        self.node, attributes = node, node.attributes
        self.count, self.length = attributes["carries"], attributes["length"]
        first_slice = self.count + attributes["constants"]
        self.outputs: tuple[Node, ...] = attributes["body"].outputs
        parameters = attributes["body"].inputs
        self.operands = dict(zip(parameters, node.inputs, strict=True))
        self.carries, self.slices = parameters[: self.count], parameters[first_slice:]
        self.outer = {p: self.operands[p] for p in parameters[self.count : first_slice]}
        self.core = set(topological_order(self.outputs[: self.count]))
        order = topological_order(self.outputs)
        self.order = order
        self.by_carries = depending(order, self.carries)
        self.by_slices = depending(order, self.slices)
        self.changing = self.by_carries | self.by_slices
        self.is_fixed = attributes["recompute"] or self.length < 2

    def may_move(self, node: Node) -> bool:
        """Return whether a node has the same bits when it is computed for all steps at once."""
        if not isinstance(node.op.lowering, Contraction):
            return isinstance(node.op.lowering, Elementwise | View | FromIndex)
        return self.is_large_outside(node)

    def is_large_outside(self, node: Node) -> bool:
        """Return whether a node is a contraction with what is fixed that sums in the same order."""
        if not isinstance(node.op.lowering, Contraction):
            return False
        changing = [operand in self.changing for operand in node.inputs]
        if sum(changing) != 1:
            return False
        side, new = ("lhs", "rhs")[changing.index(True)], _free_label(node)
        labels = {**node.attributes, "out": new + node.attributes["out"]}
        labels[side] = new + labels[side]
        wide = [
            new_parameter(i.type.with_shape((self.length, *i.shape))) if moves else i
            for i, moves in zip(node.inputs, changing, strict=True)
        ]
        return contraction_lanes(node) == contraction_lanes(node.op(*wide, **labels))

    def early(self) -> list[Node]:
        """Return the contractions that are computed before the loop."""
        found: list[Node] = []
        if self.is_fixed:
            return found
        steady: set[Node] = set(self.slices)
        for node in self.order:
            if node in self.by_carries or node not in self.by_slices or node in steady:
                continue
            above = [i for i in node.inputs if i in self.by_slices]
            if steady.issuperset(above) and self.may_move(node):
                steady.add(node)
                if self.is_large_outside(node) and self.is_small(node, self._read(node)):
                    found.append(node)
        return found

    def _read(self, node: Node) -> list[Node]:
        above = set(topological_order([node]))
        return [parameter for parameter in self.slices if parameter in above]

    def is_small(self, node: Node, instead: Sequence[Node]) -> bool:
        """Return whether `node` may be stacked, where `instead` is stacked otherwise."""
        nbytes = node.type.nbytes
        before = sum(other.type.nbytes for other in instead)
        return nbytes <= MOST_GROWTH * before or nbytes * self.length <= FREE_BYTES

    def late(self, index: int) -> list[Node] | None:
        """Return what the stacked output `index` reads if it is computed after the loop."""
        output = self.outputs[index]
        if index < self.count or self.is_fixed or output in self.core:
            return None
        read: dict[Node, None] = {}
        seen, pending, gains = set[Node](), [output], False
        while pending:
            node = pending.pop()
            if node in seen or node not in self.changing:
                continue
            seen.add(node)
            if node in self.core or not node.inputs or not self.may_move(node):
                read[node] = None
                continue
            gains = gains or self.is_large_outside(node)
            pending += node.inputs
        kept = [n for n in read if n not in self.slices and n not in self.outputs[self.count :]]
        nbytes = sum(n.type.nbytes for n in kept)
        is_small = nbytes <= MOST_GROWTH * output.type.nbytes or nbytes * self.length <= FREE_BYTES
        return list(read) if gains and is_small else None

    def rebuilt(
        self, used: Sequence[int], early: Sequence[Node], late: Mapping[int, Sequence[Node]]
    ) -> Results:
        """Return the results of the scan that is left, and of what was taken out of it."""
        inner = {node: new_parameter(node.type, "product") for node in early}
        kept = [j for j in used if j >= self.count and j not in late]
        stacked = dict.fromkeys(self.outputs[j] for j in kept)
        for read in late.values():
            stacked |= dict.fromkeys(n for n in read if n not in self.slices)
        roots = substitute([*self.outputs[: self.count], *stacked], inner)
        above = set(topological_order(roots))
        after = [p for p in self.slices if p in above]
        products = [node for node in early if inner[node] in above]
        stacks = {parameter: self.operands[parameter] for parameter in self.slices}
        before = over_steps(products, stacks, self.outer, self.length)
        steps = [*after, *(inner[node] for node in products)]
        results = self._scan(roots, steps, [*(stacks[p] for p in after), *before])
        stacks |= dict(zip(stacked, results[self.count :], strict=True))
        found = {j: results[j] for j in used if j < self.count}
        found |= {j: stacks[self.outputs[j]] for j in kept}
        for j, read in late.items():
            values = {node: stacks[node] for node in read}
            (found[j],) = over_steps([self.outputs[j]], values, self.outer, self.length)
        return found

    def _scan(
        self, roots: Sequence[Node], slices: Sequence[Node], stacked: Sequence[Node]
    ) -> tuple[Node, ...]:
        outside = invariant(roots, [*self.carries, *slices])
        body, constants = close(self.carries, slices, roots, outside)
        starts = self.node.inputs[: self.count]
        operands = [*starts, *substitute(constants, self.outer), *stacked]
        counts = {"body": body, "constants": len(constants)}
        return items(self.node.op(*operands, **{**self.node.attributes, **counts}))


def _free_label(node: Node) -> str:
    taken: Collection[str] = node.attributes["lhs"] + node.attributes["rhs"]
    return next(c for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in taken)
