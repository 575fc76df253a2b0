"""Vanishing gradients: what of the gradient reaches the first of twenty layers.

In each layer the gradient is multiplied by the slope of the activation. The sigmoid's slope is at
most 1/4, so after twenty layers nothing is left; tanh and relu do better, with weights that suit
them; and where each layer adds to its input instead of replacing it, the gradient has a way around.
The picture shows the length of the gradient in each layer.

Data: 64 handwritten digits; nothing is trained but the network with residual connections, and that
for a moment, to show that it learns. Metric: the length of the gradient in the first layer over
that in the last, with residual connections; 0 if with sigmoids it is not below a millionth. Peer:
the same in PyTorch. Bar: a twentieth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits

LAYERS, WIDTH = 20, 64
KINDS: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "sigmoid": (nn.Sigmoid, nn.initialisers.xavier_uniform),
    "tanh": (nn.Tanh, nn.initialisers.xavier_uniform),
    "relu": (nn.ReLU, nn.initialisers.he_uniform),
    "residual": (nn.ReLU, nn.initialisers.normal(0, 0.05)),
}


def make_model(kind: str, seed: int) -> nn.Sequential:
    """Return a network of twenty layers of one kind."""
    activation, initialiser = KINDS[kind]
    random, layers = np.random.default_rng(seed), []
    for _ in range(LAYERS):
        layer: nn.Module = nn.Linear(WIDTH, WIDTH, seed=random, weight_initialiser=initialiser)
        layer = nn.Sequential(layer, activation())
        layers.append(nn.Residual(layer) if kind == "residual" else layer)
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10, seed=random))


def gradient_lengths(model: nn.Module, images: Any, labels: Any) -> np.ndarray[Any, Any]:
    """Return the length of the gradient with respect to the weights of each layer."""
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")][:LAYERS]

    @graphc.compile
    def lengths(x: Any, y: Any) -> Any:
        slopes = graphc.gradients(nn.cross_entropy(model(x), y), weights)
        return graphc.stack([graphc.sqrt(graphc.sum(graphc.square(g))) for g in slopes])

    found: np.ndarray[Any, Any] = lengths(images, labels)
    return found


@network("residual: first layer's gradient over the last's", at_least=0.05, quick=0.05, peer=0.3192)
def train(lesson: Lesson) -> float:
    """Measure the gradients of each kind, draw them, and return that of residual connections."""
    data = digits()
    images, labels = data.train_x[:64], data.train_y[:64]
    models = {kind: make_model(kind, lesson.seed) for kind in KINDS}
    found = {kind: gradient_lengths(model, images, labels) for kind, model in models.items()}
    lesson.curves("gradients.png", "length of the gradient", found, xlabel="layer", yscale="log")
    lesson.compare(
        {
            kind: {f"layer {layer}": float(lengths[layer - 1]) for layer in (1, 5, 10, 15, 20)}
            for kind, lengths in found.items()
        }
    )
    history = graphc.fit(
        models["residual"],
        nn.cross_entropy,
        optim.Adam(1e-3),
        data.train,
        epochs=lesson.choose(10, quick=1),
        validation=data.test,
        metrics="accuracy",
        seed=lesson.seed,
        verbose=lesson.verbose,
    )
    lesson.draw(models["residual"], history, images)
    shares = {kind: float(lengths[0] / lengths[-1]) for kind, lengths in found.items()}
    return shares["residual"] if shares["sigmoid"] < 1e-6 else 0.0
