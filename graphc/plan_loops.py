"""Loops and branches in plans: which buffer stands for what, and where the bodies' places are.

The buffers of a loop (`PlanLoop`), in their order:

    carries       the first values, in
    constants     the same in every iteration, in
    stacked       one slice an iteration, in
    kept          constants of the condition and then of the body, in
    last          the carries' last values, out
    outputs       one slice an iteration, out
    memory        for the bodies' arenas and what an iteration hands to the next, out
    status        inout

Argument i of the body is carry, constant or slice i; output i the next value of carry i, or a slice
of an output. The condition takes the carries and constants and gives one bool. A carry whose output
lies in its argument (`Plan.donated`) stays in the memory of its last value, where its first one is
copied; any other goes back and forth between that and a second block of memory.

The buffers of a branch (`PlanBranch`): the number, the operands, the kept constants of each body,
the results, memory, and the status if a body needs it. The number is moved into range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.kernel import Buffer
from graphc.plan import STATUS, BodyPlan, Plan, PlanBranch, PlanLoop, Routine
from graphc.state import ALIGNMENT

FLAG_BYTES = 2 * ALIGNMENT  # whether to go on, for iterations with even and with odd numbers


@dataclass(frozen=True, slots=True)
class LoopMemory:
    """The block `memory` of a loop: arenas first, then second blocks of carries, then the flags."""

    seconds: Mapping[int, int]  # offsets, by the numbers of the carries that have one
    flags: int
    nbytes: int


def loop_memory(bodies: Sequence[Plan], body: Plan, carries: int) -> LoopMemory:
    """Return the layout of the memory of a loop with these plans, of which `body` has outputs."""
    end = max(plan.arena_bytes for plan in bodies)
    seconds = {}
    for carry, type_ in enumerate(body.outputs[:carries]):
        if carry not in body.donated:
            seconds[carry] = end
            end += -(-type_.nbytes // ALIGNMENT) * ALIGNMENT
    return LoopMemory(seconds, end, end + FLAG_BYTES)


@dataclass(frozen=True, slots=True)
class LoopParts:
    """The numbers of the buffers of a loop, by what they are; `kept` for each of its bodies."""

    carries: range
    constants: range
    stacked: range
    kept: tuple[range, ...]
    last: range
    outputs: range
    memory: int
    status: int


def parts_of_loop(loop: PlanLoop) -> LoopParts:
    """Return which buffers of `loop` stand for what."""
    body = loop.body.plan
    stacked = len(body.inputs) - loop.carries - loop.constants
    kept = [len(b.plan.constants) for b in loop.bodies]
    outputs = len(body.outputs) - loop.carries
    given = _ranges([loop.carries, loop.constants, stacked, *kept, loop.carries, outputs])
    carries, constants, slices, *inner, last, made = given
    return LoopParts(
        carries, constants, slices, tuple(inner), last, made, memory=made.stop, status=made.stop + 1
    )


@dataclass(frozen=True, slots=True)
class BranchParts:
    """The numbers of the buffers of a branch, by what they are; the number is the first."""

    operands: range
    kept: tuple[range, ...]
    results: range
    memory: int
    status: int | None


def parts_of_branch(branch: PlanBranch) -> BranchParts:
    """Return which buffers of `branch` stand for what."""
    first = branch.bodies[0].plan
    kept = [len(body.plan.constants) for body in branch.bodies]
    ranges = _ranges([1, len(first.inputs), *kept, len(first.outputs)])
    end = ranges[-1].stop
    status = end + 1 if needs_status(branch.bodies) else None
    return BranchParts(ranges[1], tuple(ranges[2:-1]), ranges[-1], end, status)


def needs_status(bodies: Sequence[BodyPlan]) -> bool:
    """Return whether a body tests values, calls the host, or repeats."""
    steps = (step for body in bodies for step in body.plan.steps)
    return any(has_status(step.routine) for step in steps)


def has_status(routine: Routine) -> bool:
    """Return whether the status is among the buffers of a routine."""
    buffers: tuple[Buffer, ...] = routine.buffers
    return any(buffer.name == STATUS for buffer in buffers)


def _ranges(counts: Sequence[int]) -> list[range]:
    ranges, start = [], 0
    for count in counts:
        ranges.append(range(start, start + count))
        start += count
    return ranges
