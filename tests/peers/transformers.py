"""Layers of attention and of transformers beside PyTorch's, which have one weight for three."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from graphc import nn
from tests.peers.row import Layers, Row, functional, torch

Makers = dict[str, Callable[..., Any]]
WIDTH, HEADS, HIDDEN = 8, 2, 12


def rows() -> Iterator[Row]:
    """Yield the rows: alone, from memory, causal, and masked; normalised before and after."""
    for causal, bias in itertools.product((False, True), (False, True)):
        yield _attention(causal, bias)
    yield _from_memory()
    for before, causal, activation in itertools.product(
        (False, True), (False, True), ("relu", "gelu")
    ):
        yield _encoder(before, causal, activation)
    for before in (False, True):
        yield _decoder(before)


def _attention_shared(prefix: str, theirs: str, bias: bool = True) -> Makers:
    found: Makers = {}
    for place, part in enumerate(("query", "key", "value")):
        rows = slice(place * WIDTH, (place + 1) * WIDTH)
        found[f"{prefix}{part}.weight"] = lambda p, r=rows: p[f"{theirs}in_proj_weight"][r].T
        if bias:
            found[f"{prefix}{part}.bias"] = lambda p, r=rows: p[f"{theirs}in_proj_bias"][r]
    found[f"{prefix}output.weight"] = lambda p: p[f"{theirs}out_proj.weight"].T
    if bias:
        found[f"{prefix}output.bias"] = lambda p: p[f"{theirs}out_proj.bias"]
    return found


def _rest_shared(norms: int) -> Makers:
    found: Makers = {}
    for ours, theirs in (("expand", "linear1"), ("contract", "linear2")):
        found[f"{ours}.weight"] = lambda p, n=theirs: p[f"{n}.weight"].T
        found[f"{ours}.bias"] = lambda p, n=theirs: p[f"{n}.bias"]
    for place in range(norms):
        found[f"norms.{place}.scale"] = lambda p, n=place + 1: p[f"norm{n}.weight"]
        found[f"norms.{place}.bias"] = lambda p, n=place + 1: p[f"norm{n}.bias"]
    return found


def _hidden(length: int) -> Any:
    """Return PyTorch's mask of causal attention: true where a key is not seen."""
    return torch.ones((length, length), dtype=torch.bool).triu(1)


def _by_steps(function: Callable[[], Any]) -> Any:
    """Compute with the attention of PyTorch that has second derivatives."""
    attention = torch.nn.attention
    with attention.sdpa_kernel(attention.SDPBackend.MATH):
        return function()


def _attention(causal: bool, bias: bool) -> Row:
    return Row(
        f"nn.MultiHeadAttention, causal {causal} bias {bias}",
        lambda layer, x: layer(x, causal=causal),
        lambda layer, x: layer(x, x, x, attn_mask=_hidden(5) if causal else None)[0],
        [(2, 5, WIDTH)],
        layers=Layers(
            lambda dtype: nn.MultiHeadAttention(WIDTH, HEADS, bias=bias, seed=0, dtype=dtype),
            lambda: torch.nn.MultiheadAttention(WIDTH, HEADS, bias=bias, batch_first=True),
            _attention_shared("", "", bias),
        ),
    )


def _from_memory() -> Row:
    return Row(
        "nn.MultiHeadAttention, memory",
        lambda layer, x, memory: layer(x, memory),
        lambda layer, x, memory: layer(x, memory, memory)[0],
        [(2, 3, WIDTH), (2, 7, WIDTH)],
        layers=Layers(
            lambda dtype: nn.MultiHeadAttention(WIDTH, HEADS, seed=0, dtype=dtype),
            lambda: torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True),
            _attention_shared("", ""),
        ),
    )


def _encoder(before: bool, causal: bool, activation: str) -> Row:
    return Row(
        f"nn.TransformerEncoderLayer, norm first {before} causal {causal} {activation}",
        lambda layer, x: layer(x, causal=causal),
        lambda layer, x: _by_steps(lambda: layer(x, src_mask=_hidden(5) if causal else None)),
        [(2, 5, WIDTH)],
        layers=Layers(
            lambda dtype: nn.TransformerEncoderLayer(
                WIDTH, HEADS, HIDDEN, getattr(nn, activation), before, seed=0, dtype=dtype
            ),
            lambda: torch.nn.TransformerEncoderLayer(
                WIDTH,
                HEADS,
                HIDDEN,
                0.0,
                getattr(functional, activation),
                batch_first=True,
                norm_first=before,
            ),
            _attention_shared("attention.", "self_attn.") | _rest_shared(2),
        ),
    )


def _decoder(before: bool) -> Row:
    shared = _attention_shared("attention.", "self_attn.")
    shared |= _attention_shared("cross_attention.", "multihead_attn.") | _rest_shared(3)
    return Row(
        f"nn.TransformerDecoderLayer, norm first {before}",
        lambda layer, x, memory: layer(x, memory),
        lambda layer, x, memory: _by_steps(lambda: layer(x, memory, tgt_mask=_hidden(4))),
        [(2, 4, WIDTH), (2, 6, WIDTH)],
        layers=Layers(
            lambda dtype: nn.TransformerDecoderLayer(
                WIDTH, HEADS, HIDDEN, norm_first=before, seed=0, dtype=dtype
            ),
            lambda: torch.nn.TransformerDecoderLayer(
                WIDTH, HEADS, HIDDEN, 0.0, batch_first=True, norm_first=before
            ),
            shared,
        ),
    )
