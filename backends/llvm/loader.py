"""Objects into memory without LLVM: sections copied, addresses filled in, pages made executable.

It loads what our own compilation emits for Linux on x86-64: a relocatable ELF object of
position-independent code in the small model (System V ABI, AMD64 supplement 1.0, chapter 4) that
refers to itself and to the functions it imports. So a program that was compiled before runs
without LLVM, whose library takes 20 ms to load. Whatever else stands in an object is refused with
`UnknownObjectError`, before anything of it could run, and left to LLVM's linker. No page is ever
writable and executable. Unwind tables are left out: our code throws nothing.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

_PAGE = mmap.PAGESIZE
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # of the file
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_IDENTITY = b"\x7fELF\x02\x01\x01"  # 64 bits, little-endian, version 1
_RELOCATABLE, _X86_64 = 1, 62
_PROGBITS, _SYMTAB, _RELA, _NOBITS, _UNWIND = 1, 2, 4, 8, 0x70000001
_WRITE, _ALLOC, _EXECUTE, _THREAD_LOCAL = 1, 2, 4, 0x400
_UNDEFINED, _RESERVED = 0, 0xFF00
# what stands at a place: an address, the distance to one, or to the word that holds it
_ABS64, _PC32, _PLT32, _PC64 = 1, 2, 4, 24
_TABLE_ENTRY = (9, 41, 42)  # GOTPCREL, GOTPCRELX, REX_GOTPCRELX
_JUMP = b"\xff\x25"  # jmp *distance(%rip)
_STUB_BYTES, _WORD_BYTES = 8, 8
_MOST_ALIGNMENT = _PAGE


class UnknownObjectError(Exception):
    """The object holds something that this loader does not know."""


class _Section(NamedTuple):
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int

    @property
    def is_loaded(self) -> bool:
        return bool(self.flags & _ALLOC) and self.type in (_PROGBITS, _NOBITS)


class _Symbol(NamedTuple):
    name: str
    section: int
    value: int


class Loaded:
    """Code in memory; it is unmapped when this object goes."""

    def __init__(self, memory: mmap.mmap, addresses: Mapping[str, int]) -> None:
        self._memory, self._addresses = memory, addresses

    def __getitem__(self, name: str) -> int:
        """Return the address of an exported function."""
        return self._addresses[name]


def is_supported() -> bool:
    """Return whether objects are loaded here at all on this system."""
    return sys.platform == "linux" and platform.machine() == "x86_64" and sys.maxsize > 2**32


def load(image: bytes, exports: tuple[str, ...], imports: Mapping[str, int]) -> Loaded:
    """Return the code of an object; `imports` gives the addresses of the functions it calls.

    Raises UnknownObjectError for an object that is not wholly understood, or lacks an export.
    """
    try:
        return _Loader(image, imports).load(exports)
    except (struct.error, IndexError, OverflowError, ValueError, OSError) as error:
        raise UnknownObjectError(f"the object cannot be loaded: {error}") from None


class _Loader:
    """One object on its way: code first, then constants and words with addresses, then data."""

    def __init__(self, image: bytes, imports: Mapping[str, int]) -> None:
        self.image, self.imports = image, imports
        self.sections = list(_sections(image))
        self.symbols = self._symbols()
        self.places: dict[int, int] = {}  # of sections: offsets in memory
        self.stubs: dict[str, int] = {}
        self.words: dict[int, int] = {}  # by the number of a symbol
        self.base = 0

    def load(self, exports: tuple[str, ...]) -> Loaded:
        code = self._place(0, lambda flags: bool(flags & _EXECUTE))
        for number, name in enumerate(self._imported()):
            self.stubs[name] = code + number * _STUB_BYTES
        constants = _whole_pages(code + len(self.stubs) * _STUB_BYTES)
        end = self._place(constants, lambda flags: not flags & (_EXECUTE | _WRITE))
        end = -(-end // _WORD_BYTES) * _WORD_BYTES
        table = range(end, end + len(self.symbols) * _WORD_BYTES, _WORD_BYTES)
        self.words = dict(enumerate(table))
        data = _whole_pages(table.stop)
        end = _whole_pages(self._place(data, lambda flags: bool(flags & _WRITE)))
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        memory = mmap.mmap(-1, end, flags=private, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        self._fill(memory)
        addresses = self._exported(exports)
        _protect(self.base, constants, mmap.PROT_READ | mmap.PROT_EXEC)
        _protect(self.base + constants, data - constants, mmap.PROT_READ)
        return Loaded(memory, addresses)

    def _symbols(self) -> list[_Symbol]:
        tables = [section for section in self.sections if section.type == _SYMTAB]
        if len(tables) != 1:
            raise UnknownObjectError("the object has no symbols")
        names = _contents(self.image, self.sections[tables[0].link])
        found = []
        for name, _, _, section, value, _ in _SYMBOL.iter_unpack(_contents(self.image, tables[0])):
            end = names.index(b"\0", name)
            found.append(_Symbol(names[name:end].decode(), section, value))
        return found

    def _imported(self) -> list[str]:
        """Return the names that others define; raises where one is not given."""
        names = [s.name for s in self.symbols[1:] if s.section == _UNDEFINED]
        missing = [name for name in names if name not in self.imports]
        if missing:
            raise UnknownObjectError(f"nobody defines {', '.join(missing)}")
        return names

    def _place(self, start: int, belongs: Callable[[int], bool]) -> int:
        """Give the sections whose flags belong a place from `start` on; return where they end."""
        for number, section in enumerate(self.sections):
            if not section.is_loaded or not belongs(section.flags):
                continue
            if section.flags & _THREAD_LOCAL or not 0 <= section.alignment <= _MOST_ALIGNMENT:
                raise UnknownObjectError("a section of an unknown kind")
            alignment = max(section.alignment, 1)
            start = -(-start // alignment) * alignment
            self.places[number] = start
            start += section.size
        return start

    def _fill(self, memory: mmap.mmap) -> None:
        for number, place in self.places.items():
            section = self.sections[number]
            if section.type == _PROGBITS:
                memory[place : place + section.size] = _contents(self.image, section)
        for number, symbol in enumerate(self.symbols):
            address = self._address(symbol)
            if address is not None:
                struct.pack_into("<Q", memory, self.words[number], address)
            if symbol.name in self.stubs and symbol.section == _UNDEFINED:
                stub = self.stubs[symbol.name]
                distance = self.words[number] - (stub + 6)
                memory[stub : stub + 6] = _JUMP + struct.pack("<i", distance)
        for section in self.sections:
            if section.type == _RELA and section.info in self.places:
                self._relocate(memory, section)

    def _relocate(self, memory: mmap.mmap, relocations: _Section) -> None:
        target = self.sections[relocations.info]
        start = self.places[relocations.info]
        for offset, info, addend in _RELOCATION.iter_unpack(_contents(self.image, relocations)):
            kind, number = info & 0xFFFFFFFF, info >> 32
            form = "<q" if kind in (_ABS64, _PC64) else "<i"
            if offset + struct.calcsize(form) > target.size or target.type != _PROGBITS:
                raise UnknownObjectError("an address stands outside of its section")
            place = start + offset
            value = self._target(kind, number) + addend
            if kind != _ABS64:
                value -= self.base + place
            struct.pack_into(form, memory, place, value)

    def _target(self, kind: int, number: int) -> int:
        """Return the address that a relocation by symbol `number` means."""
        symbol = self.symbols[number]
        if kind in _TABLE_ENTRY:
            address: int | None = self.base + self.words[number]
        elif kind == _PLT32 and symbol.section == _UNDEFINED:
            address = self.base + self.stubs[symbol.name]
        elif kind in (_ABS64, _PC32, _PLT32, _PC64):
            address = self._address(symbol)
        else:
            raise UnknownObjectError(f"a relocation of the unknown kind {kind}")
        if address is None:
            raise UnknownObjectError(f"{symbol.name or 'a symbol'} has no address")
        return address

    def _address(self, symbol: _Symbol) -> int | None:
        if symbol.section == _UNDEFINED:
            return self.imports.get(symbol.name)
        if symbol.section not in self.places:  # a name of a file, or in a section that is not here
            return None
        if not 0 <= symbol.value <= self.sections[symbol.section].size:
            raise UnknownObjectError(f"{symbol.name} lies outside of its section")
        return self.base + self.places[symbol.section] + symbol.value

    def _exported(self, names: tuple[str, ...]) -> dict[str, int]:
        found = {s.name: s for s in self.symbols if s.name in names and s.section != _UNDEFINED}
        addresses = {name: self._address(symbol) for name, symbol in found.items()}
        if set(addresses) != set(names) or None in addresses.values():
            raise UnknownObjectError("a function is missing")
        return {name: address for name, address in addresses.items() if address is not None}


def _sections(image: bytes) -> Iterator[_Section]:
    """Yield the sections of an object, having seen that it is one of ours."""
    head = _HEADER.unpack_from(image)
    identity, type_, machine, _, _, _, start, _, _, _, _, entry, count, _ = head
    is_ours = identity.startswith(_IDENTITY) and (type_, machine) == (_RELOCATABLE, _X86_64)
    if not is_ours or entry != _SECTION.size or count >= _RESERVED:
        raise UnknownObjectError("no object of this kind of machine")
    for number in range(count):
        fields = _SECTION.unpack_from(image, start + number * entry)
        _, kind, flags, _, offset, size, link, info, alignment, _ = fields
        if kind != _NOBITS and offset + size > len(image):
            raise UnknownObjectError("a section ends behind the object")
        if flags & _ALLOC and kind not in (_PROGBITS, _NOBITS, _UNWIND):
            raise UnknownObjectError(f"a section of the unknown kind {kind}")
        yield _Section(kind, flags, offset, size, link, info, alignment)


def _contents(image: bytes, section: _Section) -> bytes:
    return image[section.offset : section.offset + section.size]


def _whole_pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def _protect(address: int, size: int, protection: int) -> None:
    """Set what may be done with pages; raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    if size and library.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), protection):
        raise OSError(ctypes.get_errno(), "the system refuses executable memory")
