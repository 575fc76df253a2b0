"""Loops and branches on a device: the host counts, decides, and launches what the bodies hold.

What lies where is said in `graphc.plan_loops`. A condition, and the number of a branch, is read
back from the device; nothing else is, so that the iterations of a loop of known length are all
enqueued before the first has ended. A loop of unknown length ends also where a check failed, since
its condition may then hold for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from graphc.backends.opencl.device import Device
from graphc.backends.opencl.table import Location, Run, Table
from graphc.plan import Place, PlanBranch, PlanLoop, Space
from graphc.plan_loops import loop_memory, parts_of_branch, parts_of_loop


@dataclass(frozen=True)
class LoopRun:
    """A loop, the places of its buffers, and what its bodies run."""

    loop: PlanLoop
    places: tuple[Place, ...]
    bodies: Sequence[Run]

    def bind(self, table: Table, moved: Collection[Place] | None = None) -> None:
        """Do nothing: its places are looked up when it runs."""

    def run(self, device: Device, table: Table) -> None:
        """Run all iterations. Raises what host functions raise."""
        buffers = [table.at(place) for place in self.places]
        _Iterations(self.loop, buffers, self.bodies, device).run()


@dataclass(frozen=True)
class BranchRun:
    """A branch, the places of its buffers, and what its bodies run."""

    branch: PlanBranch
    places: tuple[Place, ...]
    bodies: Sequence[Run]

    def bind(self, table: Table, moved: Collection[Place] | None = None) -> None:
        """Do nothing: its places are looked up when it runs."""

    def run(self, device: Device, table: Table) -> None:
        """Run the body that is numbered. Raises what host functions raise."""
        buffers = [table.at(place) for place in self.places]
        parts = parts_of_branch(self.branch)
        number = np.zeros((), self.branch.buffers[0].type.dtype.numpy)
        device.download(number, *buffers[0])
        chosen = min(max(int(number), 0), len(self.bodies) - 1)
        inner = Table(
            arguments=[buffers[n] for n in parts.operands],
            outputs=[buffers[n] for n in parts.results],
            constants=[buffers[n] for n in parts.kept[chosen]],
            arena=buffers[parts.memory],
            status=table.status,
        )
        self.bodies[chosen].bind(inner)
        self.bodies[chosen].run(device, inner)


class _Iterations:
    """The iterations of one run of a loop."""

    def __init__(
        self, loop: PlanLoop, buffers: Sequence[Location], bodies: Sequence[Run], device: Device
    ) -> None:
        self.loop, self.buffers, self.bodies, self.device = loop, buffers, bodies, device
        self.plan, self.parts = loop.body.plan, parts_of_loop(loop)
        self.first = [buffers[n] for n in self.parts.carries]
        self.last = [buffers[n] for n in self.parts.last]
        memory = loop_memory([b.plan for b in loop.bodies], self.plan, loop.carries)
        self.flag = self._inside(memory.flags)
        pairs = self.plan.donated.items()
        self.still = [output for output, _ in pairs if output < loop.carries]
        # carries that lie in the slices of outputs, with the buffers of these
        outputs = self.parts.outputs
        self.kept = {c: outputs[o - loop.carries] for o, c in pairs if o >= loop.carries}
        self.seconds = {c: self._inside(offset) for c, offset in memory.seconds.items()}
        self.tables = [self._table(number) for number in range(len(bodies))]

    def run(self) -> None:
        """Run them all."""
        if self.loop.length == 0:
            self._copy(range(self.loop.carries), self.first, self.last)
            return
        self._start()
        for steps, table in zip(self.bodies, self.tables, strict=True):
            steps.bind(table)
        iteration = 0
        while iteration != self.loop.length and self._goes_on():
            self._move(iteration)
            self.bodies[-1].bind(self.tables[-1], self._moving)
            self.bodies[-1].run(self.device, self.tables[-1])
            self._turn()
            iteration += 1
        if self.loop.length is None:
            self._copy(self.seconds, self.at, self.last)

    def _inside(self, offset: int) -> Location:
        memory, skip = self.buffers[self.parts.memory]
        return memory, skip + offset

    def _table(self, number: int) -> Table:
        """Return the table of a body, in which slices and flags take their places later."""
        parts, is_condition = self.parts, number < len(self.bodies) - 1
        arguments = [*self.first, *(self.buffers[n] for n in parts.constants)]
        if is_condition:
            outputs = [self.flag]
        else:
            arguments += [self.buffers[n] for n in parts.stacked]
            outputs = [*self.last, *(self.buffers[n] for n in parts.outputs)]
        constants = [self.buffers[n] for n in parts.kept[number]]
        return Table(arguments, outputs, constants, self._inside(0), self.buffers[parts.status])

    def _start(self) -> None:
        """Put every carry where the first iteration reads it, and say where it goes."""
        self.at = list(self.first)
        self.to = list(self.last)
        self.other = list(self.last)
        for carry in self.still:
            self.at[carry] = self.last[carry]
        for carry, buffer in self.kept.items():
            self.at[carry] = self._slice(buffer, 0)
        self._copy([*self.still, *self.kept], self.first, self.at)
        is_odd = self.loop.length is None or self.loop.length % 2 == 1
        for carry, second in self.seconds.items():  # the last iteration writes to the last value
            places = (self.last[carry], second) if is_odd else (second, self.last[carry])
            self.to[carry], self.other[carry] = places
        for table in self.tables:
            table.arguments[: self.loop.carries] = self.at

    def _move(self, iteration: int) -> None:
        """Bring the table of the body to an iteration."""
        parts, table, carries = self.parts, self.tables[-1], self.loop.carries
        for carry, buffer in self.kept.items():
            following = iteration + 1
            is_last = following == self.loop.length
            self.at[carry] = self._slice(buffer, iteration)
            self.to[carry] = self.last[carry] if is_last else self._slice(buffer, following)
        stacked = [self._slice(buffer, iteration) for buffer in parts.stacked]
        outputs = [self._slice(buffer, iteration) for buffer in parts.outputs]
        table.arguments[:carries] = self.at
        table.arguments[carries + self.loop.constants :] = stacked
        table.outputs[:] = [*self.to, *outputs]

    def _turn(self) -> None:
        """Let the carries that go back and forth go back."""
        for carry in self.seconds:
            self.at[carry], self.to[carry] = self.to[carry], self.other[carry]
            self.other[carry] = self.at[carry]

    def _goes_on(self) -> bool:
        if self.loop.condition is None:
            return True
        steps, table = self.bodies[0], self.tables[0]
        table.arguments[: self.loop.carries] = self.at
        steps.bind(table, [Place(Space.ARGUMENT, carry) for carry in self.seconds])
        steps.run(self.device, table)
        flag, status = np.zeros(1, np.bool_), np.zeros(1, np.int32)
        self.device.download(flag, *self.flag)
        self.device.download(status, *table.status)
        return bool(flag[0]) and not status[0]

    @property
    def _moving(self) -> set[Place]:
        """The places of the body that an iteration changes."""
        carries, first = self.loop.carries, self.loop.carries + self.loop.constants
        arguments = [*self.seconds, *self.kept, *range(first, len(self.plan.inputs))]
        outputs = [*self.seconds, *self.kept, *range(carries, len(self.plan.outputs))]
        return {
            *(Place(Space.ARGUMENT, number) for number in arguments),
            *(Place(Space.OUTPUT, number) for number in outputs),
        }

    def _slice(self, buffer: int, iteration: int) -> Location:
        length = self.loop.length or 1
        number = length - 1 - iteration if self.loop.is_reversed else iteration
        memory, skip = self.buffers[buffer]
        return memory, skip + number * (self.loop.buffers[buffer].type.nbytes // length)

    def _copy(
        self, carries: Collection[int], sources: Sequence[Location], targets: Sequence[Location]
    ) -> None:
        for carry in carries:
            size = self.plan.outputs[carry].nbytes
            self.device.copy(targets[carry], sources[carry], size)
