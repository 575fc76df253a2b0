"""Reverse-mode derivatives of `scan`.

The backward scan runs the other way. Its carries are the cotangents of the forward carries, its
slices those of the stacked outputs, and what its body reads of the forward one:

- slices of the inputs and constants are there already;
- what is cheap to compute from them and from what is kept anyway is computed again;
- the rest, the *residuals*, become further stacked outputs of the forward scan. That is a second
  node, whose steps contain those of the first: `merge_scans` makes one of the two.

The cotangent of a constant adds up over the steps. Where it is a contraction, its operands are
stacked instead, and one contraction after the loop, which sums over the steps too, takes the place
of `length` small ones. Cotangents of slices that are contractions with a constant are formed after
the loop as well, where their operand is stacked anyway. A scan that says `recompute` keeps the
carries alone, and stacks nothing.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

from graphc import ops
from graphc.arithmetic import zeros_like
from graphc.body import Body
from graphc.capture import close, depending, invariant, new_parameter
from graphc.graph import Graph, substitute, topological_order
from graphc.node import Node, scalar_value
from graphc.op import Contraction, Elementwise, FromIndex, View
from graphc.ops.loops import items
from graphc.passes.loop_results import over_steps
from graphc.passes.operation_cost import MOST_REPEATED, weight

Differentiate: TypeAlias = Callable[
    [Sequence[Node], Sequence[Node], Sequence[Node]], Sequence[Node]
]
Cotangents: TypeAlias = Sequence[Node | None]


MOST_TERMS = 64  # of one sum; a sum of sums that are shared may have very many


class _Scan:
    """A scan node and its parts: `body`, the parameters of it by kind, the operands for them."""

    def __init__(self, node: Node) -> None:
        self.node, self.body = node, node.attributes["body"]
        self.count = node.attributes["carries"]
        self.first_slice = self.count + node.attributes["constants"]
        self.parameters: tuple[Node, ...] = self.body.inputs
        self.carries = self.parameters[: self.count]
        self.constants = self.parameters[self.count : self.first_slice]
        self.slices = self.parameters[self.first_slice :]
        self.operands = dict(zip(self.parameters, node.inputs, strict=True))

    def with_outputs(self, more: Sequence[Node]) -> Node:
        """Return the scan that stacks `more` nodes of its body too; itself for none."""
        if not more:
            return self.node
        body = Body(Graph(self.parameters, [*self.body.outputs, *more]))
        return self.node.op(*self.node.inputs, **{**self.node.attributes, "body": body})

    def backwards(self, body: Body, operands: Sequence[Node], carries: int, constants: int) -> Node:
        """Return a scan of another body over the same steps, in the other order."""
        attributes = {**self.node.attributes, "reverse": not self.node.attributes["reverse"]}
        counts = {"body": body, "carries": carries, "constants": constants}
        return self.node.op(*operands, **{**attributes, **counts})


def pull_back_scan(
    node: Node, cotangents: Cotangents, needed: Sequence[bool], differentiate: Differentiate
) -> Cotangents:
    """Return the cotangents of the operands of a scan that are `needed`."""
    scan = _Scan(node)
    active = _active_carries(scan, cotangents, needed)
    stacked = [j for j in range(scan.count, len(cotangents)) if cotangents[j] is not None]
    outputs = [scan.body.outputs[j] for j in (*active, *stacked)]
    seeds = [new_parameter(output.type, "cotangent") for output in outputs]
    carries = [scan.carries[j] for j in active]
    pairs = zip(scan.parameters, needed, strict=True)
    others = [p for p, is_needed in pairs if is_needed and p not in scan.carries]
    found = differentiate(outputs, seeds, [*carries, *others])
    steps = _Steps(scan, seeds[: len(active)], seeds[len(active) :], found[: len(active)])
    for parameter, cotangent in zip(others, found[len(active) :], strict=True):
        steps.add(parameter, cotangent)
    starts = [cotangents[j] or zeros_like(scan.carries[j]) for j in active]
    given = [c for j in stacked if (c := cotangents[j]) is not None]
    results = dict(zip(carries, steps.build(starts, given), strict=True)) | steps.results
    pairs = zip(scan.parameters, needed, strict=True)
    return [results.get(parameter) if is_needed else None for parameter, is_needed in pairs]


def _active_carries(scan: _Scan, cotangents: Cotangents, needed: Sequence[bool]) -> list[int]:
    """Return the carries through which something that is needed reaches a cotangent."""
    outputs, count = scan.body.outputs, scan.count
    order = [n for n in topological_order(outputs) if any(t.dtype.is_inexact for t in n.results)]
    sources = {p for p, is_needed in zip(scan.parameters, needed, strict=True) if is_needed}
    while True:
        varying = depending(order, sources)
        more = {scan.carries[j] for j in range(count) if outputs[j] in varying} - sources
        more = {carry for carry in more if carry.type.dtype.is_inexact}
        if not more:
            break
        sources |= more
    reached = {j for j, cotangent in enumerate(cotangents) if cotangent is not None}
    while True:
        above = _above((outputs[j] for j in reached), set(order))
        found = {j for j in range(count) if scan.carries[j] in above} - reached
        if not found:
            break
        reached |= found
    return [j for j in range(count) if j in reached and scan.carries[j] in sources]


def _above(roots: Iterable[Node], among: Collection[Node]) -> set[Node]:
    """Return the nodes of `among` that `roots` reach through nodes of it."""
    seen: set[Node] = set()
    pending = [root for root in roots if root in among]
    while pending:
        node = pending.pop()
        if node not in seen:
            seen.add(node)
            pending += [i for i in node.inputs if i in among]
    return seen


@dataclass(frozen=True)
class _Term:
    """One summand of a constant's cotangent: `views`, the outermost first, of `core`."""

    node: Node
    views: tuple[Node, ...]
    core: Node

    def over_steps(self, stacks: Mapping[Node, Node]) -> Node:
        """Return the sum of the summand over the steps, of which `stacks` holds the values."""
        if self.core in stacks:
            summed = ops.sum_(stacks[self.core], axes=(0,))
        elif isinstance(self.core.op.lowering, Contraction):
            summed = _contracted_over_steps(self.core, *(stacks[i] for i in self.core.inputs))
        else:
            axes = (0, *(axis + 1 for axis in self.core.attributes["axes"]))
            summed = ops.sum_(stacks[self.core.inputs[0]], axes=axes)
        for view in reversed(self.views):  # views are linear
            summed = view.op(summed, **view.attributes)
        return summed


def _contracted_over_steps(node: Node, a: Node, b: Node) -> Node:
    labels = node.attributes
    new = next(c for c in string.ascii_letters if c not in labels["lhs"] + labels["rhs"])
    lhs, rhs = new + labels["lhs"], new + labels["rhs"]
    return node.op(a, b, **{**labels, "lhs": lhs, "rhs": rhs})


def _terms(node: Node) -> list[_Term]:
    """Return summands of `node`, in the order in which they are added; itself if there are many."""
    found: list[_Term] = []
    pending = [node]
    while pending:
        if len(found) + len(pending) > MOST_TERMS:
            return [_Term(node, (), node)]
        summand = core = pending.pop()
        if core.op is ops.add:
            pending += core.inputs[::-1]
            continue
        views: list[Node] = []
        while isinstance(core.op.lowering, View):
            views.append(core)
            core = core.inputs[0]
        found.append(_Term(summand, tuple(views), core))
    return found


class _Steps:
    """The steps of a backward scan while they are put together.

    `of_carries` are the cotangents of the carries before a step, over `carries`, those after it,
    and `slices`, those of the stacked outputs at the step.
    """

    def __init__(
        self,
        scan: _Scan,
        carries: Sequence[Node],
        slices: Sequence[Node],
        of_carries: Sequence[Node],
    ) -> None:
        self.scan, self.carries, self.slices = scan, tuple(carries), tuple(slices)
        self.of_carries = tuple(of_carries)
        self.of_slices: dict[Node, Node] = {}
        self.terms: dict[Node, list[_Term]] = {}
        self.results: dict[Node, Node] = {}

    def add(self, parameter: Node, cotangent: Node) -> None:
        """Add the cotangent of a constant or of a slice at one step; none for zeros."""
        if scalar_value(cotangent) == 0:
            return
        if parameter in self.scan.slices:
            self.of_slices[parameter] = cotangent
        else:
            self.terms[parameter] = _terms(cotangent)

    def build(self, starts: Sequence[Node], cotangents: Sequence[Node]) -> tuple[Node, ...]:
        """Return the cotangents of the first carries; `results` holds those of the others.

        `starts` are those of the last carries, `cotangents` those of the stacked outputs.
        """
        every = [term.node for terms in self.terms.values() for term in terms]
        order = topological_order([*self.of_carries, *self.of_slices.values(), *every])
        seeds = (*self.carries, *self.slices)
        moving = depending(order, seeds)
        late, stacked = self._late_terms(order)
        late_slices = self._late_slices(order, stacked)
        now = {p: node for p, node in self.of_slices.items() if p not in late_slices}
        added = {p: self._added(p, late) for p in self.terms}
        sums = {p: new_parameter(p.type) for p, node in added.items() if node is not None}
        totals = [sums[p] + node for p, node in added.items() if node is not None]
        made = [n for n in stacked if n in moving and n not in self.slices]
        roots = [*self.of_carries, *totals, *now.values(), *made]
        kept = dict.fromkeys(n for n in stacked if n not in moving and n not in self.scan.slices)
        residuals = self._residuals(roots, moving, kept)
        stacks = self._forward_stacks(residuals) | dict(zip(self.slices, cotangents, strict=True))
        first = [*starts, *(zeros_like(p) for p in sums)]
        results = self._scan([*self.carries, *sums.values()], first, roots, residuals, stacks)
        before = len(self.carries)
        outputs = results[len(first) :]
        self.results |= dict(zip(now, outputs, strict=False))
        stacks |= dict(zip(made, outputs[len(now) :], strict=True))
        for parameter, source in late_slices.items():
            stack, length = {source: stacks[source]}, self.scan.node.attributes["length"]
            formed = over_steps([self.of_slices[parameter]], stack, self.scan.operands, length)
            self.results[parameter] = formed[0]
        after = dict(zip(sums, results[before : len(first)], strict=True))
        for parameter, terms in self.terms.items():
            parts = [term.over_steps(stacks) for term in terms if term in late]
            parts += [after[parameter]] if parameter in after else []
            self.results[parameter] = functools.reduce(ops.add, parts)
        return results[:before]

    def _late_terms(self, order: Sequence[Node]) -> tuple[set[_Term], dict[Node, None]]:
        """Return the terms that are added up after the loop, and what is stacked for that."""
        if self.scan.node.attributes["recompute"]:
            return set(), {}
        seeds = (*self.carries, *self.slices)
        varying = depending(order, (*seeds, *self.scan.carries, *self.scan.slices))
        every = [term for terms in self.terms.values() for term in terms]
        late = {
            term
            for term in every
            if isinstance(term.core.op.lowering, Contraction)
            and varying.issuperset(term.core.inputs)
        }
        stacked = dict.fromkeys(i for term in every if term in late for i in term.core.inputs)
        for term in every:
            source = term.core.inputs[0] if term.core.op is ops.sum_ else term.core
            if source in stacked:
                late.add(term)
        return late, stacked

    def _late_slices(self, order: Sequence[Node], stacked: Collection[Node]) -> dict[Node, Node]:
        """Return the slices whose cotangents are one contraction, and its operand that is stacked.

        The other operand is the same at each step, so that all steps are one large contraction.
        """
        seeds = (*self.carries, *self.slices)
        varying = depending(order, (*seeds, *self.scan.carries, *self.scan.slices))
        found: dict[Node, Node] = {}
        for parameter, cotangent in self.of_slices.items():
            (term, *others) = _terms(cotangent)
            changing = [i for i in term.core.inputs if i in varying]
            is_contraction = isinstance(term.core.op.lowering, Contraction)
            if is_contraction and not others and len(changing) == 1 and changing[0] in stacked:
                found[parameter] = changing[0]
        return found

    def _added(self, parameter: Node, late: Collection[_Term]) -> Node | None:
        """Return what a carry adds up at each step for a constant; None if all is done later."""
        now = [term.node for term in self.terms[parameter] if term not in late]
        return functools.reduce(ops.add, now) if now else None

    def _residuals(
        self, roots: Sequence[Node], moving: Collection[Node], kept: dict[Node, None]
    ) -> tuple[Node, ...]:
        """Return what the steps read of the forward body and do not compute again."""
        order = topological_order(roots)
        changing = depending(order, (*self.scan.carries, *self.scan.slices))
        everything = self.scan.node.attributes["recompute"]
        seen: set[Node] = set()
        pending = [*roots]
        while pending:
            node = pending.pop()
            is_free = node in self.scan.slices or (node not in changing and node not in moving)
            if node in seen or node in kept or is_free:
                continue
            seen.add(node)
            if node in moving or (node.inputs and (everything or _is_cheap(node))):
                pending += node.inputs
            else:
                kept[node] = None
        return tuple(kept)

    def _forward_stacks(self, residuals: Sequence[Node]) -> dict[Node, Node]:
        """Return the values of residuals and of slices at all steps, stacked."""
        scan = self.scan
        outputs = scan.body.outputs[scan.count :]
        stacks = {parameter: scan.operands[parameter] for parameter in scan.slices}
        extended = scan.with_outputs([node for node in residuals if node not in outputs])
        places = dict(zip(extended.attributes["body"].outputs[scan.count :], count(scan.count)))
        return stacks | {node: ops.item(extended, index=places[node]) for node in residuals}

    def _scan(
        self,
        carries: Sequence[Node],
        starts: Sequence[Node],
        roots: Sequence[Node],
        residuals: Sequence[Node],
        stacks: Mapping[Node, Node],
    ) -> tuple[Node, ...]:
        """Return the results of the backward scan."""
        inner = {node: new_parameter(node.type, "residual") for node in residuals}
        roots = substitute(roots, inner)
        stacked = [*self.slices, *self.scan.slices, *residuals]
        after = [inner.get(node, node) for node in stacked]
        outside = invariant(roots, [*carries, *after], runs=self.scan.node.attributes["length"] > 0)
        body, outer = close(carries, after, roots, outside)
        constants = substitute(outer, self.scan.operands)
        operands = [*starts, *constants, *(stacks[node] for node in stacked)]
        return items(self.scan.backwards(body, operands, len(carries), len(constants)))


def _is_cheap(node: Node) -> bool:
    """Return whether a node of a forward body is computed again rather than kept."""
    kinds = Elementwise | View | FromIndex
    return isinstance(node.op.lowering, kinds) and weight(node) <= MOST_REPEATED
