"""Plans: what a backend receives. Steps, the order to run them in, and where every buffer lies.

    plan    ::= step*                       step ::= routine place* barrier?
    routine ::= kernel | host function | loop | branch
    place   ::= ('argument' | 'output' | 'variable' | 'constant') number | 'arena' offset | 'status'

A routine has a name and buffers, of which it reads some and writes others; a step runs it over the
memory at `places`, in the order of its buffers. A *kernel* is a loop nest. A *host function* is an
op's reference, called in Python by one thread. A *loop* runs the plan of its body again and again,
a *branch* one of several plans; `graphc.plan_loops` says over which memory.

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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np

from graphc import dtypes
from graphc.group import Grouping
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


@dataclass(frozen=True, eq=False, slots=True)
class BodyPlan:
    """The plan of a body and the groups that it computes.

    It has neither variables nor checks: these are counted with those of the whole program. What it
    keeps as constants are buffers of the routine that holds it. Arguments and outputs are aligned
    to their elements.
    """

    plan: Plan
    grouping: Grouping


@dataclass(frozen=True, eq=False, slots=True)
class PlanLoop:
    """Runs `body` `length` times, or as long as `condition` gives true; see `graphc.plan_loops`."""

    name: str
    buffers: tuple[Buffer, ...]
    body: BodyPlan
    condition: BodyPlan | None
    length: int | None
    carries: int
    constants: int
    is_reversed: bool = False

    @property
    def bodies(self) -> tuple[BodyPlan, ...]:
        """The plans of an iteration, in their order."""
        return (self.body,) if self.condition is None else (self.condition, self.body)


@dataclass(frozen=True, eq=False, slots=True)
class PlanBranch:
    """Runs the body that the first buffer numbers; see `graphc.plan_loops`."""

    name: str
    buffers: tuple[Buffer, ...]
    bodies: tuple[BodyPlan, ...]


Routine: TypeAlias = "Kernel | HostFunction | PlanLoop | PlanBranch"


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
    def all_steps(self) -> tuple[tuple[int, Step], ...]:
        """The steps and, behind each loop and branch, those of its bodies, with their depth."""
        return nested_steps(self.steps)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The distinct kernels, those of bodies too, in order of first use."""
        return kernels_of(self.steps)

    @property
    def host_functions(self) -> tuple[HostFunction, ...]:
        """The distinct host functions, those of bodies too, in order of first use."""
        routines = (step.routine for _, step in self.all_steps)
        return tuple(dict.fromkeys(r for r in routines if isinstance(r, HostFunction)))

    def __str__(self) -> str:
        """Return the steps, a line each: routine, places, and whether it waits."""
        lines = [f"plan {self.name}: arena {self.arena_bytes} bytes"]
        lines += [f"  constant {i}: {c.dtype}{list(c.shape)}" for i, c in enumerate(self.constants)]
        lines += [f"  variable {i}: {v.name} {v.type}" for i, v in enumerate(self.variables)]
        lines += [f"  output {o} lies in argument {i}" for o, i in self.donated.items()]
        lines += ["  " * (depth + 1) + _line(step) for depth, step in self.all_steps]
        return "\n".join(lines)


def nested_steps(steps: Sequence[Step]) -> tuple[tuple[int, Step], ...]:
    """Return steps and, behind each loop and branch, those of its bodies, with their depth."""
    found: list[tuple[int, Step]] = []
    pending = [(0, step) for step in reversed(steps)]
    while pending:
        depth, step = pending.pop()
        found.append((depth, step))
        if isinstance(step.routine, PlanLoop | PlanBranch):
            for body in reversed(step.routine.bodies):
                pending += [(depth + 1, inner) for inner in reversed(body.plan.steps)]
    return tuple(found)


def kernels_of(steps: Sequence[Step]) -> tuple[Kernel, ...]:
    """Return the distinct kernels of steps and of their bodies, in order of first use."""
    routines = (step.routine for _, step in nested_steps(steps))
    return tuple(dict.fromkeys(r for r in routines if isinstance(r, Kernel)))


def _line(step: Step) -> str:
    places = zip(step.routine.buffers, step.places, strict=True)
    listing = ", ".join(f"{b.name}={p}" for b, p in places)
    wait = "barrier, " if step.barrier else ""
    return f"{wait}{_VERBS[type(step.routine)]} {step.routine.name}({listing})"


_VERBS = {Kernel: "run", HostFunction: "call", PlanLoop: "repeat", PlanBranch: "choose"}
