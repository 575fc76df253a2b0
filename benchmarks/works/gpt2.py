"""Inference of GPT-2 small on 128 tokens with random weights, and of a small one like it.

The weights belong to the model: constants in ONNX and in graphc, closed over in torch. JAX gets
them as arguments, as is usual there.
"""

import functools
from typing import Any

from benchmarks.decoder import Decoder
from benchmarks.work import Work, integers


def work(name: str, model: Decoder, bar: float | None = None) -> Work:
    """Return the inference of a model."""

    def for_graphc(g: Any, compile: Any, tokens: Any, mask: Any, *arrays: Any) -> Any:
        ops = model.for_graphc(g)
        call = compile(lambda tokens, mask: model.logits(ops, tokens, mask, arrays))
        return functools.partial(call, tokens, mask)

    def for_torch(torch: Any, compile: Any, tokens: Any, mask: Any, *weights: Any) -> Any:
        ops = model.for_torch(torch)
        forward = compile(lambda tokens: model.logits(ops, tokens, mask, weights))

        def call() -> Any:
            with torch.inference_mode():
                return forward(tokens)

        return call

    def for_jax(jax: Any, compile: Any, tokens: Any, mask: Any, *weights: Any) -> Any:
        ops = model.for_jax(jax)
        call = compile(lambda tokens, mask, *weights: model.logits(ops, tokens, mask, weights))
        return functools.partial(call, tokens, mask, *weights)

    return Work(
        name=name,
        inputs=lambda: [
            integers(model.vocabulary, model.batch, model.length),
            model.mask(),
            *model.parameters(),
        ],
        stateful=True,
        graphc=for_graphc,
        torch=for_torch,
        jax=for_jax,
        onnx=model.onnx(),
        weights=len(model.shapes()),
        flops=model.forward_flops(),
        bar=bar,
    )


SMALL = Decoder(layers=12, width=768, heads=12, batch=1, length=128, vocabulary=50257, tanh=True)
TINY = Decoder(layers=2, width=64, heads=4, batch=2, length=16, vocabulary=96, tanh=True)
WORKS = [work("gpt2 small, 128 tokens", SMALL, 1.0), work("gpt2 tiny, 2 of 16 tokens", TINY)]
