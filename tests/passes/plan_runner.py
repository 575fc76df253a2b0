"""The oracle for backends: a plan carried out by the kernel interpreter over NumPy memory.

The arena starts as garbage and every place is a view of the one block, so a plan that lets two live
values overlap gives wrong results here, as it would in native code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import GraphcIndexError
from graphc.interpreter import values_of
from graphc.kernel import Access, Kernel
from graphc.kernel_interpreter import run
from graphc.plan import HostFunction, Place, Plan, Space, Step
from graphc.tensor_type import TensorType

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


def run_plan(plan: Plan, arguments: Sequence[Array]) -> list[Array]:
    """Return the outputs of `plan`; variables are updated in place, arguments never written.

    Raises GraphcIndexError with the message of a check that failed.
    """
    memory = Memory(plan, arguments)
    for number, step in enumerate(plan.steps):
        if number == plan.commit and memory.status[0]:
            break
        run_step(step, memory.array)
    if memory.status[0]:
        raise GraphcIndexError(plan.checks[memory.status[0] - 1].message)
    for output, argument in plan.donated.items():
        donated = memory.whole[Space.ARGUMENT][argument]
        memory.outputs[output] = donated.reshape(plan.outputs[output].shape)
    return memory.outputs


def run_step(step: Step, memory: Callable[[Place, TensorType], Array]) -> None:
    """Run one step; `memory(place, type)` is the array at a place."""
    arrays = {}
    for buffer, place in zip(step.routine.buffers, step.places, strict=True):
        arrays[buffer.name] = memory(place, buffer.type)
    if isinstance(step.routine, Kernel):
        run(step.routine, arrays)
        return
    assert isinstance(step.routine, HostFunction)
    operands = [arrays[b.name] for b in step.routine.buffers if b.access is Access.IN]
    results = [b.name for b in step.routine.buffers if b.access is Access.OUT]
    for name, value in zip(results, values_of(step.routine.node, operands), strict=True):
        arrays[name][...] = value


class Memory:
    """What a plan runs over: the status, and an array for every place."""

    def __init__(self, plan: Plan, arguments: Sequence[Array]) -> None:
        self.outputs = [np.full(t.shape, 0x5A).astype(t.dtype.numpy) for t in plan.outputs]
        self.status = np.zeros(1, np.int32)
        self.arena = np.full(plan.arena_bytes, 0xA5, np.uint8)
        self.whole: dict[Space, list[Array]] = {
            Space.ARGUMENT: [np.array(a, order="C") for a in arguments],
            Space.OUTPUT: self.outputs,
            Space.VARIABLE: [state.host() for state in plan.variables],
            Space.CONSTANT: list(plan.constants),
            Space.STATUS: [self.status],
        }

    def array(self, place: Place, type_: TensorType) -> Array:
        """Return the memory at `place`, seen as this type."""
        if place.space is Space.ARENA:
            assert place.at % 64 == 0
            piece = self.arena[place.at : place.at + type_.nbytes]
            return piece.view(type_.dtype.numpy).reshape(type_.shape)
        return self.whole[place.space][place.at].reshape(type_.shape)
