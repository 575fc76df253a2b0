"""A search along a line for a step that satisfies the strong conditions of Wolfe.

A step t is taken where the value has fallen by a share of what the slope at 0 promised, and the
slope has become flat enough: f(t) <= f(0) + DECREASE t f'(0) and |f'(t)| <= CURVATURE |f'(0)|.
First the step grows until such a point is bracketed, then the bracket shrinks around it, by cubic
interpolation. A value that is not finite counts as too high. Nothing here knows of graphs.

Source: Nocedal and Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

DECREASE, CURVATURE = 1e-4, 0.9
GROWTH = 2.0
MARGIN = 0.1  # of a bracket's width: how near to its ends a trial step may lie


class Point(NamedTuple):
    """A step, its value and its slope along the line, and what else was found there."""

    step: float
    value: float
    slope: float
    found: Any = None


Line = Callable[[float], Point]


def strong_wolfe(
    line: Line, start: Point, first: float, most: int = 25, rounding: float = 0.0
) -> tuple[Point, bool]:
    """Return a point along `line` and whether both conditions hold there.

    `start` is the point of step 0, of negative slope, and `first` the first step that is tried.
    After `most` evaluations, or where values differ by no more than their `rounding`, the lowest
    point so far is returned, `start` if there is none below.
    """
    before, step = start, first
    for number in range(most):
        point = line(step)
        if not _falls(point, start) or (number and not point.value < before.value):
            return _zoom(line, start, (before, point), most - number - 1, rounding)
        if _is_flat(point, start):
            return point, True
        if point.slope >= 0:
            return _zoom(line, start, (point, before), most - number - 1, rounding)
        before, step = point, step * GROWTH
    return before, False


def _falls(point: Point, start: Point) -> bool:
    """Return whether the value has fallen enough; not where it is NaN."""
    return point.value <= start.value + DECREASE * point.step * start.slope


def _is_flat(point: Point, start: Point) -> bool:
    return abs(point.slope) <= -CURVATURE * start.slope


def _zoom(
    line: Line, start: Point, bracket: tuple[Point, Point], most: int, rounding: float
) -> tuple[Point, bool]:
    """Shrink a bracket, whose first end is the lowest point so far, to a point that holds."""
    low, high = bracket
    for _ in range(most):
        width = high.step - low.step
        is_narrow = abs(width) <= 1e-15 * max(abs(high.step), abs(low.step))
        if is_narrow or abs(low.slope * width) <= rounding:
            break
        point = line(_between(low, high))
        if not _falls(point, start) or not point.value < low.value:
            high = point
            continue
        if _is_flat(point, start):
            return point, True
        if point.slope * width >= 0:
            high = low
        low = point
    return low, False


def _between(low: Point, high: Point) -> float:
    """Return the minimum of the cubic through both ends, but well inside of the bracket."""
    width = high.step - low.step
    middle = low.step + 0.5 * width
    if not (math.isfinite(high.value) and math.isfinite(high.slope)):
        return middle
    secant = low.slope + high.slope - 3 * (low.value - high.value) / (low.step - high.step)
    square = secant * secant - low.slope * high.slope
    if not square >= 0:
        return middle
    root = math.copysign(math.sqrt(square), width)
    divisor = high.slope - low.slope + 2 * root
    if divisor == 0:
        return middle
    trial = high.step - width * (high.slope + root - secant) / divisor
    ends = sorted((low.step + MARGIN * width, high.step - MARGIN * width))
    return min(max(trial, ends[0]), ends[1]) if math.isfinite(trial) else middle
