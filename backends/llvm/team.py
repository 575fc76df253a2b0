"""The team: the threads that share the work of a call, one team in a process.

The caller of a program is member 0; the workers are native threads that know nothing of Python.
They are made when a program is first worth them, sleep between calls, take no signals, and need
not be ended: they hold no lock that the end of the interpreter could wait for. A process that was
forked makes a team of its own. One call at a time has the team; a second caller meanwhile runs
alone, with the same bits, since results do not depend on the number of threads.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphc.backends.llvm import team_code
from graphc.backends.llvm.compilation import Code, compile_module
from graphc.backends.llvm.machine import available_cores, machine
from graphc.backends.llvm.order import LEAST_LEVEL
from graphc.errors import BackendError

_STACK_BYTES = 4 * 1024 * 1024
_FUNCTIONS = ("run", "barrier", "poll", "host", "apart")  # that programs and calls use


@dataclass
class _Team:
    """The block of memory that the native code works on, and the members it has."""

    memory: Any
    address: int
    size: int


_lock = threading.Lock()
_teams: list[_Team] = []
_SAMPLE = 200  # pauses, some microseconds
_spins = ctypes.c_int32(_SAMPLE)
# the thread in which Python runs handlers of signals
_main_thread = ctypes.c_uint64(threading.main_thread().ident or 0)


def address(threads: int) -> int:
    """Return the address of this process's team, of `threads` members if the system lets it."""
    threads = min(threads, team_code.MOST_MEMBERS)
    if _teams and _teams[0].size >= threads:
        return _teams[0].address
    with _lock:
        if not _teams:
            _teams.append(_make())
        _grow(_teams[0], threads)
        return _teams[0].address


def symbols() -> dict[str, int]:
    """Return the addresses of the functions that programs call."""
    code = _code()
    return {name: code.address(name) for name in _FUNCTIONS}


@functools.cache
def _code() -> Code:
    imports = {name: c_function(name) for name in team_code.needed_symbols()}
    imports |= {name: python_function(name) for name in team_code.PYTHON_FUNCTIONS}
    imports[team_code.MAIN_THREAD] = ctypes.addressof(_main_thread)
    imports[team_code.SPINS] = ctypes.addressof(_spins)
    names = (*_FUNCTIONS, "worker", "pauses")
    # it waits for memory more than for instructions: with more care it is no faster
    code = compile_module(team_code.text(), machine(), names, imports, LEAST_LEVEL)
    _calibrate(ctypes.CFUNCTYPE(None, ctypes.c_int32)(code.address("pauses")))
    code.keep_forever()
    return code


def _calibrate(pauses: Callable[[int], None]) -> None:
    """Set how often a waiting thread looks before it sleeps: a pause differs between processors."""
    nanoseconds = []
    for _ in range(3):
        start = time.perf_counter_ns()
        pauses(_SAMPLE)
        nanoseconds.append(time.perf_counter_ns() - start)
    _spins.value = team_code.SPIN_NANOSECONDS * _SAMPLE // max(1, min(nanoseconds))


@functools.cache
def c_function(name: str) -> int:
    """Return the address of a function of the C library; raises BackendError if it has none."""
    for library in (None, "libm.so.6"):
        try:
            found = getattr(ctypes.CDLL(library), name)
        except (OSError, AttributeError):
            continue
        return int(ctypes.cast(found, ctypes.c_void_p).value or 0)
    raise BackendError(f"the C library has no {name}")


def python_function(name: str) -> int:
    """Return the address of a function of Python."""
    return int(ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0)


def _make() -> _Team:
    size = team_code.FIRST_WORKER + team_code.MOST_MEMBERS * team_code.LINE
    memory = ctypes.create_string_buffer(size + team_code.LINE)
    start = -(-ctypes.addressof(memory) // team_code.LINE) * team_code.LINE
    team = _Team(memory, start, 1)
    ctypes.c_int32.from_address(start + team_code.HOME_OFFSET).value = -1
    _tell_size(team)
    return team


def _tell_size(team: _Team) -> None:
    ctypes.c_int64.from_address(team.address + team_code.SIZE_OFFSET).value = team.size
    ctypes.c_int64.from_address(team.address + team_code.CORES_OFFSET).value = available_cores()


def _grow(team: _Team, size: int) -> None:
    """Start workers until there are `size` members or the system refuses one."""
    outer = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        while team.size < size and _start(team, team.size):
            team.size += 1
            _tell_size(team)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, outer)
    team.size = max(team.size, size)  # asked for once; the native code knows how many there are


def _start(team: _Team, number: int) -> bool:
    """Start worker `number`, detached; return whether the system did."""
    line = team.address + team_code.FIRST_WORKER + (number - 1) * team_code.LINE
    ctypes.c_uint64.from_address(line + 8).value = team.address
    ctypes.c_int64.from_address(line + 16).value = number
    library = ctypes.CDLL(None)
    attributes = ctypes.create_string_buffer(256)
    handle = ctypes.c_void_p()
    library.pthread_attr_init(attributes)
    library.pthread_attr_setstacksize(attributes, ctypes.c_size_t(_STACK_BYTES))
    library.pthread_attr_setdetachstate(attributes, 1)
    routine = ctypes.c_void_p(_code().address("worker"))
    failed = library.pthread_create(
        ctypes.byref(handle), attributes, routine, ctypes.c_void_p(line)
    )
    library.pthread_attr_destroy(attributes)
    return int(failed) == 0


def _forget() -> None:
    """Leave the team to the parent process: its threads are not in the child."""
    global _lock  # noqa: PLW0603  # another thread may have held it when the process forked
    _lock = threading.Lock()
    _main_thread.value = threading.get_ident()
    _immortal.extend(_teams)
    _teams.clear()


_immortal: list[_Team] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
