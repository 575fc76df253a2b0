"""Taking turns where user code runs: one thread at a time for each key, and nobody for ever.

A compiled function is traced by one thread for each combination of types, while others with the
same types wait for its program. What is traced is user code, which may itself wait for threads, so
that no lock of the process is held meanwhile, and threads with other types or functions go on. A
turn is a courtesy and guards nothing: in a forked process the turns of threads that are not there
are void, and a handler of a signal that came while its thread held a lock waits for none.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from graphc.process_lock import holds_a_lock


class Turns:
    """The turns of one function."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, AbstractContextManager[Any]] = {}

    def of(self, key: Hashable) -> AbstractContextManager[Any]:
        """Return what to enter (`with`) to have the turn for `key`; a thread may enter it again."""
        if holds_a_lock():
            return nullcontext()
        return self._locks.setdefault((os.getpid(), key), threading.RLock())

    def forget(self, key: Hashable) -> None:
        """Drop what is kept for a key: its program is there, or nobody could make it."""
        self._locks.pop((os.getpid(), key), None)
