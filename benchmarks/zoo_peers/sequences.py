"""The sequence networks of the zoo in PyTorch: the same data, batches, rates and clipping.

First weights are drawn by PyTorch; those of recurrent layers are uniform, as it has them itself.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from graphc.zoo.shared.data import digits, order
from graphc.zoo.shared.text import CHARACTERS, encode, manual, passages, streams


def _torch(seed: int) -> Any:
    torch = importlib.import_module("torch")
    torch.manual_seed(seed)
    return torch


def _cross_entropy(found: Any, y: Any) -> Any:
    torch = importlib.import_module("torch")
    return torch.nn.functional.cross_entropy(found.flatten(0, -2), torch.tensor(y).reshape(-1))


def _train(
    forward: Callable[[Any], Any],
    modules: Any,
    batches: Callable[[int], Iterable[Any]],
    epochs: int,
    rate: float | Callable[[int], float],
    loss: Callable[[Any, Any], Any] = _cross_entropy,
) -> None:
    torch = importlib.import_module("torch")
    parameters = [p for module in modules for p in module.parameters()]
    optimizer, step = torch.optim.Adam(parameters, 1.0), 0
    for epoch in range(epochs):
        for x, y in batches(epoch):
            optimizer.param_groups[0]["lr"] = rate(step) if callable(rate) else rate
            optimizer.zero_grad()
            loss(forward(x), y).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            step += 1


def _cosine(rate: float, steps: int) -> Callable[[int], float]:
    return lambda step: rate * (1 + math.cos(math.pi * min(step / steps, 1))) / 2


def recurrent_network(seed: int) -> float:
    """Return the accuracy of an RNN over the rows of the digits."""
    torch = _torch(seed)
    return _read_digits(torch.nn.RNN(8, 64, batch_first=True), 8, 64, epochs=60, rate=3e-3)


def deep_recurrent_network(seed: int) -> float:
    """Return the accuracy of a GRU of three layers over steps of four pixels."""
    torch = _torch(seed)
    layers = torch.nn.GRU(4, 32, 3, batch_first=True)
    return _read_digits(layers, 4, 32, epochs=40, rate=4e-3)


def _read_digits(recurrent: Any, pixels: int, hidden: int, *, epochs: int, rate: float) -> float:
    torch = importlib.import_module("torch")
    data, scores = digits(), torch.nn.Linear(hidden, 10)

    def forward(images: Any) -> Any:
        x = torch.tensor(images).reshape(len(images), -1, pixels)
        return scores(recurrent(x)[0][:, -1])

    def batches(epoch: int) -> Iterator[Any]:
        places = order(len(data.train_x), seed=epoch)
        for first in range(0, len(places), 32):
            chosen = places[first : first + 32]
            yield data.train_x[chosen], data.train_y[chosen]

    _train(forward, [recurrent, scores], batches, epochs, rate)
    found = forward(data.test_x).argmax(dim=-1).numpy()
    return float((found == data.test_y).mean())


def bidirectional_recurrent_network(seed: int) -> float:
    """Return the share of letters told rightly by a GRU that reads both ways."""
    torch = _torch(seed)
    from graphc.zoo import bidirectional_recurrent_network as tagger

    data = [tagger.letters_and_ends(text) for text in manual()]
    vectors = torch.nn.Embedding(tagger.LETTERS, 24)
    gru = torch.nn.GRU(24, tagger.HIDDEN, batch_first=True, bidirectional=True)
    score = torch.nn.Linear(2 * tagger.HIDDEN, 1)

    def forward(letters: Any) -> Any:
        return score(gru(vectors(torch.tensor(letters)))[0])[..., 0]

    def loss(found: Any, y: Any) -> Any:
        return torch.nn.functional.binary_cross_entropy_with_logits(found, torch.tensor(y))

    _train(
        forward,
        [vectors, gru, score],
        lambda epoch: tagger.batches(data[0], 10 * epoch + seed),
        6,
        _cosine(6e-3, 700),
        loss,
    )
    with torch.no_grad():
        right = [((forward(x) > 0).numpy() == y).mean() for x, y in tagger.batches(data[1], 0)]
    return float(np.mean(right))


def character_models(seed: int) -> float:
    """Return the bits a character of the worse of an LSTM and a GRU."""
    torch = _torch(seed)
    known, test = map(encode, manual())
    steps, found = 2 * (len(known) // 64 // 32), []
    for layer in (torch.nn.LSTM, torch.nn.GRU):
        vectors, recurrent = torch.nn.Embedding(CHARACTERS, 32), layer(32, 128, batch_first=True)
        scores = torch.nn.Linear(128, CHARACTERS)
        forward = _reader(vectors, recurrent, scores)
        _train(
            forward,
            [vectors, recurrent, scores],
            lambda epoch: passages(known, 64, 32, 10 * epoch + seed),
            2,
            _cosine(6e-3, steps),
        )
        found.append(_bits(forward, passages(test, 64, 32, 0)))
    return max(found)


def _reader(vectors: Any, recurrent: Any, scores: Any) -> Callable[[Any], Any]:
    torch = importlib.import_module("torch")
    return lambda text: scores(recurrent(vectors(torch.tensor(text)))[0])


def _bits(forward: Callable[[Any], Any], batches: Iterable[Any]) -> float:
    torch = importlib.import_module("torch")
    with torch.no_grad():
        losses = [float(_cross_entropy(forward(x), y)) for x, y in batches]
    return float(np.mean(losses)) / math.log(2)


def truncated_backpropagation(seed: int) -> float:
    """Return the bits a character of a GRU whose state is handed on, detached."""
    torch = _torch(seed)
    from graphc.zoo.truncated_backpropagation import BATCH, HIDDEN, SEGMENT

    known, test = map(encode, manual())
    vectors, gru = torch.nn.Embedding(CHARACTERS, 32), torch.nn.GRU(32, HIDDEN, batch_first=True)
    scores, state = torch.nn.Linear(HIDDEN, CHARACTERS), torch.zeros(1, BATCH, HIDDEN)

    def forward(text: Any) -> Any:
        states, last = gru(vectors(torch.tensor(text)), state.clone())
        state.copy_(last.detach())
        return scores(states)

    def from_the_start(codes: Any) -> Iterator[Any]:
        state.zero_()
        yield from streams(codes, SEGMENT, BATCH)

    _train(forward, [vectors, gru, scores], lambda epoch: from_the_start(known), 2, 4e-3)
    return _bits(forward, from_the_start(test))


def long_dependency(seed: int) -> float:
    """Return the accuracy of an LSTM whose forget gates start open."""
    torch = _torch(seed)
    from graphc.zoo import long_dependency as task

    texts = [encode(text) for text in manual()]
    vectors = torch.nn.Embedding(CHARACTERS + task.MARKS, 32)
    lstm = torch.nn.LSTM(32, task.HIDDEN, batch_first=True)
    with torch.no_grad():
        lstm.bias_ih_l0[task.HIDDEN : 2 * task.HIDDEN] += 3.0
    scores = torch.nn.Linear(task.HIDDEN, task.MARKS)

    def forward(text: Any) -> Any:
        return scores(lstm(vectors(torch.tensor(text)))[0][:, -1])

    _train(
        forward,
        [vectors, lstm, scores],
        lambda epoch: task.batches(texts[0], 10 * epoch + seed),
        4,
        5e-3,
    )
    with torch.no_grad():
        right = [
            (forward(x).argmax(dim=-1).numpy() == y).mean()
            for x, y in task.batches(texts[1], 10**6)
        ]
    return float(np.mean(right))


def sequence_to_sequence(seed: int) -> float:
    """Return the share of words that the same encoder and decoder write backwards rightly."""
    torch = _torch(seed)
    from graphc.zoo import sequence_to_sequence as task

    words, hidden = task.read_words(), task.HIDDEN
    test, known = words[: len(words) // 5], words[len(words) // 5 :]
    vectors = torch.nn.Embedding(task.SYMBOLS, 32)
    encoder = torch.nn.GRU(32, hidden // 2, batch_first=True, bidirectional=True)
    decoder, query = torch.nn.GRUCell(32 + hidden, hidden), torch.nn.Linear(hidden, hidden)
    scores = torch.nn.Linear(2 * hidden, task.SYMBOLS)

    def write(words: Any, before: Any) -> Any:
        """Return the scores of all letters; without `before` the decoder reads its own."""
        states, last = encoder(vectors(torch.tensor(words)))
        state = torch.cat(list(last), dim=-1)
        seen, found = torch.zeros_like(state), []
        letter = torch.full((len(words),), task.START)
        for place in range(task.LENGTH):
            if before is not None:
                letter = torch.tensor(before[:, place])
            state = decoder(torch.cat([vectors(letter), seen], dim=-1), state)
            weights = torch.einsum("bh,bth->bt", query(state), states) / hidden**0.5
            seen = torch.einsum("bt,bth->bh", weights.softmax(dim=-1), states)
            found.append(scores(torch.cat([state, seen], dim=-1)))
            letter = found[-1].argmax(dim=-1)
        return torch.stack(found, dim=1)

    rate = _cosine(4e-3, 15 * (len(known) // task.BATCH))
    modules = [vectors, encoder, decoder, query, scores]
    _train(
        lambda x: write(*x),
        modules,
        lambda epoch: task.batches(known, 100 * epoch + seed),
        15,
        rate,
    )
    with torch.no_grad():
        written = write(test, None).argmax(dim=-1).numpy()
    return float((written == task.backwards(test)).all(axis=1).mean())


def transformer(seed: int) -> float:
    """Return the bits a character of the same GPT."""
    torch = _torch(seed)
    from graphc.zoo.transformer import BATCH, BLOCKS, HEADS, LENGTH, WIDTH

    known, test = map(encode, manual())
    nn = torch.nn
    vectors, places = nn.Embedding(CHARACTERS, WIDTH), nn.Embedding(LENGTH, WIDTH)
    for table in (vectors, places):
        nn.init.normal_(table.weight, 0, 0.1)
    block = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 4 * WIDTH, 0.0, nn.functional.gelu, batch_first=True, norm_first=True
    )
    blocks = nn.TransformerEncoder(block, BLOCKS, norm=nn.LayerNorm(WIDTH))
    scores, causal = nn.Linear(WIDTH, CHARACTERS), nn.Transformer.generate_square_subsequent_mask
    for parameter in [*blocks.parameters(), *scores.parameters()]:
        if parameter.ndim == 2:
            nn.init.xavier_uniform_(parameter)

    def forward(text: Any) -> Any:
        x = vectors(torch.tensor(text)) + places.weight[: text.shape[1]]
        return scores(blocks(x, mask=causal(text.shape[1])))

    def rate(step: int) -> float:
        """Return the rate of `graphc.optim.schedules.OneCycle`."""
        top, last = 0.3 * steps - 1, steps - 1
        share = step / top if step <= top else (last - step) / (last - top)
        first = 4e-3 / 25 if step <= top else 0.0
        return first + (4e-3 - first) * (1 - math.cos(math.pi * max(share, 0))) / 2

    steps = 4 * (len(known) // LENGTH // BATCH)
    _train(
        forward,
        [vectors, places, blocks, scores],
        lambda epoch: passages(known, LENGTH, BATCH, 10 * epoch + seed),
        4,
        rate,
    )
    return _bits(forward, passages(test, LENGTH, BATCH, 0))
