"""The roofline model: whichever of bytes and operations takes longer."""

from __future__ import annotations

from graphc.roofline import Bandwidth, Limits

LIMITS = Limits(2, 1e9, (Bandwidth(1000, 4e9), Bandwidth(None, 1e9)))


def test_a_bandwidth_is_that_of_the_nearest_level_that_holds_the_bytes() -> None:
    assert [LIMITS.bandwidth(n) for n in (0, 1000, 1001, 10**12)] == [4e9, 4e9, 1e9, 1e9]


def test_bytes_or_operations_bound_the_time() -> None:
    assert LIMITS.least_seconds(1000, 1) == 1000 / 4e9
    assert LIMITS.least_seconds(8, 1000) == 1000 / 1e9
    assert LIMITS.least_seconds(0, 0) == 0


def test_wide_elements_take_twice_as_long_and_narrow_ones_as_long_as_float32() -> None:
    assert LIMITS.least_seconds(0, 1000, itemsize=8) == 2000 / 1e9
    assert LIMITS.least_seconds(0, 1000, itemsize=2) == 1000 / 1e9
