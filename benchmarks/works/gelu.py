"""The exact gelu: x times the distribution function of the normal distribution at x."""

import math

from scipy import special

from benchmarks.work import Work, normal, short


def work(n: int) -> Work:
    """Return the gelu of n elements."""
    return Work(
        name=f"gelu {short(n)}",
        inputs=lambda: [normal(n)],
        numpy=lambda x: x * (1 + special.erf(x / math.sqrt(2))) / 2,
        graphc=lambda g: g.gelu,
        torch=lambda torch: torch.nn.functional.gelu,
        jax=lambda jax: lambda x: jax.nn.gelu(x, approximate=False),
        onnx=f"(float[{n}] x) => (float[{n}] y) {{ y = Gelu(x) }}",
        moved=8 * n,
        bar=3.0 if n in (1 << 16, 1 << 24) else 1.0,
    )


WORKS = [work(n) for n in (1 << 10, 1 << 16, 1 << 20, 1 << 24)]
