"""Plans: what a backend receives. Steps, the order to run them in, and where every buffer lies.

    plan    ::= step*                       step ::= routine place* barrier?
    routine ::= kernel | host function
    place   ::= ('argument' | 'output' | 'variable' | 'constant') number | 'arena' offset | 'status'

A routine has a name and buffers, of which it reads some and writes others; a step runs it over the
memory at `places`, in the order of its buffers. A *kernel* is a loop nest. A *host function* is an
op's reference, called in Python by one thread.

`argument i` is the caller's i-th input, `output i` the i-th result, `variable i` and `constant i`
index the plan's own lists. `arena` places are byte offsets, multiples of 64, into one block of
`arena_bytes` that a call owns while it runs. `status` is one int32, zero at the start of a call: a
kernel that finds an input out of bounds stores 1 + the number of the failed check there (see
`checks`), and the caller raises it; what a host function raises ends the call in the same way.
Steps from `commit` on run only if nothing failed before, and no step before `commit` writes a
variable, so a call that raises leaves every variable as it was. Steps run in order; `barrier` says
that a step must wait for all steps before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np

from graphc import dtypes
from graphc.kernel import Access, Buffer, Kernel
from graphc.node import Node
from graphc.source import SourceLine
from graphc.state import VariableState
from graphc.target import Target
from graphc.tensor_type import TensorType


class Space(StrEnum):
    """The kinds of memory that a buffer of a routine may lie in."""

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
STATUS_BUFFER = Buffer(STATUS, TensorType((1,), dtypes.int32), Access.INOUT)


@dataclass(frozen=True, eq=False, slots=True)
class HostFunction:
    """The reference of the op of `node`, over arrays in `buffers`: operands, results, the status.

    It raises what the reference raises; then its results are zeros.
    """

    name: str
    node: Node
    buffers: tuple[Buffer, ...]


Routine: TypeAlias = "Kernel | HostFunction"


@dataclass(frozen=True, eq=False, slots=True)
class Temporary:
    """Memory of one call that no node has: a result that nobody reads."""

    type: TensorType


Operand: TypeAlias = "Node | Temporary | str"


@dataclass(frozen=True, slots=True)
class Call:
    """A lowered group: `operands[i]` is what lies in `routine.buffers[i]`, or STATUS."""

    routine: Routine
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """A condition on values that kernels test while they run: the message and the user's line."""

    message: str
    line: SourceLine | None


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a routine over the memory at `places`, in the order of its buffers.

    `group` is the number of the group that the routine computes; None for a copy besides.
    """

    routine: Routine
    places: tuple[Place, ...]
    barrier: bool = True
    group: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a backend needs to make a program."""

    name: str
    steps: tuple[Step, ...]
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
        routines = (step.routine for step in self.steps)
        return tuple(dict.fromkeys(r for r in routines if isinstance(r, Kernel)))

    @property
    def host_functions(self) -> tuple[HostFunction, ...]:
        """The host functions, in the order of their steps."""
        routines = (step.routine for step in self.steps)
        return tuple(r for r in routines if isinstance(r, HostFunction))

    def __str__(self) -> str:
        """Return the steps, a line each: routine, places, and whether it waits."""
        lines = [f"plan {self.name}: arena {self.arena_bytes} bytes"]
        lines += [f"  constant {i}: {c.dtype}{list(c.shape)}" for i, c in enumerate(self.constants)]
        lines += [f"  variable {i}: {v.name} {v.type}" for i, v in enumerate(self.variables)]
        lines += [f"  output {o} lies in argument {i}" for o, i in self.donated.items()]
        for step in self.steps:
            places = zip(step.routine.buffers, step.places, strict=True)
            listing = ", ".join(f"{b.name}={p}" for b, p in places)
            wait = "barrier, " if step.barrier else ""
            word = "run" if isinstance(step.routine, Kernel) else "call"
            lines.append(f"  {wait}{word} {step.routine.name}({listing})")
        return "\n".join(lines)
