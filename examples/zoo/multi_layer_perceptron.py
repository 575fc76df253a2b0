"""Multi-layer perceptron: handwritten digits through two hidden layers.

Each layer multiplies by a matrix, adds a bias and bends the result with relu; the last gives a
score for each digit, and cross-entropy compares softmax of the scores with the label.

Data: 1,437 digits of 8 x 8 pixels to train on, 360 held out. Peer: scikit-learn's MLPClassifier
with the same layers, batches and optimiser. Bar: the peer's worst seed less two standard errors of
360 samples (0.018), or more.
"""

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import digits


def make_model(seed: int) -> nn.Module:
    """Return 64 pixels -> 128 -> 64 -> 10 scores."""
    return nn.Sequential(
        nn.Linear(64, 128, seed=3 * seed),
        nn.ReLU(),
        nn.Linear(128, 64, seed=3 * seed + 1),
        nn.ReLU(),
        nn.Linear(64, 10, seed=3 * seed + 2),
    )


@network("held-out accuracy", at_least=0.96, quick=0.85, peer=0.975)
def train(lesson: Lesson) -> float:
    """Train with Adam and return the share of held-out digits that are named rightly."""
    data, model = digits(), make_model(lesson.seed)
    history = graphc.fit(
        model,
        nn.cross_entropy,
        optim.Adam(2e-3),
        data.train,
        epochs=lesson.choose(30, quick=3),
        batch_size=64,
        validation=data.test,
        metrics="accuracy",
        seed=lesson.seed,
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, data.test_x[:64])
    return history.last["validation_accuracy"]
