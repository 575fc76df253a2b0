"""Updates that replace, or are combined with, elements at places known only at run time.

They do what `scatter_add` does (`graphc.ops.gather`) but for how an update and the element that it
meets become one. Of several updates of one place `scatter_set` keeps the last in row-major order;
the others combine each with what is there. Those that tie for the greatest or the least share its
cotangent equally. `scatter_multiply` has no derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc import dtypes
from graphc.arithmetic import filled, zeros_like
from graphc.dtypes import as_dtype
from graphc.node import Node
from graphc.op import Op, Scatter, find
from graphc.ops.comparison import equal, less
from graphc.ops.conversion import cast, where
from graphc.ops.declare import Array
from graphc.ops.gather import accumulated, scatter_op
from graphc.ops.leaves import iota
from graphc.ops.type_rules import ANY
from graphc.ops.views import reshaped

# --- references ----------------------------------------------------------------------------------


def _last(data: Array, places: Any, updates: Array) -> Array:
    """Replace elements by the last update of each; NumPy promises no order of its own."""
    winner = np.full(data.shape, -1, np.int64)
    np.maximum.at(winner, places, np.arange(updates.size).reshape(updates.shape))
    return np.where(winner < 0, data, updates.reshape(-1)[winner])


def _extreme(ufunc: np.ufunc, start: float) -> Callable[[Array, Any, Array], Array]:
    """Make the reference of an extreme: NaN propagates, and +0.0 is above -0.0."""
    at = accumulated(ufunc)

    def combined(data: Array, places: Any, updates: Array) -> Array:
        dtype = as_dtype(data.dtype)
        if not dtype.is_float:
            return at(data, places, updates)
        wide, new = (a.astype(dtype.compute.numpy) for a in (data, updates))
        signs = at(_zero_signs(wide, start), places, _zero_signs(new, start))
        found = at(wide, places, new)
        return np.where(found == 0, np.copysign(0.0, signs), found).astype(data.dtype)

    return combined


def _zero_signs(x: Array, others: float) -> Array:
    return np.where(x == 0, np.copysign(1.0, x), others)


# --- derivatives ---------------------------------------------------------------------------------


def _op_like(node: Node, name: str) -> Op:
    """Return the op called `name` in the form that `node` has: along one axis or not."""
    assert isinstance(node.op.lowering, Scatter)
    op = find(f"{name}_along_axis" if node.op.lowering.along_axis else name)
    assert op is not None
    return op


def _set_derivative(node: Node, cotangent: Node) -> tuple[Node, None, Node]:
    """Give the cotangent of a place to the last update of it, or else to the data."""
    data, indices, updates = node.inputs
    take, greatest = _op_like(node, "take"), _op_like(node, "scatter_max")
    flat = iota(shape=(updates.type.size,), axis=0, dtype=dtypes.int64)
    numbers = reshaped(flat, updates.shape)
    none = filled(data.type.with_dtype(dtypes.int64), -1)
    winner = greatest(none, indices, numbers, **node.attributes)
    stays = less(winner, zeros_like(winner))
    wins = equal(take(winner, indices, **node.attributes), numbers)
    taken = take(cotangent, indices, **node.attributes)
    by_data = where(stays, cotangent, zeros_like(cotangent))
    return by_data, None, where(wins, taken, zeros_like(taken))


def _extreme_derivative(node: Node, cotangent: Node) -> tuple[Node, None, Node]:
    data, indices, updates = node.inputs
    take, add = _op_like(node, "take"), _op_like(node, "scatter_add")
    is_old = equal(data, node)
    is_new = equal(updates, take(node, indices, **node.attributes))
    old, new = (cast(x, dtype=node.type.dtype) for x in (is_old, is_new))
    share = cotangent / add(old, indices, new, **node.attributes)
    taken = take(share, indices, **node.attributes)
    by_data = where(is_old, share, zeros_like(share))
    return by_data, None, where(is_new, taken, zeros_like(taken))


# --- declarations --------------------------------------------------------------------------------

scatter_set, scatter_set_along_axis = (
    scatter_op(
        f"scatter_set{'_along_axis' if along_axis else ''}",
        None,
        _last,
        along_axis=along_axis,
        derivative=_set_derivative,
        kinds=ANY,
        summary="data with updates in the place of the elements that the take would read",
    )
    for along_axis in (False, True)
)
scatter_max, scatter_max_along_axis = (
    scatter_op(
        f"scatter_max{'_along_axis' if along_axis else ''}",
        "maximum",
        _extreme(np.maximum, -np.inf),
        along_axis=along_axis,
        derivative=_extreme_derivative,
        summary="data and the updates of each place: the greatest of them",
    )
    for along_axis in (False, True)
)
scatter_min, scatter_min_along_axis = (
    scatter_op(
        f"scatter_min{'_along_axis' if along_axis else ''}",
        "minimum",
        _extreme(np.minimum, np.inf),
        along_axis=along_axis,
        derivative=_extreme_derivative,
        summary="data and the updates of each place: the least of them",
    )
    for along_axis in (False, True)
)
scatter_multiply, scatter_multiply_along_axis = (
    scatter_op(
        f"scatter_multiply{'_along_axis' if along_axis else ''}",
        "multiply",
        accumulated(np.multiply),
        along_axis=along_axis,
        derivative=None,
        summary="data multiplied by the updates of each place",
    )
    for along_axis in (False, True)
)
