"""Exploding gradients: a deep network whose gradients grow with every layer, cured by clipping.

Weights that start a little too large multiply the gradient in each layer. After 12 layers one step
of gradient descent throws the weights out of all bounds, and the loss is no number any more. If the
gradients of all weights together are never longer than 1, the same network learns. Source: R.
Pascanu, T. Mikolov and Y. Bengio, On the difficulty of training recurrent networks,
arXiv:1211.5063.

Data: 1,437 handwritten digits to train on, 360 held out. Without clipping the loss has to turn NaN,
or the metric is 0. Peer: the same network in PyTorch, clipped. Bar: the peer's worst seed less two
standard errors of 360 samples (0.018), or more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim, training
from graphc.errors import NumericsError
from graphc.zoo.shared import Lesson, draw_lines, network
from graphc.zoo.shared.data import digits

LAYERS, WIDTH, SHOWN = 12, 64, 10


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


def first_steps(optimizer: optim.Optimiser, seed: int) -> tuple[list[float], list[float]]:
    """Return the loss and the length of the gradient, before clipping, in each of some steps."""
    data, model = digits(), make_model(seed)

    @graphc.compile
    def step(x: Any, y: Any) -> tuple[graphc.Tensor, graphc.Tensor]:
        loss = nn.cross_entropy(model(x), y)
        slopes = graphc.gradients(loss, model.parameters())
        optimizer.apply_gradients(slopes, model.parameters())
        return loss, optim.global_norm(slopes)

    batches = (slice(64 * number, 64 * number + 64) for number in range(SHOWN))
    found = [step(data.train_x[batch], data.train_y[batch]) for batch in batches]
    return [float(loss) for loss, _ in found], [float(length) for _, length in found]


def show_first_steps(lesson: Lesson, optimizers: Mapping[str, optim.Optimiser]) -> None:
    """Draw and tell what happens in the first steps with each optimiser."""
    found = {name: first_steps(optimizer, lesson.seed) for name, optimizer in optimizers.items()}
    with lesson.figure("first-steps.png", 1, 2) as (left, right):
        for axes, part, title in ((left, 0, "loss"), (right, 1, "length of the gradient")):
            lines = {name: both[part] for name, both in found.items()}
            draw_lines(axes, lines, xlabel="step", ylabel=title, yscale="log")
    parts = {f"loss {name}": losses for name, (losses, _) in found.items()}
    parts |= {f"gradient {name}": lengths for name, (_, lengths) in found.items()}
    steps = range(4)
    lesson.compare(
        {f"step {n + 1}": {title: values[n] for title, values in parts.items()} for n in steps}
    )


@network("held-out accuracy with clipping", at_least=0.825, quick=0.4, peer=0.9028)
def train(lesson: Lesson) -> float:
    """Train without clipping, which has to fail, and with it; return the latter's accuracy."""
    clip = optim.ClipByGlobalNorm(1.0)
    optimizers = {"without clipping": optim.SGD(0.05), "clipped": optim.SGD(0.05, clip=clip)}
    show_first_steps(lesson, optimizers)
    try:
        train_with(optim.SGD(0.05), lesson)
        return 0.0  # nothing exploded: there was nothing to be shown
    except NumericsError as error:
        lesson.tell("without-clipping.txt", str(error))
    return train_with(optim.SGD(0.05, clip=clip), lesson).last["validation_accuracy"]
