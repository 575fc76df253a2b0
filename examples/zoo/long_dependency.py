"""Long dependency: a mark at the start has to be remembered through a text; the plain RNN fails.

At the first step one of eight marks is shown, then a passage of text is read, and at its end the
network is asked for the mark. The gradient of a plain recurrent network has to come back through
all the steps, each of which makes it smaller or mixes it up; the cell of an LSTM whose forget gate
is open hands it on unchanged. Sources: Y. Bengio, P. Simard and P. Frasconi, 1994; S. Hochreiter
and J. Schmidhuber, Long short-term memory, 1997.

Data: passages of 60 characters of Python's own manual, `pydoc_data.topics`, with drawn marks; of
its pages one in ten is held out. Peer: PyTorch's LSTM. Bar: 0.95, as the task is solved or not; the
plain RNN is trained beside it and must stay below 0.5, or the metric is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim, training
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.text import CHARACTERS, encode, manual, passages

Array = np.ndarray[Any, Any]
MARKS, LENGTH, BATCH, HIDDEN = 8, 60, 64, 48


def batches(codes: Array, seed: int) -> Iterator[tuple[Array, Array]]:
    """Yield passages with a mark before each, and the marks."""
    random = np.random.default_rng(seed)
    for passage, _ in passages(codes, LENGTH, BATCH, seed):
        marks = random.integers(MARKS, size=BATCH)
        yield np.column_stack([CHARACTERS + marks, passage]), marks


class Rememberer(nn.Module):
    """Characters and marks, one-hot -> a recurrent layer -> scores of the marks at the end."""

    def __init__(self, layer: type[nn.RNN | nn.LSTM], seed: int, **keywords: Any) -> None:
        random = np.random.default_rng(seed)
        start = random.normal(0, 1, (CHARACTERS + MARKS, 32)).astype(np.float32)
        self.vectors = graphc.Variable(start)
        self.recurrent = layer(32, HIDDEN, seed=random, **keywords)
        self.scores = nn.Linear(HIDDEN, MARKS, seed=random)

    def forward(self, text: graphc.Tensor) -> Any:
        """Return the scores of the marks after the last character."""
        return self.scores(self.states(graphc.take(self.vectors, text, axis=0))[:, -1])

    def states(self, vectors: graphc.Tensor) -> Any:
        """Return the states at all times."""
        return self.recurrent(vectors)[0]


def train_with(model: Rememberer, lesson: Lesson, texts: Any) -> training.History:
    """Train a network and draw it."""
    history = graphc.fit(
        model,
        nn.cross_entropy,
        optim.Adam(5e-3, clip=optim.ClipByGlobalNorm(1.0)),
        lambda epoch: batches(texts[0], 10 * epoch + lesson.seed),
        epochs=lesson.choose(4, quick=2),
        validation=lambda: batches(texts[1], 10**6),
        metrics="accuracy",
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, next(batches(texts[1], 0))[0])
    return history


def gradient_lengths(model: Rememberer, text: Array, marks: Array) -> Array:
    """Return how long the gradient of the loss is for what was read at each time."""

    def loss(vectors: graphc.Tensor) -> graphc.Tensor:
        return nn.cross_entropy(model.scores(model.states(vectors)[:, -1]), marks)

    gradient = graphc.grad(loss)(model.vectors.value[text])
    lengths: Array = np.sqrt(np.square(gradient).sum(axis=(0, 2)))
    return lengths


@network(
    "held-out accuracy of the LSTM, 0 if the RNN learned it too",
    at_least=0.95,
    quick=0.5,
    peer=0.8906,
)
def train(lesson: Lesson) -> float:
    """Train both on the same passages, draw how far back their gradients reach, and compare."""
    texts = [encode(text) for text in manual()]
    models = {
        "RNN": Rememberer(nn.RNN, lesson.seed),
        "LSTM": Rememberer(nn.LSTM, lesson.seed, forget_bias=3.0),
    }
    example = next(batches(texts[1], 0))
    lengths = {name: gradient_lengths(model, *example) for name, model in models.items()}
    title = "length of the gradient before training"
    lesson.curves("gradients.png", title, lengths, xlabel="step", yscale="log")
    accuracies = {
        name: train_with(model, lesson, texts).last["validation_accuracy"]
        for name, model in models.items()
    }
    lesson.compare(
        {name: {"held-out accuracy": accuracy} for name, accuracy in accuracies.items()}
        | {"by chance": {"held-out accuracy": 1 / MARKS}}
    )
    return accuracies["LSTM"] if accuracies["RNN"] < 0.5 else 0.0
