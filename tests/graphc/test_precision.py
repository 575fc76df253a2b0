"""`compile(…, precision=…)` and `matmul(…, dtype=…)`, as a user asks for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc

BACKENDS: tuple[Any, ...] = ("llvm", "reference")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_precision_holds_for_graphs_functions_and_gradients(backend: Any) -> None:
    third, one = np.full((2, 4), 1 / 3, np.float32), np.ones((4, 2), np.float32)
    rounded = third.astype(graphc.bfloat16.numpy).astype(np.float32)
    x, y = graphc.input((2, 4), name="x"), graphc.input((4, 2), name="y")
    program = graphc.compile([x @ y], inputs=[x, y], backend=backend, precision="bfloat16")
    np.testing.assert_allclose(program(third, one)[0], rounded @ one, rtol=1e-6)
    np.testing.assert_allclose(program(third, one)[0], 4 / 3, rtol=4e-3)

    @graphc.compile(backend=backend, precision="bfloat16")
    def slope(w: Any) -> Any:
        return graphc.grad(lambda v: ((third @ v) * third[0, 0]).sum())(w)

    wanted = np.outer(rounded.sum(0), rounded[0, :1]) * np.ones((1, 2))
    np.testing.assert_allclose(slope(one), wanted, rtol=1e-6)


def test_matmul_gives_the_dtype_that_is_asked_for() -> None:
    x = graphc.input((2, 300), dtype="int8")
    product = graphc.matmul(x, x.mT, dtype="int32")
    assert product.dtype is graphc.int32
    array = np.full((2, 300), 100, np.int8)
    (given,) = graphc.compile(product)(array)
    assert given.tolist() == [[3_000_000] * 2] * 2
    half = graphc.input((3, 4), dtype="bfloat16")
    total = graphc.matmul(half, half.mT, dtype=graphc.float32).sum()
    (slope,) = graphc.gradients(total, [half])
    assert slope.dtype is graphc.bfloat16
    with pytest.raises(graphc.GraphcTypeError, match=r"at .*test_precision.py:44"):
        graphc.matmul(half, half.mT, dtype="int32")


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(graphc.GraphcValueError, match="'half'"):
        graphc.compile([], precision="half")  # type: ignore[call-overload]  # on purpose
