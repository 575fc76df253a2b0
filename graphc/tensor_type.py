"""The type of a tensor: its shape and its dtype, both known while the graph is built.

    type ::= dtype '[' (extent (',' extent)*)? ']'

Shapes are tuples of Python ints, each at least 0; a scalar has the shape `()`. A type keeps within
what an array can have: at most `MAX_RANK` axes, and bytes and strides that an int64 holds.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import SupportsIndex, TypeAlias

from graphc.dtypes import DType, DTypeLike, as_dtype, float32
from graphc.errors import GraphcError, GraphcTypeError, GraphcValueError, ShapeError
from graphc.source import user_line

Shape: TypeAlias = tuple[int, ...]
ShapeLike: TypeAlias = "SupportsIndex | Iterable[SupportsIndex]"

MAX_RANK = 64  # NumPy's
MAX_BYTES = 2**63 - 1


@dataclass(frozen=True, slots=True)
class TensorType:
    """A shape and a dtype; prints as `float32[64, 10]`.

    Raises ShapeError for more than `MAX_RANK` axes or `MAX_BYTES` bytes. As in NumPy an extent of 0
    does not make up for the others: they give the strides.
    """

    shape: Shape
    dtype: DType

    def __post_init__(self) -> None:
        if len(self.shape) > MAX_RANK:
            raise ShapeError(f"a tensor has at most {MAX_RANK} axes, not {len(self.shape)}")
        if math.prod(extent or 1 for extent in self.shape) * self.dtype.itemsize > MAX_BYTES:
            raise ShapeError(f"a tensor has fewer than 2**63 bytes: {self} is too large")

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of a dense array of this type."""
        return self.size * self.dtype.itemsize

    def with_shape(self, shape: Shape) -> TensorType:
        """Return the type of the same dtype with another shape."""
        return TensorType(shape, self.dtype)

    def with_dtype(self, dtype: DType) -> TensorType:
        """Return the type of the same shape with another dtype."""
        return TensorType(self.shape, dtype)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


def as_shape(like: ShapeLike) -> Shape:
    """Return `like`, one integer or a sequence of them, as a shape.

    Raises ShapeError for a negative extent and GraphcTypeError for anything but integers; a bool
    is none here.
    """
    line = str(user_line() or "")
    given = tuple(like) if isinstance(like, Iterable) else (like,)
    try:
        shape = tuple(operator.index(extent) for extent in given)
    except TypeError:
        shape = ()
    if len(shape) != len(given) or any(isinstance(extent, bool) for extent in given):
        raise GraphcTypeError(f"a shape is made of integers, not {like!r}", line=line)
    if any(extent < 0 for extent in shape):
        raise ShapeError(f"a shape has no negative extents, but {shape} was given", line=line)
    return shape


def read_type(text: str) -> TensorType:
    """Return the type that a text names, as types print.

    Raises GraphcValueError for another text.

    >>> read_type("int64[2, 3]")
    TensorType(shape=(2, 3), dtype=graphc.int64)
    """
    match = re.fullmatch(r"(\w+)\[([\d,\s]*)\]", text.strip())
    if match is None:
        raise GraphcValueError(
            f"{text!r} is no type; write it as float32[64,784]", line=str(user_line() or "")
        )
    try:
        return tensor_type([int(e) for e in match[2].split(",") if e.strip()], match[1])
    except (GraphcError, ValueError) as error:
        reason = getattr(error, "message", str(error))
        raise GraphcValueError(
            f"{text!r} is no type: {reason}", line=str(user_line() or "")
        ) from None


def tensor_type(shape: ShapeLike, dtype: DTypeLike = float32) -> TensorType:
    """Return the type with this shape and dtype, whatever form they are given in."""
    return TensorType(as_shape(shape), as_dtype(dtype))
