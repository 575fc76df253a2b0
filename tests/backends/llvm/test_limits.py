"""The measured limits of the CPU: they are there for every level, and plausible in their order."""

from __future__ import annotations

import pytest

from graphc.backends.llvm import limits
from graphc.backends.llvm.machine import machine
from graphc.roofline import Limits
from tests.backends.llvm.harness import CPUS

CACHES = (32 * 1024, 256 * 1024, 4 * 1024 * 1024)


@pytest.fixture
def _briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS", dict.fromkeys(limits.SECONDS, 0.0))
    monkeypatch.setattr(limits, "_MEMORY_BYTES", 1 << 24)
    monkeypatch.setattr(limits, "_CACHE_RUN_BYTES", 1 << 20)


def measure(cpu: str, threads: int, caches: tuple[int, int, int] = CACHES) -> Limits:
    return limits.measure_limits.__wrapped__(machine(cpu), threads, caches)


@pytest.mark.usefixtures("_briefly")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("cpu", CPUS)
def test_every_level_has_limits(cpu: str, threads: int) -> None:
    found = measure(cpu, threads)
    sizes = [level.most_bytes for level in found.bandwidths]
    assert sizes == [threads * CACHES[1], CACHES[2], None]
    # a CPU of any age, however busy: a hundredth of an operation, a byte a cycle at most 64 lanes
    assert 1e6 < found.operations_per_second < 1e14 * threads
    assert all(1e6 < level.bytes_per_second < 1e13 * threads for level in found.bandwidths)
    assert found.threads == threads


@pytest.mark.usefixtures("_briefly")
def test_a_third_level_that_is_hardly_larger_than_the_second_is_left_out() -> None:
    found = measure("", 1, (32 * 1024, 1024 * 1024, 2 * 1024 * 1024))
    assert [level.most_bytes for level in found.bandwidths] == [1024 * 1024, None]


def test_limits_are_measured_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    first = limits.measure_limits(machine(""), 1, CACHES)
    monkeypatch.delattr(limits, "_Bench")
    assert limits.measure_limits(machine(""), 1, CACHES) is first
