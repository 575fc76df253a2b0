"""Activations, softmax and what goes with it, beside PyTorch's."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import graphc
from tests.peers.row import Row, Shape, functional, torch

Pairs = list[tuple[str, Callable[..., Any], Callable[..., Any]]]


def _elementwise() -> Pairs:
    """Return functions of single elements: a name with the case, ours and theirs."""
    return [
        ("relu", graphc.relu, lambda x: functional.relu(x)),
        ("leaky_relu", graphc.leaky_relu, lambda x: functional.leaky_relu(x)),
        (
            "leaky_relu, slope 0.3",
            partial(graphc.leaky_relu, negative_slope=0.3),
            lambda x: functional.leaky_relu(x, 0.3),
        ),
        ("elu", graphc.elu, lambda x: functional.elu(x)),
        ("elu, alpha 1.7", partial(graphc.elu, alpha=1.7), lambda x: functional.elu(x, 1.7)),
        ("silu", graphc.silu, lambda x: functional.silu(x)),
        ("gelu", graphc.gelu, lambda x: functional.gelu(x)),
        (
            "gelu, tanh",
            partial(graphc.gelu, approximate="tanh"),
            lambda x: functional.gelu(x, approximate="tanh"),
        ),
        ("softplus", graphc.softplus, lambda x: functional.softplus(x, threshold=1e9)),
        ("log_sigmoid", graphc.log_sigmoid, lambda x: functional.logsigmoid(x)),
        ("positive", graphc.positive, lambda x: x.clone()),
        ("clip", lambda x: graphc.clip(x, -0.7, 1.1), lambda x: torch.clamp(x, -0.7, 1.1)),
        ("clip, below", lambda x: graphc.clip(x, -0.7), lambda x: torch.clamp(x, min=-0.7)),
        ("pow", lambda x: graphc.pow(x, 3), lambda x: x**3),
        ("astype", lambda x: graphc.astype(x, x.dtype), lambda x: x.clone()),
    ]


def rows() -> Iterator[Row]:
    """Yield the rows, over usual and over large operands."""
    shapes: list[Shape] = [(), (1,), (7, 13), (2, 3, 33)]
    for (name, ours, theirs), limit in itertools.product(_elementwise(), (2.0, 30.0)):
        for shape in shapes:
            label = f"{name}, {shape} up to {limit:g}"
            slack = 10.0 if name == "gelu, tanh" else 1.0  # 1 + tanh cancels
            yield Row(label, ours, theirs, [shape], low=-limit, high=limit, slack=slack)
    yield from _over_axes()


def _over_axes() -> Iterator[Row]:
    functions: Pairs = [
        ("softmax", graphc.softmax, lambda x, axis: functional.softmax(x, axis)),
        ("log_softmax", graphc.log_softmax, lambda x, axis: functional.log_softmax(x, axis)),
        ("logsumexp", graphc.logsumexp, lambda x, axis: torch.logsumexp(x, axis)),
    ]
    places: list[tuple[Shape, int]] = [
        ((5,), 0), ((1,), 0), ((4, 1), 1), ((7, 13), -1), ((7, 13), 0), ((2, 3, 5), 1),
        ((3, 70), -1), ((0, 4), -1),
    ]  # fmt: skip
    for (name, ours, theirs), (shape, axis), limit in itertools.product(
        functions, places, (2.0, 90.0)
    ):
        yield Row(
            f"{name}, {shape} axis {axis} up to {limit:g}",
            lambda x, f=ours, a=axis: f(x, a),
            lambda x, f=theirs, a=axis: f(x, a),
            [shape],
            low=-limit,
            high=limit,
        )
