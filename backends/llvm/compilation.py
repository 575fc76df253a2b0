"""From the text of a module to code that runs: parse, verify, optimise lightly, emit, link.

The emitter writes vectors, hoists and shares by itself, so few passes are left to run. Every
module is verified before any pass sees it, because LLVM's answer to a malformed one is to abort
the process. The object that comes out is kept on disk (`object_cache`) under the digest of all
that it depends on, and only linked the next time: the same text is neither parsed nor verified
twice. The `loader` links it where it knows how, LLVM's own linker elsewhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import itertools
from collections.abc import Mapping
from typing import Any

import llvmlite

from graphc.backends.llvm import loader, object_cache
from graphc.backends.llvm.library import binding
from graphc.backends.llvm.machine import CODE_OPTIONS, Machine
from graphc.errors import InternalError
from graphc.process_lock import Rank, process_lock
from graphc.version import __version__

# the passes in their order; they are part of the key under which an object is kept
_PASSES = ("always_inliner", "sroa", "instruction_combine", "simplify_cfg")
_SPEED_LEVEL = 1

_jit_lock = process_lock(Rank.LINKING)  # also of code made outside of a compilation
_jits: list[Any] = []
_numbers = itertools.count()


class Code:
    """Linked machine code. It is unloaded when this object goes."""

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker
        self.key: bytes | None = None  # of its object, where that is kept on disk

    def address(self, name: str) -> int:
        """Return the address of an exported function."""
        return int(self._tracker[name])

    def keep_forever(self) -> None:
        """Never unload this code, not even when the interpreter ends (threads stand in it)."""
        _make_immortal(self._tracker)


def _make_immortal(thing: Any) -> None:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def optimise(text: str, machine: Machine) -> Any:
    """Return the verified and optimised module; raises InternalError for a malformed text."""
    module = _parse(text, machine)
    llvm = binding()
    options = llvm.create_pipeline_tuning_options(speed_level=_SPEED_LEVEL)
    builder = llvm.create_pass_builder(machine.handle, options)
    passes = llvm.create_new_module_pass_manager()
    for name in _PASSES:
        getattr(passes, f"add_{name}_pass")()
    passes.run(module, builder)
    return module


def _parse(text: str, machine: Machine) -> Any:
    llvm = binding()
    context = llvm.create_context()
    try:
        module = llvm.parse_assembly(text, context)
        module.triple = machine.triple
        module.data_layout = str(machine.handle.target_data)
        module.verify()
    except RuntimeError as error:
        raise InternalError(f"LLVM refuses the code of a kernel: {error}") from None
    return module


def assembly(text: str, machine: Machine) -> str:
    """Return the assembly of a module."""
    return str(machine.handle.emit_assembly(optimise(text, machine)))


def compile_module(
    text: str, machine: Machine, exports: tuple[str, ...], imports: Mapping[str, int]
) -> Code:
    """Compile and link a module; `imports` gives the addresses of the functions it declares.

    Raises InternalError for a text that LLVM refuses or cannot link.
    """
    cache = object_cache.configured()
    if cache is None:
        return _link(_emit(text, machine), exports, imports)
    key = cache_key(text, machine)
    code = load_module(key, exports, imports)
    if code is None:
        image = _emit(text, machine)
        code = _link(image, exports, imports)
        code.key = key
        cache.store(key, image)
    return code


def load_module(key: bytes, exports: tuple[str, ...], imports: Mapping[str, int]) -> Code | None:
    """Return the code whose object is kept under `key`; None where there is none that links."""
    cache = object_cache.configured()
    image = None if cache is None else cache.load(key)
    if image is None:
        return None
    with contextlib.suppress(InternalError):  # whole, and yet not to be linked
        code = _link(image, exports, imports)
        code.key = key
        return code
    return None


def _emit(text: str, machine: Machine) -> bytes:
    return bytes(machine.handle.emit_object(optimise(text, machine)))


def cache_key(text: str, machine: Machine) -> bytes:
    """Return the digest of all that the object of a module depends on, 32 bytes."""
    parts = (
        ("graphc", __version__),
        ("llvmlite", llvmlite.__version__),
        ("LLVM", machine.version),
        ("triple", machine.triple),
        ("CPU", machine.name, sorted(machine.features)),
        ("code", sorted(CODE_OPTIONS.items())),
        ("passes", _SPEED_LEVEL, _PASSES),
        ("text", len(text)),
    )
    return hashlib.sha256(f"{parts!r}\n{text}".encode()).digest()


def _link(image: bytes, exports: tuple[str, ...], imports: Mapping[str, int]) -> Code:
    if loader.is_supported():
        with contextlib.suppress(loader.UnknownObjectError):
            return Code(loader.load(image, exports, imports))
    return _link_by_llvm(image, exports, imports)


def _link_by_llvm(image: bytes, exports: tuple[str, ...], imports: Mapping[str, int]) -> Code:
    builder = binding().JITLibraryBuilder().add_object_img(image)
    for name in exports:
        builder.export_symbol(name)
    for name, address in imports.items():
        builder.import_symbol(name, address)
    try:
        with _jit_lock:
            return Code(builder.link(_jit(), f"graphc.{next(_numbers)}"))
    except RuntimeError as error:
        raise InternalError(f"LLVM cannot link the code of a program: {error}") from None


def _jit() -> Any:
    """Return the process's linker, never disposed of: code may outlive Python's objects."""
    if not _jits:
        jit = binding().create_lljit_compiler(use_jit_link=True)
        _make_immortal(jit)
        _jits.append(jit)
    return _jits[0]
