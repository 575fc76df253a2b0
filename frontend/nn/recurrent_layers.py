"""Recurrent layers: `RNN`, `LSTM` and `GRU`, over whole sequences, and their cells for one step.

A layer takes sequences of the shape (batch, time, inputs) and gives (batch, time, outputs) and its
last state. What does not depend on the state, the product of all inputs with their weights, is one
contraction before the loop; the loop over time is a `scan`, so that code and compile time do not
grow with the length. Equations and order of gates are PyTorch's, but where its biases of input and
state are only added to one another there is one; weights are drawn as there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np

from graphc.dtypes import DTypeLike, as_dtype, bool_, float32
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import composites, constructors, elementwise, initialisers, shapes
from graphc.frontend.indexing import checked_index
from graphc.frontend.loops import scan
from graphc.frontend.nn.dropout import DropoutLike, as_dropout
from graphc.frontend.nn.module import Module
from graphc.frontend.operands import as_node, fail
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.frontend.variable import Variable
from graphc.node import Node

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]

State: TypeAlias = tuple[Tensor, ...]  # one (batch, hidden) tensor for each part of the state


class RecurrentCell(Module):
    """One step of a recurrent layer; subclasses say how many gates and parts of the state it has.

    `projected` is `x @ weight_input + bias`, which does not depend on the state.
    """

    gates: ClassVar[int]
    parts: ClassVar[int] = 1

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        seed: initialisers.Seed,
        bias: bool = True,
        dtype: DTypeLike = float32,
        initialiser: initialisers.Start | None = None,
    ) -> None:
        name = type(self).__name__
        for what, extent in (("inputs", inputs), ("hidden", hidden)):
            if type(extent) is not int or extent < 1:
                fail(GraphcValueError, f"{name}: {what} is a positive integer, not {extent!r}")
        self.inputs, self.hidden = inputs, hidden
        random, kind = initialisers.generator(seed), as_dtype(dtype)
        limit = 1 / math.sqrt(hidden)
        first = initialisers.uniform(-limit, limit) if initialiser is None else initialiser
        width = self.gates * hidden

        def drawn(*shape: int) -> Variable:
            return Variable(initialisers.first_value(name, first, shape, random, kind))

        self.weight_input = drawn(inputs, width)
        self.weight_hidden = drawn(hidden, width)
        self.bias = drawn(width) if bias else None

    def project(self, x: Tensor) -> Tensor:
        """Return what the step needs of inputs of the shape (…, inputs): (…, gates * hidden)."""
        product = x @ self.weight_input
        return product if self.bias is None else product + self.bias

    def step(self, projected: Tensor, state: State) -> State:
        """Return the next state, of which the first part is the output."""
        raise NotImplementedError

    def forward(self, x: TensorLike, state: TensorLike | State | None = None) -> Any:
        """Return the next state for x of shape (batch, inputs): (batch, hidden), or a tuple."""
        node = as_node(x)
        if len(node.shape) != 2 or node.shape[1] != self.inputs:
            fail(
                ShapeError,
                f"{type(self).__name__}({self.inputs}, {self.hidden}) wants x of shape "
                f"(batch, {self.inputs}), not {node.shape}",
                [node],
            )
        tensor = Tensor(node)
        found = self.step(self.project(tensor), self.first_state(tensor, node.shape[0], state))
        return found if self.parts > 1 else found[0]

    def first_state(self, x: Tensor, batch: int, given: Any) -> State:
        """Return the state before the first step: zeros, unless one is given."""
        if given is None:
            zeros = constructors.zeros((batch, self.hidden), dtype=x.dtype)
            return (zeros,) * self.parts
        parts = tuple(given) if isinstance(given, tuple | list) else (given,)
        nodes = [as_node(part) for part in parts]
        if [n.shape for n in nodes] != [(batch, self.hidden)] * self.parts:
            fail(
                ShapeError,
                f"{type(self).__name__}: the state has {self.parts} tensors of shape "
                f"({batch}, {self.hidden}), not {', '.join(str(n.shape) for n in nodes)}",
                nodes,
            )
        return tuple(map(Tensor, nodes))

    def extra_repr(self) -> str:
        """Return the extents."""
        return f"{self.inputs}, {self.hidden}" + ("" if self.bias is not None else ", bias=False")


class RNNCell(RecurrentCell):
    """h := activation(x W + h U + b); the activation is "tanh" or "relu".

    >>> RNNCell(3, 5, seed=0).weight_hidden.shape
    (5, 5)
    """

    gates = 1

    def __init__(
        self, inputs: int, hidden: int, *, activation: str = "tanh", **keywords: Any
    ) -> None:
        super().__init__(inputs, hidden, **keywords)
        known: dict[str, Callable[[Tensor], Tensor]] = {
            "tanh": elementwise.tanh,
            "relu": composites.relu,
        }
        if activation not in known:
            fail(GraphcValueError, f"RNN: the activation is tanh or relu, not {activation!r}")
        self._activation = known[activation]

    def step(self, projected: Tensor, state: State) -> State:
        """Return the next state."""
        return (self._activation(projected + state[0] @ self.weight_hidden),)


class LSTMCell(RecurrentCell):
    """c := s(f) c + s(i) tanh(g), h := s(o) tanh(c); i, f, g, o = x W + h U + b, s the sigmoid.

    The state is (h, c). `forget_bias` is added to the bias of f at first, so that cells remember.
    Source: Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000 for f.
    """

    gates, parts = 4, 2

    def __init__(
        self, inputs: int, hidden: int, *, forget_bias: float = 0.0, **keywords: Any
    ) -> None:
        super().__init__(inputs, hidden, **keywords)
        if forget_bias and self.bias is None:
            fail(GraphcValueError, "LSTM: forget_bias needs a bias")
        if forget_bias and self.bias is not None:
            start = self.bias.value
            start[hidden : 2 * hidden] += start.dtype.type(forget_bias)
            self.bias.assign(start)

    def step(self, projected: Tensor, state: State) -> State:
        """Return the next h and c."""
        h, c = state
        i, f, g, o = shapes.split(projected + h @ self.weight_hidden, 4, axis=-1)
        new = elementwise.sigmoid(f) * c + elementwise.sigmoid(i) * elementwise.tanh(g)
        return elementwise.sigmoid(o) * elementwise.tanh(new), new


class GRUCell(RecurrentCell):
    """h := (1 - z) n + z h, n = tanh(x W + b + r (h U + d)), where r, z = sigmoid(x W + h U + b).

    d is `bias_hidden`. Source: Cho et al., arXiv:1406.1078, with the reset gate behind the product.
    """

    gates = 3

    def __init__(self, inputs: int, hidden: int, **keywords: Any) -> None:
        super().__init__(inputs, hidden, **keywords)
        dtype = self.weight_hidden.dtype
        has_bias = self.bias is not None
        self.bias_hidden = Variable(np.zeros(hidden, dtype.numpy)) if has_bias else None

    def step(self, projected: Tensor, state: State) -> State:
        """Return the next state."""
        (h,) = state
        r, z, n = shapes.split(projected, 3, axis=-1)
        hr, hz, hn = shapes.split(h @ self.weight_hidden, 3, axis=-1)
        if self.bias_hidden is not None:
            hn = hn + self.bias_hidden
        reset, update = elementwise.sigmoid(r + hr), elementwise.sigmoid(z + hz)
        new = elementwise.tanh(n + reset * hn)
        return (new + update * (h - new),)


class RecurrentLayer(Module):
    """Cells run over time, `layers` of them on top of one another, in one direction or in both.

    `dropout`, a rate or a module, is applied to the outputs of each layer but the last.
    """

    cell: ClassVar[type[RecurrentCell]]

    def __init__(
        self,
        inputs: int,
        hidden: int,
        layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: DropoutLike = None,
        seed: initialisers.Seed,
        **keywords: Any,
    ) -> None:
        if type(layers) is not int or layers < 1:
            fail(GraphcValueError, f"{type(self).__name__}: layers is a count, not {layers!r}")
        random = initialisers.generator(seed)
        self.bidirectional = bidirectional
        directions = 2 if bidirectional else 1
        widths = [inputs] + [directions * hidden] * (layers - 1)
        self.cells = [
            [self.cell(width, hidden, seed=random, **keywords) for _ in range(directions)]
            for width in widths
        ]
        self.dropout = as_dropout(type(self).__name__, dropout, random)

    def forward(
        self,
        x: TensorLike,
        state: Sequence[Any] | None = None,
        *,
        mask: TensorLike | None = None,
        lengths: TensorLike | None = None,
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Return the outputs at all times, and the last state of every cell.

        x        (batch, time, inputs)
        state    the first states, as the second result has them: a tuple with, for each layer and
                 within it for each direction, a (batch, hidden) tensor, of an LSTM a pair (h, c) of
                 such; else zeros
        mask     bool (batch, time): where it does not hold a step is left out: the state stays as
                 it is, and the output is zero
        lengths  integers (batch,): instead of a mask, how many of the first steps count; others
                 than 0 … time raise GraphcIndexError

        The outputs have the shape (batch, time, directions * hidden).
        """
        tensor = self._checked(as_node(x))
        batch, time = tensor.shape[:2]
        kept = _kept_steps(type(self).__name__, batch, time, mask, lengths)
        states = self._first_states(tensor, batch, state)
        last: list[Any] = []
        for layer, pair in enumerate(self.cells):
            if layer and self.dropout is not None:
                tensor = self.dropout(tensor)
            runs = [
                _run(cell, tensor, states.pop(0), kept, bool(direction))
                for direction, cell in enumerate(pair)
            ]
            outputs = [output for output, _ in runs]
            tensor = outputs[0] if len(outputs) == 1 else shapes.concat(outputs, axis=-1)
            last += [found if self.cell.parts > 1 else found[0] for _, found in runs]
        return tensor, tuple(last)

    def _first_states(self, x: Tensor, batch: int, given: Any) -> list[State]:
        """Return the states before the first step, one for each layer and direction."""
        cells = [cell for pair in self.cells for cell in pair]
        if given is None:
            return [cell.first_state(x, batch, None) for cell in cells]
        states = list(given) if isinstance(given, tuple | list) else [given]
        parts = [tuple(s) if isinstance(s, tuple | list) else (s,) for s in states]
        nodes = [[as_node(part) for part in state] for state in parts]
        shape = (batch, cells[0].hidden)
        if [[n.shape for n in state] for state in nodes] != [[shape] * c.parts for c in cells]:
            each = (
                f"a pair (h, c) of tensors {shape}" if self.cell.parts > 1 else f"a tensor {shape}"
            )
            fail(
                ShapeError,
                f"{type(self).__name__}: the state is a tuple of {len(cells)}, one for each layer "
                f"and direction: {each}",
                [node for state in nodes for node in state],
                _state_hint(nodes, self.cell.parts),
            )
        return [tuple(map(Tensor, state)) for state in nodes]

    def _checked(self, node: Any) -> Tensor:
        inputs = self.cells[0][0].inputs
        if len(node.shape) != 3 or node.shape[2] != inputs:
            fail(
                ShapeError,
                f"{type(self).__name__} wants x of shape (batch, time, {inputs}), not {node.shape}",
                [node],
                "one sequence alone: x[None]" if len(node.shape) == 2 else "",
            )
        return Tensor(node)

    def extra_repr(self) -> str:
        """Return the extents."""
        cell = self.cells[0][0]
        text = f"{cell.inputs}, {cell.hidden}"
        text += f", layers={len(self.cells)}" if len(self.cells) > 1 else ""
        return text + (", bidirectional=True" if self.bidirectional else "")


class RNN(RecurrentLayer):
    """Elman's recurrent network: layers of `RNNCell`.

    >>> import graphc
    >>> outputs, last = RNN(3, 5, seed=0)(graphc.input((2, 7, 3)))
    >>> outputs.shape, [state.shape for state in last]
    ((2, 7, 5), [(2, 5)])
    """

    cell = RNNCell


class LSTM(RecurrentLayer):
    """Long short-term memory: layers of `LSTMCell`, whose states are pairs.

    >>> import graphc
    >>> outputs, last = LSTM(3, 5, 2, bidirectional=True, seed=0)(graphc.input((2, 7, 3)))
    >>> outputs.shape, len(last), [part.shape for part in last[0]]
    ((2, 7, 10), 4, [(2, 5), (2, 5)])
    """

    cell = LSTMCell


class GRU(RecurrentLayer):
    """Gated recurrent units: layers of `GRUCell`."""

    cell = GRUCell


def _state_hint(nodes: Sequence[Sequence[Node]], parts: int) -> str:
    """Return how states that PyTorch stacks, (layers, batch, hidden), are given here."""
    if parts > 1 and [[len(n.shape) for n in state] for state in nodes] == [[3], [3]]:
        return "of PyTorch's (h, c): tuple(zip(h, c))"
    if parts == 1 and [[len(n.shape) for n in state] for state in nodes] == [[3]]:
        return "of PyTorch's h: tuple(h)"
    return ""


def _run(
    cell: RecurrentCell, x: Tensor, start: State, kept: Tensor | None, reverse: bool
) -> tuple[Tensor, State]:
    """Return the outputs (batch, time, hidden) of a cell run over time, and its last state."""
    projected = shapes.moveaxis(cell.project(x), 1, 0)

    def step(state: State, slices: Any) -> tuple[State, Tensor]:
        new = cell.step(slices[0], state)
        if kept is None:
            return new, new[0]
        holds = slices[1]
        merged = tuple(elementwise.where(holds, n, o) for n, o in zip(new, state, strict=True))
        return merged, elementwise.where(holds, new[0], 0)

    steps = (projected,) if kept is None else (projected, kept)
    last, outputs = scan(step, start, steps, reverse=reverse)
    return shapes.moveaxis(outputs, 0, 1), last


def _kept_steps(
    name: str, batch: int, time: int, mask: TensorLike | None, lengths: TensorLike | None
) -> Tensor | None:
    """Return which steps count, as bools of the shape (time, batch, 1), or None for all."""
    if mask is not None and lengths is not None:
        fail(GraphcValueError, f"{name}: mask and lengths both say which steps count")
    if lengths is not None:
        node = as_node(lengths)
        if node.shape != (batch,) or not node.type.dtype.is_integer:
            fail(ShapeError, f"{name}: lengths are {batch} integers, not {node.type}", [node])
        what = f"{name}: one of lengths= is out of bounds for {time} steps"
        counts = checked_index(node, time + 1, what)
        return (constructors.arange(time)[:, None] < counts[None, :])[:, :, None]
    if mask is None:
        return None
    node = as_node(mask)
    if node.type.dtype is not bool_:
        fail(GraphcTypeError, f"{name}: a mask holds bools, not {node.type.dtype}", [node])
    if node.shape != (batch, time):
        fail(ShapeError, f"{name}: a mask has the shape {(batch, time)}, not {node.shape}", [node])
    return Tensor(node).T[:, :, None]
