"""Work that is done in a thread beside this one, for as long as somebody waits for it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_SWITCH_SECONDS = 1e-4


class quick_switching:  # reads as a statement: `with quick_switching():`
    """Let Python's threads take turns of 0.1 ms inside the block, not of 5 as usual.

    A thread that calls LLVM gives up the interpreter for each call, most of which take
    microseconds, and would wait a whole turn of another thread to have it back.
    """

    _lock = threading.Lock()
    _inside = 0
    _usual = 0.0

    def __enter__(self) -> None:
        kind = quick_switching
        with kind._lock:
            if kind._inside == 0:
                kind._usual = sys.getswitchinterval()
                sys.setswitchinterval(min(kind._usual, _SWITCH_SECONDS))
            kind._inside += 1

    def __exit__(self, *_: object) -> None:
        kind = quick_switching
        with kind._lock:
            kind._inside -= 1
            if kind._inside == 0:
                sys.setswitchinterval(kind._usual)


class Beside(threading.Thread, Generic[T]):
    """A thread, started at once, that works out one value."""

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__()
        self._work = work
        self._values: list[T] = []
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Work it out; not to be called."""
        with quick_switching():
            try:
                self._values.append(self._work())
            except Exception as error:
                self._error = error

    def value(self) -> T:
        """Wait for the value and return it; raises what the work raised."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._values[0]


def is_beside() -> bool:
    """Return whether this is a thread beside another one, which waits for it."""
    return isinstance(threading.current_thread(), Beside)
