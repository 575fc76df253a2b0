"""Normalisation and attention beside PyTorch's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

import graphc
from tests.peers.row import Row, first, functional, last, torch


def rows() -> Iterator[Row]:
    """Yield the rows of norms and of attention."""
    yield from _normalisation()
    yield from _attention()


def _normalisation() -> Iterator[Row]:
    spaces: list[tuple[int, ...]] = [(), (5,), (4, 3), (2, 3, 2)]
    for space in spaces:
        shapes = [(6, *space, 8), (8,), (8,)]
        yield Row(
            f"batch_norm, {space}",
            lambda x, w, b: graphc.batch_norm(x, *graphc.moments(x), w, b),
            lambda x, w, b: last(functional.batch_norm(first(x), None, None, w, b, training=True)),
            shapes,
        )
        for groups in (1, 2, 4):
            yield Row(
                f"group_norm, {space} groups {groups}",
                lambda x, w, b, g=groups: graphc.group_norm(x, g, w, b),
                lambda x, w, b, g=groups: last(functional.group_norm(first(x), g, w, b)),
                [(6, *space, 16), (16,), (16,)],
            )
        yield Row(
            f"layer_norm, {space}",
            graphc.layer_norm,
            lambda x, w, b: functional.layer_norm(x, (8,), w, b),
            shapes,
        )
        yield Row(
            f"rms_norm, {space}",
            lambda x, w: graphc.rms_norm(x, w, epsilon=1e-5),
            lambda x, w: functional.rms_norm(x, (8,), w, eps=1e-5),
            shapes[:2],
        )
        yield Row(
            f"moments, {space}",
            graphc.moments,
            lambda x: tuple(reversed(torch.var_mean(x, tuple(range(x.ndim - 1)), correction=0))),
            shapes[:1],
        )
    for space in spaces[1:]:
        yield Row(
            f"instance_norm, {space}",
            graphc.instance_norm,
            lambda x, w, b: last(functional.instance_norm(first(x), None, None, w, b)),
            [(6, *space, 8), (8,), (8,)],
        )


def _attention() -> Iterator[Row]:
    random = np.random.default_rng(0)
    lengths = [(5, 5), (4, 7), (1, 3), (6, 2)]
    for (n, m), kv_heads, kind in itertools.product(
        lengths, [1, 2, 4], ["plain", "causal", "bool mask", "float mask"]
    ):
        mask: Any = None
        if kind == "bool mask":
            mask = random.random((4, n, m)) < 0.7
            mask[..., 0] = True
        elif kind == "float mask":
            mask = random.standard_normal((2, 1, n, m)).astype(np.float32)
        yield Row(
            f"scaled_dot_product_attention, {kind} {n} queries {m} keys {kv_heads} heads of keys",
            lambda q, k, v, a=mask, c=kind == "causal": graphc.scaled_dot_product_attention(
                q, k, v, a, causal=c
            ),
            lambda q, k, v, a=mask, c=kind == "causal": _torch_attention(q, k, v, a, c),
            [(2, 4, n, 6), (2, kv_heads, m, 6), (2, kv_heads, m, 3)],
        )


def _torch_attention(query: Any, key: Any, value: Any, mask: Any, causal: bool) -> Any:
    given = None if mask is None else torch.from_numpy(mask)
    if given is not None and given.dtype.is_floating_point:
        given = given.to(query.dtype)
    return functional.scaled_dot_product_attention(
        query, key, value, given, is_causal=causal, enable_gqa=True
    )
