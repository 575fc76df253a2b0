"""What a call must know of a program: the table of addresses, workspaces, threads.

It follows from the plan, and is kept on disk with the program's code; nothing here writes code.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.plan import Plan

BARRIER = "graphc.team.barrier"
DISPATCH = "graphc.team.run"
POLL = "graphc.team.poll"
HOST = "graphc.team.host"
CONTROL_BYTES = 64  # of one call; see `polling`


@dataclass(frozen=True, slots=True)
class Slots:
    """Where each kind of memory begins in the table of addresses."""

    output: int
    variable: int
    constant: int
    arena: int
    status: int
    workspace: int
    hosts: int

    @property
    def count(self) -> int:
        """The entries of the table."""
        return self.hosts + 1


def slots_of(plan: Plan) -> Slots:
    """Return the layout of the table for `plan`; arguments come first."""
    output = len(plan.inputs)
    variable = output + len(plan.outputs)
    constant = variable + len(plan.variables)
    arena = constant + len(plan.constants)
    return Slots(output, variable, constant, arena, arena + 1, arena + 2, arena + 3)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a call needs to know of a program.

    workspace_bytes  of each thread
    threads          how many of them its work is worth, at most
    is_long          whether it lasts long enough to let other threads of Python run meanwhile
    is_polled        whether signals may stop it; see `polling`
    calls_host       whether it calls functions of Python, which may raise
    """

    slots: Slots
    workspace_bytes: int
    threads: int
    is_long: bool
    is_polled: bool
    calls_host: bool = False
