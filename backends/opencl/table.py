"""Where the buffers of a plan lie on a device, and what can be run there.

The table of a program holds for as long as the program; a body has one for the time of its loop, in
which an iteration changes what moves: the slices, and carries that go back and forth. What runs
takes its places when a table is bound, and those that moved again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from graphc.backends.opencl.device import Device
from graphc.plan import Place, Space

if TYPE_CHECKING:
    import pyopencl

Location: TypeAlias = "tuple[pyopencl.Buffer, int]"  # memory, and the bytes to skip in it


@dataclass
class Table:
    """Where the buffers of a plan lie."""

    arguments: list[Location]
    outputs: list[Location]
    constants: Sequence[Location]
    arena: Location
    status: Location
    variables: Sequence[Location] = ()

    def at(self, place: Place) -> Location:
        """Return where a place is."""
        if place.space is Space.ARENA:
            memory, skip = self.arena
            return memory, skip + place.at
        if place.space is Space.STATUS:
            return self.status
        return self._lists[place.space][place.at]

    @property
    def _lists(self) -> dict[Space, Sequence[Location]]:
        return {
            Space.ARGUMENT: self.arguments,
            Space.OUTPUT: self.outputs,
            Space.CONSTANT: self.constants,
            Space.VARIABLE: self.variables,
        }


class Run(Protocol):
    """A step, or a part of one, that can be run on a device."""

    def bind(self, table: Table, moved: Collection[Place] | None = None) -> None:
        """Take the places from `table`: all of them, or those that `moved`."""

    def run(self, device: Device, table: Table) -> None:
        """Enqueue it. Raises what host functions raise."""
