"""Nested arguments and results come back as what they were, or are refused by name."""

from __future__ import annotations

import array
import dataclasses
from collections import ChainMap, Counter, OrderedDict, defaultdict
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.errors import GraphcTypeError
from graphc.frontend.static_keys import MAX_DEPTH
from graphc.frontend.structures import flatten, flatten_result, unflatten


class Record(dict[str, Any]):
    """A dict that needs more than pairs to be made."""


def nested(depth: int) -> Any:
    tree: Any = np.zeros(1)
    for level in range(depth):
        tree = ([tree], (tree,), {"a": tree})[level % 3]
    return tree


def test_dicts_keep_their_kind() -> None:
    factory: Any = defaultdict(list, {"a": np.zeros(1), "b": 2})
    ordered: Any = OrderedDict(x=np.zeros(1), y=factory)
    leaves, structure = flatten(ordered)
    again = unflatten(structure, leaves)
    assert type(again) is OrderedDict and list(again) == ["x", "y"]
    assert type(again["y"]) is defaultdict and again["y"]["new"] == []
    assert again["y"]["b"] == 2
    plain = {"a": np.zeros(1), "b": 2}
    other = defaultdict(dict, plain)
    assert len({flatten(tree)[1] for tree in (factory, plain, other, OrderedDict(plain))}) == 4


def test_buffers_are_arrays() -> None:
    double = graphc.compile(lambda x: x * 2)
    for buffer in (
        np.arange(1, 3, dtype=np.float32).data,
        array.array("f", [1, 2]),
        memoryview(b"\1\2"),
    ):
        assert double(buffer).tolist() == [2, 4]
    assert [str(p.inputs[0].type) for p in double.programs] == ["float32[2]", "uint8[2]"]


def test_a_compiled_function_returns_what_it_was_given() -> None:
    @graphc.compile(backend="reference")
    def doubled(tree: Any) -> Any:
        return type(tree)((key, value * 2) for key, value in tree.items())

    assert type(doubled(OrderedDict(a=np.ones(2)))) is OrderedDict
    assert type(doubled({"a": np.ones(2)})) is dict


@pytest.mark.parametrize("tree", [Record(a=np.zeros(1)), Counter("ab")])
def test_other_kinds_of_dict_are_refused(tree: Any) -> None:
    with pytest.raises(GraphcTypeError, match="a dict of an unknown kind") as caught:
        flatten([tree])
    assert __file__ in caught.value.line


@pytest.mark.parametrize("tree", [ChainMap({"a": 1}), MappingProxyType({}), {1}])
def test_what_has_no_hash_is_refused(tree: Any) -> None:
    with pytest.raises(GraphcTypeError, match="neither an array nor hashable"):
        flatten([tree])


def test_structures_nest_within_bounds() -> None:
    leaves, structure = flatten(nested(MAX_DEPTH))
    assert len(leaves) == structure.leaf_count == 1
    assert hash(structure) == hash(flatten(nested(MAX_DEPTH))[1])
    assert len(list(structure.paths())) == 1
    assert flatten(unflatten(structure, leaves))[1] == structure


def endless() -> Any:
    tree: Any = []
    tree.append({"a": (tree,)})
    return tree


@pytest.mark.parametrize("tree", [nested(MAX_DEPTH + 1), nested(5000), endless()])
def test_what_nests_too_deep_or_holds_itself_is_refused(tree: Any) -> None:
    for take_apart in (flatten, flatten_result):
        with pytest.raises(GraphcTypeError, match="nest at most 100 deep") as caught:
            take_apart(tree)
        assert __file__ in caught.value.line
        assert "hold itself" in caught.value.hint


def test_a_program_takes_and_gives_nothing_too_deep() -> None:
    compiled = graphc.compile(lambda x: nested(5000), backend="reference")
    with pytest.raises(GraphcTypeError, match="nest at most"):
        compiled(np.zeros(1))
    with pytest.raises(GraphcTypeError, match="nest at most"):
        compiled(nested(5000))


@dataclasses.dataclass
class Point:
    x: Any
    y: Any
    label: str = "p"


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    points: tuple[Point, ...]
    scale: float


@dataclasses.dataclass(eq=False)
class Named:
    value: int


def test_dataclasses_are_taken_apart_and_come_back() -> None:
    tree = Frozen((Point(np.zeros(1), np.ones(2)), Point(3, np.zeros(4), "q")), 0.5)
    leaves, structure = flatten(tree)
    assert [leaf.shape for leaf in leaves] == [(1,), (2,), (4,)]
    assert list(structure.paths("t")) == ["t.points.0.x", "t.points.0.y", "t.points.1.y"]
    again = unflatten(structure, ["a", "b", "c"])
    assert again == Frozen((Point("a", "b"), Point(3, "c", "q")), 0.5)
    assert flatten(Frozen(tree.points, 0.25))[1] != structure


def test_a_dataclass_by_identity_or_with_more_attributes_is_static() -> None:
    named, loose = Named(1), Point(np.zeros(1), 1)
    assert flatten(named)[1].kind == "static"
    loose.extra = 1  # type: ignore[attr-defined]  # what this tests
    with pytest.raises(GraphcTypeError, match="Point"):
        flatten(loose)


def test_a_compiled_function_takes_and_returns_dataclasses() -> None:
    swap = graphc.compile(lambda p: Point(p.y, 2 * p.x, p.label))
    found = swap(Point(np.float32(1), np.array([2, 3], np.float32)))
    assert type(found) is Point and found.label == "p"
    np.testing.assert_array_equal(found.x, [2, 3])
    np.testing.assert_array_equal(found.y, 2)
    gradient = graphc.grad(lambda p: (p.x * p.y).sum())(
        Point(np.float32(2), np.array([3, 4], np.float32))
    )
    np.testing.assert_array_equal(gradient.x, 7)
    np.testing.assert_array_equal(gradient.y, [2, 2])
