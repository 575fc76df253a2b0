"""Sequence to sequence: an encoder reads a word, a decoder writes it backwards, with attention.

The encoder turns the letters into states. The decoder writes one letter after another; before each
it looks at all states of the encoder, at some more than at others, and learns where to look. What
it looked at is drawn: a line that goes back through the word. Sources: I. Sutskever, O.
Vinyals and Q. Le, arXiv:1409.3215; D. Bahdanau, K. Cho and Y. Bengio, arXiv:1409.0473; the score is
a product, as in arXiv:1508.04025.

Data: the 5,000 or so different words of Python's own manual, `pydoc_data.topics`, of 3 to 10
letters; one in five is held out. Peer: the same network in PyTorch. Bar: the peer's worst seed less
two standard errors of 1,000 words (0.009), or more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pydoc_data import topics
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import order

Array = np.ndarray[Any, Any]
END, START, SYMBOLS, LENGTH, BATCH, HIDDEN = 0, 27, 28, 11, 64, 96


def read_words() -> Array:
    """Return the words as numbers of letters, 1 to 26, filled up with END: (words, LENGTH)."""
    found = sorted(set(re.findall(r"\b[a-z]{3,10}\b", " ".join(topics.topics.values()).lower())))
    words = np.full((len(found), LENGTH), END)
    for row, word in zip(words, found, strict=True):
        row[: len(word)] = [ord(letter) - ord("a") + 1 for letter in word]
    return words[order(len(found), seed=5)]


def backwards(words: Array) -> Array:
    """Return the same words with their letters in reverse."""
    lengths = (words != END).sum(axis=1, keepdims=True)
    places = np.arange(LENGTH)
    turned = np.take_along_axis(words, np.where(places < lengths, lengths - 1 - places, places), 1)
    return turned


def batches(words: Array, seed: int) -> Iterator[Any]:
    """Yield words and what the decoder is told was written before, and the words backwards."""
    chosen = order(len(words), seed=seed)
    for first in range(0, len(words) - BATCH + 1, BATCH):
        some = words[chosen[first : first + BATCH]]
        turned = backwards(some)
        before = np.column_stack([np.full(BATCH, START), turned[:, :-1]])
        yield (some, before), turned


class Translator(nn.Module):
    """A GRU that reads both ways, and one that writes and attends to what the first one read."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.vectors = graphc.Variable(random.normal(0, 1, (SYMBOLS, 32)).astype(np.float32))
        self.encoder = nn.GRU(32, HIDDEN // 2, bidirectional=True, seed=random)
        self.decoder = nn.GRUCell(32 + HIDDEN, HIDDEN, seed=random)
        self.query = nn.Linear(HIDDEN, HIDDEN, seed=random)
        self.scores = nn.Linear(2 * HIDDEN, SYMBOLS, seed=random)

    def encode(self, words: graphc.Tensor) -> tuple[graphc.Tensor, graphc.Tensor]:
        """Return the states at all letters, and the first state of the decoder."""
        states, last = self.encoder(graphc.take(self.vectors, words, axis=0))
        return states, graphc.concat(last, axis=-1)

    def write(self, states: graphc.Tensor, carry: Any, before: graphc.Tensor) -> tuple[Any, Any]:
        """Return the decoder's next carry, the scores of the next letter, and where it looked."""
        state, seen = carry
        vector = graphc.take(self.vectors, before, axis=0)
        state = self.decoder(graphc.concat([vector, seen], axis=-1), state)
        looked = nn.softmax(graphc.einsum("bh,bth->bt", self.query(state), states) / HIDDEN**0.5)
        seen = graphc.einsum("bt,bth->bh", looked, states)
        return (state, seen), (self.scores(graphc.concat([state, seen], axis=-1)), looked)

    def forward(self, words: graphc.Tensor, before: graphc.Tensor) -> graphc.Tensor:
        """Return the scores of each letter where all letters before it are given."""
        states, first = self.encode(words)
        carry = first, graphc.zeros_like(first)
        found = graphc.scan(lambda c, letter: self.write(states, c, letter), carry, before.T)
        return graphc.moveaxis(found[1][0], 0, 1)

    def translate(self, words: graphc.Tensor) -> tuple[graphc.Tensor, graphc.Tensor]:
        """Return what the decoder writes when it reads its own letters, and where it looked."""
        states, first = self.encode(words)

        def step(carry: Any, _: None) -> tuple[Any, Any]:
            inner, letter = carry
            inner, (scores, looked) = self.write(states, inner, letter)
            letter = graphc.argmax(scores, axis=-1)
            return (inner, letter), (letter, looked)

        start = graphc.zeros((words.shape[0],), dtype="int64") + START
        carry = (first, graphc.zeros_like(first)), start
        letters, looked = graphc.scan(step, carry, length=LENGTH)[1]
        return letters.T, graphc.moveaxis(looked, 0, 1)


def spell(word: Array) -> str:
    """Return a word as text."""
    return "".join(chr(ord("a") + letter - 1) for letter in word if letter not in (END, START))


@network(
    "held-out words written backwards without a mistake", at_least=0.972, quick=0.5, peer=0.9843
)
def train(lesson: Lesson) -> float:
    """Train, draw where the decoder looks, and return the share of unseen words that are right."""
    words, model = read_words(), Translator(lesson.seed)
    test, known = words[: len(words) // 5], words[len(words) // 5 :]
    epochs = lesson.choose(15, quick=8)
    rate = optim.schedules.Cosine(4e-3, epochs * (len(known) // BATCH))
    history = graphc.fit(
        model,
        nn.cross_entropy,
        optim.Adam(rate, clip=optim.ClipByGlobalNorm(1.0)),
        lambda epoch: batches(known, 100 * epoch + lesson.seed),
        epochs=epochs,
        validation=lambda: batches(test, 0),
        metrics="accuracy",
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, *next(batches(test, 0))[0])
    translate: Any = graphc.compile(model.translate)
    written, looked = translate(test)
    with lesson.figure("attention.png", 1, 4, size=(2.2, 2.2)) as axes:
        for place, word, answer, weights in zip(axes, test, written, looked, strict=False):
            place.imshow(weights, cmap="gray", vmin=0, vmax=1)
            place.set(xlabel=spell(word), ylabel=spell(answer), xticks=[], yticks=[])
    pairs = zip(test[:20], written, strict=False)
    lesson.tell("words.txt", "\n".join(f"{spell(a)} -> {spell(b)}" for a, b in pairs))
    return float((written == backwards(test)).all(axis=1).mean())
