"""The passes of graphc, and the one list of the order in which they run.

A pass is a pure function in a file named after what it does. Here each is one line of `PIPELINE`,
with its kind and the reason for its place. `exact` passes change no bit of any result;
`reassociating` ones hold in real arithmetic only and run when the user allows it; `rounding` ones
round to fewer bits where the user asked for that, in graphs that are not optimised too. A
`Compilation` carries what is known so far from pass to pass; nothing else is passed along.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from graphc.body import Body, rewrite_nested
from graphc.graph import Graph
from graphc.group import Grouping
from graphc.kernel import Kernel
from graphc.passes.distribute_scans import distribute_scans
from graphc.passes.expand_compositions import expand_compositions
from graphc.passes.fold_constants import fold_constants
from graphc.passes.fuse import fuse
from graphc.passes.lower import Common, Lowered, lower
from graphc.passes.merge_scans import merge_scans
from graphc.passes.pack_constants import pack_constants
from graphc.passes.plan_memory import plan_memory
from graphc.passes.round_operands import round_operands
from graphc.passes.schedule import schedule
from graphc.passes.schedule_gpu import schedule_gpu
from graphc.passes.simplify import simplify
from graphc.passes.simplify_loops import simplify_loops
from graphc.passes.split_complex import split_complex
from graphc.passes.split_reductions import split_reductions
from graphc.plan import BodyPlan, Plan, Routine
from graphc.schedule_choices import MODEL, ScheduleChoices
from graphc.target import Target
from graphc.tensor_type import TensorType


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose: `optimise` off gives one kernel a node and unchanged graphs.

    `donated` are the numbers of the inputs in whose memory outputs may be put.
    """

    optimise: bool = True
    reassociate: bool = False
    precision: str = "float32"  # in which products of float32 contractions are formed
    donated: frozenset[int] = frozenset()


def _choose_nothing(_: Lowered) -> Mapping[Kernel, ScheduleChoices]:
    return {}


@dataclass(frozen=True, slots=True)
class Signature:
    """The types of the inputs and outputs of a program as its caller sees them."""

    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]


@dataclass(frozen=True, slots=True)
class Compilation:
    """A program on its way: the graph as it stands, and what later passes made of it.

    `signature` is there where the graph's own types are others than those of the caller. `choose`
    names the schedules of lowered kernels that are not left to the cost model. `folded` is a graph
    in which no constant is left to fold.
    """

    graph: Graph
    target: Target
    options: Options = Options()
    choose: Callable[[Lowered], Mapping[Kernel, ScheduleChoices]] = _choose_nothing
    signature: Signature | None = None
    folded: Graph | None = None
    grouping: Grouping | None = None
    lowered: Lowered | None = None
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """One line of the pipeline."""

    name: str
    run: Callable[[Compilation], Compilation]
    kind: Literal["exact", "reassociating", "rounding"]
    reason: str


def _on_graph(function: Callable[[Graph], Graph], state: Compilation) -> Compilation:
    """Apply a pass to the bodies of loops and to the graph itself, where passes are wanted."""
    if not state.options.optimise:
        return state
    return replace(state, graph=rewrite_nested(state.graph, function))


def _fold(state: Compilation) -> Compilation:
    if state.graph is state.folded:
        return state
    folded = _on_graph(fold_constants, state)
    return replace(folded, folded=folded.graph)


_simplify = partial(_on_graph, simplify)
_loops = partial(_on_graph, simplify_loops)
_distribute = partial(_on_graph, distribute_scans)


def _merge(state: Compilation) -> Compilation:
    return replace(state, graph=merge_scans(state.graph)) if state.options.optimise else state


def _reassociate(state: Compilation) -> Compilation:
    if not (state.options.optimise and state.options.reassociate):
        return state
    return _on_graph(partial(simplify, reassociate=True), state)


def _expand(state: Compilation) -> Compilation:
    return replace(state, graph=rewrite_nested(state.graph, expand_compositions))


def _round(state: Compilation) -> Compilation:
    rounded = partial(round_operands, precision=state.options.precision)
    return replace(state, graph=rewrite_nested(state.graph, rounded))


def _split_complex(state: Compilation) -> Compilation:
    graph = split_complex(state.graph)
    if graph is state.graph:
        return state
    inputs, outputs = (
        tuple(node.type for node in nodes) for nodes in (state.graph.inputs, state.graph.outputs)
    )
    return replace(state, graph=graph, signature=Signature(inputs, outputs))


def _pack(state: Compilation) -> Compilation:
    return _on_graph(partial(pack_constants, target=state.target), state)


def _split_reductions(state: Compilation) -> Compilation:
    return _on_graph(lambda graph: split_reductions(graph, state.target), state)


def _fuse(state: Compilation) -> Compilation:
    grouping = fuse(state.graph, state.target, enabled=state.options.optimise)
    return replace(state, grouping=grouping)


def _lower(state: Compilation) -> Compilation:
    assert state.grouping is not None
    common = Common(partial(_plan_body, state))
    return replace(state, lowered=lower(state.grouping, common))


def _plan_body(state: Compilation, body: Body, carries: int, common: Common) -> BodyPlan:
    """Take the body of a loop or a branch through the passes that are left."""
    grouping = fuse(body.graph, state.target, enabled=state.options.optimise)
    inner = _schedule(replace(state, lowered=lower(grouping, common)))
    assert inner.lowered is not None
    plan = plan_memory(inner.lowered, body.graph, state.target, name="body", carries=carries)
    return BodyPlan(replace(plan, checks=()), grouping)


def _schedule(state: Compilation) -> Compilation:
    assert state.lowered is not None
    kernels = state.lowered.kernels
    scheduled: dict[Routine, Kernel]
    if state.target.kind == "gpu":
        scheduled = {kernel: schedule_gpu(kernel, state.target) for kernel in kernels}
    else:
        chosen = state.choose(state.lowered)
        scheduled = {k: schedule(k, state.target, chosen.get(k, MODEL)) for k in kernels}
    calls = tuple(
        replace(call, routine=scheduled.get(call.routine, call.routine))
        for call in state.lowered.calls
    )
    return replace(state, lowered=replace(state.lowered, calls=calls))


def _plan_memory(state: Compilation) -> Compilation:
    assert state.lowered is not None
    donated, name = state.options.donated, state.graph.name
    plan = plan_memory(state.lowered, state.graph, state.target, name=name, donated=donated)
    if state.signature is not None:
        plan = replace(plan, inputs=state.signature.inputs, outputs=state.signature.outputs)
    return replace(state, plan=plan)


# fmt: off
PIPELINE: tuple[Pass, ...] = (
    Pass("merge_scans",    _merge,       "exact", "first: scans are compared as they were made"),
    Pass("expand_compositions", _expand, "exact", "early: no pass but the first knows these"),
    Pass("round_operands", _round,       "rounding", "early, so that constants fold"),
    Pass("split_complex",  _split_complex, "exact", "kernels and rules know floats alone"),
    Pass("fold_constants", _fold,        "exact", "rules match the numbers it makes"),
    Pass("simplify_loops", _loops,       "exact", "what leaves a body is simplified outside"),
    Pass("distribute_scans", _distribute, "exact", "loops hold what they need, and no more"),
    Pass("simplify",       _simplify,    "exact", "on the smallest graph, before fusion hides it"),
    Pass("reassociate",    _reassociate, "reassociating", "where allowed, on canonical forms"),
    Pass("fold_again",     _fold,        "exact", "simplification brings constants together"),
    Pass("split_reductions", _split_reductions, "exact", "what is reduced is known, no group is"),
    Pass("pack_constants", _pack,        "exact", "nothing folds the packed constants any more"),
    Pass("fuse",           _fuse,        "exact", "the graph is final: decide the kernels"),
    Pass("lower",          _lower,       "exact", "each group becomes the plainest loop nest"),
    Pass("schedule",       _schedule,    "exact", "loops are fitted to the target"),
    Pass("plan_memory",    _plan_memory, "exact", "lifetimes follow from the order of kernels"),
)
# fmt: on


def run_graph_passes(state: Compilation) -> Compilation:
    """Return `state` taken through the passes from graph to graph, which stand first."""
    for step in itertools.takewhile(lambda step: step.name != "fuse", PIPELINE):
        state = step.run(state)
    return state


def run_pipeline(
    state: Compilation, after_each: Callable[[Pass, Compilation], None] = lambda _p, _s: None
) -> Compilation:
    """Return `state` taken through every pass; `after_each` sees each pass's effect."""
    for step in PIPELINE:
        state = step.run(state)
        after_each(step, state)
    return state
