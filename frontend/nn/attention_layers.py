"""Embeddings, attention, and the layers of transformers, over (batch, length, width).

`dropout` is a rate, or a module or a function, `nn.Dropout(…)` for one, that is applied to the
weights of attention and to what each part adds; None leaves it out. A mask of keys, (batch, m), is
given as `mask[:, None, None, :]`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from graphc.dtypes import DTypeLike, as_dtype, float32
from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend import composites, elementwise, indexing, initialisers, shapes
from graphc.frontend.attention import scaled_dot_product_attention
from graphc.frontend.nn.dropout import DropoutLike, as_dropout
from graphc.frontend.nn.layers import Linear
from graphc.frontend.nn.module import Module
from graphc.frontend.nn.normalisation_layers import LayerNorm
from graphc.frontend.operands import as_node, fail
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.variable import Variable

__all__ = [
    "Embedding", "MultiHeadAttention", "TransformerDecoderLayer", "TransformerEncoderLayer",
]  # fmt: skip

Function = Callable[[Any], Tensor]


class Embedding(Module):
    """A row of the weight (count, width) for each integer of x; drawn from a normal distribution.

    The integer `padding_index`, inside 0 … count - 1 or not, gives zeros and trains no row.

    >>> from graphc.frontend import input
    >>> Embedding(100, 16, seed=0)(input((8, 12), "int64")).shape
    (8, 12, 16)
    """

    def __init__(
        self,
        count: int,
        width: int,
        *,
        seed: initialisers.Seed,
        dtype: DTypeLike = float32,
        padding_index: int | None = None,
        weight_initialiser: initialisers.Start = "normal",
        name: str = "",
    ) -> None:
        if count < 1 or width < 1:
            fail(GraphcValueError, f"Embedding: {count} rows of {width} are none")
        random, kind = initialisers.generator(seed), as_dtype(dtype)
        first = initialisers.first_value(
            "Embedding", weight_initialiser, (count, width), random, kind
        )
        self.weight = Variable(first, name=f"{name}.weight" if name else "weight")
        self.padding_index = None if padding_index is None else operator.index(padding_index)

    def forward(self, x: TensorLike) -> Tensor:
        """Return the rows; integers out of range, which negative ones are, raise GraphcIndexError.

        They do when the program runs.
        """
        node, count = as_node(x), self.weight.shape[0]
        if not node.type.dtype.is_integer:
            fail(GraphcTypeError, f"Embedding takes integers, not {node.type}", [node])
        what = f"Embedding: an integer is out of bounds for {count} rows"
        if self.padding_index is None:
            rows = indexing.checked_index(node, count, what)
            return indexing.take(self.weight, rows, axis=0, mode="clip")
        counts = Tensor(node) != self.padding_index
        rows = indexing.checked_index(elementwise.where(counts, Tensor(node), 0).node, count, what)
        found = indexing.take(self.weight, rows, axis=0, mode="clip")
        return elementwise.where(counts[..., None], found, 0)

    def extra_repr(self) -> str:
        """Return the extents."""
        words = ", ".join(map(str, self.weight.shape))
        padding = self.padding_index
        return words if padding is None else f"{words}, padding_index={padding}"


class MultiHeadAttention(Module):
    """Attention of `heads` heads between linear layers; keys and values may have fewer heads.

    >>> from graphc.frontend import input
    >>> layer = MultiHeadAttention(64, heads=8, kv_heads=2, seed=0)
    >>> layer(input((2, 10, 64)), causal=True).shape
    (2, 10, 64)
    """

    def __init__(
        self,
        width: int,
        heads: int,
        kv_heads: int | None = None,
        bias: bool = True,
        *,
        dropout: DropoutLike = None,
        seed: initialisers.Seed,
        dtype: DTypeLike = float32,
    ) -> None:
        groups = heads if kv_heads is None else kv_heads
        if min(width, heads, groups) < 1 or width % heads or heads % groups:
            fail(
                GraphcValueError,
                f"MultiHeadAttention: {heads} heads divide a width of {width}, and {groups} heads "
                "of keys divide them",
            )
        self.heads, self.kv_heads, each = heads, groups, width // heads
        random = initialisers.generator(seed)
        options: dict[str, Any] = {
            "bias": bias,
            "seed": random,
            "dtype": dtype,
            "weight_initialiser": "xavier_uniform",
        }
        self.query = Linear(width, width, **options)
        self.key = Linear(width, groups * each, **options)
        self.value = Linear(width, groups * each, **options)
        self.output = Linear(width, width, **options)
        self.dropout = as_dropout("MultiHeadAttention", dropout, random)

    def forward(
        self,
        x: TensorLike,
        memory: TensorLike | None = None,
        mask: TensorLike | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Return what x (batch, n, width) takes from `memory` (batch, m, width), itself by default.

        `mask` broadcasts to (batch, heads, n, m); true, or 0.0, where a key takes part.
        """
        source = x if memory is None else memory
        taken = scaled_dot_product_attention(
            _in_heads(self.query(x), self.heads),
            _in_heads(self.key(source), self.kv_heads),
            _in_heads(self.value(source), self.kv_heads),
            mask,
            causal=causal,
            dropout=self.dropout,
        )
        together = shapes.swapaxes(taken, -3, -2)
        return self.output.forward(
            shapes.reshape(together, (*together.shape[:-2], self.heads * taken.shape[-1]))
        )

    def extra_repr(self) -> str:
        """Return width and heads."""
        words = f"{self.query.weight.shape[0]}, heads={self.heads}"
        return words + (f", kv_heads={self.kv_heads}" if self.kv_heads != self.heads else "")


def _in_heads(x: Tensor, heads: int) -> Tensor:
    """Return (…, length, width) as (…, heads, length, width of a head)."""
    split = (*x.shape[:-1], heads, x.shape[-1] // heads)
    return shapes.swapaxes(shapes.reshape(x, split), -3, -2)


class _TransformerLayer(Module):
    norm_first: bool
    dropout: Function | None
    activation: Function
    expand: Linear
    contract: Linear

    def _add(self, x: Tensor, part: Function, norm: LayerNorm) -> Tensor:
        """Return x plus a part of it, normalised before the part or after the sum."""
        if self.norm_first:
            return x + self._dropped(part(norm(x)))
        return norm.forward(x + self._dropped(part(x)))

    def _dropped(self, x: Tensor) -> Tensor:
        return x if self.dropout is None else self.dropout(x)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.contract.forward(self._dropped(self.activation(self.expand(x))))


class TransformerEncoderLayer(_TransformerLayer):
    """Self-attention and two linear layers, each added to its input; arXiv:1706.03762.

    `hidden`, by default 4 times the width, is what the first linear layer gives. With `norm_first`
    each part normalises its input (arXiv:2002.04745), else the sum is normalised.

    >>> from graphc.frontend import input
    >>> TransformerEncoderLayer(64, heads=4, seed=0)(input((2, 10, 64))).shape
    (2, 10, 64)
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int | None = None,
        activation: Function = composites.relu,
        norm_first: bool = False,
        *,
        dropout: DropoutLike = None,
        seed: initialisers.Seed,
        dtype: DTypeLike = float32,
    ) -> None:
        random = initialisers.generator(seed)
        self.activation, self.norm_first = activation, norm_first
        self.dropout = as_dropout("TransformerEncoderLayer", dropout, random)
        self.attention = MultiHeadAttention(width, heads, dropout=dropout, seed=random, dtype=dtype)
        inner = 4 * width if hidden is None else hidden
        self.expand = Linear(width, inner, seed=random, dtype=dtype)
        self.contract = Linear(inner, width, seed=random, dtype=dtype)
        self.norms = [LayerNorm(width, dtype=dtype) for _ in range(2)]

    def forward(
        self, x: TensorLike, mask: TensorLike | None = None, causal: bool = False
    ) -> Tensor:
        """Return the layer's result for x (batch, length, width)."""

        def attend(y: Tensor) -> Tensor:
            return self.attention.forward(y, mask=mask, causal=causal)

        first = self._add(Tensor(as_node(x)), attend, self.norms[0])
        return self._add(first, self._feed_forward, self.norms[1])


class TransformerDecoderLayer(_TransformerLayer):
    """Causal self-attention, attention to `memory`, and two linear layers; arXiv:1706.03762.

    >>> from graphc.frontend import input
    >>> layer = TransformerDecoderLayer(64, heads=4, seed=0)
    >>> layer(input((2, 10, 64)), input((2, 15, 64))).shape
    (2, 10, 64)
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int | None = None,
        activation: Function = composites.relu,
        norm_first: bool = False,
        *,
        dropout: DropoutLike = None,
        seed: initialisers.Seed,
        dtype: DTypeLike = float32,
    ) -> None:
        random = initialisers.generator(seed)
        self.activation, self.norm_first = activation, norm_first
        self.dropout = as_dropout("TransformerDecoderLayer", dropout, random)
        self.attention, self.cross_attention = (
            MultiHeadAttention(width, heads, dropout=dropout, seed=random, dtype=dtype)
            for _ in range(2)
        )
        inner = 4 * width if hidden is None else hidden
        self.expand = Linear(width, inner, seed=random, dtype=dtype)
        self.contract = Linear(inner, width, seed=random, dtype=dtype)
        self.norms = [LayerNorm(width, dtype=dtype) for _ in range(3)]

    def forward(
        self,
        x: TensorLike,
        memory: TensorLike,
        mask: TensorLike | None = None,
        memory_mask: TensorLike | None = None,
        causal: bool = True,
    ) -> Tensor:
        """Return the layer's result for x (batch, n, width) and memory (batch, m, width).

        `mask` is that of self-attention, `memory_mask` that of the attention to memory.
        """

        def attend(y: Tensor) -> Tensor:
            return self.attention.forward(y, mask=mask, causal=causal)

        def recall(y: Tensor) -> Tensor:
            return self.cross_attention.forward(y, memory, mask=memory_mask)

        first = self._add(Tensor(as_node(x)), attend, self.norms[0])
        second = self._add(first, recall, self.norms[1])
        return self._add(second, self._feed_forward, self.norms[2])
