"""The greatest element of each window, whose derivative goes to one place.

`max_pool` is the maximum over `windows`, and differs from it in its derivative: of equal elements
of a window the first, in row-major order of its offsets, gets all of the cotangent (the derivative
of `max` shares it), and the first NaN if there is one.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from graphc import dtypes
from graphc.arithmetic import zeros_like
from graphc.node import Node
from graphc.op import Composition, Op
from graphc.ops.comparison import equal
from graphc.ops.conversion import where
from graphc.ops.declare import Array
from graphc.ops.leaves import iota
from graphc.ops.reductions import argmax, max_
from graphc.ops.type_rules import NUMERIC, check_kind
from graphc.ops.views import broadcast_to, reshaped
from graphc.ops.windows import pull_back_windows, windows, windows_rule
from graphc.tensor_type import Shape, TensorType


def _rule(x: TensorType, axes: Shape, sizes: Shape, strides: Shape, dilations: Shape) -> TensorType:
    check_kind("max_pool", x.dtype, NUMERIC)
    viewed = windows_rule(x, axes, sizes, strides, dilations)
    return viewed.with_shape(viewed.shape[: x.rank])


def _reference(
    x: Array, result: TensorType, axes: Shape, sizes: Shape, strides: Shape, dilations: Shape
) -> Array:
    """Compare, offset after offset, every stride-th element with the greatest so far."""
    found: Array | None = None
    for offset in itertools.product(*map(range, sizes)):
        part = x.astype(result.dtype.compute.numpy)
        for axis, o, stride, dilation in zip(axes, offset, strides, dilations, strict=True):
            places = o * dilation + stride * np.arange(result.shape[axis])
            part = np.take(part, places, axis=axis)
        if found is None:
            found = part
        else:
            plus = (part == found) & np.signbit(found)  # of zeros, +0.0 is the greater
            found = np.where(plus, part, np.maximum(found, part))
    assert found is not None
    return found.astype(result.dtype.numpy)


def _expand(node: Node) -> Node:
    viewed = windows(node.inputs[0], **node.attributes)
    rank = len(node.shape)
    return max_(viewed, axes=tuple(range(rank, len(viewed.shape))))


def _derivative(node: Node, cotangent: Node) -> tuple[Node]:
    viewed = windows(node.inputs[0], **node.attributes)
    rank = len(node.shape)
    flat = reshaped(viewed, (*node.shape, math.prod(viewed.shape[rank:])))
    if flat.type.size == 0:
        return (zeros_like(node.inputs[0]),)
    number = iota(shape=flat.shape, axis=rank, dtype=dtypes.int64)
    column = (*node.shape, 1)
    chosen = broadcast_to(reshaped(argmax(flat, axis=rank), column), shape=flat.shape)
    share = broadcast_to(reshaped(cotangent, column), shape=flat.shape)
    apart = where(equal(number, chosen), share, zeros_like(flat))
    return (pull_back_windows(viewed, reshaped(apart, viewed.shape)),)


max_pool = Op(
    name="max_pool",
    operands=("x",),
    attributes=("axes", "sizes", "strides", "dilations"),
    type_rule=_rule,
    reference=_reference,
    lowering=Composition(_expand),
    derivative=_derivative,
    kinds=NUMERIC,
    summary="the greatest element of each window",
)
