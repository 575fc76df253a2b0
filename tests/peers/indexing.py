"""Reading and writing at places beside PyTorch's: keys in brackets, take, gather and scatters."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import graphc
from tests.peers.row import Row, torch

KINDS = {"set": "", "add": "sum", "max": "amax", "min": "amin", "multiply": "prod"}


def rows() -> Iterator[Row]:
    """Yield the rows of every way to read and to write."""
    yield from _keys()
    yield from _taken()
    yield from _scattered()


def _keys() -> Iterator[Row]:
    keys: list[tuple[str, Any]] = [
        ("a place", np.s_[1]),
        ("a slice", np.s_[1:4, ::2]),
        ("from the end", np.s_[-3:-1, -1]),
        ("an ellipsis", np.s_[..., 2]),
        ("a new axis", np.s_[:, None, 1:]),
        ("places", np.s_[np.array([4, 0, 0, 2])]),
        ("places and a slice", np.s_[1:3, np.array([3, 1, 1])]),
    ]
    for name, key in keys:
        yield Row(
            f"getitem, {name}",
            lambda x, k=key: x[k],
            lambda x, k=key: x[_of_tensors(k)],
            [(5, 4, 3)],
        )


def _of_tensors(key: Any) -> Any:
    parts = key if isinstance(key, tuple) else (key,)
    return tuple(torch.from_numpy(k) if isinstance(k, np.ndarray) else k for k in parts)


def _taken() -> Iterator[Row]:
    random = np.random.default_rng(0)
    for shape, axis, count in (((5,), 0, 7), ((4, 6), 1, 3), ((2, 5, 3), 1, 9)):
        places = random.integers(0, shape[axis], count)
        yield Row(
            f"take, {shape} axis {axis}",
            lambda x, i, a=axis: graphc.take(x, i, a),
            lambda x, i, a=axis: x.index_select(a, i),
            [shape],
            [places],
        )
        along = random.integers(0, shape[axis], (*shape[:axis], count, *shape[axis + 1 :]))
        yield Row(
            f"take_along_axis, {shape} axis {axis}",
            lambda x, i, a=axis: graphc.take_along_axis(x, i, a),
            lambda x, i, a=axis: torch.take_along_dim(x, i, a),
            [shape],
            [along],
        )
    pairs = random.integers(0, 4, (6, 2))
    yield Row(
        "gather_nd",
        graphc.gather_nd,
        lambda x, i: x[i[:, 0], i[:, 1]],
        [(4, 5, 3)],
        [pairs],
    )


def _scattered() -> Iterator[Row]:
    random = np.random.default_rng(1)
    for (shape, count, axis), kind in itertools.product(
        (((5,), 7, 0), ((5, 3), 4, 0), ((4, 6), 3, 1), ((2, 5, 3), 9, 1), ((3, 8), 60, 1)), KINDS
    ):
        extent = shape[axis]
        if kind == "set" and count > extent:
            continue  # of updates that meet, PyTorch does not say which stays
        places = random.permutation(extent)[:count] if kind == "set" else None
        places = random.integers(0, extent, count) if places is None else places
        updates = (*shape[:axis], count, *shape[axis + 1 :])
        yield Row(
            f"scatter, {kind} {shape} axis {axis} of {count}",
            lambda x, u, i, a=axis, k=kind: graphc.scatter(x, i, u, a, kind=_ours(k)),
            lambda x, u, i, a=axis, k=kind: _written(k)(x, a, i, u),
            [shape, updates],
            [places],
            orders=0 if kind == "multiply" else 2,  # graphc has no derivative of it
        )
    for kind in ("set", "add"):
        pairs = np.array([[0, 1], [3, 2], [1, 1], [2, 4]])
        yield Row(
            f"scatter_nd, {kind}",
            lambda x, u, i, k=kind: graphc.scatter_nd(x, i, u, kind=k),
            lambda x, u, i, k=kind: x.index_put((i[:, 0], i[:, 1]), u, accumulate=k == "add"),
            [(4, 5, 2), (4, 2)],
            [pairs],
        )
    for (shape, axis), kind in itertools.product((((4, 6), 1), ((5, 3), 0)), ("set", "add")):
        places = random.permuted(np.indices(shape)[axis], axis=axis)  # no two updates meet
        yield Row(
            f"scatter_along_axis, {kind} axis {axis}",
            lambda x, u, i, a=axis, k=kind: graphc.scatter_along_axis(x, i, u, a, kind=k),
            lambda x, u, i, a=axis, k=kind: (
                x.scatter(a, i, u) if k == "set" else x.scatter_add(a, i, u)
            ),
            [shape, shape],
            [places],
        )


def _ours(kind: str) -> str:
    return "mul" if kind == "multiply" else kind


def _written(kind: str) -> Callable[[Any, int, Any, Any], Any]:
    def function(x: Any, axis: int, places: Any, updates: Any) -> Any:
        if kind == "set":
            return x.index_copy(axis, places, updates)
        if kind == "add":
            return x.index_add(axis, places, updates)
        return x.index_reduce(axis, places, updates, KINDS[kind])

    return function
