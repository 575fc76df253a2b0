"""Compute a row on both sides and measure how far values and derivatives are apart.

The first derivatives are those of the outputs along one random cotangent, the second those of a
random projection of the gradient of the squared outputs along it (squared, so that linear functions
have one), by every float operand and every parameter. Errors are in units of the machine epsilon,
relative to the greatest element of the peer's array, or to each element where the row says so, but
to 0.1 at least. Booleans and integers are equal.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import graphc
from tests.peers.row import Array, Row, torch

KINDS = ("value", "first", "second")
BOUNDS = {"value": 100.0, "first": 300.0, "second": 3000.0}  # in epsilons
LEAST = 0.1  # what errors are relative to at least


@dataclass
class Found:
    """What a comparison found: for each kind how many arrays, the greatest error, and where.

    Errors of rows with a slack are divided by it.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    worst: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    places: dict[str, str] = field(default_factory=lambda: dict.fromkeys(KINDS, ""))
    failures: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Take in what another comparison found."""
        for kind in KINDS:
            self.counts[kind] += other.counts[kind]
            self._note(kind, other.worst[kind], other.places[kind])
        self.failures += other.failures

    def _note(self, kind: str, error: float, place: str) -> None:
        if error > self.worst[kind]:
            self.worst[kind], self.places[kind] = error, place

    def hold(
        self, kind: str, got: Any, want: Array, what: str, slack: float, elementwise: bool
    ) -> None:
        """Count one array, and note a failure unless its error is within the bound."""
        error = distance(np.asarray(got), want, elementwise)
        bound = BOUNDS[kind] * slack
        self.counts[kind] += 1
        if error <= bound:
            self._note(kind, error / slack, what)
        else:
            self.failures.append(f"{what}: {kind}, {error:.3g} epsilons apart, not {bound:g}")


def distance(got: Array, want: Array, elementwise: bool = False) -> float:
    """Return how far arrays are apart, in epsilons; infinity for other shapes and dtypes."""
    if got.shape != want.shape or got.dtype != want.dtype:
        return np.inf
    if got.dtype.kind != "f":
        return 0.0 if np.array_equal(got, want) else np.inf
    equal = (got == want) | (np.isnan(got) & np.isnan(want))
    if equal.all():
        return 0.0
    if not (np.isfinite(got[~equal]).all() and np.isfinite(want[~equal]).all()):
        return np.inf
    finite = np.where(np.isfinite(want), np.abs(want), 0)
    scale = np.maximum(finite if elementwise else finite.max(), LEAST)
    error = np.abs(np.where(equal, 0, got) - np.where(equal, 0, want))
    return float((error / scale).max() / np.finfo(got.dtype).eps)


def compare(row: Row, dtype: str) -> Found:
    """Return what a row gives in one dtype; an exception on either side is a failure of it."""
    found = Found()
    try:
        _compare(row, dtype, found)
    except Exception as error:  # the others are to be compared all the same
        words = str(error).split("\n")[0]
        found.failures.append(f"{row.name}, {dtype}: {type(error).__name__}: {words}")
    return found


def _compare(row: Row, dtype: str, found: Found) -> None:
    arrays = row.arrays(dtype)
    layer, peer = _made_layers(row, dtype)
    theirs, ours = _Peer(row, arrays, peer), _Subject(row, arrays, layer)
    wanted = theirs.outputs()
    directions = _Directions(row, wanted)
    got: dict[str, Sequence[Any]] = {"value": ours.values()}
    want: dict[str, Sequence[Any]] = {"value": wanted}
    if row.orders and row.compiled and theirs.leaves and directions.exist:
        orders = KINDS[1 : row.orders + 1]
        got |= zip(orders, ours.derivatives(directions, row.orders), strict=True)
        want |= zip(orders, theirs.derivatives(directions, row.orders), strict=True)
    for kind, arrays_got in got.items():
        for number, (left, right) in enumerate(zip(arrays_got, want[kind], strict=True)):
            what = f"{row.name}, {dtype}, {'result' if kind == 'value' else 'operand'} {number}"
            array = right.detach().numpy()
            found.hold(kind, left, array, what, row.slack, row.elementwise)


class _Directions:
    """The random cotangents of the outputs, and the directions of the gradients, in order."""

    def __init__(self, row: Row, outputs: Sequence[Any]) -> None:
        self._random = row.random()
        self.cotangents = [self._drawn(o) if _is_float(o) else None for o in outputs]
        self._state = self._random.bit_generator.state

    @property
    def exist(self) -> bool:
        """Whether there are outputs of floats."""
        return any(cotangent is not None for cotangent in self.cotangents)

    def _drawn(self, like: Any) -> Array:
        drawn = np.asarray(self._random.uniform(-1, 1, tuple(like.shape)))
        return drawn.astype(str(like.dtype).rpartition(".")[2])

    def of(self, gradients: Iterable[Any]) -> list[Array]:
        """Return one direction for each gradient, the same ones for both sides."""
        self._random.bit_generator.state = self._state
        return [self._drawn(gradient) for gradient in gradients]


def _is_float(value: Any) -> bool:
    return "float" in str(value.dtype)


def _flat(value: Any) -> list[Any]:
    """Return the tensors of a nest of tuples and lists."""
    return (
        [t for part in value for t in _flat(part)] if isinstance(value, tuple | list) else [value]
    )


def _made_layers(row: Row, dtype: str) -> tuple[Any, Any]:
    """Return the two layers of a row with the same random parameters."""
    if row.layers is None:
        return None, None
    peer = row.layers.theirs().to(getattr(torch, dtype))
    random = np.random.default_rng(len(row.name))
    with torch.no_grad():
        for parameter in peer.parameters():
            drawn = random.uniform(-0.6, 0.6, tuple(parameter.shape)).astype(dtype)
            parameter.copy_(torch.from_numpy(drawn))
        row.layers.settle(peer)
        named = dict([*peer.named_parameters(), *peer.named_buffers()])
        makers = {**row.layers.shared, **row.layers.buffers}
        state = {ours: make(named).numpy().copy() for ours, make in makers.items()}
    layer = row.layers.ours(dtype)
    layer.load_state_dict(state, strict=False)
    assert [name for name, _ in layer.named_parameters() if name not in state] == []
    return layer, peer


class _Subject:
    """A row on the side of graphc."""

    def __init__(self, row: Row, arrays: Sequence[Array], layer: Any) -> None:
        self.row = row
        self.arguments = [*arrays] if layer is None else [layer, *arrays]
        kept = [n for n, a in enumerate(arrays) if a.dtype.kind == "f" and n not in row.skipped]
        self.numbers = tuple(kept if layer is None else (0, *(n + 1 for n in kept)))
        self.parameters = list(row.layers.shared) if row.layers else []

    def values(self) -> list[Any]:
        """Return the results of compiled code."""
        if not self.row.compiled:
            return _flat(self.row.ours(*self.arguments))
        return _flat(graphc.compile(lambda *a: tuple(_flat(self.row.ours(*a))))(*self.arguments))

    def derivatives(self, directions: _Directions, orders: int) -> list[list[Any]]:
        """Return the first, and the second, derivatives by every operand and parameter."""

        def projected(*operands: Any, power: int = 1) -> Any:
            outputs = _flat(self.row.ours(*operands))
            pairs = zip(outputs, directions.cotangents, strict=True)
            return _total((out**power * c).sum() for out, c in pairs if c is not None)

        def curvature(*operands: Any) -> Any:
            slope = graphc.grad(lambda *o: projected(*o, power=2), argnums=self.numbers)
            gradients = self._listed(slope(*operands))
            pairs = zip(gradients, directions.of(gradients), strict=True)
            return _total((gradient * d).sum() for gradient, d in pairs)

        def every(*operands: Any) -> Any:
            scalars: list[Callable[..., Any]] = [projected, curvature]
            return tuple(graphc.grad(s, argnums=self.numbers)(*operands) for s in scalars[:orders])

        return [self._listed(found) for found in graphc.compile(every)(*self.arguments)]

    def _listed(self, gradients: tuple[Any, ...]) -> list[Any]:
        """Return gradients in a row, those of the layer's parameters by their names."""
        if not self.parameters:
            return list(gradients)
        return [*(gradients[0][name] for name in self.parameters), *gradients[1:]]


class _Peer:
    """A row on the side of PyTorch."""

    def __init__(self, row: Row, arrays: Sequence[Array], layer: Any) -> None:
        self.row = row
        tensors = [torch.from_numpy(a.copy()) for a in arrays]
        self.named = {} if layer is None else dict(layer.named_parameters())
        operands = [
            tensor.requires_grad_(True)
            for number, tensor in enumerate(tensors)
            if _is_float(tensor) and number not in row.skipped
        ]
        self.leaves = [*self.named.values(), *operands]
        self.arguments = tensors if layer is None else [layer, *tensors]

    def outputs(self) -> list[Any]:
        """Return the results."""
        return _flat(self.row.theirs(*self.arguments))

    def derivatives(self, directions: _Directions, orders: int) -> Iterator[list[Any]]:
        """Yield the first, and the second, derivatives by every operand and parameter."""
        yield self._gradients(self._projected(directions, 1), again=False)
        if orders > 1:
            gradients = self._gradients(self._projected(directions, 2), again=True)
            along = map(torch.from_numpy, directions.of(gradients))
            pairs = zip(gradients, along, strict=True)
            yield self._gradients(_total((g * d).sum() for g, d in pairs), again=False)

    def _projected(self, directions: _Directions, power: int) -> Any:
        pairs = zip(self.outputs(), directions.cotangents, strict=True)
        return _total((o**power * torch.from_numpy(c)).sum() for o, c in pairs if c is not None)

    def _gradients(self, scalar: Any, again: bool) -> list[Any]:
        """Return the gradients of a scalar, 0 where there is none, parameters laid out as ours."""
        found: Sequence[Any] = [None] * len(self.leaves)
        if getattr(scalar, "requires_grad", False):
            found = torch.autograd.grad(scalar, self.leaves, create_graph=again, allow_unused=True)
        pairs = zip(self.leaves, found, strict=True)
        dense = [torch.zeros_like(leaf) if g is None else g for leaf, g in pairs]
        count = len(self.named)
        layers = self.row.layers
        if layers is None:
            return dense
        by_name = dict(zip(self.named, dense, strict=False))
        return [*(make(by_name) for make in layers.shared.values()), *dense[count:]]


def _total(terms: Iterable[Any]) -> Any:
    """Return the sum of some terms, of which there is one at least."""
    return list(itertools.accumulate(terms))[-1]
