"""Sums over each axis of a matrix and of an array of four axes, and over all of them."""

from math import prod

from benchmarks.work import Work, normal


def work(shape: tuple[int, ...], axes: tuple[int, ...]) -> Work:
    """Return the sum over some axes."""
    extents = ",".join(map(str, shape))
    rest = ",".join(str(n) for a, n in enumerate(shape) if a not in axes)
    places = ",".join(map(str, axes))
    over = "all" if len(axes) == len(shape) else f"axis {places}"
    return Work(
        name=f"sum {'x'.join(map(str, shape))} {over}",
        inputs=lambda: [normal(*shape)],
        numpy=lambda x: x.sum(axes),
        graphc=lambda g: lambda x: g.sum(x, axis=axes),
        torch=lambda torch: lambda x: torch.sum(x, axes),
        jax=lambda jax: lambda x: x.sum(axes),
        onnx=f"(float[{extents}] x) => (float{f'[{rest}]' if rest else ''} y) "
        f"<int64[{len(axes)}] axes = {{{places}}}> {{ y = ReduceSum <keepdims = 0> (x, axes) }}",
        moved=4 * prod(shape),
        bar=1.2,
        tolerance=1e-3,  # of a long sum whose terms cancel
    )


MATRIX, FOUR = (4096, 1024), (64, 64, 64, 64)
WORKS = [
    *(work(MATRIX, axes) for axes in ((0,), (1,), (0, 1))),
    *(work(FOUR, axes) for axes in ((0,), (1,), (2,), (3,), (0, 1, 2, 3))),
]
