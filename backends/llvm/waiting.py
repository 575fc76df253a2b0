"""Where threads wait for one another, as steps are written one after the other.

A barrier that the plan asks for is needed only if some thread could be ahead of another: what
thread 0 does alone needs none among itself. It is owed then, until a step that threads share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.backends.llvm import work
from graphc.plan import Step


@dataclass
class Waiting:
    """What is known of the threads at one point of a program.

    is_owed    a barrier that the plan asked for and thread 0 alone did not need
    is_ahead   some thread may have more to do than another since the last barrier
    """

    is_owed: bool = False
    is_ahead: bool = False

    def before(self, *, asked: bool, is_shared: bool) -> bool:
        """Return whether a barrier must stand before a step; `asked` says that the plan has one."""
        self.is_owed |= asked
        if not (self.is_owed and (self.is_ahead or is_shared)):
            return False
        self.met()
        return True

    def after(self, *, is_shared: bool) -> None:
        """Note that a step was written."""
        self.is_ahead |= is_shared

    def met(self) -> None:
        """Note that all threads have met."""
        self.is_owed = self.is_ahead = False


def in_steady_state(steps: Sequence[Step]) -> tuple[Waiting, bool]:
    """Return what holds at the start of each iteration of `steps`, and whether all threads meet.

    At the start of the first one it holds too: it may ask for more than is needed there.
    """
    start = Waiting()
    while True:
        end = Waiting(start.is_owed, start.is_ahead)
        meets = False
        for step in steps:
            is_shared = work.threads_for(step.routine) > 1
            meets |= end.before(asked=step.barrier, is_shared=is_shared)
            end.after(is_shared=is_shared)
        joined = Waiting(start.is_owed or end.is_owed, start.is_ahead or end.is_ahead)
        if joined == start:
            return start, meets
        start = joined
