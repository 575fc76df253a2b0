"""Locks that a fork and an interrupt cannot leave held.

A lock of this module is taken with `with` alone, in one step of the interpreter, so that no
KeyboardInterrupt can fall between taking it and remembering that it is held. A fork waits until the
other threads have let go of it: in the child, where those threads do not exist, it is free and what
it guards is whole. A thread that holds a lock takes only locks of a greater rank, and so does the
fork; hence nobody waits in a circle.
"""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager
from enum import IntEnum
from typing import Any


class Rank(IntEnum):
    """What a lock guards, in the order in which locks may be taken."""

    COMPILATION = 0
    VARIABLES = 1
    EMISSION = 2
    LOADING = 3
    LINKING = 4
    LLVM = 5
    NODES = 6


_across_fork: list[tuple[Rank, AbstractContextManager[Any]]] = []


def process_lock(rank: Rank) -> AbstractContextManager[bool]:
    """Return a new reentrant lock, to be kept for the life of the process."""
    lock = threading.RLock()
    hold_across_fork(lock, rank)
    return lock


def hold_across_fork(lock: AbstractContextManager[Any], rank: Rank) -> None:
    """Let every fork wait for `lock`, also one that is another library's."""
    _across_fork.append((rank, lock))
    _across_fork.sort(key=lambda held: held[0])


def _take_all() -> None:
    for _, lock in _across_fork:
        lock.__enter__()


def _release_all() -> None:
    for _, lock in reversed(_across_fork):
        lock.__exit__(None, None, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take_all, after_in_parent=_release_all, after_in_child=_release_all)
