"""The memory of variables: arrays that outlive the calls of the programs that own them.

A `VariableState` is the attribute of a `variable` node and its identity. Its value lives in a host
array, dense and 64-byte aligned, whose address never changes. A backend whose memory is elsewhere
may hold a newer copy (`lend`); whoever wants the host array asks for it by `host()` and gets it up
to date. Values are read and written under `STATE_LOCK`, which serialises programs with variables.
Until a backend first says `allow_copies()`, the host arrays are all there is (`is_host_all()`), and
who writes them need not touch.

While a program runs that may give its thread back to Python (`run_using`), a handler of a signal
comes between, in the thread that has the lock. It may read variables: they have their values from
before that call. What would write one that the program uses raises VariableError, since the program
may have read the old value already and would write over the new one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from graphc.errors import VariableError
from graphc.process_lock import Rank, process_lock
from graphc.tensor_type import TensorType

ALIGNMENT = 64

# One lock for the variables of the process. Programs that share no variable wait for one another,
# but a call takes one lock whatever it uses; programs without variables take none.
STATE_LOCK = process_lock(Rank.VARIABLES)

T = TypeVar("T")
_copies_allowed = threading.Event()


def allow_copies() -> None:
    """Say that from now on newer values may lie elsewhere; call it before the first copy."""
    _copies_allowed.set()


def is_host_all() -> bool:
    """Return whether the host array of every variable is the only one, so that it is up to date.

    Under `STATE_LOCK` the answer stays true until the lock is given back: a copy that is made
    meanwhile is filled under the lock.
    """
    return not _copies_allowed.is_set()


_in_use: tuple[VariableState, ...] = ()  # of programs that run now; under STATE_LOCK


def is_any_in_use() -> bool:
    """Return, under `STATE_LOCK`, whether its holder is a handler that came between."""
    return bool(_in_use)


def run_using(states: Iterable[VariableState], run: Callable[[], T]) -> T:
    """Return `run()`; who writes one of `states` meanwhile is refused. Under `STATE_LOCK`."""
    global _in_use  # noqa: PLW0603  # what the lock guards
    outer = _in_use
    try:
        _in_use = (*outer, *states)
        return run()
    finally:
        _in_use = outer


def check_writable(states: Iterable[VariableState]) -> None:
    """Raise VariableError if a running program uses one of `states`. Under `STATE_LOCK`."""
    if not _in_use:
        return
    for state in states:
        if any(state is used for used in _in_use):
            name = state.name or f"a variable {state.type}"
            raise VariableError(
                f"{name} cannot be changed by a handler of a signal now: it came while a program "
                "that uses this variable runs",
                hint="let the handler set a flag, and change the variable behind the call",
            )


def aligned_empty(type_: TensorType) -> np.ndarray[Any, Any]:
    """Return an uninitialised dense array of this type whose data starts at a multiple of 64."""
    raw = np.empty(type_.nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + type_.nbytes].view(type_.dtype.numpy).reshape(type_.shape)


class VariableState:
    """The value of one variable. Compared by identity."""

    def __init__(self, type_: TensorType, value: np.ndarray[Any, Any], name: str = "") -> None:
        self.type, self.name = type_, name
        try:
            self._array = aligned_empty(type_)
        except MemoryError:
            what = f"the variable {name}" if name else f"a variable {type_}"
            raise MemoryError(f"no {type_.nbytes} bytes for {what}") from None
        self._array[...] = value
        self._fetch: Callable[[np.ndarray[Any, Any]], None] | None = None
        self.version = 0

    def host(self) -> np.ndarray[Any, Any]:
        """Return the host array, up to date. Writing to it is followed by `touch()`."""
        if self._fetch is not None:
            self._fetch(self._array)
            self._fetch = None
        return self._array

    @property
    def span(self) -> tuple[int, int]:
        """Where the host array begins and ends; it never moves."""
        start = self._array.ctypes.data
        return start, start + self.type.nbytes

    def touch(self) -> None:
        """Say that the host array was written, so that copies elsewhere are stale."""
        self.version += 1

    def assign(self, value: np.ndarray[Any, Any]) -> None:
        """Set the value; it must have this type's shape and is converted to its dtype.

        Raises VariableError in a handler of a signal, while a program runs that uses it.
        """
        with STATE_LOCK:
            check_writable((self,))
            self._fetch = None
            self._array[...] = value
            self.touch()

    def lend(self, fetch: Callable[[np.ndarray[Any, Any]], None]) -> None:
        """Say that the newest value is elsewhere; `fetch(array)` copies it to the host array."""
        self._fetch = fetch

    def __repr__(self) -> str:
        return f"VariableState({self.type})"  # a node's identity: not the name, which may change
