"""Lazy properties: computed once, kept in the instance, and with no lock."""

from __future__ import annotations

import threading
from functools import cached_property

from graphc.lazy import LazyProperty


class Counted:
    def __init__(self) -> None:
        self.calls = 0
        self.inside = threading.Barrier(1)

    @LazyProperty
    def value(self) -> list[int]:
        """A new list."""
        self.calls += 1
        self.inside.wait(20)
        return [self.calls]


def test_it_is_computed_once_for_each_instance() -> None:
    one, two = Counted(), Counted()
    assert one.value is one.value and one.value is not two.value
    assert one.calls == two.calls == 1


def test_on_the_class_it_is_a_cached_property_with_its_documentation() -> None:
    assert issubclass(LazyProperty, cached_property) and type(Counted.value) is LazyProperty
    assert Counted.value.__doc__ == "A new list."


def test_two_threads_are_inside_at_once_and_given_the_same_value() -> None:
    counted, found = Counted(), list[list[int]]()
    counted.inside = threading.Barrier(2)  # broken if the second had to wait for the first
    threads = [threading.Thread(target=lambda: found.append(counted.value)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted.calls == 2 and len(found) == 2 and found[0] is found[1]
