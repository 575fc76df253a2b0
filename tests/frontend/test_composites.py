"""Compositions: values against formulas in float64, stability, special values, gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from scipy import special

import graphc.frontend as gc
from graphc.errors import GraphcIndexError, GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import nn
from tests.frontend.evaluation import close, run, same, tensor

X = np.random.default_rng(0).normal(size=(4, 7)) * 3
INF, NAN = np.inf, np.nan
Function = Callable[..., Any]
ACTIVATIONS: list[tuple[Function, Function]] = [
    (nn.relu, lambda x: np.maximum(x, 0)),
    (nn.leaky_relu, lambda x: np.where(x >= 0, x, 0.01 * x)),
    (lambda t: nn.leaky_relu(t, 0.3), lambda x: np.where(x >= 0, x, 0.3 * x)),
    (nn.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    (lambda t: nn.elu(t, 0.5), lambda x: np.where(x > 0, x, 0.5 * np.expm1(np.minimum(x, 0)))),
    (nn.sigmoid, special.expit),
    (nn.silu, lambda x: x * special.expit(x)),
    (nn.gelu, lambda x: x * special.ndtr(x)),
    (
        lambda t: nn.gelu(t, "tanh"),
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    ),
    (nn.softplus, lambda x: np.logaddexp(x, 0)),
    (nn.log_sigmoid, special.log_expit),
    (nn.softmax, lambda x: special.softmax(x, -1)),
    (lambda t: nn.softmax(t, 0), lambda x: special.softmax(x, 0)),
    (lambda t: nn.softmax(t, None), special.softmax),
    (nn.log_softmax, lambda x: special.log_softmax(x, -1)),
    (nn.layer_norm, lambda x: (x - x.mean(-1, keepdims=True))
        / np.sqrt(x.var(-1, keepdims=True) + 1e-5)),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "formula"), ACTIVATIONS)
def test_values(ours: Function, formula: Function) -> None:
    close(run(ours, X), formula(X), 1e-12)
    close(run(ours, X.astype(np.float32)), formula(X).astype(np.float32), 2e-6)
    close(run(ours, X.astype(np.float16)), formula(X.astype(np.float16).astype(float)).astype(np.float16), 1e-3)  # fmt: skip  # noqa: E501  # one line says it


@pytest.mark.parametrize(("ours", "formula"), ACTIVATIONS)
def test_gradients_against_finite_differences(ours: Function, formula: Function) -> None:
    weights = np.random.default_rng(1).normal(size=X.shape)
    found = run(gc.grad(lambda t: (ours(t) * weights).sum()), X)
    step = 1e-6
    expected = np.empty_like(X)
    for place in np.ndindex(X.shape):
        moved = np.zeros_like(X)
        moved[place] = step
        expected[place] = ((formula(X + moved) - formula(X - moved)) * weights).sum() / (2 * step)
    close(found, expected, 1e-7)


@pytest.mark.parametrize(
    "name", ["relu", "leaky_relu", "elu", "silu", "gelu", "softplus", "softmax"]
)
def test_gradients_of_large_numbers_are_finite(name: str) -> None:
    x = np.array([[-1e4, -200.0, 0.0, 200.0, 1e4]], np.float32)
    assert np.isfinite(run(getattr(nn, name), x)).all()
    assert np.isfinite(run(gc.grad(lambda t: getattr(nn, name)(t).sum()), x)).all()


@pytest.mark.parametrize(
    "name", ["relu", "leaky_relu", "elu", "silu", "gelu", "softplus", "sigmoid"]
)
def test_special_values_of_activations(name: str) -> None:
    low, _, nan, high = run(getattr(nn, name), np.array([-INF, 0.0, NAN, INF], np.float32))
    assert np.isnan(nan)
    assert high == (1 if name == "sigmoid" else INF)
    assert low == {"leaky_relu": -INF, "elu": -1}.get(name, 0)


def test_relu_has_no_slope_at_zero() -> None:
    x = np.array([0.0, -0.0, 1.0, -1.0], np.float32)
    same(run(gc.grad(lambda t: nn.relu(t).sum()), x), np.array([0, 0, 1, 0], np.float32))
    assert run(nn.relu, np.array([-1, 2])).dtype == np.int64


def test_softmax_of_infinities_is_numpys() -> None:
    x = np.array([[-INF, -INF], [INF, 0], [-INF, 3], [NAN, 1], [1e30, -1e30]])
    expected = np.array([[NAN, NAN], [NAN, NAN], [0, 1], [NAN, NAN], [1, 0]])
    same(run(nn.softmax, x), expected)
    assert nn.softmax(tensor(0, 3)).shape == (0, 3)
    assert nn.log_softmax(tensor(3, 0)).shape == (3, 0)


def test_softmax_of_16_bits_is_computed_in_float32() -> None:
    x = np.zeros(100_000, np.float16)
    close(run(nn.softmax, x), np.full(100_000, 1e-5, np.float16))
    y = np.random.default_rng(0).normal(size=64).astype(ml_dtypes.bfloat16)
    same(run(nn.softmax, y), run(nn.softmax, y.astype(np.float32)).astype(ml_dtypes.bfloat16))


def test_softmax_differentiates_its_maximum_as_a_constant() -> None:
    gradient = gc.gradients(nn.softmax(tensor(4, 7))[0, 0], [tensor(4, 7)])
    assert gradient[0].shape == (4, 7)
    x = tensor(4, 7)
    (found,) = gc.gradients((nn.softmax(x) * x).sum(), [x])
    assert "equal" not in str(_names(found))


def _names(x: gc.Tensor) -> set[str]:
    from graphc.graph import topological_order

    return {node.op.name for node in topological_order([x.node])}


def test_layer_norm_with_parameters_and_over_axes() -> None:
    scale, bias = np.arange(7.0), np.ones(7)
    normal = (X - X.mean(-1, keepdims=True)) / np.sqrt(X.var(-1, keepdims=True) + 1e-3)
    close(
        run(lambda t: nn.layer_norm(t, scale, bias, epsilon=1e-3), X), normal * scale + bias, 1e-12
    )
    whole = (X - X.mean()) / np.sqrt(X.var() + 1e-5)
    close(run(lambda t: nn.layer_norm(t, axis=(0, 1)), X), whole, 1e-12)
    half = run(lambda t: nn.layer_norm(t, scale.astype(np.float16)), X.astype(np.float16))
    assert half.dtype == np.float16
    with pytest.raises(ShapeError, match="the scale of shape"):
        nn.layer_norm(tensor(2, 3), tensor(4))
    with pytest.raises(ShapeError, match="the bias of shape"):
        nn.layer_norm(tensor(3), bias=tensor(2, 3))


def test_mse() -> None:
    y = X + 0.5
    close(run(nn.mse, X, y), np.float64(0.25), 1e-12)
    close(run(lambda a, b: nn.mse(a, b, "sum"), X, y), np.float64(7), 1e-12)
    close(run(lambda a, b: nn.mse(a, b, "none"), X, y), np.full((4, 7), 0.25), 1e-12)
    assert nn.mse(tensor(2, dtype="float16"), tensor(2, dtype="float16")).dtype.name == "float16"
    with pytest.raises(ShapeError, match="not broadcast"):
        nn.mse(tensor(4, 1), tensor(4))


LABELS = np.array([0, 6, 3, 3])
EXPECTED = -special.log_softmax(X, -1)[np.arange(4), LABELS]


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "uint64"])
def test_cross_entropy_of_class_numbers(dtype: str) -> None:
    labels = LABELS.astype(dtype)
    close(run(nn.cross_entropy, X, labels), EXPECTED.mean(), 1e-12)
    close(run(lambda x, y: nn.cross_entropy(x, y, reduction="none"), X, labels), EXPECTED, 1e-12)
    close(run(lambda x, y: nn.cross_entropy(x.T, y, 0, "sum"), X, labels), EXPECTED.sum(), 1e-12)


def test_cross_entropy_of_distributions() -> None:
    close(run(nn.cross_entropy, X, np.eye(7)[LABELS]), EXPECTED.mean(), 1e-12)
    close(
        run(nn.cross_entropy, X, np.full((4, 7), 1 / 7)), -special.log_softmax(X, -1).mean(), 1e-12
    )
    sure = np.array([[0.0, -INF]])
    same(run(nn.cross_entropy, sure, np.array([[1.0, 0.0]])), np.float64(0))


def test_cross_entropy_is_stable_and_its_gradient_exact() -> None:
    x = np.array([[1e4, -1e4, 0.0], [3e38, 0.0, -3e38]], np.float32)
    labels = np.array([1, 0])
    losses = run(lambda t, y: nn.cross_entropy(t, y, reduction="none"), x, labels)
    same(losses, np.array([2e4, 0], np.float32))
    slope = run(gc.grad(lambda t, y: nn.cross_entropy(t, y, reduction="sum")), x, labels)
    same(slope, np.array([[1, -1, 0], [0, 0, 0]], np.float32))


@pytest.mark.parametrize("wrong", [7, -1, 2**40])
def test_labels_out_of_range_raise_when_the_program_runs(wrong: int) -> None:
    with pytest.raises(GraphcIndexError):
        run(nn.cross_entropy, X, np.array([0, 1, wrong, 3]))


def test_labels_of_a_wrong_shape_are_refused_with_a_hint() -> None:
    logits = tensor(4, 7)
    with pytest.raises(ShapeError, match="class numbers are integers"):
        nn.cross_entropy(logits, tensor(4))
    with pytest.raises(ShapeError, match="one-hot labels are floats"):
        nn.cross_entropy(logits, tensor(4, 7, dtype="int64"))
    with pytest.raises(ShapeError, match="squeeze"):
        nn.cross_entropy(logits, tensor(4, 1, dtype="int64"))
    with pytest.raises(GraphcTypeError, match="labels are bool"):
        nn.cross_entropy(logits, tensor(4, 7, dtype="bool"))
    with pytest.raises(GraphcValueError, match="reduction"):
        nn.cross_entropy(logits, tensor(4, dtype="int64"), reduction="average")
    with pytest.raises(GraphcValueError, match="approximate"):
        nn.gelu(logits, "erf")
