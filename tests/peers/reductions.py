"""Reductions, cumulative functions and sorting beside PyTorch's."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import graphc
from tests.peers.row import Row, Shape, torch

PLACES: list[tuple[Shape, tuple[int, ...] | None]] = [
    ((7,), (0,)), ((1,), None), ((3, 17), (1,)), ((3, 17), (0,)), ((2, 3, 5), (0, 2)),
    ((2, 3, 5), None), ((2, 150), (-1,)),
]  # fmt: skip


def rows() -> Iterator[Row]:
    """Yield the rows of every function over axes."""
    yield from _reductions()
    yield from _chosen()
    yield from _cumulative()
    yield from _sorting()


def _all(x: Any) -> tuple[int, ...]:
    return tuple(range(x.ndim))


def _spread(name: str, correction: float) -> tuple[str, Callable[..., Any], Callable[..., Any]]:
    ours, theirs = getattr(graphc, name), name

    def peer(x: Any, axes: tuple[int, ...], keep: bool) -> Any:
        return getattr(torch, theirs)(x, axes, correction=correction, keepdim=keep)

    return (
        f"{name}, correction {correction:g}",
        lambda x, a, k: ours(x, a, correction=correction, keepdims=k),
        peer,
    )


def _reductions() -> Iterator[Row]:
    plain = [("sum", "sum"), ("mean", "mean"), ("max", "amax"), ("min", "amin")]
    functions: list[tuple[str, Callable[..., Any], Callable[..., Any]]] = [
        (
            name,
            lambda x, a, k, f=name: getattr(graphc, f)(x, axis=a, keepdims=k),
            lambda x, a, k, f=theirs: getattr(torch, f)(x, a, keepdim=k),
        )
        for name, theirs in [*plain, ("logsumexp", "logsumexp")]
    ]
    functions += [_spread(name, c) for name in ("var", "std") for c in (0.0, 1.0)]
    for (name, ours, theirs), (shape, axes), keep in itertools.product(
        functions, PLACES, (False, True)
    ):
        if name.startswith(("var", "std")) and shape == (1,):
            continue  # of one element: infinite derivatives, or 0 / 0
        yield Row(
            f"{name}, {shape} axes {axes} keepdims {keep}",
            lambda x, f=ours, a=axes, k=keep: f(x, a, k),
            lambda x, f=theirs, a=axes, k=keep: f(x, _all(x) if a is None else a, k),
            [shape],
        )


def _chosen() -> Iterator[Row]:
    """Yield products over one axis, and what gives integers and bools."""
    for shape, axis in (((7,), 0), ((3, 9), 1), ((2, 4, 3), 1)):
        yield Row(
            f"prod, {shape} axis {axis}",
            lambda x, a=axis: graphc.prod(x, axis=a),
            lambda x, a=axis: torch.prod(x, a),
            [shape],
        )
        for name in ("argmax", "argmin"):
            yield Row(
                f"{name}, {shape} axis {axis}",
                lambda x, f=name, a=axis: getattr(graphc, f)(x, axis=a),
                lambda x, f=name, a=axis: getattr(torch, f)(x, a),
                [shape],
                orders=0,
            )
        for name in ("any", "all"):
            yield Row(
                f"{name}, {shape} axis {axis}",
                lambda x, f=name, a=axis: getattr(graphc, f)(x > 0.5, axis=a),
                lambda x, f=name, a=axis: getattr(torch, f)(x > 0.5, a),
                [shape],
                orders=0,
            )


def _cumulative() -> Iterator[Row]:
    functions: list[tuple[str, Callable[..., Any]]] = [
        ("sum", lambda x, axis: torch.cumsum(x, axis)),
        ("prod", lambda x, axis: torch.cumprod(x, axis)),
        ("max", lambda x, axis: torch.cummax(x, axis).values),
        ("min", lambda x, axis: torch.cummin(x, axis).values),
        ("logsumexp", lambda x, axis: torch.logcumsumexp(x, axis)),
    ]
    shapes: list[tuple[Shape, int]] = [
        ((7,), 0), ((1,), 0), ((4, 9), 0), ((4, 9), 1), ((3, 5, 2), 1)
    ]  # fmt: skip
    for (kind, theirs), (shape, axis), reverse in itertools.product(
        functions, shapes, (False, True)
    ):
        ours = getattr(graphc, f"cumulative_{kind}")
        yield Row(
            f"cumulative_{kind}, {shape} axis {axis} reverse {reverse}",
            lambda x, f=ours, a=axis, r=reverse: f(x, a, reverse=r),
            lambda x, f=theirs, a=axis, r=reverse: f(x.flip(a), a).flip(a) if r else f(x, a),
            [shape],
        )


def _sorting() -> Iterator[Row]:
    places: list[tuple[Shape, int]] = [((9,), 0), ((1,), 0), ((4, 9), 0), ((4, 9), 1)]
    for (shape, axis), descending in itertools.product(places, (False, True)):
        yield Row(
            f"sort, {shape} axis {axis} descending {descending}",
            lambda x, a=axis, d=descending: graphc.sort(x, a, descending=d),
            lambda x, a=axis, d=descending: torch.sort(x, a, descending=d).values,
            [shape],
        )
    for (shape, axis), k in itertools.product(places, (1, 3)):
        if k <= shape[axis]:
            yield Row(
                f"top_k, {shape} axis {axis} of {k}",
                lambda x, a=axis, k=k: graphc.top_k(x, k, a),
                lambda x, a=axis, k=k: tuple(torch.topk(x, k, a)),
                [shape],
            )
