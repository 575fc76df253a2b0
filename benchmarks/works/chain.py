"""An elementwise chain: tanh(1.5 x + 0.3) · sigmoid(x)."""

import numpy as np

from benchmarks.work import Work, normal, short


def work(n: int) -> Work:
    """Return the chain on n elements."""
    return Work(
        name=f"chain {short(n)}",
        inputs=lambda: [normal(n)],
        numpy=lambda x: np.tanh(1.5 * x + 0.3) / (1 + np.exp(-x)),
        graphc=lambda g: lambda x: g.tanh(1.5 * x + 0.3) * g.sigmoid(x),
        torch=lambda torch: lambda x: torch.tanh(1.5 * x + 0.3) * torch.sigmoid(x),
        jax=lambda jax: lambda x: jax.numpy.tanh(1.5 * x + 0.3) * jax.nn.sigmoid(x),
        onnx=f"""(float[{n}] x) => (float[{n}] y)
            <float a = {{1.5}}, float b = {{0.3}}> {{
                scaled = Mul(x, a)  shifted = Add(scaled, b)
                left = Tanh(shifted)  right = Sigmoid(x)  y = Mul(left, right)
            }}""",
        moved=8 * n,
        bar=3.0 if n in (1 << 16, 1 << 24) else 1.0,
    )


WORKS = [work(n) for n in (1 << 10, 1 << 16, 1 << 20, 1 << 24)]
