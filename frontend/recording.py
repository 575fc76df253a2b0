"""Recording: while a function is traced, assignments to variables go into the innermost `Trace`.

Traces nest: an inner one reads what the outer ones have assigned, and its own assignments stay its
own until whoever opened it hands them on. Each thread has its own stack of them.

Modes that are asked for while a function is traced, those of modules above all, are compiled in;
every open trace notes them, so that whoever keeps the program knows under which modes it holds.
"""

from __future__ import annotations

import itertools
import threading
from typing import Protocol, Self

from graphc.capture import new_parameter
from graphc.node import Node

__all__ = [
    "BodyTrace", "ExampleTrace", "Moded", "Trace", "current_mode_epoch", "current_trace",
    "example_numbers", "is_tracing", "mode_changed", "outer_value",
]  # fmt: skip

_local = threading.local()
_epochs = itertools.count(1)
_epoch = 0


class Moded(Protocol):
    """What has a mode: True while it is trained."""

    @property
    def training_mode(self) -> bool:
        """The mode, read without a note of it."""


def mode_changed() -> None:
    """Say that the mode of an object has changed: from now on the epoch is another."""
    global _epoch  # noqa: PLW0603  # one number for the process: a call compares it, and no more
    _epoch = next(_epochs)


def current_mode_epoch() -> int:
    """Return a number that stays the same as long as no mode changes."""
    return _epoch


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
        self._modes: dict[int, tuple[Moded, bool]] = {}

    def __enter__(self) -> Self:
        self._outer = current_trace()
        _local.trace = self
        return self

    def __exit__(self, *_: object) -> None:
        _local.trace = self._outer

    @property
    def outer(self) -> Trace | None:
        """The trace around this one."""
        return self._outer

    @property
    def assignments(self) -> tuple[tuple[Node, Node], ...]:
        """Each assigned variable once, in the order of first assignments, and its last value."""
        return tuple(self._assigned.items())

    @property
    def modes(self) -> tuple[tuple[Moded, bool], ...]:
        """Each object whose mode was asked for, and the mode."""
        return tuple(self._modes.values())

    def note_mode(self, moded: Moded) -> None:
        """Note, here and in the outer traces, that what is traced depends on this mode."""
        trace: Trace | None = self
        while trace is not None:
            trace._modes.setdefault(id(moded), (moded, moded.training_mode))
            trace = trace._outer

    def assign(self, variable: Node, value: Node) -> None:
        """Record that the program sets `variable`; it reads as `value` from now on."""
        self._assigned[variable] = value

    def read(self, variable: Node) -> Node:
        """Return what `variable` reads as: the node assigned last, here or in an outer trace."""
        trace: Trace | None = self
        while trace is not None:
            if variable in trace._assigned:
                return trace._assigned[variable]
            if isinstance(trace, BodyTrace):
                return trace.stand_in(variable)
            trace = trace._outer
        return variable


class BodyTrace(Trace):
    """The trace of a body: a variable reads as an input of its own until it is assigned.

    `stand_ins` holds these inputs, for whoever runs the body to give them the values.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stand_ins: dict[Node, Node] = {}

    def stand_in(self, variable: Node) -> Node:
        """Return the input as which `variable` reads before it is assigned here."""
        if variable not in self.stand_ins:
            self.stand_ins[variable] = new_parameter(variable.type)
        return self.stand_ins[variable]


class ExampleTrace(Trace):
    """The trace of a function that is mapped over examples; `number` says which one this is."""

    def __init__(self, number: Node) -> None:
        super().__init__()
        self.number = number


def example_numbers() -> list[Node]:
    """Return the number of the example in every mapped function that is traced now, outer first."""
    found: list[Node] = []
    trace = current_trace()
    while trace is not None:
        if isinstance(trace, ExampleTrace):
            found.insert(0, trace.number)
        trace = trace.outer
    return found


def outer_value(variable: Node) -> Node:
    """Return what `variable` reads as in this thread now."""
    trace = current_trace()
    return variable if trace is None else trace.read(variable)


def current_trace() -> Trace | None:
    """Return this thread's innermost trace, or None."""
    found: Trace | None = getattr(_local, "trace", None)
    return found


def is_tracing() -> bool:
    """Return whether a function is being traced in this thread."""
    return current_trace() is not None
