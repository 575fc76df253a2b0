"""Exploding gradients: a deep network whose gradients grow with every layer, cured by clipping.

Weights that start a little too large multiply the gradient in each layer. After 12 layers one step
of gradient descent throws the weights out of all bounds, and the loss is no number any more. If the
gradients of all weights together are never longer than 1, the same network learns. Source: R.
Pascanu, T. Mikolov and Y. Bengio, On the difficulty of training recurrent networks,
arXiv:1211.5063.

Data: 1,437 handwritten digits to train on, 360 held out. Peer: none; without clipping nothing is
learned at all, which is checked too. The bar is 0.8: seeds 0 to 4 give 0.836 to 0.889; the peer's
value: `python -m benchmarks.zoo_peers exploding_gradients`.
"""

from __future__ import annotations

import numpy as np

import graphc
from graphc import nn, optim, training
from graphc.errors import NumericsError
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits

LAYERS, WIDTH = 12, 64


def make_model(seed: int) -> nn.Sequential:
    """Return a deep network whose weights are 1.7 times as large as He's rule says."""
    random, layers = np.random.default_rng(seed), []
    for _ in range(LAYERS):
        layer = nn.Linear(64, WIDTH, seed=random)
        layer.weight.assign(np.float32(1.7) * layer.weight.value)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10, seed=random))


def train_with(optimizer: optim.Optimiser, lesson: Lesson) -> training.History:
    """Train the network and draw it."""
    data, model = digits(), make_model(lesson.seed)
    history = graphc.fit(
        model,
        nn.cross_entropy,
        optimizer,
        data.train,
        epochs=lesson.choose(120, quick=8),
        batch_size=64,
        validation=data.test,
        metrics="accuracy",
        seed=lesson.seed,
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, data.test_x[:64])
    return history


@network("held-out accuracy with clipping", at_least=0.8, quick=0.4, peer=0.9)
def train(lesson: Lesson) -> float:
    """Train without clipping, which has to fail, and with it; return the latter's accuracy."""
    try:
        train_with(optim.SGD(0.05), lesson)
        return 0.0  # nothing exploded: there was nothing to be shown
    except NumericsError as error:
        lesson.path("without-clipping.txt").write_text(f"{error}\n")
    clipped = optim.SGD(0.05, clip=optim.ClipByGlobalNorm(1.0))
    return train_with(clipped, lesson).last["validation_accuracy"]
