"""The measurement of accuracy: how errors are counted, and that no input is left out."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.accuracy import BLOCK, inputs_of, measure, ulp_errors

TINY = float(np.float32(1e-45))
LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize(
    ("result", "truth", "error"),
    [
        (1.0, 1.0, 0.0),
        (1.0 + 2**-23, 1.0, 1.0),
        (1.0, 1.0 + 2**-24, 0.5),
        (1.0 - 2**-24, 1.0, 0.5),
        (TINY, 0.0, 1.0),
        (0.0, TINY / 4, 0.25),
        (2 * TINY, TINY, 1.0),
        (np.inf, np.inf, 0.0),
        (np.inf, 1e300, 0.0),
        (np.inf, LARGEST, 1.0),
        (LARGEST, np.inf, 1.0),
        (-np.inf, np.inf, 2.0**25),
        (np.nan, np.nan, 0.0),
        (np.nan, 1.0, np.inf),
        (1.0, np.nan, np.inf),
        (0.0, -0.0, np.inf),
        (-0.0, -0.0, 0.0),
    ],
)
def test_errors_are_counted_in_units_of_the_last_place(
    result: float, truth: float, error: float
) -> None:
    assert ulp_errors(np.array([result], np.float32), np.array([truth])).tolist() == [error]


def test_every_input_is_there() -> None:
    blocks = inputs_of(1)
    first, second = next(blocks).view(np.uint32), next(blocks).view(np.uint32)
    assert (first == np.arange(BLOCK)).all() and second[0] == BLOCK
    *_, last = inputs_of(1 << 9)
    assert last.view(np.uint32)[-1] == 2**32 - 2**9
    assert sum(len(block) for block in inputs_of(1 << 9)) == 1 << 23


BOUNDS = [(name, 1.0) for name in ("exp", "log", "tanh", "erf", "sin", "cos")]


@pytest.mark.parametrize(("name", "bound"), [*BOUNDS, ("sigmoid", 2.0), ("gelu", 2.0)])
def test_functions_are_within_their_bounds_on_a_stride(name: str, bound: float) -> None:
    with np.errstate(all="ignore"):
        worst = measure(name, 1021)
    assert worst.count == 2 * BLOCK and 0.5 < worst.error < bound
