"""Where derivatives jump or functions have an edge: what graphc and PyTorch take there.

Each row is at such a place. PyTorch takes something else in a few, which are rows against the
function spelled so that its derivative is what docs/semantics.md says: `leaky_relu` at 0 (the left
slope), `clip` at a bound (1, not half), `cumulative_max` and `_min` at a tie (the last, not the
first), and `hypot` at the origin (NaN, not 0). Not compared, and documented there too, are `std` of
equal elements, `atan2` at the origin and `power` by the exponent of a base below 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import graphc
from graphc import linalg, nn
from tests.peers.row import Array, Row, functional, torch

TIED = np.array([[1.0, 2.0, 2.0, -1.0], [0.0, 0.0, 0.0, 0.0]])
ZEROS = np.array([0.0, 1.0, -1.0, 0.0])


def rows() -> Iterator[Row]:
    """Yield the rows at ties, kinks and edges."""
    table: list[tuple[str, Callable[..., Any], Callable[..., Any], list[Array]]] = [
        ("max, ties", lambda x: graphc.max(x, axis=1), lambda x: x.amax(1), [TIED]),
        ("min, ties", lambda x: graphc.min(x, axis=1), lambda x: x.amin(1), [TIED]),
        ("maximum, ties", graphc.maximum, lambda *a: torch.maximum(*a), [TIED, TIED[::-1].copy()]),
        ("minimum, ties", graphc.minimum, lambda *a: torch.minimum(*a), [TIED, TIED[::-1].copy()]),
        ("abs, at 0", graphc.abs, lambda x: x.abs(), [ZEROS]),
        ("relu, at 0", graphc.relu, lambda x: x.relu(), [ZEROS]),
        ("elu, at 0", graphc.elu, lambda x: functional.elu(x), [ZEROS]),
        ("sign, at 0", graphc.sign, lambda x: x.sign(), [ZEROS]),
        ("round, halves", graphc.round, lambda x: x.round(), [ZEROS + 0.5]),
        ("prod, zeros", lambda x: graphc.prod(x, axis=0), lambda x: x.prod(0), [ZEROS]),
        ("prod, one zero", lambda x: graphc.prod(x, axis=0), lambda x: x.prod(0), [ZEROS[:3]]),
        ("cumulative_prod, zeros", lambda x: graphc.cumulative_prod(x, 0), lambda x: x.cumprod(0),
         [ZEROS]),
        ("power, exponent 0", lambda x: x**0, lambda x: x**0, [ZEROS]),
        ("power, exponent 2", lambda x: x**2, lambda x: x**2, [ZEROS]),
        ("sort, ties", lambda x: graphc.sort(x, 1), lambda x: x.sort(dim=1, stable=True).values,
         [TIED]),
        ("logaddexp, equal", graphc.logaddexp, lambda *a: torch.logaddexp(*a), [TIED, TIED.copy()]),
        ("linalg.vector_norm, of 0", lambda x: linalg.vector_norm(x, axis=1),
         lambda x: torch.linalg.vector_norm(x, dim=1), [0 * TIED]),
        ("max_pool, ties", lambda x: graphc.max_pool(x, 2, 1),
         lambda x: functional.max_pool1d(x.mT, 2, 1).mT, [TIED.T[None].copy()]),
        ("nn.mae, equal", lambda x: nn.mae(x, x * 1), lambda x: functional.l1_loss(x, x * 1),
         [ZEROS]),
    ]  # fmt: skip
    for name, ours, theirs, operands in (*table, *_spelled()):
        yield Row(name, ours, theirs, operands=operands, orders=_orders(name))
    yield from _domain_edges()


def _spelled() -> list[tuple[str, Callable[..., Any], Callable[..., Any], list[Array]]]:
    """Return what PyTorch has in another way, spelled with the derivative that graphc takes."""
    bounds = np.array([-0.5, 0.5])
    return [
        ("leaky_relu, at 0", graphc.leaky_relu, lambda x: torch.where(x >= 0, x, 0.01 * x),
         [ZEROS]),
        ("clip, at a bound", lambda x: graphc.clip(x, -0.5, 0.5),
         lambda x: torch.minimum(torch.maximum(x, torch.full_like(x, -0.5)), _half(x)), [bounds]),
        ("cumulative_max, ties", lambda x: graphc.cumulative_max(x, 1),
         lambda x: _running(x, lambda new, old: new > old), [TIED]),
        ("cumulative_min, ties", lambda x: graphc.cumulative_min(x, 1),
         lambda x: _running(x, lambda new, old: new < old), [TIED]),
        ("hypot, origin", graphc.hypot, _hypot, [ZEROS, 0 * ZEROS]),
    ]  # fmt: skip


def _half(x: Any) -> Any:
    return torch.full_like(x, 0.5)


def _running(x: Any, better: Callable[[Any, Any], Any]) -> Any:
    """Return the best so far along axis 1, the first of equal ones."""
    found = [x[:, 0]]
    for column in x.unbind(1)[1:]:
        found.append(torch.where(better(column, found[-1]), column, found[-1]))
    return torch.stack(found, 1)


def _hypot(x: Any, y: Any) -> Any:
    is_origin = (x == 0) & (y == 0)
    return torch.where(is_origin, 0, torch.hypot(torch.where(is_origin, 1, x), y))


def _orders(name: str) -> int:
    """Return 1 where the second derivative is that of a norm or a rounding at its kink."""
    return 1 if name.startswith(("linalg", "logaddexp", "hypot")) else 2


def _domain_edges() -> Iterator[Row]:
    """Yield functions near and at the ends of their domains, where derivatives grow."""
    near = 1e-3
    table: list[tuple[str, list[float]]] = [
        ("sqrt", [near, 1e6]), ("log", [near, 1e6]), ("log1p", [near - 1, 1e6]),
        ("asin", [near - 1, 1 - near]), ("acos", [near - 1, 1 - near]),
        ("acosh", [1 + near, 1e3]), ("atanh", [near - 1, 1 - near]), ("exp", [-80.0, 40.0]),
        ("sigmoid", [-80.0, 80.0]), ("tanh", [-80.0, 80.0]), ("erf", [-9.0, 9.0]),
        ("expm1", [-80.0, 1e-9]), ("atan", [-1e6, 1e6]), ("asinh", [-1e6, 1e6]),
        ("reciprocal", [near, -1e6]),
    ]  # fmt: skip
    for name, places in table:
        yield Row(
            f"{name}, edges",
            getattr(graphc, name),
            lambda x, f=name: getattr(torch, f)(x),
            operands=[np.array(places)],
            elementwise=True,
            # 1 - x * x cancels near 1, and f'**2 + f * f'' for these two
            slack=100.0 if name in ("acos", "acosh") else 10.0,
        )
