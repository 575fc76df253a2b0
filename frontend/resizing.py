"""Resizing of images and other grids: nearest and linear interpolation along the spatial axes.

Tensors have the channels last; `channels_first` says that x is (batch, channels, spatial axes…).
The axes are resized one after the other.
"""

from __future__ import annotations

import numpy as np

from graphc.errors import GraphcValueError, ShapeError
from graphc.frontend import indexing, shapes
from graphc.frontend.composites import as_float
from graphc.frontend.operands import as_node, fail
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.window_geometry import Extents, numbers

__all__ = ["resize"]

# The methods, and the number of axes over which one is called so.
METHODS = {"nearest": None, "linear": None, "bilinear": 2, "trilinear": 3}


def resize(
    x: TensorLike,
    sizes: Extents,
    method: str = "nearest",
    *,
    align_corners: bool = False,
    channels_first: bool = False,
) -> Tensor:
    """Return x with its spatial axes resized to `sizes`.

    "nearest" takes element floor(i n / size) of n for place i. "linear", also called "bilinear"
    over two axes and "trilinear" over three, interpolates between the two nearest elements: those
    of place i lie around (i + 1/2) n / size - 1/2, pixels being squares, or with `align_corners`
    around i (n - 1) / (size - 1), so that the ends stay. Beyond the ends it takes the end.

    >>> from graphc.frontend import input
    >>> resize(input((8, 14, 14, 3)), (28, 30), "linear").shape
    (8, 28, 30, 3)
    """
    node = as_node(x)
    rank = len(node.shape)
    if rank < 3:
        fail(ShapeError, f"resize: x is (batch, spatial…, channels), not {node.shape}", [node])
    if method not in METHODS or METHODS[method] not in (rank - 2, None):
        known = ", ".join(f'"{m}"' for m, axes in METHODS.items() if axes in (rank - 2, None))
        fail(GraphcValueError, f"resize: the method is one of {known}, not {method!r}", [node])
    if align_corners and method == "nearest":
        fail(GraphcValueError, 'resize: align_corners is for the method "linear"', [node])
    axes = range(2, rank) if channels_first else range(1, rank - 1)
    wanted = numbers("resize", "size", sizes, len(axes), node)
    for axis in axes:
        if not node.shape[axis]:
            fail(ShapeError, f"resize: axis {axis} of {node.shape} has no elements", [node])
    if method == "nearest":
        tensor = Tensor(node)
        for axis, size in zip(axes, wanted, strict=True):
            tensor = _nearest(tensor, axis, size)
        return tensor
    tensor, result = as_float(Tensor(node))
    for axis, size in zip(axes, wanted, strict=True):
        tensor = _linear(tensor, axis, size, align_corners)
    return tensor.astype(result)


def _nearest(x: Tensor, axis: int, size: int) -> Tensor:
    extent = x.shape[axis]
    if size % extent == 0:
        return _repeated(x, axis, size // extent)
    return indexing.take(x, np.arange(size) * extent // size, axis=axis)


def _repeated(x: Tensor, axis: int, times: int) -> Tensor:
    """Return x with each element `times` times along `axis`: an index map alone."""
    wide = shapes.expand_dims(x, axis + 1)
    shape = (*wide.shape[: axis + 1], times, *wide.shape[axis + 2 :])
    return shapes.reshape(shapes.broadcast_to(wide, shape), (*shape[:axis], -1, *shape[axis + 2 :]))


def _linear(x: Tensor, axis: int, size: int, align_corners: bool) -> Tensor:
    extent = x.shape[axis]
    if size == extent:
        return x
    if align_corners:
        place = np.arange(size) * ((extent - 1) / max(size - 1, 1))
    else:
        place = np.clip((np.arange(size) + 0.5) * (extent / size) - 0.5, 0, extent - 1)
    low = np.minimum(place.astype(np.int64), extent - 1)
    high = np.minimum(low + 1, extent - 1)
    share = (place - low).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    near, far = (indexing.take(x, elements, axis=axis) for elements in (low, high))
    weight = share.astype(x.dtype.numpy)
    return near * (1 - weight) + far * weight
