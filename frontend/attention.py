"""Scaled dot-product attention: what each query takes from values, by the keys it resembles.

Source: arXiv:1706.03762; grouped heads: arXiv:2305.13245. It is a composition of two contractions
with a softmax between; kernels are those that fusion makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from graphc.dtypes import bool_
from graphc.errors import GraphcTypeError, ShapeError
from graphc.frontend import contractions, elementwise, reductions, shapes
from graphc.frontend.composites import as_float
from graphc.frontend.operands import as_node, broadcast_shapes, cast, fail, promote
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node
from graphc.tensor_type import Shape

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    mask: TensorLike | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    dropout: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return softmax(query @ key.mT * scale) @ value, over the last two axes of each.

    query is (…, heads, n, width), key (…, heads, m, width), value (…, heads, m, any); the result
    is (…, heads, n, any). Keys and values may have fewer heads, of which each then serves as many
    neighbouring heads of the query. `mask` broadcasts to (…, heads, n, m): bool, true where a key
    takes part, or floats that are added to the products. With `causal`, query i sees the keys up to
    i. `scale` is 1 / sqrt(width) by default. `dropout` is applied to the weights.

    A query that sees no key gets zeros, and gives zeros as gradients. Raises ShapeError where
    shapes do not fit.

    >>> from graphc.frontend import input
    >>> q, kv = input((2, 8, 100, 64)), input((2, 2, 120, 64))
    >>> scaled_dot_product_attention(q, kv, kv, causal=True).shape
    (2, 8, 100, 64)
    """
    nodes = promote(query, key, value)
    q, k, v = (as_float(Tensor(node)) for node in nodes)
    result = q[1]
    heads, kv_heads = _check(*nodes)
    width = nodes[0].shape[-1]
    wanted = 1 / math.sqrt(max(width, 1)) if scale is None else scale
    products = _per_head(q[0], k[0].mT, heads, kv_heads) * wanted
    weights = _masked_softmax(_masked(products, mask, causal))
    if dropout is not None:
        weights = dropout(weights)
    return _per_head(weights, v[0], heads, kv_heads).astype(result)


def _per_head(rows: Tensor, columns: Tensor, heads: int, kv_heads: int) -> Tensor:
    """Return the products of (…, heads, n, k) with (…, kv heads, k, m): (…, heads, n, m)."""
    if heads == kv_heads:
        return contractions.matmul(rows, columns)
    *batch, _, count, summed = rows.shape
    together = (*batch, kv_heads, heads // kv_heads * count, summed)
    product = contractions.matmul(shapes.reshape(rows, together), columns)
    return shapes.reshape(product, (*product.shape[:-3], heads, count, product.shape[-1]))


def _masked(products: Tensor, mask: TensorLike | None, causal: bool) -> Tensor:
    if causal:
        queries, keys = products.shape[-2:]
        seen = np.arange(keys) <= np.arange(queries)[:, None]
        products = elementwise.where(seen, products, -math.inf)
    if mask is None:
        return products
    node = as_node(mask)
    try:
        fits = broadcast_shapes(node.shape, products.shape) == products.shape
    except ValueError:
        fits = False
    if not fits:
        fail(
            ShapeError,
            f"scaled_dot_product_attention: the mask {node.shape} does not broadcast to the "
            f"weights {products.shape}",
            [node, products.node],
        )
    if node.type.dtype is bool_:
        return elementwise.where(Tensor(node), products, -math.inf)
    if not node.type.dtype.is_float:
        fail(
            GraphcTypeError,
            f"scaled_dot_product_attention: a mask is bool or float, not {node.type.dtype}",
            [node],
        )
    return products + Tensor(cast(node, products.dtype))


def _masked_softmax(x: Tensor) -> Tensor:
    """Return the softmax over the last axis, zeros where every element is -inf."""
    if not x.size:
        return x
    greatest = elementwise.stop_gradient(reductions.max(x, -1, keepdims=True))
    base = elementwise.where(greatest == -math.inf, 0, greatest)
    powers = elementwise.exp(x - base)
    total = reductions.sum(powers, -1, keepdims=True)
    return powers * elementwise.reciprocal(elementwise.where(total == 0, 1, total))


def _check(query: Node, key: Node, value: Node) -> tuple[int, int]:
    """Return how many heads the query has, and how many keys and values."""
    name = "scaled_dot_product_attention"
    nodes = [query, key, value]
    if min(len(node.shape) for node in nodes) < 2:
        fail(ShapeError, f"{name}: operands have axes (…, heads, n, width)", nodes)
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        fail(
            ShapeError,
            f"{name}: queries {query.shape}, keys {key.shape} and values {value.shape} do not fit: "
            "query and key have one width, key and value one length",
            nodes,
        )
    if len({len(node.shape) for node in nodes}) > 1 or len(query.shape) < 3:
        return 1, 1
    return _heads(name, query.shape, key.shape, value.shape, nodes)


def _heads(name: str, query: Shape, key: Shape, value: Shape, nodes: list[Node]) -> tuple[int, int]:
    heads, kv_heads = query[-3], key[-3]
    if value[-3] != kv_heads or (heads != kv_heads and (not kv_heads or heads % kv_heads)):
        fail(
            ShapeError,
            f"{name}: {heads} heads of queries, {kv_heads} of keys and {value[-3]} of values; "
            "those of keys and values are equal and divide those of queries",
            nodes,
        )
    return heads, kv_heads
