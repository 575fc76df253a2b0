"""Type rules shared by declarations, and the words in which they refuse.

A type rule takes the operands' types and the attributes and gives the type of the result. Each
function here makes one, or checks one thing and raises GraphcTypeError, ShapeError or
GraphcIndexError; the node being built adds the operands and the user's line to the message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from graphc import dtypes
from graphc.dtypes import DType
from graphc.errors import GraphcIndexError, GraphcTypeError, ShapeError
from graphc.tensor_type import TensorType

TypeRule: TypeAlias = Callable[..., TensorType]

BOOL = ("bool",)
INTEGER = ("int", "uint")
BITS = ("bool", "int", "uint")
FLOAT = ("float",)
NUMERIC = ("int", "uint", "float")
REAL = ("bool", "int", "uint", "float")
FIELD = ("float", "complex")
COMPLEX = ("complex",)
NUMBER = ("int", "uint", "float", "complex")
ANY = ("bool", "int", "uint", "float", "complex")

_WORDS = {
    BOOL: "bool",
    INTEGER: "integers",
    BITS: "bool or integers",
    FLOAT: "floats",
    NUMERIC: "integers or floats",
    REAL: "any dtype but complex ones",
    FIELD: "floats or complex numbers",
    COMPLEX: "complex numbers",
    NUMBER: "numbers",
    ANY: "any dtype",
}

PARTS = "compute with the parts: real(x), imag(x), abs(x), angle(x)"
_CAST = "convert the operand with cast"
_HINTS = {"bool": _CAST, "int": _CAST, "uint": _CAST, "complex": PARTS}


def check_kind(name: str, dtype: DType, kinds: Sequence[str]) -> None:
    """Raise GraphcTypeError unless `dtype` is of one of `kinds`."""
    if dtype.kind not in kinds:
        raise GraphcTypeError(
            f"{name} takes {_WORDS[tuple(kinds)]}, not {dtype}", hint=_HINTS.get(dtype.kind, "")
        )


def check_same(name: str, first: TensorType, second: TensorType) -> None:
    """Raise ShapeError or GraphcTypeError unless two operands have one type."""
    if first.dtype is not second.dtype:
        raise GraphcTypeError(
            f"{name} takes operands of one dtype, not {first.dtype} and {second.dtype}",
            hint="cast one of them",
        )
    if first.shape != second.shape:
        raise ShapeError(
            f"{name} takes operands of one shape, not {first.shape} and {second.shape}",
            hint="broadcast_to gives them one shape",
        )


def check_axis(name: str, axis: int, rank: int) -> None:
    """Raise GraphcIndexError unless `axis` is an axis, counted from 0, of a tensor of `rank`."""
    if not 0 <= axis < rank:
        raise GraphcIndexError(f"{name}: axis {axis} is out of bounds for {rank} axes")


def check_axes(name: str, axes: Sequence[int], rank: int) -> None:
    """Raise GraphcIndexError unless `axes` are axes, ascending and each once."""
    for axis in axes:
        check_axis(name, axis, rank)
    if list(axes) != sorted(set(axes)):
        raise GraphcIndexError(f"{name}: the axes {tuple(axes)} are not ascending and distinct")


def check_mode(name: str, mode: str) -> None:
    """Raise GraphcTypeError for an unknown treatment of indices out of range."""
    if mode not in ("raise", "clip"):
        raise GraphcTypeError(f'{name}: mode is "raise" or "clip", not {mode!r}')


def elementwise_rule(name: str, kinds: Sequence[str], result: DType | None = None) -> TypeRule:
    """Return the rule of an op over operands of one type; the result has the dtype `result`."""

    def rule(first: TensorType, *others: TensorType) -> TensorType:
        check_kind(name, first.dtype, kinds)
        for other in others:
            check_same(name, first, other)
        return first if result is None else first.with_dtype(result)

    return rule


def where_rule(condition: TensorType, x: TensorType, y: TensorType) -> TensorType:
    """Return the type of where(condition, x, y)."""
    check_kind("the condition of where", condition.dtype, BOOL)
    check_same("where", x, y)
    check_same("where", condition, x.with_dtype(dtypes.bool_))
    return x
