"""Tensors from nothing: inputs, constants, filled tensors, counts, triangles.

`input` and `constant` are leaves of the graph; `zeros`, `ones` and `full` are broadcast scalars,
`arange`, `eye`, `tril` and `triu` computed from `iota`, so that none of them stores its elements.

>>> input((64, 784), name="x").type
TensorType(shape=(64, 784), dtype=graphc.float32)
>>> eye(3).type
TensorType(shape=(3, 3), dtype=graphc.float32)
"""

from __future__ import annotations

import math
import operator
from typing import Any, SupportsIndex

from graphc.dtypes import DType, DTypeLike, as_dtype, bool_, float32, float64, int64
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import elementwise
from graphc.frontend.operands import (
    apply,
    as_array,
    as_node,
    broadcast_to,
    cast,
    fail,
    integer_text,
    is_scalar,
)
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import ArrayData, fresh_number
from graphc.tensor_type import Shape, ShapeLike, as_shape

__all__ = [
    "arange", "asarray", "constant", "eye", "full", "full_like", "input", "iota", "linspace",
    "ones", "ones_like", "tril", "triu", "zeros", "zeros_like",
]  # fmt: skip


def input(shape: ShapeLike, dtype: DTypeLike = float32, name: str | None = None) -> Tensor:
    """Return a new input: a tensor whose value the caller of the program passes.

    Two inputs are never the same, whatever their names.
    """
    number = fresh_number()
    label = f"input_{number}" if name is None else name
    return Tensor(
        apply("input", number=number, name=label, shape=as_shape(shape), dtype=as_dtype(dtype))
    )


def constant(value: Any, dtype: DTypeLike | None = None) -> Tensor:
    """Return a copy of array-like `value` as a constant of the graph.

    Without `dtype`, arrays keep theirs; Python floats, in lists too, are float32 and Python ints
    int64. Raises GraphcTypeError for what is no array of numbers.
    """
    if isinstance(value, Tensor):
        return elementwise.astype(value, value.dtype if dtype is None else dtype)
    array = as_array(value, None if dtype is None else as_dtype(dtype))
    return Tensor(apply("constant", value=ArrayData(array)))


def asarray(value: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return a tensor as it is and anything else as a constant, of `dtype` if one is given."""
    return constant(value, dtype)


def full(shape: ShapeLike, fill_value: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return a tensor filled with one value, by default of the value's own dtype.

    Raises ShapeError where `fill_value` is not a scalar.
    """
    wanted = None if dtype is None else as_dtype(dtype)
    if wanted is None and is_scalar(fill_value):
        wanted = as_dtype(as_array(fill_value).dtype)
    node = as_node(fill_value, wanted)
    if node.shape:
        fail(ShapeError, f"full: a scalar is needed, not the shape {node.shape}", [node])
    return Tensor(broadcast_to(node, as_shape(shape)))


def zeros(shape: ShapeLike, dtype: DTypeLike = float32) -> Tensor:
    """Return a tensor of zeros."""
    return full(shape, 0, dtype)


def ones(shape: ShapeLike, dtype: DTypeLike = float32) -> Tensor:
    """Return a tensor of ones."""
    return full(shape, 1, dtype)


def full_like(x: TensorLike, fill_value: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return a tensor of the shape and dtype of x filled with one value."""
    node = as_node(x)
    return full(node.shape, fill_value, node.type.dtype if dtype is None else dtype)


def zeros_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return a tensor of zeros with the shape and dtype of x."""
    return full_like(x, 0, dtype)


def ones_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return a tensor of ones with the shape and dtype of x."""
    return full_like(x, 1, dtype)


def iota(shape: ShapeLike, axis: SupportsIndex = 0, dtype: DTypeLike = int64) -> Tensor:
    """Return a tensor whose elements are their places along `axis`, counted from 0."""
    extents = as_shape(shape)
    number = operator.index(axis)
    if not -len(extents) <= number < len(extents):
        fail(ShapeError, f"iota: axis {number} is out of bounds for shape {extents}")
    return Tensor(_iota(extents, number % len(extents), as_dtype(dtype)).node)


def _iota(shape: Shape, axis: int, dtype: DType) -> Tensor:
    if dtype is bool_:
        fail(GraphcTypeError, "iota counts in integers or floats, not in bool")
    return Tensor(apply("iota", shape=shape, axis=axis, dtype=dtype))


def arange(
    start: int | float,
    stop: int | float | None = None,
    step: int | float = 1,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """Return start, start + step, … up to but without stop; `arange(stop)` starts at 0.

    int64 for integers, else float32; each element is start + i * step. Raises GraphcValueError for
    a step of 0 and where the number of elements is not finite, and GraphcTypeError unless the ends
    are Python numbers, since they decide the shape.
    """
    first, last = (0, start) if stop is None else (start, stop)
    for number in (first, last, step):
        if isinstance(number, bool) or not isinstance(number, SupportsIndex | float):
            fail(GraphcTypeError, f"arange: Python numbers are needed, not {number!r}")
    if step == 0:
        fail(GraphcValueError, "arange: the step is 0")
    whole = not any(isinstance(number, float) for number in (first, last, step))
    count = _count(first, last, step)
    wanted = as_dtype(dtype) if dtype is not None else int64 if whole else float32
    compute = int64 if whole else float64
    places = _iota((count,), 0, compute)
    return Tensor(
        cast((places * step + first).node if (first, step) != (0, 1) else places.node, wanted)
    )


def _count(first: float, last: float, step: float) -> int:
    """Return how many steps from `first` stay before `last`; exact for integers of any size."""
    if not any(isinstance(number, float) for number in (first, last, step)):
        start, stop, stride = (operator.index(number) for number in (first, last, step))  # type: ignore[arg-type]  # integers here
        return max(-((start - stop) // stride), 0)
    try:
        count = (last - first) / step
    except OverflowError:
        count = math.inf
    if not math.isfinite(count):
        fail(GraphcValueError, f"arange: {first} … {last} by {step} is no finite number of steps")
    return max(math.ceil(count), 0)


def _float(name: str, number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        fail(GraphcValueError, f"{name}: the integer {integer_text(number)} does not fit float64")
    except (TypeError, ValueError):
        fail(GraphcTypeError, f"{name} goes from one real number to another, not {number!r}")


def linspace(
    start: float, stop: float, num: int = 50, dtype: DTypeLike = float32, endpoint: bool = True
) -> Tensor:
    """Return `num` evenly spaced numbers from start to stop, with stop itself if `endpoint`.

    Computed in float64 and converted once; the last element is exactly stop.
    """
    count = operator.index(num)
    if count < 0:
        fail(GraphcValueError, f"linspace: {num} numbers")
    start, stop = _float("linspace", start), _float("linspace", stop)
    parts = count - 1 if endpoint else count
    places = _iota((count,), 0, float64)
    values = places * ((stop - start) / parts if parts > 0 else 0.0) + start
    if endpoint and count > 1:
        values = elementwise.where(elementwise.equal(places, count - 1), stop, values)
    return values.astype(dtype)


def eye(
    n_rows: int, n_cols: int | None = None, *, k: int = 0, dtype: DTypeLike = float32
) -> Tensor:
    """Return a matrix with ones on diagonal `k` (above the main one if positive), else zeros."""
    shape = as_shape((n_rows, n_rows if n_cols is None else n_cols))
    return elementwise.equal(_iota(shape, 1, int64), _iota(shape, 0, int64) + k).astype(dtype)


def tril(x: TensorLike, k: int = 0) -> Tensor:
    """Return x with zeros above diagonal `k` of its last two axes."""
    return _triangle("tril", x, k)


def triu(x: TensorLike, k: int = 0) -> Tensor:
    """Return x with zeros below diagonal `k` of its last two axes."""
    return _triangle("triu", x, k)


def _triangle(name: str, x: TensorLike, k: int) -> Tensor:
    node = as_node(x)
    rank = len(node.shape)
    if rank < 2:
        fail(ShapeError, f"{name}: shape {node.shape} has fewer than two axes", [node])
    rows, columns = (_iota(node.shape[-2:], axis, int64) for axis in (0, 1))
    kept = columns <= rows + k if name == "tril" else columns >= rows + k
    return elementwise.where(kept, Tensor(node), Tensor(as_node(0, node.type.dtype)))
