"""Linear algebra beside PyTorch's, over matrices whose singular values are well apart.

The sign of singular vectors, of eigenvectors and of the columns of q is free: squares are compared.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import graphc
from graphc import linalg
from tests.peers.row import Array, Row, Shape, torch

SQUARE: list[Shape] = [(3, 3), (1, 1), (2, 4, 4), (5, 5)]
TALL: list[Shape] = [(4, 2), (2, 5, 3)]
WIDE: list[Shape] = [(2, 4), (2, 3, 5)]
EVERY = SQUARE + TALL + WIDE
CONDITION = 10.0  # by which errors of matrices may be greater

Case = tuple[str, Callable[..., Any], Callable[..., Any], list[Shape]]


def rows() -> Iterator[Row]:
    """Yield the rows of every function of `graphc.linalg`."""
    for name, ours, theirs, shapes in (*_systems(), *_factors(), *_norms(), *_parts()):
        for shape in shapes:
            label = f"linalg.{name}, {shape}"
            matrix = _matrix(label, shape)
            yield Row(label, ours, theirs, operands=[matrix], slack=CONDITION)
    yield from _products()


def _matrix(name: str, shape: Shape) -> Array:
    random = np.random.default_rng(zlib.crc32(name.encode()))
    diagonal = np.eye(shape[-2], shape[-1]) * np.arange(2.0, 2 + 2 * shape[-1], 2.0)
    return np.asarray(random.uniform(-1, 1, shape) + diagonal)


def _systems() -> list[Case]:
    return [
        ("inv", linalg.inv, lambda a: torch.linalg.inv(a), SQUARE),
        ("det", linalg.det, lambda a: torch.linalg.det(a), SQUARE),
        ("slogdet", linalg.slogdet, lambda a: tuple(torch.linalg.slogdet(a)), SQUARE),
        ("solve", lambda a: linalg.solve(a, a * a), lambda a: torch.linalg.solve(a, a * a), SQUARE),
        ("solve_triangular",
         lambda a: linalg.solve_triangular(a, a * a, lower=True),
         lambda a: torch.linalg.solve_triangular(a.tril(), a * a, upper=False), SQUARE),
        ("pinv", linalg.pinv, lambda a: torch.linalg.pinv(a), EVERY),
        ("lstsq", lambda a: linalg.lstsq(a, a * a),
         lambda a: torch.linalg.lstsq(a, a * a).solution, SQUARE + TALL),
        ("matrix_power", lambda a: linalg.matrix_power(a, 3),
         lambda a: torch.linalg.matrix_power(a, 3), SQUARE),
        ("matrix_rank", linalg.matrix_rank, lambda a: torch.linalg.matrix_rank(a), EVERY),
    ]  # fmt: skip


def _squares(results: Any) -> tuple[Any, ...]:
    return tuple(part * part for part in results)


def _symmetric(a: Any) -> Any:
    return (a + a.mT) / 2


def _definite(a: Any, eye: Any) -> Any:
    return a @ a.mT + 3 * eye


def _factors() -> list[Case]:
    return [
        ("cholesky",
         lambda a: linalg.cholesky(_definite(a, graphc.eye(a.shape[-1], dtype=a.dtype))),
         lambda a: torch.linalg.cholesky(_definite(a, torch.eye(a.shape[-1], dtype=a.dtype))),
         SQUARE),
        ("qr", lambda a: _squares(linalg.qr(a)), lambda a: _squares(torch.linalg.qr(a)), EVERY),
        ("svd", lambda a: _squares(linalg.svd(a)),
         lambda a: _squares(torch.linalg.svd(a, full_matrices=False)), EVERY),
        ("svdvals", linalg.svdvals, lambda a: torch.linalg.svdvals(a), EVERY),
        ("eigh", lambda a: _squares(linalg.eigh(_symmetric(a))),
         lambda a: _squares(torch.linalg.eigh(_symmetric(a))), SQUARE),
        ("eigvalsh", lambda a: linalg.eigvalsh(_symmetric(a)),
         lambda a: torch.linalg.eigvalsh(_symmetric(a)), SQUARE),
    ]  # fmt: skip


def _norms() -> list[Case]:
    orders: list[Any] = ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]
    lengths = [0.5, 1, 2, 3, np.inf, -np.inf, 0]
    return [
        *((f"matrix_norm, {order}", lambda a, o=order: linalg.matrix_norm(a, ord=o),
           lambda a, o=order: torch.linalg.matrix_norm(a, o), EVERY) for order in orders),
        *((f"vector_norm, {order}", lambda a, o=order: linalg.vector_norm(a, axis=-1, ord=o),
           lambda a, o=order: torch.linalg.vector_norm(a, o, dim=-1), TALL) for order in lengths),
        ("norm", linalg.norm, lambda a: torch.linalg.norm(a), EVERY),
        ("norm, 3", lambda a: linalg.norm(a, 3, -1), lambda a: torch.linalg.norm(a, 3, -1), TALL),
        ("norm, nuc", lambda a: linalg.norm(a, "nuc", (-2, -1)),
         lambda a: torch.linalg.norm(a, "nuc", (-2, -1)), EVERY),
    ]  # fmt: skip


def _parts() -> list[Case]:
    return [
        ("matrix_transpose", linalg.matrix_transpose, lambda a: a.mT, EVERY),
        *((f"diagonal, {k}", lambda a, k=k: linalg.diagonal(a, offset=k),
           lambda a, k=k: torch.linalg.diagonal(a, offset=k), EVERY) for k in (-1, 0, 1)),
        *((f"trace, {k}", lambda a, k=k: linalg.trace(a, offset=k),
           lambda a, k=k: torch.linalg.diagonal(a, offset=k).sum(-1), EVERY) for k in (-1, 0, 1)),
    ]  # fmt: skip


def _products() -> Iterator[Row]:
    pairs: list[tuple[str, Callable[..., Any], Callable[..., Any], list[Shape]]] = [
        ("matmul", linalg.matmul, lambda x, y: x @ y, [(2, 3, 4), (4, 5)]),
        ("outer", linalg.outer, lambda x, y: torch.outer(x, y), [(3,), (5,)]),
        ("vecdot", linalg.vecdot, lambda x, y: torch.linalg.vecdot(x, y), [(2, 5), (5,)]),
        ("tensordot", linalg.tensordot, lambda x, y: torch.tensordot(x, y), [(2, 3, 4), (3, 4, 5)]),
    ]
    for name, ours, theirs, shapes in pairs:
        yield Row(f"linalg.{name}", ours, theirs, shapes)
