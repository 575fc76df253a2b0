"""Word embeddings: words that are used alike get numbers that are alike.

A word is to tell which words stand around it: the product of its vector with theirs is to be large,
and small with words drawn at random (skip-gram with negative sampling). Source: T. Mikolov et al.,
Distributed representations of words and phrases and their compositionality, arXiv:1310.4546.

Data: the prose of Python's own manual, in `pydoc_data.topics`, about 70,000 words; of its pages one
in ten is held out. Peer: the singular value decomposition of the table of co-occurrences (positive
pointwise mutual information), in NumPy. Bar: above the peer, by more than a tenth of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pydoc_data import topics
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import order

Array = np.ndarray[Any, Any]
WORDS, SIZE, WINDOW, NEGATIVES, BATCH = 1500, 48, 4, 5, 512
SHOWN = ("class", "list", "module", "raised", "integer", "def", "first", "is")


def read_words() -> tuple[list[str], list[Array]]:
    """Return the most frequent words, and each page as numbers of words, the others left out."""
    pages = [re.findall(r"[a-z_]+", text.lower()) for _, text in sorted(topics.topics.items())]
    counts = Counter(word for page in pages for word in page)
    words = [word for word, _ in counts.most_common(WORDS)]
    numbers = {word: number for number, word in enumerate(words)}
    return words, [np.array([numbers[w] for w in page if w in numbers]) for page in pages]


def neighbours(pages: list[Array]) -> tuple[Array, Array]:
    """Return all pairs of a word and one at most WINDOW places away."""
    pairs = [
        (page[:-distance], page[distance:])
        for page in pages
        for distance in range(1, WINDOW + 1)
        if len(page) > distance
    ]
    before, after = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return np.concatenate([before, after]), np.concatenate([after, before])


class SkipGram(nn.Module):
    """A vector for each word, and another for it as a neighbour."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.words = graphc.Variable(random.normal(0, 0.1, (WORDS, SIZE)).astype(np.float32))
        self.contexts = graphc.Variable(np.zeros((WORDS, SIZE), np.float32))

    def forward(self, word: graphc.Tensor, context: graphc.Tensor) -> graphc.Tensor:
        """Return how well each of some contexts goes with each word: (batch, contexts)."""
        vectors = graphc.take(self.words, word, axis=0)
        others = graphc.take(self.contexts, context, axis=0)
        return graphc.einsum("bd,bcd->bc", vectors, others)


def tell_apart(scores: graphc.Tensor) -> graphc.Tensor:
    """Return the loss: the first context is a real one, the others are drawn at random."""
    return -(
        nn.log_sigmoid(scores[:, 0]) + graphc.sum(nn.log_sigmoid(-scores[:, 1:]), axis=-1)
    ).mean()


def is_above(scores: graphc.Tensor) -> graphc.Tensor:
    """Return how many of the random contexts have a lower score than the real one."""
    return (scores[:, :1] > scores[:, 1:]).astype("float32").mean(axis=-1)


class Corpus:
    """The pairs of the manual, to train on and held out."""

    def __init__(self, seed: int) -> None:
        self.words, pages = read_words()
        places = order(len(pages), seed=3)
        held_out = len(pages) // 10
        self.test = neighbours([pages[p] for p in places[:held_out]])
        self.train = neighbours([pages[p] for p in places[held_out:]])
        counts = np.bincount(np.concatenate(pages), minlength=WORDS) ** 0.75
        self.chances, self.seed = counts / counts.sum(), seed

    def batches(self, pairs: tuple[Array, Array], seed: int) -> Iterator[Any]:
        """Yield pairs with random contexts beside the real ones."""
        random, (word, context) = np.random.default_rng([self.seed, seed]), pairs
        places = order(len(word), seed=seed)
        for start in range(0, len(word) - BATCH + 1, BATCH):
            chosen = places[start : start + BATCH]
            others = random.choice(WORDS, (BATCH, NEGATIVES), p=self.chances)
            yield ((word[chosen], np.column_stack([context[chosen], others])),)


def nearest(words: list[str], vectors: Array) -> str:
    """Return the words nearest to some, a line each."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [np.argsort(-unit @ unit[words.index(word)])[1:7] for word in SHOWN]
    return "".join(
        f"{w}: {' '.join(words[n] for n in row)}\n" for w, row in zip(SHOWN, rows, strict=True)
    )


@network("held-out: neighbours scored above random words", at_least=0.68, quick=0.6, peer=0.6066)
def train(lesson: Lesson) -> float:
    """Train, write down which words are alike, and return the share of neighbours told apart."""
    corpus, model = Corpus(lesson.seed), SkipGram(lesson.seed)
    history = graphc.fit(
        model,
        tell_apart,
        optim.Adam(2e-3),
        lambda epoch: corpus.batches(corpus.train, epoch),
        epochs=lesson.choose(8, quick=1),
        validation=lambda: corpus.batches(corpus.test, 10**6),
        metrics={"above": is_above},
        verbose=lesson.verbose,
    )
    examples = next(corpus.batches(corpus.test, 0))[0]
    lesson.draw(model, history, *examples)
    lesson.tell("words.txt", nearest(corpus.words, model.words.value))
    return history.last["validation_above"]
