"""A causal transformer in the manner of GPT-2, spelled once for all frameworks and once in ONNX.

Layer norm before attention and before the two linear layers, and at the end; learned positions; the
embedding is the last layer's weight too; no dropout. What a framework does best by itself (gelu,
layer norm, attention) is its own function, in a table of operations. Source: Radford et al.,
"Language Models are Unsupervised Multitask Learners", 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from benchmarks.work import Array, normal

Operations: TypeAlias = Mapping[str, Callable[..., Any]]
Shape: TypeAlias = tuple[int, ...]
EACH = 12  # parameters of a layer
EPSILON = 1e-5


@dataclass(frozen=True)
class Decoder:
    """The sizes of a model and of its input; `tanh` chooses gelu's approximation by tanh."""

    layers: int
    width: int
    heads: int
    batch: int
    length: int
    vocabulary: int
    tanh: bool = False

    def shapes(self) -> list[Shape]:
        """Return the shapes: two embeddings, those of each layer, and of the last layer norm."""
        w = self.width
        norm: list[Shape] = [(w,), (w,)]
        attention: list[Shape] = [(w, 3 * w), (3 * w,), (w, w), (w,)]
        linear: list[Shape] = [(w, 4 * w), (4 * w,), (4 * w, w), (w,)]
        layer = [*norm, *attention, *norm, *linear]
        return [(self.vocabulary, w), (self.length, w), *layer * self.layers, *norm]

    def parameters(self) -> list[Array]:
        """Return small random matrices, zeros for biases and ones for the scales of layer norms."""
        last = 2 + EACH * self.layers
        scales = {last, *(2 + EACH * n + k for n in range(self.layers) for k in (0, 6))}
        return [
            normal(*shape, seed=place) * np.float32(0.02)
            if len(shape) == 2
            else np.full(shape, np.float32(place in scales))
            for place, shape in enumerate(self.shapes())
        ]

    def mask(self) -> Array:
        """Return what is added to the scores: 0 for earlier tokens, -1e9 for later ones."""
        return np.triu(np.full((self.length, self.length), -1e9, np.float32), 1)

    def forward_flops(self) -> float:
        """Return the operations of the products, those that a mask makes useless included."""
        matrices = sum(math.prod(shape) for shape in self.shapes() if len(shape) == 2)
        matrices -= self.length * self.width
        attention = 2 * self.length * self.width * self.layers
        return 2.0 * self.batch * self.length * (matrices + attention)

    def logits(self, ops: Operations, tokens: Any, mask: Any, parameters: Sequence[Any]) -> Any:
        """Return the scores of the next tokens, (batch · length, vocabulary)."""
        permute, norm, wide = ops["permute"], ops["layer_norm"], (self.batch, self.length)
        x = ops["take"](parameters[0], tokens) + parameters[1]
        for layer in range(self.layers):
            w = parameters[2 + EACH * layer : 2 + EACH * (layer + 1)]
            joint = norm(x, w[0], w[1]) @ w[2] + w[3]
            thirds = (joint[..., i * self.width : (i + 1) * self.width] for i in range(3))
            split = (*wide, self.heads, self.width // self.heads)
            query, key, value = (permute(part.reshape(split), (0, 2, 1, 3)) for part in thirds)
            mixed = permute(ops["attention"](query, key, value, mask), (0, 2, 1, 3))
            x = x + mixed.reshape((*wide, self.width)) @ w[4] + w[5]
            x = x + ops["gelu"](norm(x, w[6], w[7]) @ w[8] + w[9]) @ w[10] + w[11]
        x = norm(x, parameters[-2], parameters[-1])
        return x.reshape((-1, self.width)) @ permute(parameters[0], (1, 0))

    def for_graphc(self, g: Any) -> Operations:
        """Return graphc's operations."""

        def attention(query: Any, key: Any, value: Any, mask: Any) -> Any:
            scores = query @ g.permute_dims(key, (0, 1, 3, 2)) * query.shape[-1] ** -0.5 + mask
            return g.softmax(scores) @ value

        return {
            "take": lambda table, ids: g.take(table, ids, axis=0),
            "permute": g.permute_dims,
            "layer_norm": g.layer_norm,
            "gelu": lambda x: g.gelu(x, "tanh" if self.tanh else "none"),
            "attention": attention,
        }

    def for_torch(self, torch: Any) -> Operations:
        """Return torch's operations; its attention never writes all scores."""
        functional = torch.nn.functional
        attention = functional.scaled_dot_product_attention
        return {
            "take": lambda table, ids: functional.embedding(ids, table),
            "permute": lambda x, order: x.permute(order),
            "layer_norm": lambda x, w, b: functional.layer_norm(x, (self.width,), w, b, EPSILON),
            "gelu": lambda x: functional.gelu(x, approximate="tanh" if self.tanh else "none"),
            "attention": lambda q, k, v, _: attention(q, k, v, is_causal=True),
        }

    def for_jax(self, jax: Any) -> Operations:
        """Return JAX's operations."""
        jnp = jax.numpy

        def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
            mean = x.mean(-1, keepdims=True)
            variance = jnp.square(x - mean).mean(-1, keepdims=True)
            return (x - mean) * jax.lax.rsqrt(variance + EPSILON) * weight + bias

        def attention(query: Any, key: Any, value: Any, mask: Any) -> Any:
            scores = query @ jnp.transpose(key, (0, 1, 3, 2)) * query.shape[-1] ** -0.5 + mask
            return jax.nn.softmax(scores) @ value

        return {
            "take": lambda table, ids: jnp.take(table, ids, axis=0, mode="clip"),
            "permute": jnp.transpose,
            "layer_norm": layer_norm,
            "gelu": lambda x: jax.nn.gelu(x, approximate=self.tanh),
            "attention": attention,
        }

    def onnx(self) -> str:
        """Return the model as ONNX text, its arguments the tokens, the mask and the parameters."""
        types = [
            f"int64[{self.batch},{self.length}] tokens",
            f"float[{self.length},{self.length}] mask",
            *(
                f"float[{','.join(map(str, shape))}] p{place}"
                for place, shape in enumerate(self.shapes())
            ),
        ]
        last = 2 + EACH * self.layers
        lines = ["taken = Gather(p0, tokens)  x0 = Add(taken, p1)"]
        lines += [self._onnx_layer(layer) for layer in range(self.layers)]
        lines.append(
            f"""end = LayerNormalization <epsilon = {EPSILON}>
                (x{self.layers}, p{last}, p{last + 1})
            flat = Reshape(end, rows)  turned = Transpose <perm = [1, 0]> (p0)
            y = MatMul(flat, turned)"""
        )
        rows = self.batch * self.length
        head = self.width // self.heads
        constants = f"""<int64[2] rows = {{-1,{self.width}}},
            int64[4] split = {{{self.batch},{self.length},{self.heads},{head}}},
            int64[3] joined = {{{self.batch},{self.length},{self.width}}},
            float scale = {{{head**-0.5}}}>"""
        body = "\n".join(lines)
        result = f"float[{rows},{self.vocabulary}] y"
        return f"({', '.join(types)}) => ({result}) {constants} {{ {body} }}"

    def _onnx_layer(self, n: int) -> str:
        w = [f"p{2 + EACH * n + k}" for k in range(EACH)]
        gelu = 'Gelu <approximate = "tanh">' if self.tanh else "Gelu"
        order = "<perm = [0, 2, 1, 3]>"
        return f"""
            a{n} = LayerNormalization <epsilon = {EPSILON}> (x{n}, {w[0]}, {w[1]})
            b{n} = MatMul(a{n}, {w[2]})  c{n} = Add(b{n}, {w[3]})
            qf{n}, kf{n}, vf{n} = Split <axis = -1, num_outputs = 3> (c{n})
            qs{n} = Reshape(qf{n}, split)  q{n} = Transpose {order} (qs{n})
            ks{n} = Reshape(kf{n}, split)  k{n} = Transpose <perm = [0, 2, 3, 1]> (ks{n})
            vs{n} = Reshape(vf{n}, split)  v{n} = Transpose {order} (vs{n})
            d{n} = MatMul(q{n}, k{n})  e{n} = Mul(d{n}, scale)  f{n} = Add(e{n}, mask)
            g{n} = Softmax <axis = -1> (f{n})  h{n} = MatMul(g{n}, v{n})
            i{n} = Transpose {order} (h{n})  j{n} = Reshape(i{n}, joined)
            l{n} = MatMul(j{n}, {w[4]})  m{n} = Add(l{n}, {w[5]})  o{n} = Add(x{n}, m{n})
            r{n} = LayerNormalization <epsilon = {EPSILON}> (o{n}, {w[6]}, {w[7]})
            s{n} = MatMul(r{n}, {w[8]})  t{n} = Add(s{n}, {w[9]})  u{n} = {gelu}(t{n})
            w{n} = MatMul(u{n}, {w[10]})  z{n} = Add(w{n}, {w[11]})  x{n + 1} = Add(o{n}, z{n})"""
