"""How many threads calls may use: `graphc.threads`, a limit that belongs to a context.

The limit is a context variable, so it holds for one thread of Python, or one task of asyncio, and
for what that calls; another thread has its own. It says how many threads a call may use at most, in
place of the number that the program was compiled for. Results do not depend on it.
"""

from __future__ import annotations

import operator
from contextlib import ContextDecorator
from contextvars import ContextVar
from types import TracebackType
from typing import SupportsIndex

from graphc.errors import GraphcTypeError, GraphcValueError

_MOST = 2**31 - 1  # what native code is told of more threads than there can be
LIMIT: ContextVar[int] = ContextVar("graphc.threads", default=0)  # 0: none; native code reads it
_OUTER: ContextVar[tuple[int, ...]] = ContextVar("graphc.threads.outer", default=())


def thread_limit(default: int) -> int:
    """Return the number of threads that a call in this context may use."""
    return LIMIT.get() or default


class threads(ContextDecorator):  # used as a statement: `with graphc.threads(2):`
    """Let calls use at most `count` threads, as a context manager or a decorator.

    It holds for the calls that this thread of Python (or task of asyncio) makes meanwhile, also of
    programs compiled before, and may be nested: the innermost counts. A call uses fewer threads
    where its work is not worth more, and may use more threads than there are cores, which is slower
    than as many. Results have the same bits for every number. GRAPHC_NUM_THREADS sets the number
    for a whole process.

    Raises GraphcTypeError for what is no whole number and GraphcValueError for one below 1.

    >>> import numpy as np
    >>> import graphc
    >>> double = graphc.compile(lambda x: 2 * x)
    >>> with graphc.threads(1):
    ...     print(double(np.float32([1, 2])))
    [2. 4.]
    """

    def __init__(self, count: SupportsIndex) -> None:
        if isinstance(count, bool) or not hasattr(count, "__index__"):
            raise GraphcTypeError(f"threads takes a whole number, not {type(count).__name__}")
        self.count = operator.index(count)
        if self.count < 1:
            raise GraphcValueError(f"a call cannot use {self.count} threads")

    def __enter__(self) -> None:
        _OUTER.set((*_OUTER.get(), LIMIT.get()))
        LIMIT.set(min(self.count, _MOST))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not _OUTER.get():
            raise GraphcValueError("threads is left in a context in which it was not entered")
        *outer, limit = _OUTER.get()
        _OUTER.set(tuple(outer))
        LIMIT.set(limit)

    def __repr__(self) -> str:
        return f"threads({self.count})"
