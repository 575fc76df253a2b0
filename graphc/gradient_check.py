"""Derivatives held against what they claim to be: `check_grads` and its report.

A function is traced, its graph is widened to float64 (inputs, constants and variables with it), and
at one point three things are compared along random directions, to first and second order:

    reverse mode     the gradient that the differentiator builds, times the direction
    forward mode     the derivative along the direction
    differences      central differences of the values, by the NumPy references of the ops

Then every node is checked alone: its op's declared derivative against differences of its reference,
at the values that its operands have in the graph. So a wrong derivative is blamed on the op and on
the user's line. Where a function has a kink or a jump at the point, differences mean nothing: such
nodes are counted and not judged. What `stop_gradient` hides is held constant.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from graphc import ops
from graphc.arithmetic import filled
from graphc.errors import GraphcError, GraphcTypeError, GraphcValueError
from graphc.frontend.jacobians import pushforward
from graphc.frontend.structures import flatten
from graphc.frontend.tracing import trace
from graphc.graph import Graph, topological_order
from graphc.interpreter import evaluate
from graphc.node import ArrayData, Node, at_line
from graphc.ops.loops import items
from graphc.ops.views import total
from graphc.passes.differentiate import gradients, pulled_back
from graphc.progress import progress
from graphc.widening import Point, body_and_values, input_like, widened

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Values: TypeAlias = "Mapping[Node, Array]"

STEP = 1e-5
ORDERS = (1, 2)
_KINK = 1e-2  # the share by which one-sided differences differ where there is a kink


class GradientError(GraphcError, AssertionError):
    """A derivative is wrong; `report` has all that was found."""

    report: GradientReport


@dataclass(frozen=True, slots=True)
class Comparison:
    """One order of derivatives: the greatest relative differences over all directions."""

    order: int
    reverse: float  # against differences
    forward: float  # against reverse mode


@dataclass(frozen=True, slots=True)
class Fault:
    """An op whose declared derivative is not that of its reference."""

    op: str
    operand: int
    order: int  # 1: of the function's own nodes, 2: of the nodes of its gradient
    line: str
    declared: float
    measured: float

    def __str__(self) -> str:
        where = "" if self.order == 1 else " in the gradient"
        place = f" at {self.line}" if self.line else ""
        return (
            f"{self.op}{where}, operand {self.operand}: the derivative is declared as "
            f"{self.declared:.6g}, and measured as {self.measured:.6g}{place}"
        )


@dataclass(frozen=True, slots=True)
class GradientReport:
    """What `check_grads` found. `kinks` are ops that have no derivative at the point."""

    comparisons: tuple[Comparison, ...]
    nodes: int
    tolerance: float
    faults: tuple[Fault, ...] = ()
    kinks: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether everything agrees; with kinks, differences of the whole are not asked."""
        if self.faults:
            return False
        asked = [c.forward for c in self.comparisons]
        asked += [] if self.kinks else [c.reverse for c in self.comparisons]
        return all(error <= self.tolerance for error in asked)

    def __str__(self) -> str:
        lines = [
            f"order {c.order}: reverse mode and differences differ by {c.reverse:.1e}, "
            f"forward and reverse mode by {c.forward:.1e}"
            for c in self.comparisons
        ]
        lines.append(f"{self.nodes} nodes checked alone, {len(self.faults)} wrong")
        lines += [f"wrong: {fault}" for fault in self.faults]
        lines += [f"not smooth here, so not judged: {kink}" for kink in self.kinks]
        return "\n".join(lines)


def check_grads(
    function: Callable[..., Any],
    *arguments: Any,
    order: int = 2,
    tolerance: float = 1e-5,
    directions: int = 2,
    seed: int = 0,
) -> GradientReport:
    """Check the derivatives of `function` at `arguments`, and return what was compared.

    All floats among the arguments (arrays, numbers in them; nested as for `graphc.compile`) and all
    variables that the function reads are moved, in float64 whatever their dtype, and complex
    numbers in both parts. `tolerance` is relative; `directions` is how many random ones are tried;
    `order` is 1 or 2. Raises
    GradientError, which names ops and lines, where a derivative is wrong, and GraphcTypeError where
    there is nothing to differentiate.

    >>> import numpy as np
    >>> import graphc
    >>> print(graphc.check_grads(lambda x: graphc.tanh(x) ** 2, np.float32([0.5, 1.5])))
    order 1: ...
    """
    given = [np.float64(a) if type(a) is float else a for a in arguments]  # moved too
    graph = trace(function, given).graph
    arrays = [np.asarray(leaf) for leaf in flatten((given, {}))[0]]
    return check_graph(
        graph, arrays, order=order, tolerance=tolerance, directions=directions, seed=seed
    )


def check_graph(
    graph: Graph,
    arguments: Sequence[Array],
    *,
    order: int = 2,
    tolerance: float = 1e-5,
    directions: int = 2,
    seed: int = 0,
) -> GradientReport:
    """Check the derivatives of a graph at `arguments`, as `check_grads` does."""
    if order not in ORDERS:
        raise GraphcValueError(f"check_grads: the order is 1 or 2, not {order!r}")
    wide = widened(graph, arguments)
    check = _Check(wide, np.random.default_rng(seed), tolerance, directions)
    report = check.report(order)
    if report.is_right:
        return report
    notes = tuple(map(str, report.faults)) or (str(report),)
    first = report.faults[0].line if report.faults else ""
    error = GradientError(
        "a derivative is wrong" if report.faults else "derivatives disagree",
        notes=notes,
        line=first,
    )
    error.report = report
    raise error


# --- the checks ----------------------------------------------------------------------------------


class _Check:
    """Everything that is compared at one point."""

    def __init__(
        self, point: Point, random: np.random.Generator, tolerance: float, directions: int
    ) -> None:
        self.point, self.random = point, random
        self.tolerance, self.directions = tolerance, directions

    def report(self, order: int) -> GradientReport:
        """Return the comparisons of all orders up to `order`, and the faults of single nodes."""
        levels = self._levels(order)
        self._check_finite([node for scalar, gradient in levels for node in (scalar, *gradient)])
        comparisons = tuple(self._compare(number, *levels[number - 1]) for number in ORDERS[:order])
        steps = self._steps([scalar for scalar, _ in levels])
        nodes = {
            node: number
            for number, (scalar, _) in reversed([*enumerate(levels, 1)])
            for node in topological_order([scalar])
        }
        faults, kinks, count = self._check_nodes(nodes)
        kinks = tuple(dict.fromkeys([*steps, *kinks]))
        return GradientReport(comparisons, count, self.tolerance, faults, kinks)

    def _steps(self, scalars: Sequence[Node]) -> list[str]:
        """Return what steps from one value to another near the point: a comparison of equals."""
        order = topological_order(scalars)
        stepping = [
            n
            for n in order
            if not _is_float(n) and any(_is_float(i) and not i.is_tuple for i in n.inputs)
        ]
        direction = {node: self._random(node) for node in self.point.moved}
        values = self.point.values
        here, *around = (
            evaluate(stepping, _moved(values, direction, step)) for step in (0.0, STEP, -STEP)
        )
        return [
            _named(node)
            for place, node in enumerate(stepping)
            if any((there[place] != here[place]).any() for there in around)
        ]

    def _check_finite(self, nodes: Sequence[Node]) -> None:
        """Raise where a value or a derivative is not finite, and name the first op that is not."""
        if all(np.isfinite(array).all() for array in evaluate(nodes, self.point.values)):
            return
        floats = [n for n in topological_order(nodes) if _is_float(n) and not n.is_tuple]
        arrays = evaluate(floats, self.point.values)
        first = next(n for n, a in zip(floats, arrays, strict=True) if not np.isfinite(a).all())
        raise GraphcValueError(
            f"check_grads: values or derivatives are not finite here, the first of {first.op.name}",
            line=str(first.line or ""),
            hint="check at another point, inside the domain of the function",
        )

    def _levels(self, order: int) -> list[tuple[Node, tuple[Node, ...]]]:
        """Return for each order a scalar, made of what is differentiated, and its gradient."""
        levels = []
        differentiated: Sequence[Node] = self.point.outputs
        for _ in range(order):
            scalar = self._projected(differentiated)
            gradient = gradients([scalar], [filled(scalar.type, 1)], self.point.moved)
            levels.append((scalar, gradient))
            differentiated = gradient
        return levels

    def _projected(self, nodes: Sequence[Node]) -> Node:
        return _sum([_weighted(node, self._random(node)) for node in nodes])

    def _random(self, node: Node) -> Array:
        """Return a random direction, no element of which is near zero, nor a part of one."""
        if node.type.dtype.is_complex:
            return self._random_real(node.shape) + 1j * self._random_real(node.shape)
        return self._random_real(node.shape)

    def _random_real(self, shape: tuple[int, ...]) -> Array:
        signs = self.random.choice([-1.0, 1.0], shape)
        return np.asarray(signs * self.random.uniform(0.5, 1.5, shape))

    def _compare(self, order: int, scalar: Node, gradient: tuple[Node, ...]) -> Comparison:
        moved, values = self.point.moved, self.point.values
        found = evaluate(gradient, values)
        held = _held(scalar, values)
        reverse = forward = 0.0
        for _ in range(self.directions):
            direction = {node: self._random(node) for node in moved}
            by_reverse = float(
                sum(_inner(g, direction[n]) for g, n in zip(found, moved, strict=True))
            )
            tangents = [_constant(direction[node]) for node in moved]
            (by_forward,) = evaluate(pushforward([scalar], moved, tangents), values)
            measured, noise, _ = _difference(scalar, held, direction)
            reverse = max(reverse, _error(by_reverse, measured, noise))
            forward = max(forward, _error(by_reverse, float(by_forward), noise))
        return Comparison(order, reverse, forward)

    def _check_nodes(
        self, nodes: Mapping[Node, int]
    ) -> tuple[tuple[Fault, ...], tuple[str, ...], int]:
        """Check each node that has a derivative alone, operand by operand."""
        order = _differentiable(nodes)
        values = _values_of_operands(order, self.point.values)
        faults: list[Fault] = []
        kinks: dict[str, None] = {}
        with progress("nodes", len(order)) as advance:
            for node in order:
                self._check_node(node, nodes[node], values, faults, kinks)
                advance()
        return tuple(faults), tuple(kinks), len(order)

    def _check_node(
        self,
        node: Node,
        order: int,
        values: Values,
        faults: list[Fault],
        kinks: dict[str, None],
    ) -> None:
        alone = [input_like(operand) for operand in node.inputs]
        place = dict(zip(alone, (values[operand] for operand in node.inputs), strict=True))
        with at_line(node.line):
            again = node.op(*alone, **node.attributes)
            results = items(again) if again.is_tuple else (again,)
            directions = [self._random(r) if _is_float(r) else None for r in results]
            weights = [None if d is None else _constant(d) for d in directions]
            cotangent: Any = tuple(weights) if again.is_tuple else weights[0]
            needed = _needed(again)
            try:
                pulled = pulled_back(again, cotangent, needed)
            except GraphcTypeError:
                return  # it has no derivative, and the differentiator had no need of one
        pairs = zip(results, directions, strict=True)
        scalar = _sum([_weighted(r, d) for r, d in pairs if d is not None])
        for number, (operand, gradient) in enumerate(zip(alone, pulled, strict=True)):
            if not needed[number] or not operand.type.size:
                continue
            direction = {operand: self._random(operand)}
            measured, noise, is_smooth = _difference(scalar, place, direction)
            declared = 0.0
            if gradient is not None:
                declared = _inner(evaluate([gradient], place)[0], direction[operand])
            if _error(declared, measured, noise) <= self.tolerance:
                continue
            if not is_smooth:
                kinks[_named(node)] = None
                continue
            if self._check_body(node, order, values, faults, kinks):
                return
            line = str(node.line or "")
            faults.append(Fault(node.op.name, number, order, line, declared, measured))

    def _check_body(
        self,
        node: Node,
        order: int,
        values: Values,
        faults: list[Fault],
        kinks: dict[str, None],
    ) -> bool:
        """Look for the fault of a loop or branch in its body; return whether it is there."""
        inner = body_and_values(node, [values[operand] for operand in node.inputs])
        if inner is None:
            return False
        body, arrays = inner
        count = len(faults)
        nodes = _differentiable(topological_order(body.outputs))
        inside = _values_of_operands(nodes, dict(zip(body.inputs, arrays, strict=True)))
        for each in nodes:
            self._check_node(each, order, inside, faults, kinks)
        return len(faults) > count


def _differentiable(nodes: Iterable[Node]) -> list[Node]:
    return [n for n in nodes if n.inputs and _is_float(n) and n.op not in _SKIPPED]


def _needed(node: Node) -> list[bool]:
    """Return which operands have a derivative; a rule of the user speaks of arguments alone."""
    known = len(node.inputs)
    if node.op is ops.custom_vjp:
        known = node.attributes["rule"].arguments
    return [operand.type.dtype.is_inexact and n < known for n, operand in enumerate(node.inputs)]


def _values_of_operands(nodes: Sequence[Node], leaves: Values) -> Values:
    operands = list(dict.fromkeys(operand for node in nodes for operand in node.inputs))
    return dict(zip(operands, evaluate(operands, leaves), strict=True))


def _named(node: Node) -> str:
    return node.op.name + (f" at {node.line}" if node.line else "")


_HIDING = frozenset({ops.stop_gradient})
_SKIPPED = frozenset({ops.item, *_HIDING})


def _is_float(node: Node) -> bool:
    return any(type_.dtype.is_inexact for type_ in node.results)


def _weighted(node: Node, direction: Array) -> Node:
    """Return a node times a direction; of complex numbers the inner product of their pairs."""
    product = node * _constant(direction.conj())
    return ops.real(product) if product.type.dtype.is_complex else product


def _inner(gradient: Array, direction: Array) -> float:
    """Return the change along a direction; a complex number is a pair of two that move."""
    return float((gradient.conj() * direction).sum().real)


def _sum(nodes: Sequence[Node]) -> Node:
    terms = [total(node, tuple(range(len(node.shape)))) for node in nodes]
    return reduce(operator.add, terms)


def _held(scalar: Node, values: Values) -> Values:
    """Return the values with those of what `stop_gradient` hides, which are held constant."""
    hiding = [node for node in topological_order([scalar]) if node.op in _HIDING]
    return {**values, **dict(zip(hiding, evaluate(hiding, values), strict=True))}


def _difference(scalar: Node, values: Values, direction: Values) -> tuple[float, float, bool]:
    """Return the slope of `scalar` along `direction`, its error, and whether there is no kink."""
    ahead, here, behind, near, nearer = (
        float(evaluate([scalar], _moved(values, direction, step))[0])
        for step in (STEP, 0.0, -STEP, STEP / 4, -STEP / 4)
    )
    slope, right, left = (
        (ahead - behind) / (2 * STEP),
        (ahead - here) / STEP,
        (here - behind) / STEP,
    )
    noise = 64 * np.finfo(np.float64).eps * max(abs(ahead), abs(here), abs(behind)) / STEP
    is_smooth = abs(right - left) <= _KINK * max(abs(right), abs(left)) + noise  # no kink
    jump = abs((near - nearer) / (STEP / 2) - slope)  # there, slopes grow as steps shrink
    return slope, noise, bool(is_smooth and jump <= _KINK * abs(slope) + 4 * noise)


def _moved(values: Values, direction: Values, step: float) -> Values:
    return {
        node: a + step * direction[node] if node in direction else a for node, a in values.items()
    }


def _error(one: float, other: float, noise: float) -> float:
    """Return the relative difference beyond the noise; infinite where one is not finite."""
    difference = abs(one - other)
    if not np.isfinite(difference):
        return np.inf
    excess = max(0.0, difference - noise)
    return excess / max(abs(one), abs(other), np.finfo(np.float64).tiny)


def _constant(array: Array) -> Node:
    return ops.constant(value=ArrayData(np.asarray(array)))
