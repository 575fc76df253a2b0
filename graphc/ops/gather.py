"""Elements read from, or added at, places that are known only when the program runs.

Indices are int64 and count from 0. Out of range, a negative one included, they raise
GraphcIndexError (`mode="raise"`), or are moved to the nearest end (`mode="clip"`). Additions to one
place are carried out in row-major order of the updates, each rounded to the dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc import dtypes
from graphc.arithmetic import zeros_like
from graphc.errors import GraphcIndexError, GraphcTypeError, ShapeError
from graphc.node import Node
from graphc.op import Checked, Gather, Op, Scatter
from graphc.ops.declare import Array
from graphc.ops.pairs import componentwise, for_both_parts
from graphc.ops.type_rules import (
    ANY,
    INTEGER,
    NUMBER,
    NUMERIC,
    check_axis,
    check_kind,
    check_mode,
    check_same,
)
from graphc.tensor_type import Shape, TensorType


def _check(name: str, data: TensorType, indices: TensorType, axis: int, mode: str) -> None:
    check_axis(name, axis, data.rank)
    check_mode(name, mode)
    if indices.dtype is not dtypes.int64:
        raise GraphcTypeError(
            f"{name} takes indices of dtype int64, not {indices.dtype}", hint="cast them"
        )


def _check_source(name: str, data: TensorType, axis: int, taken: TensorType) -> TensorType:
    if data.shape[axis] == 0 and taken.size:
        raise GraphcIndexError(f"{name}: axis {axis} of {data.shape} has no elements")
    return taken


def out_of_bounds(node: Node) -> str:
    """Return the message of a node that finds an index out of bounds."""
    if isinstance(node.op.lowering, Checked):
        return str(node.attributes["what"]) + valid_indices(node.attributes["extent"])
    axis = node.attributes["axis"]
    extent = node.inputs[0].shape[axis]
    what = f"{node.op.name}: an index is out of bounds for axis {axis} of extent {extent}"
    return what + valid_indices(extent)


def valid_indices(extent: int) -> str:
    """Return the end of the message about an index that is out of bounds."""
    return f"; the valid ones are 0 … {extent - 1}" if extent else ""


def _resolve(name: str, indices: Array, extent: int, mode: str) -> Array:
    """Return indices in range, clipped if the mode says so; raises GraphcIndexError."""
    outside = (indices < 0) | (indices >= extent)
    if mode == "raise" and outside.any():
        raise GraphcIndexError(
            f"{name}: index {indices[outside].flat[0]} is out of bounds for extent {extent}"
            + valid_indices(extent)
        )
    return np.clip(indices, 0, max(extent - 1, 0))


# --- along a whole axis --------------------------------------------------------------------------


def _whole_shape(_name: str, data: TensorType, indices: TensorType, axis: int) -> Shape:
    return data.shape[:axis] + indices.shape + data.shape[axis + 1 :]


def _take_rule(data: TensorType, indices: TensorType, axis: int, mode: str) -> TensorType:
    _check("take", data, indices, axis, mode)
    shape = _whole_shape("take", data, indices, axis)
    return _check_source("take", data, axis, data.with_shape(shape))


def _take_reference(data: Array, indices: Array, result: TensorType, axis: int, mode: str) -> Array:
    inside = _resolve("take", indices, data.shape[axis], mode)
    return np.take(data, inside, axis=axis) if result.size else np.empty(result.shape, data.dtype)


def _whole_axes(axis: int, indices: Array) -> Any:
    return (*(slice(None),) * axis, indices)


def _take_derivative(node: Node, cotangent: Node) -> tuple[Node, None]:
    data, indices = node.inputs
    return scatter_add(zeros_like(data), indices, cotangent, **node.attributes), None


def _along_pairs(node: Node, operands: tuple[Node, ...]) -> Node:
    """Look up both parts of each number in one place."""
    data, indices, *updates = operands
    return node.op(data, for_both_parts(indices, indices.shape), *updates, **node.attributes)


take = Op(
    name="take",
    operands=("data", "indices"),
    attributes=("axis", "mode"),
    type_rule=_take_rule,
    reference=_take_reference,
    lowering=Gather(),
    derivative=_take_derivative,
    on_pairs=componentwise,
    kinds=ANY,
    summary="data with one axis replaced by the axes of indices into it",
)

# --- indices alone ------------------------------------------------------------------------------


def _checked_rule(indices: TensorType, extent: int, what: str) -> TensorType:
    check_kind("checked_index", indices.dtype, INTEGER)
    return TensorType(indices.shape, dtypes.int64)


def _checked_reference(indices: Array, result: TensorType, extent: int, what: str) -> Array:
    outside = (indices < 0) | (indices >= extent)
    if outside.any():
        raise GraphcIndexError(f"{what}: {indices[outside].flat[0]}{valid_indices(extent)}")
    return indices.astype(np.int64)


checked_index = Op(
    name="checked_index",
    operands=("indices",),
    attributes=("extent", "what"),
    type_rule=_checked_rule,
    reference=_checked_reference,
    lowering=Checked(),
    kinds=INTEGER,
    summary="indices as int64; one out of bounds raises an error that begins with `what`",
)

# --- along one axis, place by place --------------------------------------------------------------


def _along_shape(name: str, data: TensorType, indices: TensorType, axis: int) -> Shape:
    expected = list(data.shape)
    if indices.rank == data.rank:
        expected[axis] = indices.shape[axis]
    if tuple(expected) != indices.shape:
        raise ShapeError(
            f"{name}: indices of shape {indices.shape} for data of shape {data.shape}; "
            f"they may differ along axis {axis} only"
        )
    return indices.shape


def _take_along_rule(data: TensorType, indices: TensorType, axis: int, mode: str) -> TensorType:
    _check("take_along_axis", data, indices, axis, mode)
    shape = _along_shape("take_along_axis", data, indices, axis)
    return _check_source("take_along_axis", data, axis, data.with_shape(shape))


def _places(indices: Array, axis: int) -> tuple[Array, ...]:
    places: list[Array] = list(np.indices(indices.shape, sparse=True))
    places[axis] = indices
    return tuple(places)


def _take_along_reference(
    data: Array, indices: Array, result: TensorType, axis: int, mode: str
) -> Array:
    inside = _resolve("take_along_axis", indices, data.shape[axis], mode)
    return data[_places(inside, axis)] if result.size else np.empty(result.shape, data.dtype)


def _take_along_derivative(node: Node, cotangent: Node) -> tuple[Node, None]:
    data, indices = node.inputs
    zeros = zeros_like(data)
    return scatter_add_along_axis(zeros, indices, cotangent, **node.attributes), None


take_along_axis = Op(
    name="take_along_axis",
    operands=("data", "indices"),
    attributes=("axis", "mode"),
    type_rule=_take_along_rule,
    reference=_take_along_reference,
    lowering=Gather(along_axis=True),
    derivative=_take_along_derivative,
    on_pairs=_along_pairs,
    kinds=ANY,
    summary="for each place the element of data at the index given there, along one axis",
)

# --- scatters ------------------------------------------------------------------------------------


def scatter_op(  # one keyword for each thing that they differ in
    name: str,
    combine: str | None,
    combined: Callable[[Array, Any, Array], Array],
    *,
    along_axis: bool,
    derivative: Callable[[Node, Node], tuple[Node, None, Node]] | None,
    kinds: tuple[str, ...] = NUMERIC,
    summary: str,
) -> Op:
    """Declare the op that combines updates with the data where a gather would read.

    `combined(data, places, updates)` is its reference, where `places` index the data for all
    updates together; `combine` as in `Scatter`.
    """
    shape_of = _along_shape if along_axis else _whole_shape

    def rule(
        data: TensorType, indices: TensorType, updates: TensorType, axis: int, mode: str
    ) -> TensorType:
        _check(name, data, indices, axis, mode)
        check_kind(name, data.dtype, kinds)
        shape = shape_of(name, data, indices, axis)
        check_same(f"{name} (updates)", data.with_shape(shape), updates)
        _check_source(name, data, axis, updates)
        return data

    def reference(
        data: Array, indices: Array, updates: Array, result: TensorType, axis: int, mode: str
    ) -> Array:
        inside = _resolve(name, indices, data.shape[axis], mode)
        places = _places(inside, axis) if along_axis else _whole_axes(axis, inside)
        with np.errstate(all="ignore"):
            return combined(data, places, updates) if updates.size else data.copy()

    return Op(
        name=name,
        operands=("data", "indices", "updates"),
        attributes=("axis", "mode"),
        type_rule=rule,
        reference=reference,
        lowering=Scatter(combine, along_axis=along_axis),
        derivative=derivative,
        on_pairs=_along_pairs if along_axis else componentwise,
        kinds=kinds,
        summary=summary,
    )


def accumulated(ufunc: np.ufunc) -> Callable[[Array, Any, Array], Array]:
    """Return the reference that applies a ufunc update by update, in row-major order."""

    def combined(data: Array, places: Any, updates: Array) -> Array:
        grown = data.copy()
        ufunc.at(grown, places, updates)
        return grown

    return combined


def _add_derivative(node: Node, cotangent: Node) -> tuple[Node, None, Node]:
    return cotangent, None, take(cotangent, node.inputs[1], **node.attributes)


def _add_along_derivative(node: Node, cotangent: Node) -> tuple[Node, None, Node]:
    return cotangent, None, take_along_axis(cotangent, node.inputs[1], **node.attributes)


scatter_add = scatter_op(
    "scatter_add",
    "add",
    accumulated(np.add),
    along_axis=False,
    derivative=_add_derivative,
    kinds=NUMBER,
    summary="data with updates added where take would read",
)
scatter_add_along_axis = scatter_op(
    "scatter_add_along_axis",
    "add",
    accumulated(np.add),
    along_axis=True,
    derivative=_add_along_derivative,
    kinds=NUMBER,
    summary="data with updates added where take_along_axis would read",
)
