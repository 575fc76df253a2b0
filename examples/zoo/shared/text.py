"""The text of the sequence networks: Python's own manual, as it comes inside of Python.

`pydoc_data.topics` holds about 450,000 characters of it. Of its pages one in ten is held out. White
space is a single space, and what is no printable ASCII character is left out, so that a character
is one of 95 numbers. Another version of Python has a slightly different manual.
"""

from __future__ import annotations

from collections.abc import Iterator
from pydoc_data import topics
from typing import Any

import numpy as np

from graphc.zoo.shared.data import order

__all__ = ["CHARACTERS", "decode", "encode", "manual", "passages", "streams"]

Array = np.ndarray[Any, Any]
CHARACTERS = 95  # from the space to the tilde


def manual() -> tuple[str, str]:
    """Return the text to train on, and the text held out."""
    pages = [" ".join(text.split()) for _, text in sorted(topics.topics.items())]
    places = order(len(pages), seed=3)
    held_out = len(pages) // 10
    parts = places[held_out:], places[:held_out]
    train, test = (" ".join(pages[p] for p in part) for part in parts)
    return train, test


def encode(text: str) -> Array:
    """Return the numbers of the characters."""
    codes = np.frombuffer(text.encode("ascii", "ignore"), np.uint8)
    return codes[(codes >= 32) & (codes < 127)].astype(np.int64) - 32


def decode(numbers: Array) -> str:
    """Return the text of some numbers."""
    return "".join(chr(int(number) + 32) for number in numbers)


def passages(codes: Array, length: int, batch: int, seed: int) -> Iterator[tuple[Array, Array]]:
    """Yield batches of passages, and what follows each of their characters: (batch, length) both.

    The passages do not overlap; where they begin and their order depend on the seed.
    """
    count = (len(codes) - length - 1) // length
    starts = length * order(count, seed=seed) + seed % length
    for first in range(0, count - batch + 1, batch):
        places = starts[first : first + batch, None] + np.arange(length)
        yield codes[places], codes[places + 1]


def streams(codes: Array, length: int, batch: int) -> Iterator[tuple[Array, Array]]:
    """Yield the same of `batch` parts of the text read on and on: a batch follows on the last."""
    part = (len(codes) - 1) // batch
    starts = part * np.arange(batch)[:, None]
    for first in range(0, part - length + 1, length):
        places = starts + first + np.arange(length)
        yield codes[places], codes[places + 1]
