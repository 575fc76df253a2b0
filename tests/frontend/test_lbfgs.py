"""L-BFGS and its line search: minima, conditions, counts of evaluations, awkward losses."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import optimize

import graphc
from graphc import Variable, nn, optim
from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend.optim.line_search import CURVATURE, DECREASE, Point, strong_wolfe


def rosenbrock(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@pytest.mark.parametrize("size", [2, 10, 40])
def test_the_valley_of_rosenbrock_as_fast_as_scipy(size: int) -> None:
    start = np.full(size, -1.2)
    x = Variable(start)
    optimiser = optim.LBFGS([x], max_iterations=1000, value_tolerance=0)
    found = optimiser.minimize(lambda: rosenbrock(x))
    assert found.converged and found.reason == "the gradient is within its tolerance"
    np.testing.assert_allclose(x.value, 1, atol=1e-5)
    options = {"gtol": 1e-6, "ftol": 0, "maxiter": 1000}
    peer = optimize.minimize(
        optimize.rosen, start, jac=optimize.rosen_der, method="L-BFGS-B", options=options
    )
    assert found.evaluations < 1.5 * peer.nfev


def test_a_quadratic_takes_few_steps() -> None:
    random = np.random.default_rng(0)
    root = random.normal(size=(6, 6))
    matrix, wanted = root @ root.T + np.eye(6), random.normal(size=6)
    x = Variable(np.zeros(6))
    optimiser = optim.LBFGS([x], gradient_tolerance=1e-9, value_tolerance=0)
    found = optimiser.minimize(lambda: (x @ matrix @ x) / 2 - (x * wanted).sum())
    np.testing.assert_allclose(x.value, np.linalg.solve(matrix, wanted), atol=1e-8)
    assert found.converged and found.iterations <= 25


def test_a_model_is_fitted_to_the_optimum_of_logistic_regression() -> None:
    """Logistic regression with L2, two variables of float32, data as arguments."""
    random = np.random.default_rng(1)
    data = random.normal(size=(200, 5)).astype(np.float32)
    labels = (data @ random.normal(size=5) + random.normal(size=200) > 0).astype(np.float32)
    weight, bias = Variable(np.zeros(5, np.float32)), Variable(np.float32(0))

    def loss(x: Any, y: Any) -> Any:
        logits = x @ weight + bias
        decay = 0.01 * (weight * weight).sum()
        return nn.binary_cross_entropy_with_logits(logits, y) + decay

    optimiser = optim.LBFGS([weight, bias], gradient_tolerance=2e-6)
    found = optimiser.minimize(loss, data, labels)
    assert found.converged and found.evaluations < 40

    def exact(p: Any) -> Any:
        z = data.astype(np.float64) @ p[:5] + p[5]
        return (np.logaddexp(0, z) - labels * z).mean() + 0.01 * (p[:5] ** 2).sum()

    best = optimize.minimize(exact, np.zeros(6), options={"gtol": 1e-9})
    np.testing.assert_allclose(weight.value, best.x[:5], atol=1e-3)
    np.testing.assert_allclose(found.value, best.fun, rtol=1e-6)
    assert len(optimiser._compiled) == 1
    again = optimiser.minimize(loss, data, labels)
    assert again.iterations <= 2 and len(optimiser._compiled) == 1


def _point(value: Any, slope: Any, t: float) -> Point:
    return Point(t, float(value(t)), float(slope(t)))


def test_every_step_of_the_line_search_satisfies_wolfe() -> None:
    functions: list[tuple[Any, Any]] = [
        (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
        (lambda t: -t / (t * t + 2), lambda t: (t * t - 2) / (t * t + 2) ** 2),
        (lambda t: (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4,
         lambda t: 5 * (t + 0.004) ** 4 - 8 * (t + 0.004) ** 3),
        (lambda t: np.cosh(t - 10) / 1e4, lambda t: np.sinh(t - 10) / 1e4),
    ]  # fmt: skip
    for value, slope in functions:
        start = _point(value, slope, 0.0)
        for first in (1e-3, 0.1, 1.0, 10.0, 1000.0):
            if not start.slope < 0:
                continue
            with np.errstate(over="ignore"):
                line = partial(_point, value, slope)
                point, holds = strong_wolfe(line, start, first, 60)
            assert holds
            assert point.value <= start.value + DECREASE * point.step * start.slope
            assert abs(point.slope) <= CURVATURE * abs(start.slope)


def test_a_step_that_is_higher_than_the_one_before_ends_the_growth() -> None:
    """Though both have fallen enough: a point that holds lies between them."""
    tried = []

    def line(step: float) -> Point:
        tried.append(step)
        values = {1.0: (-5.0, -1.0), 2.0: (-3.0, -1.0)}
        return Point(step, *values.get(step, (-6.0, 0.0)))

    point, holds = strong_wolfe(line, Point(0.0, 0.0, -1.0), 1.0)
    assert holds and tried[:2] == [1.0, 2.0] and 1 < point.step < 2


def test_points_where_the_loss_is_not_finite_are_gone_around() -> None:
    x = Variable(np.float64(0.5))
    found = optim.LBFGS([x]).minimize(lambda: x - graphc.log(x) * 0.01)
    assert found.converged
    np.testing.assert_allclose(x.value, 0.01, rtol=1e-4)
    x = Variable(np.float64(-1))
    with pytest.raises(GraphcValueError, match="the loss is nan at the start"):
        optim.LBFGS([x]).minimize(lambda: graphc.log(x))


def test_what_cannot_go_on_says_so() -> None:
    x = Variable(np.float64(2))
    found = optim.LBFGS([x], max_iterations=3).minimize(lambda: graphc.exp(-x))
    assert not found.converged and found.reason == "the iterations were used up"
    assert found.iterations == 3
    x = Variable(np.float64(1))
    wrong = optim.LBFGS([x]).minimize(lambda: x * x + 10 * graphc.stop_gradient(-x * x))
    assert not wrong.converged and wrong.reason == "no lower point was found along the line"
    assert x.value == 1  # where it was


def test_misuse_is_refused() -> None:
    with pytest.raises(GraphcTypeError, match="is no variable of floats"):
        optim.LBFGS([Variable(1)])
    with pytest.raises(GraphcValueError, match="at least 1"):
        optim.LBFGS([Variable(1.0)], history=0)
