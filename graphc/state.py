"""The memory of variables: arrays that outlive the calls of the programs that own them.

A `VariableState` is the attribute of a `variable` node and its identity. Its value lives in a host
array, dense and 64-byte aligned, whose address never changes. A backend whose memory is elsewhere
may hold a newer copy (`lend`); whoever wants the host array asks for it by `host()` and gets it up
to date. Values are read and written under `STATE_LOCK`, which serialises programs with variables.
Until a backend first says `allow_copies()`, the host arrays are all there is (`is_host_all()`), and
who writes them need not touch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.process_lock import Rank, process_lock
from graphc.tensor_type import TensorType

ALIGNMENT = 64

# One lock for the variables of the process. Programs that share no variable wait for one another,
# but a call takes one lock whatever it uses; programs without variables take none.
STATE_LOCK = process_lock(Rank.VARIABLES)


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


def aligned_empty(type_: TensorType) -> np.ndarray[Any, Any]:
    """Return an uninitialised dense array of this type whose data starts at a multiple of 64."""
    raw = np.empty(type_.nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + type_.nbytes].view(type_.dtype.numpy).reshape(type_.shape)


class VariableState:
    """The value of one variable. Compared by identity."""

    def __init__(self, type_: TensorType, value: np.ndarray[Any, Any], name: str = "") -> None:
        self.type, self.name = type_, name
        self._array = aligned_empty(type_)
        self._array[...] = value
        self._fetch: Callable[[np.ndarray[Any, Any]], None] | None = None
        self.version = 0

    def host(self) -> np.ndarray[Any, Any]:
        """Return the host array, up to date. Writing to it is followed by `touch()`."""
        if self._fetch is not None:
            self._fetch(self._array)
            self._fetch = None
        return self._array

    def touch(self) -> None:
        """Say that the host array was written, so that copies elsewhere are stale."""
        self.version += 1

    def assign(self, value: np.ndarray[Any, Any]) -> None:
        """Set the value; it must have this type's shape and is converted to its dtype."""
        with STATE_LOCK:
            self._fetch = None
            self._array[...] = value
            self.touch()

    def lend(self, fetch: Callable[[np.ndarray[Any, Any]], None]) -> None:
        """Say that the newest value is elsewhere; `fetch(array)` copies it to the host array."""
        self._fetch = fetch

    def __repr__(self) -> str:
        return f"VariableState({self.type})"  # a node's identity: not the name, which may change
