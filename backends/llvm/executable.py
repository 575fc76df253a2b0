"""Compiled plans: the memory of a call, and the one native call that a call is.

Every call works in a *frame* of its own: arena, workspaces, status, and the table of addresses.
Frames are kept for the next call, so several Python threads can be inside one executable, each in
its frame.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.backends.llvm import team
from graphc.backends.llvm.build import Built, build
from graphc.backends.llvm.call_native import NativeProgram, native_call, remember_team
from graphc.backends.llvm.call_outputs import address_of, makers
from graphc.backends.llvm.compilation import assembly
from graphc.backends.llvm.layout import Layout
from graphc.dtypes import as_dtype, int32, uint8
from graphc.errors import GraphcIndexError, InternalError
from graphc.executable import LaunchTime, NativeCall
from graphc.plan import Plan
from graphc.roofline import Limits
from graphc.state import ALIGNMENT, STATE_LOCK, VariableState, aligned_empty
from graphc.tensor_type import TensorType

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

_Entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class _Frame:
    """The memory of one call at a time. `table` begins with arguments and outputs."""

    def __init__(self, plan: Plan, layout: Layout, fixed: Sequence[int]) -> None:
        self._arena = _bytes(plan.arena_bytes)
        self._workspace = _bytes(layout.workspace_bytes * layout.threads)
        self._status = aligned_empty(TensorType((1,), int32))
        self.status = ctypes.c_int32.from_address(address_of(self._status))
        self.table = (ctypes.c_uint64 * layout.slots.count)()
        memories = (self._arena, self._status, self._workspace)
        self.table[layout.slots.variable :] = [*fixed, *map(address_of, memories)]
        self.address = ctypes.addressof(self.table)


def _bytes(count: int) -> Array:
    return aligned_empty(TensorType((count,), uint8))


def _aligned(constant: Array) -> Array:
    if address_of(constant) % ALIGNMENT == 0 and not constant.flags.writeable:
        return constant
    copy = aligned_empty(TensorType(constant.shape, as_dtype(constant.dtype)))
    copy[...] = constant
    return copy


def _span(variable: VariableState) -> tuple[int, int]:
    """Return where the host array of a variable begins and ends; it never moves."""
    with STATE_LOCK:
        start = address_of(variable.host())
    return start, start + variable.type.nbytes


def _team_of(threads: int) -> int:
    address = team.address(threads)
    remember_team(address, threads)
    return address


class LlvmExecutable:
    """A plan in machine code. Any number of threads may be in `run` at once."""

    def __init__(self, built: Built) -> None:
        self.built = built
        plan = self._plan = built.plan
        self._layout, self._code = built.layout, built.code
        self._entry = _Entry(self._code.address("run"))
        self._constants = [_aligned(constant) for constant in plan.constants]
        self._written = [plan.variables[number] for number in sorted(plan.written)]
        spans = [_span(variable) for variable in plan.variables]
        self._written_spans = [spans[number] for number in sorted(plan.written)]
        self._fixed = [start for start, _ in spans] + [*map(address_of, self._constants)]
        self._makers = makers(plan.outputs)
        self._frames: deque[_Frame] = deque()

    def text(self, stage: str) -> str:
        """Return "llvm", the modules as they were emitted, or "asm", their assembly optimised."""
        if stage == "llvm":
            return "\n".join(self.built.texts())
        if stage == "asm":
            return "\n".join(assembly(t, self.built.machine) for t in self.built.texts())
        raise InternalError(f"the LLVM backend has no stage {stage!r}")

    def timed(self) -> TimedExecutable:
        """Return the same plan compiled so that its launches are timed."""
        return TimedExecutable(build(self.built.whole(), self.built.machine, is_timed=True))

    def run(self, arguments: Sequence[Array]) -> tuple[Array, ...]:
        """Run once; see `graphc.executable.Executable.run`."""
        frame = self._take_frame()
        try:
            if self._plan.variables:
                outputs = self._run_with_variables(frame, arguments)
            else:
                outputs = self._call(frame, arguments)
            failed = frame.status.value
        finally:
            self._frames.append(frame)
        if failed:
            check = self.built.whole().checks[failed - 1]
            raise GraphcIndexError(check.message, line=str(check.line or ""))
        return outputs

    def _run_with_variables(self, frame: _Frame, arguments: Sequence[Array]) -> tuple[Array, ...]:
        with STATE_LOCK:
            for variable in self._plan.variables:
                variable.host()
            outputs = self._call(frame, [self._apart(array) for array in arguments])
            for variable in self._written:
                variable.touch()
        return outputs

    def _apart(self, array: Array) -> Array:
        """Return an argument, copied if it lies in the memory of a variable that is written."""
        start = address_of(array)
        end = start + array.nbytes
        if any(start < high and low < end for low, high in self._written_spans):
            return array.copy()
        return array

    def _call(self, frame: _Frame, arguments: Sequence[Array]) -> tuple[Array, ...]:
        table, threads = frame.table, self._layout.threads
        for slot, array in enumerate(arguments):
            table[slot] = address_of(array)
        outputs = []
        for slot, make in enumerate(self._makers, len(arguments)):
            output = make()
            table[slot] = address_of(output)
            outputs.append(output)
        frame.status.value = 0
        self._entry(frame.address, _team_of(threads) if threads > 1 else None)
        return tuple(outputs)

    def native(self) -> NativeCall | None:
        """Return a native call; see `graphc.executable.HasNativeCall`.

        There is none for programs with variables. One call at a time has it: `run` serves others.
        """
        if self._plan.variables:  # their lock, and copies elsewhere, are Python's
            return None
        frame = self._take_frame()  # for good
        program = NativeProgram(
            owner=(self, frame),
            entry=self._code.address("run"),
            table=frame.address,
            status=ctypes.addressof(frame.status),
            threads=self._layout.threads,
            releases=self._layout.is_long,
            inputs=self._plan.inputs,
            outputs=tuple(zip(self._plan.outputs, self._makers, strict=True)),
        )
        return native_call(program)

    def _take_frame(self) -> _Frame:
        """Return a frame that no other call is using."""
        with contextlib.suppress(IndexError):
            return self._frames.pop()
        return _Frame(self._plan, self._layout, self._fixed)


class TimedExecutable(LlvmExecutable):
    """A plan whose launches are timed; see `graphc.executable.TimedExecutable`. One run at a time:
    the table of times belongs to the code."""

    def launch_times(self) -> list[LaunchTime]:
        """Return the time and the threads of each launch of the last run."""
        from graphc.backends.llvm import timing  # only profiles ask
        from graphc.backends.llvm.program import threads_for  # as above

        launches = self._plan.launches
        seconds, threads = timing.read_times(self._code.address(timing.TIMES), len(launches))
        return [
            LaunchTime(duration, threads if threads_for(launch.kernel) > 1 else 1)
            for duration, launch in zip(seconds, launches, strict=True)
        ]

    def limits(self) -> Limits:
        """Return what this machine can do at best, with all threads that programs may use."""
        from graphc.backends.llvm.limits import measure_limits  # only profiles ask

        target = self._plan.target
        return measure_limits(self.built.machine, target.cores, target.cache_bytes)
