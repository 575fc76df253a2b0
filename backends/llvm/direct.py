"""LLVM by the C functions of llvmlite's library, without llvmlite's Python.

That takes 15 ms to import and is one lock around every call; of its classes a compilation needs a
dozen functions. They are called here as llvmlite 0.50 calls them, and only where that is what is
installed (`is_known`); with any other version `by_llvmlite` does the same. Threads may compile at
the same time: each call makes a context and a target machine of its own and leaves nothing behind
("Threads and the LLVM API" in the LLVM Programmer's Manual). Whoever calls keeps the process from
forking meanwhile.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

from graphc.backends.llvm.order import PASSES, Host, Order

_KNOWN = "0.50."
_POINTER, _TEXT, _NUMBER = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
_OUT = ctypes.POINTER(ctypes.c_void_p)

# The C functions: what each returns and takes. Those of microseconds keep the interpreter, since
# another thread would have it for longer than the call takes.
_SHORT: dict[str, tuple[Any, ...]] = {
    "InitializeNativeTarget": (None,),
    "InitializeNativeAsmPrinter": (None,),
    "GetVersionInfo": (ctypes.c_uint,),
    "GetHostCPUName": (None, _OUT),
    "GetHostCPUFeatures": (_NUMBER, _OUT),
    "GetProcessTriple": (None, _OUT),
    "GetTargetFromTriple": (_POINTER, _TEXT, _OUT),
    "CreateTargetMachineData": (_POINTER, _POINTER),
    "CopyStringRepOfTargetData": (None, _POINTER, _OUT),
    "DisposeTargetData": (None, _POINTER),
    "DisposeString": (None, _POINTER),
    "ContextCreate": (_POINTER,),
    "SetTarget": (None, _POINTER, _TEXT),
    "SetDataLayout": (None, _POINTER, _TEXT),
    "CreateNewModulePassManager": (_POINTER,),
    "DisposeNewModulePassManger": (None, _POINTER),
    "module_AddAlwaysInlinerPass": (None, _POINTER),
    "module_AddSROAPass": (None, _POINTER),
    "module_AddSimplifyCFGPass": (None, _POINTER),
    "CreatePipelineTuningOptions": (_POINTER,),
    "DisposePipelineTuningOptions": (None, _POINTER),
    "GetBufferStart": (_POINTER, _POINTER),
    "GetBufferSize": (ctypes.c_size_t, _POINTER),
    "DisposeMemoryBuffer": (None, _POINTER),
}
_LONG: dict[str, tuple[Any, ...]] = {
    "CreateTargetMachine": (
        *(_POINTER, _POINTER, _TEXT, _TEXT, _TEXT, _NUMBER),
        *(_TEXT, _TEXT, _NUMBER, _NUMBER, _TEXT),
    ),
    "DisposeTargetMachine": (None, _POINTER),
    "ParseAssembly": (_POINTER, _POINTER, _TEXT, _OUT),
    "VerifyModule": (ctypes.c_bool, _POINTER, _OUT),
    "CreatePassBuilder": (_POINTER, _POINTER, _POINTER),
    "DisposePassBuilder": (None, _POINTER),
    "RunNewModulePassManager": (None, _POINTER, _POINTER, _POINTER),
    "TargetMachineEmitToMemory": (_POINTER, _POINTER, _POINTER, _NUMBER, _OUT),
    "DisposeModule": (None, _POINTER),
    "ContextDispose": (None, _POINTER),
}


def is_known(version: str) -> bool:
    """Return whether the C functions of this version of llvmlite are those that are called here."""
    return version.startswith(_KNOWN)


class Direct:
    """LLVM, its library found at a path."""

    def __init__(self, path: str) -> None:
        self.short = _functions(ctypes.PyDLL(path), _SHORT)
        self.long = _functions(ctypes.CDLL(path), _LONG)
        self.short["InitializeNativeTarget"]()
        self.short["InitializeNativeAsmPrinter"]()

    def host(self) -> Host:
        """Return what LLVM says of this computer."""
        texts = {}
        for name in ("GetHostCPUName", "GetHostCPUFeatures", "GetProcessTriple"):
            with self._message() as message:
                self.short[name](message)
                texts[name] = self._text(message)
        name, features, triple = texts.values()
        has = frozenset(feature[1:] for feature in features.split(",") if feature[:1] == "+")
        number = self.short["GetVersionInfo"]()
        version = tuple(number.to_bytes(4, "big").lstrip(b"\0"))
        return Host(name, has, triple, version)

    def compile(self, text: str, order: Order, *, as_assembly: bool = False) -> bytes:
        """Return the object, or the assembly, of a module; RuntimeError for what LLVM refuses."""
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(self._target_machine(order))
            module = stack.enter_context(self._module(text))
            self._describe(module, target, order)
            with self._message() as message:
                if self.long["VerifyModule"](module, message):
                    raise RuntimeError(self._text(message))
            self._run_passes(module, target)
            return self._emit(module, target, as_assembly)

    @contextlib.contextmanager
    def _message(self) -> Iterator[ctypes.c_void_p]:
        """Give a place for a text of LLVM's, which is freed afterwards."""
        message = ctypes.c_void_p()
        try:
            yield message
        finally:
            if message.value is not None:
                self.short["DisposeString"](message)

    @staticmethod
    def _text(message: ctypes.c_void_p) -> str:
        return ctypes.string_at(message.value).decode() if message.value else ""

    @contextlib.contextmanager
    def _target_machine(self, order: Order) -> Iterator[int]:
        triple = order.triple.encode()
        with self._message() as message:
            target = self.short["GetTargetFromTriple"](triple, message)
            if not target:
                raise RuntimeError(self._text(message))
        names = (triple, order.cpu.encode(), order.features.encode())
        model = (order.relocation.encode(), order.code_model.encode(), 0, 1, b"")
        machine = self.long["CreateTargetMachine"](target, *names, order.level, *model)
        if not machine:
            raise RuntimeError(f"there is no {order.cpu} of the kind {order.triple}")
        try:
            yield machine
        finally:
            self.long["DisposeTargetMachine"](machine)

    @contextlib.contextmanager
    def _module(self, text: str) -> Iterator[int]:
        context = self.short["ContextCreate"]()
        try:
            with self._message() as message:
                module = self.long["ParseAssembly"](context, text.encode(), message)
                if not module:
                    raise RuntimeError(self._text(message))
            try:
                yield module
            finally:
                self.long["DisposeModule"](module)
        finally:
            self.long["ContextDispose"](context)

    def _describe(self, module: int, machine: int, order: Order) -> None:
        """Tell a module what it is compiled for."""
        self.short["SetTarget"](module, order.triple.encode())
        data = self.short["CreateTargetMachineData"](machine)
        with self._message() as message:
            self.short["CopyStringRepOfTargetData"](data, message)
            self.short["SetDataLayout"](module, self._text(message).encode())
        self.short["DisposeTargetData"](data)

    def _run_passes(self, module: int, machine: int) -> None:
        options = self.short["CreatePipelineTuningOptions"]()
        builder = self.long["CreatePassBuilder"](machine, options)
        manager = self.short["CreateNewModulePassManager"]()
        for name in PASSES:
            self.short[_ADDED[name]](manager)
        self.long["RunNewModulePassManager"](manager, module, builder)
        self.short["DisposeNewModulePassManger"](manager)
        self.long["DisposePassBuilder"](builder)
        self.short["DisposePipelineTuningOptions"](options)

    def _emit(self, module: int, machine: int, as_assembly: bool) -> bytes:
        with self._message() as message:
            emit = self.long["TargetMachineEmitToMemory"]
            buffer = emit(machine, module, int(not as_assembly), message)
            if not buffer:
                raise RuntimeError(self._text(message))
        start = self.short["GetBufferStart"](buffer)
        try:
            return ctypes.string_at(start, self.short["GetBufferSize"](buffer))
        finally:
            self.short["DisposeMemoryBuffer"](buffer)


_ADDED = {
    "always_inliner": "module_AddAlwaysInlinerPass",
    "sroa": "module_AddSROAPass",
    "simplify_cfg": "module_AddSimplifyCFGPass",
}


def _functions(library: Any, signatures: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
    found = {}
    for name, (result, *arguments) in signatures.items():
        function = library[f"LLVMPY_{name}"]  # an object of its own, which others do not see
        function.restype, function.argtypes = result, arguments
        found[name] = function
    return found
