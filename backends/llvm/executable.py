"""Compiled plans: the memory of a call, and the one native call that a call is.

Every call works in a *frame* of its own: arena, workspaces, control block (see `polling`), and the
table of addresses. Some frames are kept for the next calls; any number of Python threads can be
inside one executable, each in its frame.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphc.backends.llvm import team
from graphc.backends.llvm.build import Built, build
from graphc.backends.llvm.call_native import NativeProgram, native_call, remember_team
from graphc.backends.llvm.call_outputs import address_of, makers
from graphc.backends.llvm.compilation import assembly
from graphc.backends.llvm.host_calls import HostCaller
from graphc.backends.llvm.layout import CONTROL_BYTES, Layout
from graphc.dtypes import as_dtype, uint8
from graphc.errors import GraphcIndexError, InternalError
from graphc.executable import LaunchTime, NativeCall
from graphc.plan import Plan
from graphc.roofline import Limits
from graphc.state import (
    ALIGNMENT,
    STATE_LOCK,
    VariableState,
    aligned_empty,
    check_writable,
    is_any_in_use,
    is_host_all,
    run_using,
)
from graphc.tensor_type import TensorType
from graphc.thread_limit import thread_limit

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

_Entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
_Apart = ctypes.PYFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64)  # raises what it left


# Frames of a program that are kept: so many bytes, or one for each core if that is more.
_KEPT_BYTES = 16 * 1024**2


class _Frame:
    """The memory of one call at a time, of at most `threads` threads.

    `table` begins with arguments and outputs.
    """

    def __init__(
        self, plan: Plan, layout: Layout, fixed: Sequence[int], hosts: int, threads: int
    ) -> None:
        self.threads = threads
        self._arena = _bytes(plan.arena_bytes, "the arena")
        self._workspace = _bytes(layout.workspace_bytes * threads, "the workspaces")
        self._control = _bytes(CONTROL_BYTES, "the control block")
        self._control[...] = 0  # a program that nothing can stop never writes it
        self.control = address_of(self._control)
        self.status = ctypes.c_int32.from_address(self.control)
        self.table = (ctypes.c_uint64 * layout.slots.count)()
        memories = (self._arena, self._control, self._workspace)
        self.table[layout.slots.variable :] = [*fixed, *map(address_of, memories), hosts]
        self.address = ctypes.addressof(self.table)


@dataclass(slots=True)
class _Call:
    """What one call was given; an output that is None is to be made."""

    arguments: Sequence[Array]
    outputs: Sequence[Array | None]
    threads: int


def _bytes(count: int, purpose: str) -> Array:
    try:
        return aligned_empty(TensorType((count,), uint8))
    except MemoryError:
        raise MemoryError(f"no {count} bytes for {purpose} of a program") from None


def _aligned(constant: Array) -> Array:
    is_aligned = address_of(constant) % ALIGNMENT == 0
    if is_aligned and constant.flags.c_contiguous and not constant.flags.writeable:
        return constant
    copy = aligned_empty(TensorType(constant.shape, as_dtype(constant.dtype)))
    copy[...] = constant
    return copy


def _team_of(threads: int) -> int:
    address = team.address(threads)
    remember_team(address, threads)
    return address


def _locked(call: NativeCall, used: Sequence[VariableState]) -> NativeCall:
    """Return the native call of a program with variables: it has their lock, and refuses where
    their values may be elsewhere, or where a handler of a signal calls it within another call.

    `used` are those that such a handler must not change meanwhile, if one can come.
    """

    def locked(*arguments: Array) -> list[Array] | None:
        with STATE_LOCK:
            return call(*arguments) if is_host_all() and not is_any_in_use() else None

    def locked_and_polled(*arguments: Array) -> list[Array] | None:
        with STATE_LOCK:
            if not is_host_all() or is_any_in_use():
                return None
            return run_using(used, lambda: call(*arguments))

    return locked_and_polled if used else locked


class LlvmExecutable:
    """A plan in machine code. Any number of threads may be in `run` at once."""

    def __init__(self, built: Built) -> None:
        self.built = built
        plan = self._plan = built.plan
        self._layout, self._code = built.layout, built.code
        self._entry = self._entry_of(self._code.address("run"))
        self._constants = [_aligned(constant) for constant in plan.constants]
        self._written = [plan.variables[number] for number in sorted(plan.written)]
        spans = [variable.span for variable in plan.variables]
        self._written_spans = [spans[number] for number in sorted(plan.written)]
        self._fixed = [start for start, _ in spans] + [*map(address_of, self._constants)]
        self._callers = [HostCaller(function) for function in plan.host_functions]
        self._hosts = (ctypes.c_uint64 * len(self._callers))(*map(id, self._callers))
        self._makers = makers(plan.outputs)
        self._no_outputs = (None,) * len(plan.outputs)
        frame_bytes = plan.arena_bytes + self._layout.workspace_bytes * self._layout.threads
        kept = max(plan.target.cores, _KEPT_BYTES // max(1, frame_bytes))
        self._frames: deque[_Frame] = deque(maxlen=kept)  # the oldest one goes

    def _entry_of(self, address: int) -> Callable[[int, int | None, int], None]:
        """Return the entry as a function of table, team and threads, which leaves the interpreter
        to others meanwhile."""
        if not (self._layout.is_polled or self._layout.calls_host):
            return _Entry(address)
        return functools.partial(_Apart(team.symbols()["apart"]), address)

    def _threads(self) -> int:
        """Return how many threads a call in this context uses."""
        return min(self._layout.threads, thread_limit(self._plan.target.cores))

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
        return self.run_into(arguments, self._no_outputs)

    def run_into(
        self, arguments: Sequence[Array], outputs: Sequence[Array | None]
    ) -> tuple[Array, ...]:
        """Run once; see `graphc.executable.RunsInto`."""
        call = _Call(arguments, outputs, self._threads())
        if self._plan.donated:
            call.arguments = self._writable(arguments)
        frame = self._take_frame(call.threads)
        try:
            if self._plan.variables:
                results = self._run_with_variables(frame, call)
            else:
                results = self._call(frame, call)
            failed = frame.status.value
        finally:
            self._frames.append(frame)
        if failed:
            check = self.built.whole().checks[failed - 1]
            raise GraphcIndexError(check.message, line=str(check.line or ""))
        return results

    def _run_with_variables(self, frame: _Frame, call: _Call) -> tuple[Array, ...]:
        with STATE_LOCK:
            check_writable(self._written)
            for variable in self._plan.variables:
                variable.host()
            for variable in self._written:
                variable.touch()  # before an interrupt can come between
            call.arguments = [self._apart(array) for array in call.arguments]
            return run_using(self._exclusive, lambda: self._call(frame, call))

    @property
    def _exclusive(self) -> Sequence[VariableState]:
        """The variables that nobody may change while handlers of signals run within a call."""
        lets_handlers_run = self._layout.is_polled or self._layout.calls_host
        return self._plan.variables if lets_handlers_run else ()

    def _apart(self, array: Array) -> Array:
        """Return an argument, copied if it lies in the memory of a variable that is written."""
        start = address_of(array)
        end = start + array.nbytes
        if any(start < high and low < end for low, high in self._written_spans):
            return array.copy()
        return array

    def _writable(self, arguments: Sequence[Array]) -> list[Array]:
        """Return the arguments, a donated one copied if others may see that it is written."""
        arguments = list(arguments)
        for number in self._plan.donated.values():
            array = arguments[number]
            others = (other for i, other in enumerate(arguments) if i != number)
            if not array.flags.writeable or any(np.may_share_memory(array, o) for o in others):
                arguments[number] = array.copy()
        return arguments

    def _call(self, frame: _Frame, call: _Call) -> tuple[Array, ...]:
        table, arguments, donated = frame.table, call.arguments, self._plan.donated
        for slot, array in enumerate(arguments):
            table[slot] = address_of(array)
        results = []
        for number, (make, given) in enumerate(zip(self._makers, call.outputs, strict=True)):
            if number in donated:
                result = self._view(number, arguments[donated[number]])
            else:
                result = make() if given is None else given
            table[len(arguments) + number] = address_of(result)
            results.append(result)
        threads = call.threads
        self._entry(frame.address, _team_of(threads) if threads > 1 else None, threads)
        return tuple(results)

    def _view(self, number: int, array: Array) -> Array:
        """Return the output that lies in a donated argument."""
        type_ = self._plan.outputs[number]
        return np.ndarray(type_.shape, type_.dtype.numpy, array)

    def native(self) -> NativeCall | None:
        """Return a native call; see `graphc.executable.HasNativeCall`.

        One call at a time has it: `run` serves others. Donated arguments are for `run` to look at.
        """
        if self._plan.donated:
            return None
        threads = min(self._layout.threads, self._plan.target.cores)
        frame = self._take_frame(threads)  # for good
        program = NativeProgram(
            owner=(self, frame),
            entry=self._code.address("run"),
            table=frame.address,
            control=frame.control,
            threads=frame.threads,
            most_threads=self._layout.threads,
            releases=self._layout.is_long,
            inputs=self._plan.inputs,
            outputs=tuple(zip(self._plan.outputs, self._makers, strict=True)),
            written=self._written_spans,
        )
        call = native_call(program)
        if call is None or not self._plan.variables:
            return call
        return _locked(call, self._exclusive)

    def _take_frame(self, threads: int) -> _Frame:
        """Return a frame that no other call is using. One with room for too few threads goes."""
        with contextlib.suppress(IndexError):
            frame = self._frames.pop()
            if frame.threads >= threads:
                return frame
        hosts = ctypes.addressof(self._hosts)
        return _Frame(self._plan, self._layout, self._fixed, hosts, threads)


class TimedExecutable(LlvmExecutable):
    """A plan whose launches are timed; see `graphc.executable.TimedExecutable`. One run at a time:
    the table of times belongs to the code."""

    def launch_times(self) -> list[LaunchTime]:
        """Return the time and the threads of each step of the last run."""
        from graphc.backends.llvm import timing  # only profiles ask
        from graphc.backends.llvm.work import threads_for  # as above

        steps = self._plan.all_steps
        seconds, threads = timing.read_times(self._code.address(timing.TIMES), len(steps))
        seconds = timing.with_bodies(seconds, [depth for depth, _ in steps])
        return [
            LaunchTime(duration, threads if threads_for(step.routine) > 1 else 1)
            for duration, (_, step) in zip(seconds, steps, strict=True)
        ]

    def limits(self) -> Limits:
        """Return what this machine can do at best, with all threads that programs may use."""
        from graphc.backends.llvm.limits import measure_limits  # only profiles ask

        target = self._plan.target
        return measure_limits(self.built.machine, target.cores, target.cache_bytes)
