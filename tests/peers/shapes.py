"""Functions of shapes, constructors and contractions beside PyTorch's."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import graphc
from tests.peers.row import Row, Shape, functional, torch

Case = tuple[str, Callable[..., Any], Callable[..., Any], list[Shape]]


def rows() -> Iterator[Row]:
    """Yield the rows: moved elements, new ones, and sums of products."""
    for name, ours, theirs, shapes in (*_moved(), *_triangles(), *_joined(), *_products()):
        yield Row(name, ours, theirs, shapes)
    yield from _einsums()
    for name, ours, theirs in _made():
        yield Row(name, ours, theirs)


def _moved() -> list[Case]:
    three: list[Shape] = [(2, 3, 4)]
    return [
        ("expand_dims", lambda x: graphc.expand_dims(x, 1), lambda x: x.unsqueeze(1), three),
        ("squeeze", graphc.squeeze, lambda x: x.squeeze(), [(1, 3, 1)]),
        ("squeeze, axis", lambda x: graphc.squeeze(x, 2), lambda x: x.squeeze(2), [(1, 3, 1)]),
        ("flip", graphc.flip, lambda x: x.flip(0, 1, 2), three),
        ("flip, axis", lambda x: graphc.flip(x, 1), lambda x: x.flip(1), three),
        ("roll", lambda x: graphc.roll(x, 5), lambda x: x.roll(5), three),
        ("roll, axes", lambda x: graphc.roll(x, (1, -2), (0, 2)),
         lambda x: x.roll((1, -2), (0, 2)), three),
        ("moveaxis", lambda x: graphc.moveaxis(x, 0, 2), lambda x: x.movedim(0, 2), three),
        ("swapaxes", lambda x: graphc.swapaxes(x, 0, 2), lambda x: x.swapaxes(0, 2), three),
        ("transpose", graphc.transpose, lambda x: x.permute(2, 1, 0), three),
        ("matrix_transpose", graphc.matrix_transpose, lambda x: x.mT, three),
        ("ravel", graphc.ravel, lambda x: x.ravel(), three),
        ("reshape", lambda x: graphc.reshape(x, (4, -1)), lambda x: x.reshape(4, -1), three),
        ("repeat", lambda x: graphc.repeat(x, 3, 1),
         lambda x: x.repeat_interleave(3, 1), three),
        ("repeat, each", lambda x: graphc.repeat(x, [2, 0, 1], 1),
         lambda x: x.repeat_interleave(torch.tensor([2, 0, 1]), 1), three),
        ("tile", lambda x: graphc.tile(x, (2, 1, 3)), lambda x: x.tile(2, 1, 3), three),
        ("tile, more axes", lambda x: graphc.tile(x, (2, 1, 1, 2)),
         lambda x: x.tile(2, 1, 1, 2), three),
        ("broadcast_to", lambda x: graphc.broadcast_to(x, (5, 3, 4)),
         lambda x: x.broadcast_to(5, 3, 4), [(3, 1)]),
        ("pad", lambda x: graphc.pad(x, ((1, 0), (0, 2), (1, 1))),
         lambda x: functional.pad(x, (1, 1, 0, 2, 1, 0)), three),
    ]  # fmt: skip


def _triangles() -> Iterator[Case]:
    for name, k in itertools.product(("tril", "triu"), (-1, 0, 2)):
        yield (
            f"{name}, {k}",
            lambda x, f=name, k=k: getattr(graphc, f)(x, k),
            lambda x, f=name, k=k: getattr(torch, f)(x, k),
            [(2, 4, 5)],
        )


def _joined() -> list[Case]:
    pair: list[Shape] = [(2, 3), (2, 3)]
    uneven: list[Shape] = [(2, 3), (2, 1)]
    return [
        ("concat", lambda x, y: graphc.concat([x, y], axis=1), lambda *a: torch.cat(a, 1), uneven),
        ("concatenate", lambda x, y: graphc.concatenate([x, y], 1), lambda *a: torch.cat(a, 1),
         uneven),
        ("concatenate, flat", lambda x, y: graphc.concatenate([x, y], None),
         lambda x, y: torch.cat([x.ravel(), y.ravel()]), uneven),
        ("stack", lambda x, y: graphc.stack([x, y], -1), lambda *a: torch.stack(a, -1), pair),
        ("split", lambda x: tuple(graphc.split(x, 3, 1)), lambda x: torch.tensor_split(x, 3, 1),
         [(2, 6)]),
        ("split, at", lambda x: tuple(graphc.split(x, [1, 4], 1)),
         lambda x: torch.tensor_split(x, (1, 4), 1), [(2, 6)]),
        ("unstack", lambda x: graphc.unstack(x, axis=1), lambda x: torch.unbind(x, 1), [(2, 3, 4)]),
        ("broadcast_arrays", lambda x, y: tuple(graphc.broadcast_arrays(x, y)),
         lambda x, y: tuple(torch.broadcast_tensors(x, y)), [(3, 1), (2, 1, 4)]),
        ("where", lambda x, y: graphc.where(x > y, x, y * y),
         lambda x, y: torch.where(x > y, x, y * y), [(3, 1), (4,)]),
        ("stop_gradient", lambda x, y: graphc.stop_gradient(x) * y, lambda x, y: x.detach() * y,
         pair),
    ]  # fmt: skip


def _products() -> list[Case]:
    matmuls: list[list[Shape]] = [
        [(3, 4), (4, 5)], [(4,), (4,)], [(4,), (4, 5)], [(3, 4), (4,)], [(2, 3, 4), (2, 4, 5)],
        [(2, 1, 3, 4), (5, 4, 2)], [(17, 33), (33, 19)], [(1, 1), (1, 1)],
    ]  # fmt: skip
    return [
        *((f"matmul, {shapes}", graphc.matmul, lambda x, y: x @ y, shapes) for shapes in matmuls),
        ("dot", graphc.dot, lambda x, y: torch.dot(x, y), [(5,), (5,)]),
        ("dot, matrices", graphc.dot, lambda x, y: x @ y, [(3, 4), (4, 5)]),
        ("outer", graphc.outer, lambda x, y: torch.outer(x, y), [(3,), (5,)]),
        ("vecdot", graphc.vecdot, lambda x, y: torch.linalg.vecdot(x, y), [(3, 5), (2, 3, 5)]),
        ("vecdot, axis", lambda x, y: graphc.vecdot(x, y, axis=-2),
         lambda x, y: torch.linalg.vecdot(x, y, dim=-2), [(3, 5), (2, 3, 5)]),
        ("tensordot", graphc.tensordot, lambda x, y: torch.tensordot(x, y), [(2, 3, 4), (3, 4, 5)]),
        ("tensordot, axes", lambda x, y: graphc.tensordot(x, y, ([0, 2], [1, 0])),
         lambda x, y: torch.tensordot(x, y, ([0, 2], [1, 0])), [(2, 3, 4), (4, 2, 5)]),
    ]  # fmt: skip


def _einsums() -> Iterator[Row]:
    extents = {"b": 2, "c": 3, "i": 3, "j": 4, "k": 5, "l": 2, "h": 2}
    for subscripts in (
        "ij,jk->ik", "ij,kj->ki", "bij,bjk->bik", "ij->ji", "ii->i", "ii", "ij->", "i,j->ij",
        "bhik,bhjk->bhij", "ij,jk,kl->il", "bij,bij->b", "ij,ij->ij", "i,i", "bci,cij->bj",
        "ijk->ki", "iij->j",
    ):  # fmt: skip
        terms = subscripts.split("->")[0].split(",")
        yield Row(
            f"einsum, {subscripts}",
            lambda *x, s=subscripts: graphc.einsum(s, *x),
            lambda *x, s=subscripts: torch.einsum(s, *x),
            [tuple(extents[label] for label in term) for term in terms],
        )
    yield Row(
        "einsum, an ellipsis",
        lambda x, y: graphc.einsum("...ij,...jk->...ik", x, y),
        lambda x, y: torch.einsum("...ij,...jk->...ik", x, y),
        [(2, 1, 3, 4), (5, 4, 2)],
    )


def _made() -> list[tuple[str, Callable[..., Any], Callable[..., Any]]]:
    return [
        ("arange", lambda: graphc.arange(7), lambda: torch.arange(7)),
        ("arange, steps", lambda: graphc.arange(9, -4, -3), lambda: torch.arange(9, -4, -3)),
        ("linspace", lambda: graphc.linspace(-1, 2, 7), lambda: torch.linspace(-1, 2, 7)),
        ("eye", lambda: graphc.eye(3, 5), lambda: torch.eye(3, 5)),
        ("full", lambda: graphc.full((2, 3), 1.5, "float32"), lambda: torch.full((2, 3), 1.5)),
        ("ones", lambda: graphc.ones((2, 3)), lambda: torch.ones((2, 3))),
        ("zeros", lambda: graphc.zeros((2, 3)), lambda: torch.zeros((2, 3))),
        ("full_like", lambda: graphc.full_like(np.ones((2, 3), np.float32), 2),
         lambda: torch.full((2, 3), 2.0)),
        ("ones_like", lambda: graphc.ones_like(np.zeros(3)),
         lambda: torch.ones(3, dtype=torch.float64)),
        ("zeros_like", lambda: graphc.zeros_like(np.ones(3)),
         lambda: torch.zeros(3, dtype=torch.float64)),
        ("asarray", lambda: graphc.asarray([1, 2, 3]), lambda: torch.tensor([1, 2, 3])),
        ("one_hot", lambda: graphc.one_hot(np.array([2, 0, 3]), 5, "int64"),
         lambda: functional.one_hot(torch.tensor([2, 0, 3]), 5)),
    ]  # fmt: skip
