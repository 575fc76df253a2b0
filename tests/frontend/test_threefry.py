"""Threefry against the published test vectors, NumPy, and the streams that JAX gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc
from graphc import random
from graphc.backends.llvm import BACKEND as LLVM
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend.threefry import threefry
from tests.frontend.evaluation import run, same, value
from tests.test_random_graphs import TARGETS, assert_same_bits
from tests.test_random_graphs import run as run_on

# Counter, key and block: the file kat_vectors of Random123, threefry2x32 with 20 rounds.
KNOWN = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]
# What jax.random 0.10 gives for key(42), with jax_threefry_partitionable, its default.
JAX_BITS = [[2098992034, 2919706841, 2646866425], [2409546199, 1935504149, 2516274904]]
JAX_SPLIT = [[1832780943, 270669613], [64467757, 2916123636], [2465931498, 255383827]]
JAX_FOLDED = [2547012911, 1371500959]


@pytest.mark.parametrize(("counter", "key", "block"), KNOWN)
def test_published_vectors(counter: Any, key: Any, block: Any) -> None:
    def both(words: Any, counts: Any) -> Any:
        return threefry((words[0], words[1]), (counts[0], counts[1]))

    found = run(both, np.array(key, np.uint32), np.array(counter, np.uint32))
    assert tuple(int(word) for word in found) == block


def reference(key: Any, high: Any, low: Any) -> tuple[Any, Any]:
    """Threefry in NumPy's own arithmetic, as the paper has it."""
    schedule = [key[0], key[1], key[0] ^ key[1] ^ np.uint32(0x1BD11BDA)]
    words = [high + schedule[0], low + schedule[1]]
    rotations = [13, 15, 26, 6, 17, 29, 16, 24]
    for number in range(20):
        words[0] = words[0] + words[1]
        turn = np.uint32(rotations[number % 8])
        words[1] = (words[1] << turn | words[1] >> np.uint32(32 - turn)) ^ words[0]
        if number % 4 == 3:
            place = number // 4 + 1
            words[0] = words[0] + schedule[place % 3]
            words[1] = words[1] + schedule[(place + 1) % 3] + np.uint32(place)
    return words[0], words[1]


def test_the_block_of_an_element_depends_on_its_place_alone() -> None:
    key = np.array([123, 2**32 - 5], np.uint32)
    places = np.arange(1001, dtype=np.uint32)
    expected = np.bitwise_xor(*reference(key, np.zeros_like(places), places))
    for shape in ((1001,), (7, 143), (1, 11, 7, 13)):
        bits = graphc.compile(lambda k, shape=shape: random.bits(k, shape))
        same(bits(key), expected.reshape(shape))


def test_keys_bits_splits_and_folds_are_those_of_jax() -> None:
    key = random.key(42)
    assert isinstance(key, np.ndarray)
    same(key, np.array([0, 42], np.uint32))
    same(value(random.bits(key, (2, 3))), np.array(JAX_BITS, np.uint32))
    same(value(random.split(key, 3)), np.array(JAX_SPLIT, np.uint32))
    same(value(random.fold_in(key, 7)), np.array(JAX_FOLDED, np.uint32))


def test_keys_of_large_negative_and_symbolic_seeds() -> None:
    same(random.key(-1), np.array([2**32 - 1, 2**32 - 1], np.uint32))
    same(random.key(2**64 - 1), np.array([2**32 - 1, 2**32 - 1], np.uint32))
    for seed in (-1, 2**33 + 3, 7):
        same(run(random.key, np.int64(seed)), random.key(seed))
    same(run(random.fold_in, random.key(42), np.int64(7)), np.array(JAX_FOLDED, np.uint32))


def test_every_cpu_level_gives_the_same_bits() -> None:
    key = graphc.input((2,), "uint32", "key")
    node = random.bits(key, (33, 65)).node
    graph = graphc.Graph([key.node], [node])
    values = [run_on(LLVM, graph, [random.key(5)], target)[0] for target in TARGETS]
    for found, target in zip(values, TARGETS, strict=True):
        assert_same_bits(values[0], found, target.name)
    places = np.arange(33 * 65, dtype=np.uint32)
    expected = np.bitwise_xor(*reference(random.key(5), np.zeros_like(places), places))
    same(values[0], expected.reshape(33, 65))


def test_misuse_is_refused() -> None:
    for wrong in (0, np.zeros(2, np.int32), np.zeros((2, 2), np.uint32), np.array([1], np.uint32)):
        with pytest.raises(GraphcTypeError, match=r"a key is a tensor of two uint32.*\n.*") as info:
            random.bits(wrong, (3,))
        assert "graphc.random.key(seed) makes one" in str(info.value)
    with pytest.raises(GraphcTypeError, match="a seed is an integer"):
        random.key(1.5)  # type: ignore[arg-type]  # the mistake under test
    for seed in (2**70, 2**64, -(2**63) - 1):
        with pytest.raises(GraphcValueError, match="does not fit 64 bits"):
            random.key(seed)
    with pytest.raises(GraphcTypeError, match="a seed is one integer"):
        random.key(graphc.input((2,), "int32"))
    with pytest.raises(GraphcTypeError, match="a number is one integer"):
        random.fold_in(random.key(0), 1.5)
    with pytest.raises(ShapeError, match=r"more than 2\*\*32 elements"):
        random.bits(random.key(0), (2**20, 2**13))
