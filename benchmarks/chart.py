"""A bar chart of ratios as SVG, on a logarithmic scale, written by hand so that it needs nothing.

A bar begins at 1, the best peer's speed: to the right graphc is faster. A tick across a bar is the
ratio that graphc shall reach.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

ROW, LABEL, WIDTH, TOP = 18, 250, 480, 40
LEAST, MOST = 1 / 64, 64.0
FASTER, SLOWER, MARK = "#2a7f62", "#c0504d", "#222222"

Bar = tuple[str, float | None, float | None]


def draw_ratios(bars: Sequence[Bar]) -> str:
    """Return the chart of bars (label, ratio or None, ratio to reach or None)."""
    height = TOP + ROW * len(bars) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL + WIDTH + 60}" height="{height}" '
        f'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LABEL}" y="14">speed of graphc relative to the best peer '
        "(right of 1: faster; tick: the bar to reach)</text>",
        *_grid(bars, height),
    ]
    for number, bar in enumerate(bars):
        lines += _row(bar, TOP + ROW * number, *_range(bars))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _range(bars: Sequence[Bar]) -> tuple[float, float]:
    """Return the powers of two that hold all ratios and bars, within LEAST … MOST."""
    shown = [value for _, *values in bars for value in values if value]
    low, high = min([0.5, *shown]), max([2.0, *shown])
    return max(LEAST, 2.0 ** math.floor(math.log2(low))), min(
        MOST, 2.0 ** math.ceil(math.log2(high))
    )


def _place(value: float, low: float, high: float) -> float:
    share = math.log(min(max(value, low), high) / low) / math.log(high / low)
    return LABEL + WIDTH * share


def _grid(bars: Sequence[Bar], height: int) -> list[str]:
    low, high = _range(bars)
    powers = range(round(math.log2(low)), round(math.log2(high)) + 1)
    lines = []
    for power in powers:
        x = _place(2.0**power, low, high)
        name = str(2**power) if power >= 0 else f"1/{2**-power}"
        colour = "#888888" if power == 0 else "#e4e4e4"
        lines += [
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height - 6}" stroke="{colour}"/>',
            f'<text x="{x:.1f}" y="{TOP - 10}" text-anchor="middle">{name}</text>',
        ]
    return lines


def _row(bar: Bar, y: int, low: float, high: float) -> list[str]:
    label, ratio, target = bar
    middle = y + 12
    text = f'<text x="{LABEL - 8}" y="{middle}" text-anchor="end">{escape(label)}</text>'
    if ratio is None:
        return [text, f'<text x="{LABEL + 4}" y="{middle}" fill="#888888">not measured</text>']
    one, end = _place(1, low, high), _place(ratio, low, high)
    colour = FASTER if ratio >= 1 else SLOWER
    lines = [
        text,
        f'<rect x="{min(one, end):.1f}" y="{y + 3}" width="{max(abs(end - one), 1):.1f}" '
        f'height="{ROW - 6}" fill="{colour}"/>',
        f'<text x="{LABEL + WIDTH + 8}" y="{middle}">{ratio:.2f}</text>',
    ]
    if target is not None:
        x = _place(target, low, high)
        lines.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y + 1}" y2="{y + ROW - 1}" '
            f'stroke="{MARK}" stroke-width="2"/>'
        )
    return lines
