"""Character models: LSTM and GRU learn to write by telling the next character, again and again.

Cells with gates keep what they hold unless a gate opens, so they remember words and brackets for
many steps. Given the text so far each says how likely every next character is; drawing one of them
and giving it back to the network writes a text. Sources: S. Hochreiter and J. Schmidhuber, Long
short-term memory, 1997; K. Cho et al., arXiv:1406.1078 (GRU); A. Graves, arXiv:1308.0850.

Data: Python's own manual, `pydoc_data.topics`, in passages of 64 characters; of its pages one in
ten is held out. Metric: bits a character, of the worse of the two; all characters alike would take
6.6. Peer: the worse of PyTorch's LSTM and GRU. Bar: the peer's best seed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.text import CHARACTERS, decode, encode, manual, passages

HIDDEN, LENGTH, BATCH, WRITTEN = 128, 64, 32, 200


class Writer(nn.Module):
    """Characters -> vectors -> a recurrent layer of 128 -> scores of the next character."""

    def __init__(self, layer: type[nn.LSTM | nn.GRU], seed: int) -> None:
        random = np.random.default_rng(seed)
        self.vectors = graphc.Variable(random.normal(0, 1, (CHARACTERS, 32)).astype(np.float32))
        self.recurrent = layer(32, HIDDEN, seed=random)
        self.scores = nn.Linear(HIDDEN, CHARACTERS, seed=random)

    def forward(self, text: graphc.Tensor, state: Any = None) -> graphc.Tensor:
        """Return the scores of what follows each character: (batch, time, characters)."""
        return self.read(text, state)[0]

    def read(self, text: graphc.Tensor, state: Any = None) -> tuple[graphc.Tensor, Any]:
        """Return the same, and the state after the last character."""
        states, last = self.recurrent(graphc.take(self.vectors, text, axis=0), state)
        return self.scores(states), last

    def write(self, text: graphc.Tensor, key: graphc.Tensor, sharpness: float) -> Any:
        """Return WRITTEN characters that go on from a text of the shape (1, time)."""
        scores, state = self.read(text)

        def step(carry: Any, number: graphc.Tensor) -> tuple[Any, graphc.Tensor]:
            scores, state = carry
            draw = graphc.random.fold_in(key, number)
            drawn = graphc.random.categorical(draw, sharpness * scores)
            found, state = self.read(drawn[:, None], state)
            return (found[:, -1], state), drawn[0]

        return graphc.scan(step, (scores[:, -1], state), graphc.arange(WRITTEN))[1]


def train_with(layer: type[nn.LSTM | nn.GRU], lesson: Lesson, texts: Any) -> tuple[float, str]:
    """Train a network of these cells; return the bits a character, and what it writes."""
    model = Writer(layer, lesson.seed)
    train, test = texts
    epochs = lesson.choose(2, quick=1)
    steps = epochs * (len(train) // LENGTH // BATCH)
    history = graphc.fit(
        model,
        nn.cross_entropy,
        optim.Adam(optim.schedules.Cosine(6e-3, steps), clip=optim.ClipByGlobalNorm(1.0)),
        lambda epoch: passages(train, LENGTH, BATCH, 10 * epoch + lesson.seed),
        epochs=epochs,
        validation=lambda: passages(test, LENGTH, BATCH, 0),
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, test[None, :LENGTH])
    write: Any = graphc.compile(lambda text, key: model.write(text, key, 1.5))
    start = 'The "for" statement '
    written = write(encode(start)[None], graphc.random.key(lesson.seed))
    return history.last["validation_loss"] / math.log(2), start + decode(written)


@network("held-out bits a character", at_most=2.5, quick=4.0, peer=2.523)
def train(lesson: Lesson) -> float:
    """Train both, write down what they write, and return the bits a character of the worse."""
    train_text, test_text = map(encode, manual())
    texts = lesson.choose(train_text, quick=train_text[:100_000]), test_text
    results = {layer.__name__: train_with(layer, lesson, texts) for layer in (nn.LSTM, nn.GRU)}
    lesson.compare({n: {"held-out bits a character": b} for n, (b, _) in results.items()})
    lesson.tell("samples.txt", "\n\n".join(f"{n}: {text}" for n, (_, text) in results.items()))
    return max(bits for bits, _ in results.values())
