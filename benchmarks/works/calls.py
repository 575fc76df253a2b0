"""The overhead of a call: the sum of 1, 4 or 16 arrays of 8 elements, plus 1."""

import functools
import operator
from typing import Any

import numpy as np

from benchmarks.work import Work, normal


def add(*arrays: Any) -> Any:
    """Return the sum of the arrays plus 1; tensors of any framework."""
    return functools.reduce(operator.add, arrays) + 1


def work(count: int) -> Work:
    """Return the sum of so many arguments."""
    names = [f"x{number}" for number in range(count)]
    return Work(
        name=f"call with {count} argument{'s' * (count > 1)}",
        inputs=lambda: [normal(8, seed=seed) for seed in range(count)],
        numpy=add,
        graphc=lambda g: add,
        torch=lambda torch: add,
        jax=lambda jax: add,
        onnx=f"({', '.join(f'float[8] {name}' for name in names)}) => (float[8] y) "
        f"<float one = {{1}}> {{ total = Sum({', '.join(names)})  y = Add(total, one) }}",
        bar=4.0,
    )


def program(count: int) -> Work:
    """Return the same with a program called directly, which asks for no types and no structure."""
    inputs = [np.float32(seed) + np.zeros(8, np.float32) for seed in range(count)]
    return Work(
        name=f"program with {count} argument{'s' * (count > 1)}",
        inputs=lambda: inputs,
        stateful=True,
        graphc=lambda g, compile, *arrays: functools.partial(
            compile(add).program(*arrays), *arrays
        ),
        jax=lambda jax, compile, *arrays: functools.partial(compile(add), *arrays),
        bar=4.0,
    )


COUNTS = (1, 4, 16)
WORKS = [*map(work, COUNTS), *map(program, COUNTS)]
