"""Normalisation against its definition in NumPy, and its layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc
import graphc.frontend as gc
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import nn
from tests.frontend.evaluation import Array, close, run, step, tensor

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((4, 5, 3, 8)) + 2
SCALE, BIAS = RANDOM.standard_normal((2, 8))


def normal(x: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray(
        (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    )


def test_batch_norm() -> None:
    want = normal(X, (0, 1, 2)) * SCALE + BIAS
    close(run(lambda x: gc.batch_norm(x, *gc.moments(x), SCALE, BIAS), X), want)
    first = np.moveaxis(X, -1, 1)

    def turned(x: Any) -> Any:
        moments = gc.moments(x, channels_first=True)
        return gc.batch_norm(x, *moments, SCALE, BIAS, channels_first=True)

    close(run(turned, first), np.moveaxis(want, -1, 1))


@pytest.mark.parametrize("groups", [1, 2, 4, 8])
def test_group_norm(groups: int) -> None:
    apart = X.reshape(4, 5, 3, groups, -1)
    want = normal(apart, (1, 2, 4)).reshape(X.shape) * SCALE + BIAS
    close(run(lambda x: gc.group_norm(x, groups, SCALE, BIAS), X), want)
    turned = run(
        lambda x: gc.group_norm(x, groups, SCALE, BIAS, channels_first=True),
        np.moveaxis(X, -1, 1),
    )
    close(turned, np.moveaxis(want, -1, 1))


def test_instance_norm() -> None:
    close(run(lambda x: gc.instance_norm(x, SCALE, BIAS), X), normal(X, (1, 2)) * SCALE + BIAS)


def test_rms_norm() -> None:
    want = X / np.sqrt((X**2).mean(-1, keepdims=True) + 1e-6)
    close(run(gc.rms_norm, X), want)
    close(run(lambda x: gc.rms_norm(x, SCALE), X), want * SCALE)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_dtypes_are_kept(dtype: str) -> None:
    x = X.astype(dtype)
    for function in (
        gc.rms_norm,
        gc.instance_norm,
        lambda x: gc.group_norm(x, 2),
        lambda x: gc.batch_norm(x, *gc.moments(x)),
    ):
        assert run(function, x).dtype == dtype


def test_layers() -> None:
    x = tensor(4, 5, 3, 8)
    layers: list[tuple[nn.Module, str]] = [
        (nn.LayerNorm(8), "LayerNorm(8)"),
        (nn.RMSNorm(8), "RMSNorm(8)"),
        (nn.GroupNorm(2, 8), "GroupNorm(8, groups=2)"),
        (nn.InstanceNorm(8, affine=False), "InstanceNorm(8, affine=False)"),
    ]
    for layer, text in layers:
        assert layer(x).shape == x.shape and repr(layer) == text
    assert [len(layer.parameters()) for layer, _ in layers] == [2, 1, 2, 0]
    close(run(nn.GroupNorm(2, 8), X), run(lambda x: gc.group_norm(x, 2), X))


def test_batch_norm_keeps_running_moments() -> None:
    layer = nn.BatchNorm(8, momentum=0.25)
    assert [name for name, _ in layer.named_parameters()] == ["scale", "bias"]
    x = X.astype(np.float32)
    close(step(layer, x), normal(x, (0, 1, 2)), 1e-5)
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2), ddof=1)
    close(layer.running_mean.value, 0.25 * mean, 1e-5)
    close(layer.running_variance.value, 0.75 + 0.25 * variance, 1e-5)
    step(layer, x)
    close(layer.running_mean.value, (0.25 + 0.75 * 0.25) * mean, 1e-5)


def test_batch_norm_evaluates_by_running_moments() -> None:
    layer = nn.BatchNorm(8)
    layer.running_mean.assign(np.arange(8, dtype=np.float32))
    layer.running_variance.assign(np.full(8, 4, np.float32))
    layer.eval()
    x = X.astype(np.float32)
    close(step(layer, x), (x - np.arange(8, dtype=np.float32)) / np.float32(2), 1e-5)
    close(layer.running_mean.value, np.arange(8, dtype=np.float32))


def test_errors() -> None:
    x = tensor(4, 5, 8)
    with pytest.raises(ShapeError, match="3 groups do not divide the 8 channels"):
        gc.group_norm(x, 3)
    with pytest.raises(ShapeError, match="scale has one number for each of 8 channels"):
        gc.instance_norm(x, np.ones(5, np.float32))
    with pytest.raises(ShapeError, match="axes of batch and channels"):
        gc.moments(tensor(3))
    with pytest.raises(GraphcTypeError, match="the bias is int64, not a float"):
        gc.instance_norm(x, None, np.ones(8, np.int64))
    with pytest.raises(GraphcValueError, match="0 features"):
        nn.LayerNorm(0)


def test_running_moments_are_kept_with_the_model_and_are_no_parameters() -> None:
    layer = nn.BatchNorm(8)
    assert list(layer.state_dict()) == ["scale", "bias", "running_mean", "running_variance"]
    assert [name for name, _ in layer.named_parameters()] == ["scale", "bias"]


def test_an_empty_batch_leaves_the_running_moments_alone() -> None:
    layer = nn.BatchNorm(8)
    step = graphc.compile(layer.forward)
    assert step(np.zeros((0, 8), np.float32)).shape == (0, 8)
    assert (layer.running_mean.value == 0).all() and (layer.running_variance.value == 1).all()
    step(np.ones((4, 8), np.float32))
    assert np.isfinite(layer.running_mean.value).all() and (layer.running_mean.value > 0).all()


@pytest.mark.parametrize("kind", ["BatchNorm", "LayerNorm", "RMSNorm", "GroupNorm", "InstanceNorm"])
def test_layers_say_how_many_features_they_want(kind: str) -> None:
    sizes = (1, 3) if kind == "GroupNorm" else (3,)
    layer = getattr(nn, kind)(*sizes)
    with pytest.raises(ShapeError, match=rf"{kind}\(3\) wants 3 features along the last") as caught:
        graphc.compile(layer)(np.ones((2, 3, 4), np.float32))
    turned = "say channels_first=True" if kind in ("BatchNorm", "GroupNorm", "InstanceNorm") else ""
    assert turned in caught.value.hint
    assert graphc.compile(layer)(np.ones((2, 4, 3), np.float32)).shape == (2, 4, 3)
