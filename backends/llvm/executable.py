"""Compiled plans: the memory of a call, and the one native call that a call is.

Every call works in a *frame* of its own: arena, workspaces, status, and the table of addresses. Frames
are kept for the next call, so several Python threads can be inside one executable, each in its frame.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.backends.llvm import team
from graphc.backends.llvm.compilation import assembly, compile_module
from graphc.backends.llvm.machine import Machine
from graphc.backends.llvm.program import BARRIER, DISPATCH, Program, write_program
from graphc.dtypes import as_dtype, int32, uint8, uint64
from graphc.errors import GraphcIndexError, InternalError
from graphc.plan import Plan
from graphc.state import aligned_empty
from graphc.tensor_type import TensorType

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
_LIBRARY = ("fma",)
_Entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class _Frame:
    """The memory of one call at a time."""

    def __init__(self, plan: Plan, program: Program, fixed: Sequence[int]) -> None:
        self.arena = _bytes(plan.arena_bytes)
        self.workspace = _bytes(program.workspace_bytes * program.threads)
        self.status = aligned_empty(TensorType((1,), int32))
        self.table = aligned_empty(TensorType((program.slots.count,), uint64))
        memories = [self.arena, self.workspace, self.status]
        arena, workspace, status = (address_of(memory) for memory in memories)
        self.table[program.slots.variable :] = [*fixed, arena, status, workspace]
        self.address = address_of(self.table)


def _bytes(count: int) -> Array:
    return aligned_empty(TensorType((count,), uint8))


def address_of(array: Array) -> int:
    """Return the address of an array's data."""
    return int(array.__array_interface__["data"][0])


def _aligned(constant: Array) -> Array:
    copy = aligned_empty(TensorType(constant.shape, as_dtype(constant.dtype)))
    copy[...] = constant
    return copy


def _imports(program: Program) -> dict[str, int]:
    """Return the addresses of the functions outside of the module that it calls."""
    imports = {n: team.c_function(n) for n in _LIBRARY if f"declare double @{n}(" in program.text}
    if program.threads > 1:
        symbols = team.symbols()
        imports |= {DISPATCH: symbols["run"], BARRIER: symbols["barrier"]}
    return imports


class LlvmExecutable:
    """A plan in machine code. Any number of threads may be in `run` at once."""

    def __init__(self, plan: Plan, machine: Machine) -> None:
        self._plan, self._machine = plan, machine
        self._program = write_program(plan, machine)
        imports = _imports(self._program)
        self._code = compile_module(self._program.text, machine, ("run",), imports)
        self._entry = _Entry(self._code.address("run"))
        self._constants = [_aligned(constant) for constant in plan.constants]
        self._variables = sorted(set(plan.variables), key=id)
        self._written = [plan.variables[number] for number in sorted(plan.written)]
        self._frames: deque[_Frame] = deque()

    def text(self, stage: str) -> str:
        """Return "llvm", the module as it was emitted, or "asm", the assembly of it optimised."""
        if stage == "llvm":
            return self._program.text
        if stage == "asm":
            return assembly(self._program.text, self._machine)
        raise InternalError(f"the LLVM backend has no stage {stage!r}")

    def run(self, arguments: Sequence[Array]) -> tuple[Array, ...]:
        """Run once; see `graphc.executable.Executable.run`."""
        outputs = tuple(map(aligned_empty, self._plan.outputs))
        frame = self._take_frame()
        try:
            with contextlib.ExitStack() as locks:
                for variable in self._variables:
                    locks.enter_context(variable.lock)
                    variable.host()
                self._call(frame, arguments, outputs)
                for variable in self._written:
                    variable.touch()
            failed = int(frame.status[0])
        finally:
            self._frames.append(frame)
        if failed:
            check = self._plan.checks[failed - 1]
            raise GraphcIndexError(check.message, line=str(check.line or ""))
        return outputs

    def _call(self, frame: _Frame, arguments: Sequence[Array], outputs: Sequence[Array]) -> None:
        addresses = [address_of(array) for array in (*arguments, *outputs)]
        frame.table[: len(addresses)] = addresses
        frame.status[0] = 0
        threads = self._program.threads
        self._entry(frame.address, team.address(threads) if threads > 1 else None)

    def _take_frame(self) -> _Frame:
        """Return a frame that no other call is using."""
        with contextlib.suppress(IndexError):
            return self._frames.pop()
        fixed = [address_of(variable.host()) for variable in self._plan.variables]
        fixed += [address_of(constant) for constant in self._constants]
        return _Frame(self._plan, self._program, fixed)
