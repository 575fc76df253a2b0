"""Named arrays in one file, in the safetensors format, written so that no crash can spoil them.

A file is written beside its place, flushed to the disk and renamed: at every moment, after a kill
or a loss of power too, the path holds the old file or the new one. Of a symbolic link the file that
it leads to is replaced, and what is no regular file (a directory, a device) never is. What a killed
process left beside it is removed by the next write. The metadata hold a checksum of all the rest,
so that a file that was damaged later is refused; files of other programs have none and are read as
they are. Nothing here knows what the arrays mean.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np

from graphc.dtypes import bfloat16
from graphc.errors import DamagedFileError, GraphcValueError, UnwritableFileError
from graphc.source import user_line

__all__ = [
    "Arrays", "Metadata", "Path", "check_writable", "read_arrays", "replace_file", "write_arrays",
]  # fmt: skip

Arrays: TypeAlias = dict[str, np.ndarray[Any, Any]]
Metadata: TypeAlias = dict[str, str]
Path: TypeAlias = "str | os.PathLike[str]"

_CHECKSUM = "sha256"
_PAIRS = "complex128"  # names what is kept as pairs of float64: the format has no such type
_WRITER = ("writer", "graphc")  # says that there must be a checksum
_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(bool),
    "BF16": bfloat16.numpy,
    "C64": np.dtype(np.complex64),
    **{f"F{bits}": np.dtype(f"f{bits // 8}") for bits in (16, 32, 64)},
    **{f"I{bits}": np.dtype(f"i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"U{bits}": np.dtype(f"u{bits // 8}") for bits in (8, 16, 32, 64)},
}


def write_arrays(
    path: Path, arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str]
) -> None:
    """Write `arrays` and `metadata` to `path`, whole or not at all.

    Raises UnwritableFileError, an OSError, where it cannot be written; the old file is still there.
    """
    from safetensors.numpy import save

    dense = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()}
    described = dict([*metadata.items(), _WRITER])
    wide = sorted(name for name, array in dense.items() if array.dtype == np.complex128)
    if wide:
        described[_PAIRS] = json.dumps(wide)
        dense |= {name: _as_pairs(dense[name]) for name in wide}
    described[_CHECKSUM] = _checksum(dense, described)
    replace_file(path, save(dense, described))


def _as_pairs(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array.reshape((*array.shape, 1)).view(np.float64)


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` into the file at `path`, whole or not at all, and wait for the disk.

    Raises UnwritableFileError where that cannot be done.
    """
    place = _place(path)
    try:
        _replace(place, content)
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def check_writable(path: Path) -> None:
    """Raise UnwritableFileError where `path` can be seen to take no file, and change nothing."""
    partial = _partial(_place(path))
    try:
        with open(partial, "wb"):
            pass
        os.unlink(partial)
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def _replace(place: str, content: bytes) -> None:
    directory, name = os.path.split(place)
    _remove_leftovers(directory, name)
    partial = _partial(place)
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, place)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(partial)
        raise
    _flush_directory(directory)


def _place(path: Path) -> str:
    """Return where the file is, through symbolic links; what is there is a file, or nothing."""
    place = os.path.realpath(path)
    if os.path.isdir(place):
        raise _unwritable(path, "it is a directory")
    if os.path.lexists(place) and not os.path.isfile(place):
        raise _unwritable(path, "it is no regular file")
    if not os.path.isdir(os.path.dirname(place)):
        raise _unwritable(path, f"there is no directory {os.path.dirname(place)}")
    return place


def _partial(place: str) -> str:
    """Return where this thread writes what is to become the file at `place`."""
    directory, name = os.path.split(place)
    return os.path.join(directory, f".{name}.{os.getpid()}.{threading.get_ident()}.partial")


def _unwritable(path: Path, reason: str) -> UnwritableFileError:
    return UnwritableFileError(
        f"{os.fspath(path)} cannot be written: {reason}", line=str(user_line() or "")
    )


def _flush_directory(directory: str) -> None:
    """Wait until the disk knows of a renaming in `directory`."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(directory: str, name: str) -> None:
    """Remove what processes that are no more had begun to write for the file called `name`."""
    pattern = re.compile(rf"\.{re.escape(name)}\.(\d+)\.\d+\.partial")
    for entry in os.listdir(directory):
        match = pattern.fullmatch(entry)
        if match and not _is_running(int(match[1])):
            with suppress(FileNotFoundError):  # another writer was faster
                os.unlink(os.path.join(directory, entry))


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def read_arrays(path: Path) -> tuple[Arrays, Metadata]:
    """Return the arrays and the metadata of a safetensors file.

    Raises FileNotFoundError and other OSErrors of opening it, DamagedFileError where it is no whole
    file of that format, and GraphcValueError for dtypes that graphc does not have.
    """
    from safetensors import SafetensorError, deserialize

    with open(path, "rb") as file:
        content = file.read()
    try:
        found = deserialize(content)  # type: ignore[no-untyped-call]  # it publishes no types
        metadata = _header_metadata(content)
    except (SafetensorError, ValueError) as error:
        raise DamagedFileError(
            f"{os.fspath(path)} is damaged, or no safetensors file: {error}"
        ) from None
    arrays = {name: _array(path, name, view) for name, view in sorted(found, key=itemgetter(0))}
    expected = metadata.pop(_CHECKSUM, None)
    is_ours = expected is not None or _WRITER in metadata.items()
    if is_ours and expected != _checksum(arrays, metadata):
        raise DamagedFileError(
            f"{os.fspath(path)} is damaged: its checksum does not fit its content"
        )
    for name in json.loads(metadata.pop(_PAIRS, "[]")) if is_ours else ():
        arrays[name] = arrays[name].view(np.complex128)[..., 0]
    return arrays, dict(entry for entry in metadata.items() if entry != _WRITER)


def _header_metadata(content: bytes) -> Metadata:
    """Return the metadata from the header, whose length the first eight bytes tell."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    return dict(header.get("__metadata__") or {})


def _array(path: Path, name: str, view: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    dtype = _DTYPES.get(view["dtype"])
    if dtype is None:
        raise GraphcValueError(
            f"{os.fspath(path)}: {name} is of dtype {view['dtype']}, which graphc does not have"
        )
    return np.frombuffer(view["data"], dtype).reshape(view["shape"])


def _checksum(arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str]) -> str:
    """Return a digest of everything in a file but the digest."""
    digest = hashlib.sha256()
    digest.update(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, str(array.dtype), array.shape]).encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
