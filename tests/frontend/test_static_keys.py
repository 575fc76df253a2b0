"""Keys of static arguments: programs are shared by what behaves alike, and by nothing else."""

from __future__ import annotations

import enum
import functools
import itertools
import math
from collections import namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.errors import GraphcTypeError
from graphc.frontend.static_keys import MAX_DEPTH, static_key
from graphc.frontend.tracing import signature


@dataclass(frozen=True)
class Settings:
    rate: Any
    label: str = field(default="", compare=False)

    @functools.cached_property
    def doubled(self) -> Any:
        return self.rate * 2

    def scale(self, x: Any) -> Any:
        return x * self.rate


class Named(Settings):
    """No dataclass of its own: it may hold more than its fields."""


class Equal:
    """Says that it equals everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class Text(str):
    __slots__ = ("note",)


Pair = namedtuple("Pair", ["left", "right"])
Colour = enum.Enum("Colour", "RED GREEN")
Mode = enum.IntFlag("Mode", "A B")
NAN = float("nan")

GROUPS: list[list[Any]] = [
    [2, 2.0, 2 + 0j, Decimal(2), Decimal("2.0"), Fraction(2), "2", b"2", Mode.B],
    [0, False, 0.0, -0.0, Decimal("0.0"), Decimal("-0.0"), complex(0, -0.0), complex(-0.0, 0)],
    [NAN, complex(NAN, 0), math.inf, None, ...],
    [Settings(2), Settings(2.0), Settings(True), Settings(1), Settings(0.0), Settings(-0.0)],
    [Settings(1, "a"), Settings(1, "b"), Settings(Settings(1)), Settings(Settings(True))],
    [frozenset({1}), frozenset({True}), frozenset({1.0}), frozenset({(1,)}), frozenset({(True,)})],
    [(1,), (True,), (1.0,), ((1,),), Pair(1, 2), (1, 2), Pair(1, 2.0)],
    [Equal(), Equal(), Text("a"), Text("a"), "a", Named(1), Named(1), Settings(1)],
    [range(3), range(0, 3, 2), range(0, 4, 2), range(0), range(1, 1)],
    [Settings(1).scale, Settings(True).scale, math.sin, math.cos, "a".upper, "b".upper],
    [np.dtype("f4"), np.dtype("f8"), np.dtype(">f8"), int, float, np, math, Colour.RED],
]


@pytest.mark.parametrize("values", GROUPS)
def test_what_differs_has_another_key(values: list[Any]) -> None:
    for first, second in itertools.combinations(values, 2):
        assert static_key(first) != static_key(second), (first, second)
        assert signature([{first: 1}]) != signature([{second: 1}])


SAME: list[tuple[Any, Any]] = [
    (10**30, 10**30), ("a" * 9, "".join("a" * 9)), (NAN, float("nan")), (-0.0, -0.0),
    (Settings(2), Settings(2)), (Settings(Pair(1, 0.0)), Settings(Pair(1, 0.0))),
    (frozenset({1, 2}), frozenset({2, 1})), ((1, (2.0,)), (1, (2.0,))), (range(3), range(3)),
    (Settings(1).scale, Settings(1).scale), ("a".upper, "a".upper), (math.sin, math.sin),
    (Colour(1), Colour.RED), (Mode(3), Mode.A | Mode.B), (np.dtype(">f8"), np.dtype(">f8")),
    (Decimal("1.0"), Decimal("1.0")), (graphc.float32, graphc.float32), (len, len),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), SAME)
def test_what_is_alike_has_the_same_key(first: Any, second: Any) -> None:
    assert static_key(first) == static_key(second)
    assert hash(static_key(first)) == hash(static_key(second))


def test_a_cached_property_changes_no_key() -> None:
    used = Settings(3)
    assert used.doubled == 6
    assert static_key(used) == static_key(Settings(3))
    object.__setattr__(used, "more", 1)
    assert static_key(used) != static_key(Settings(3))


def test_programs_compute_with_their_own_arguments() -> None:
    @graphc.compile(backend="reference")
    def scaled(x: Any, settings: Any) -> Any:
        return x * settings.rate

    x = np.arange(3, dtype=np.int32)
    assert scaled(x, Settings(2)).dtype == np.int32
    assert scaled(x, Settings(2.0)).dtype == np.float64
    assert len(scaled.programs) == 2
    scaled(x, Settings(2))
    assert len(scaled.programs) == 2


def test_dicts_come_back_with_their_own_keys() -> None:
    @graphc.compile(backend="reference")
    def same(tree: Any) -> Any:
        return tree

    for key in (1, True, 1.0):
        (found,) = same({key: np.zeros(1)})
        assert type(found) is type(key)


def test_keys_nest_within_bounds() -> None:
    deep: Any = ()
    for _ in range(MAX_DEPTH - 1):
        deep = (deep,)
    assert static_key(deep) == static_key(deep)
    with pytest.raises(GraphcTypeError, match="nest at most 100 deep"):
        static_key((deep,))
