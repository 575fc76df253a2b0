"""Keys of static arguments: when two Python objects may share one compiled program.

`static_key` gives a hashable key, and two objects share a program where their keys are equal. What
a function computes from them is compiled in, so the keys must never be equal for objects that
behave differently, as 2 and 2.0, 1 and True, 0.0 and -0.0 do although `==` holds. Therefore `==` is
asked of the plain immutable types of Python alone, always with the type beside the value; numbers
with signed zeros are compared as text, NaN equal to itself; tuples, frozensets, ranges, bound
methods and frozen dataclasses by their parts; and every object of another type by identity.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable, Iterable
from decimal import Decimal
from fractions import Fraction
from types import BuiltinFunctionType, MethodType
from typing import Any

import numpy as np

from graphc.errors import GraphcTypeError
from graphc.frontend.operands import fail

MAX_DEPTH = 100  # of nested arguments; far below Python's limit of recursion

_BY_VALUE = frozenset({bool, int, str, bytes, type(None)})
_BY_TEXT = frozenset({float, complex, Decimal, Fraction})


class Identity:
    """A key that equals that of the same object alone, which it keeps alive."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def static_key(value: Any, depth: int = 0) -> Hashable:
    """Return a key that is equal for objects that may share one program.

    Raises GraphcTypeError for an object that is nested deeper than `MAX_DEPTH`.

    >>> static_key((1, "a")) == static_key((1, "a")), static_key((1,)) == static_key((True,))
    (True, False)
    """
    kind = type(value)
    if kind in _BY_VALUE:
        return kind, value
    if kind in _BY_TEXT or isinstance(value, np.dtype):
        return kind, repr(value)
    parts = _parts(value)
    if parts is None:
        return Identity(value)
    check_depth(depth)
    keys = [static_key(part, depth + 1) for part in parts]
    return kind, frozenset(keys) if kind is frozenset else tuple(keys)


def check_depth(depth: int) -> None:
    """Raise GraphcTypeError for what is nested `MAX_DEPTH` deep or deeper."""
    if depth >= MAX_DEPTH:
        fail(
            GraphcTypeError,
            f"arguments and results nest at most {MAX_DEPTH} deep",
            hint="does a container hold itself?",
        )


def _parts(value: Any) -> Iterable[Any] | None:
    """Return the objects that make up `value`, or None if it is compared by identity."""
    kind = type(value)
    if kind in (tuple, frozenset) or (isinstance(value, tuple) and hasattr(kind, "_fields")):
        return value  # type: ignore[no-any-return]  # a tuple or a frozenset
    if kind is range:
        return value.start, value.stop, value.step
    if kind is MethodType:
        return value.__self__, value.__func__
    if kind is BuiltinFunctionType:
        return value.__self__, value.__name__
    own = vars(kind).get("__dataclass_params__")  # not inherited by a class that is none
    return _attributes(value) if own is not None and own.frozen and own.eq else None


def _attributes(value: Any) -> Iterable[Any]:
    """Return the names and values of a dataclass's fields, and of whatever else it was given."""
    names = [field.name for field in dataclasses.fields(value)]
    others = getattr(value, "__dict__", {}).keys() - set(names)
    names += sorted(n for n in others if not _is_cached(type(value), n))
    return [(name, getattr(value, name, None)) for name in names]


def _is_cached(kind: type, name: str) -> bool:
    return isinstance(getattr(kind, name, None), functools.cached_property)
