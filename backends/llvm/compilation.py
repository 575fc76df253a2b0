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
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from graphc.backends.llvm import loader, object_cache
from graphc.backends.llvm.beside import Beside, is_beside
from graphc.backends.llvm.library import binding, llvm
from graphc.backends.llvm.machine import Machine
from graphc.backends.llvm.module import ModuleText
from graphc.backends.llvm.order import FULL_LEVEL, PASSES, Order
from graphc.errors import InternalError
from graphc.process_lock import Rank, process_lock
from graphc.version import __version__

# Objects on disk, each with what it exports: the first is the one that has the entry.
Objects: TypeAlias = "tuple[tuple[bytes, tuple[str, ...]], ...]"

# Held by a thread that compiles, for itself and for those beside it: no fork meanwhile.
_emission_lock = process_lock(Rank.EMISSION)
_jit_lock = process_lock(Rank.LINKING)  # also of code made outside of a compilation
_jits: list[Any] = []
_numbers = itertools.count()


class Code:
    """Linked machine code. It is unloaded when this object goes."""

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker
        self.objects: Objects = ()  # where they are kept on disk, the first is this code's own
        self.parts: tuple[Code, ...] = ()  # that this code calls

    def address(self, name: str) -> int:
        """Return the address of an exported function."""
        return int(self._tracker[name])

    def keep_forever(self) -> None:
        """Never unload this code, not even when the interpreter ends (threads stand in it)."""
        _make_immortal(self._tracker)


def alone() -> contextlib.AbstractContextManager[Any]:
    """Return what a thread holds that has something compiled; nothing beside one that holds it."""
    return contextlib.nullcontext() if is_beside() else _emission_lock


def _make_immortal(thing: Any) -> None:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def assembly(text: str, machine: Machine) -> str:
    """Return the assembly of a module; raises InternalError for a malformed text."""
    with _emission_lock:
        return _compile(text, machine.order(), as_assembly=True).decode()


def _compile(text: str, order: Order, *, as_assembly: bool = False) -> bytes:
    try:
        return llvm().compile(text, order, as_assembly=as_assembly)
    except RuntimeError as error:
        raise InternalError(f"LLVM refuses the code of a kernel: {error}") from None


def compile_module(
    text: str,
    machine: Machine,
    exports: tuple[str, ...],
    imports: Mapping[str, int],
    level: int = FULL_LEVEL,
) -> Code:
    """Compile and link a module; `imports` gives the addresses of the functions it declares.

    Raises InternalError for a text that LLVM refuses or cannot link.
    """
    return compile_modules((ModuleText(text, exports, level),), machine, lambda: imports)


def compile_modules(
    modules: tuple[ModuleText, ...], machine: Machine, imports: Callable[[], Mapping[str, int]]
) -> Code:
    """Compile and link modules of which the first calls the others; return the code of the first.

    Several that are not found on disk are compiled at once, and `imports` is asked meanwhile.
    """
    with Emission(machine) as emission:
        for module in modules[1:]:
            emission.begin(module)
        return emission.finish(modules[0], imports)


@dataclass(slots=True)
class _Part:
    """A module, and its object once it was found on disk (`is_kept`) or made."""

    module: ModuleText
    key: bytes
    image: bytes | None = None
    is_kept: bool = False
    error: Exception | None = None

    def make(self, machine: Machine) -> None:
        """Compile the module; what that raises is for who asks for the value."""
        try:
            self.image = _emit(self.module, machine)
        except Exception as error:
            self.error = error

    def value(self) -> bytes:
        """Return the object; raises what its compilation raised."""
        if self.image is None:
            raise self.error or InternalError("a module of a program was not compiled")
        return self.image


class Emission:
    """The compilation of the modules of a program: threads beside this one take them up, one after
    the other, as soon as their texts are complete, and in the end this one does too.

    Only one goes on at a time, and no fork meanwhile; nothing that it began is left behind it.
    """

    def __init__(self, machine: Machine, helpers: int = 1) -> None:
        """`helpers` is the number of threads beside this one."""
        self._machine, self._cache = machine, object_cache.configured()
        self._begun: list[_Part] = []
        self._waiting: deque[_Part] = deque()
        self._most_helpers, self._helpers = helpers, list[Beside[None]]()
        self._held = contextlib.ExitStack()
        self._is_alone = False

    def __enter__(self) -> Emission:
        return self

    def __exit__(self, *_: object) -> None:
        with self._held:
            self._waiting.clear()
            self._join()

    def _join(self) -> None:
        for helper in self._helpers:
            helper.join()

    def _hold(self) -> None:
        """Wait for whatever else is compiled: not before there is something to compile."""
        if not self._is_alone:
            self._held.enter_context(alone())
            self._is_alone = True

    def _work(self) -> None:
        """Compile what waits until nothing does."""
        with contextlib.suppress(IndexError):
            while True:
                self._waiting.popleft().make(self._machine)

    def begin(self, module: ModuleText) -> None:
        """Look for the object of a module that the entry calls, or have it made beside this."""
        self._hold()
        part = self._found(module)
        self._begun.append(part)
        if part.is_kept:
            return
        self._waiting.append(part)
        if sum(helper.is_alive() for helper in self._helpers) < self._most_helpers:
            self._helpers.append(Beside(self._work))

    def finish(self, entry: ModuleText, imports: Callable[[], Mapping[str, int]]) -> Code:
        """Return the code of the entry, linked with all that was begun.

        `imports` gives the addresses of the other functions that the modules declare. Raises
        InternalError for a text that LLVM refuses or cannot link.
        """
        self._hold()
        parts = [self._found(entry), *self._begun]
        with contextlib.ExitStack() as stack:
            if not parts[0].is_kept:
                self._waiting.appendleft(parts[0])
                if self._begun:
                    beside = Beside(imports)
                    stack.callback(beside.join)
                    imports = beside.value
            self._work()
            self._join()
            addresses = imports()
        try:
            code = _link_all(parts, addresses)
        except InternalError:
            if not any(part.is_kept for part in parts):
                raise
            # what was on disk is whole, and yet not to be linked
            parts = [_Part(part.module, part.key) for part in parts]
            for part in parts:
                part.make(self._machine)
            code = _link_all(parts, addresses)
        if self._cache is not None:
            code.objects = tuple((part.key, part.module.exports) for part in parts)
            for part in parts:
                if not part.is_kept:
                    self._cache.store(part.key, part.value())
        return code

    def _found(self, module: ModuleText) -> _Part:
        if self._cache is None:
            return _Part(module, b"")
        key = cache_key(module.text, self._machine, module.level)
        image = self._cache.load(key)
        return _Part(module, key, image, image is not None)


def load_modules(objects: Objects, imports: Callable[[], Mapping[str, int]]) -> Code | None:
    """Return the code whose objects are kept on disk; None if one is not, or they do not link."""
    cache = object_cache.configured()
    images: list[bytes] = []
    for key, _ in objects:
        image = None if cache is None else cache.load(key)
        if image is None:
            return None
        images.append(image)
    with contextlib.suppress(InternalError):  # whole, and yet not to be linked
        parts = [
            _Part(ModuleText("", exports), key, image)
            for (key, exports), image in zip(objects, images, strict=True)
        ]
        code = _link_all(parts, imports())
        code.objects = objects
        return code
    return None


def _link_all(parts: Sequence[_Part], imports: Mapping[str, int]) -> Code:
    """Return the code of the first part, linked with the others, whose functions it calls."""
    addresses, linked = dict(imports), []
    images = [part.value() for part in parts]
    for part, image in zip(parts[1:], images[1:], strict=True):
        code = _link(image, part.module.exports, imports)
        addresses |= {name: code.address(name) for name in part.module.exports}
        linked.append(code)
    code = _link(images[0], parts[0].module.exports, addresses)
    code.parts = tuple(linked)
    return code


def _emit(module: ModuleText, machine: Machine) -> bytes:
    return _compile(module.text, machine.order(module.level))


def cache_key(text: str, machine: Machine, level: int = FULL_LEVEL) -> bytes:
    """Return the digest of all that the object of a module depends on, 32 bytes."""
    import llvmlite  # small: its version

    parts = (
        ("graphc", __version__),
        ("llvmlite", llvmlite.__version__),
        ("LLVM", machine.version),
        ("CPU", sorted(machine.features)),
        ("order", machine.order(level)),
        ("passes", PASSES),
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
