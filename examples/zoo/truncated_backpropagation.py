"""Truncated back-propagation through time: the state is handed on, its gradient is not.

A text is read on and on in short segments. Each begins with the state in which the last one ended,
so the network remembers more than a segment, but derivatives go back to the start of the segment
alone, and a step costs the same however long the text is. Sources: R. Williams and J. Peng, 1990;
I. Sutskever, Training recurrent neural networks, 2013.

Data: Python's own manual, `pydoc_data.topics`, read as 32 streams in segments of 16 characters; of
its pages one in ten is held out. Metric: bits a character, 9 if the same network that begins each
segment with an empty state is as good. Peer: PyTorch's GRU with its state handed on. Bar: the
peer's worst seed and 2 %.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.text import CHARACTERS, encode, manual, streams

Array = np.ndarray[Any, Any]
HIDDEN, SEGMENT, BATCH = 96, 16, 32
KINDS = {False: "each segment starts empty", True: "state handed on"}


class Reader(nn.Module):
    """Characters -> vectors -> a GRU of 96, whose state stays -> scores of the next character."""

    def __init__(self, is_handed_on: bool, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.vectors = graphc.Variable(random.normal(0, 1, (CHARACTERS, 32)).astype(np.float32))
        self.recurrent = nn.GRU(32, HIDDEN, seed=random)
        self.scores = nn.Linear(HIDDEN, CHARACTERS, seed=random)
        self.is_handed_on = is_handed_on
        self.state = graphc.Variable(np.zeros((BATCH, HIDDEN), np.float32), trainable=False)

    def forward(self, text: graphc.Tensor) -> Any:
        """Return the scores of what follows each character of a segment, and keep the state.

        The state is a variable, not a result of the last segment's graph: no gradient leads back.
        """
        vectors = graphc.take(self.vectors, text, axis=0)
        states, (last,) = self.recurrent(vectors, (self.state,))
        if self.is_handed_on:
            self.state.assign(last)
        return self.scores(states)


def train_with(is_handed_on: bool, lesson: Lesson, train: Array, test: Array) -> list[float]:
    """Train with the state handed on or not; return the bits a character after each epoch."""
    model = Reader(is_handed_on, lesson.seed)
    optimizer = optim.Adam(4e-3, clip=optim.ClipByGlobalNorm(1.0))

    @graphc.compile
    def train_step(text: graphc.Tensor, following: graphc.Tensor) -> graphc.Tensor:
        loss = nn.cross_entropy(model(text), following)
        optimizer.minimize(loss, model.parameters())
        return loss

    @graphc.compile
    def test_loss(text: graphc.Tensor, following: graphc.Tensor) -> graphc.Tensor:
        return nn.cross_entropy(model(text), following)

    found = []
    for _ in range(lesson.choose(2, quick=1)):
        runs: Any = (train_step, train), (test_loss, test)
        for run, codes in runs:
            model.state.assign(np.zeros((BATCH, HIDDEN), np.float32))
            losses = [float(run(*segment)) for segment in streams(codes, SEGMENT, BATCH)]
        found.append(float(np.mean(losses)) / math.log(2))
    lesson.draw_forward(model, next(streams(test, SEGMENT, BATCH))[0])
    lesson.draw_step(train_step.programs[0])
    return found


@network(
    "held-out bits a character, 9 if an empty state is as good", at_most=2.07, quick=4.0, peer=2.035
)
def train(lesson: Lesson) -> float:
    """Train both, draw their bits a character, and return those with the state handed on."""
    train_text, test_text = map(encode, manual())
    texts = lesson.choose(train_text, quick=train_text[:100_000]), test_text
    bits = {kind: train_with(kind, lesson, *texts) for kind in (False, True)}
    named = {name: bits[kind] for kind, name in KINDS.items()}
    lesson.curves("bits.png", "held-out bits a character", named)
    lesson.compare({n: {"held-out bits a character": found[-1]} for n, found in named.items()})
    return bits[True][-1] if bits[True][-1] < bits[False][-1] else 9.0
