"""The CPU: its name, its features, its caches, and LLVM's target machine for it.

Code is made for the host, or for a lesser level of it (`GRAPHC_CPU`, or the name of a `Target`):
x86-64-v2 (SSE4.2), v3 (AVX2 and FMA) or v4 (AVX-512). A level that this host lacks is refused,
since its code would stop the process at the first unknown instruction.
"""

from __future__ import annotations

import functools
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from graphc import settings
from graphc.backends.llvm.library import host
from graphc.backends.llvm.module import Features
from graphc.backends.llvm.order import FULL_LEVEL, Order
from graphc.errors import BackendError
from graphc.target import Target

# what each level adds, by LLVM's names (System V psABI for AMD64, section 3.1.1)
_ADDED_BY_LEVEL = {
    "x86-64": "cmov cx8 fxsr mmx sse sse2",
    "x86-64-v2": "cx16 popcnt sse3 sse4.1 sse4.2 ssse3",
    "x86-64-v3": "avx avx2 bmi bmi2 f16c fma lzcnt movbe",
    "x86-64-v4": "avx512f avx512bw avx512cd avx512dq avx512vl",
}
# words in a register that is permuted by another, for each width of registers in bytes
_PERMUTATION = {64: 16, 32: 8, 16: 0}
LEVELS = tuple(_ADDED_BY_LEVEL)


@dataclass(frozen=True)
class Machine:
    """A CPU to compile for: LLVM's name of it, what it has, and the flags that say so to LLVM."""

    name: str
    features: frozenset[str]
    flags: str
    triple: str
    version: tuple[int, ...]  # of LLVM

    def order(self, level: int = FULL_LEVEL) -> Order:
        """Return what code for it is made for, with so much care (0 to 3)."""
        return Order(self.triple, self.name, self.flags, level)

    @property
    def code_features(self) -> Features:
        """What the emitter needs to know."""
        is_x86 = platform.machine() in ("x86_64", "AMD64")
        return Features(
            fma=not is_x86 or "fma" in self.features,
            half="f16c" in self.features,
            dot_bfloat16=is_x86 and {"avx512bf16", "avx512vl"} <= self.features,
            dot_int8=is_x86 and {"avx512vnni", "avx512vl"} <= self.features,
            scale=is_x86 and {"avx512f", "avx512vl"} <= self.features,
            multiply_add=self.vector_bytes if is_x86 else 0,
            permutation=_PERMUTATION[self.vector_bytes] if is_x86 else 0,
            fence="call void @llvm.x86.sse.sfence()" if is_x86 else "",
        )

    @property
    def vector_bytes(self) -> int:
        """The width of its vector registers."""
        if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= self.features:
            return 64
        return 32 if "avx2" in self.features else 16


def level_features(level: str) -> frozenset[str]:
    """Return every feature of an x86-64 level."""
    below = LEVELS[: LEVELS.index(level) + 1]
    return frozenset(name for one in below for name in _ADDED_BY_LEVEL[one].split())


@functools.cache
def machine(cpu: str = "") -> Machine:
    """Return the machine called `cpu`, empty for the host.

    Raises BackendError for a level that the host lacks, and for names that are no level.
    """
    own = host()
    if cpu in ("", own.cpu):
        flags = ",".join(f"+{name}" for name in sorted(own.features))
        return Machine(own.cpu, own.features, flags, own.triple, own.version)
    if cpu not in LEVELS:
        raise BackendError(
            f"cannot compile for the CPU {cpu!r} on this {own.cpu}",
            hint=f"GRAPHC_CPU is one of {', '.join(LEVELS)}, or unset",
        )
    missing = level_features(cpu) - own.features
    if missing:
        lacks = ", ".join(sorted(missing))
        raise BackendError(f"this CPU ({own.cpu}) is no {cpu}: it lacks {lacks}")
    return Machine(cpu, level_features(cpu), "", own.triple, own.version)


def machine_of(target: Target) -> Machine:
    """Return the machine that `target` names; the host where it names none that LLVM knows."""
    return machine(target.name if target.name in LEVELS else "")


def describe(cpu: str | None = None) -> Target:
    """Return `cpu` as a target; by default what GRAPHC_CPU asks for, else the host."""
    chosen = machine(settings.cpu() if cpu is None else cpu)
    registers = 32 if chosen.vector_bytes == 64 or "neon" in chosen.features else 16
    return Target(
        name=chosen.name,
        kind="cpu",
        vector_bytes=chosen.vector_bytes,
        vector_registers=registers,
        cores=settings.thread_count() or available_cores(),
        cache_bytes=_cache_bytes(),
    )


def available_cores() -> int:
    """Return how many cores this process may use: its affinity and its cgroup's quota."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    quota = _quota()
    return max(1, min(allowed, quota) if quota else allowed)


def _quota(
    root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> int | None:
    """Return the cores that the control groups around this process grant; None without a limit.

    A group's limit holds for the groups inside it. Version 2 has one tree, version 1 one for CPUs.
    """
    granted = []
    for line in _read(membership).splitlines():
        _, controllers, name = line.split(":", 2)
        top = root / "cpu" if "cpu" in controllers.split(",") else root
        if top != root or not controllers:
            inner = top / name.lstrip("/")
            granted += [_group_quota(folder) for folder in (inner, *inner.parents)]
    granted += [_group_quota(root), _group_quota(root / "cpu")]
    return min((cores for cores in granted if cores), default=None)


def _group_quota(folder: Path) -> int | None:
    """Return the cores that one group grants, rounded up; None without a limit."""
    words = _read(folder / "cpu.max").split()
    if not words:
        words = [_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")]
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:
        return None
    return -(-int(words[0]) // int(words[1]))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _cache_bytes(root: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> tuple[int, int, int]:
    """Return the sizes of the data caches of one core; usual ones where the system does not say."""
    sizes = {1: 32 * 1024, 2: 1024 * 1024, 3: 16 * 1024 * 1024}
    for folder in sorted(root.glob("index*")):
        level, size = _read(folder / "level"), _read(folder / "size")
        if _read(folder / "type") == "Instruction" or not level.isdigit():
            continue
        digits = size.rstrip("KM")
        if digits.isdigit() and int(level) in sizes:
            sizes[int(level)] = int(digits) * (1024 if size.endswith("K") else 1024**2)
    return sizes[1], sizes[2], sizes[3]
