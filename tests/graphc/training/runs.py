"""A small training run that tests interrupt, resume and compare bit for bit.

As a program it trains in the directory that it is given, keeping a checkpoint after every batch,
and writes `final.npz` when it has ended.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim, training

RANDOM = np.random.default_rng(7)
X = RANDOM.normal(size=(50, 3)).astype(np.float32)
Y = (X.sum(axis=1) > 0).astype(np.int64)
TIMES = ("seconds", "samples_per_second")


def make_model(seed: int = 0) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 8, seed=seed), nn.Tanh(), nn.Linear(8, 2, seed=seed + 1))


def train(directory: Path | None, epochs: int, **options: Any) -> dict[str, Any]:
    """Train, going on from the checkpoint in `directory`, and return weights and figures."""
    model, optimizer = make_model(), optim.Adam(0.02)
    kept = None if directory is None else training.Checkpoint(directory / "run", every_batches=1)
    options = {"callbacks": [training.EarlyStopping(patience=3, minimum_change=0.01)], **options}
    history = graphc.fit(
        model, nn.cross_entropy, optimizer, (X, Y), epochs=epochs, batch_size=8, seed=5,
        validation=(X[:20], Y[:20]), metrics="accuracy", checkpoint=kept,
        resume=kept is not None, **options,
    )  # fmt: skip
    figures = {n: v for n, v in history.to_dict().items() if n not in TIMES}
    return {"figures": json.dumps(figures), **model.state_dict()}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Return whether two runs gave the same bits."""
    return list(a) == list(b) and all(np.array_equal(a[name], b[name]) for name in a)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    np.savez(place / "final.npz", **train(place, epochs=int(sys.argv[2])))
