"""Attention against its definition in NumPy, its masks, and the layers made of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc
import graphc.frontend as gc
from graphc.errors import (
    GraphcError,
    GraphcIndexError,
    GraphcTypeError,
    GraphcValueError,
    ShapeError,
)
from graphc.frontend import nn
from tests.frontend.evaluation import Array, close, run, same, tensor

RANDOM = np.random.default_rng(0)
attend = gc.scaled_dot_product_attention


def attention(query: Array, key: Array, value: Array, seen: Array) -> Array:
    """One head and one query at a time."""
    heads, each = query.shape[1], query.shape[1] // key.shape[1]
    result = np.zeros((*query.shape[:3], value.shape[-1]))
    for b, h, n in np.ndindex(len(query), heads, query.shape[2]):
        at = seen[b, h, n]
        if at.any():
            products = key[b, h // each, at] @ query[b, h, n] / np.sqrt(query.shape[-1])
            weights = np.exp(products - products.max())
            result[b, h, n] = weights / weights.sum() @ value[b, h // each, at]
    return result


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize(("n", "m"), [(5, 5), (3, 7), (7, 3), (1, 1)])
def test_masks_and_heads(kv_heads: int, n: int, m: int) -> None:
    q, k, v = (
        RANDOM.standard_normal(s) for s in ((2, 4, n, 6), (2, kv_heads, m, 6), (2, kv_heads, m, 3))
    )
    every = np.ones((2, 4, n, m), bool)
    close(run(attend, q, k, v), attention(q, k, v, every))
    lower = np.tril(np.ones((n, m), bool))
    close(run(lambda *a: attend(*a, causal=True), q, k, v), attention(q, k, v, every & lower))
    mask = RANDOM.random((2, 1, n, m)) < 0.5
    close(run(attend, q, k, v, mask), attention(q, k, v, every & mask))
    added = np.where(mask, 0.0, -np.inf)
    close(run(attend, q, k, v, added), attention(q, k, v, every & mask))
    both = run(lambda *a: attend(*a, causal=True), q, k, v, mask)
    close(both, attention(q, k, v, every & lower & mask))


def test_large_products_do_not_overflow() -> None:
    q, k, v = (RANDOM.standard_normal((1, 1, 4, 8)).astype(np.float32) for _ in range(3))
    got = run(attend, q * 1e4, k * 1e4, v)
    assert np.isfinite(got).all()


@pytest.mark.parametrize("backend", ["llvm", "reference"])
def test_a_query_that_sees_nothing_gets_zeros(backend: graphc.api.BackendName) -> None:
    q, k, v = (RANDOM.standard_normal((1, 2, 3, 4)).astype(np.float32) for _ in range(3))
    mask = np.ones((3, 3), bool)
    mask[1] = False
    value = graphc.compile(lambda q, k, v: attend(q, k, v, mask), backend=backend)(q, k, v)
    np.testing.assert_array_equal(value[:, :, 1], 0)
    assert (value[:, :, 0] != 0).all()
    slopes = graphc.compile(
        graphc.grad(lambda q, k, v: attend(q, k, v, mask).sum(), argnums=(0, 1, 2)),
        backend=backend,
    )(q, k, v)
    assert (slopes[0][:, :, 1] == 0).all() and all(np.isfinite(s).all() for s in slopes)


def test_dropout_is_applied_to_the_weights() -> None:
    q, k, v = (RANDOM.standard_normal((1, 1, 3, 4)) for _ in range(3))
    halved = run(lambda *a: attend(*a, dropout=lambda w: w * 0.5), q, k, v)
    close(halved, run(attend, q, k, v) / 2)


def test_sixteen_bits_and_no_heads() -> None:
    q, k = RANDOM.standard_normal((5, 4)).astype(np.float16), np.ones((3, 4), np.float16)
    got = run(attend, q, k, k)
    assert (got.dtype, got.shape) == (np.float16, (5, 4))
    close(got, np.ones((5, 4), np.float16))


@pytest.mark.parametrize(
    ("shapes", "kind", "message"),
    [
        (((1, 2, 3, 4), (1, 2, 3, 5), (1, 2, 3, 4)), ShapeError, "do not fit"),
        (((1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 2, 4)), ShapeError, "do not fit"),
        (((1, 3, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4)), ShapeError, "3 heads of queries"),
        (((4,), (4,), (4,)), ShapeError, "axes"),
        (((1, 2, 3, 4),) * 3 + ((2, 2),), ShapeError, "mask .* does not broadcast"),
    ],
)
def test_errors(shapes: Any, kind: type[GraphcError], message: str) -> None:
    with pytest.raises(kind, match=message):
        attend(*(tensor(*s) for s in shapes))


def test_an_integer_mask_is_refused() -> None:
    x = tensor(1, 3, 4)
    with pytest.raises(GraphcTypeError, match="a mask is bool or float"):
        attend(x, x, x, np.ones((3, 3), np.int64))


def test_multi_head_attention_is_its_parts() -> None:
    layer = nn.MultiHeadAttention(8, heads=4, kv_heads=2, seed=0)
    assert repr(layer).splitlines()[0] == "MultiHeadAttention(8, heads=4, kv_heads=2)"
    assert [p.shape for p in layer.parameters()][2:4] == [(8, 4), (4,)]
    x, memory = RANDOM.standard_normal((2, 2, 5, 8)).astype(np.float32)

    def heads(y: Any, count: int) -> Any:
        return gc.swapaxes(y.reshape(2, 5, count, 2), 1, 2)

    def parts(x: Any, memory: Any) -> Any:
        q, k, v = layer.query(x), layer.key(memory), layer.value(memory)
        taken = attend(heads(q, 4), heads(k, 2), heads(v, 2), causal=True)
        return layer.output(gc.swapaxes(taken, 1, 2).reshape(2, 5, 8))

    close(run(lambda x, m: layer(x, m, causal=True), x, memory), run(parts, x, memory))


@pytest.mark.parametrize("norm_first", [False, True])
def test_transformer_layers(norm_first: bool) -> None:
    encoder = nn.TransformerEncoderLayer(8, 2, norm_first=norm_first, seed=0)
    decoder = nn.TransformerDecoderLayer(8, 2, 16, gc.gelu, norm_first, seed=1)
    assert len(encoder.parameters()) == 16 and len(decoder.parameters()) == 26
    x, memory = RANDOM.standard_normal((2, 2, 5, 8)).astype(np.float32)
    got = run(lambda x, m: decoder(x, encoder(m)), x, memory)
    later = x.copy()
    later[:, 3:] += 1  # what comes later changes nothing of what comes before
    close(run(lambda x, m: decoder(x, encoder(m)), later, memory)[:, :3], got[:, :3])
    if not norm_first:
        close(got.mean(-1), np.zeros((2, 5), np.float32), 1e-5)


def test_dropout_hooks_are_called() -> None:
    calls: list[tuple[int, ...]] = []

    def hook(x: Any) -> Any:
        calls.append(x.shape)
        return x

    nn.TransformerEncoderLayer(8, 2, dropout=hook, seed=0)(tensor(2, 5, 8))
    assert calls == [(2, 2, 5, 5), (2, 5, 8), (2, 5, 32), (2, 5, 8)]


def test_embedding() -> None:
    layer = nn.Embedding(10, 4, seed=0)
    weight = layer.weight.value
    close(run(layer, np.array([[1, 9], [0, 1]])), weight[[[1, 9], [0, 1]]])
    assert repr(layer) == "Embedding(10, 4)"
    with pytest.raises(GraphcTypeError, match="Embedding takes integers"):
        layer(tensor(2))
    with pytest.raises(GraphcValueError, match="0 rows"):
        nn.Embedding(0, 4, seed=0)
    with pytest.raises(GraphcValueError, match="3 heads divide"):
        nn.MultiHeadAttention(8, 3, seed=0)


@pytest.mark.parametrize("backend", ["llvm", "reference"])
def test_an_embedding_of_an_integer_out_of_range(backend: Any) -> None:
    layer = nn.Embedding(5, 2, seed=0)
    look_up = graphc.compile(layer, backend=backend)
    for wrong in (-1, 5):
        with pytest.raises(GraphcIndexError, match=r"Embedding: .* out of bounds.* 0 … 4"):
            look_up(np.array([0, wrong]))
    with pytest.raises(GraphcIndexError, match=r"Embedding: .* 5 rows: -1"):
        layer(np.array([0, -1]))
    assert look_up(np.array([4, 0])).shape == (2, 2)


@pytest.mark.parametrize("padding", [0, -1])
def test_padding_has_no_row_in_an_embedding(padding: int) -> None:
    layer = nn.Embedding(5, 2, seed=0, padding_index=padding)
    x = np.array([3, padding, 1])
    same(graphc.compile(layer)(x)[[1]], np.zeros((1, 2), np.float32))
    gradient = graphc.grad(lambda layer, x: layer(x).sum())(layer, x)["weight"]
    assert gradient.sum(1).tolist() == [0, 2, 0, 2, 0]
    assert repr(layer) == f"Embedding(5, 2, padding_index={padding})"


@pytest.mark.parametrize("make", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer])
def test_dropout_by_its_rate(make: Any) -> None:
    """The weights stay those of a layer without dropout; the masks are drawn in training alone."""
    layer, plain = make(8, 2, seed=0, dropout=0.5), make(8, 2, seed=0)
    for mine, other in zip(layer.parameters(), plain.parameters(), strict=True):
        same(mine.value, other.value)
    x = np.ones((1, 3, 8), np.float32)
    arguments = (x,) if make is nn.TransformerEncoderLayer else (x, x)
    run = graphc.compile(layer)
    first, second = run(*arguments), run(*arguments)
    assert (first != second).any()
    layer.eval()
    same(run(*arguments), graphc.compile(plain)(*arguments))


def test_what_is_no_dropout() -> None:
    makers: list[Any] = [nn.MultiHeadAttention, nn.TransformerEncoderLayer, nn.LSTM]
    for make in makers:
        for wrong in ("0.1", True, nn.Dropout):
            with pytest.raises(GraphcTypeError, match="dropout is a rate, a module"):
                make(8, 2, seed=0, dropout=wrong)
        with pytest.raises(GraphcValueError, match="rate of dropout"):
            make(8, 2, seed=0, dropout=1.5)


def test_an_empty_batch() -> None:
    layer = nn.MultiHeadAttention(8, heads=2, seed=0)
    empty = np.zeros((0, 5, 8), np.float32)
    assert graphc.compile(layer.forward)(empty).shape == (0, 5, 8)
