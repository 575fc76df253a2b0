"""Transformer: a small GPT, which reads a text all at once and tells every next character.

Nothing is handed from step to step: each character asks all those before it for what it needs, and
gets a mixture of their answers (causal attention), four times side by side; then a small network
works on it. Two such blocks, each with a residual around it and layer normalisation before it, and
vectors of the places, are a language model. Sources: A. Vaswani et al., Attention is all you need,
arXiv:1706.03762; A. Radford et al., GPT, 2018.

Data: Python's own manual, `pydoc_data.topics`, in passages of 64 characters; of its pages one in
ten is held out. Metric: bits a character. Peer: the same GPT in PyTorch. Bar: the peer's worst seed
and 3 %.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.text import CHARACTERS, decode, encode, manual, passages

Array = np.ndarray[Any, Any]
LENGTH, BATCH, WIDTH, HEADS, BLOCKS, WRITTEN = 64, 16, 64, 4, 2, 200


class Attention(nn.Module):
    """Each place asks those up to itself (query . key) and takes the mean of their values."""

    def __init__(self, random: np.random.Generator) -> None:
        xavier = nn.initialisers.xavier_uniform
        self.all = nn.Linear(WIDTH, 3 * WIDTH, seed=random, weight_initialiser=xavier)
        self.out = nn.Linear(WIDTH, WIDTH, seed=random, weight_initialiser=xavier)

    def weights_and_values(self, x: graphc.Tensor) -> tuple[graphc.Tensor, graphc.Tensor]:
        """Return how much each place looks at which (batch, heads, time, time), and the values."""
        batch, time, _ = x.shape
        heads = self.all(x).reshape((batch, time, 3, HEADS, WIDTH // HEADS))
        query, key, value = (graphc.moveaxis(heads[:, :, part], 2, 1) for part in range(3))
        scores = query @ key.mT / math.sqrt(WIDTH // HEADS)
        places = graphc.arange(time)
        return nn.softmax(graphc.where(places[:, None] >= places, scores, -1e9)), value

    def forward(self, x: graphc.Tensor) -> Any:
        """Return what each place was told: (batch, time, WIDTH)."""
        weights, value = self.weights_and_values(x)
        return self.out(graphc.moveaxis(weights @ value, 1, 2).reshape(x.shape))


class Block(nn.Module):
    """Attention, then two layers at each place; around each of the two a residual."""

    def __init__(self, random: np.random.Generator) -> None:
        self.attention = Attention(random)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.wide = nn.Linear(WIDTH, 4 * WIDTH, seed=random)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH, seed=random)

    def forward(self, x: graphc.Tensor) -> Any:
        """Return x of the shape (batch, time, WIDTH) with what the block adds to it."""
        x = x + self.attention(self.norm1(x))
        return x + self.narrow(nn.gelu(self.wide(self.norm2(x)), "tanh"))


class GPT(nn.Module):
    """Vectors of characters and places -> blocks -> scores of the next character."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)

        def table(rows: int) -> graphc.Variable:
            return graphc.Variable(random.normal(0, 0.1, (rows, WIDTH)).astype(np.float32))

        self.vectors, self.places = table(CHARACTERS), table(LENGTH)
        self.blocks = [Block(random) for _ in range(BLOCKS)]
        self.norm = nn.LayerNorm(WIDTH)
        self.scores = nn.Linear(
            WIDTH, CHARACTERS, seed=random, weight_initialiser=nn.initialisers.xavier_uniform
        )

    def forward(self, text: graphc.Tensor) -> Any:
        """Return the scores of what follows each character: (batch, time, characters)."""
        x = graphc.take(self.vectors, text, axis=0) + self.places[: text.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.scores(self.norm(x))

    def first_weights(self, text: graphc.Tensor) -> graphc.Tensor:
        """Return how much each place looks at which in the first block."""
        x = graphc.take(self.vectors, text, axis=0) + self.places[: text.shape[1]]
        block = self.blocks[0]
        return block.attention.weights_and_values(block.norm1(x))[0]

    def write(self, text: graphc.Tensor, key: graphc.Tensor) -> Any:
        """Return WRITTEN characters that go on from a text of the shape (1, LENGTH)."""

        def step(text: graphc.Tensor, number: graphc.Tensor) -> tuple[Any, graphc.Tensor]:
            draw = graphc.random.fold_in(key, number)
            drawn = graphc.random.categorical(draw, 1.5 * self(text)[:, -1])
            return graphc.concat([text[:, 1:], drawn[:, None]], axis=1), drawn[0]

        return graphc.scan(step, text, graphc.arange(WRITTEN))[1]


@network("held-out bits a character", at_most=1.995, quick=4.0, peer=1.938)
def train(lesson: Lesson) -> float:
    """Train, draw the attention, write down a sample, and return the bits a character."""
    known, test = map(encode, manual())
    known = lesson.choose(known, quick=known[:100_000])
    model, epochs = GPT(lesson.seed), lesson.choose(4, quick=1)
    rate = optim.schedules.OneCycle(4e-3, epochs * (len(known) // LENGTH // BATCH))
    history = graphc.fit(
        model,
        nn.cross_entropy,
        optim.Adam(rate, clip=optim.ClipByGlobalNorm(1.0)),
        lambda epoch: passages(known, LENGTH, BATCH, 10 * epoch + lesson.seed),
        epochs=epochs,
        validation=lambda: passages(test, LENGTH, BATCH, 0),
        verbose=lesson.verbose,
    )
    start = test[None, :LENGTH]
    lesson.draw(model, history, start)
    write: Any = graphc.compile(model.write)
    written = write(start, graphc.random.key(lesson.seed))
    lesson.tell("samples.txt", f"{decode(start[0])}|{decode(written)}")
    look: Any = graphc.compile(model.first_weights)
    weights = look(start)[0]
    with lesson.figure("attention.png", 1, HEADS, size=(2.4, 2.4)) as axes:
        for head, (place, looked) in enumerate(zip(axes, weights, strict=True)):
            place.imshow(looked**0.5, cmap="gray")
            place.set(title=f"head {head}", xticks=[], yticks=[])
    return history.last["validation_loss"] / math.log(2)
