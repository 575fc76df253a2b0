"""How windows lie on axes, from what users write: sizes, strides, dilations and padding.

A number stands for every axis. Padding is "valid" (none), "same" (as many windows as elements
divided by the stride, rounded up; of an odd number of zeros the greater half goes after), a number
of elements on both sides, or for each axis a number or a pair (before, after).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from graphc.errors import GraphcError, GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend.operands import fail
from graphc.node import Node
from graphc.tensor_type import Shape

Extents: TypeAlias = "int | Sequence[int]"
Padding: TypeAlias = "str | int | Sequence[int | tuple[int, int]]"


@dataclass(frozen=True)
class Geometry:
    """The windows of an operation over neighbouring axes: a number for each axis."""

    sizes: Shape
    strides: Shape
    dilations: Shape
    low: Shape
    high: Shape

    def places(self, extents: Shape) -> Shape:
        """Return how many windows there are along axes of these extents."""
        lengths = (n + a + b for n, a, b in zip(extents, self.low, self.high, strict=True))
        return tuple(
            (length - reach) // stride + 1
            for length, reach, stride in zip(lengths, self.reaches, self.strides, strict=True)
        )

    @property
    def windows(self) -> dict[str, Shape]:
        """The attributes of an op over windows, but for its axes."""
        return {"sizes": self.sizes, "strides": self.strides, "dilations": self.dilations}

    @property
    def reaches(self) -> Shape:
        """From the first to the last element of a window, both counted."""
        return _reaches(self.sizes, self.dilations)


def _reaches(sizes: Shape, dilations: Shape) -> Shape:
    return tuple((k - 1) * d + 1 for k, d in zip(sizes, dilations, strict=True))


def geometry(
    name: str,
    node: Node,
    extents: Shape,
    sizes: Extents,
    strides: Extents,
    padding: Padding,
    dilations: Extents,
) -> Geometry:
    """Return the windows over axes of `extents` of `node`; `name` is what asks for them.

    Raises ShapeError where a window is longer than its padded axis.
    """
    rank = len(extents)
    size, step, dilation = (
        numbers(name, what, values, rank, node)
        for what, values in (("size", sizes), ("stride", strides), ("dilation", dilations))
    )
    reaches = _reaches(size, dilation)
    low, high = _padding(name, padding, extents, step, reaches, node)
    found = Geometry(size, step, dilation, low, high)
    for n, count in enumerate(found.places(extents)):
        if count < 1 and extents[n] + low[n] + high[n] < reaches[n]:
            fail(
                ShapeError,
                f"{name}: a window over {reaches[n]} elements is longer than the "
                f"{extents[n] + low[n] + high[n]} along axis {n} of those it goes over",
                [node],
                'padding="same" pads x as far as is needed' if extents[n] else "the axis is empty",
            )
    return found


def numbers(name: str, what: str, values: Any, rank: int, node: Node, least: int = 1) -> Shape:
    """Return `values` as `rank` integers of at least `least`; one number stands for all."""
    is_one = isinstance(values, str) or not isinstance(values, Sequence)
    given = [values] * rank if is_one else list(values)
    found = tuple(_integer(name, what, v, node) for v in given)
    if len(found) != rank:
        fail(ShapeError, f"{name}: {rank} axes have {rank} values of {what}, not {values}", [node])
    if min(found, default=least) < least:
        fail(GraphcValueError, f"{name}: the {what} is {least} or more, not {values}", [node])
    return found


def _integer(name: str, what: str, value: Any, node: Node) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except GraphcError:
        raise
    except TypeError:
        pass
    fail(GraphcTypeError, f"{name}: the {what} is an integer or one an axis, not {value!r}", [node])


def _padding(
    name: str, padding: Padding, extents: Shape, strides: Shape, reaches: Shape, node: Node
) -> tuple[Shape, Shape]:
    if padding == "valid":
        return (0,) * len(extents), (0,) * len(extents)
    if padding == "same":
        wanted = [
            max(0, (math.ceil(n / s) - 1) * s + reach - n)
            for n, s, reach in zip(extents, strides, reaches, strict=True)
        ]
        return tuple(n // 2 for n in wanted), tuple(n - n // 2 for n in wanted)
    return explicit_padding(name, padding, len(extents), node)


def explicit_padding(name: str, padding: Padding, rank: int, node: Node) -> tuple[Shape, Shape]:
    """Return what is padded before and after each axis, given as numbers or pairs of numbers."""
    if isinstance(padding, str):
        fail(
            GraphcValueError,
            f'{name}: padding is "same", "valid", a number, or numbers or pairs, not {padding!r}',
            [node],
        )
    given: list[Any] = list(padding) if isinstance(padding, Sequence) else [padding] * rank
    if len(given) != rank:
        fail(ShapeError, f"{name}: {rank} axes have {rank} paddings, not {padding}", [node])
    pairs = [numbers(name, "padding", side, 2, node, least=0) for side in given]
    return tuple(low for low, _ in pairs), tuple(high for _, high in pairs)
