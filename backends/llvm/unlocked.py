"""The two calls of LLVM that take long, for several threads at once.

LLVM lets threads work at the same time where each has a context and a target machine of its own
("Threads and the LLVM API" in the LLVM Programmer's Manual). llvmlite holds one lock in every call
all the same, behind which two cores compile no faster than one. Here the function behind that lock
is called; where llvmlite has it no longer, the lock is held, and all is as right and slower.
Whoever calls keeps the process from forking meanwhile.
"""

from __future__ import annotations

import ctypes
from typing import Any


def _raw(name: str) -> Any:
    from llvmlite.binding import ffi  # loaded when something is compiled

    wrapped = getattr(ffi.lib, name)
    return getattr(wrapped, "_cfn", wrapped)


def run_passes(manager: Any, module: Any, builder: Any) -> None:
    """Do what `manager.run(module, builder)` does."""
    _raw("LLVMPY_RunNewModulePassManager")(manager, module, builder)


def emit_object(target_machine: Any, module: Any) -> bytes:
    """Do what `target_machine.emit_object(module)` does."""
    from llvmlite.binding import ffi  # as above

    with ffi.OutputString() as message:
        emit = _raw("LLVMPY_TargetMachineEmitToMemory")
        buffer = emit(target_machine, module, 1, message)
        if not buffer:
            raise RuntimeError(str(message))
    try:
        start = ffi.lib.LLVMPY_GetBufferStart(buffer)
        return ctypes.string_at(start, ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)
