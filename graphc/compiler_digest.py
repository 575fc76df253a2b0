"""Which compiler this is: a digest of the sources of graphc that decide what a program becomes.

Whatever is kept on disk for a graph is kept under this digest too, so that a changed compiler finds
nothing of the old one, whether or not its version was changed. It speaks for the code that runs in
this process: where a file was changed after graphc was imported, or cannot be read, there is none.
This module is the first that graphc imports.
"""

from __future__ import annotations

import functools
import hashlib
import os
import time
from collections.abc import Iterator

_IMPORTED = time.time_ns()
_FOLDER = os.path.dirname(os.path.abspath(__file__))
# what a program becomes does not depend on how its graph was written down, or is looked at
_APART = ("__pycache__", "cli", "data", "frontend", "opencl")


@functools.cache
def compiler_digest() -> bytes | None:
    """Return the digest of the compiler that runs here, 32 bytes, or None where nobody can know."""
    return digest_of_sources(_FOLDER, _IMPORTED)


def digest_of_sources(folder: str, imported: int) -> bytes | None:
    """Return the digest of the sources under `folder`; None if some may be younger than `imported`.

    `imported` is in nanoseconds of the clock of files.
    """
    digest = hashlib.sha256()
    count = 0
    try:
        for path in _sources(folder):
            found, text = _read(path)
            if max(found.st_mtime_ns, found.st_ctime_ns) > imported or len(text) != found.st_size:
                return None
            digest.update(f"{path.removeprefix(folder)} {len(text)}\n".encode())
            digest.update(text)
            count += 1
    except OSError:
        return None
    return digest.digest() if count else None


def _read(path: str) -> tuple[os.stat_result, bytes]:
    """Return what a file is and has in it, by the fewest calls of the system."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(descriptor)
        return found, os.read(descriptor, found.st_size + 1)
    finally:
        os.close(descriptor)


def _sources(folder: str) -> Iterator[str]:
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if name not in _APART)
        yield from (os.path.join(place, name) for name in sorted(files) if name.endswith(".py"))
