"""The convolution: a contraction of windows of x with w, of which every layer's is a special case.

Axes are labelled as those of a contraction, with one addition: a digit labels an axis of x over
which windows go, in w the offsets inside a window, in the result the places of the windows. So a
convolution of pictures with the channels last is `b01c` with `01co` to `b01o`, one in groups
`b01gc` with `01cgo` to `b01go`. As usual in this field w is not flipped.

    result[p] = sum over o of padded(spread(x))[p * stride + o * dilation] * w[o]

Along each digit, ascending, x is first spread by `x_dilations` (so many steps from one element to
the next, zeros between), and then gets `low` zeros before it and `high` after it, or loses as many
elements where they are negative; `strides` and `dilations` are those of the windows. Zeros that are
whole steps of `x_dilations` away from elements take part as any other number does. Those between
do not, so an infinity of w is not multiplied by them, unless `strides` and `x_dilations` make more
than MOST_PARTS phases (`graphc.ops.convolution_phases`). Both derivatives are convolutions again.
"""

from __future__ import annotations

import string
from collections.abc import Mapping

import numpy as np

from graphc.arithmetic import zeros_like
from graphc.errors import GraphcTypeError, ShapeError
from graphc.node import Node
from graphc.op import Composition, Op
from graphc.ops.convolution_phases import (
    MOST_PARTS,
    count_parts,
    digits_of,
    expand_convolution,
)
from graphc.ops.declare import Array
from graphc.ops.type_rules import NUMERIC, check_kind
from graphc.ops.views import slice_
from graphc.ops.windows import places
from graphc.tensor_type import Shape, TensorType

_GEOMETRY = ("strides", "low", "high", "dilations", "x_dilations")


def spread_extent(extent: int, step: int) -> int:
    """Return the extent of an axis whose elements are `step` apart."""
    return max(0, (extent - 1) * step + 1)


# --- type ----------------------------------------------------------------------------------------


def _rule(x: TensorType, w: TensorType, lhs: str, rhs: str, out: str, **given: Shape) -> TensorType:
    check_kind("convolution", x.dtype, NUMERIC)
    if x.dtype is not w.dtype:
        raise GraphcTypeError(
            f"convolution takes operands of one dtype, not {x.dtype} and {w.dtype}",
            hint="cast one of them",
        )
    _check_labels(lhs, rhs, out)
    _check_geometry(len(digits_of(lhs)), given)
    left, right = _extents(lhs, x, "x"), _extents(rhs, w, "w")
    for label in set(left) & set(right):
        if not label.isdigit() and left[label] != right[label]:
            raise ShapeError(
                f"convolution: {label!r} labels the extents {left[label]} of x, {right[label]} of w"
            )
    result = right | left
    for n, digit in enumerate(digits_of(lhs)):
        if not right[digit]:
            raise ShapeError(f"convolution: {w.shape} has no elements along an axis of windows")
        whole = spread_extent(left[digit], given["x_dilations"][n])
        whole += given["low"][n] + given["high"][n]
        result[digit] = places(whole, right[digit], given["strides"][n], given["dilations"][n])
    return x.with_shape(tuple(result[label] for label in out))


def _extents(labels: str, operand: TensorType, name: str) -> dict[str, int]:
    if len(labels) != operand.rank:
        raise ShapeError(f"convolution: {labels!r} does not label {name} of shape {operand.shape}")
    return dict(zip(labels, operand.shape, strict=True))


def _check_labels(lhs: str, rhs: str, out: str) -> None:
    for labels in (lhs, rhs, out):
        if len(set(labels)) != len(labels) or digits_of(labels) != digits_of(lhs):
            raise ShapeError(
                f"convolution: {lhs!r}, {rhs!r}, {out!r} have each label once, digits in all three"
            )
    once = (set(lhs) ^ set(rhs)) - set(out)
    if once or set(out) - set(lhs) - set(rhs):
        raise ShapeError(f"convolution: a label of {lhs!r}, {rhs!r}, {out!r} is in one of them")


def _check_geometry(rank: int, given: Mapping[str, Shape]) -> None:
    if any(len(given[name]) != rank for name in _GEOMETRY):
        raise ShapeError(f"convolution: {', '.join(_GEOMETRY)} are numbers for {rank} axes")
    if min((1, *given["strides"], *given["dilations"], *given["x_dilations"])) < 1:
        raise ShapeError("convolution: strides and dilations are 1 or more")


# --- reference -----------------------------------------------------------------------------------


def _reference(
    x: Array, w: Array, result: TensorType, lhs: str, rhs: str, out: str, **given: Shape
) -> Array:
    """Add up, for each offset, the product of every stride-th element of x with one of w."""
    dtype, digits = result.dtype, digits_of(lhs)
    wide = np.float64 if dtype.is_float else dtype.numpy
    apart = _zero_stuffed(x.astype(wide), [lhs.index(d) for d in digits], given)
    weights = np.moveaxis(w.astype(wide), [rhs.index(d) for d in digits], range(len(digits)))
    letters = str.maketrans(digits, string.ascii_uppercase[: len(digits)])
    equation = f"{lhs.translate(letters)},{rhs.translate(str.maketrans('', '', digits))}"
    equation += f"->{out.translate(letters)}"
    total = np.zeros(result.shape, wide)
    with np.errstate(all="ignore"):
        for offset in np.ndindex(*weights.shape[: len(digits)]):
            part, takes_part = apart, np.ones((1,) * total.ndim, bool)
            for n, digit in enumerate(digits):
                axis = out.index(digit)
                places = np.arange(result.shape[axis]) * given["strides"][n]
                places += offset[n] * given["dilations"][n]
                part = np.take(part, places, axis=lhs.index(digit))
                steps = (places - given["low"][n]) % given["x_dilations"][n] == 0
                along = [-1 if a == axis else 1 for a in range(total.ndim)]
                takes_part = takes_part & steps.reshape(along)
            takes_part |= count_parts(given) > MOST_PARTS
            total += np.where(takes_part, np.einsum(equation, part, weights[offset]), 0)
        return total.astype(dtype.compute.numpy).astype(dtype.numpy)


def _zero_stuffed(x: Array, axes: list[int], given: Mapping[str, Shape]) -> Array:
    """Return x spread and padded along `axes`."""
    for n, axis in enumerate(axes):
        step, low, high = (given[name][n] for name in ("x_dilations", "low", "high"))
        moved = np.moveaxis(x, axis, 0)
        extent = max(0, (len(moved) - 1) * step + 1) + low + high
        longer = np.zeros((max(0, extent), *moved.shape[1:]), x.dtype)
        for number, element in enumerate(moved):
            if 0 <= number * step + low < extent:
                longer[number * step + low] = element
        x = np.moveaxis(longer, 0, axis)
    return x


# --- derivative ----------------------------------------------------------------------------------


def _derivative(node: Node, cotangent: Node) -> tuple[Node, Node]:
    x, w = node.inputs
    if 0 in (x.type.size, w.type.size, node.type.size):
        return zeros_like(x), zeros_like(w)
    return _of_x(node, cotangent), _of_w(node, cotangent)


def _of_x(node: Node, cotangent: Node) -> Node:
    """Return the convolution of the spread cotangent with the flipped w."""
    a, w = node.attributes, node.inputs[1]
    low, high = [], []
    for n, digit in enumerate(digits_of(a["lhs"])):
        extent, size, count = _along(node, digit)
        reach = (size - 1) * a["dilations"][n]
        low.append(reach - a["low"][n])
        whole = spread_extent(extent, a["x_dilations"][n])
        high.append(whole + reach - low[-1] - spread_extent(count, a["strides"][n]))
    return convolution(
        cotangent,
        _flipped(w, a["rhs"]),
        lhs=a["out"], rhs=a["rhs"], out=a["lhs"],
        strides=a["x_dilations"], low=tuple(low), high=tuple(high),
        dilations=a["dilations"], x_dilations=a["strides"],
    )  # fmt: skip


def _of_w(node: Node, cotangent: Node) -> Node:
    """Return the convolution of x with the cotangent, whose places are the offsets."""
    a, x = node.attributes, node.inputs[0]
    high = []
    for n, digit in enumerate(digits_of(a["lhs"])):
        extent, size, count = _along(node, digit)
        needed = (size - 1) * a["dilations"][n] + spread_extent(count, a["strides"][n])
        high.append(needed - spread_extent(extent, a["x_dilations"][n]) - a["low"][n])
    return convolution(
        x,
        cotangent,
        lhs=a["lhs"], rhs=a["out"], out=a["rhs"],
        strides=a["dilations"], low=a["low"], high=tuple(high),
        dilations=a["strides"], x_dilations=a["x_dilations"],
    )  # fmt: skip


def _along(node: Node, digit: str) -> tuple[int, int, int]:
    """Return the extents of x, of w and of the result along a digit."""
    a, (x, w) = node.attributes, node.inputs
    return (
        x.shape[a["lhs"].index(digit)],
        w.shape[a["rhs"].index(digit)],
        node.shape[a["out"].index(digit)],
    )


def _flipped(w: Node, labels: str) -> Node:
    turned = [label.isdigit() for label in labels]
    pairs = list(zip(turned, w.shape, strict=True))
    return slice_(
        w,
        start=tuple(n - 1 if turn else 0 for turn, n in pairs),
        stop=tuple(-1 if turn else n for turn, n in pairs),
        step=tuple(-1 if turn else 1 for turn, _ in pairs),
    )


convolution: Op = Op(
    name="convolution",
    operands=("x", "w"),
    attributes=("lhs", "rhs", "out", *_GEOMETRY),
    type_rule=_rule,
    reference=_reference,
    lowering=Composition(expand_convolution),
    derivative=_derivative,
    kinds=NUMERIC,
    summary="sums of products of windows of x with w, over the labels that the result lacks",
)
