"""Views: every element of the result is an element of the operand (or the padding) at another
place.

Their lowerings are index maps, so they cost nothing of their own.
"""

from __future__ import annotations

import math

import numpy as np

from graphc import dtypes
from graphc.arithmetic import filled, zeros_like
from graphc.errors import GraphcIndexError, ShapeError
from graphc.index import ZERO, Index, as_index, delinearise, linearise
from graphc.node import Node, constant_value, is_constant
from graphc.op import Guarded, Op, View
from graphc.ops.conversion import where
from graphc.ops.declare import Array
from graphc.ops.pairs import paired, parts
from graphc.ops.type_rules import check_same
from graphc.tensor_type import Shape, TensorType

Indices = tuple[Index, ...]
_Triple = tuple[int, ...]


def reshaped(node: Node, shape: Shape) -> Node:
    """Return `node` in another shape of as many elements; itself if it has that shape."""
    return node if node.shape == shape else reshape(node, shape=shape)


def total(node: Node, axes: tuple[int, ...]) -> Node:
    """Return the sum over `axes`; the node itself if there are none."""
    from graphc.ops.reductions import sum_  # the two modules need each other

    return sum_(node, axes=axes) if axes else node


# --- broadcast_to --------------------------------------------------------------------------------


def _broadcast_rule(x: TensorType, shape: Shape) -> TensorType:
    kept = shape[len(shape) - x.rank :]
    fits = len(kept) == x.rank and all(a in (1, b) for a, b in zip(x.shape, kept, strict=True))
    if not fits:
        raise ShapeError(f"broadcast_to: the shape {x.shape} does not broadcast to {shape}")
    return x.with_shape(shape)


def _broadcast_source(node: Node, indices: Indices) -> Indices:
    shape = node.inputs[0].shape
    kept = indices[len(indices) - len(shape) :]
    return tuple(ZERO if n == 1 else i for n, i in zip(shape, kept, strict=True))


def _broadcast_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    shape = node.inputs[0].shape
    new = len(node.shape) - len(shape)
    stretched = [new + a for a, n in enumerate(shape) if n != node.shape[new + a]]
    summed = total(cotangent, (*range(new), *stretched))
    return (reshaped(summed, shape),)


def _broadcast_batch(node: Node, operands: tuple[Node, ...]) -> Node:
    (x,) = operands
    new = len(node.shape) - len(node.inputs[0].shape)
    aligned = reshaped(x, (x.shape[0], *(1,) * new, *x.shape[1:]))
    return broadcast_to(aligned, shape=(x.shape[0], *node.shape))


def _broadcast_pairs(node: Node, operands: tuple[Node, ...]) -> Node:
    return broadcast_to(*operands, shape=(*node.shape, 2))


broadcast_to = Op(
    name="broadcast_to",
    operands=("x",),
    attributes=("shape",),
    type_rule=_broadcast_rule,
    reference=lambda x, result, shape: np.broadcast_to(x, shape),
    lowering=View(_broadcast_source),
    derivative=_broadcast_derivative,
    batch=_broadcast_batch,
    on_pairs=_broadcast_pairs,
    summary="x repeated along new leading axes and along axes of extent 1",
)

# --- reshape, permute_dims -----------------------------------------------------------------------


def _reshape_rule(x: TensorType, shape: Shape) -> TensorType:
    if math.prod(shape) != x.size:
        raise ShapeError(f"reshape: {x.shape} has {x.size} elements, {shape} {math.prod(shape)}")
    return x.with_shape(shape)


def _reshape_source(node: Node, indices: Indices) -> Indices:
    return delinearise(linearise(indices, node.shape), node.inputs[0].shape)


def _permute_rule(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    if sorted(axes) != list(range(x.rank)):
        raise GraphcIndexError(f"permute_dims: {axes} is no permutation of {x.rank} axes")
    return x.with_shape(tuple(x.shape[a] for a in axes))


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axes.index(a) for a in range(len(axes)))


def _permute_source(node: Node, indices: Indices) -> Indices:
    return tuple(indices[i] for i in _inverse(node.attributes["axes"]))


def _permute_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    return (permute_dims(cotangent, axes=_inverse(node.attributes["axes"])),)


def _reshape_batch(node: Node, operands: tuple[Node, ...]) -> Node:
    return reshaped(operands[0], (operands[0].shape[0], *node.shape))


def _permute_batch(node: Node, operands: tuple[Node, ...]) -> Node:
    return permute_dims(operands[0], axes=(0, *(a + 1 for a in node.attributes["axes"])))


def _reshape_pairs(node: Node, operands: tuple[Node, ...]) -> Node:
    return reshape(*operands, shape=(*node.shape, 2))


def _permute_pairs(node: Node, operands: tuple[Node, ...]) -> Node:
    return permute_dims(*operands, axes=(*node.attributes["axes"], len(node.shape)))


reshape = Op(
    name="reshape",
    operands=("x",),
    attributes=("shape",),
    type_rule=_reshape_rule,
    reference=lambda x, result, shape: np.reshape(x, shape),
    lowering=View(_reshape_source),
    derivative=lambda node, cotangent: (reshaped(cotangent, node.inputs[0].shape),),
    batch=_reshape_batch,
    on_pairs=_reshape_pairs,
    summary="the same elements in row-major order in another shape",
)
permute_dims = Op(
    name="permute_dims",
    operands=("x",),
    attributes=("axes",),
    type_rule=_permute_rule,
    reference=lambda x, result, axes: np.transpose(x, axes),
    lowering=View(_permute_source),
    derivative=_permute_derivative,
    batch=_permute_batch,
    on_pairs=_permute_pairs,
    summary="the axes in another order",
)

# --- slice ---------------------------------------------------------------------------------------


def _slice_rule(x: TensorType, start: _Triple, stop: _Triple, step: _Triple) -> TensorType:
    if not len(start) == len(stop) == len(step) == x.rank:
        raise ShapeError(f"slice: start, stop and step name {x.rank} axes each")
    ranges = [_range(*bounds) for bounds in zip(start, stop, step, strict=True)]
    for axis, (places, extent) in enumerate(zip(ranges, x.shape, strict=True)):
        if places and not (0 <= places[0] < extent and 0 <= places[-1] < extent):
            raise GraphcIndexError(f"slice: {places} leaves axis {axis} of extent {extent}")
    return x.with_shape(tuple(map(len, ranges)))


def _range(start: int, stop: int, step: int) -> range:
    if step == 0:
        raise GraphcIndexError("slice: the step is zero")
    return range(start, stop, step)


def _slice_reference(
    x: Array, result: TensorType, start: _Triple, stop: _Triple, step: _Triple
) -> Array:
    places = [np.arange(*bounds) for bounds in zip(start, stop, step, strict=True)]
    return x[np.ix_(*places)]


def _slice_source(node: Node, indices: Indices) -> Indices:
    start, step = node.attributes["start"], node.attributes["step"]
    return tuple(i * k + a for i, a, k in zip(indices, start, step, strict=True))


def _slice_derivative(node: Node, cotangent: Node) -> tuple[Node]:
    """Put the cotangent back: turned forwards, spread by the step, surrounded by zeros."""
    operand = node.inputs[0]
    if 0 in node.shape:
        return (zeros_like(operand),)
    start, step = node.attributes["start"], node.attributes["step"]
    last = tuple(a + (n - 1) * k for a, n, k in zip(start, node.shape, step, strict=True))
    first = tuple(map(min, start, last))
    apart = spread(_forwards(cotangent, step), tuple(map(abs, step)))
    high = tuple(n - f - m for n, f, m in zip(operand.shape, first, apart.shape, strict=True))
    return (padded(apart, first, high),)


def _forwards(node: Node, step: _Triple) -> Node:
    if all(k > 0 for k in step):
        return node
    pairs = tuple(zip(node.shape, step, strict=True))
    start = tuple(n - 1 if k < 0 else 0 for n, k in pairs)
    stop = tuple(-1 if k < 0 else n for n, k in pairs)
    return slice_(node, start=start, stop=stop, step=tuple(-1 if k < 0 else 1 for k in step))


def spread(node: Node, step: _Triple) -> Node:
    """Return `node` with step - 1 zeros between neighbours along each axis."""
    if all(k == 1 for k in step):
        return node
    shape = node.shape
    columns = reshaped(node, tuple(e for n in shape for e in (n, 1)))
    gaps = tuple(e for k in step for e in (0, k - 1))
    wide = padded(columns, (0,) * len(gaps), gaps)
    merged = reshaped(wide, tuple(n * k for n, k in zip(shape, step, strict=True)))
    used = tuple((n - 1) * k + 1 for n, k in zip(shape, step, strict=True))
    return cut(merged, (0,) * len(shape), used)


def cut(node: Node, start: Shape, shape: Shape) -> Node:
    """Return the block of `shape` that begins at `start`."""
    if node.shape == shape:
        return node
    stop = tuple(a + n for a, n in zip(start, shape, strict=True))
    return slice_(node, start=start, stop=stop, step=(1,) * len(shape))


def padded(node: Node, low: Shape, high: Shape) -> Node:
    """Return `node` with zeros before and after; itself where there are none to add."""
    if not any(low) and not any(high):
        return node
    return pad(node, filled(node.type.with_shape(()), 0), low=low, high=high)


def _slice_batch(node: Node, operands: tuple[Node, ...]) -> Node:
    whole = {"start": 0, "stop": operands[0].shape[0], "step": 1}
    return slice_(operands[0], **{k: (first, *node.attributes[k]) for k, first in whole.items()})


def _slice_pairs(node: Node, operands: tuple[Node, ...]) -> Node:
    whole = {"start": 0, "stop": 2, "step": 1}
    return slice_(*operands, **{k: (*node.attributes[k], last) for k, last in whole.items()})


slice_ = Op(
    name="slice",
    operands=("x",),
    attributes=("start", "stop", "step"),
    type_rule=_slice_rule,
    reference=_slice_reference,
    lowering=View(_slice_source),
    derivative=_slice_derivative,
    batch=_slice_batch,
    on_pairs=_slice_pairs,
    summary="the elements at range(start, stop, step) of each axis",
)

# --- pad -----------------------------------------------------------------------------------------


def _pad_rule(x: TensorType, value: TensorType, low: Shape, high: Shape) -> TensorType:
    check_same("pad", x.with_shape(()), value)
    if not len(low) == len(high) == x.rank or min((0, *low, *high)) < 0:
        raise ShapeError(f"pad: low and high count elements for {x.rank} axes, not {low}, {high}")
    return x.with_shape(tuple(a + n + b for a, n, b in zip(low, x.shape, high, strict=True)))


def _pad_reference(x: Array, value: Array, result: TensorType, low: Shape, high: Shape) -> Array:
    padded_array = np.full(result.shape, value)
    inside = tuple(slice(a, a + n) for a, n in zip(low, x.shape, strict=True))
    padded_array[inside] = x
    return padded_array


def _pad_source(node: Node, indices: Indices) -> Indices:
    return tuple(i - a for i, a in zip(indices, node.attributes["low"], strict=True))


def _pad_inside(node: Node, indices: Indices) -> tuple[tuple[Index, Index], ...]:
    low, high = node.attributes["low"], node.attributes["high"]
    conditions: list[tuple[Index, Index]] = []
    for i, a, b, n in zip(indices, low, high, node.inputs[0].shape, strict=True):
        if a:
            conditions.append((as_index(a - 1), i))
        if b:
            conditions.append((i, as_index(a + n)))
    return tuple(conditions)


def _pad_derivative(node: Node, cotangent: Node) -> tuple[Node, Node]:
    x, attributes = node.inputs[0], node.attributes
    outside = _outside(x.shape, attributes["low"], attributes["high"])
    of_value = total(
        where(outside, cotangent, zeros_like(cotangent)), tuple(range(len(node.shape)))
    )
    return cut(cotangent, attributes["low"], x.shape), of_value


def _pad_batch(node: Node, operands: tuple[Node, ...]) -> Node:
    """Pad with one value where that is all there is; else put the values outside by `where`."""
    x, values = operands
    low, high = ((0, *node.attributes[k]) for k in ("low", "high"))
    if values.op is broadcast_to and not values.inputs[0].shape:
        return pad(x, values.inputs[0], low=low, high=high)
    outside = _outside(x.shape, low, high)
    column = reshaped(values, (values.shape[0], *(1,) * len(node.shape)))
    inside = pad(x, filled(x.type.with_shape(()), 0), low=low, high=high)
    return where(outside, broadcast_to(column, shape=inside.shape), inside)


def _outside(shape: Shape, low: Shape, high: Shape) -> Node:
    false, true = (filled(TensorType(s, dtypes.bool_), v) for s, v in ((shape, False), ((), True)))
    return pad(false, true, low=low, high=high)


def _pad_pairs(node: Node, operands: tuple[Node, ...]) -> Node:
    """Pad with one number where both parts of the value are one; else each part with its own."""
    x, value = operands
    low, high = (node.attributes[k] for k in ("low", "high"))
    if _is_twice_the_same(node.inputs[1]):
        return pad(x, parts(value)[0], low=(*low, 0), high=(*high, 0))
    both = zip(parts(x), parts(value), strict=True)
    return paired(*(pad(part, edge, low=low, high=high) for part, edge in both))


def _is_twice_the_same(value: Node) -> bool:
    """Whether real and imaginary part are known to have the same bits, as those of 0."""
    if not is_constant(value):
        return False
    array = constant_value(value)
    return array.real.tobytes() == array.imag.tobytes()


pad = Op(
    name="pad",
    operands=("x", "value"),
    attributes=("low", "high"),
    type_rule=_pad_rule,
    reference=_pad_reference,
    lowering=Guarded(_pad_source, _pad_inside),
    derivative=_pad_derivative,
    batch=_pad_batch,
    on_pairs=_pad_pairs,
    summary="x surrounded by a value: low elements before and high after it, along each axis",
)
