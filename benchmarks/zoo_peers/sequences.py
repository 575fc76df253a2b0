"""What PyTorch and scikit-learn reach with the sequence networks of the zoo.

The networks are the same, with the same data, batches, rates and clipping, and PyTorch's own first
weights; `benchmarks.zoo_peers` runs them by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from graphc.zoo.shared.data import digits, order
from graphc.zoo.shared.text import CHARACTERS, encode, manual, passages

__all__ = ["character_models", "deep_recurrent_network", "recurrent_network", "recursive_network"]


def recurrent_network() -> float:
    """Return the accuracy of PyTorch's RNN over the rows of the digits."""
    import torch

    return _read_digits(torch.nn.RNN(8, 64, batch_first=True), 8, 64, epochs=60, rate=3e-3)


def deep_recurrent_network() -> float:
    """Return the accuracy of PyTorch's GRU of three layers over steps of four pixels."""
    import torch

    layers = torch.nn.GRU(4, 32, 3, batch_first=True)
    return _read_digits(layers, 4, 32, epochs=40, rate=4e-3)


def _read_digits(recurrent: Any, pixels: int, hidden: int, *, epochs: int, rate: float) -> float:
    import torch

    torch.manual_seed(0)
    data, scores = digits(), torch.nn.Linear(hidden, 10)
    for parameter in recurrent.parameters():
        torch.nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)

    def forward(images: Any) -> Any:
        x = torch.tensor(images).reshape(len(images), -1, pixels)
        return scores(recurrent(x)[0][:, -1])

    def batches(epoch: int) -> Iterator[Any]:
        places = order(len(data.train_x), seed=epoch)
        for first in range(0, len(places), 32):
            chosen = places[first : first + 32]
            yield data.train_x[chosen], data.train_y[chosen]

    _train(forward, [*recurrent.parameters(), *scores.parameters()], batches, epochs, rate)
    found = forward(data.test_x).argmax(dim=-1).numpy()
    return float((found == data.test_y).mean())


def _train(
    forward: Callable[[Any], Any],
    parameters: list[Any],
    batches: Callable[[int], Iterator[Any]],
    epochs: int,
    rate: float,
    cosine_steps: int = 0,
) -> None:
    import torch

    optimizer = torch.optim.Adam(parameters, rate)
    step = 0
    for epoch in range(epochs):
        for x, y in batches(epoch):
            if cosine_steps:
                share = (1 + math.cos(math.pi * step / cosine_steps)) / 2
                optimizer.param_groups[0]["lr"] = rate * share
            optimizer.zero_grad()
            found = forward(x)
            labels = torch.tensor(y).reshape(-1)
            torch.nn.functional.cross_entropy(found.flatten(0, -2), labels).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            step += 1


def character_models() -> float:
    """Return the bits a character of PyTorch's LSTM."""
    import torch

    torch.manual_seed(0)
    known, test = map(encode, manual())
    vectors, lstm = torch.nn.Embedding(CHARACTERS, 32), torch.nn.LSTM(32, 128, batch_first=True)
    scores = torch.nn.Linear(128, CHARACTERS)

    def forward(text: Any) -> Any:
        return scores(lstm(vectors(torch.tensor(text)))[0])

    parameters = [*vectors.parameters(), *lstm.parameters(), *scores.parameters()]
    steps = 2 * (len(known) // 64 // 32)
    _train(forward, parameters, lambda e: passages(known, 64, 32, 10 * e), 2, 6e-3, steps)
    with torch.no_grad():
        losses = [
            float(torch.nn.functional.cross_entropy(forward(x).mT, torch.tensor(y)))
            for x, y in passages(test, 64, 32, 0)
        ]
    return float(np.mean(losses)) / math.log(2)


def recursive_network() -> float:
    """Return the accuracy of scikit-learn's logistic regression on counts of the kinds of nodes."""
    from sklearn.linear_model import LogisticRegression

    from graphc.zoo.recursive_network import trees

    data, kinds = trees()
    x, test_x = (
        np.stack([(steps == kind).sum(axis=1) for kind in range(len(kinds))], axis=1)
        for steps in (data.train_x, data.test_x)
    )
    return float(LogisticRegression(max_iter=2000).fit(x, data.train_y).score(test_x, data.test_y))
