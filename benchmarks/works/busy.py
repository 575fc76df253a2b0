"""Works of several threads, alone and beside two busy processes on the same cores: a chain of
products, and the training step of the perceptron.

A fair scheduler gives each thread half a core, so that a slowdown of 2 is what nobody avoids;
threads that wait for one another lose more.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.work import Work, normal
from benchmarks.works import mlp

SIZE, STEPS, BUSY = 512, 4, 2


def chain(matmul: Any, tanh: Any) -> Any:
    """Return x times weights, again and again, a function of tensors of any framework."""

    def call(x: Any, weights: Any) -> Any:
        for _ in range(STEPS):
            x = tanh(matmul(x, weights))
        return x

    return call


def onnx_chain() -> str:
    """Return the body of the graph."""
    square = f"float[{SIZE},{SIZE}]"
    lines = [f"p{k} = MatMul({f'x{k}' if k else 'x'}, w)" for k in range(STEPS)]
    lines = [f"{line} {f'x{k + 1}'} = Tanh(p{k})" for k, line in enumerate(lines)]
    return f"({square} x, {square} w) => ({square} x{STEPS}) {{ {' '.join(lines)} }}"


CHAIN = Work(
    name=f"matmul {SIZE} chain",
    inputs=lambda: [normal(SIZE, SIZE), normal(SIZE, SIZE, seed=1) / SIZE**0.5],
    numpy=chain(np.matmul, np.tanh),
    graphc=lambda g: chain(g.matmul, g.tanh),
    torch=lambda torch: chain(torch.matmul, torch.tanh),
    jax=lambda jax: chain(jax.numpy.matmul, jax.numpy.tanh),
    onnx=onnx_chain(),
    flops=2 * SIZE**3 * STEPS,
)
WORKS = [
    CHAIN,
    *(
        replace(work, name=f"{work.name}, {BUSY} busy processes", busy=BUSY, alone=work.name)
        for work in (CHAIN, mlp.STEP)
    ),
]
