"""Random bits: Threefry-2x32 with 20 rounds, a generator that counts instead of remembering.

A key is a tensor of two uint32 words. Under it every 64-bit count has a block of two random words,
which depends on nothing else: the element at place i of a tensor takes block i, in row-major order.
So the same key gives the same bits on every backend and with any number of threads, and each
element is computed where it is used, in the kernel that uses it. Keys, splits and bits are those of
JAX (`jax.random` with `jax_threefry_partitionable`, its default).

Source: Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3 (2011), table 2
and section 3.3. Their test vectors are in tests/frontend/test_threefry.py.
"""

from __future__ import annotations

import math
import operator
from typing import SupportsIndex, TypeAlias

import numpy as np

from graphc.dtypes import uint32, uint64
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import constructors, elementwise, shapes
from graphc.frontend.operands import apply, as_node, fail, integer_text
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.tensor_type import ShapeLike, as_shape

__all__ = ["bits", "fold_in", "key", "split"]

Words: TypeAlias = tuple[Tensor, Tensor]

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))  # the first four rounds, the next four, and so on
PARITY = np.uint32(0x1BD11BDA)
LARGEST = 2**32  # elements of one draw


def key(seed: int | Tensor) -> np.ndarray[tuple[int], np.dtype[np.uint32]] | Tensor:
    """Return the key of a seed: its upper and its lower 32 bits; -1 is 2**64 - 1, and so on.

    Of a Python integer it is an array, to be passed to compiled functions or used in them; of an
    integer tensor, a tensor. Raises GraphcTypeError for a seed of another kind, and
    GraphcValueError for an integer that 64 bits do not hold.

    >>> key(2**32 + 7)
    array([1, 7], dtype=uint32)
    """
    if isinstance(seed, Tensor):
        number = _integer("key: a seed", seed).astype(uint64)
        return shapes.stack([_upper(number), number.astype(uint32)])
    try:
        number_ = operator.index(seed)
    except TypeError:
        fail(GraphcTypeError, f"key: a seed is an integer, not {seed!r}")
    if not -(2**63) <= number_ < 2**64:
        fail(
            GraphcValueError,
            f"key: the seed {integer_text(number_)} does not fit 64 bits",
            hint="graphc.random.fold_in(key, number) takes in more bits",
        )
    return np.array([number_ >> 32 & 0xFFFFFFFF, number_ & 0xFFFFFFFF], np.uint32)


def _upper(number: Tensor) -> Tensor:
    return (number >> np.uint64(32)).astype(uint32)


def _integer(what: str, value: TensorLike) -> Tensor:
    node = as_node(value)
    if node.shape or not node.type.dtype.is_integer:
        fail(GraphcTypeError, f"{what} is one integer, not {node.type}", [node])
    return Tensor(node)


def words_of(key: TensorLike) -> Words:
    """Return the two words of a key; raises GraphcTypeError for what is none."""
    node = as_node(key)
    if node.shape != (2,) or node.type.dtype is not uint32:
        fail(
            GraphcTypeError,
            f"a key is a tensor of two uint32, not of the type {node.type}",
            [node],
            "graphc.random.key(seed) makes one; graphc.random.split(key) more",
        )
    return Tensor(node)[0], Tensor(node)[1]


def split(key: TensorLike, count: int = 2) -> Tensor:
    """Return `count` new keys, in the shape (count, 2); the old one is not to be used again.

    A key is split or folded, not both: the first of its splits is what it gives folded with 0.

    >>> first, second = split(np.uint32([0, 42]))
    >>> first.type
    TensorType(shape=(2,), dtype=graphc.uint32)
    """
    return _keys(words_of(key), constructors.iota((operator.index(count), 2), 0, uint32))


def fold_in(key: TensorLike, number: TensorLike) -> Tensor:
    """Return the key that belongs to `key` and an integer, for example the number of a step.

    The integer is taken modulo 2**32.
    """
    count = _integer("fold_in: a number", number).astype(uint32)
    return _keys(words_of(key), shapes.broadcast_to(count, (2,)))


def _keys(key: Words, counts: Tensor) -> Tensor:
    """Return the blocks of counts that are equal along the last axis, one word at each place.

    Not two tensors put together: so whatever needs keys takes one kernel, and no copy.
    """
    first, second = threefry(key, (constructors.zeros_like(counts), counts))
    place = constructors.iota(counts.shape, -1, uint32)
    return elementwise.where(place == np.uint32(0), first, second)


def bits(key: TensorLike, shape: ShapeLike = ()) -> Tensor:
    """Return random 32-bit words, uint32, in a shape.

    >>> bits(np.uint32([0, 42]), (2, 3)).type
    TensorType(shape=(2, 3), dtype=graphc.uint32)
    """
    first, second = blocks(key, shape)
    return first ^ second


def blocks(key: TensorLike, shape: ShapeLike) -> Words:
    """Return two tensors of random words, the block of each element's place.

    Raises ShapeError for more than 2**32 elements.
    """
    extents = as_shape(shape)
    if math.prod(extents) > LARGEST:
        fail(ShapeError, f"{extents} has more than 2**32 elements", hint="split the key")
    places = apply("iota", shape=(math.prod(extents),), axis=0, dtype=uint32)
    counts = shapes.reshape(Tensor(places), extents)
    return threefry(words_of(key), (constructors.zeros(extents, uint32), counts))


def threefry(key: Words, counts: Words) -> Words:
    """Return the blocks of `counts`, upper and lower words, under the words of a key."""
    schedule = (*key, key[0] ^ key[1] ^ PARITY)
    first, second = counts[0] + schedule[0], counts[1] + schedule[1]
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            first = first + second
            second = _rotated(second, rotation) ^ first
        first = first + schedule[(group + 1) % 3]
        second = second + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return first, second


def _rotated(x: Tensor, count: SupportsIndex) -> Tensor:
    left, right = np.uint32(operator.index(count)), np.uint32(32 - operator.index(count))
    return (x << left) | (x >> right)
