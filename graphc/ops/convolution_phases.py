"""What a convolution is lowered to: contractions over windows of the padded x.

Where x is spread, places in turn meet different elements of w: each such *phase* is a contraction
of its own, over the elements of x alone, and the results are interleaved. Weights, windows and
interleaving are views; what is stored is the padded x, unless nothing is padded, and the results.
Their labels are those of `graphc.ops.convolution`.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd, prod
from typing import Any

from graphc.arithmetic import filled, zeros_like
from graphc.node import Node
from graphc.ops.concatenation import concat
from graphc.ops.contraction import contraction
from graphc.ops.views import cut, padded, permute_dims, reshaped, slice_, spread
from graphc.ops.windows import windows
from graphc.tensor_type import Shape

MOST_PARTS = 16  # contractions that a convolution of a spread x becomes


def digits_of(labels: str) -> str:
    """Return the labels that are digits, in ascending order."""
    return "".join(sorted(filter(str.isdigit, labels)))


@dataclass(frozen=True)
class _Phase:
    """Every `turns`-th place along an axis: those whose windows meet the same elements of w.

    `begin` is where the first window begins, counted in elements of x; the windows are `stride`
    elements of x apart, and hold `size` elements `dilation` apart, which meet those of w that
    `first` and `turn` name.
    """

    begin: int
    stride: int
    dilation: int
    first: int
    turn: int
    size: int

    def end(self, count: int) -> int:
        """Return where the last of `count` windows ends."""
        return self.begin + (count - 1) * self.stride + (self.size - 1) * self.dilation + 1


def _phases(number: int, size: int, given: Mapping[str, Shape]) -> tuple[_Phase, ...]:
    """Return the phases along digit `number`: one, unless x is spread there."""
    step, apart, low, spread_by = (
        given[name][number] for name in ("strides", "dilations", "low", "x_dilations")
    )
    turns, turn = spread_by // gcd(step, spread_by), spread_by // gcd(apart, spread_by)
    found = []
    for place in range(turns):
        begin = place * step - low
        met = [o for o in range(size) if (begin + o * apart) % spread_by == 0]
        first = met[0] if met else 0
        found.append(
            _Phase(
                (begin + first * apart) // spread_by,
                turns * step // spread_by,
                turn * apart // spread_by,
                first,
                turn,
                len(met),
            )
        )
    return tuple(found)


def expand_convolution(node: Node) -> Node:
    """Return the contraction over windows of the padded x.

    Of a spread x only the elements are read: there is a contraction for each phase of each axis,
    and their results are put together. Where these would be many the zeros between are read.
    """
    a, (x, w) = dict(node.attributes), node.inputs
    digits = digits_of(a["lhs"])
    if count_parts(a) > MOST_PARTS:
        steps = [1] * len(x.shape)
        for digit, step in zip(digits, a["x_dilations"], strict=True):
            steps[a["lhs"].index(digit)] = step
        x = x if 0 in x.shape else spread(x, tuple(steps))
        a["x_dilations"] = (1,) * len(digits)
    axes = [_phases(n, w.shape[a["rhs"].index(digit)], a) for n, digit in enumerate(digits)]
    places = [node.shape[a["out"].index(digit)] for digit in digits]
    counts = tuple(-(-n // len(phases)) for n, phases in zip(places, axes, strict=True))
    if node.type.size == 0:
        return zeros_like(node)
    parts = _Parts(x, w, a, counts, axes)
    return _interleaved(node, [parts.result(chosen) for chosen in product(*axes)], counts, axes)


def count_parts(given: Mapping[str, Any]) -> int:
    """Return how many phases the axes of a convolution have together."""
    pairs = zip(given["strides"], given["x_dilations"], strict=True)
    return prod(spread_by // gcd(step, spread_by) for step, spread_by in pairs)


class _Parts:
    """Makes the contractions of all phases from one padded x."""

    def __init__(
        self,
        x: Node,
        w: Node,
        attributes: Mapping[str, Any],
        counts: Shape,
        axes: Sequence[tuple[_Phase, ...]],
    ) -> None:
        self.w, self.counts, self.given = w, counts, attributes
        self.digits = digits_of(attributes["lhs"])
        self.axes = [attributes["lhs"].index(d) for d in self.digits]
        low, high = [0] * len(x.shape), [0] * len(x.shape)
        for axis, count, phases in zip(self.axes, counts, axes, strict=True):
            low[axis] = max(0, *(-p.begin for p in phases))
            high[axis] = max(0, *(p.end(count) - x.shape[axis] for p in phases))
        self.low = low
        self.padded = padded(x, tuple(low), tuple(high))

    def result(self, chosen: Sequence[_Phase]) -> Node:
        """Return the contraction of one phase of each axis."""
        if any(phase.size == 0 for phase in chosen):
            extents = dict(zip(self.given["rhs"], self.w.shape, strict=True))
            extents |= dict(zip(self.given["lhs"], self.padded.shape, strict=True))
            extents |= dict(zip(self.digits, self.counts, strict=True))
            shape = tuple(extents[label] for label in self.given["out"])
            return filled(self.padded.type.with_shape(shape), 0)
        return _contract(self.windows(chosen), self.weights(chosen), self.given)

    def windows(self, chosen: Sequence[_Phase]) -> Node:
        """Return the windows that the phases read, each axis of offsets after that of places."""
        start, shape = [0] * len(self.padded.shape), list(self.padded.shape)
        for axis, count, phase in zip(self.axes, self.counts, chosen, strict=True):
            start[axis] = self.low[axis] + phase.begin
            shape[axis] = phase.end(count) - phase.begin
        read = cut(self.padded, tuple(start), tuple(shape))
        order = sorted(range(len(chosen)), key=lambda n: self.axes[n])
        viewed = windows(
            read,
            axes=tuple(self.axes[n] for n in order),
            sizes=tuple(chosen[n].size for n in order),
            strides=tuple(chosen[n].stride for n in order),
            dilations=tuple(chosen[n].dilation for n in order),
        )
        offsets = {self.axes[n]: len(shape) + place for place, n in enumerate(order)}
        together = ((axis, offsets.get(axis)) for axis in range(len(shape)))
        return permute_dims(
            viewed, axes=tuple(e for pair in together for e in pair if e is not None)
        )

    def weights(self, chosen: Sequence[_Phase]) -> Node:
        """Return those elements of w that the phases meet."""
        start, step, stop = [0] * len(self.w.shape), [1] * len(self.w.shape), list(self.w.shape)
        for digit, phase in zip(self.digits, chosen, strict=True):
            axis = self.given["rhs"].index(digit)
            start[axis], step[axis] = phase.first, phase.turn
        if not any(start) and set(step) <= {1}:
            return self.w
        return slice_(self.w, start=tuple(start), stop=tuple(stop), step=tuple(step))


def _contract(viewed: Node, w: Node, given: Mapping[str, Any]) -> Node:
    """Return the contraction of windows with w; a digit labels places, and offsets."""
    digits, labels = digits_of(given["lhs"]), given["lhs"] + given["rhs"]
    free = [s for s in string.ascii_letters if s not in labels][: 2 * len(digits)]
    place, offset = free[: len(digits)], free[len(digits) :]
    both = {ord(d): p + o for d, p, o in zip(digits, place, offset, strict=True)}
    return contraction(
        viewed,
        w,
        lhs=given["lhs"].translate(both),
        rhs=given["rhs"].translate(str.maketrans(digits, "".join(offset))),
        out=given["out"].translate(str.maketrans(digits, "".join(place))),
    )


def _interleaved(
    node: Node, parts: list[Node], counts: Shape, axes: Sequence[tuple[_Phase, ...]]
) -> Node:
    """Return the results of all phases, their places in turn, as the convolution `node`."""
    if len(parts) == 1:
        return parts[0]
    turns = tuple(map(len, axes))
    shape = parts[0].shape
    stacked = concat(*(reshaped(part, (1, *shape)) for part in parts), axis=0)
    apart = reshaped(stacked, (*turns, *shape))
    digits = digits_of(node.attributes["lhs"])
    order: list[int] = []
    for axis, label in enumerate(node.attributes["out"]):
        turn = (digits.index(label),) if label in digits else ()
        order.extend((len(turns) + axis, *turn))
    wide = dict(zip(digits, (c * t for c, t in zip(counts, turns, strict=True)), strict=True))
    labels = zip(node.attributes["out"], shape, strict=True)
    joined = tuple(wide.get(label, extent) for label, extent in labels)
    together = reshaped(permute_dims(apart, axes=tuple(order)), joined)
    return cut(together, (0,) * len(joined), node.shape)
