"""Transforms of functions beside those of `torch.func`, and derivatives of what they give.

So second derivatives of a Hessian are those of fourth order of its function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import graphc
from graphc.frontend.jacobians import Mode
from tests.peers.row import Row, Shape, torch


def rows() -> Iterator[Row]:
    """Yield the rows of every transform."""
    one: list[Shape] = [(4,)]
    two: list[Shape] = [(4,), (4,)]
    for name, ours, theirs, shapes in (*_gradients(one, two), *_products(one, two)):
        yield Row(name, ours, theirs, shapes)
    for name, ours, theirs, shapes in (*_mapped(), *_spelled()):
        yield Row(name, ours, theirs, shapes)


Case = tuple[str, Callable[..., Any], Callable[..., Any], list[Shape]]


def _scalar(x: Any) -> Any:
    """Return a function of both sides: third powers, and products of neighbours."""
    return (x**3).sum() + (x[1:] * x[:-1] ** 2).sum()


def _vector(x: Any) -> Any:
    return x**3 * x[0] + x.sum()


def _gradients(one: list[Shape], two: list[Shape]) -> list[Case]:
    modes: tuple[tuple[Mode, str], ...] = (
        ("reverse", "jacrev"), ("forward", "jacfwd"), ("auto", "jacrev"),
    )  # fmt: skip
    return [
        ("grad", graphc.grad(_scalar), lambda x: torch.func.grad(_scalar)(x), one),
        ("value_and_grad", graphc.value_and_grad(_scalar),
         lambda x: tuple(reversed(torch.func.grad_and_value(_scalar)(x))), one),
        ("gradients", lambda x: graphc.gradients(_scalar(x), [x])[0],
         lambda x: torch.func.grad(_scalar)(x), one),
        *((f"jacobian, {mode}", graphc.jacobian(_vector, mode=mode),
           lambda x, f=theirs: getattr(torch.func, f)(_vector)(x), one)
          for mode, theirs in modes),
        ("hessian", graphc.hessian(_scalar), lambda x: torch.func.hessian(_scalar)(x), one),
        ("hvp", lambda x, v: graphc.hvp(_scalar, [x], [v])[0],
         lambda x, v: torch.func.jvp(torch.func.grad(_scalar), (x,), (v,))[1], two),
    ]  # fmt: skip


def _products(one: list[Shape], two: list[Shape]) -> list[Case]:
    return [
        ("jvp", lambda x, v: graphc.jvp(_vector, [x], [v]),
         lambda x, v: torch.func.jvp(_vector, (x,), (v,)), two),
        ("vjp", lambda x, v: graphc.vjp(_vector, x)[1](v)[0],
         lambda x, v: torch.func.vjp(_vector, x)[1](v)[0], two),
    ]  # fmt: skip


def _mapped() -> list[Case]:
    def pair(x: Any, y: Any) -> Any:
        return (x * y).sum() + x**2 * y

    return [
        ("vmap", graphc.vmap(_vector), lambda x: torch.func.vmap(_vector)(x), [(5, 4)]),
        ("vmap, axes", graphc.vmap(pair, in_axes=(1, None), out_axes=1),
         lambda x, y: torch.func.vmap(pair, (1, None), 1)(x, y), [(4, 5), (4,)]),
        ("vmap, of gradients", graphc.vmap(graphc.grad(_scalar)),
         lambda x: torch.func.vmap(torch.func.grad(_scalar))(x), [(5, 4)]),
    ]  # fmt: skip


def _spelled() -> list[Case]:
    @graphc.custom_vjp
    def softplus(x: Any) -> Any:
        return graphc.log(1 + graphc.exp(x))

    softplus.defvjp(
        lambda x: (softplus(x), x), lambda x, cotangent: (cotangent * graphc.sigmoid(x),)
    )

    def block(x: Any, w: Any) -> Any:
        return graphc.sin(graphc.tanh(x @ w) @ w)

    def peer_block(x: Any, w: Any) -> Any:
        return torch.sin(torch.tanh(x @ w) @ w)

    return [
        ("custom_vjp", softplus, lambda x: torch.nn.functional.softplus(x), [(3, 4)]),
        ("checkpoint", graphc.checkpoint(block), peer_block, [(3, 4), (4, 4)]),
        ("checkpoint, contractions", graphc.checkpoint(block, policy="contractions"), peer_block,
         [(3, 4), (4, 4)]),
    ]  # fmt: skip
