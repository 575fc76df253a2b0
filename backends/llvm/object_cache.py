"""Object files kept on disk, so that the next process need not compile what an earlier one has.

The cache lies in a directory that is ours alone: owned by this user and open to nobody else, or it
is not used. An entry is one file, named after its key, the digest of all that its bytes depend on:

    magic (16 bytes), key (32), length of the object (8, little-endian), object, SHA-256 of all that

It is written under another name and renamed, so that nobody reads half an entry; a process that is
killed leaves a temporary file, removed an hour later. Nothing is flushed to the disk: what a power
failure tears has a wrong checksum, and is compiled and written again like any entry that is
truncated, altered or not ours. Beyond its limit the cache drops what was used least recently.

Whatever the file system refuses is as if there were no cache: `load` finds nothing and `store` does
nothing. Nothing here knows LLVM, or what the bytes of an object mean.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from graphc import settings

MAGIC = b"graphc object 1\n"
KEY_BYTES = 32
_PREFIX = len(MAGIC) + KEY_BYTES + 8
OVERHEAD = _PREFIX + 32  # bytes of an entry that are not the object

_ENTRY = r"[0-9a-f]{64}\.object"
_TEMPORARY = r"[0-9a-f]{32}\.temporary"
_ABANDONED_SECONDS = 3600.0
_KEPT = 7 / 8  # of the limit, once something has to go, so that not every store has to evict
_UNSEEN = 1 / 16  # of the limit: what is written, on average, between looks at all the directory
_HARMLESS = (OSError, MemoryError)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a look at the cache finds; `refusal` says why it is not in use, else it is empty."""

    entries: int = 0
    bytes: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the cache: its name, size and last use, and whether it is an entry."""

    name: str
    size: int
    used: float
    is_entry: bool


@dataclass(frozen=True, slots=True)
class ObjectCache:
    """The cache in a directory, of about `limit` bytes at most. Any number of processes share it.

    A look at all entries takes long when there are many, so it is left to chance which store does
    it: once for every sixteenth of the limit on average, by which the limit may be exceeded.
    """

    path: str
    limit: int

    def load(self, key: bytes) -> bytes | None:
        """Return the object stored under a key of 32 bytes, whole and unaltered, or None."""
        try:
            with _opened(self.path) as directory:
                entry = _read(directory, _name(key), self.limit)
        except _HARMLESS:
            return None
        return _unsealed(entry, key)

    def store(self, key: bytes, image: bytes) -> None:
        """Keep an object under a key of 32 bytes, in place of what was there."""
        if len(image) + OVERHEAD > self.limit:
            return
        with contextlib.suppress(*_HARMLESS):
            _make_private(self.path)
            with _opened(self.path) as directory:
                _write(directory, _name(key), _sealed(key, image))
                if _is_chosen((len(image) + OVERHEAD) / (self.limit * _UNSEEN)):
                    _evict(directory, _name(key), self.limit)

    def summary(self) -> Summary:
        """Return how many entries there are, and the bytes of all files; never raises."""
        return self._over_files(lambda directory, file: True)

    def clear(self) -> Summary:
        """Remove all files of the cache, and no others; return what was removed; never raises."""
        return self._over_files(lambda directory, file: _remove(directory, file.name))

    def _over_files(self, counts: Callable[[int, _File], bool]) -> Summary:
        try:
            if not os.path.lexists(self.path):
                _check_surroundings(self.path)
                return Summary()
            with _opened(self.path) as directory:
                files = [file for file in _files(directory) if counts(directory, file)]
        except OSError as error:
            return Summary(refusal=f"{self.path}: {error.strerror}")
        return Summary(sum(file.is_entry for file in files), sum(file.size for file in files))


def configured() -> ObjectCache | None:
    """Return the cache that the environment asks for; None where it asks for none."""
    folder = settings.cache_directory()
    if not folder or not settings.cache_enabled() or not _is_supported():
        return None
    return ObjectCache(os.path.join(folder, "objects"), settings.cache_bytes())


def _is_chosen(probability: float) -> bool:
    """Draw from the system, and not from a generator that the user may have seeded."""
    return int.from_bytes(os.urandom(4), "little") < probability * 2**32


def _is_supported() -> bool:
    """Return whether the system has owners, and this process is not raised above its user."""
    return hasattr(os, "geteuid") and os.geteuid() == os.getuid() and os.open in os.supports_dir_fd


# --- the directory --------------------------------------------------------------------------------


def _make_private(path: str) -> None:
    """Make the directory, and those around it, for this user alone; raises OSError."""
    if not os.path.isdir(path):
        _check_surroundings(path)
        os.makedirs(path, mode=0o700, exist_ok=True)


def _check_surroundings(path: str) -> None:
    """Raise OSError where the directory is absent and not ours to make."""
    outer = os.path.dirname(path)
    while not os.path.lexists(outer) and outer != os.path.dirname(outer):
        outer = os.path.dirname(outer)
    # root may write in a user's home, and what it made there would be closed to that user
    if os.geteuid() == 0 and os.stat(outer).st_uid != 0:
        raise PermissionError(errno.EACCES, "root makes nothing in another user's directory", outer)
    if not os.access(outer, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "the directory cannot be made", path)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    """Give a descriptor of the directory; raises OSError unless it is private.

    All files are reached through it, so that nobody can put another directory in its place.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    directory = os.open(path, flags)
    try:
        found = os.fstat(directory)
        if found.st_uid != os.geteuid():
            raise PermissionError(errno.EACCES, "the directory is another user's", path)
        if found.st_mode & 0o077:
            raise PermissionError(errno.EACCES, "the directory is open to other users", path)
        yield directory
    finally:
        os.close(directory)


def _files(directory: int) -> Iterator[_File]:
    """Yield the cache's own files; what others put there is left alone."""
    with os.scandir(directory) as found:
        for item in found:
            is_entry = bool(re.fullmatch(_ENTRY, item.name))
            if not is_entry and not re.fullmatch(_TEMPORARY, item.name):
                continue
            with contextlib.suppress(OSError):  # removed by another process just now
                status = item.stat(follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):
                    yield _File(item.name, status.st_size, status.st_mtime, is_entry)


def _evict(directory: int, newest: str, limit: int) -> None:
    """Drop abandoned files and, above the limit, the entries used least recently but `newest`."""
    files = list(_files(directory))
    abandoned = time.time() - _ABANDONED_SECONDS
    for file in files:
        if not file.is_entry and file.used < abandoned:
            _remove(directory, file.name)
    entries = [file for file in files if file.is_entry]
    total = sum(file.size for file in entries)
    if total <= limit:
        return
    for file in sorted(entries, key=lambda file: file.used):
        if total <= limit * _KEPT:
            return
        if file.name != newest:
            _remove(directory, file.name)
            total -= file.size


def _remove(directory: int, name: str) -> bool:
    """Remove a file; return whether it was there to be removed."""
    try:
        os.unlink(name, dir_fd=directory)
    except OSError:
        return False
    return True


# --- an entry -------------------------------------------------------------------------------------


def _name(key: bytes) -> str:
    return f"{key.hex()}.object"


def _sealed(key: bytes, image: bytes) -> bytes:
    """Return the bytes of an entry."""
    body = b"".join((MAGIC, key, len(image).to_bytes(8, "little"), image))
    return body + hashlib.sha256(body).digest()


def _unsealed(entry: bytes, key: bytes) -> bytes | None:
    """Return the object in an entry; None where one bit is not as it was written under `key`."""
    body, checksum = entry[:-32], entry[-32:]
    if len(entry) < OVERHEAD or body[: len(MAGIC) + KEY_BYTES] != MAGIC + key:
        return None
    if int.from_bytes(body[_PREFIX - 8 : _PREFIX], "little") != len(body) - _PREFIX:
        return None
    if not hmac.compare_digest(hashlib.sha256(body).digest(), checksum):
        return None
    return body[_PREFIX:]


def _read(directory: int, name: str, limit: int) -> bytes:
    """Return the bytes of a file of ours, and note that it was used; raises OSError."""
    # not to wait for the other end, should somebody have put a pipe there
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    with open(os.open(name, flags, dir_fd=directory), "rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        is_ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
        if not is_ours or found.st_size > limit:
            raise OSError(errno.EINVAL, "not an entry", name)
        entry = file.read(found.st_size + 1)
        with contextlib.suppress(OSError):  # a cache that can be read only still serves
            os.utime(file.fileno())
    return entry or b""


def _write(directory: int, name: str, entry: bytes) -> None:
    """Write a file under another name and rename it; raises OSError, and leaves nothing then."""
    temporary = f"{secrets.token_hex(16)}.temporary"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=directory)
    try:
        with open(descriptor, "wb") as file:
            file.write(entry)
        os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        _remove(directory, temporary)
        raise
