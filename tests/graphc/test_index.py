"""Index expressions: simplification changes no value, and undoes splits and reshapes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping

import pytest

from graphc.index import Index, LoopVariable, as_index, delinearise, linearise

VARIABLES = [LoopVariable(n, e) for n, e in (("a", 3), ("b", 4), ("c", 8), ("d", 5))]
Meaning = Callable[[Mapping[str, int]], int]


def quotient(meaning: Meaning, divisor: int) -> Meaning:
    return lambda point: meaning(point) // divisor


def remainder(meaning: Meaning, divisor: int) -> Meaning:
    return lambda point: meaning(point) % divisor


def plus(meaning: Meaning, factor: int, name: str) -> Meaning:
    return lambda point: meaning(point) * factor + point[name]


def random_index(source: random.Random) -> tuple[Index, Meaning]:
    """Return an index made by random steps, and what it must be, in plain integers."""
    index = as_index(source.randint(-5, 5))
    for variable in VARIABLES:
        index = index + as_index(variable) * source.choice([0, 0, 1, 2, 4, 8, 12, -1])
    meaning: Meaning = index.evaluate
    for _ in range(source.randint(1, 5)):
        divisor = source.choice([1, 2, 3, 4, 8, 12, 24])
        step = source.randrange(4)
        if step == 0:
            index, meaning = index // divisor, quotient(meaning, divisor)
        elif step == 1:
            index, meaning = index % divisor, remainder(meaning, divisor)
        elif step == 2:
            index = (index // divisor) * divisor + index % divisor
        else:
            variable = source.choice(VARIABLES)
            index, meaning = index * 3 + as_index(variable), plus(meaning, 3, variable.name)
    return index, meaning


@pytest.mark.parametrize("seed", range(8))
def test_simplification_changes_no_value(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(40):
        index, meaning = random_index(source)
        low, high = index.bounds
        for values in itertools.product(*(range(v.extent) for v in VARIABLES)):
            point = {v.name: n for v, n in zip(VARIABLES, values, strict=True)}
            assert index.evaluate(point) == meaning(point), str(index)
            assert low <= meaning(point) <= high


@pytest.mark.parametrize("shape", [(4, 16, 16), (2, 4, 8, 16), (8, 128), (1024,), (2, 512)])
@pytest.mark.parametrize("width", [1, 8, 32, 64])
def test_the_offset_of_a_reshaped_loop_is_the_loop_again(
    shape: tuple[int, ...], width: int
) -> None:
    loop = LoopVariable("q", 1024)
    assert linearise(delinearise(as_index(loop), shape), shape) == as_index(loop)
    blocks, lane = LoopVariable("block", 1024 // width), LoopVariable("lane", width)
    split = as_index(blocks) * width + as_index(lane)
    found = linearise(delinearise(split, shape), shape)
    assert sorted(map(str, found.terms)) == sorted(map(str, split.terms))


def test_what_moves_in_units_is_divided_in_units() -> None:
    outer, inner = LoopVariable("outer", 1024), LoopVariable("inner", 64)
    number = as_index(outer) * 64 + as_index(inner)
    assert number // 4096 == as_index(outer) // 64
    assert number % 4096 == as_index(outer) % 64 * 64 + as_index(inner)
    wide = as_index(outer) * 64 + as_index(LoopVariable("inner", 65))
    assert str(wide // 4096) == "((64*outer + inner) floordiv 4096)"


def test_four_axes_read_as_blocks_have_the_offset_of_the_blocks() -> None:
    block, step, lane = LoopVariable("b", 256), LoopVariable("s", 1024), LoopVariable("l", 64)
    number = as_index(block) * 65536 + as_index(step) * 64 + as_index(lane)
    shape = (64, 64, 64, 64)
    found = linearise(delinearise(number, shape), shape)
    assert sorted(map(str, found.terms)) == sorted(map(str, number.terms))
