"""Matrix factorisation: filling in what is missing, as recommendations are made.

Each row and each column gets a few numbers, and an element is the product of those of its row and
its column, plus what is usual for both. From the elements that are known the numbers are learned,
and these give the others. In a table of ratings rows are people and columns films; here the table
is a photograph of which 60 % is lost. Source: Y. Koren, R. Bell and C. Volinsky, Matrix
factorization techniques for recommender systems, 2009.

Data: a photograph of 256 x 256 pixels, 26,214 of them known. Peer: truncated singular value
decomposition, filled in again and again until it settles, of the best rank, in NumPy. Bar: below
the peer.
"""

from __future__ import annotations

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network
from graphc.zoo.shared.data import order, photograph

RANK, KNOWN = 12, 0.4


class Factorisation(nn.Module):
    """Numbers for each row and each column, from which elements are computed."""

    def __init__(self, rows: int, columns: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.rows = graphc.Variable(0.1 * random.standard_normal((rows, RANK), np.float32))
        self.columns = graphc.Variable(0.1 * random.standard_normal((columns, RANK), np.float32))
        self.row_bias = graphc.Variable(np.zeros(rows, np.float32))
        self.column_bias = graphc.Variable(np.full(columns, 0.5, np.float32))

    def forward(self, row: graphc.Tensor, column: graphc.Tensor) -> graphc.Tensor:
        """Return the elements at these rows and columns."""
        product = graphc.take(self.rows, row, axis=0) * graphc.take(self.columns, column, axis=0)
        bias = graphc.take(self.row_bias, row) + graphc.take(self.column_bias, column)
        return graphc.sum(product, axis=-1) + bias


@network("root mean squared error of lost pixels", at_most=0.088, quick=0.11, peer=0.09008)
def train(lesson: Lesson) -> float:
    """Learn from the pixels that are known and return the error of the others."""
    image = photograph()
    places = order(image.size, seed=1)
    count = round(KNOWN * image.size)
    row, column = np.divmod(places, image.shape[1])
    values = image[row, column]
    model = Factorisation(image.shape[0], image.shape[1], lesson.seed)
    history = graphc.fit(
        model,
        nn.mse,
        optim.Adam(3e-3, weight_decay=1e-5),
        ((row[:count], column[:count]), values[:count]),
        epochs=lesson.choose(40, quick=8),
        batch_size=256,
        validation=((row[count:], column[count:]), values[count:]),
        seed=lesson.seed,
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, row[:256], column[:256])
    known = np.zeros_like(image)
    known[row[:count], column[:count]] = values[:count]
    filled = graphc.compile(model)(*np.divmod(np.arange(image.size), image.shape[1]))
    with lesson.figure("photograph.png", 1, 3) as axes:
        shown = {"original": image, "known": known, "filled in": filled.reshape(image.shape)}
        for place, (title, pixels) in zip(axes, shown.items(), strict=True):
            place.imshow(pixels, cmap="gray", vmin=0, vmax=1)
            place.set(title=title, xticks=[], yticks=[])
    return float(np.sqrt(history.last["validation_loss"]))
