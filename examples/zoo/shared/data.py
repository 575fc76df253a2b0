"""Real data, split once and for all into a part to train on and one held out.

All of it comes inside of packages: nothing is downloaded. Splits and shuffles are sorted raw draws
of PCG64, the same with every version of NumPy.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.datasets import load_digits
from graphc.errors import BackendError

__all__ = ["Split", "breast_cancer", "digits", "external", "faces", "order", "photograph", "split"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Split:
    """Inputs and targets to train on, and held out."""

    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array

    @property
    def train(self) -> tuple[Array, Array]:
        """What to train on."""
        return self.train_x, self.train_y

    @property
    def test(self) -> tuple[Array, Array]:
        """What was held out."""
        return self.test_x, self.test_y


def order(count: int, seed: int = 0) -> Array:
    """Return the numbers below `count` in the order of raw draws of PCG64."""
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")


def split(x: Array, y: Array, held_out: float = 0.25) -> Split:
    """Split samples, always the same way."""
    chosen = order(len(x), seed=20261127)
    count = round(len(x) * held_out)
    test, train = chosen[:count], chosen[count:]
    return Split(x[train], y[train], x[test], y[test])


def external(module: str, package: str) -> Any:
    """Import a module of the `examples` extra; raises BackendError that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise BackendError(
            f"this network needs {package}",
            hint="pip install '.[examples]', where graphc's source is",
        ) from None


def digits() -> Split:
    """Return 1,437 and 360 handwritten digits: rows of 64 pixels in 0 … 1, and labels."""
    found = load_digits()
    return Split(found.train_images, found.train_labels, found.test_images, found.test_labels)


def breast_cancer() -> Split:
    """Return 427 and 142 tumours: 30 measurements, standardised on the former; 1 is benign."""
    x, y = external("sklearn.datasets", "scikit-learn").load_breast_cancer(return_X_y=True)
    found = split(x.astype(np.float32), y.astype(np.int64))
    mean, deviation = found.train_x.mean(axis=0), found.train_x.std(axis=0)
    scaled = ((part - mean) / deviation for part in (found.train_x, found.test_x))
    return Split(next(scaled), found.train_y, next(scaled), found.test_y)


def faces() -> Array:
    """Return 100 photographs of faces: rows of 25 x 25 pixels in 0 … 1."""
    images: Array = external("skimage.data", "scikit-image").lfw_subset()[:100]
    return images.reshape(100, -1).astype(np.float32)


def photograph() -> Array:
    """Return a photograph of 256 x 256 grey pixels in 0 … 1: a man with a camera."""
    image: Array = external("skimage.data", "scikit-image").camera().astype(np.float32) / 255
    smaller: Array = image.reshape(256, 2, 256, 2).mean(axis=(1, 3))
    return smaller
