"""Samples of Fourier transforms: lengths, factors and axes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.dtypes import DType
from graphc.op import Op
from tests.sample_values import Case, Shape, specials, values

_LENGTHS = (1, 2, 3, 4, 7, 8, 13, 30)
_NORMS = ("backward", "ortho", "forward")


def transforms(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    for n, norm in itertools.product(_LENGTHS, _NORMS):
        yield Case((values((n,), dtype, rng, op.domain[0]),), {"axes": (0,), "norm": norm})
    rows: tuple[tuple[tuple[Shape], dict[str, Any]], ...] = (
        (((3, 5),), {"axes": (0,)}), (((3, 5),), {"axes": (0, 1)}), (((0, 4),), {"axes": (1,)}),
        (((2, 3, 4),), {"axes": (0, 2)}), (((2, 3),), {"axes": ()}), (((1, 1),), {"axes": (0, 1)}),
    )  # fmt: skip
    for (shape,), axes in rows:
        yield Case((values(shape, dtype, rng, op.domain[0]),), {**axes, "norm": "backward"})
    yield Case((specials(dtype),), {"axes": (0,), "norm": "ortho"})


def transforms_of_real(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    """Yield signals, or halves of transforms: all but that the ends of a half are real, too."""
    for n, norm in itertools.product(_LENGTHS, _NORMS):
        yield _signal(op, (), (), n, norm, dtype, rng)
    for before, after in (((3,), ()), ((), (3,)), ((2,), (3,)), ((0,), ()), ((2, 0), (2,))):
        for n in (4, 5):
            yield _signal(op, before, after, n, "backward", dtype, rng)


def _signal(
    op: Op, before: Shape, after: Shape, n: int, norm: str, dtype: DType, rng: np.random.Generator
) -> Case:
    is_half = op.name == "irfft"
    shape = (*before, n // 2 + 1 if is_half else n, *after)
    attributes: dict[str, Any] = {"axis": len(before), "norm": norm}
    data = values(shape, dtype, rng, op.domain[0])
    return Case((data,), attributes | ({"n": n} if is_half else {}))
