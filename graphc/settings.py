"""What the environment tells graphc. The only module that reads it, each time it is asked.

GRAPHC_CPU           compile for a lesser CPU: x86-64-v2, x86-64-v3, x86-64-v4 or an LLVM name
GRAPHC_NUM_THREADS   threads of the team (else OMP_NUM_THREADS, else the cores we may use)
GRAPHC_OPENCL_DEVICE the OpenCL device to use: a part of the name of its platform and itself
GRAPHC_CACHE=0       keep no compiled code on disk, and use none
GRAPHC_CACHE_DIR     where it is kept (else the user's cache directory: ~/.cache/graphc)
GRAPHC_CACHE_BYTES   the most bytes it may take (256 MiB)
GRAPHC_VERIFY=1      run the verifier between all passes
GRAPHC_DEBUG=1…4     print to stderr: 1 stages and times, 2 groups, 3 kernels, 4 LLVM IR
GRAPHC_DUMP=dir      write every stage of every compilation as text files into this directory
"""

from __future__ import annotations

import os

from graphc.errors import GraphcValueError

_MOST_DIGITS = 18
_CACHE_BYTES = 256 * 1024**2


def cpu() -> str:
    """Return the name of the CPU to compile for; empty means the host."""
    return os.environ.get("GRAPHC_CPU", "").strip()


def thread_count() -> int | None:
    """Return the number of threads asked for, or None.

    Raises GraphcValueError where the variable is no positive integer.
    """
    for name in ("GRAPHC_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").strip()
        if text:
            return _positive(name, text.split(",")[0])
    return None


def opencl_device() -> str:
    """Return a part of the name of the OpenCL device to use; empty means the best there is."""
    return os.environ.get("GRAPHC_OPENCL_DEVICE", "").strip()


def cache_enabled() -> bool:
    """Return whether compiled code is kept on disk."""
    return os.environ.get("GRAPHC_CACHE", "1").strip() != "0"


def cache_directory() -> str:
    """Return the absolute path under which compiled code is kept; empty where there is no home.

    That is GRAPHC_CACHE_DIR, else `graphc` in the user's cache directory (XDG Base Directory
    Specification 0.8: XDG_CACHE_HOME if it is absolute, else ~/.cache).
    """
    chosen = os.environ.get("GRAPHC_CACHE_DIR", "").strip()
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen))
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    return os.path.join(base, "graphc") if os.path.isabs(base) else ""


def cache_bytes() -> int:
    """Return the most bytes that compiled code may take on disk.

    Raises GraphcValueError where GRAPHC_CACHE_BYTES is no whole number.
    """
    text = os.environ.get("GRAPHC_CACHE_BYTES", "").strip()
    if not text:
        return _CACHE_BYTES
    return _whole("GRAPHC_CACHE_BYTES", text, "bytes")


def verify() -> bool:
    """Return whether the verifier runs between all passes; raises GraphcValueError."""
    return _one_of("GRAPHC_VERIFY", ("0", "1")) == "1"


def debug_level() -> int:
    """Return how much to print, 0 to 4; raises GraphcValueError."""
    return int(_one_of("GRAPHC_DEBUG", ("0", "1", "2", "3", "4")))


def check() -> None:
    """Raise GraphcValueError where a variable that has few values has another one."""
    thread_count()
    verify()
    debug_level()


def dump_directory() -> str:
    """Return the directory for the texts of all stages; empty means none."""
    return os.environ.get("GRAPHC_DUMP", "").strip()


def _one_of(name: str, values: tuple[str, ...]) -> str:
    text = os.environ.get(name, "").strip() or values[0]
    if text not in values:
        raise GraphcValueError(f"{name}={text!r} is none of {', '.join(values)}")
    return text


def _positive(name: str, text: str) -> int:
    count = _whole(name, text.strip(), "threads")
    if count == 0:
        raise GraphcValueError(f"{name}={text!r} is no number of threads")
    return count


def _whole(name: str, text: str, unit: str) -> int:
    """Return what `text` says in at most 18 digits of ASCII, more of which no machine has."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        shown = text if len(text) <= 2 * _MOST_DIGITS else f"{text[:_MOST_DIGITS]}…"
        raise GraphcValueError(f"{name}={shown!r} is no number of {unit}")
    return int(text)
