"""The softmax of each row."""

import numpy as np

from benchmarks.work import Array, Work, normal, short


def reference(x: Array) -> Array:
    """Return exp(x) over its sum in each row."""
    powers: Array = np.exp(x - x.max(-1, keepdims=True))
    powers /= powers.sum(-1, keepdims=True)
    return powers


def work(rows: int, columns: int) -> Work:
    """Return the softmax of so many rows."""
    shape = f"float[{rows},{columns}]"
    return Work(
        name=f"softmax {short(rows * columns)}",
        inputs=lambda: [normal(rows, columns)],
        numpy=reference,
        graphc=lambda g: g.softmax,
        torch=lambda torch: lambda x: torch.softmax(x, -1),
        jax=lambda jax: jax.nn.softmax,
        onnx=f"({shape} x) => ({shape} y) {{ y = Softmax <axis = -1> (x) }}",
        moved=8 * rows * columns,
        bar=1.2,
    )


WORKS = [work(rows, 1024) for rows in (1, 64, 1024, 4096, 16384)]
