"""Work that is done in a thread beside this one, for as long as somebody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


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
