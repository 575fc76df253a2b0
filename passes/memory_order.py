"""The order in which groups run, chosen so that memory is given back early.

Fusion leaves groups in some order that respects what depends on what. From the first to the last,
this takes them in that order, but whenever a group that could run by now gives back at least as
much memory as it takes (it is the last to read what it reads, or what it makes lies in an output or
a variable), it runs at once. So a weight's gradient is formed, and the activations that it needs
are dropped, before the layer below is looked at. Nearly linear in the number of groups.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Step(Generic[Value]):
    """A group: the values that it reads, each once, and the bytes of those that it makes.

    Values that take no memory of the program's own are left out of both.
    """

    reads: tuple[Value, ...]
    makes: Mapping[Value, int]


def memory_order(
    steps: Sequence[Step[Value]], after: Mapping[int, Collection[int]]
) -> tuple[int, ...]:
    """Return the numbers of `steps` in an order that gives memory back early.

    `after` has for each step the numbers of those that must run after it; the order in which the
    steps are given respects that.
    """
    return _Sequencer(steps, after).run()


class _Sequencer(Generic[Value]):
    def __init__(self, steps: Sequence[Step[Value]], after: Mapping[int, Collection[int]]) -> None:
        self.steps, self.after = steps, after
        self.sizes = {value: n for step in steps for value, n in step.makes.items()}
        self.readers: dict[Value, set[int]] = {value: set() for value in self.sizes}
        for number, step in enumerate(steps):
            for value in step.reads:
                self.readers[value].add(number)
        self.waits = [0] * len(steps)
        for later in after.values():
            for number in later:
                self.waits[number] += 1
        self.done: list[int] = []
        self.is_done = [False] * len(steps)
        self.ready = [number for number, count in enumerate(self.waits) if not count]

    def run(self) -> tuple[int, ...]:
        heapq.heapify(self.ready)
        while self.ready:
            number = heapq.heappop(self.ready)
            if not self.is_done[number]:
                self._take(number)
        return tuple(self.done)

    def _take(self, first: int) -> None:
        """Run a step, and then whatever gives back as much as it takes, the most giving first."""
        pending = [(0, first)]
        while pending:
            gain, number = heapq.heappop(pending)
            if self.is_done[number] or (number != first and self._growth(number) > gain):
                continue
            for candidate in self._finish(number):
                growth = self._growth(candidate)
                if growth <= 0:
                    heapq.heappush(pending, (growth, candidate))

    def _finish(self, number: int) -> Iterable[int]:
        """Mark a step as done; return the steps that can run and whose growth that changed."""
        self.is_done[number] = True
        self.done.append(number)
        changed: dict[int, None] = {}
        for later in sorted(self.after.get(number, ())):
            self.waits[later] -= 1
            if not self.waits[later]:
                heapq.heappush(self.ready, later)
                changed[later] = None
        for value in self.steps[number].reads:
            left = self.readers[value]
            left.discard(number)
            if len(left) == 1:
                changed.update(dict.fromkeys(left))
        return [c for c in changed if not self.waits[c] and not self.is_done[c]]

    def _growth(self, number: int) -> int:
        """Return the bytes that a step takes beyond those that it gives back."""
        step = self.steps[number]
        freed = sum(self.sizes[v] for v in step.reads if self.readers[v] == {number})
        return sum(step.makes.values()) - freed
