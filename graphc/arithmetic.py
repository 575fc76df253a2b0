"""Operators on nodes, and the constants that they need.

`Arithmetic` gives a node Python's `+ - * /` and negation, so that derivative rules read like
formulas. A Python number beside a node stands for a constant of the node's own type: a scalar
constant, broadcast. The ops are found by name, so this module knows no declaration. It promotes and
broadcasts nothing else, and leaves `==` alone: nodes compare by identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from graphc.errors import InternalError
from graphc.op import find
from graphc.tensor_type import TensorType

if TYPE_CHECKING:
    from graphc.node import Node

Number: TypeAlias = "int | float | bool"


class Arithmetic:
    """The operators of `Node`."""

    __slots__ = ()
    type: TensorType

    def __add__(self, other: Node | Number) -> Node:
        return apply("add", self, lift(other, self))

    def __radd__(self, other: Number) -> Node:
        return apply("add", lift(other, self), self)

    def __sub__(self, other: Node | Number) -> Node:
        return apply("subtract", self, lift(other, self))

    def __rsub__(self, other: Number) -> Node:
        return apply("subtract", lift(other, self), self)

    def __mul__(self, other: Node | Number) -> Node:
        return apply("multiply", self, lift(other, self))

    def __rmul__(self, other: Number) -> Node:
        return apply("multiply", lift(other, self), self)

    def __truediv__(self, other: Node | Number) -> Node:
        return apply("divide", self, lift(other, self))

    def __rtruediv__(self, other: Number) -> Node:
        return apply("divide", lift(other, self), self)

    def __neg__(self) -> Node:
        return apply("negative", self)


def apply(name: str, *operands: Arithmetic) -> Node:
    """Return the op called `name`, which takes no attributes, over `operands`, which are nodes."""
    op = find(name)
    if op is None:
        raise InternalError(f"{name} is not declared; import graphc.ops first")
    return op(*cast("tuple[Node, ...]", operands))


def lift(value: Arithmetic | Number, like: Arithmetic) -> Arithmetic:
    """Return a node as it is, and a number as a constant of the type of `like`."""
    return value if isinstance(value, Arithmetic) else filled(like.type, value)


def filled(type_: TensorType, value: Number) -> Node:
    """Return a tensor of this type whose elements are all `value`, rounded to its dtype."""
    from graphc.node import ArrayData  # node.py needs this module first

    constant, broadcast_to = find("constant"), find("broadcast_to")
    if constant is None or broadcast_to is None:
        raise InternalError("constant is not declared; import graphc.ops first")
    scalar = constant(value=ArrayData(np.asarray(type_.dtype.numpy.type(value))))
    return broadcast_to(scalar, shape=type_.shape) if type_.shape else scalar


def zeros_like(node: Node) -> Node:
    """Return zeros (+0.0) of the type of `node`."""
    return filled(node.type, 0)
