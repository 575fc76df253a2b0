"""Plans: what a backend receives. Kernels, the order to run them in, and where every buffer lies.

    plan   ::= launch*                      launch ::= kernel place* barrier?
    place  ::= ('argument' | 'output' | 'variable' | 'constant') number | 'arena' offset | 'status'

`argument i` is the caller's i-th input, `output i` the i-th result, `variable i` and `constant i`
index the plan's own lists. `arena` places are byte offsets, multiples of 64, into one block of
`arena_bytes` that a call owns while it runs. `status` is one int32, zero at the start of a call: a
kernel that finds an input out of bounds stores 1 + the number of the failed check there (see
`checks`), and the caller raises it. Launches from `commit` on run only if the status is still zero,
and no launch before `commit` writes a variable, so a call that raises leaves every variable as it
was. Launches run in order; `barrier` says that a launch must wait for all launches before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from graphc.kernel import Kernel
from graphc.node import Node
from graphc.source import SourceLine
from graphc.state import VariableState
from graphc.target import Target
from graphc.tensor_type import TensorType


class Space(StrEnum):
    """The kinds of memory that a buffer of a kernel may lie in."""

    ARGUMENT = "argument"
    OUTPUT = "output"
    VARIABLE = "variable"
    CONSTANT = "constant"
    ARENA = "arena"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a buffer lies: `at` is a number, or for the arena an offset in bytes."""

    space: Space
    at: int = 0

    def __str__(self) -> str:
        return f"{self.space}+{self.at}" if self.space is Space.ARENA else f"{self.space} {self.at}"


STATUS = "status"


@dataclass(frozen=True, slots=True)
class Call:
    """A lowered group: `operands[i]` is the node whose memory is `kernel.buffers[i]`, or STATUS."""

    kernel: Kernel
    operands: tuple[Node | str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """A condition on values that kernels test while they run: the message and the user's line."""

    message: str
    line: SourceLine | None


@dataclass(frozen=True, slots=True)
class Launch:
    """One run of a kernel over the memory at `places`, in the order of its buffers.

    `group` is the number of the group that the kernel computes; None for a copy besides.
    """

    kernel: Kernel
    places: tuple[Place, ...]
    barrier: bool = True
    group: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a backend needs to make a program."""

    name: str
    launches: tuple[Launch, ...]
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    variables: tuple[VariableState, ...]
    written: frozenset[int]  # numbers of the variables that the program assigns
    constants: tuple[np.ndarray[Any, Any], ...]
    arena_bytes: int
    checks: tuple[Check, ...]
    target: Target
    commit: int = 0  # 0 where there is nothing to wait for
    # outputs that lie in the memory of a donated argument: its number by theirs
    donated: Mapping[int, int] = field(default_factory=dict)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The distinct kernels, in order of first use."""
        return tuple(dict.fromkeys(launch.kernel for launch in self.launches))

    def __str__(self) -> str:
        """Return the launches, a line each: kernel, places, and whether it waits."""
        lines = [f"plan {self.name}: arena {self.arena_bytes} bytes"]
        lines += [f"  constant {i}: {c.dtype}{list(c.shape)}" for i, c in enumerate(self.constants)]
        lines += [f"  variable {i}: {v.name} {v.type}" for i, v in enumerate(self.variables)]
        lines += [f"  output {o} lies in argument {i}" for o, i in self.donated.items()]
        for launch in self.launches:
            places = zip(launch.kernel.buffers, launch.places, strict=True)
            listing = ", ".join(f"{b.name}={p}" for b, p in places)
            wait = "barrier, " if launch.barrier else ""
            lines.append(f"  {wait}run {launch.kernel.name}({listing})")
        return "\n".join(lines)
