"""Layers beside PyTorch's, with the same parameters: values, and derivatives by all of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

import graphc
from graphc import nn
from tests.peers.row import Layers, Row, Shape, first, last, torch, weight_last

Shared = Mapping[str, Callable[..., Any]]
AFFINE: Shared = {"scale": lambda p: p["weight"], "bias": lambda p: p["bias"]}


def rows() -> Iterator[Row]:
    """Yield the rows of every layer but recurrent ones and those of attention."""
    for family in (_linear, _convolutions, _transposed, _norms, _batch_norms, _pools, _plain):
        yield from family()
    yield from _dropped()


def _linear() -> Iterator[Row]:
    shared: Shared = {"weight": lambda p: p["weight"].T, "bias": lambda p: p["bias"]}
    shapes: list[Shape] = [(5, 3), (1, 3), (2, 4, 3)]
    for bias, shape in itertools.product((True, False), shapes):
        yield Row(
            f"nn.Linear, {shape} bias {bias}",
            lambda layer, x: layer(x),
            lambda layer, x: layer(x),
            [shape],
            layers=Layers(
                lambda dtype, b=bias: nn.Linear(3, 7, b, seed=0, dtype=dtype),
                lambda b=bias: torch.nn.Linear(3, 7, b),
                shared if bias else {"weight": shared["weight"]},
            ),
        )
    places = np.array([[3, 0, 3], [1, 4, 2]])
    yield Row(
        "nn.Embedding",
        lambda layer, i: layer(i),
        lambda layer, i: layer(i),
        fixed=[places],
        layers=Layers(
            lambda dtype: nn.Embedding(5, 4, seed=0, dtype=dtype),
            lambda: torch.nn.Embedding(5, 4),
            {"weight": lambda p: p["weight"]},
        ),
    )


def _convolutions() -> Iterator[Row]:
    shared: Shared = {"weight": lambda p: weight_last(p["weight"]), "bias": lambda p: p["bias"]}
    settings: list[dict[str, int]] = [
        {}, {"stride": 2, "padding": 1}, {"dilation": 2, "groups": 2, "padding": 2}
    ]  # fmt: skip
    for rank, options, is_first in itertools.product((1, 2, 3), settings, (False, True)):
        sizes = (3, 2, 3)[:rank]
        space = (8, 7, 6)[:rank]
        yield Row(
            f"nn.Conv{rank}d, {options} channels first {is_first}",
            lambda layer, x: layer(x),
            (lambda layer, x: layer(x)) if is_first else lambda layer, x: last(layer(first(x))),
            [(2, 4, *space) if is_first else (2, *space, 4)],
            layers=Layers(
                lambda dtype, r=rank, s=sizes, o=options, f=is_first: getattr(nn, f"Conv{r}d")(
                    4, 6, s, **o, seed=0, dtype=dtype, channels_first=f
                ),
                lambda r=rank, s=sizes, o=options: getattr(torch.nn, f"Conv{r}d")(4, 6, s, **o),
                shared,
            ),
        )


def _transposed() -> Iterator[Row]:
    def weight(p: Mapping[str, Any], groups: int) -> Any:
        return torch.cat(torch.chunk(p["weight"], groups), 1).movedim((0, 1), (-2, -1))

    settings: list[dict[str, int]] = [
        {}, {"stride": 2, "padding": 1, "output_padding": 1}, {"groups": 2, "stride": 2}
    ]  # fmt: skip
    for rank, options in itertools.product((1, 2, 3), settings):
        groups = options.get("groups", 1)
        yield Row(
            f"nn.ConvTranspose{rank}d, {options}",
            lambda layer, x: layer(x),
            lambda layer, x: last(layer(first(x))),
            [(2, *(5, 4, 3)[:rank], 4)],
            layers=Layers(
                lambda dtype, r=rank, o=options: getattr(nn, f"ConvTranspose{r}d")(
                    4, 6, 3, **o, seed=0, dtype=dtype
                ),
                lambda r=rank, o=options: getattr(torch.nn, f"ConvTranspose{r}d")(4, 6, 3, **o),
                {"weight": lambda p, g=groups: weight(p, g), "bias": lambda p: p["bias"]},
            ),
        )


def _norms() -> Iterator[Row]:
    scale: Shared = {"scale": AFFINE["scale"]}
    table: list[tuple[str, Callable[..., Any], Callable[[], Any], Shared, bool]] = [
        ("LayerNorm", lambda **k: nn.LayerNorm(8, **k), lambda: torch.nn.LayerNorm(8), AFFINE,
         False),
        ("RMSNorm", lambda **k: nn.RMSNorm(8, **k), lambda: torch.nn.RMSNorm(8, eps=1e-6), scale,
         False),
        ("GroupNorm", lambda **k: nn.GroupNorm(4, 8, **k), lambda: torch.nn.GroupNorm(4, 8), AFFINE,
         True),
        ("InstanceNorm", lambda **k: nn.InstanceNorm(8, **k),
         lambda: torch.nn.InstanceNorm2d(8, affine=True), AFFINE, True),
    ]  # fmt: skip
    for name, ours, theirs, shared, moves in table:
        yield Row(
            f"nn.{name}",
            lambda layer, x: layer(x),
            (lambda layer, x: last(layer(first(x)))) if moves else lambda layer, x: layer(x),
            [(3, 4, 5, 8)],
            layers=Layers(lambda dtype, f=ours: f(dtype=dtype), theirs, shared),
        )


def _batch_norms() -> Iterator[Row]:
    def settle(module: Any) -> None:
        module.running_mean.uniform_(-1, 1)
        module.running_var.uniform_(0.5, 2)

    running: Shared = {
        "running_mean": lambda p: p["running_mean"],
        "running_variance": lambda p: p["running_var"],
    }
    for rank, trains in itertools.product((1, 2, 3), (True, False)):
        yield Row(
            f"nn.BatchNorm, {rank}-D {'training' if trains else 'evaluation'}",
            lambda layer, x, t=trains: layer.train(t)(x),
            lambda layer, x, t=trains: last(layer.train(t)(first(x))),
            [(4, *(5, 3, 2)[:rank], 8)],
            layers=Layers(
                lambda dtype: nn.BatchNorm(8, dtype=dtype),
                lambda r=rank: getattr(torch.nn, f"BatchNorm{r}d")(8),
                AFFINE,
                settle,
                running,
            ),
        )
    yield Row("nn.BatchNorm, running moments", _ours_moved, _moved, [(6, 5, 8)], compiled=False)


def _ours_moved(x: Any) -> Any:
    layer = nn.BatchNorm(8, dtype=str(x.dtype))
    step = graphc.compile(lambda x: layer(x))
    for factor in (1, 2, 3):
        step(x * x.dtype.type(factor))
    return layer.running_mean.value, layer.running_variance.value


def _moved(x: Any) -> Any:
    layer = torch.nn.BatchNorm1d(8, dtype=x.dtype)
    for factor in (1, 2, 3):
        layer(first(x * factor))
    return layer.running_mean, layer.running_var


def _pools() -> Iterator[Row]:
    table: list[tuple[str, Any, Callable[[], Any]]] = [
        ("MaxPool", nn.MaxPool(3, 2, 1), lambda: torch.nn.MaxPool2d(3, 2, 1)),
        ("AveragePool", nn.AveragePool(2), lambda: torch.nn.AvgPool2d(2)),
        ("AdaptiveMaxPool", nn.AdaptiveMaxPool((3, 2)), lambda: torch.nn.AdaptiveMaxPool2d((3, 2))),
        ("AdaptiveAveragePool", nn.AdaptiveAveragePool((3, 2)),
         lambda: torch.nn.AdaptiveAvgPool2d((3, 2))),
        ("GlobalMaxPool", nn.GlobalMaxPool(keepdims=True), lambda: torch.nn.AdaptiveMaxPool2d(1)),
        ("GlobalAveragePool", nn.GlobalAveragePool(keepdims=True),
         lambda: torch.nn.AdaptiveAvgPool2d(1)),
    ]  # fmt: skip
    for name, ours, theirs in table:
        yield Row(f"nn.{name}", ours, lambda x, f=theirs: last(f()(first(x))), [(2, 9, 7, 3)])


def _plain() -> Iterator[Row]:
    """Yield layers without parameters, and those that hold others."""
    table: list[tuple[str, Any, Callable[[], Any]]] = [
        ("ReLU", nn.ReLU(), lambda: torch.nn.ReLU()),
        ("LeakyReLU", nn.LeakyReLU(0.2), lambda: torch.nn.LeakyReLU(0.2)),
        ("ELU", nn.ELU(1.3), lambda: torch.nn.ELU(1.3)),
        ("Tanh", nn.Tanh(), lambda: torch.nn.Tanh()),
        ("Sigmoid", nn.Sigmoid(), lambda: torch.nn.Sigmoid()),
        ("SiLU", nn.SiLU(), lambda: torch.nn.SiLU()),
        ("Softplus", nn.Softplus(), lambda: torch.nn.Softplus()),
        ("GELU", nn.GELU(), lambda: torch.nn.GELU()),
        ("Softmax", nn.Softmax(1), lambda: torch.nn.Softmax(1)),
        ("Flatten", nn.Flatten(), lambda: torch.nn.Flatten()),
        ("Sequential", nn.Sequential(nn.Tanh(), nn.Softplus()),
         lambda: torch.nn.Sequential(torch.nn.Tanh(), torch.nn.Softplus())),
    ]  # fmt: skip
    for name, ours, theirs in table:
        yield Row(f"nn.{name}", ours, lambda x, f=theirs: f()(x), [(3, 4, 5)])
    yield Row("nn.Residual", nn.Residual(nn.Tanh()), lambda x: x + torch.tanh(x), [(3, 4)])


# --- dropout -------------------------------------------------------------------------------------


def _dropped() -> Iterator[Row]:
    """Yield dropout in evaluation, and the laws that its random results keep in training."""
    makers: list[tuple[str, Callable[..., Any]]] = [
        ("Dropout", nn.Dropout), ("Dropout1d", nn.Dropout1d), ("Dropout2d", nn.Dropout2d)
    ]  # fmt: skip
    for name, make in makers:
        shape = (64, 25, 40) if name != "Dropout2d" else (64, 5, 5, 40)
        yield Row(
            f"nn.{name}, evaluation",
            lambda x, f=make: f(0.3, seed=0).eval()(x),
            lambda x, n=name: getattr(torch.nn, n)(0.3).eval()(x),
            [shape[1:] if name == "Dropout" else (2, *shape[1:])],
        )
        yield Row(
            f"nn.{name}, training",
            lambda x, f=make, n=name: _laws(graphc.compile(f(0.3, seed=0))(x), x, n),
            lambda x, n=name: _peer_laws(x, n),
            [shape],
            low=1.0,
            compiled=False,
            orders=0,
        )
    yield Row("nn.dropout, of all", _all_dropped, lambda x: torch.zeros_like(x), [(3, 4)])


def _all_dropped(x: Any) -> Any:
    return nn.dropout(x, 1.0, graphc.random.key(0))


def _peer_laws(x: Any, name: str) -> Any:
    torch.manual_seed(0)
    layer = getattr(torch.nn, name)(0.3)
    dropped = layer(x) if name == "Dropout" else last(layer(first(x)))
    return torch.from_numpy(_laws(dropped.detach().numpy(), x.detach().numpy(), name))


def _laws(dropped: Any, x: Any, name: str) -> Any:
    """Return which laws hold: the share that is kept, by how much, and channels as a whole."""
    kept = dropped != 0
    drawn = kept if name == "Dropout" else kept.reshape(len(x), -1, x.shape[-1])[:, 0]
    deviation = np.sqrt(0.3 * 0.7 / drawn.size)
    places = tuple(range(1, x.ndim - 1))
    whole = kept.all(places) | ~kept.any(places)
    return np.array(
        [
            abs(drawn.mean() - 0.7) < 5 * deviation,
            np.allclose(dropped[kept], x[kept] / 0.7, rtol=1e-6),
            whole.all() == (name != "Dropout"),
        ]
    )
