"""The transformer: against a spelling in NumPy, one position after the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import graphc
from benchmarks.decoder import EACH, EPSILON, Decoder

MODEL = Decoder(layers=2, width=8, heads=2, batch=2, length=5, vocabulary=11, tanh=True)
Array = np.ndarray[Any, Any]


def normed(x: Array, scale: Array, bias: Array) -> Array:
    distance: Array = x - x.mean(-1, keepdims=True)
    deviation: Array = np.sqrt(x.var(-1, keepdims=True) + EPSILON)
    return distance / deviation * scale + bias


def gelu(x: Array) -> Array:
    inner: Array = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    result: Array = x / 2 * (1 + inner)
    return result


def attended(joint: Array) -> Array:
    """Return attention for one text, (length, 3 · width), a head and a position at a time."""
    query, key, value = np.split(joint, 3, axis=-1)
    result = np.zeros_like(query)
    head = MODEL.width // MODEL.heads
    for h in range(MODEL.heads):
        part = slice(h * head, (h + 1) * head)
        for place in range(MODEL.length):
            scores = key[: place + 1, part] @ query[place, part] / math.sqrt(head)
            powers = np.exp(scores - scores.max())
            result[place, part] = powers / powers.sum() @ value[: place + 1, part]
    return result


def expected(tokens: Array, parameters: list[Array]) -> Array:
    table, positions, *rest = (p.astype(np.float64) for p in parameters)
    x = table[tokens] + positions
    for layer in range(MODEL.layers):
        w = rest[EACH * layer : EACH * (layer + 1)]
        joint = normed(x, w[0], w[1]) @ w[2] + w[3]
        x = x + np.stack([attended(text) for text in joint]) @ w[4] + w[5]
        x = x + gelu(normed(x, w[6], w[7]) @ w[8] + w[9]) @ w[10] + w[11]
    last: Array = normed(x, rest[-2], rest[-1]).reshape(-1, MODEL.width) @ table.T
    return last


def test_the_transformer_is_that_of_the_paper() -> None:
    random = np.random.default_rng(0)
    parameters = [random.standard_normal(s, np.float32) / 2 for s in MODEL.shapes()]
    tokens = random.integers(MODEL.vocabulary, size=(MODEL.batch, MODEL.length))

    def forward(tokens: Any, mask: Any, weights: Any) -> Any:
        return MODEL.logits(MODEL.for_graphc(graphc), tokens, mask, weights)

    found = graphc.compile(forward)(tokens, MODEL.mask(), parameters)
    assert np.allclose(found, expected(tokens, parameters), atol=1e-4)


def test_parameters_fit_their_shapes_and_scales_begin_at_one() -> None:
    parameters = MODEL.parameters()
    assert [p.shape for p in parameters] == MODEL.shapes()
    starts = [2, 8, 14, 20, 26]  # the layer norms of two layers, and the last
    assert [n for n, p in enumerate(parameters) if p.ndim == 1 and p[0] == 1] == starts


def test_operations_of_gpt2_small_are_known() -> None:
    small = Decoder(12, 768, 12, batch=1, length=128, vocabulary=50257, tanh=True)
    weights = sum(math.prod(shape) for shape in small.shapes())
    assert weights == 124_439_808 - (1024 - 128) * 768  # as published, with fewer positions
    assert 31.5e9 < small.forward_flops() < 32.5e9
