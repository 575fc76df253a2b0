"""A directed graph that stays acyclic while edges are added and vertices are merged.

Every vertex has a position, and every edge goes from a lower to a higher one; most questions
whether an edge would close a cycle are answered by two positions. Where that is not enough, only
the vertices between the two are searched, and their positions are rearranged (D. J. Pearce and P.
H. J. Kelly, "A dynamic topological sort algorithm for directed acyclic graphs", ACM Journal of
Experimental Algorithmics 11, 2006). A search that meets more than `MOST_VISITED` vertices gives up
and counts as a cycle, so no question takes long and none is answered wrongly the other way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

MOST_VISITED = 400


class AcyclicOrder:
    """Vertices are integers; a new one stands before all others."""

    def __init__(self) -> None:
        self._position: dict[int, int] = {}
        self._after: dict[int, set[int]] = {}
        self._before: dict[int, set[int]] = {}
        self._first = 0

    def add(self, vertex: int) -> None:
        """Add a vertex without edges before all others."""
        self._first -= 1
        self._position[vertex] = self._first
        self._after[vertex], self._before[vertex] = set(), set()

    def position(self, vertex: int) -> int:
        """Return a number that grows along every edge."""
        return self._position[vertex]

    def after(self, vertex: int) -> Collection[int]:
        """Return the vertices to which edges lead from `vertex`."""
        return self._after[vertex]

    def add_edge(self, source: int, target: int) -> bool:
        """Add an edge, unless it would close a cycle; return whether it was added."""
        if source == target:
            return False
        is_backward = self._position[source] > self._position[target]
        if is_backward and not self._make_room(source, target):
            return False
        self._after[source].add(target)
        self._before[target].add(source)
        return True

    def merge(self, kept: int, gone: int) -> bool:
        """Make two vertices one, unless a path leads from one to the other; return whether."""
        low, high = sorted((kept, gone), key=self._position.__getitem__)
        if low == high or not self._make_room(high, low):
            return False
        self._position[kept] = max(self._position[kept], self._position[gone])
        for neighbour in self._after.pop(gone):
            self._before[neighbour].discard(gone)
            self._before[neighbour].add(kept)
            self._after[kept].add(neighbour)
        for neighbour in self._before.pop(gone):
            self._after[neighbour].discard(gone)
            self._after[neighbour].add(kept)
            self._before[kept].add(neighbour)
        del self._position[gone]
        return True

    def _make_room(self, high: int, low: int) -> bool:
        """Move `high` and its needs before `low` and what needs it, unless a path forbids it."""
        ceiling, floor = self._position[high], self._position[low]
        later = self._reach(low, self._after, floor, ceiling)
        if later is None or high in later:
            return False
        earlier = self._reach(high, self._before, floor, ceiling)
        if earlier is None:
            return False
        moved = [*self._sorted(earlier), *self._sorted(later)]
        slots = sorted(self._position[vertex] for vertex in moved)
        self._position.update(zip(moved, slots, strict=True))
        return True

    def _reach(
        self, start: int, edges: Mapping[int, set[int]], floor: int, ceiling: int
    ) -> set[int] | None:
        """Return what `start` reaches with a position between the two; None if that is too much."""
        found, pending = {start}, [start]
        while pending:
            for neighbour in edges[pending.pop()]:
                if neighbour not in found and floor <= self._position[neighbour] <= ceiling:
                    found.add(neighbour)
                    pending.append(neighbour)
            if len(found) > MOST_VISITED:
                return None
        return found

    def _sorted(self, vertices: Iterable[int]) -> list[int]:
        return sorted(vertices, key=self._position.__getitem__)
