"""A training step of a causal transformer with AdamW: 4 layers of width 256 with 8 heads, 8 texts of
128 bytes. Layer norm before attention and before the two linear layers; exact gelu; no dropout."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import training
from benchmarks.work import Array, Work, integers, normal

LAYERS, WIDTH, HEADS, BATCH, LENGTH, BYTES = 4, 256, 8, 8, 128, 256
HEAD = WIDTH // HEADS
EACH = 12  # parameters of a layer
NORM = ((WIDTH,), (WIDTH,))
ATTENTION = ((WIDTH, 3 * WIDTH), (3 * WIDTH,), (WIDTH, WIDTH), (WIDTH,))
LINEAR = ((WIDTH, 4 * WIDTH), (4 * WIDTH,), (4 * WIDTH, WIDTH), (WIDTH,))
SHAPES: tuple[tuple[int, ...], ...] = (*NORM, *ATTENTION, *NORM, *LINEAR)
MATRICES = sum(math.prod(shape) for shape in SHAPES if len(shape) == 2) * LAYERS + WIDTH * BYTES


def inputs() -> list[Array]:
    """Return tokens, the tokens that follow, the mask, and the parameters: two embeddings, those of
    each layer, and the last linear layer."""
    text = integers(BYTES, BATCH, LENGTH + 1)
    mask = np.triu(np.full((LENGTH, LENGTH), -1e9, np.float32), 1)
    found = [text[:, :-1].copy(), text[:, 1:].copy(), mask]
    shapes = [(BYTES, WIDTH), (LENGTH, WIDTH), *SHAPES * LAYERS, (WIDTH, BYTES)]
    return found + [_parameter(shape, seed) for seed, shape in enumerate(shapes)]


def _parameter(shape: tuple[int, ...], seed: int) -> Array:
    """Return small random numbers; around 1 for the scales of layer norms and 0 for biases."""
    scale = seed >= 2 and (seed - 2) % EACH in (0, 6) and len(shape) == 1
    deviation = 0.02 if len(shape) == 2 else 0.0
    return normal(*shape, seed=seed) * np.float32(deviation) + np.float32(scale)


def heads(x: Any, permute: Any) -> Any:
    """Return (batch, length, width) as (batch, heads, length, head)."""
    return permute(x.reshape((BATCH, LENGTH, HEADS, HEAD)), (0, 2, 1, 3))


def logits(ops: dict[str, Any], tokens: Any, mask: Any, parameters: Sequence[Any]) -> Any:
    """Return the scores of the next bytes; tensors of any framework, its functions in `ops`."""
    permute, norm = ops["permute"], ops["layer_norm"]
    x = ops["take"](parameters[0], tokens) + parameters[1]
    for layer in range(LAYERS):
        start = 2 + EACH * layer
        w = parameters[start : start + EACH]
        joint = norm(x, w[0], w[1]) @ w[2] + w[3]
        query, key, value = (
            heads(joint[..., i * WIDTH : (i + 1) * WIDTH], permute) for i in range(3)
        )
        mixed = ops["attention"](query, key, value, mask)
        x = x + permute(mixed, (0, 2, 1, 3)).reshape((BATCH, LENGTH, WIDTH)) @ w[4] + w[5]
        x = x + ops["gelu"](norm(x, w[6], w[7]) @ w[8] + w[9]) @ w[10] + w[11]
    return (x @ parameters[-1]).reshape((BATCH * LENGTH, BYTES))


def graphc_loss(g: Any, parameters: Sequence[Any], batch: Sequence[Any]) -> Any:
    """Return the mean cross entropy."""
    tokens, following, mask = batch

    def attention(query: Any, key: Any, value: Any, mask: Any) -> Any:
        scores = query @ g.permute_dims(key, (0, 1, 3, 2)) * HEAD**-0.5 + mask
        return g.softmax(scores) @ value

    ops = {
        "take": lambda table, ids: g.take(table, ids, axis=0),
        "permute": g.permute_dims,
        "layer_norm": g.layer_norm,
        "gelu": g.gelu,
        "attention": attention,
    }
    scores = logits(ops, tokens, mask, parameters)
    return g.nn.cross_entropy(scores, following.reshape((BATCH * LENGTH,)))


def torch_loss(torch: Any, parameters: Sequence[Any], batch: Sequence[Any]) -> Any:
    """Return the mean cross entropy; attention is torch's own, which never writes all scores."""
    tokens, following, mask = batch
    functional = torch.nn.functional
    ops = {
        "take": lambda table, ids: functional.embedding(ids, table),
        "permute": lambda x, order: x.permute(order),
        "layer_norm": lambda x, w, b: functional.layer_norm(x, (WIDTH,), w, b),
        "gelu": functional.gelu,
        "attention": lambda q, k, v, _: functional.scaled_dot_product_attention(
            q, k, v, is_causal=True
        ),
    }
    scores = logits(ops, tokens, mask, parameters)
    return functional.cross_entropy(scores, following.reshape(-1))


def jax_loss(jax: Any, parameters: Sequence[Any], batch: Sequence[Any]) -> Any:
    """Return the mean cross entropy."""
    tokens, following, mask = batch
    jnp = jax.numpy

    def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
        mean = x.mean(-1, keepdims=True)
        variance = jnp.square(x - mean).mean(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * weight + bias

    def attention(query: Any, key: Any, value: Any, mask: Any) -> Any:
        scores = query @ jnp.transpose(key, (0, 1, 3, 2)) * HEAD**-0.5 + mask
        return jax.nn.softmax(scores) @ value

    ops = {
        "take": lambda table, ids: table[ids],
        "permute": jnp.transpose,
        "layer_norm": layer_norm,
        "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        "attention": attention,
    }
    scores = jax.nn.log_softmax(logits(ops, tokens, mask, parameters))
    return -jnp.take_along_axis(scores, following.reshape(-1, 1), axis=-1).mean()


DECAY = 0.01
TOKENS = BATCH * LENGTH
WORKS = [
    Work(
        name="transformer step",
        inputs=inputs,
        stateful=True,
        graphc=training.for_graphc(graphc_loss, 3, DECAY),
        torch=training.for_torch(torch_loss, 3, DECAY),
        jax=training.for_jax(jax_loss, 3, DECAY),
        # Scores and mixtures of attention count in full, though a mask would spare half of them.
        flops=6 * TOKENS * MATRICES + 12 * TOKENS * LENGTH * WIDTH * LAYERS,
        bar=1.8,
    )
]
