"""Programs on an OpenCL device.

Constants are uploaded once; variables live on the device, where all programs share one copy, and go
back to the host only when somebody asks for their value; inputs are uploaded and outputs downloaded
at each call. The arena is one block. A call holds the locks of its variables, then that of the
device: calls on one device run one after the other.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.backends.opencl.device import Device
from graphc.backends.opencl.emit import Part, emit_kernel
from graphc.backends.opencl.functions import Library
from graphc.backends.opencl.steps import Parts, Steps
from graphc.backends.opencl.table import Table
from graphc.errors import BackendError, GraphcIndexError, GraphcValueError
from graphc.kernel import Kernel
from graphc.plan import Plan, Space
from graphc.state import (
    STATE_LOCK,
    VariableState,
    aligned_empty,
    allow_copies,
    check_writable,
    run_using,
)

if TYPE_CHECKING:
    import pyopencl


_PARAMETER_BYTES = 16  # of a buffer: a pointer, and the number of elements to skip


@dataclass
class _Copy:
    """A variable's value on a device; it is up to date where `version` is the state's."""

    buffer: pyopencl.Buffer
    version: int = -1


_COPIES: weakref.WeakKeyDictionary[VariableState, dict[Device, _Copy]] = weakref.WeakKeyDictionary()
_COPIES_LOCK = threading.Lock()


def _copy_of(state: VariableState, device: Device) -> _Copy:
    """Return the copy of a variable that all programs on `device` share."""
    allow_copies()
    with _COPIES_LOCK:
        copies = _COPIES.setdefault(state, {})
        if device not in copies:
            copies[device] = _Copy(device.allocate(state.type.nbytes))
        return copies[device]


class OpenCLExecutable:
    """A plan on a device; see `graphc.executable.Executable`."""

    def __init__(self, plan: Plan, device: Device) -> None:
        self.plan, self.device = plan, device
        self.source, parts = emit_plan(plan, device)
        _check_memory(plan, device)
        with device.working(f"hold program {plan.name}"):
            program = device.build(self.source)
            self._table = self._allocate(plan, device)
            self._steps = Steps(plan, program, parts)
            self._steps.bind(self._table)

    def _allocate(self, plan: Plan, device: Device) -> Table:
        """Return where everything lies, for as long as this executable."""
        self._inputs = [device.allocate(t.nbytes) for t in plan.inputs]
        self._outputs = [device.allocate(t.nbytes) for t in plan.outputs]
        self._copies = [_copy_of(state, device) for state in plan.variables]
        self._status = _uploaded(np.zeros(1, np.int32), device)  # for good where nothing is checked
        return Table(
            arguments=[(buffer, 0) for buffer in self._inputs],
            outputs=[(buffer, 0) for buffer in self._outputs],
            variables=[(copy.buffer, 0) for copy in self._copies],
            constants=[(_uploaded(array, device), 0) for array in plan.constants],
            arena=(device.allocate(plan.arena_bytes), 0),
            status=(self._status, 0),
        )

    def run(self, arguments: Sequence[np.ndarray[Any, Any]]) -> tuple[np.ndarray[Any, Any], ...]:
        """Run once; see the protocol. Raises GraphcIndexError where a check fails."""
        outputs = tuple(aligned_empty(type_) for type_ in self.plan.outputs)
        if not self.plan.variables:
            failed = self._work(arguments, outputs)
        else:
            with STATE_LOCK:
                check_writable(self.plan.variables[number] for number in self.plan.written)
                failed = run_using(self.plan.variables, lambda: self._work(arguments, outputs))
                self._lend_written()
        if failed:
            check = self.plan.checks[failed - 1]
            raise GraphcIndexError(check.message, line=str(check.line or ""))
        return outputs

    def _work(
        self,
        arguments: Sequence[np.ndarray[Any, Any]],
        outputs: Sequence[np.ndarray[Any, Any]],
    ) -> int:
        """Bring the arguments and the newest values, run, fetch the outputs; return the status."""
        stale = [
            (copy, state, state.host())
            for copy, state in zip(self._copies, self.plan.variables, strict=True)
            if copy.version != state.version
        ]
        with self.device.working(f"run program {self.plan.name}"):
            for copy, state, value in stale:
                self.device.upload(copy.buffer, value)
                copy.version = state.version
            for buffer, array in zip(self._inputs, arguments, strict=True):
                self.device.upload(buffer, array)
            failed = self._enqueue()
            for output, buffer in zip(outputs, self._outputs, strict=True):
                self.device.download(output, buffer)
        return failed

    def _enqueue(self) -> int:
        """Run all steps and return the status."""
        status = np.zeros(1, np.int32)
        if self.plan.checks:
            self.device.upload(self._status, status)
        for number, run in enumerate(self._steps.runs):
            if 0 < number == self._steps.commit:
                self.device.download(status, self._status)
                if status[0]:
                    return int(status[0])
            run.run(self.device, self._table)
        if self.plan.checks:
            self.device.download(status, self._status)
        return int(status[0])

    def _lend_written(self) -> None:
        """Say that the device has the newest values of what the program assigns."""
        for number in self.plan.written:
            copy, state = self._copies[number], self.plan.variables[number]
            state.touch()
            copy.version = state.version
            state.lend(partial(_fetch, self.device, copy.buffer))

    def text(self, stage: str) -> str:
        """Return the OpenCL C source ("opencl"); raises GraphcValueError for another stage."""
        if stage != "opencl":
            raise GraphcValueError(
                f"the OpenCL backend has no stage {stage!r}", hint="try 'opencl'"
            )
        return self.source


def _fetch(device: Device, buffer: pyopencl.Buffer, array: np.ndarray[Any, Any]) -> None:
    with device.working("give back a variable"):
        device.download(array, buffer)


def _uploaded(array: np.ndarray[Any, Any], device: Device) -> pyopencl.Buffer:
    buffer = device.allocate(array.nbytes)
    device.upload(buffer, np.ascontiguousarray(array))
    return buffer


def emit_plan(plan: Plan, device: Device) -> tuple[str, Parts]:
    """Return the source of a whole program and the parts of each of its kernels.

    Raises BackendError where a kernel needs what the device has not.
    """
    library = Library(device.features)
    texts: list[str] = []
    parts: Parts = {}
    for number, kernel in enumerate(plan.kernels):
        text, parts[kernel] = emit_kernel(
            kernel,
            library,
            f"k{number}",
            _status_buffers(plan, kernel),
            most_items=device.group_items,
            cores=device.cores,
        )
        texts.append(text)
        for part in parts[kernel]:
            _check_limits(kernel, part, device)
    return library.complete("\n".join(texts)), parts


def _check_memory(plan: Plan, device: Device) -> None:
    """Raise BackendError where `plan` cannot fit: some drivers say so at the first step only."""
    types = [*plan.inputs, *plan.outputs, *(state.type for state in plan.variables)]
    constants = sum(array.nbytes for array in plan.constants)
    size = sum(t.nbytes for t in types) + constants + plan.arena_bytes
    if size > device.memory_bytes:
        raise BackendError(
            f"{device.name} cannot hold program {plan.name}: "
            f"it needs {size} bytes of memory, and the device has {device.memory_bytes}"
        )


def _check_limits(kernel: Kernel, part: Part, device: Device) -> None:
    if part.local_bytes > device.local_bytes:
        raise BackendError(
            f"kernel {kernel.name} needs {part.local_bytes} bytes of local memory, "
            f"and {device.name} has {device.local_bytes}"
        )
    if _PARAMETER_BYTES * len(part.buffers) > device.parameter_bytes:
        raise BackendError(
            f"kernel {kernel.name} has {len(part.buffers)} buffers, "
            f"too many for the {device.parameter_bytes} bytes of parameters of {device.name}"
        )


def _status_buffers(plan: Plan, kernel: Kernel) -> frozenset[str]:
    return frozenset(
        buffer.name
        for _, step in plan.all_steps
        if step.routine == kernel
        for buffer, place in zip(kernel.buffers, step.places, strict=True)
        if place.space is Space.STATUS
    )
