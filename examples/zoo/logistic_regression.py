"""Logistic regression: one neuron that gives a probability, to the minimum of its loss.

The loss, cross-entropy with a penalty on large weights, is convex, so there is one best answer,
and scikit-learn and this network have to agree on it. Gradient descent over all samples at once
with Nesterov's momentum comes close to it in some thousand steps, in float64.

Data: 427 tumours with 30 measurements to train on, 142 held out; float64. Peer: how far
scikit-learn with its default tolerance is from its own answer to ten digits. Bar: 0.001, below
which two libraries agree.
"""

from __future__ import annotations

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import breast_cancer, external


class LogisticRegression(nn.Module):
    """The logarithm of the odds that a tumour is benign."""

    def __init__(self, inputs: int) -> None:
        self.weight = graphc.Variable(np.zeros(inputs))
        self.bias = graphc.Variable(np.float64(0))

    def forward(self, x: graphc.Tensor) -> graphc.Tensor:
        """Return w·x + b."""
        return x @ self.weight + self.bias


@network(
    "largest difference from scikit-learn's probabilities", at_most=1e-3, quick=1e-2, peer=0.002844
)
def train(lesson: Lesson) -> float:
    """Train to the minimum and compare the probabilities of held-out tumours."""
    data = breast_cancer()
    x, y, test = data.train_x.astype(np.float64), data.train_y, data.test_x.astype(np.float64)
    model = LogisticRegression(x.shape[1])

    def loss(scores: graphc.Tensor, labels: graphc.Tensor) -> graphc.Tensor:
        """Return cross-entropy, -log sigmoid of the score of the label, and the penalty."""
        cross_entropy = graphc.softplus(scores) - labels.astype("float64") * scores
        return cross_entropy.mean() + graphc.sum(graphc.square(model.weight)) / (2 * len(x))

    history = graphc.fit(
        model,
        loss,
        optim.SGD(0.3, momentum=0.97, nesterov=True),
        (x, y),
        epochs=lesson.choose(3000, quick=600),
        batch_size=len(x),
        shuffle=False,
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, test)
    linear_model = external("sklearn.linear_model", "scikit-learn")
    peer = linear_model.LogisticRegression(C=1.0, tol=1e-10, max_iter=10000).fit(x, y)
    probabilities = graphc.compile(lambda rows: nn.sigmoid(model(rows)))(test)
    return float(np.abs(probabilities - peer.predict_proba(test)[:, 1]).max())
