"""Products of matrices: square, odd, skinny and in batches."""

from math import prod

from benchmarks.work import Work, normal


def work(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> Work:
    """Return the product of arrays of the shapes a and b; all but the last two axes are a batch."""
    out = (*a[:-1], b[-1])
    dims = [",".join(map(str, shape)) for shape in (a, b, out)]
    return Work(
        name=f"matmul {name}",
        inputs=lambda: [normal(*a), normal(*b, seed=1)],
        numpy=lambda x, y: x @ y,
        graphc=lambda g: g.matmul,
        torch=lambda torch: torch.matmul,
        jax=lambda jax: jax.numpy.matmul,
        onnx=f"(float[{dims[0]}] x, float[{dims[1]}] y) => (float[{dims[2]}] z) "
        "{ z = MatMul(x, y) }",
        flops=2 * prod(out) * a[-1],
        moved=4 * (prod(a) + prod(b) + prod(out)),
        bar=1.0,
    )


SQUARE = (64, 128, 256, 512, 1024, 2048)
PRODUCTS = ((127, 513, 1000), (1, 4096, 4096), (4096, 4096, 1), (1024, 32, 1024))
BATCHES = ((64, 64, 64, 64), (96, 128, 128, 64))  # batch, m, k, n

WORKS = [
    *(work(str(n), (n, n), (n, n)) for n in SQUARE),
    *(work(f"{m}x{k}x{n}", (m, k), (k, n)) for m, k, n in PRODUCTS),
    *(work(f"{b} of {m}x{k}x{n}", (b, m, k), (b, k, n)) for b, m, k, n in BATCHES),
]
