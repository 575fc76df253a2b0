"""Dropout: what is kept, what is shared, keys that move on, modes, kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import graphc
from graphc import nn, optim, random
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError, TracingError
from tests.frontend.evaluation import run, same

ONES = np.ones((200, 500), np.float32)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
def test_the_rate_and_the_scale(rate: float) -> None:
    dropped = run(lambda x: nn.dropout(x, rate, random.key(1)), ONES)
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], 1 / (1 - rate), rtol=1e-6)
    assert stats.binomtest(int(kept.sum()), ONES.size, 1 - rate).pvalue > 1e-3


def test_the_ends_of_the_rate() -> None:
    x = np.array([1, -2, np.inf, np.nan], np.float32)
    same(run(lambda x: nn.dropout(x, 0, random.key(1)), x), x)
    same(run(lambda x: nn.dropout(x, 1.0, random.key(1)), x), np.zeros(4, np.float32))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floats_keep_their_dtype(dtype: str) -> None:
    x = ONES.astype(graphc.dtypes.as_dtype(dtype).numpy)
    dropped = run(lambda x: nn.dropout(x, 0.5, random.key(1)), x)
    assert dropped.dtype == x.dtype
    same(dropped.astype(np.float32), run(lambda x: nn.dropout(x, 0.5, random.key(1)), ONES))


def test_the_gradient_has_the_mask_of_the_value() -> None:
    def f(x: Any) -> Any:
        return nn.dropout(x, 0.5, random.key(1))

    slope = graphc.grad(lambda x: f(x).sum())
    same(slope(ONES), graphc.compile(f)(ONES))


def test_the_key_moves_on_in_training_alone() -> None:
    layer = nn.Dropout(0.5, seed=3)
    program = graphc.compile(layer)
    first, second = program(ONES), program(ONES)
    assert 0.45 < (first == second).mean() < 0.55
    key = layer.key.value
    layer.eval()
    same(program(ONES), ONES)
    same(layer.key.value, key)
    layer.train()
    third = program(ONES)
    assert 0.45 < (third == second).mean() < 0.55
    again = nn.Dropout(0.5, seed=3)
    repeated = graphc.compile(again)
    for expected in (first, second, third):
        same(repeated(ONES), expected)


def test_keys_are_counted_in_64_bits() -> None:
    layer = nn.Dropout(0.5, seed=0)
    program = graphc.compile(layer)
    layer.key.assign(np.array([7, 2**32 - 2], np.uint32))
    for expected in ([7, 2**32 - 1], [8, 0], [8, 1]):
        program(ONES)
        assert layer.key.value.tolist() == expected


def test_two_calls_in_one_step_drop_differently() -> None:
    layer = nn.Dropout(0.5, seed=0)
    first, second = graphc.compile(lambda x: (layer(x), layer(x)))(ONES)
    assert 0.45 < (first == second).mean() < 0.55


def test_layers_of_neighbouring_seeds_do_not_follow_each_other() -> None:
    layers = [nn.Dropout(0.5, seed=seed) for seed in range(3)]
    step = graphc.compile(lambda x: [layer(x) for layer in layers])
    masks = np.stack([*step(ONES), *step(ONES)]).reshape(6, -1)
    correlation: Any = np.corrcoef(masks)
    assert abs(correlation - np.eye(6)).max() < 4.5 / np.sqrt(ONES.size)


def test_channels_are_dropped_whole() -> None:
    layers = (
        (nn.Dropout1d(seed=0), (6, 50, 40), (1,)),
        (nn.Dropout1d(seed=0, channels_first=True), (6, 40, 50), (2,)),
        (nn.Dropout2d(seed=0), (6, 7, 9, 40), (1, 2)),
        (nn.Dropout2d(seed=0, channels_first=True), (6, 40, 7, 9), (2, 3)),
    )
    for layer, shape, places in layers:
        dropped = graphc.compile(lambda x, layer=layer: layer(x))(np.ones(shape, np.float32))
        assert (dropped.min(axis=places) == dropped.max(axis=places)).all()
        kept = dropped.max(axis=places)
        assert kept.shape == (6, 40) and 0.35 < (kept == 2).mean() < 0.65


def test_it_is_one_pass_over_memory() -> None:
    program = graphc.compile(lambda x: nn.dropout(x, 0.5, random.key(1))).program(ONES)
    (kernel,) = program.kernels
    assert sum(buffer.type.nbytes for buffer in kernel.buffers) == 2 * ONES.nbytes
    layer = nn.Dropout(0.5, seed=0)
    kernels = graphc.compile(layer).program(ONES).kernels
    large = [k for k in kernels if any(b.type.nbytes == ONES.nbytes for b in k.buffers)]
    assert len(large) == 1


def test_a_model_with_dropout_trains() -> None:
    model = nn.Sequential(
        nn.Linear(8, 64, seed=0), nn.ReLU(), nn.Dropout(0.2, seed=1), nn.Linear(64, 1, seed=2)
    )
    assert [p.name for p in model.parameters()] == [
        "layers.0.weight", "layers.0.bias", "layers.3.weight", "layers.3.bias",
    ]  # fmt: skip
    optimiser = optim.Adam(0.01)
    random_ = np.random.default_rng(0)
    x = random_.normal(size=(256, 8)).astype(np.float32)
    y = x[:, :1] * x[:, 1:2]

    @graphc.compile
    def step(x: Any, y: Any) -> Any:
        loss = nn.mse(model(x), y)
        if model.training:
            optimiser.minimize(loss, model.parameters())
        return loss

    model.eval()
    before = step(x, y)
    model.train()
    for _ in range(200):
        step(x, y)
    model.eval()
    assert step(x, y) < 0.2 * before
    assert step(x, y) == step(x, y)


def test_examples_of_vmap_have_masks_of_their_own() -> None:
    """In nested maps, loops and checkpoints too; and a gradient has the mask of its value."""
    layer = nn.Dropout(0.5, seed=0)
    x = np.ones((4, 4, 64), np.float32)
    both: Any = graphc.vmap(graphc.vmap(graphc.checkpoint(lambda x: (layer(x), x))))
    masks, given = graphc.compile(both)(x)
    assert len({row.tobytes() for row in masks.reshape(16, 64)}) == 16
    same(given, x)

    def in_a_loop(x: Any) -> Any:
        return graphc.scan(lambda c, row: (c, layer(row)), 0.0, x)[1]

    looped = graphc.compile(graphc.vmap(in_a_loop))(x)
    assert len({row.tobytes() for row in looped.reshape(16, 64)}) == 16

    layer = nn.Dropout(0.5, seed=0)
    value = graphc.compile(graphc.vmap(layer))(x[0])
    layer = nn.Dropout(0.5, seed=0)
    slope = graphc.compile(graphc.vmap(graphc.grad(lambda x: layer(x).sum())))(x[0])
    same(slope, value)


def test_misuse_is_refused() -> None:
    x = graphc.input((2, 3))
    with pytest.raises(GraphcValueError, match=r"a rate of dropout is in 0 … 1, and not 1\.5"):
        nn.dropout(x, 1.5, random.key(0))
    with pytest.raises(GraphcTypeError, match="a rate of dropout is a number"):
        nn.Dropout("half", seed=0)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(GraphcTypeError, match="floats are needed, not int32"):
        nn.dropout(graphc.input((3,), "int32"), 0.5, random.key(0))
    with pytest.raises(ShapeError, match=r"Dropout2d wants 4 axes, not the shape \(2, 3\)"):
        nn.Dropout2d(seed=0)(x)
    with pytest.raises(TracingError):
        nn.Dropout(seed=0)(x)
