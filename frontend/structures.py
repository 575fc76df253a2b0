"""Nested arguments and results: tuples, lists and dicts with tensors in them, taken apart and put
together.

    structure ::= leaf | static | tuple(structure*) | list(structure*) | dict((key, structure)*)
                | dataclass((field, structure)*)

Named tuples, OrderedDict and defaultdict come back as what they were; other kinds of dict are
refused, since nothing says how to make one. A dataclass comes back as a copy with other fields; one
that is compared by identity (`eq=False`), or has attributes besides its fields, is static.
Structures nest at most `MAX_DEPTH` deep.

`flatten` gives the leaves in order (dicts in the order of their keys' insertion) and a `Structure`,
which is hashable and compares equal for arguments that may share one compiled program. A leaf is a
tensor or an array, or what is one by another name: a memoryview, an `array.array`. Everything else
(Python numbers, strings, None, functions, modules, variables) is static: part of the structure,
compared by type and value or by identity as `graphc.frontend.static_keys` says, keys of dicts too,
and so compiled in. Pass `numpy.float32(rate)` to make a number an input.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.errors import GraphcTypeError
from graphc.frontend.operands import fail, is_scalar
from graphc.frontend.static_keys import check_depth, static_key
from graphc.frontend.tensor import Tensor
from graphc.frontend.variable import Variable
from graphc.tensor_type import TensorType

__all__ = [
    "Structure", "flatten", "flatten_as", "flatten_numbers", "flatten_result", "is_leaf",
    "unflatten",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Static:
    """A value that is part of the structure, and the key by which it is compared."""

    value: Any = field(compare=False)
    key: Hashable


def as_static(value: Any) -> Static:
    """Return `value` with its key."""
    return Static(value, static_key(value))


@dataclass(frozen=True, slots=True)
class Structure:
    """`kind` is "leaf", "static", or the type of a container; `keys` are those of a dict.

    `static` is the value of a static one, and the default factory of a defaultdict. The keys of a
    dataclass are the names of its fields.
    """

    kind: Any
    children: tuple[Structure, ...] = ()
    keys: tuple[Static, ...] = ()
    static: Static | None = None

    @property
    def leaf_count(self) -> int:
        """The number of leaves."""
        return 1 if self.kind == "leaf" else sum(child.leaf_count for child in self.children)

    def statics(self) -> Iterator[Any]:
        """Yield the values that are part of the structure, and no leaves."""
        if self.kind == "static" and self.static is not None:
            yield self.static.value
        for child in self.children:
            yield from child.statics()

    def paths(self, prefix: str = "") -> Iterator[str]:
        """Yield a name for each leaf: `params.weights`, `batch.0`."""
        if self.kind == "leaf":
            yield prefix
        names = [key.value for key in self.keys] or range(len(self.children))
        for key, child in zip(names, self.children, strict=True):
            yield from child.paths(f"{prefix}.{key}" if prefix else str(key))


LEAF = Structure("leaf")


def is_leaf(value: object) -> bool:
    """Return whether an argument becomes an input: a tensor, an array, or a type; no variable."""
    return not isinstance(value, Variable) and (is_array(value) or isinstance(value, TensorType))


def is_array(value: object) -> bool:
    """Return whether `value` is a tensor, a variable or an array."""
    return isinstance(value, Tensor | np.ndarray | np.generic)


def is_record(value: object) -> bool:
    """Return whether `value` is a dataclass that is what its fields are."""
    kind = type(value)
    if not dataclasses.is_dataclass(kind) or kind.__hash__ is object.__hash__:
        return False
    names = {field.name for field in dataclasses.fields(kind)}
    return getattr(value, "__dict__", {}).keys() <= names


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """Return the leaves of nested tuples, lists, dicts and dataclasses, and their structure.

    Raises GraphcTypeError for a static value that has no hash, for an unknown kind of dict, and for
    what nests too deep or holds itself.

    >>> leaves, structure = flatten({"a": np.zeros(2), "b": (1, np.ones(3))})
    >>> [leaf.shape for leaf in leaves], list(structure.paths())
    ([(2,), (3,)], ['a', 'b.1'])
    """
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves, is_leaf)


def flatten_result(tree: Any) -> tuple[list[Any], Structure]:
    """Return the leaves and the structure of a result, in which a variable is a leaf: its value."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves, is_array)


def flatten_numbers(tree: Any) -> tuple[list[Any], Structure]:
    """Return the leaves and the structure of values that tensors stand for: numbers are leaves."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves, lambda value: is_array(value) or is_scalar(value))


def _flatten(
    tree: Any, leaves: list[Any], is_leaf: Callable[[object], bool], depth: int = 0
) -> Structure:
    if isinstance(tree, memoryview | array):
        tree = np.asarray(tree)
    if is_leaf(tree):
        leaves.append(tree)
        return LEAF
    if isinstance(tree, dict | tuple | list):
        check_depth(depth)
        parts = tree.values() if isinstance(tree, dict) else tree
        children = tuple(_flatten(part, leaves, is_leaf, depth + 1) for part in parts)
        return _container(tree, children)
    if is_record(tree):
        check_depth(depth)
        names = [field.name for field in dataclasses.fields(tree)]
        parts = [getattr(tree, name) for name in names]
        children = tuple(_flatten(part, leaves, is_leaf, depth + 1) for part in parts)
        return Structure(type(tree), children, tuple(map(as_static, names)))
    try:
        hash(tree)
    except TypeError:
        fail(
            GraphcTypeError,
            f"an argument of type {type(tree).__name__} is neither an array nor hashable",
            hint="pass arrays, or tuples, lists and dicts of them; other arguments are compiled in "
            "and need a hash",
        )
    return Structure("static", static=as_static(tree))


def _container(tree: Any, children: tuple[Structure, ...]) -> Structure:
    kind = type(tree)
    if not isinstance(tree, dict):
        return Structure(kind, children)
    if kind not in (dict, OrderedDict, defaultdict):
        fail(
            GraphcTypeError,
            f"a {kind.__name__} is a dict of an unknown kind",
            hint="pass dict(…): dict, OrderedDict and defaultdict are taken apart",
        )
    factory = as_static(tree.default_factory) if isinstance(tree, defaultdict) else None
    return Structure(kind, children, tuple(map(as_static, tree)), factory)


def flatten_as(structure: Structure, tree: Any) -> list[Any]:
    """Return what stands in `tree` at the leaves of `structure`.

    Raises GraphcTypeError where `tree` is nested in another way. What stands in place of a static
    value is not looked at.
    """
    if structure.kind == "leaf":
        return [tree]
    if structure.kind == "static":
        return []
    parts: Any = tree
    if is_record(tree):
        parts = [getattr(tree, field.name) for field in dataclasses.fields(tree)]
    elif isinstance(tree, dict):
        keys = [key.value for key in structure.keys]
        parts = [tree[key] for key in keys] if list(tree) == keys else []
    if type(tree) is not structure.kind or len(parts) != len(structure.children):
        fail(
            GraphcTypeError,
            f"out is nested in another way than the result: {type(tree).__name__} in the place of "
            f"{structure.kind.__name__} with {len(structure.children)} parts",
        )
    pairs = zip(structure.children, parts, strict=True)
    return [leaf for child, part in pairs for leaf in flatten_as(child, part)]


def unflatten(structure: Structure, leaves: Sequence[Any]) -> Any:
    """Return the nested structure with `leaves` in their places: the inverse of `flatten`."""
    return _unflatten(structure, iter(leaves))


def _unflatten(structure: Structure, leaves: Iterator[Any]) -> Any:
    if structure.kind == "leaf":
        return next(leaves)
    if structure.kind == "static":
        assert structure.static is not None
        return structure.static.value
    children = [_unflatten(child, leaves) for child in structure.children]
    make: Callable[..., Any] = structure.kind
    if dataclasses.is_dataclass(structure.kind):
        return _record(structure, children)
    if issubclass(structure.kind, dict):
        pairs = zip((key.value for key in structure.keys), children, strict=True)
        return make(pairs) if structure.static is None else make(structure.static.value, pairs)
    return make(*children) if hasattr(make, "_fields") else make(children)


def _record(structure: Structure, values: Sequence[Any]) -> Any:
    """Return a dataclass with these fields; its `__init__` is not run, as by `copy.copy`."""
    made = object.__new__(structure.kind)
    for key, value in zip(structure.keys, values, strict=True):
        object.__setattr__(made, key.value, value)
    return made
