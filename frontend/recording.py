"""Recording: while a function is traced, assignments to variables go into the innermost `Trace`.

Traces nest: an inner one reads what the outer ones have assigned, and its own assignments stay its
own until whoever opened it hands them on. Each thread has its own stack of them.
"""

from __future__ import annotations

import threading

from graphc.node import Node

__all__ = ["Trace", "current_trace", "is_tracing"]

_local = threading.local()


class Trace:
    """A context that records assignments to variables.

    >>> from graphc.frontend import Variable
    >>> count = Variable(0, name="count")
    >>> with Trace() as trace:
    ...     count.assign(count + 1)
    >>> len(trace.assignments)
    1
    """

    def __init__(self) -> None:
        self._outer: Trace | None = None
        self._assigned: dict[Node, Node] = {}

    def __enter__(self) -> Trace:
        self._outer = current_trace()
        _local.trace = self
        return self

    def __exit__(self, *_: object) -> None:
        _local.trace = self._outer

    @property
    def assignments(self) -> tuple[tuple[Node, Node], ...]:
        """Each assigned variable once, in the order of first assignments, and its last value."""
        return tuple(self._assigned.items())

    def assign(self, variable: Node, value: Node) -> None:
        """Record that the program sets `variable`; it reads as `value` from now on."""
        self._assigned[variable] = value

    def read(self, variable: Node) -> Node:
        """Return what `variable` reads as: the node assigned last, here or in an outer trace."""
        trace: Trace | None = self
        while trace is not None:
            if variable in trace._assigned:
                return trace._assigned[variable]
            trace = trace._outer
        return variable


def current_trace() -> Trace | None:
    """Return this thread's innermost trace, or None."""
    found: Trace | None = getattr(_local, "trace", None)
    return found


def is_tracing() -> bool:
    """Return whether a function is being traced in this thread."""
    return current_trace() is not None
