"""Values of what the frontend builds, through the interpreter of graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.frontend import Tensor, hooks, input
from graphc.frontend.structures import flatten_result, unflatten
from graphc.interpreter import evaluate, interpret
from graphc.passes.batch import batch
from graphc.passes.differentiate import gradients

hooks.set_batcher(batch)
hooks.set_differentiator(gradients)

Array = np.ndarray[Any, np.dtype[Any]]


def run(function: Callable[..., Any], *arrays: Any) -> Any:
    """Return `function` of arrays as it is computed by a graph with an input for each array."""
    from graphc.frontend.tracing import trace

    given = [np.asarray(a) for a in arrays]
    traced = trace(function, given)
    values, _ = interpret(traced.graph, given)
    return unflatten(traced.structure, values)


def value(tree: Any, **_: Any) -> Any:
    """Return the values of tensors that depend on no input."""
    leaves, structure = flatten_result(tree)
    return unflatten(structure, evaluate([leaf.node for leaf in leaves]))


def step(function: Callable[..., Any], *arrays: Any) -> Any:
    """Run `function` once as a program: return its result and carry its assignments out."""
    from graphc.frontend.tracing import trace

    given = [np.asarray(a) for a in arrays]
    traced = trace(function, given)
    values, assigned = interpret(traced.graph, given)
    for state, array in assigned.items():
        state.assign(array)
    return unflatten(traced.structure, values)


def same(actual: Any, expected: Any) -> None:
    """Assert equal dtype, shape and bits (any NaN equals any other)."""
    expected = np.asarray(expected)
    assert isinstance(actual, np.ndarray)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(np.signbit(actual), np.signbit(expected)) if (
        expected.dtype.kind == "f" and not np.isnan(expected).any()
    ) else None


def close(actual: Any, expected: Any, tolerance: float = 1e-6) -> None:
    """Assert equal dtype and shape and nearly equal values."""
    expected = np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def tensor(*shape: int, dtype: str = "float32", name: str = "x") -> Tensor:
    """Return a fresh input."""
    return input(shape, dtype, name)
