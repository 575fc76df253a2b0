"""Padding: elements put before and after a tensor along its axes.

Zeros and other constants are an index map with a guard; the modes that repeat elements of the
tensor itself take them from places that are known while the graph is built.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import indexing
from graphc.frontend.operands import apply, as_node, fail
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node

__all__ = ["pad"]

PAD_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


def pad(
    x: TensorLike, pad_width: Any, mode: str = "constant", constant_values: TensorLike = 0
) -> Tensor:
    """Return x with elements put before and after it along each axis.

    `pad_width` is one integer, a pair (before, after), or such a pair for each axis. `mode` is
    "constant", of which `constant_values` is one number, or as in NumPy "edge" (the element at the
    end again), "reflect" (mirrored there, which does not come twice), "symmetric" (it does), or
    "wrap" (those of the other end). Raises GraphcValueError for anything else.

    >>> import graphc
    >>> graphc.evaluate(graphc.pad([1, 2, 3], 2, mode="reflect"))
    array([3, 2, 1, 2, 3, 2, 1])
    """
    node = as_node(x)
    if mode not in PAD_MODES:
        known = ", ".join(f'"{known}"' for known in PAD_MODES)
        fail(GraphcValueError, f"pad: mode is one of {known}, not {mode!r}", [node])
    try:
        widths = np.broadcast_to(np.asarray(pad_width), (len(node.shape), 2))
    except ValueError:
        fail(ShapeError, f"pad: {pad_width} gives no pair for each axis of {node.shape}", [node])
    if widths.dtype.kind not in "iu" and widths.size:
        fail(GraphcTypeError, f"pad: widths are integers, not {pad_width!r}", [node])
    if (widths < 0).any():
        fail(
            GraphcValueError,
            f"pad: widths {pad_width} are negative",
            [node],
            "a slice removes elements",
        )
    if mode != "constant":
        return _pad_by_elements(node, widths, mode)
    value = as_node(constant_values, node.type.dtype)
    if value.shape:
        fail(ShapeError, f"pad: the value has the shape {value.shape}; a scalar is needed", [value])
    low, high = (tuple(int(w) for w in column) for column in widths.T)
    if not any(low + high):
        return Tensor(node)
    return Tensor(apply("pad", node, value, low=low, high=high))


def _pad_by_elements(node: Node, widths: np.ndarray[Any, Any], mode: str) -> Tensor:
    """Pad with elements of x itself: where each comes from is known."""
    tensor = Tensor(node)
    for axis, (low, high) in enumerate(widths.tolist()):
        if not low and not high:
            continue
        if not node.shape[axis]:
            fail(ShapeError, f"pad: axis {axis} has no elements, as {mode} needs them", [node])
        kind: Any = mode
        places = np.pad(np.arange(node.shape[axis]), (low, high), mode=kind)
        tensor = indexing.take(tensor, places, axis)
    return tensor
