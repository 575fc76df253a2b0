"""Bidirectional recurrent network: where a word ends is seen from what comes after it.

From a text without spaces the spaces are to be found again. Whether a word ends at a letter depends
on the letters before and after it; a network that reads both ways has both at hand at each step,
one that reads from left to right has to guess. Source: M. Schuster and K. Paliwal, Bidirectional
recurrent neural networks, 1997.

Data: the words of Python's own manual, `pydoc_data.topics`, in passages of 40 letters; of its pages
one in ten is held out. Peer: PyTorch's bidirectional GRU. Bar: the peer's worst seed, less half a
percent. The same network that reads one way is trained beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim, training
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import order
from graphc.zoo.shared.text import manual

Array = np.ndarray[Any, Any]
LETTERS, LENGTH, BATCH, HIDDEN = 26, 40, 64, 48


def letters_and_ends(text: str) -> tuple[Array, Array]:
    """Return the letters of all words in a row, as numbers, and which of them end a word."""
    words = re.findall(r"[a-z]+", text.lower())
    letters = np.frombuffer("".join(words).encode(), np.uint8).astype(np.int64) - ord("a")
    ends = np.zeros(len(letters), np.float32)
    ends[np.cumsum([len(word) for word in words]) - 1] = 1
    return letters, ends


def batches(data: tuple[Array, Array], seed: int) -> Iterator[tuple[Array, Array]]:
    """Yield passages and where words end in them."""
    letters, ends = data
    starts = LENGTH * order(len(letters) // LENGTH, seed=seed)
    for first in range(0, len(starts) - BATCH + 1, BATCH):
        places = starts[first : first + BATCH, None] + np.arange(LENGTH)
        yield letters[places], ends[places]


class Tagger(nn.Module):
    """Letters -> vectors -> states of one direction or two -> a score of each letter."""

    def __init__(self, bidirectional: bool, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.letters = graphc.Variable(random.normal(0, 1, (LETTERS, 24)).astype(np.float32))
        self.recurrent = nn.GRU(24, HIDDEN, bidirectional=bidirectional, seed=random)
        self.score = nn.Linear(HIDDEN * (2 if bidirectional else 1), 1, seed=random)

    def forward(self, letters: graphc.Tensor) -> Any:
        """Return how much speaks for an end of a word at each letter: (batch, time)."""
        states, _ = self.recurrent(graphc.take(self.letters, letters, axis=0))
        return self.score(states)[..., 0]


def is_right(scores: graphc.Tensor, ends: graphc.Tensor) -> graphc.Tensor:
    """Return the share of letters of each passage that are told rightly."""
    return ((scores > 0).astype("float32") == ends).astype("float32").mean(axis=-1)


def train_with(bidirectional: bool, lesson: Lesson, data: Any) -> tuple[Tagger, training.History]:
    """Train a network of one direction or of two, and draw it."""
    model = Tagger(bidirectional, lesson.seed)
    history = graphc.fit(
        model,
        nn.binary_cross_entropy_with_logits,
        optim.Adam(optim.schedules.Cosine(6e-3, steps=lesson.choose(700, quick=10**6))),
        lambda epoch: batches(data[0], 10 * epoch + lesson.seed),
        epochs=lesson.choose(6, quick=1),
        validation=lambda: batches(data[1], 0),
        metrics={"right": is_right},
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, next(batches(data[1], 0))[0])
    return model, history


def spaced(model: Tagger, letters: Array) -> str:
    """Return passages with the spaces that the network puts into them, a line each."""
    score: Any = graphc.compile(model.forward)
    scores = score(letters)
    return "".join(
        "".join(
            chr(ord("a") + letter) + (" " if score > 0 else "")
            for letter, score in zip(line, line_scores, strict=True)
        )
        + "\n"
        for line, line_scores in zip(letters, scores, strict=True)
    )


@network("held-out share of letters told rightly", at_least=0.965, quick=0.8, peer=0.9672)
def train(lesson: Lesson) -> float:
    """Train both, write down the spaces that the latter finds, and return its share."""
    data = [letters_and_ends(text) for text in manual()]
    one, two = (train_with(directions, lesson, data) for directions in (False, True))
    histories = {"one direction": one[1], "both directions": two[1]}
    lesson.compare(
        {
            name: {"held-out loss": h.last["validation_loss"], "right": h.last["validation_right"]}
            for name, h in histories.items()
        }
    )
    right = {name: history["validation_right"] for name, history in histories.items()}
    lesson.curves("directions.png", "held-out share told rightly", right)
    passages = next(batches(data[1], 0))[0][:12]
    lesson.tell("spaces.txt", spaced(two[0], passages))
    return two[1].last["validation_right"]
