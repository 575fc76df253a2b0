"""The steps of a plan on a device: kernels to launch, host functions, loops and branches.

Everything is enqueued in order, and runs in order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from graphc.backends.opencl.device import Device
from graphc.backends.opencl.emit import Part
from graphc.backends.opencl.loops import BranchRun, LoopRun
from graphc.backends.opencl.table import Run, Table
from graphc.interpreter import values_of
from graphc.kernel import Access, Kernel
from graphc.plan import STATUS, HostFunction, Place, Plan, PlanBranch, PlanLoop, Step
from graphc.state import aligned_empty

if TYPE_CHECKING:
    import pyopencl

Parts: TypeAlias = "dict[Kernel, tuple[Part, ...]]"


@dataclass(frozen=True)
class _Argument:
    """A buffer of a kernel: its first position, its place, and the bytes of an element."""

    position: int
    place: Place
    itemsize: int


@dataclass(frozen=True)
class _Launch:
    """A kernel with its number of work-items and of those in a group."""

    kernel: pyopencl.Kernel
    arguments: tuple[_Argument, ...]
    items: tuple[int, ...]
    group: tuple[int, ...]

    def bind(self, table: Table, moved: Collection[Place] | None = None) -> None:
        for argument in self.arguments:
            if moved is None or argument.place in moved:
                memory, skip = table.at(argument.place)
                self.kernel.set_arg(argument.position, memory)
                self.kernel.set_arg(argument.position + 1, np.uint64(skip // argument.itemsize))

    def run(self, device: Device, table: Table) -> None:
        import pyopencl as cl

        cl.enqueue_nd_range_kernel(device.queue, self.kernel, self.items, self.group)


@dataclass(frozen=True)
class _HostCall:
    """A host function, which runs on copies of its operands."""

    routine: HostFunction
    places: tuple[Place, ...]

    def bind(self, table: Table, moved: Collection[Place] | None = None) -> None:
        """Do nothing: its places are looked up when it runs."""

    def run(self, device: Device, table: Table) -> None:
        operands, results = [], []
        for buffer, place in zip(self.routine.buffers, self.places, strict=True):
            array = aligned_empty(buffer.type)
            if buffer.access is Access.IN:
                device.download(array, *table.at(place))
                operands.append(array)
            elif buffer.name != STATUS:
                results.append(table.at(place))
        values = values_of(self.routine.node, operands)
        for (memory, skip), value in zip(results, values, strict=True):
            device.upload(memory, np.ascontiguousarray(value), skip)


class Steps:
    """The steps of a plan, in order; `commit` is the number of the first run that must wait."""

    def __init__(self, plan: Plan, program: pyopencl.Program, parts: Parts) -> None:
        self.runs: list[Run] = []
        self.commit = 0
        for number, step in enumerate(plan.steps):
            if number == plan.commit:
                self.commit = len(self.runs)
            self.runs += _runs_of(step, program, parts)

    def bind(self, table: Table, moved: Collection[Place] | None = None) -> None:
        """Take the places from `table`: all of them, or those that `moved`."""
        for run in self.runs:
            run.bind(table, moved)

    def run(self, device: Device, table: Table) -> None:
        """Enqueue all steps. Raises what host functions raise."""
        for run in self.runs:
            run.run(device, table)


def _runs_of(step: Step, program: pyopencl.Program, parts: Parts) -> Sequence[Run]:
    routine = step.routine
    if isinstance(routine, Kernel):
        return [_launch(program, step, part) for part in parts[routine]]
    if isinstance(routine, HostFunction):
        return [_HostCall(routine, step.places)]
    bodies = [Steps(body.plan, program, parts) for body in routine.bodies]
    if isinstance(routine, PlanLoop):
        return [LoopRun(routine, step.places, bodies)]
    assert isinstance(routine, PlanBranch)
    return [BranchRun(routine, step.places, bodies)]


def _launch(program: pyopencl.Program, step: Step, part: Part) -> _Launch:
    import pyopencl as cl

    buffers = step.routine.buffers
    arguments = tuple(
        _Argument(2 * position, step.places[number], buffers[number].type.dtype.itemsize)
        for position, number in enumerate(part.buffers)
    )
    kernel = cl.Kernel(program, part.function)
    return _Launch(kernel, arguments, (part.groups * part.items,), (part.items,))
