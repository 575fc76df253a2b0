"""Texts with a few small faults in them, for what reads texts: the same for the same seed."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

_PIECES = re.compile(r"\w+|\s+|.", re.DOTALL)


def mutations(text: str, count: int, seed: int) -> Iterator[str]:
    """Yield `count` texts, each `text` with one to three of its words or marks dropped, doubled,
    exchanged, or replaced by others of them."""
    generator = random.Random(seed)
    pieces = _PIECES.findall(text)
    for _ in range(count):
        changed = list(pieces)
        for _ in range(generator.randint(1, 3)):
            _mutate(changed, generator)
        yield "".join(changed)


def _mutate(pieces: list[str], generator: random.Random) -> None:
    at, other = (generator.randrange(len(pieces)) for _ in range(2))
    kind = generator.choice(["drop", "double", "exchange", "replace", "cut"])
    if kind == "drop":
        pieces[at] = ""
    elif kind == "double":
        pieces[at] *= 2
    elif kind == "exchange":
        pieces[at], pieces[other] = pieces[other], pieces[at]
    elif kind == "replace":
        pieces[at] = pieces[other]
    else:
        pieces[at] = pieces[at][: len(pieces[at]) // 2]
