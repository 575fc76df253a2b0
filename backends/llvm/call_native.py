"""The native call of a program: a function of Python whose code is ours, see `call_code`.

It is there where Python and NumPy are laid out as the code expects, which is measured on an array
and not assumed; elsewhere, and for what the code refuses, the way of Python does the same. One
piece of code serves all programs of the process; each has a record, which is the function's self.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import platform
import sys
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.backends.llvm import call_checks as layout
from graphc.backends.llvm import call_code
from graphc.backends.llvm.call_outputs import OutputMaker, address_of, counts_references
from graphc.backends.llvm.compilation import compile_module
from graphc.backends.llvm.machine import machine
from graphc.backends.llvm.team import python_function
from graphc.executable import INTO, NativeCall
from graphc.tensor_type import TensorType
from graphc.thread_limit import LIMIT

_ABI = (0x01000009, 0x02000000)  # NumPy 1 and 2: their tables agree in what is used here
_TABLE_SIZE = 1 + max(call_code.ARRAY_FUNCTIONS.values())
_FASTCALL = 0x0080  # METH_FASTCALL

# The team's address and the members that were asked for. A forked process has no team yet.
_team = (ctypes.c_int64 * 2)()
_records: weakref.WeakValueDictionary[int, np.ndarray[Any, np.dtype[np.int64]]]
_records = weakref.WeakValueDictionary()
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class NativeProgram:
    """What a native call works with; `owner` keeps all of it alive.

    There is memory for `threads`; the work is worth `most_threads`. `written` is the memory that a
    call writes besides its outputs, as (start, end).
    """

    owner: object
    entry: int
    table: int
    control: int
    threads: int
    most_threads: int
    releases: bool
    inputs: Sequence[TensorType]
    outputs: Sequence[tuple[TensorType, OutputMaker]]
    written: Sequence[tuple[int, int]] = ()


def remember_team(address: int, members: int) -> None:
    """Let native calls use the team of this process, of which `members` were asked for."""
    if _team[0] != address or _team[1] < members:
        _team[0], _team[1] = address, members


def _forget_others() -> None:
    """Leave the team, and calls of other threads, to the parent process."""
    _team[1] = _team[0] = 0
    for record in _records.values():
        if record[layout.BUSY] != threading.get_ident():  # a handler within a call may have forked
            record[layout.BUSY] = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_others)


def native_call(program: NativeProgram) -> NativeCall | None:
    """Return a function that runs `program` on exactly its types, or None where there is none."""
    definition = _definition()
    if definition is None:
        return None
    record, kept = _record(program)
    _records[next(_numbers)] = record
    # Python keeps the third argument, a function's module, as long as the function
    call: NativeCall = _new_function(ctypes.addressof(definition), record, (program, *kept), None)
    return call


_new_function = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.py_object, ctypes.c_void_p
)(("PyCMethod_New", ctypes.pythonapi))
_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


class _Definition(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("documentation", ctypes.c_char_p),
    )


def _record(program: NativeProgram) -> tuple[np.ndarray[Any, np.dtype[np.int64]], list[object]]:
    """Return the record of a program, and the objects whose addresses it holds."""
    scratch = np.zeros(len(program.outputs), np.int64)
    kept: list[object] = [scratch, *(maker for _, maker in program.outputs)]
    words = [0] * layout.HEADER
    words[layout.ENTRY], words[layout.TABLE] = program.entry, program.table
    words[layout.CONTROL], words[layout.SCRATCH] = program.control, address_of(scratch)
    words[layout.INPUTS], words[layout.OUTPUTS] = len(program.inputs), len(program.outputs)
    words[layout.THREADS], words[layout.MOST_THREADS] = program.threads, program.most_threads
    words[layout.LIMIT] = id(LIMIT)
    words[layout.RELEASE] = int(program.releases)
    words[layout.ARRAY_TYPE], words[layout.BYTE_TYPE] = id(np.ndarray), id(_BYTE)
    words[layout.TEAM], words[layout.REFUSAL] = ctypes.addressof(_team), id(None)
    words[layout.MARK] = id(INTO)
    spans = np.array(program.written, np.int64).reshape(-1, 2)
    kept.append(spans)
    words[layout.SPANS], words[layout.SPAN_COUNT] = address_of(spans), len(spans)
    for type_ in program.inputs:
        words += [*_type_words(type_, kept), type_.nbytes]
    for type_, maker in program.outputs:
        pooled = id(maker) if maker.kept_bytes else 0
        words += [*_type_words(type_, kept), maker.block_bytes, pooled]
    return np.array(words, np.int64), kept


_BYTE = np.dtype(np.uint8)


def _type_words(type_: TensorType, kept: list[object]) -> list[int]:
    extents, dtype = np.array(type_.shape, np.int64), type_.dtype.numpy
    kept += [extents, dtype]
    return [id(dtype), len(type_.shape), address_of(extents)]


@functools.cache
def _definition() -> _Definition | None:
    """Return the method that all native functions are, compiled once in a process."""
    if not is_supported():
        return None
    imports = {name: python_function(name) for name in call_code.FUNCTIONS} | _array_functions()
    code = compile_module(call_code.text(), machine(), ("call",), imports)
    code.keep_forever()
    definition = _Definition(b"graphc_call", code.address("call"), _FASTCALL, None)
    for needed in (definition, _team, LIMIT):  # functions may outlive this module when Python ends
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(needed))
    return definition


def is_supported() -> bool:
    """Return whether this interpreter and this NumPy are laid out as the native code expects."""
    is_plain = sys.implementation.name == "cpython" and not hasattr(sys, "getobjects")
    is_known = platform.machine() in ("x86_64", "AMD64", "aarch64", "arm64")
    if not is_plain or not is_known or not counts_references() or sys.maxsize < 2**32:
        return False
    return _table() is not None and all(map(_is_laid_out, _probes()))


def _probes() -> list[np.ndarray[Any, Any]]:
    matrix = np.zeros((3, 5), np.float32)
    return [matrix, matrix[::2], matrix.T, np.zeros(()), np.zeros((2, 0, 4), np.int64)]


def _is_laid_out(array: np.ndarray[Any, Any]) -> bool:
    """Return whether the fields of an array are where the native code looks."""

    def word(offset: int) -> int:
        return ctypes.c_int64.from_address(id(array) + offset).value

    rank = ctypes.c_int32.from_address(id(array) + layout.RANK).value
    flags = ctypes.c_int32.from_address(id(array) + layout.FLAGS).value
    if word(layout.TYPE) != id(np.ndarray) or word(layout.DTYPE) != id(array.dtype):
        return False
    if word(layout.DATA) != array.ctypes.data or rank != array.ndim or flags != array.flags.num:
        return False
    return rank == 0 or tuple((ctypes.c_int64 * rank).from_address(word(layout.EXTENTS))) == (
        array.shape
    )


@functools.cache
def _table() -> Any:
    """Return NumPy's table of C functions, or None if it is of an unknown kind."""
    core = sys.modules.get("numpy._core._multiarray_umath")
    capsule = getattr(core, "_ARRAY_API", None)
    if capsule is None:
        return None
    table = (ctypes.c_void_p * _TABLE_SIZE).from_address(_capsule_pointer(capsule, None))
    version = ctypes.CFUNCTYPE(ctypes.c_uint)(table[0] or 0)()
    return table if version in _ABI and table[2] == id(np.ndarray) else None


def _array_functions() -> dict[str, int]:
    return {name: int(_table()[slot]) for name, slot in call_code.ARRAY_FUNCTIONS.items()}
