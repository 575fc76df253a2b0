"""LLVM's library, loaded when something has to be compiled, and what it says of this computer.

Loading it takes 20 ms and tens of megabytes, so a process whose code is all found in the cache
never does. What must be known of the CPU to look there is kept in the cache too, under a key of all
that LLVM's answer depends on: what the system says of the processor, and which library it is.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from graphc.backends.llvm import object_cache
from graphc.backends.llvm.by_llvmlite import ByLlvmlite
from graphc.backends.llvm.direct import Direct, is_known
from graphc.backends.llvm.order import Host
from graphc.process_lock import Rank, hold_across_fork, process_lock

_lock = process_lock(Rank.LOADING)


class _CallsOfLlvm:
    """The lock that llvmlite holds in every call of LLVM, also those that free code.

    It has no public name. While a fork holds it, `_lock` keeps others from loading the library.
    """

    def __enter__(self) -> None:
        ffi = sys.modules.get("llvmlite.binding.ffi")
        self.held = getattr(getattr(ffi, "lib", None), "_lock", None)
        if self.held is not None:
            self.held.__enter__()

    def __exit__(self, *_: object) -> None:
        if self.held is not None:
            self.held.__exit__(None, None, None)


hold_across_fork(_CallsOfLlvm(), Rank.LLVM)


def load() -> None:
    """Load LLVM, most of the time without the interpreter, which other threads have meanwhile."""
    with _lock, contextlib.suppress(OSError, AttributeError, TypeError):
        # by the system: `ctypes.CDLL`, by which it is done again, keeps the interpreter
        ctypes.CDLL(None).dlopen(os.fsencode(_path()), os.RTLD_NOW)
    llvm()


@functools.cache
def llvm() -> Direct | ByLlvmlite:
    """Return LLVM, ready to compile for this kind of processor."""
    import llvmlite  # small: its version

    with _lock:
        if not is_known(llvmlite.__version__):
            return ByLlvmlite(binding())
        with _CallsOfLlvm():
            return Direct(_path())


@functools.cache
def binding() -> Any:
    """Return `llvmlite.binding`, ready to compile for this kind of processor."""
    with _lock:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        return llvm


def host() -> Host:
    """Return what LLVM says of this computer, from the cache if it was asked before."""
    with _lock:
        return _host()


@functools.cache
def _host() -> Host:
    key, found = _kept()
    cache = object_cache.configured()
    if key is None or cache is None:
        return llvm().host()
    if found is None:
        found = llvm().host()
        text = json.dumps([found.cpu, sorted(found.features), found.triple, found.version])
        cache.store(key, text.encode())
    return found


def is_host_known() -> bool:
    """Return whether `host` can tell without LLVM."""
    return _kept()[1] is not None


@functools.cache
def _kept() -> tuple[bytes | None, Host | None]:
    """Return the key under which the answer is kept on disk, if any can be, and what lies there."""
    mark, cache = _mark(), object_cache.configured()
    if not mark or cache is None:
        return None, None
    key = hashlib.sha256(mark.encode()).digest()
    return key, _read(cache.load(key))


def _read(entry: bytes | None) -> Host | None:
    if entry is None:
        return None
    try:
        cpu, features, triple, version = json.loads(entry)
        found = Host(cpu, frozenset(features), triple, tuple(version))
    except (ValueError, TypeError):
        return None
    is_text = all(isinstance(text, str) for text in (cpu, triple, *found.features))
    return found if is_text and all(type(part) is int for part in found.version) else None


# of a processor's many lines those that do not change from one moment, or core, to the next
_STEADY = ("vendor_id", "cpu family", "model", "model name", "stepping", "microcode", "flags")


def _path() -> str:
    """Return where llvmlite keeps LLVM."""
    import llvmlite  # small: where it lies
    from llvmlite.utils import get_library_name  # as small

    return os.path.join(llvmlite.__path__[0], "binding", get_library_name())


def _mark(processors: Path = Path("/proc/cpuinfo")) -> str:
    """Return all that LLVM's answer depends on; empty where the system does not say."""
    import llvmlite  # as above

    try:
        with open(processors, encoding="utf-8", errors="replace") as file:
            first = file.read(8192).split("\n\n")[0]
        found = os.stat(_path())
    except OSError:
        return ""
    lines = (line.partition(":") for line in first.splitlines())
    steady = {name.strip(): value for name, _, value in lines if name.strip() in _STEADY}
    if "flags" not in steady:
        return ""
    library = (llvmlite.__version__, found.st_size, found.st_mtime_ns)
    system = os.uname()
    return repr(("host", library, system.sysname, system.release, system.version, steady))
