"""Pooling and resizing against windows cut out one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
import graphc.frontend as gc
from graphc.errors import GraphcError, GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import nn
from tests.frontend.evaluation import Array, close, run, same, tensor

RANDOM = np.random.default_rng(0)


def pooled(
    x: Array, function: Callable[[Array], Any], size: int, stride: int, low: int, high: int
) -> Array:
    """Apply `function` to the elements inside x of every window over axes 1 and 2."""
    counts = [(n + low + high - size) // stride + 1 for n in x.shape[1:3]]
    result = np.zeros((len(x), *counts, x.shape[3]))
    for place in np.ndindex(*counts):
        rows, columns = (
            slice(max(0, p * stride - low), max(0, p * stride - low + size)) for p in place
        )
        window = x[:, rows, columns]
        result[:, place[0], place[1]] = function(window.reshape(len(x), -1, x.shape[3]))
    return result


GRID = [(2, 2, 0, 0), (3, 2, 1, 1), (3, 1, 0, 0), (2, 3, 0, 1), (1, 1, 0, 0), (5, 2, 2, 2)]


@pytest.mark.parametrize(("size", "stride", "low", "high"), GRID)
def test_windows_of_pools(size: int, stride: int, low: int, high: int) -> None:
    x = RANDOM.standard_normal((2, 7, 6, 3))
    padding = [(low, high)] * 2
    want = pooled(x, lambda w: w.max(1), size, stride, low, high)
    same(run(lambda x: gc.max_pool(x, size, stride, padding), x), want)
    means = pooled(x, lambda w: w.mean(1), size, stride, low, high)
    inside = {"count_include_pad": False}
    close(run(lambda x: gc.average_pool(x, size, stride, padding, **inside), x), means)
    totals = pooled(x, lambda w: w.sum(1), size, stride, low, high) / size**2
    close(run(lambda x: gc.average_pool(x, size, stride, padding), x), totals)


def test_same_padding_and_channels_first() -> None:
    x = RANDOM.standard_normal((2, 7, 6, 3))
    for pool in (gc.max_pool, gc.average_pool):
        plain = run(lambda x, p=pool: p(x, 3, 2, "same"), x)
        assert plain.shape == (2, 4, 3, 3)
        turned = run(
            lambda x, p=pool: p(x, 3, 2, "same", channels_first=True), np.moveaxis(x, -1, 1)
        )
        close(np.moveaxis(turned, 1, -1).copy(), plain)


def test_integers() -> None:
    x = RANDOM.integers(-100, 100, (1, 5, 4, 2)).astype(np.int8)
    want = pooled(x, lambda w: w.max(1), 3, 2, 1, 1).astype(np.int8)
    same(run(lambda x: gc.max_pool(x, 3, 2, 1), x), want)
    assert run(lambda x: gc.average_pool(x, 2), x).dtype == np.float64


@pytest.mark.parametrize("pool", [gc.max_pool, gc.average_pool])
def test_nan_reaches_its_windows_and_no_other(pool: Any) -> None:
    x = RANDOM.standard_normal((1, 6, 6, 1)).astype(np.float32)
    x[0, 3, 4, 0] = np.nan
    for size, stride in ((2, 2), (3, 1)):
        got = graphc.compile(lambda x, a=(size, stride): pool(x, *a))(x)
        places = np.indices(got.shape[1:3])
        holds = (places[0] * stride <= 3) & (places[0] * stride + size > 3)
        holds &= (places[1] * stride <= 4) & (places[1] * stride + size > 4)
        np.testing.assert_array_equal(np.isnan(got[0, ..., 0]), holds)


def test_adaptive_pools_cover_the_axis() -> None:
    x = RANDOM.standard_normal((1, 7, 3))
    for places in (1, 2, 3, 5, 7, 9):
        ends = [(i * 7 // places, -(-(i + 1) * 7 // places)) for i in range(places)]
        parts = [x[:, a:b] for a, b in ends]
        got = run(lambda x, p=places: gc.adaptive_max_pool(x, p), x)
        same(got, np.stack([p.max(1) for p in parts], 1))
        got = run(lambda x, p=places: gc.adaptive_average_pool(x, p), x)
        close(got, np.stack([p.mean(1) for p in parts], 1))
    x[0, 2] = np.nan
    assert np.isnan(run(lambda x: gc.adaptive_average_pool(x, 3), x)[0, :, 0]).tolist() == [
        True, True, False,
    ]  # fmt: skip


def test_global_pools() -> None:
    x = RANDOM.standard_normal((2, 4, 5, 3))
    same(run(gc.global_max_pool, x), x.max((1, 2)))
    close(run(gc.global_average_pool, x), x.mean((1, 2)))
    kept = run(lambda x: gc.global_average_pool(x, keepdims=True, channels_first=True), x)
    close(kept, x.mean((2, 3), keepdims=True))


@pytest.mark.parametrize("backend", ["llvm", "reference"])
def test_the_first_of_equal_elements_gets_the_gradient(backend: graphc.api.BackendName) -> None:
    def total(x: Any) -> Any:
        return (gc.max_pool(x, 2, 1) * np.array([[[1], [10]]], np.float32)).sum()

    x = np.array([[[1], [1], [1]]], np.float32)
    slopes = graphc.compile(graphc.grad(total), backend=backend)
    np.testing.assert_array_equal(slopes(x)[0, :, 0], [1, 10, 0])
    np.testing.assert_array_equal(
        slopes(np.array([[[1], [2], [2]]], np.float32))[0, :, 0], [0, 11, 0]
    )
    not_a_number = np.array([[[1], [np.nan], [np.nan]]], np.float32)
    np.testing.assert_array_equal(slopes(not_a_number)[0, :, 0], [0, 11, 0])


def test_resizing() -> None:
    x = RANDOM.standard_normal((2, 4, 6, 3)).astype(np.float32)
    same(run(lambda x: gc.resize(x, (8, 12)), x), x.repeat(2, 1).repeat(2, 2))
    same(run(lambda x: gc.resize(x, (2, 4)), x), x[:, ::2][:, :, [0, 1, 3, 4]])
    same(run(lambda x: gc.resize(x, (4, 6), "linear"), x), x)
    ramp = np.arange(4, dtype=np.float64).reshape(1, 4, 1)
    close(
        run(lambda x: gc.resize(x, 8, "linear"), ramp)[0, :, 0],
        [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3],
    )
    aligned = run(lambda x: gc.resize(x, 7, "linear", align_corners=True), ramp)
    close(aligned[0, :, 0], np.linspace(0, 3, 7))
    turned = run(lambda x: gc.resize(x, (5, 7), channels_first=True), np.moveaxis(x, -1, 1))
    same(np.moveaxis(turned, 1, -1).copy(), run(lambda x: gc.resize(x, (5, 7)), x))
    doubled = graphc.compile([gc.resize(x_ := gc.input((1, 8, 8, 4)), 16)], inputs=[x_])
    assert len(doubled.kernels) == 1


def test_layers() -> None:
    x = tensor(2, 8, 6, 3)
    layers: list[tuple[nn.Module, tuple[int, ...], str]] = [
        (nn.MaxPool(2), (2, 4, 3, 3), "MaxPool(2)"),
        (nn.AveragePool(3, 1, "same"), (2, 8, 6, 3), "AveragePool(3, stride=1)"),
        (nn.GlobalMaxPool(), (2, 3), "GlobalMaxPool()"),
        (nn.GlobalAveragePool(keepdims=True), (2, 1, 1, 3), "GlobalAveragePool()"),
        (nn.AdaptiveMaxPool((2, 3)), (2, 2, 3, 3), "AdaptiveMaxPool((2, 3))"),
        (nn.AdaptiveAveragePool(5), (2, 5, 5, 3), "AdaptiveAveragePool(5)"),
    ]
    for layer, shape, text in layers:
        assert (layer(x).shape, repr(layer)) == (shape, text)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: gc.max_pool(tensor(3, 4), 2), ShapeError, "batch, space and channels"),
        (lambda: gc.max_pool(tensor(1, 4, 2), 5), ShapeError, "longer than the 4"),
        (lambda: gc.max_pool(tensor(1, 4, 2, dtype="bool"), 2), GraphcTypeError, "bool"),
        (lambda: gc.adaptive_max_pool(tensor(1, 0, 2), 2), ShapeError, "no elements"),
        (lambda: gc.resize(tensor(1, 4, 2), 3, "cubic"), GraphcValueError, '"nearest"'),
        (lambda: gc.resize(tensor(1, 4, 2), 0), GraphcValueError, "size is 1 or more"),
        (lambda: gc.resize(tensor(1, 0, 2), 3), ShapeError, "no elements"),
        (lambda: gc.resize(tensor(4, 2), 3), ShapeError, "channels"),
        (
            lambda: gc.resize(tensor(1, 4, 2), 3, align_corners=True),
            GraphcValueError,
            "align_corners is for",
        ),
    ],
)
def test_errors(call: Callable[[], Any], kind: type[GraphcError], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_methods_of_resizing_by_their_other_names() -> None:
    image = np.random.default_rng(0).normal(size=(2, 3, 4, 2))
    same(
        run(lambda x: gc.resize(x, (5, 6), "bilinear"), image),
        run(lambda x: gc.resize(x, (5, 6), "linear"), image),
    )
    with pytest.raises(GraphcValueError, match='one of "nearest", "linear", "bilinear", not'):
        run(lambda x: gc.resize(x, (5, 6), "trilinear"), image)
