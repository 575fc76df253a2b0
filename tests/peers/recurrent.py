"""Recurrent layers and cells beside PyTorch's: outputs, last states, and all derivatives.

PyTorch has two biases where graphc has their sum: one of them is set to 0 there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from graphc import nn
from tests.peers.row import Layers, Row, torch

Makers = dict[str, Callable[..., Any]]
HIDDEN = 4


def rows() -> Iterator[Row]:
    """Yield the rows of layers, over depths, directions and lengths, and of cells."""
    for name, layers, both in itertools.product(("RNN", "LSTM", "GRU"), (1, 2), (False, True)):
        for kind in ("plain", "lengths", "first states"):
            yield _layer(name, layers, both, kind)
    for name in ("RNN", "LSTM", "GRU"):
        yield _cell(name)
    yield _cell("RNN", "relu")


def _shared(name: str, prefix: str, suffix: str) -> Makers:
    """Return how a cell's parameters are made of those of PyTorch, which end in `suffix`."""
    found: Makers = {
        f"{prefix}weight_input": lambda p: p[f"weight_ih{suffix}"].T,
        f"{prefix}weight_hidden": lambda p: p[f"weight_hh{suffix}"].T,
        f"{prefix}bias": lambda p: p[f"bias_ih{suffix}"],
    }
    if name == "GRU":
        found[f"{prefix}bias_hidden"] = lambda p: p[f"bias_hh{suffix}"][2 * HIDDEN :]
    return found


def _settle(name: str) -> Callable[[Any], None]:
    """Set the second biases to 0, but for the one that a GRU has too."""

    def settle(module: Any) -> None:
        for parameter, value in module.named_parameters():
            if parameter.startswith("bias_hh"):
                value[: 2 * HIDDEN if name == "GRU" else None] = 0

    return settle


def _layer(name: str, layers: int, both: bool, kind: str) -> Row:
    directions = 2 if both else 1
    shared: Makers = {}
    for level, direction in itertools.product(range(layers), range(directions)):
        suffix = f"_l{level}" + ("_reverse" if direction else "")
        shared |= _shared(name, f"cells.{level}.{direction}.", suffix)
    parts = (2 if name == "LSTM" else 1) * layers * directions * (kind == "first states")
    return Row(
        f"nn.{name}, {layers} layers, {directions} directions, {kind}",
        lambda layer, x, *others: _ours(layer, x, others, kind, name),
        lambda layer, x, *others: _theirs(layer, x, others, kind, name),
        [(3, 6, 3), *[(3, HIDDEN)] * parts],
        [np.array([4, 6, 1])] if kind == "lengths" else (),
        layers=Layers(
            lambda dtype: getattr(nn, name)(
                3, HIDDEN, layers, bidirectional=both, seed=0, dtype=dtype
            ),
            lambda: getattr(torch.nn, name)(
                3, HIDDEN, layers, batch_first=True, bidirectional=both
            ),
            shared,
            _settle(name),
        ),
    )


def _ours(layer: Any, x: Any, others: tuple[Any, ...], kind: str, name: str) -> Any:
    if kind == "lengths":
        return layer(x, lengths=others[0])
    if kind == "plain":
        return layer(x)
    pairs = list(zip(others[::2], others[1::2], strict=True)) if name == "LSTM" else list(others)
    return layer(x, pairs)


def _theirs(layer: Any, x: Any, others: tuple[Any, ...], kind: str, name: str) -> Any:
    """Return outputs and last states in the order of ours."""
    rnn = torch.nn.utils.rnn
    if kind == "lengths":
        x = rnn.pack_padded_sequence(x, others[0], batch_first=True, enforce_sorted=False)
    if kind != "first states":
        outputs, last = layer(x)
    elif name == "LSTM":
        outputs, last = layer(x, (torch.stack(others[::2]), torch.stack(others[1::2])))
    else:
        outputs, last = layer(x, torch.stack(others))
    if kind == "lengths":
        outputs, _ = rnn.pad_packed_sequence(outputs, batch_first=True)
    states = zip(*last, strict=True) if name == "LSTM" else last
    return outputs, *(tuple(state) if name == "LSTM" else state for state in states)


def _cell(name: str, activation: str = "tanh") -> Row:
    options: dict[str, str] = {} if name != "RNN" else {"activation": activation}
    peers: dict[str, str] = {} if name != "RNN" else {"nonlinearity": activation}
    state = 2 if name == "LSTM" else 1
    return Row(
        f"nn.{name}Cell, {activation}",
        lambda layer, x, *s: layer(x, s if name == "LSTM" else s[0]),
        lambda layer, x, *s: layer(x, s if name == "LSTM" else s[0]),
        [(5, 3), *[(5, HIDDEN)] * state],
        layers=Layers(
            lambda dtype: getattr(nn, f"{name}Cell")(3, HIDDEN, seed=0, dtype=dtype, **options),
            lambda: getattr(torch.nn, f"{name}Cell")(3, HIDDEN, **peers),
            _shared(name, "", ""),
            _settle(name),
        ),
    )
