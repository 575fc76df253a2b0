"""The limits of this machine, measured by kernels of our own: what no engine can exceed.

The kernels are LLVM IR, compiled for the host and run by one Python thread for each core:

    fma      independent chains of vector multiply-adds in registers: the peak of arithmetic
    read     the sum of an array: the bandwidth of reading
    copy     an array written past the caches with streaming stores: bytes read and written
    copy_cached  the same with ordinary stores

Each thread has its own part of memory; the time is that of all threads together, from the moment at
which the last one is ready, and the best of several repetitions counts.
"""

from __future__ import annotations

import ctypes
import datetime
import os
import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np

CHAINS = 24  # independent accumulators: latency 4 times 2 units, and some to spare
FMA_STEPS = 1 << 20
REPEATS = 7


def source(width: int) -> str:
    """Return the kernels as LLVM IR for vectors of `width` floats; counts are multiples of 4."""
    vector = f"<{width} x float>"
    return "\n".join(
        [
            f"declare {vector} @llvm.fma.v{width}f32({vector}, {vector}, {vector})",
            _fma(width, vector),
            _read(vector),
            _copy("copy", vector, ", !nontemporal !0"),
            _copy("copy_cached", vector, ""),
            "!0 = !{i32 1}",
        ]
    )


def _loop(header: list[str], body: list[str]) -> list[str]:
    """Return a loop of %i from 0 to %count; `header` holds its other phis."""
    return [
        "entry: br label %loop",
        "loop:",
        "  %i = phi i64 [0, %entry], [%next, %loop]",
        *header,
        *body,
        "  %more = icmp ult i64 %next, %count",
        "  br i1 %more, label %loop, label %end",
        "end:",
    ]


def _fma(width: int, vector: str) -> str:
    chains = range(CHAINS)
    header = [f"  %a{c} = phi {vector} [%start, %entry], [%b{c}, %loop]" for c in chains]
    call = f"call {vector} @llvm.fma.v{width}f32"
    body = [f"  %b{c} = {call}({vector} %a{c}, {vector} %x, {vector} %x)" for c in chains]
    lines = _loop(header, [*body, "  %next = add i64 %i, 1"])
    lines[0] = f"entry: %start = load {vector}, ptr %p, align 4\n  br label %loop"
    lines[0] = lines[0].replace("  br", f"  %x = load {vector}, ptr %p, align 4\n  br")
    sums = [f"  %s{c} = fadd {vector} %s{c - 1}, %b{c}" for c in chains[1:]]
    sums[0] = sums[0].replace("%s0", "%b0")
    store = f"  store {vector} %s{CHAINS - 1}, ptr %p, align 4"
    return _function("fma", [*lines, *sums, store])


def _read(vector: str) -> str:
    chains = range(8)
    header = [f"  %a{c} = phi {vector} [zeroinitializer, %entry], [%b{c}, %loop]" for c in chains]
    body = []
    for c in chains:
        body += [
            f"  %i{c} = add i64 %i, {c}",
            f"  %p{c} = getelementptr {vector}, ptr %p, i64 %i{c}",
            f"  %v{c} = load {vector}, ptr %p{c}, align 64",
            f"  %b{c} = fadd {vector} %a{c}, %v{c}",
        ]
    lines = _loop(header, [*body, "  %next = add i64 %i, 8"])
    sums = [f"  %s{c} = fadd {vector} %s{c - 1}, %b{c}" for c in chains[1:]]
    sums[0] = sums[0].replace("%s0", "%b0")
    return _function("read", [*lines, *sums, f"  store {vector} %s7, ptr %q, align 64"])


def _copy(name: str, vector: str, mark: str) -> str:
    body = []
    for c in range(4):
        body += [
            f"  %i{c} = add i64 %i, {c}",
            f"  %p{c} = getelementptr {vector}, ptr %p, i64 %i{c}",
            f"  %q{c} = getelementptr {vector}, ptr %q, i64 %i{c}",
            f"  %v{c} = load {vector}, ptr %p{c}, align 64",
            f"  store {vector} %v{c}, ptr %q{c}, align 64{mark}",
        ]
    return _function(name, _loop([], [*body, "  %next = add i64 %i, 4"]))


def _function(name: str, lines: list[str]) -> str:
    return "\n".join(
        [f"define void @{name}(ptr %p, ptr %q, i64 %count) {{", *lines, "  ret void\n}"]
    )


Kernel = Callable[[int, int, int], None]


class Kernels:
    """The kernels, compiled for this CPU; `width` is the number of floats in a vector."""

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        features = llvm.get_host_cpu_features()
        wide = features.get("avx512f", False)
        self.width = 16 if wide else 8 if features.get("avx2", False) else 4
        # Without `prefer-vector-width` and the like: the vectors of the text are taken as they are.
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=2
        )
        module = llvm.parse_assembly(source(self.width))
        module.verify()
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()

    def __getitem__(self, name: str) -> Kernel:
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        kernel: Any = prototype(self._engine.get_function_address(name))
        return kernel  # type: ignore[no-any-return]  # ctypes has no type of a call


def aligned(count: int) -> np.ndarray[Any, Any]:
    """Return `count` ones in float32, written and aligned to 64 bytes."""
    buffer = np.ones(count + 16, np.float32)
    skip = -buffer.ctypes.data % 64 // 4
    return buffer[skip : skip + count]


def fastest(parts: list[tuple[Any, Any]], kernel: Kernel, count: int) -> float:
    """Return the least seconds in which all threads, one a part, have run the kernel."""
    best = float("inf")
    for _ in range(REPEATS):
        ready = threading.Barrier(len(parts) + 1)
        jobs = [(p.ctypes.data, q.ctypes.data, count) for p, q in parts]

        def work(job: tuple[int, int, int], ready: threading.Barrier = ready) -> None:
            ready.wait()
            kernel(*job)

        threads = [threading.Thread(target=work, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        ready.wait()
        start = time.perf_counter()
        for thread in threads:
            thread.join()
        best = min(best, time.perf_counter() - start)
    return best


def measure_limits(threads: int, kernels: Kernels) -> dict[str, float]:
    """Return FLOP/s and bytes/s of so many threads; bandwidths for small and large arrays."""
    parts = [(aligned(64), aligned(64)) for _ in range(threads)]
    seconds = fastest(parts, kernels["fma"], FMA_STEPS)
    found = {"fma_flops": 2.0 * threads * FMA_STEPS * CHAINS * kernels.width / seconds}
    for label, size in (("64MB", 1 << 26), ("256MB", 1 << 28)):
        floats = size // 4 // threads // 128 * 128
        parts = [(aligned(floats), aligned(floats)) for _ in range(threads)]
        for name, passes in (("read", 1), ("copy", 2), ("copy_cached", 2)):
            seconds = fastest(parts, kernels[name], floats // kernels.width)
            found[f"{name}_{label}"] = passes * 4.0 * floats * threads / seconds
    return found


def measure_machine(threads: tuple[int, ...] = (1, 2)) -> dict[str, Any]:
    """Return what is known of this machine: names, versions, load, and its limits by threads."""
    cores = len(os.sched_getaffinity(0))
    kernels = Kernels()
    counts = [count for count in threads if count <= cores]
    load = os.getloadavg()
    return {
        "cpu": _cpu_name(),
        "llvm_cpu": llvm.get_host_cpu_name(),
        "cores": cores,
        "vector_bits": 32 * kernels.width,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "load_average": list(load),
        "limits": {str(count): measure_limits(count, kernels) for count in counts},
    }


def measure_again(machine: dict[str, Any]) -> None:
    """Measure the limits of a machine once more, and keep the better figure of each."""
    kernels = Kernels()
    for count, known in machine["limits"].items():
        for name, figure in measure_limits(int(count), kernels).items():
            known[name] = max(known[name], figure)


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
