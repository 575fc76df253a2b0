"""Random numbers on the device: the bits of native code."""

from __future__ import annotations

from typing import Any

import pytest

import graphc
from graphc import nn, random
from tests.frontend.evaluation import same

KEY = random.key(9)


def draw_all(key: Any, dtype: str) -> list[Any]:
    first, second = random.split(key)
    continuous = (random.uniform, random.normal, random.exponential, random.gumbel)
    return [
        *(draw(first, (67,), dtype=dtype) for draw in continuous),
        random.truncated_normal(second, -1, 3, (67,), dtype=dtype),
        random.bernoulli(second, 0.3, (67,)),
        random.randint(second, (67,), -5, 1000),
        nn.dropout(random.logistic(second, (67,), dtype=dtype), 0.5, first),
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_the_bits_are_those_of_native_code(dtype: str) -> None:
    on_device = graphc.compile(lambda key: draw_all(key, dtype), backend="opencl")(KEY)
    native = graphc.compile(lambda key: draw_all(key, dtype))(KEY)
    for found, expected in zip(on_device, native, strict=True):
        same(found, expected)
