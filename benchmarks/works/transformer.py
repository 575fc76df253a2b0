"""A training step of a causal transformer with AdamW: 4 layers of width 256 with 8 heads, 8 texts
of 128 bytes."""

from collections.abc import Sequence
from typing import Any

from benchmarks import training
from benchmarks.decoder import Decoder
from benchmarks.work import Array, Work, integers

MODEL = Decoder(layers=4, width=256, heads=8, batch=8, length=128, vocabulary=256)
DECAY = 0.01


def inputs() -> list[Array]:
    """Return tokens, the tokens that follow, the mask, and the parameters."""
    text = integers(MODEL.vocabulary, MODEL.batch, MODEL.length + 1)
    return [text[:, :-1].copy(), text[:, 1:].flatten(), MODEL.mask(), *MODEL.parameters()]


def graphc_loss(g: Any, parameters: Sequence[Any], batch: Sequence[Any]) -> Any:
    """Return the mean cross entropy."""
    tokens, following, mask = batch
    return g.nn.cross_entropy(
        MODEL.logits(MODEL.for_graphc(g), tokens, mask, parameters), following
    )


def torch_loss(torch: Any, parameters: Sequence[Any], batch: Sequence[Any]) -> Any:
    """Return the mean cross entropy."""
    tokens, following, mask = batch
    logits = MODEL.logits(MODEL.for_torch(torch), tokens, mask, parameters)
    return torch.nn.functional.cross_entropy(logits, following)


def jax_loss(jax: Any, parameters: Sequence[Any], batch: Sequence[Any]) -> Any:
    """Return the mean cross entropy."""
    tokens, following, mask = batch
    logits = MODEL.logits(MODEL.for_jax(jax), tokens, mask, parameters)
    scores = jax.nn.log_softmax(logits)
    return -jax.numpy.take_along_axis(scores, following[:, None], axis=-1).mean()


WORKS = [
    Work(
        name="transformer step",
        inputs=inputs,
        stateful=True,
        graphc=training.for_graphc(graphc_loss, 3, DECAY),
        torch=training.for_torch(torch_loss, 3, DECAY),
        jax=training.for_jax(jax_loss, 3, DECAY),
        flops=3 * MODEL.forward_flops(),
        bar=1.8,
    )
]
