"""Locks that a fork, an interrupt and a handler of a signal cannot leave held for ever.

A lock of this module is taken with `with` alone, in one step of the interpreter, so that no
KeyboardInterrupt can fall between taking it and remembering that it is held. A fork waits until the
other threads have let go of it: in the child, where those threads do not exist, it is free and what
it guards is whole. A thread that holds a lock takes only locks of a greater rank; and of those that
are `APART`, which are held for long, it holds one at a time. Hence nobody waits in a circle.

A handler of a signal is user code that runs wherever the main thread is, also while that holds a
lock: mostly that of the variables, in a long call. It may compile and fork then, which takes the
other lock that is `APART`: no thread that has the one waits for the other. For the same reason a
fork, which takes all, never waits for one of them while it holds the other.
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


APART = (Rank.COMPILATION, Rank.VARIABLES)

_across_fork: list[tuple[Rank, AbstractContextManager[Any]]] = []
_own: list[Any] = []  # those made here, which can tell who holds them
_apart: list[Any] = []


def process_lock(rank: Rank) -> AbstractContextManager[bool]:
    """Return a new reentrant lock, to be kept for the life of the process."""
    lock = threading.RLock()
    _own.append(lock)
    if rank in APART:
        _apart.append(lock)
    else:
        hold_across_fork(lock, rank)
    return lock


def hold_across_fork(lock: AbstractContextManager[Any], rank: Rank) -> None:
    """Let every fork wait for `lock`, also one that is another library's."""
    _across_fork.append((rank, lock))
    _across_fork.sort(key=lambda held: held[0])


def holds_a_lock() -> bool:
    """Return whether this thread holds a lock of this module: user code, if it asks, is a handler
    of a signal then, and must wait for no thread that may want that lock."""
    return any(lock._is_owned() for lock in _own)  # as `threading.Condition` asks


def _take_apart() -> None:
    """Take the locks that are `APART`, waiting for one only while holding none of the others."""
    first = 0
    while True:
        order = _apart[first:] + _apart[:first]
        order[0].acquire()
        taken = [order[0]]
        for lock in order[1:]:
            if not lock.acquire(blocking=False):
                break
            taken.append(lock)
        if len(taken) == len(order):
            return
        for lock in taken:
            lock.release()
        first = (first + len(taken)) % len(order)  # the one that somebody has


def _take_all() -> None:
    _take_apart()
    for _, lock in _across_fork:
        lock.__enter__()


def _release_all() -> None:
    for _, lock in reversed(_across_fork):
        lock.__exit__(None, None, None)
    for lock in _apart:
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take_all, after_in_parent=_release_all, after_in_child=_release_all)
