"""Properties computed when first asked for, with no lock: a fork can leave none held.

Until Python 3.12 `functools.cached_property` computes under a lock that all objects of a class
share, which `graphc.process_lock` cannot reach. Here two threads may compute the same value at
once, and all are given the first one that was stored; so the function must have no effects.
"""

from __future__ import annotations

import functools
from typing import Any, Self, TypeVar, overload

T = TypeVar("T")


class LazyProperty(functools.cached_property[T]):
    """A decorator like `functools.cached_property`, of which it is one to those who look."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T: ...
    def __get__(self, instance: object | None, owner: type[Any] | None = None) -> Self | T:
        """Return the value, kept in the instance from now on; on the class, this property."""
        if instance is None:
            return self
        assert self.attrname is not None  # given when the class was made
        value: T = vars(instance).setdefault(self.attrname, self.func(instance))
        return value
