"""Gaussian process: a distribution over curves, which says how sure it is of each point.

Values at near places are alike: a kernel gives their covariance. What was measured is then a draw
of one big normal distribution, and the rest follows from it by conditioning: one Cholesky
factorisation and two triangular systems. The variance, the length and the noise of the kernel are
learned by the gradient of the marginal likelihood, which goes through the factorisation. Source:
C. Rasmussen and C. Williams, Gaussian processes for machine learning, 2006, algorithm 2.1.

Data: a row of 256 pixels of a photograph, 80 of them known with noise that the seed draws; float64.
Peer: scikit-learn's GaussianProcessRegressor with the same kernel, which runs beside it, so the
best value is 0. Bar: 1e-5, as closely as both find the same hyperparameters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc
from graphc import linalg, nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import external, order, photograph

KNOWN = 80
Array = np.ndarray[Any, Any]


class GaussianProcess(nn.Module):
    """The logarithms of variance, length and variance of the noise, and what follows from them."""

    def __init__(self) -> None:
        self.log_variance = graphc.Variable(np.float64(0))
        self.log_length = graphc.Variable(np.float64(0))
        self.log_noise = graphc.Variable(np.float64(-2))

    def kernel(self, a: graphc.Tensor, b: graphc.Tensor) -> graphc.Tensor:
        """Return the covariance of the values at places a and b, exp(-d² / 2 length²)."""
        distance = (a[:, None] - b[None, :]) / graphc.exp(self.log_length)
        return graphc.exp(self.log_variance - graphc.square(distance) / 2)

    def factor(self, x: graphc.Tensor) -> graphc.Tensor:
        """Return the Cholesky factor of the covariance of measurements at x."""
        noise = graphc.exp(self.log_noise) * np.eye(x.shape[0])
        return linalg.cholesky(self.kernel(x, x) + noise)

    def likelihood_loss(self, x: graphc.Tensor, y: graphc.Tensor) -> graphc.Tensor:
        """Return the negative logarithm of the marginal likelihood of what was measured."""
        factor = self.factor(x)
        white = linalg.solve_triangular(factor, y, lower=True)
        log_determinant = 2 * graphc.sum(graphc.log(linalg.diagonal(factor)))
        loss: graphc.Tensor = (white @ white + log_determinant + len(y) * np.log(2 * np.pi)) / 2
        return loss

    def forward(self, x: Any, y: Any, places: Any) -> tuple[graphc.Tensor, graphc.Tensor]:
        """Return mean and standard deviation of the values at places, given y at x."""
        factor, across = self.factor(x), self.kernel(x, places)
        white = linalg.solve_triangular(factor, across, lower=True)
        mean = linalg.solve_triangular(factor, y, lower=True) @ white
        variance = graphc.exp(self.log_variance) - graphc.sum(graphc.square(white), axis=0)
        return mean, graphc.sqrt(graphc.maximum(variance, 0.0))


def measure(seed: int) -> tuple[Array, Array, Array, Array]:
    """Return the places and values that are known, and all places and values."""
    row = photograph()[100].astype(np.float64)
    values, places = (row - row.mean()) / row.std(), np.arange(256) / 16
    chosen = np.sort(order(256, seed)[:KNOWN])
    noise = 0.2 * np.random.default_rng(seed).standard_normal(KNOWN)
    return places[chosen], values[chosen] + noise, places, values


def peer_of(x: Array, y: Array) -> Any:
    """Return scikit-learn's process, with the hyperparameters that it finds."""
    kernels = external("sklearn.gaussian_process.kernels", "scikit-learn")
    kernel = kernels.ConstantKernel(1.0) * kernels.RBF(1.0) + kernels.WhiteKernel(np.exp(-2))
    process = external("sklearn.gaussian_process", "scikit-learn")
    return process.GaussianProcessRegressor(kernel, alpha=0).fit(x[:, None], y)


@network("largest difference from scikit-learn's mean", at_most=1e-5, quick=0.2, peer=0.0)
def train(lesson: Lesson) -> float:
    """Learn the hyperparameters and compare the means at all places with scikit-learn's."""
    x, y, places, values = measure(lesson.seed)
    process, optimizer = GaussianProcess(), optim.Adam(0.05)

    @graphc.compile
    def step(x: Any, y: Any) -> graphc.Tensor:
        loss = process.likelihood_loss(x, y)
        optimizer.minimize(loss, process.parameters())
        return loss

    losses = [float(step(x, y)) for _ in range(lesson.choose(400, quick=100))]
    lesson.draw_forward(process, x, y, places)
    lesson.draw_step(step.programs[0])
    mean, deviation = graphc.compile(process)(x, y, places)
    expected = peer_of(x, y).predict(places[:, None])
    with lesson.figure("process.png", 1, 2, size=(6, 3.6)) as (left, right):
        left.fill_between(places, mean - 2 * deviation, mean + 2 * deviation, alpha=0.3)
        left.plot(places, mean, label="mean, and two standard deviations")
        left.plot(places, expected, ":", color="black", label="scikit-learn's mean")
        left.plot(places, values, linewidth=0.7, color="grey", label="the row of pixels")
        left.plot(x, y, ".", color="#b30000", label="measured")
        left.legend(fontsize=7)
        right.plot(losses)
        right.set(xlabel="step", ylabel="negative log marginal likelihood")
    return float(np.abs(mean - expected).max())
