"""Layer normalisation of each row, with a weight and a bias for each column."""

from typing import Any

import numpy as np

from benchmarks.work import Array, Work, normal, short

EPSILON = 1e-5


def reference(x: Array, weight: Array, bias: Array) -> Array:
    """Return the rows with mean 0 and variance 1, scaled and shifted."""
    centred = x - x.mean(-1, keepdims=True)
    result: Array = centred / np.sqrt(x.var(-1, keepdims=True) + EPSILON) * weight + bias
    return result


def work(rows: int, columns: int) -> Work:
    """Return the layer norm of so many rows."""
    shape, vector = f"float[{rows},{columns}]", f"float[{columns}]"

    def for_torch(torch: Any) -> Any:
        norm = torch.nn.functional.layer_norm
        return lambda x, weight, bias: norm(x, (columns,), weight, bias, EPSILON)

    def for_jax(jax: Any) -> Any:
        def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
            mean = x.mean(-1, keepdims=True)
            variance = jax.numpy.square(x - mean).mean(-1, keepdims=True)
            return (x - mean) * jax.lax.rsqrt(variance + EPSILON) * weight + bias

        return layer_norm

    return Work(
        name=f"layer norm {short(rows * columns)}",
        inputs=lambda: [normal(rows, columns), normal(columns, seed=1), normal(columns, seed=2)],
        numpy=reference,
        graphc=lambda g: lambda x, weight, bias: g.layer_norm(x, weight, bias, epsilon=EPSILON),
        torch=for_torch,
        jax=for_jax,
        onnx=f"({shape} x, {vector} w, {vector} b) => ({shape} y) "
        f"{{ y = LayerNormalization <axis = -1, epsilon = {EPSILON}> (x, w, b) }}",
        moved=8 * rows * columns,
        bar=1.2,
    )


WORKS = [work(rows, 1024) for rows in (1, 64, 1024, 4096, 16384)]
