"""Lowering what is no loop nest: host functions, loops and branches.

The operands of such a routine are whole dense arrays, and so are its results, of which each has its
memory, whether anybody reads it or not. The bodies of loops and branches are planned by the same
passes as the graph around them; equal bodies are planned once. A loop always looks at the status,
so that it can be ended, and is then among the steps that run before a variable is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from graphc import ops
from graphc.body import Body
from graphc.dtypes import uint8
from graphc.group import Group
from graphc.kernel import Access, Buffer
from graphc.node import ArrayData, Node
from graphc.op import Host, Scan, Switch, While
from graphc.passes.loop_barriers import set_loop_barriers
from graphc.plan import (
    STATUS,
    STATUS_BUFFER,
    BodyPlan,
    Call,
    HostFunction,
    Operand,
    PlanBranch,
    PlanLoop,
    Temporary,
)
from graphc.plan_loops import loop_memory, needs_status
from graphc.tensor_type import TensorType

# Plans a body; as many of its outputs as the number says are the next values of its first inputs.
PlanBody: TypeAlias = "Callable[[Body, int], BodyPlan]"


def lower_whole(group: Group, node: Node, plan_body: PlanBody) -> Call:
    """Return the call that computes `node`, and with it the outputs of its group."""
    results = tuple(_results(group, node))
    return _ROWS[type(node.op.lowering)](group.name, node, results, plan_body)


def _results(group: Group, node: Node) -> Iterator[Operand]:
    """Yield what takes each result: the node itself, an `item` of it, or memory for nobody."""
    items = {n.attributes["index"]: n for n in group.outputs if n is not node}
    for number, type_ in enumerate(node.results):
        yield items.get(number, Temporary(type_)) if node.is_tuple else node


def _buffers(
    node: Node, kept: Sequence[Node], memory_bytes: int | None, has_status: bool
) -> tuple[Buffer, ...]:
    return (
        *(Buffer(f"x{n}", operand.type, Access.IN) for n, operand in enumerate(node.inputs)),
        *(Buffer(f"c{n}", constant.type, Access.IN) for n, constant in enumerate(kept)),
        *(Buffer(f"y{n}", type_, Access.OUT) for n, type_ in enumerate(node.results)),
        *([] if memory_bytes is None else [Buffer("memory", _bytes(memory_bytes), Access.OUT)]),
        *([STATUS_BUFFER] if has_status else []),
    )


def _bytes(count: int) -> TensorType:
    return TensorType((count,), uint8)


def _kept(bodies: Sequence[BodyPlan]) -> list[Node]:
    """Return the constants of plans as nodes, in their order."""
    arrays = (array for body in bodies for array in body.plan.constants)
    return [ops.constant(value=ArrayData(array, handed_over=True)) for array in arrays]


def _host(name: str, node: Node, results: tuple[Operand, ...], _: PlanBody) -> Call:
    buffers = _buffers(node, (), None, has_status=True)
    return Call(HostFunction(name, node, buffers), (*node.inputs, *results, STATUS))


def _scan(name: str, node: Node, results: tuple[Operand, ...], plan_body: PlanBody) -> Call:
    carries, constants = node.attributes["carries"], node.attributes["constants"]
    body = plan_body(node.attributes["body"], carries)
    (body,) = set_loop_barriers((body,), carries, carries + constants)
    loop = PlanLoop(
        name, (), body, None, node.attributes["length"], carries, constants,
        is_reversed=node.attributes["reverse"],
    )  # fmt: skip
    return _call_of_loop(node, loop, results)


def _while(name: str, node: Node, results: tuple[Operand, ...], plan_body: PlanBody) -> Call:
    carries = node.attributes["carries"]
    condition = plan_body(node.attributes["condition"], 0)
    body = plan_body(node.attributes["body"], carries)
    count = len(node.inputs)
    condition, body = set_loop_barriers((condition, body), carries, count)
    loop = PlanLoop(name, (), body, condition, None, carries, count - carries)
    return _call_of_loop(node, loop, results)


def _call_of_loop(node: Node, loop: PlanLoop, results: tuple[Operand, ...]) -> Call:
    kept = _kept(loop.bodies)
    plans = [body.plan for body in loop.bodies]
    memory = loop_memory(plans, loop.body.plan, loop.carries).nbytes
    loop = replace(loop, buffers=_buffers(node, kept, memory, has_status=True))
    return Call(loop, (*node.inputs, *kept, *results, Temporary(_bytes(memory)), STATUS))


def _switch(name: str, node: Node, results: tuple[Operand, ...], plan_body: PlanBody) -> Call:
    bodies = tuple(plan_body(branch, 0) for branch in node.attributes["branches"])
    kept, has_status = _kept(bodies), needs_status(bodies)
    memory = max(body.plan.arena_bytes for body in bodies)
    buffers = _buffers(node, kept, memory, has_status=has_status)
    operands = (*node.inputs, *kept, *results, Temporary(_bytes(memory)))
    return Call(PlanBranch(name, buffers, bodies), operands + (STATUS,) * has_status)


_Row: TypeAlias = "Callable[[str, Node, tuple[Operand, ...], PlanBody], Call]"
_ROWS: dict[type, _Row] = {Host: _host, Scan: _scan, While: _while, Switch: _switch}
