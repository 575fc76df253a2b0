"""Transposes that are written out: of matrices, and of four axes in several orders."""

from math import prod

import numpy as np

from benchmarks.work import Work, normal


def work(shape: tuple[int, ...], order: tuple[int, ...]) -> Work:
    """Return the copy of an array with its axes in another order."""
    source = ",".join(map(str, shape))
    result = ",".join(str(shape[axis]) for axis in order)
    places = ",".join(map(str, order))
    return Work(
        name=f"transpose {'x'.join(map(str, shape))} {places}",
        inputs=lambda: [normal(*shape)],
        numpy=lambda x: np.transpose(x, order),
        graphc=lambda g: lambda x: g.permute_dims(x, order),
        torch=lambda torch: lambda x: x.permute(order).contiguous(),
        jax=lambda jax: lambda x: x.transpose(order),
        onnx=f"(float[{source}] x) => (float[{result}] y) "
        f"{{ y = Transpose <perm = [{places}]> (x) }}",
        moved=8 * prod(shape),
        bar=1.2,
    )


FOUR = (64, 64, 64, 64)
WORKS = [
    work((1024, 1024), (1, 0)),
    work((4096, 1024), (1, 0)),
    *(work(FOUR, order) for order in ((0, 2, 1, 3), (0, 1, 3, 2), (3, 2, 1, 0))),
]
