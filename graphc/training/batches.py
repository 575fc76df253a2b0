"""From data to batches.

    data ::= tuple of arrays | array           cut into batches, shuffled anew in every epoch
           | function of the epoch, or of none  gives an iterator of batches for each epoch
           | iterable of batches                a list, a loader: iterated anew in every epoch

A tuple may nest: `(x, y)`, `((x1, x2), y)`, `({"a": x}, y)`. All arrays in it have one number of
samples. The order of an epoch depends on the seed, the epoch and the number of samples alone: the
samples are sorted by raw draws of PCG64, whose stream NumPy guarantees for ever (NEP 19). So an
epoch can be entered in the middle, to the same batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend.operands import as_array, fail
from graphc.frontend.structures import flatten, is_leaf, unflatten
from graphc.frontend.tracing import takes_keyword

__all__ = [
    "ArrayBatches",
    "Batches",
    "IterableBatches",
    "as_batches",
    "batch_size_of",
    "with_validation",
]


@dataclass(frozen=True, slots=True)
class ArrayBatches:
    """Batches cut from arrays in memory."""

    leaves: tuple[np.ndarray[Any, Any], ...]
    structure: Any
    batch_size: int
    seed: int
    shuffle: bool
    drop_last: bool

    @property
    def samples(self) -> int | None:
        """The number of samples of an epoch, if it is known."""
        count = len(self.leaves[0])
        return count - count % self.batch_size if self.drop_last else count

    @property
    def batches(self) -> int | None:
        """The number of batches of an epoch, if it is known."""
        return math.ceil((self.samples or 0) / self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches of an epoch, counted from 0, from batch number `start` on."""
        order = self._draw(epoch) if self.shuffle else None
        for batch in range(start, self.batches or 0):
            chosen = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
            places = chosen if order is None else order[chosen]
            yield unflatten(self.structure, [np.ascontiguousarray(a[places]) for a in self.leaves])

    def split(self, share: float) -> tuple[ArrayBatches, ArrayBatches]:
        """Return these batches without a share of the samples, and that share.

        It is drawn by the seed, and without shuffling the last samples. Raises GraphcValueError
        where one of the two would be empty.
        """
        total = len(self.leaves[0])
        count = round(share * total) if 0 < share < 1 else 0
        least = self.batch_size if self.drop_last else 1
        if not count or total - count < least:
            fail(
                GraphcValueError,
                f"validation={share} of {total} samples leaves no batch on one of the sides",
                hint="it is a share between 0 and 1, or data",
            )
        order = self._draw(0, 1) if self.shuffle else np.arange(total)
        places = np.sort(order[: total - count]), np.sort(order[total - count :])
        kept, held_out = (tuple(leaf[chosen] for leaf in self.leaves) for chosen in places)
        return (
            replace(self, leaves=kept),
            replace(self, leaves=held_out, shuffle=False, drop_last=False),
        )

    def _draw(self, *stream: int) -> np.ndarray[Any, Any]:
        """Return the samples in an order that the seed and the numbers of a stream fix."""
        draws = np.random.PCG64([self.seed, *stream]).random_raw(len(self.leaves[0]))
        return np.argsort(draws, kind="stable")


@dataclass(slots=True)
class IterableBatches:
    """Batches that the user makes."""

    make: Callable[[int], Iterable[Any]]
    is_one_shot: bool = False
    is_used: bool = False
    samples: int | None = None
    batches: int | None = None

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches of an epoch but the first `start`."""
        if self.is_one_shot and self.is_used:
            raise GraphcTypeError(
                "data is an iterator, which the first epoch has used up",
                hint="pass the function that makes it: fit(…, data=make_batches)",
            )
        self.is_used, count = True, start
        for batch in islice(self.make(epoch), start, None):
            count += 1
            yield _checked_batch(batch)
        if not count:
            raise GraphcValueError(f"data gave no batch in epoch {epoch + 1}")
        self.batches = count  # so many it will likely be again


Batches = ArrayBatches | IterableBatches


def as_batches(
    data: Any, batch_size: int, seed: int = 0, *, shuffle: bool = False, drop_last: bool = False
) -> Batches:
    """Return what gives the batches of `data`; see the head of this module."""
    if isinstance(data, tuple) or is_leaf(data):
        return _of_arrays(data, batch_size, seed, shuffle, drop_last)
    if callable(data) and not isinstance(data, Iterable):
        if takes_keyword(data, "epoch", or_any=False):
            return IterableBatches(lambda epoch: data(epoch=epoch))
        return IterableBatches(lambda _: data())
    if isinstance(data, Iterable):
        count = len(data) if isinstance(data, Sized) else None
        return IterableBatches(lambda _: data, isinstance(data, Iterator), batches=count)
    raise GraphcTypeError(
        f"data is arrays, a function or an iterable of batches, not {type(data).__name__}",
        hint="arrays come as a tuple: fit(…, data=(x, y))",
    )


def with_validation(
    training: Batches, validation: Any, batch_size: int
) -> tuple[Batches, Batches | None]:
    """Return the batches to train on and those to judge by, if there are such.

    `validation` is data, or a float: the share of the training data's samples to hold out.
    """
    if validation is None:
        return training, None
    if not isinstance(validation, float | np.floating):
        return training, as_batches(validation, batch_size)
    if not isinstance(training, ArrayBatches):
        fail(
            GraphcTypeError,
            "a share of the data is held out of arrays; these data are batches",
            hint="validation=(x, y), or an iterable of batches too",
        )
    return training.split(float(validation))


def _of_arrays(
    data: Any, batch_size: int, seed: int, shuffle: bool, drop_last: bool
) -> ArrayBatches:
    _check_count("batch_size", batch_size, 1)
    _check_count("seed", seed, 0)
    leaves, structure = flatten(_with_arrays(data))
    if not leaves:
        raise GraphcTypeError("data holds no arrays")
    counts = [len(a) if a.ndim else -1 for a in leaves]
    if min(counts) < 0 or len(set(counts)) > 1:
        shapes = ", ".join(str(a.shape) for a in leaves)
        raise ShapeError(f"the arrays of data have one number of samples, but shapes {shapes}")
    if counts[0] < (batch_size if drop_last else 1):
        raise GraphcValueError(f"data of {counts[0]} samples gives no batch of {batch_size}")
    return ArrayBatches(tuple(leaves), structure, int(batch_size), int(seed), shuffle, drop_last)


def _with_arrays(data: Any) -> Any:
    """Return `data` with lists of numbers as arrays, Python floats as float32."""
    if isinstance(data, tuple) and not hasattr(data, "_fields"):
        return tuple(_with_arrays(part) for part in data)
    if isinstance(data, dict):
        return {key: _with_arrays(part) for key, part in data.items()}
    return as_array(data)


def _check_count(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise GraphcTypeError(f"{name} is an integer, not {value!r}")
    if value < least:
        raise GraphcValueError(f"{name} is at least {least}, not {value}")


def _checked_batch(batch: Any) -> Any:
    """Return a batch of the user's: a tuple, of arrays."""
    if isinstance(batch, list):  # what many loaders give
        batch = tuple(batch)
    return _with_arrays(batch)


def batch_size_of(batch: Any) -> int:
    """Return the number of samples of a batch: the first extent of its first array."""
    leaves, _ = flatten(batch)
    if not leaves or not np.ndim(leaves[0]):
        raise ShapeError("a batch holds arrays, whose first axis is that of the samples")
    return len(leaves[0])
