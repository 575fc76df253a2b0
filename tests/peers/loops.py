"""Loops and branches beside Python's loops over tensors of PyTorch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import graphc
from tests.peers.row import Row, Shape, torch

Step = Callable[[Any, Any], tuple[Any, Any]]
SHAPES: list[Shape] = [(3, 4), (4, 4), (9, 3, 4)]  # the first carry, weights, stacked rows


def rows() -> Iterator[Row]:
    """Yield the rows of every loop and branch."""
    yield from _scans()
    yield from _counted()
    yield from _branches()


def _recurrent(tanh: Callable[[Any], Any], w: Any) -> Step:
    def step(h: Any, x: Any) -> tuple[Any, Any]:
        new = tanh(h @ w + x)
        return new, new * x

    return step


def _scans() -> Iterator[Row]:
    for reverse, options in itertools.product(
        (False, True), ({}, {"unroll": 3}, {"checkpoint_every": 3}, {"checkpoint_every": 4})
    ):

        def ours(h: Any, w: Any, x: Any, r: bool = reverse, o: Any = options) -> Any:
            return graphc.scan(_recurrent(graphc.tanh, w), h, x, reverse=r, **o)

        def theirs(h: Any, w: Any, x: Any, r: bool = reverse) -> Any:
            step, outputs = _recurrent(torch.tanh, w), []
            for row in reversed(x) if r else x:
                h, output = step(h, row)
                outputs.append(output)
            return h, torch.stack(outputs[::-1] if r else outputs)

        yield Row(f"scan, reverse {reverse} {options}", ours, theirs, SHAPES)
    yield Row(
        "scan, in a scan",
        lambda h, w, x: graphc.scan(
            lambda h, row: (graphc.scan(lambda h, r: (graphc.tanh(h * r), r), h, row)[0] @ w, h),
            h,
            x,
        ),
        _nested,
        [(4,), (4, 4), (3, 5, 4)],
    )
    yield Row(
        "map",
        lambda x, y: graphc.map(lambda pair: graphc.sin(pair[0]) @ pair[1], (x, y)),
        lambda x, y: torch.stack([torch.sin(a) @ b for a, b in zip(x, y, strict=True)]),
        [(5, 2, 3), (5, 3, 2)],
    )


def _nested(h: Any, w: Any, x: Any) -> Any:
    outputs = []
    for row in x:
        outputs.append(h)
        for r in row:
            h = torch.tanh(h * r)
        h = h @ w
    return h, torch.stack(outputs)


def _counted() -> Iterator[Row]:
    """Yield loops over numbers, and loops that end by a condition."""

    def powers(x: Any, w: Any) -> Any:
        for number in range(1, 6):
            x = torch.sin(x) * w + number * x
        return x

    yield Row(
        "fori_loop",
        lambda x, w: graphc.fori_loop(
            1, 6, lambda i, x: graphc.sin(x) * w + i.astype(x.dtype) * x, x
        ),
        powers,
        [(3, 4), (4,)],
        slack=10.0,  # grows by up to 6 in a step
    )
    for count in (3, 20):

        def halved(x: Any) -> Any:
            while float((x * x).sum()) > 1:
                x = torch.sin(x) * 0.7
            return x

        yield Row(
            f"while_loop, at most {count}",
            lambda x, n=count: graphc.while_loop(
                lambda x: (x * x).sum() > 1, lambda x: graphc.sin(x) * 0.7, x, max_iterations=n
            ),
            halved,
            [(3,)],
            high=0.9 if count == 3 else 3.0,
            low=-0.9 if count == 3 else -3.0,
        )


def _branches() -> Iterator[Row]:
    for chosen in (True, False):
        yield Row(
            f"cond, {chosen}",
            lambda x, y, p: graphc.cond(p[0], lambda x, y: graphc.exp(x) * y, _sum, x, y),
            lambda x, y, p: torch.exp(x) * y if bool(p[0]) else _sum(x, y),
            [(3, 4), (3, 4)],
            [np.array([chosen])],
        )
    for number in (0, 1, 2, 5):

        def theirs(x: Any, y: Any, n: Any) -> Any:
            return (x * y, x / (y * y + 1), torch.sin(x))[min(int(n[0]), 2)]

        yield Row(
            f"switch, {number}",
            lambda x, y, n: graphc.switch(
                n[0],
                [
                    lambda x, y: x * y,
                    lambda x, y: x / (y * y + 1),
                    lambda x, y: graphc.sin(x) + 0 * y,
                ],
                x,
                y,
            ),
            theirs,
            [(3, 4), (3, 4)],
            [np.array([number])],
        )


def _sum(x: Any, y: Any) -> Any:
    return x + y * y
