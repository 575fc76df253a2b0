"""Initialisation: where the weights start decides whether a deep network learns.

If all weights start at zero, all units of a layer are the same for ever. Too small, and the signal
dies on the way up; too large, and it blows up. Xavier's rule keeps the variance for tanh, He's for
relu, by the number of inputs. Sources: X. Glorot and Y. Bengio 2010; K. He et al.,
arXiv:1502.01852.

Data: 1,437 handwritten digits to train on, 360 held out; eight layers of relu. Metric: the accuracy
with He's scheme less that with zeros, which is chance. Peer: the same in PyTorch. Bar: the peer's
worst seed less two standard errors of 360 samples (0.018), or more.
"""

from __future__ import annotations

import numpy as np

import graphc
from graphc import nn, optim
from graphc.errors import NumericsError
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits

LAYERS, WIDTH = 8, 64
SCHEMES = {
    "zeros": nn.initialisers.zeros,
    "normal 0.01": nn.initialisers.normal(0, 0.01),
    "normal 1": nn.initialisers.normal(0, 1),
    "xavier": nn.initialisers.xavier_normal,
    "he": nn.initialisers.he_normal,
}


def make_model(scheme: nn.initialisers.Initialiser, seed: int) -> nn.Sequential:
    """Return a deep network whose weights start as the scheme says."""
    random, layers = np.random.default_rng(seed), []
    for _ in range(LAYERS):
        layers += [nn.Linear(64, WIDTH, seed=random, weight_initialiser=scheme), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10, seed=random, weight_initialiser=scheme))


@network(
    "held-out accuracy of He's scheme less that of zeros", at_least=0.85, quick=0.5, peer=0.8833
)
def train(lesson: Lesson) -> float:
    """Train from each start and return by how much the best rule is above zeros."""
    data, curves = digits(), {}
    for name, scheme in SCHEMES.items():
        model = make_model(scheme, lesson.seed)
        try:
            history = graphc.fit(
                model,
                nn.cross_entropy,
                optim.Adam(1e-3),
                data.train,
                epochs=lesson.choose(20, quick=5),
                batch_size=64,
                validation=data.test,
                metrics="accuracy",
                seed=lesson.seed,
                verbose=lesson.verbose,
            )
            curves[name] = history["validation_accuracy"]
        except NumericsError:
            curves[name] = [0.1]
    lesson.draw(model, history, data.test_x[:64])
    lesson.curves("schemes.png", "held-out accuracy", curves, ylim=(0, 1))
    lesson.compare(
        {
            name: {"first epoch": values[0], "last epoch": values[-1]}
            for name, values in curves.items()
        }
    )
    return curves["he"][-1] - curves["zeros"][-1]
