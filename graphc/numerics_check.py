"""NaN and infinity hunted down: programs compiled with `check_numerics=True`.

Such a program runs as any other, and then looks at what it gave: outputs and new values of
variables. Where one is not finite, the variables get their old values back, and the graph, as the
user wrote it, is computed again node by node by the NumPy references. From the bad result the way
is followed back to the first node that made a NaN (or an infinity) of operands that had none; in
loops and branches, to the node of the body in the first step that did. Nodes of a gradient carry
the line of their forward node. What is not finite on the way and leads to finite results, as the
-inf of a mask does, is no fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np

from graphc.body import Body
from graphc.errors import NumericsError
from graphc.executable import Executable
from graphc.graph import Graph
from graphc.interpreter import Evaluation, evaluate
from graphc.node import Node, given_name
from graphc.op import Scan, Switch, While
from graphc.state import STATE_LOCK

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


class Health(IntEnum):
    """What the worst element of an array is."""

    FINITE = 0
    INFINITE = 1
    NAN = 2

    @property
    def text(self) -> str:
        """How messages call it."""
        return ("finite", "infinite", "NaN")[self]


class CheckedExecutable:
    """An executable whose results are looked at; see the module's docstring."""

    def __init__(self, executable: Executable, graph: Graph) -> None:
        self._executable, self._graph = executable, graph
        self.text = executable.text

    def run(self, arguments: Sequence[Array]) -> tuple[Array, ...]:
        """Run once; raises NumericsError where a result is not finite, and changes nothing then."""
        states = [target.attributes["state"] for target, _ in self._graph.assignments]
        with STATE_LOCK:
            old = [state.host().copy() for state in states]
            outputs = self._executable.run(arguments)
            found = [health(array) for array in (*outputs, *(state.host() for state in states))]
            if max(found, default=Health.FINITE) is Health.FINITE:
                return outputs
            for state, value in zip(states, old, strict=True):
                state.assign(value)
            raise self._blame(arguments, found)

    def _blame(self, arguments: Sequence[Array], found: Sequence[Health]) -> NumericsError:
        number = next(n for n, kind in enumerate(found) if kind is not Health.FINITE)
        root, kind = self._graph.roots[number], found[number]
        count = len(self._graph.outputs)
        if number < count:
            what = f"output {number} of {self._graph.name} is {kind.text}"
        else:
            target, _ = self._graph.assignments[number - count]
            what = f"the new value of the variable {given_name(target)} is {kind.text}"
        bindings = dict(zip(self._graph.inputs, arguments, strict=True))
        return _error(what, *_origin(root, bindings))


def health(value: Array | tuple[Array, ...]) -> Health:
    """Return what the worst element of an array, or of several, is."""
    if isinstance(value, tuple):
        return max(map(health, value), default=Health.FINITE)
    if value.dtype.kind not in "fVc" or np.isfinite(value).all():  # V: bfloat16
        return Health.FINITE
    return Health.NAN if np.isnan(value).any() else Health.INFINITE


def _error(what: str, node: Node | None, notes: list[str]) -> NumericsError:
    if node is None:
        return NumericsError(
            what, notes=("computed again in NumPy it is finite: its bits differ by rounding",)
        )
    if not node.inputs:
        name = given_name(node)
        source = f"the {node.op.name} {name}".rstrip() + " has such values"
    else:
        source = f"the first such value was made by {node.op.name}"
    error = NumericsError(f"{what}: {source}", notes=tuple(notes), line=str(node.line or ""))
    error.op = node.op.name
    return error


def _origin(root: Node, bindings: Mapping[Node, Array]) -> tuple[Node | None, list[str]]:
    """Return the node that made the first bad value on the way to `root`, and what it was given."""
    kinds = _healths(root, bindings)
    kind = kinds[root]
    if kind is Health.FINITE:
        return None, []
    node = _first(root, kind, kinds)
    inner = _inside(node, bindings)
    if inner is not None:
        body, arrays = inner
        given = dict(zip(body.inputs, arrays, strict=True))
        for result in body.outputs:
            found, notes = _origin(result, given)
            if found is not None and found.inputs:
                return found, [*notes, f"in the body of {node.op.name} at {node.line}"]
    return node, _given(node, kinds)


def _healths(root: Node, bindings: Mapping[Node, Array]) -> dict[Node, Health]:
    kinds = {node: health(array) for node, array in bindings.items()}

    def watch(node: Node, value: Any) -> None:
        kinds[node] = health(value)

    Evaluation([root], tuple(bindings))(tuple(bindings.values()), watch)
    return kinds


def _first(node: Node, kind: Health, kinds: Mapping[Node, Health]) -> Node:
    """Follow operands that are as bad as `node` to the first that has none such."""
    while True:
        operand = next((o for o in node.inputs if kinds[o] is kind), None)
        if operand is None:
            return node
        node = operand


def _given(node: Node, kinds: Mapping[Node, Health]) -> list[str]:
    """Say what the operands of the node are, and where an infinite one came from."""
    notes = []
    for number, operand in enumerate(node.inputs):
        note = f"operand {number}: {kinds[operand].text}, {operand.op.name} at {operand.line}"
        if kinds[operand] is Health.INFINITE:
            source = _first(operand, Health.INFINITE, kinds)
            if source is not operand:
                note += f", from {source.op.name} at {source.line}"
        notes.append(note)
    return notes


def _inside(node: Node, bindings: Mapping[Node, Array]) -> tuple[Body, tuple[Array, ...]] | None:
    """Return the body of a loop or branch, and what it was given when it first gave a bad value."""
    lowering, attributes = node.op.lowering, node.attributes
    if not isinstance(lowering, Scan | While | Switch):
        return None
    operands = evaluate(node.inputs, bindings)
    if isinstance(lowering, Switch):
        branches = attributes["branches"]
        return branches[min(max(int(operands[0]), 0), len(branches) - 1)], operands[1:]
    body, carries = attributes["body"], attributes["carries"]
    values, fixed = operands[:carries], operands[carries:]
    stacked: tuple[Array, ...] = ()
    steps: Any = iter(int, 1)  # endless
    if isinstance(lowering, Scan):
        fixed, stacked = fixed[: attributes["constants"]], fixed[attributes["constants"] :]
        steps = range(attributes["length"])
        steps = reversed(steps) if attributes["reverse"] else steps
    for step in steps:
        if isinstance(lowering, While) and not attributes["condition"].run(*values, *fixed)[0]:
            return None
        given = (*values, *fixed, *(array[step, ...] for array in stacked))
        results = body.run(*given)
        if health(results) is not Health.FINITE:
            return body, given
        values = results[:carries]
    return None
