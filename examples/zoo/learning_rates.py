"""Learning rates: too low, and training takes for ever; too high, and it never settles.

The same network from the same start, with rates from a thousandth to ten. Too low a rate has hardly
left the start; a good one is there after a few epochs; too high a one jumps over the valley, to
places from which nothing is learned any more.

Data: 1,437 handwritten digits to train on, 360 held out. Peer: scikit-learn's MLPClassifier with
the good rate. Bar: the peer's worst seed less two standard errors of 360 samples (0.018), or more.
"""

from __future__ import annotations

import graphc
from graphc import nn, optim, training
from graphc.errors import NumericsError
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits

RATES = {"too low": 0.001, "good": 0.2, "too high": 10.0}


def make_model(seed: int) -> nn.Sequential:
    """Return a network with one hidden layer."""
    return nn.Sequential(
        nn.Linear(64, 64, seed=2 * seed), nn.ReLU(), nn.Linear(64, 10, seed=2 * seed + 1)
    )


@network("held-out accuracy with the good rate", at_least=0.955, quick=0.85, peer=0.9667)
def train(lesson: Lesson) -> float:
    """Train with each rate and return the accuracy with the good one."""
    data, curves, accuracies = digits(), {}, {}
    for name, rate in RATES.items():
        losses: list[float] = []
        model = make_model(lesson.seed)
        try:
            history = graphc.fit(
                model,
                nn.cross_entropy,
                optim.SGD(rate),
                data.train,
                epochs=lesson.choose(30, quick=5),
                batch_size=32,
                validation=data.test,
                metrics="accuracy",
                callbacks=[lambda run, losses=losses: losses.append(run.history.last["loss"])],
                seed=lesson.seed,
                verbose=lesson.verbose,
            )
        except NumericsError as error:
            lesson.path("too-high.txt").write_text(f"{error}\n")
        curves[name] = losses
        judged = training.evaluate(model, nn.cross_entropy, data.test, metrics="accuracy")
        accuracies[name] = judged["accuracy"]
        if name == "good":
            lesson.draw(model, history, data.test_x[:32])
    named = {f"{RATES[name]:g}, {name}": losses for name, losses in curves.items()}
    lesson.curves("rates.png", "training loss", named, yscale="log")
    lesson.compare(
        {
            f"{RATES[name]:g}, {name}": {
                "epochs": len(losses),
                "training loss": losses[-1] if losses else float("nan"),
                "held-out accuracy": accuracies[name],
            }
            for name, losses in curves.items()
        }
    )
    return accuracies["good"]
