"""The limits of the CPU, measured by kernels of our own: the peak of arithmetic, and bandwidths.

    multiply_add   independent chains of vector multiply-adds that stay in registers
    read           the sum of an array, in several accumulators
    copy           one half of an array written to the other past the caches; counts both

They run on the team, each thread over its own part of memory. The best of several runs counts, so
that other processes disturb little; a busy machine still gives less than a quiet one.
"""

from __future__ import annotations

import ctypes
import functools
import time

import numpy as np

from graphc.backends.llvm import team
from graphc.backends.llvm.compilation import compile_module
from graphc.backends.llvm.layout import DISPATCH
from graphc.backends.llvm.machine import Machine
from graphc.dtypes import uint8
from graphc.roofline import Bandwidth, Limits
from graphc.state import aligned_empty
from graphc.tensor_type import TensorType

# For each kernel over each array: enough for a moment in which all threads run at once. The peak of
# arithmetic is found from few cycles, but on a busy machine such moments are rare.
SECONDS = {"multiply_add": 0.1, "read": 0.03, "copy": 0.03}
_LEAST_RUNS = 3
_MEMORY_BYTES = 128 * 1024**2
_MOST_CACHE_BYTES = 64 * 1024**2  # larger third-level caches are shared with other machines
_MULTIPLY_ADD_ROUNDS = 1 << 17
_CACHE_RUN_BYTES = 1 << 25  # read so often that a run takes about a millisecond
_UNROLLED = 8
_JOBS = ("multiply_add", "read", "copy")


@functools.cache
def measure_limits(machine: Machine, threads: int, cache_bytes: tuple[int, int, int]) -> Limits:
    """Return what `threads` threads reach on this machine; measured once in a process."""
    return _Bench(machine, threads).limits(cache_bytes)


class _Bench:
    """The compiled kernels, and the memory that they work on."""

    def __init__(self, machine: Machine, threads: int) -> None:
        imports = {DISPATCH: team.symbols()["run"]}
        self._code = compile_module(_text(machine, threads), machine, _JOBS, imports)
        self._vector_bytes, self._threads = machine.vector_bytes, threads
        self._chains = _chains(machine)
        self._memory = aligned_empty(TensorType((_MEMORY_BYTES,), uint8))
        self._memory[...] = 0  # the pages are there, and the numbers are zeros

    def limits(self, cache_bytes: tuple[int, int, int]) -> Limits:
        _, second, third = cache_bytes
        lanes = self._vector_bytes // 4
        operations = 2 * lanes * self._chains * _MULTIPLY_ADD_ROUNDS
        peak = max(self._rates("multiply_add", 0, _MULTIPLY_ADD_ROUNDS, operations))
        levels = [(second * self._threads, second * self._threads // 2)]
        third = min(third, _MOST_CACHE_BYTES)
        if third > 2 * levels[0][0]:
            levels.append((third, third // 2))
        near = [Bandwidth(most, self._bandwidth(size)) for most, size in levels]
        far = Bandwidth(None, self._bandwidth(_MEMORY_BYTES))
        return Limits(self._threads, peak, (*near, far))

    def _bandwidth(self, nbytes: int) -> float:
        """Return the best bytes a second over an array of so many bytes in all."""
        unit = 2 * _UNROLLED * self._vector_bytes
        part = min(nbytes, _MEMORY_BYTES) // self._threads // unit * unit
        rounds = max(1, _CACHE_RUN_BYTES // part)
        reads = self._rates("read", part, rounds, part * rounds)
        return max(reads + self._rates("copy", part, rounds, part * rounds))

    def _rates(self, job: str, part: int, rounds: int, work: int) -> list[float]:
        """Run a job several times; `work` is what one thread does. Returns work a second."""
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
        entry = prototype(self._code.address(job))
        start = int(self._memory.__array_interface__["data"][0])
        table = np.array([start, part, rounds, 0], np.int64)
        address = team.address(self._threads)
        rates: list[float] = []
        begin = time.perf_counter()
        deadline = begin + SECONDS[job]
        while len(rates) < _LEAST_RUNS or begin < deadline:
            entry(table.ctypes.data, address)
            end = time.perf_counter()
            # fewer threads than asked for, where another call has the team
            rates.append(int(table[3]) * work / (end - begin))
            begin = end
        return rates


def _chains(machine: Machine) -> int:
    """Return how many accumulators hide the latency and fit into the registers."""
    return 24 if machine.vector_bytes == 64 else 12


def _text(machine: Machine, threads: int) -> str:
    lanes = machine.vector_bytes // 4
    vector = f"<{lanes} x float>"
    bodies = {
        "multiply_add": _multiply_add(vector, lanes, _chains(machine), machine.code_features.fma),
        "read": _read(vector),
        "copy": _copy(vector),
    }
    jobs = [
        _JOB.format(name=name, body=body, vector=vector, threads=threads, run=DISPATCH)
        for name, body in bodies.items()
    ]
    return "\n".join([f"declare void @{DISPATCH}(ptr, ptr, ptr, i64)", *jobs, "!0 = !{i32 1}"])


# What a thread does is `rounds` times over `bytes` bytes from its own `start`.
_JOB = """\
define internal void @{name}.job(ptr %table, ptr %team, i64 %thread, i64 %threads) {{
entry:
  %memory = load ptr, ptr %table
  %bytes.at = getelementptr i64, ptr %table, i64 1
  %bytes = load i64, ptr %bytes.at
  %rounds.at = getelementptr i64, ptr %table, i64 2
  %rounds = load i64, ptr %rounds.at
  %offset = mul i64 %thread, %bytes
  %start = getelementptr i8, ptr %memory, i64 %offset
  %half = lshr i64 %bytes, 1
  %first = icmp eq i64 %thread, 0
  br i1 %first, label %say, label %begin
say:
  %threads.at = getelementptr i64, ptr %table, i64 3
  store i64 %threads, ptr %threads.at
  br label %begin
begin:
{body}
  ret void
}}

define void @{name}(ptr %table, ptr %team) {{
  call void @{run}(ptr %team, ptr @{name}.job, ptr %table, i64 {threads})
  ret void
}}
"""


def _multiply_add(vector: str, lanes: int, chains: int, has_fma: bool) -> str:
    lines = [f"  %x = load {vector}, ptr %start, align 64", "  br label %loop", "loop:"]
    lines.append("  %i = phi i64 [ 0, %begin ], [ %i.next, %loop ]")
    lines += [f"  %a{c} = phi {vector} [ %x, %begin ], [ %b{c}, %loop ]" for c in range(chains)]
    for c in range(chains):
        if has_fma:
            call = f"call {vector} @llvm.fma.v{lanes}f32"
            lines.append(f"  %b{c} = {call}({vector} %a{c}, {vector} %x, {vector} %x)")
        else:
            lines.append(f"  %m{c} = fmul {vector} %a{c}, %x")
            lines.append(f"  %b{c} = fadd {vector} %m{c}, %x")
    lines += ["  %i.next = add i64 %i, 1", "  %more = icmp ult i64 %i.next, %rounds"]
    lines += ["  br i1 %more, label %loop, label %end", "end:"]
    return "\n".join([*lines, *_store_sum(vector, chains)])


def _store_sum(vector: str, chains: int) -> list[str]:
    """Use the results, so that no compiler could leave the work out; 64 bytes a thread."""
    lines = [f"  %s1 = fadd {vector} %b0, %b1"]
    lines += [f"  %s{c} = fadd {vector} %s{c - 1}, %b{c}" for c in range(2, chains)]
    lines.append("  %sum = alloca [64 x i8], align 64")
    return [*lines, f"  store volatile {vector} %s{chains - 1}, ptr %sum, align 64"]


def _nest(inner: list[str], phis: list[str], step: str, limit: str) -> list[str]:
    """Return the rounds, and in each the loop of %at from 0 to `limit`; `phis` stand in it."""
    return [
        "  br label %round",
        "round:",
        "  %r = phi i64 [ 0, %begin ], [ %r.next, %again ]",
        "  br label %loop",
        "loop:",
        "  %at = phi i64 [ 0, %round ], [ %at.next, %loop ]",
        *phis,
        *inner,
        f"  %at.next = add i64 %at, {step}",
        f"  %more = icmp ult i64 %at.next, {limit}",
        "  br i1 %more, label %loop, label %again",
        "again:",
        "  %r.next = add i64 %r, 1",
        "  %rest = icmp ult i64 %r.next, %rounds",
        "  br i1 %rest, label %round, label %end",
        "end:",
    ]


def _read(vector: str) -> str:
    chains = range(_UNROLLED)
    phis = [f"  %a{c} = phi {vector} [ zeroinitializer, %round ], [ %b{c}, %loop ]" for c in chains]
    inner = []
    for c in chains:
        inner += [
            f"  %p{c} = getelementptr i8, ptr %start, i64 %at",
            f"  %q{c} = getelementptr {vector}, ptr %p{c}, i64 {c}",
            f"  %v{c} = load {vector}, ptr %q{c}, align 16",
            f"  %b{c} = fadd {vector} %a{c}, %v{c}",
        ]
    lines = _nest(inner, phis, f"{_UNROLLED * _vector_bytes(vector)}", "%bytes")
    return "\n".join([*lines, *_store_sum(vector, _UNROLLED)])


def _copy(vector: str) -> str:
    inner = ["  %to = getelementptr i8, ptr %start, i64 %half"]
    for c in range(_UNROLLED):
        inner += [
            f"  %p{c} = getelementptr i8, ptr %start, i64 %at",
            f"  %q{c} = getelementptr {vector}, ptr %p{c}, i64 {c}",
            f"  %v{c} = load {vector}, ptr %q{c}, align 16",
            f"  %w{c} = getelementptr i8, ptr %to, i64 %at",
            f"  %x{c} = getelementptr {vector}, ptr %w{c}, i64 {c}",
            f"  store {vector} %v{c}, ptr %x{c}, align {_vector_bytes(vector)}, !nontemporal !0",
        ]
    return "\n".join(_nest(inner, [], f"{_UNROLLED * _vector_bytes(vector)}", "%half"))


def _vector_bytes(vector: str) -> int:
    return 4 * int(vector[1:].split(maxsplit=1)[0])
