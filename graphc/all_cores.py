"""Work on large arrays that leaves the interpreter to others, on all cores: hashing and copying.

What is worked out does not depend on the number of threads. Small work stays in this thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from graphc import settings

T = TypeVar("T")

LARGE_BYTES = 1024 * 1024  # a millisecond of work, for which starting threads is worth it
_MOST_THREADS = 8
_SHARES = 16


def on_all_cores(work: Callable[[T], Any], items: Sequence[T]) -> None:
    """Do `work` on each item, in no order; raises what one of them raises."""
    threads = min(len(items), settings.thread_count() or _cores(), _MOST_THREADS)
    if threads < 2:
        for item in items:
            work(item)
        return
    from concurrent.futures import ThreadPoolExecutor  # rarely needed

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, items):
            pass


def shares(count: int, nbytes: int) -> list[slice]:
    """Return slices that make up `count` places: one, or several where `nbytes` are many."""
    pieces = min(_SHARES, count) if nbytes >= LARGE_BYTES else 1
    stops = [count * number // pieces for number in range(1, pieces + 1)] if pieces else []
    return [slice(start, stop) for start, stop in zip([0, *stops], stops, strict=False)]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
