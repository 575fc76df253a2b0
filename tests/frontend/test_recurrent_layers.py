"""Recurrent layers against loops in NumPy: masks, directions, layers, states, gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
import graphc.frontend as gc
from graphc import nn
from graphc.errors import (
    GraphcError,
    GraphcIndexError,
    GraphcTypeError,
    GraphcValueError,
    ShapeError,
)
from graphc.gradient_check import check_grads
from tests.frontend.evaluation import Array, close, run, same

INPUTS, HIDDEN, BATCH, TIME = 3, 4, 2, 5
X = np.random.default_rng(7).normal(size=(BATCH, TIME, INPUTS))
LAYERS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
every_layer = pytest.mark.parametrize("name", LAYERS)


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def rnn_step(cell: Any, x: Array, state: list[Array]) -> list[Array]:
    w, u, b = cell.weight_input.value, cell.weight_hidden.value, cell.bias.value
    return [np.tanh(x @ w + state[0] @ u + b)]


def lstm_step(cell: Any, x: Array, state: list[Array]) -> list[Array]:
    w, u, b = cell.weight_input.value, cell.weight_hidden.value, cell.bias.value
    z, n = x @ w + state[0] @ u + b, HIDDEN
    i, f, g, o = (z[:, k * n : (k + 1) * n] for k in range(4))
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(c), c]


def gru_step(cell: Any, x: Array, state: list[Array]) -> list[Array]:
    w, u, b = cell.weight_input.value, cell.weight_hidden.value, cell.bias.value
    own, n, h = x @ w + b, HIDDEN, state[0]
    r = sigmoid(own[:, :n] + h @ u[:, :n])
    z = sigmoid(own[:, n : 2 * n] + h @ u[:, n : 2 * n])
    new = np.tanh(own[:, 2 * n :] + r * (h @ u[:, 2 * n :] + cell.bias_hidden.value))
    return [(1 - z) * new + z * h]


STEPS: dict[str, Callable[..., list[Array]]] = {
    "RNN": rnn_step,
    "LSTM": lstm_step,
    "GRU": gru_step,
}


def made(name: str, **keywords: Any) -> Any:
    """Return a layer in float64 with biases that are not zero."""
    layer = LAYERS[name](INPUTS, HIDDEN, seed=3, dtype="float64", **keywords)
    random = np.random.default_rng(8)
    for parameter in layer.parameters():
        parameter.assign(random.normal(size=parameter.shape) / 2)
    return layer


def unrolled(name: str, layer: Any, x: Array, kept: Array) -> tuple[Array, list[list[Array]]]:
    """Return outputs and last states by plain loops; steps that are not kept are left out."""
    last = []
    for pair in layer.cells:
        outputs = []
        for direction, cell in enumerate(pair):
            state = [np.zeros((len(x), HIDDEN)) for _ in range(layer.cell.parts)]
            found = np.zeros((len(x), x.shape[1], HIDDEN))
            times = range(x.shape[1])
            for t in reversed(times) if direction else times:
                new, holds = STEPS[name](cell, x[:, t], state), kept[:, t, None]
                state = [np.where(holds, n, o) for n, o in zip(new, state, strict=True)]
                found[:, t] = np.where(holds, new[0], 0)
            outputs.append(found)
            last.append(state)
        x = np.concatenate(outputs, axis=-1)
    return x, last


def assert_agrees(name: str, layer: Any, got: Any, x: Array, kept: Array) -> None:
    outputs, last = unrolled(name, layer, x, kept)
    close(got[0], outputs, 1e-12)
    for mine, wanted in zip(got[1], last, strict=True):
        parts = mine if isinstance(mine, tuple) else (mine,)
        for part, want in zip(parts, wanted, strict=True):
            close(part, want, 1e-12)


@every_layer
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_outputs_and_states(name: str, layers: int, bidirectional: bool) -> None:
    layer = made(name, layers=layers, bidirectional=bidirectional)
    assert_agrees(name, layer, run(layer, X), X, np.ones((BATCH, TIME), bool))


@every_layer
def test_masks_and_lengths(name: str) -> None:
    layer = made(name, layers=2, bidirectional=True)
    lengths = np.array([5, 2])
    kept = np.arange(TIME) < lengths[:, None]
    by_mask = run(lambda x: layer(x, mask=kept), X)
    by_lengths = run(lambda x: layer(x, lengths=lengths), X)
    assert_agrees(name, layer, by_mask, X, kept)
    same(by_lengths[0], by_mask[0])
    short, last = run(layer, X[1:, :2])
    close(by_mask[0][1, :2], short[0], 1e-12)
    for mine, wanted in zip(by_mask[1], last, strict=True):
        close(np.asarray(mine)[..., 1, :], np.asarray(wanted)[..., 0, :], 1e-12)
    gaps = np.array([[1, 0, 1, 0, 1], [0, 0, 0, 0, 0]], bool)
    assert_agrees(name, layer, run(lambda x: layer(x, mask=gaps), X), X, gaps)


@every_layer
def test_a_state_is_handed_on(name: str) -> None:
    layer = made(name)

    def two_halves(x: Any) -> Any:
        first, state = layer(x[:, :2])
        second, last = layer(x[:, 2:], state)
        return gc.concat([first, second], axis=1), last

    outputs, last = run(two_halves, X)
    whole, final = run(layer, X)
    close(outputs, whole, 1e-14)
    close(np.asarray(last[0]), np.asarray(final[0]), 1e-14)


@every_layer
def test_a_cell_is_one_step(name: str) -> None:
    layer = made(name)
    cell = layer.cells[0][0]
    found = run(cell, X[:, 0])
    output = found[0] if layer.cell.parts > 1 else found
    close(output, unrolled(name, layer, X[:, :1], np.ones((BATCH, 1), bool))[0][:, 0], 1e-12)


@every_layer
def test_gradients_of_parameters_and_inputs(name: str) -> None:
    layer = made(name, layers=2, bidirectional=True)
    kept = np.arange(TIME) < np.array([[5], [2]])
    report = check_grads(lambda layer, x: layer(x, mask=kept), layer, X)
    assert report.is_right and not report.kinks


@every_layer
def test_the_graph_does_not_grow_with_the_length(name: str) -> None:
    layer = made(name)
    sizes = {
        len(gc.trace(layer, [np.zeros((BATCH, time, INPUTS))]).graph.nodes) for time in (3, 300)
    }
    assert len(sizes) == 1


def test_no_steps_and_other_options() -> None:
    outputs, (last,) = run(made("RNN"), X[:, :0])
    assert outputs.shape == (BATCH, 0, HIDDEN)
    same(last, np.zeros((BATCH, HIDDEN)))
    plain = nn.RNN(INPUTS, HIDDEN, bias=False, activation="relu", seed=0)
    assert [p.shape for p in plain.parameters()] == [(INPUTS, HIDDEN), (HIDDEN, HIDDEN)]
    assert run(plain, X.astype(np.float32))[0].min() >= 0
    biases: list[Any] = [nn.LSTM(3, 4, seed=0, forget_bias=b).cells[0][0].bias for b in (1.0, 0.0)]
    difference = biases[0].value - biases[1].value
    np.testing.assert_allclose(difference, [0] * 4 + [1] * 4 + [0] * 8, atol=1e-6)
    assert "bidirectional=True" in repr(nn.GRU(3, 4, 2, bidirectional=True, seed=0))


MISUSE: dict[str, tuple[Callable[[], Any], type[GraphcError], str]] = {
    "rank": (lambda: run(made("GRU"), X[0]), ShapeError, r"\(batch, time, 3\)"),
    "width": (lambda: run(made("GRU"), X[:, :, :2]), ShapeError, r"\(batch, time, 3\)"),
    "states": (lambda: run(lambda x: made("GRU")(x, [1, 2]), X), GraphcValueError, "a tuple of 1"),
    "state": (lambda: run(lambda x: made("LSTM")(x, [x[:, 0]]), X), ShapeError, "2 tensors"),
    "mask": (lambda: run(lambda x: made("RNN")(x, mask=x[:, :, 0]), X), GraphcTypeError, "bools"),
    "both": (
        lambda: run(lambda x: made("RNN")(x, mask=X[:, :, 0] > 0, lengths=[1, 2]), X),
        GraphcValueError,
        "both say",
    ),
    "lengths": (lambda: run(lambda x: made("RNN")(x, lengths=[1]), X), ShapeError, "2 integers"),
    "layers": (lambda: nn.RNN(3, 4, 0, seed=0), GraphcValueError, "layers is a count"),
    "extent": (lambda: nn.RNN(3, 0, seed=0), GraphcValueError, "hidden is a positive"),
    "activation": (lambda: nn.RNN(3, 4, seed=0, activation="gelu"), GraphcValueError, "tanh or"),
    "cell": (lambda: run(nn.GRUCell(3, 4, seed=0), X), ShapeError, r"\(batch, 3\)"),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_refused(name: str) -> None:
    call, kind, message = MISUSE[name]
    with pytest.raises(kind, match=message):
        call()


def test_a_model_trains() -> None:
    """Whether a sequence holds more ones than zeros: an LSTM and a linear layer learn it."""
    random = np.random.default_rng(0)
    bits = random.integers(0, 2, (64, 9))
    labels = (bits.sum(1) > 4).astype(np.int64)
    lstm, head = nn.LSTM(1, 8, seed=0), nn.Linear(8, 2, seed=1)
    optimizer = graphc.optim.Adam(0.02)

    def train_step(x: Any, y: Any) -> Any:
        loss = nn.cross_entropy(head(lstm(x)[0][:, -1]), y)
        optimizer.minimize(loss, [*lstm.parameters(), *head.parameters()])
        return loss

    compiled = graphc.compile(train_step, backend="reference")
    x = bits[:, :, None].astype(np.float32)
    losses = [float(compiled(x, labels)) for _ in range(60)]
    assert losses[-1] < 0.4 * losses[0]


@pytest.mark.parametrize("backend", ["llvm", "reference"])
@every_layer
def test_lengths_out_of_range(name: str, backend: Any) -> None:
    layer = LAYERS[name](INPUTS, HIDDEN, seed=0, dtype="float64")
    run_layer = graphc.compile(lambda x, lengths: layer(x, lengths=lengths)[0], backend=backend)
    for wrong in (-1, TIME + 1):
        with pytest.raises(GraphcIndexError, match=f"{name}: one of lengths= .* 0 … {TIME}"):
            run_layer(X, np.array([0, wrong]))
        with pytest.raises(GraphcIndexError, match=f"{name}: one of lengths= .*: {wrong};"):
            layer(X, lengths=[TIME, wrong])
    assert not run_layer(X, np.array([0, TIME]))[0].any()


def test_dropout_between_layers() -> None:
    """It is applied to what the second layer gets, and to nothing else."""
    seen = []

    def drop(x: Any) -> Any:
        seen.append(x.shape)
        return x * 0

    layer = nn.LSTM(INPUTS, HIDDEN, 3, seed=0, dtype="float64", dropout=drop)
    plain = nn.LSTM(INPUTS, HIDDEN, 3, seed=0, dtype="float64")
    outputs, last = graphc.compile(layer)(X)
    _, undropped = graphc.compile(plain)(X)
    same(last[0][0], undropped[0][0])
    assert seen == [(BATCH, TIME, HIDDEN)] * 2
    cell = plain.cells[2][0]
    alone = graphc.compile(cell)(np.zeros((BATCH, HIDDEN)))
    close(outputs[:, 0], alone[0], 1e-12)
    by_rate = nn.GRU(INPUTS, HIDDEN, 2, seed=0, dropout=0.5, dtype="float64")
    run_layer = graphc.compile(lambda x: by_rate(x)[0])
    assert (run_layer(X) != run_layer(X)).any()


def test_a_state_of_another_form_is_told_the_form() -> None:
    """PyTorch stacks the states of all layers."""
    stacked = np.zeros((2, BATCH, HIDDEN))
    lstm = nn.LSTM(INPUTS, HIDDEN, 2, seed=0, dtype="float64")
    with pytest.raises(
        ShapeError, match=r"LSTM: the state is a tuple of 2.* a pair \(h, c\)"
    ) as got:
        lstm(X, (stacked, stacked))
    assert got.value.hint == "of PyTorch's (h, c): tuple(zip(h, c))"
    assert lstm(X, tuple(zip(stacked, stacked, strict=True)))[0].shape == (BATCH, TIME, HIDDEN)
    gru = nn.GRU(INPUTS, HIDDEN, 2, seed=0, dtype="float64")
    with pytest.raises(ShapeError, match=r"GRU: the state is a tuple of 2") as got:
        gru(X, stacked)
    assert got.value.hint == "of PyTorch's h: tuple(h)"
    assert gru(X, tuple(stacked))[0].shape == (BATCH, TIME, HIDDEN)
