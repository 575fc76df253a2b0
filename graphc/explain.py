"""What the compiler did, and why, as text: groups, reasons for every edge, bytes and operations.

Bytes are those a kernel must move between itself and memory: every element read once and every
result written once, whatever the caches do. Operations count one for each elementwise op, each
combining step and each multiply-add (as two) for every element computed. A body counts once for
each step of a scan, and once in a loop whose steps are not known while compiling; of branches the
one with most operations counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from graphc.body import Body, bodies_of, nested_bodies
from graphc.graph import Graph
from graphc.graph_text import node_names
from graphc.group import Decision, Group, Grouping
from graphc.node import Node, scalar_value, shown_type
from graphc.op import (
    Contraction,
    Cumulative,
    Elementwise,
    Reduction,
    Scan,
    Scatter,
    Selection,
    Switch,
)
from graphc.plan import PlanBranch, PlanLoop, Routine, Step
from graphc.program import Stages
from graphc.schedule_choices import Tuned


def explain(stages: Stages) -> str:
    """Return the report of one compilation."""
    if stages.grouping is None:
        return "the reference backend computes node by node: nothing is fused"
    steps = () if stages.plan is None else stages.plan.steps
    lines = [_headline(stages), *_explain_groups(stages.grouping, steps)]
    if stages.tuned:
        lines += ["", "schedules, the best of those measured"]
        lines += [f"  {name}: {_explain_tuned(found)}" for name, found in stages.tuned.items()]
    return "\n".join(lines)


def _explain_groups(grouping: Grouping, steps: Sequence[Step]) -> list[str]:
    """Return the lines of all groups; under loops and branches those of their bodies."""
    names = node_names(grouping.graph)
    into: dict[Node, list[Decision]] = {}
    for decision in grouping.decisions:
        into.setdefault(decision.consumer, []).append(decision)
    routines = {step.group: step.routine for step in steps if step.group is not None}
    lines = []
    for index, group in enumerate(grouping.groups):
        inside = [d for node in group.members for d in into.get(node, ())]
        lines += ["", *_explain_group(index, group, inside, names)]
        if steps and index not in routines:
            lines.append("    takes no step: what reads its result reads the operand in its place")
        lines += [f"    {line}".rstrip() for line in _explain_bodies(routines.get(index))]
    return lines


def _explain_bodies(routine: Routine | None) -> list[str]:
    if not isinstance(routine, PlanLoop | PlanBranch):
        return []
    lines = []
    for title, body in zip(_titles(routine), routine.bodies, strict=True):
        lines += ["", title, *_explain_groups(body.grouping, body.plan.steps)]
    return lines


def _titles(routine: PlanLoop | PlanBranch) -> list[str]:
    if isinstance(routine, PlanBranch):
        return [f"branch {number}" for number in range(len(routine.bodies))]
    if routine.condition is not None:
        return ["condition", "body, as long as it holds"]
    return [f"body, {routine.length} times"]


def _explain_tuned(found: Tuned) -> str:
    time = f"{_seconds(found.seconds)}, {found.threads} threads, {found.candidates} measured"
    if not found.choices.chosen:
        return f"{found.choices}, {time}"
    won = 1 - found.seconds / found.model_seconds
    model = f"{won:.0%} less than the cost model's {_seconds(found.model_seconds)}"
    return f"{found.choices}, {time}, {model}"


def _headline(stages: Stages) -> str:
    assert stages.grouping is not None
    groups = stages.grouping.groups
    counts = [
        f"{len(stages.graph.nodes)} nodes traced, {len(stages.optimised.nodes)} after passes",
        f"{len(groups)} groups",
        f"{_bytes(sum(map(bytes_moved, groups)))} moved",
        f"{_count(sum(map(operations, groups)))} operations",
    ]
    if stages.plan is not None:
        counts.insert(2, f"{len(stages.plan.kernels)} distinct kernels")
        counts.append(f"arena {_bytes(stages.plan.arena_bytes)}")
    return f"{stages.graph.name}: " + ", ".join(counts)


def _explain_group(
    index: int, group: Group, decisions: Iterable[Decision], names: dict[Node, str]
) -> list[str]:
    head = f"group {index} {group.name}: {_bytes(bytes_moved(group))} moved, "
    lines = [head + f"{_count(operations(group))} operations"]
    lines.append("  reads   " + _listing(inputs_read(group), names))
    lines.append("  writes  " + _listing(group.outputs, names))
    source = sorted({str(n.line) for n in group.outputs if n.line})
    lines += [f"  from    {line}" for line in source]
    for d in decisions:
        edge = f"%{names[d.producer]} {d.producer.op.name} -> %{names[d.consumer]}"
        lines.append(f"  {edge} {d.consumer.op.name}: {d.reason.value}")
    return lines


def _listing(nodes: Iterable[Node], names: dict[Node, str]) -> str:
    return ", ".join(f"%{names[n]} {n.op.name} {shown_type(n)}" for n in nodes) or "nothing"


def inputs_read(group: Group) -> tuple[Node, ...]:
    """Return the nodes that a group reads from memory; constant numbers stand in its code."""
    return tuple(node for node in group.inputs if scalar_value(node) is None)


def bytes_moved(group: Group) -> int:
    """Return the bytes a group reads and writes, each element once."""
    return sum(t.nbytes for n in (*inputs_read(group), *group.outputs) for t in n.results)


def operations(group: Group) -> int:
    """Return the scalar operations of a group, each element computed once."""
    return _operations(group.members)


def graph_operations(graph: Graph) -> int:
    """Return the scalar operations of a graph, each node computed once."""
    return _operations(graph.nodes)


def node_operations(node: Node) -> int:
    """Return the scalar operations that computing `node` takes."""
    return _operations([node])


def _operations(nodes: Sequence[Node]) -> int:
    of_bodies: dict[Body, int] = {}
    for body in nested_bodies(nodes):
        of_bodies[body] = sum(_node_operations(node, of_bodies) for node in body.graph.nodes)
    return sum(_node_operations(node, of_bodies) for node in nodes)


def _node_operations(node: Node, of_bodies: Mapping[Body, int]) -> int:
    lowering = node.op.lowering
    bodies = [of_bodies[body] for body in bodies_of(node)]
    if bodies:
        once = max(bodies) if isinstance(lowering, Switch) else sum(bodies)
        return once * int(node.attributes["length"]) if isinstance(lowering, Scan) else once
    if isinstance(lowering, Elementwise | Cumulative):
        return node.type.size
    if isinstance(lowering, Reduction | Selection):
        return node.inputs[0].type.size
    if isinstance(lowering, Scatter):
        return node.inputs[2].type.size
    if isinstance(lowering, Contraction):
        return 2 * node.type.size * _summed_size(node)
    return 0


def _summed_size(node: Node) -> int:
    labels, out = node.attributes["lhs"], node.attributes["out"]
    extents = zip(labels, node.inputs[0].shape, strict=True)
    return math.prod(extent for label, extent in extents if label not in out)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e6:.4g} µs" if seconds < 1e-3 else f"{seconds * 1e3:.4g} ms"


def _bytes(count: int) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.4g} {unit}"
        count /= 1024  # type: ignore[assignment]  # from here on a float
    return f"{count} B"


def _count(count: int) -> str:
    for power, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= power:
            return f"{count / power:.4g}{suffix}"
    return str(count)
