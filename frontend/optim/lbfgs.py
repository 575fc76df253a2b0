"""L-BFGS: a loop in Python around one compiled program of a loss and its gradient.

Unlike other optimisers it is no part of a step's graph: how often the loss is evaluated depends on
its values. Each evaluation is one native call; the direction, some dozen products of vectors, is
computed in NumPy in float64, and the line search in Python. So it suits losses over all data of a
few thousand parameters; a call costs some microseconds beside the evaluation for small ones, and
about 4 * history + 10 passes over the parameters for large ones. It keeps nothing between calls.

Source: Liu and Nocedal 1989; Nocedal and Wright, Numerical Optimization (2006), algorithm 7.5.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend.hooks import hook
from graphc.frontend.operands import fail
from graphc.frontend.optim.line_search import Point, strong_wolfe
from graphc.frontend.optim.optimiser import listed
from graphc.frontend.tensor import Tensor
from graphc.frontend.transforms import gradients
from graphc.frontend.variable import Variable

__all__ = ["LBFGS", "Minimum"]

NO_LOWER_POINT = "no lower point was found along the line"

Vector = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Minimum:
    """What a search ended with: the value, whether it converged, why it ended, and its cost."""

    value: float
    converged: bool
    reason: str
    iterations: int
    evaluations: int


class LBFGS:
    """L-BFGS with a line search for the strong conditions of Wolfe.

    parameters          variables of floats, which `minimize` changes
    history             how many steps back the curvature is remembered
    max_iterations      after so many steps a search ends
    gradient_tolerance  it has converged where no element of the gradient is greater
    value_tolerance     or where the value falls by less than this share of itself

    >>> import numpy as np
    >>> import graphc
    >>> x = Variable(np.array([-1.2, 1.0]))
    >>> found = LBFGS([x]).minimize(lambda: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2)
    >>> found.converged, x.value.round(4)
    (True, array([1., 1.]))
    """

    def __init__(
        self,
        parameters: Sequence[Variable],
        history: int = 10,
        max_iterations: int = 100,
        gradient_tolerance: float = 1e-6,
        value_tolerance: float = 1e-12,
    ) -> None:
        self.parameters = listed(parameters)
        for parameter in self.parameters:
            if not parameter.dtype.is_float:
                fail(GraphcTypeError, f"LBFGS: {parameter!r} is no variable of floats")
        if history < 1 or max_iterations < 1:
            fail(GraphcValueError, "LBFGS: history and max_iterations are at least 1")
        self.history, self.max_iterations = history, max_iterations
        self.gradient_tolerance, self.value_tolerance = gradient_tolerance, value_tolerance
        self._compiled: dict[Callable[..., Tensor], Callable[..., Any]] = {}

    def minimize(self, loss: Callable[..., Tensor], *data: Any) -> Minimum:
        """Change the parameters until `loss(*data)`, a scalar, is as small as they make it.

        `loss` is compiled together with its gradient when it is given first, and again for data of
        other types. The parameters end at the lowest point found. A loss that is not finite at the
        start raises GraphcValueError; later the search goes around such points.
        """
        return _Search(self, self._evaluation(loss), data).run()

    def _evaluation(self, loss: Callable[..., Tensor]) -> Callable[..., Any]:
        if loss not in self._compiled:

            def value_and_gradients(*data: Any) -> Any:
                value = loss(*data)
                return value, gradients(value, self.parameters)

            self._compiled[loss] = hook("compiler")(value_and_gradients)
        return self._compiled[loss]


class _Search:
    """One search: where it is, and the last steps with the changes of the gradient over them."""

    def __init__(
        self, settings: LBFGS, evaluation: Callable[..., Any], data: tuple[Any, ...]
    ) -> None:
        self.settings, self.evaluation, self.data = settings, evaluation, data
        self.pairs: deque[tuple[Vector, Vector]] = deque(maxlen=settings.history)
        self.evaluations = self.iterations = 0
        self.promised = 0.0  # the slope of the value along the last line
        self.place = _joined([p.value for p in settings.parameters])
        self.value, self.slope = self._evaluate()

    def run(self) -> Minimum:
        """Step until the search has converged or cannot go on."""
        if not np.isfinite(self.value):
            fail(GraphcValueError, f"LBFGS: the loss is {self.value} at the start")
        while self.iterations < self.settings.max_iterations:
            if self._is_flat():
                return self._ended(True, "the gradient is within its tolerance")
            before = self.value
            if not self._step():
                is_exact = -self.promised <= 10 * self._rounding()
                reason = "the value is as low as its rounding can tell"
                return self._ended(is_exact, reason if is_exact else NO_LOWER_POINT)
            self.iterations += 1
            if before - self.value <= self.settings.value_tolerance * max(abs(before), 1e-300):
                return self._ended(True, "the value falls by less than its tolerance")
        return self._ended(self._is_flat(), "the iterations were used up")

    def _is_flat(self) -> bool:
        return bool(np.abs(self.slope).max(initial=0) <= self.settings.gradient_tolerance)

    def _ended(self, converged: bool, reason: str) -> Minimum:
        return Minimum(self.value, converged, reason, self.iterations, self.evaluations)

    def _step(self) -> bool:
        """Go to a lower point along the direction, or else along the gradient."""
        direction = self._direction()
        if not direction @ self.slope < 0 or not self._go(direction):
            if not self.pairs:
                return False
            self.pairs.clear()
            return self._go(-self.slope)
        return True

    def _go(self, direction: Vector) -> bool:
        """Search along `direction`; go to the point found and remember it, if it is lower."""
        origin, old = self.place, self.slope
        self.promised = float(direction @ old)
        start = Point(0.0, self.value, self.promised, (origin, old))

        def line(step: float) -> Point:
            self.place = self._moved(origin + step * direction)
            value, slope = self._evaluate()
            return Point(step, value, float(slope @ direction), (self.place, slope))

        first = 1.0 if self.pairs else min(1.0, 1.0 / float(np.abs(old).sum()))
        point, _ = strong_wolfe(line, start, first, rounding=self._rounding())
        self.place, self.slope = point.found
        self.value = point.value
        self._moved(self.place)
        change, turn = self.place - origin, self.slope - old
        if change @ turn > 1e-10 * float(turn @ turn):
            self.pairs.append((change, turn))
        return point.value < start.value

    def _direction(self) -> Vector:
        """Return minus the gradient times the inverse Hessian that the pairs tell of."""
        result = -self.slope
        shares = []
        for change, turn in reversed(self.pairs):
            share = (change @ result) / (change @ turn)
            result = result - share * turn
            shares.append(share)
        if self.pairs:
            change, turn = self.pairs[-1]
            result = result * ((change @ turn) / (turn @ turn))
        for (change, turn), share in zip(self.pairs, reversed(shares), strict=True):
            result = result + (share - (turn @ result) / (change @ turn)) * change
        return result

    def _rounding(self) -> float:
        """Return by how much equal values may differ in the dtype of the loss."""
        return float(abs(self.value) * self.epsilon)

    def _evaluate(self) -> tuple[float, Vector]:
        self.evaluations += 1
        value, slopes = self.evaluation(*self.data)
        self.epsilon = float(ml_dtypes.finfo(value.dtype).eps)  # type: ignore[no-untyped-call]  # not annotated there
        return float(value), _joined(slopes)

    def _moved(self, place: Vector) -> Vector:
        """Give the parameters their values, and return these as they were rounded."""
        first, rounded = 0, []
        for parameter in self.settings.parameters:
            last = first + parameter.size
            value = place[first:last].reshape(parameter.shape).astype(parameter.dtype.numpy)
            parameter.assign(value)
            rounded.append(value)
            first = last
        return _joined(rounded)


def _joined(arrays: Sequence[np.ndarray[Any, Any]]) -> Vector:
    """Return all elements in one vector of float64."""
    flat = [np.asarray(array, np.float64).ravel() for array in arrays]
    return np.concatenate(flat) if flat else np.zeros(0)
