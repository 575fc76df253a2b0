"""The kernels that measure the machine: that they do the work whose speed is reported."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.limits import CHAINS, Kernels, aligned, source


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    return Kernels()


def test_multiply_adds_are_done(kernels: Kernels) -> None:
    data = aligned(64)
    data[: kernels.width] = 0.5
    kernels["fma"](data.ctypes.data, 0, 2)
    twice = (0.5 * 0.5 + 0.5) * 0.5 + 0.5  # each chain: a := a x + x, twice
    assert np.allclose(data[: kernels.width], CHAINS * twice)
    assert np.all(data[kernels.width :] == 1)


def test_all_is_read(kernels: Kernels) -> None:
    source, total = aligned(4096), aligned(64)
    source[:] = np.arange(4096) % 7
    kernels["read"](source.ctypes.data, total.ctypes.data, 4096 // kernels.width)
    assert total[: kernels.width].sum() == source.sum()


@pytest.mark.parametrize("name", ["copy", "copy_cached"])
def test_all_is_copied(kernels: Kernels, name: str) -> None:
    source, copied = aligned(4096), aligned(4096 + 16)
    source[:] = np.arange(4096)
    kernels[name](source.ctypes.data, copied.ctypes.data, 4096 // kernels.width)
    assert np.array_equal(copied[:4096], source)
    assert np.all(copied[4096:] == 1)


def test_arrays_are_aligned() -> None:
    assert all(aligned(n).ctypes.data % 64 == 0 for n in (1, 17, 4096))
    assert aligned(17).shape == (17,)


@pytest.mark.parametrize("width", [4, 8, 16])
def test_kernels_are_spelled_for_every_width(width: int) -> None:
    text = source(width)
    assert f"<{width} x float>" in text
    assert text.count("define void") == 4
