"""Data that travels with the package: real handwritten digits, split once and for all.

The arrays are read from `graphc/data/digits.npz` (origin and licences in `digits.md` beside it) on
every call, so a caller may write to what it gets. Nothing is downloaded and nothing is cached.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

TRAIN_COUNT = 1437
SPLIT_SEED = 20261122


@dataclass(frozen=True, slots=True)
class Digits:
    """Images as rows of 64 pixels, float32 in [0, 1], and their labels, int64 in 0..9."""

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"<digits: {len(self.train_labels)} to train on, {len(self.test_labels)} held out>"


def load_digits() -> Digits:
    """Return the 1,797 handwritten digits: 1,437 to train on and 360 held out.

    A pixel is the count of inked points (0 to 16) over 16, rows of the image one after another. The
    split is `split_order`, the same in every process and version of NumPy; it does not balance the
    classes. Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, 1998.

    >>> load_digits().train_images.shape
    (1437, 64)
    """
    path = resources.files("graphc") / "data" / "digits.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"]
    order = split_order(len(labels))
    rows = images.reshape(len(images), -1)[order].astype(np.float32) / np.float32(16)
    classes = labels[order].astype(np.int64)
    return Digits(
        rows[:TRAIN_COUNT], classes[:TRAIN_COUNT], rows[TRAIN_COUNT:], classes[TRAIN_COUNT:]
    )


def split_order(count: int) -> NDArray[np.int64]:
    """Return the order of `count` samples: sorted by raw 64-bit draws of PCG64 seeded `SPLIT_SEED`.

    NumPy guarantees the raw stream of a bit generator for ever (NEP 19), `Generator.permutation`
    it does not.
    """
    draws = np.random.PCG64(SPLIT_SEED).random_raw(count)
    return np.argsort(draws, kind="stable").astype(np.int64)
