"""From what a user writes to the operands of a node: conversion, promotion, broadcasting, blame.

Whatever leaves here is a `Node`. `promote` and `broadcast` insert the explicit `cast` and
`broadcast_to` nodes that the graph asks for; `fail` raises an error that names the user's line and
the line that made each operand. Nothing here computes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, NoReturn, SupportsIndex

import numpy as np

import graphc.ops  # noqa: F401  # the declarations register themselves
from graphc import op as ops
from graphc.dtypes import (
    DType,
    as_dtype,
    bool_,
    complex64,
    complex128,
    float32,
    float64,
    int64,
)
from graphc.dtypes import promote as promote_dtypes
from graphc.errors import (
    GraphcError,
    GraphcIndexError,
    GraphcTypeError,
    GraphcValueError,
    InternalError,
    ShapeError,
)
from graphc.frontend.tensor import AxisLike, Tensor, TensorLike
from graphc.node import ArrayData, Node, describe
from graphc.source import user_line
from graphc.tensor_type import Shape

_NUMBERS = (bool, int, float, complex)
SHOWN_DIGITS = 40  # of an integer in a message


def apply(name: str, /, *operands: Node, **attributes: Any) -> Node:
    """Return the node of the op called `name`."""
    op = ops.find(name)
    if op is None:
        raise InternalError(f"no op is called {name}")
    return op(*operands, **attributes)


def fail(
    kind: type[GraphcError], message: str, operands: Sequence[Node] = (), hint: str = ""
) -> NoReturn:
    """Raise `kind` with the user's line, and a note for each operand: its type and its maker."""
    raise describe(kind(message, hint=hint), operands, user_line())


def is_scalar(value: object) -> bool:
    """Return whether `value` is a Python number, which is weak in promotion."""
    return type(value) in _NUMBERS or (
        isinstance(value, _NUMBERS) and not isinstance(value, np.generic)
    )


def as_array(value: Any, dtype: DType | None = None) -> np.ndarray[Any, Any]:
    """Return array-like `value` as an array of a dtype of graphc.

    Without `dtype`, Python floats (in lists too) become float32, complex numbers complex64, ints
    int64; arrays keep theirs. Raises GraphcTypeError for what is no array of numbers, TracingError
    for lists of tensors.
    """
    try:
        array = np.asarray(value)
    except GraphcError:
        raise
    except (ValueError, TypeError) as error:
        fail(GraphcTypeError, f"{type(value).__name__} cannot be read as an array: {error}")
    if array.dtype.kind not in "biufcV":
        fail(
            GraphcTypeError, f"an array of {array.dtype} holds no numbers that graphc computes with"
        )
    found = as_dtype(array.dtype)
    if dtype is None:
        leaf = type(_first_leaf(value))
        is_python = leaf in (bool, int, float, complex, list, tuple)
        dtype = _DEFAULTS.get(found, found) if is_python else found
    if dtype is found:
        return array
    with np.errstate(all="ignore"):
        return array.astype(dtype.numpy)


_DEFAULTS = {float64: float32, complex128: complex64}  # of what Python wrote as numbers


def _first_leaf(value: Any) -> Any:
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return value


def as_node(value: TensorLike, dtype: DType | None = None) -> Node:
    """Return the node of a tensor, or a constant of anything else; of `dtype` if one is given."""
    if isinstance(value, Tensor):
        return value.node if dtype is None else cast(value.node, dtype)
    if dtype is not None and is_scalar(value):
        return apply("constant", value=ArrayData(_scalar_array(value, dtype)))
    node = apply("constant", value=ArrayData(as_array(value)))
    return node if dtype is None else cast(node, dtype)


def _scalar_array(value: Any, dtype: DType) -> np.ndarray[Any, Any]:
    if isinstance(value, int) and not _fits(value, dtype):
        fail(
            GraphcValueError,
            f"the Python integer {integer_text(value)} does not fit {dtype}",
            hint="convert the tensor to a wider type first: tensor.astype(graphc.int64)"
            if dtype.is_integer
            else "the greatest float is about 1.8e308",
        )
    with np.errstate(all="ignore"):
        return np.asarray(value).astype(dtype.numpy)


def _fits(value: int, dtype: DType) -> bool:
    if dtype.is_integer:
        limits = np.iinfo(dtype.numpy)
        return bool(limits.min <= value <= limits.max)
    try:
        return not dtype.is_inexact or math.isfinite(float(value))
    except OverflowError:
        return False


def integer_text(value: int) -> str:
    """Return the digits of an integer; of one with very many only their number."""
    digits = int(value.bit_length() * math.log10(2)) + 1
    return str(value) if digits <= SHOWN_DIGITS else f"of about {digits} digits"


def cast(node: Node, dtype: DType) -> Node:
    """Return `node` converted to `dtype`; itself if it has that type."""
    return node if node.type.dtype is dtype else apply("cast", node, dtype=dtype)


def result_dtype(*operands: TensorLike | DType) -> DType:
    """Return the dtype of a combination of `operands`, tensors and arrays strong, Python numbers
    weak.

    A Python int with bools gives int64; a Python float with bools or integers gives float64, and a
    complex number with them complex128, as in NumPy 2; with floats it gives the complex type of
    their width. Python numbers alone are bool, int64, float32 and complex64.
    """
    strong = [_strong_dtype(x) for x in operands if not is_scalar(x)]
    weak = [_number_type(x) for x in operands if is_scalar(x)]
    if not strong:
        return as_dtype(max(weak, key=_NUMBERS.index))
    dtype = promote_dtypes(*strong)
    if complex in weak:
        return dtype.complex
    if float in weak and not dtype.is_inexact:
        return float64
    return int64 if dtype is bool_ and int in weak else dtype


def _strong_dtype(operand: TensorLike | DType) -> DType:
    if isinstance(operand, DType):
        return operand
    return operand.dtype if isinstance(operand, Tensor) else as_dtype(as_array(operand).dtype)


def _number_type(number: object) -> type:
    return next(kind for kind in _NUMBERS if isinstance(number, kind))


def promote(*operands: TensorLike) -> list[Node]:
    """Return the nodes of `operands`, all cast to the dtype of their combination."""
    dtype = result_dtype(*operands)
    return [as_node(x, dtype) for x in operands]


def broadcast_to(node: Node, shape: Shape) -> Node:
    """Return `node` broadcast to `shape`; itself if it has that shape."""
    return node if node.shape == shape else apply("broadcast_to", node, shape=shape)


def broadcast(name: str, nodes: Sequence[Node]) -> list[Node]:
    """Return `nodes` broadcast to their common shape; `name` is what asks for it.

    Raises ShapeError where there is none.
    """
    if len({node.shape for node in nodes}) == 1:
        return list(nodes)
    shape = common_shape(name, nodes)
    return [broadcast_to(node, shape) for node in nodes]


def common_shape(name: str, nodes: Sequence[Node]) -> Shape:
    """Return the shape to which `nodes` broadcast; raises ShapeError where there is none."""
    try:
        return broadcast_shapes(*(node.shape for node in nodes))
    except ValueError:
        shapes = " and ".join(str(node.shape) for node in nodes)
        fail(ShapeError, f"{name}: shapes {shapes} do not broadcast", nodes, _broadcast_hint(nodes))


def broadcast_shapes(*shapes: Shape) -> Shape:
    """Return the common shape under NumPy's rules; raises ValueError where there is none."""
    rank = max(map(len, shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        for axis, extent in enumerate(shape, rank - len(shape)):
            if extent != 1 and result[axis] not in (1, extent):
                raise ValueError(f"{extent} against {result[axis]}")
            result[axis] = extent if extent != 1 else result[axis]
    return tuple(result)


def _broadcast_hint(nodes: Sequence[Node]) -> str:
    """Guess what was meant: missing last axes, one missing between, or a transposed operand."""
    if len(nodes) != 2:
        return ""
    longer, shorter = sorted((n.shape for n in nodes), key=len, reverse=True)
    missing = len(longer) - len(shorter)
    if missing and shorter == longer[: len(shorter)]:
        axes = ", ".join([":"] * len(shorter) + ["None"] * missing)
        return f"add the missing axes at the end: [{axes}] on the operand of shape {shorter}"
    place = _missing_axis(longer, shorter)
    if place is not None:
        axes = ", ".join([*[":"] * place, "None", *[":"] * (len(shorter) - place)])
        return f"[{axes}] on the operand of shape {shorter} gives it the missing axis"
    if len(longer) == 2 and len(shorter) == 2 and shorter[::-1] == longer:
        return "one operand looks transposed: .T exchanges its axes"
    return ""


def _missing_axis(longer: Shape, shorter: Shape) -> int | None:
    """Return where one axis of extent 1 in `shorter` makes it broadcast to `longer`."""
    if len(longer) != len(shorter) + 1:
        return None
    for place in range(1, len(longer)):
        widened = (*shorter[:place], 1, *shorter[place:])
        if all(extent in (1, wanted) for extent, wanted in zip(widened, longer, strict=True)):
            return place
    return None


def normalise_axis(name: str, axis: SupportsIndex, rank: int, node: Node | None = None) -> int:
    """Return `axis` counted from the front; raises GraphcIndexError out of bounds."""
    operands = () if node is None else (node,)
    try:
        number = operator.index(axis)
    except TypeError:
        if isinstance(axis, Tensor):
            raise
        fail(GraphcTypeError, f"{name}: an axis is an integer, not {axis!r}", operands)
    if not -rank <= number < rank:
        valid = f"{-rank} … {rank - 1}" if rank else "none: it has no axes"
        fail(
            GraphcIndexError,
            f"{name}: axis {number} is out of bounds for a tensor with {rank} axes",
            operands,
            f"the valid axes are {valid}",
        )
    return number % rank


def normalise_axes(name: str, axis: AxisLike, rank: int, node: Node | None = None) -> Shape:
    """Return `axis` as a sorted tuple of axes counted from the front; None means all of them."""
    if axis is None:
        return tuple(range(rank))
    given = axis if isinstance(axis, tuple | list) else (axis,)
    axes = sorted(normalise_axis(name, a, rank, node) for a in given)
    if len(set(axes)) != len(axes):
        fail(
            GraphcValueError,
            f"{name}: an axis is named twice in {axis}",
            () if not node else (node,),
        )
    return tuple(axes)
