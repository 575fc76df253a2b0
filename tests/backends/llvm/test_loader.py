"""Loading objects without LLVM: as LLVM's own linker does, and never what is not understood."""

from __future__ import annotations

import random
import re
from ctypes import CFUNCTYPE, c_double, c_int64, c_void_p
from pathlib import Path
from typing import Any

import pytest

from graphc.backends.llvm import compilation, loader, machine, team
from graphc.backends.llvm.loader import UnknownObjectError
from graphc.backends.llvm.module import ModuleText

pytestmark = pytest.mark.skipif("not loader.is_supported()", reason="LLVM links here")

# constants, a table of functions, memory that is zero and memory that is not, an imported function
# called and its address taken
TEXT = """
@zero = internal global [3 x i64] zeroinitializer, align 64
@some = internal global i64 40, align 64
@table = internal constant [2 x ptr] [ptr @one, ptr @two], align 16
@many = private unnamed_addr constant [4 x double] [double 1.5, double 2.5, double 3.5, double 4.5]
declare double @fma(double, double, double)

define internal i64 @one() noinline { ret i64 1 }
define internal i64 @two() noinline { ret i64 2 }

define i64 @count(i64 %which) {
  %at = getelementptr [2 x ptr], ptr @table, i64 0, i64 %which
  %chosen = load ptr, ptr %at
  %found = call i64 %chosen()
  %old = load i64, ptr @some
  %zero.at = getelementptr i64, ptr @zero, i64 %which
  %nothing = load i64, ptr %zero.at
  %new = add i64 %old, %found
  %sum = add i64 %new, %nothing
  store i64 %sum, ptr @some
  ret i64 %sum
}
define double @fused(double %x, i64 %which) {
  %at = getelementptr [4 x double], ptr @many, i64 0, i64 %which
  %y = load double, ptr %at
  %r = call double @fma(double %x, double %y, double 0.25)
  ret double %r
}
define ptr @imported() { ret ptr @fma }
"""
EXPORTS = ("count", "fused", "imported")


@pytest.fixture(scope="module")
def image() -> bytes:
    return compilation._emit(ModuleText(TEXT, ()), machine.machine())


def imports() -> dict[str, int]:
    return {"fma": team.c_function("fma")}


@pytest.mark.parametrize("by_llvm", [False, True])
def test_code_does_what_it_does_when_llvm_links_it(image: bytes, by_llvm: bool) -> None:
    link: Any = compilation._link_by_llvm if by_llvm else loader.load
    code = link(image, EXPORTS, imports())
    address = code.address if by_llvm else code.__getitem__
    count = CFUNCTYPE(c_int64, c_int64)(address("count"))
    fused = CFUNCTYPE(c_double, c_double, c_int64)(address("fused"))
    assert [count(0), count(1), count(1)] == [41, 43, 45]
    assert [fused(2.0, which) for which in range(4)] == [3.25, 5.25, 7.25, 9.25]
    assert CFUNCTYPE(c_void_p)(address("imported"))() == imports()["fma"]


def protections(address: int) -> list[str]:
    """Return what may be done with the pages of the mapping at an address, and those behind it."""
    lines = re.findall(r"^(\w+)-(\w+) (\S+)", Path("/proc/self/maps").read_text(), re.M)
    start = next((i for i, (a, b, _) in enumerate(lines) if int(a, 16) <= address < int(b, 16)), -1)
    return [flags for _, _, flags in lines[start : start + 3]] if start >= 0 else []


def test_no_page_is_both_written_and_executed(image: bytes) -> None:
    code = loader.load(image, EXPORTS, imports())
    assert protections(code["count"]) == ["r-xp", "r--p", "rw-p"]


def test_code_goes_with_its_object(image: bytes) -> None:
    code = loader.load(image, EXPORTS, imports())
    address = code["count"]
    assert "r-xp" in protections(address)
    del code
    assert protections(address)[:3] != ["r-xp", "r--p", "rw-p"]


def test_an_import_and_an_export_must_be_there(image: bytes) -> None:
    with pytest.raises(UnknownObjectError, match="nobody defines fma"):
        loader.load(image, EXPORTS, {})
    with pytest.raises(UnknownObjectError, match="missing"):
        loader.load(image, (*EXPORTS, "another"), imports())


def test_objects_of_other_kinds_are_refused(image: bytes) -> None:
    for place, value in ((4, 1), (5, 2), (16, 3), (18, 183)):  # 32 bits, big-endian, linked, ARM
        other = bytearray(image)
        other[place] = value
        with pytest.raises(UnknownObjectError):
            loader.load(bytes(other), EXPORTS, imports())
    with pytest.raises(UnknownObjectError):
        loader.load(b"", EXPORTS, imports())


def test_a_relocation_of_an_unknown_kind_is_refused(image: bytes) -> None:
    known = (loader._ABS64, loader._PC32, loader._PLT32, loader._PC64, *loader._TABLE_ENTRY)
    sections = list(loader._sections(image))
    (relocations,) = [
        s for s in sections if s.type == loader._RELA and sections[s.info].flags & loader._EXECUTE
    ]
    for kind in set(range(64)) - set(known):
        other = bytearray(image)
        other[relocations.offset + 8] = kind
        with pytest.raises(UnknownObjectError):
            loader.load(bytes(other), EXPORTS, imports())


@pytest.mark.parametrize("is_truncated", [False, True])
def test_a_damaged_object_is_refused_or_loaded_but_does_no_harm(
    image: bytes, is_truncated: bool
) -> None:
    chance = random.Random(7)
    refused = 0
    for _ in range(400):
        other = bytearray(image)
        place = chance.randrange(len(other))
        if is_truncated:
            del other[place:]
        else:
            for _ in range(chance.choice((1, 1, 8))):
                other[chance.randrange(len(other))] ^= chance.randrange(1, 256)
        try:
            loader.load(bytes(other), EXPORTS, imports())
        except UnknownObjectError:
            refused += 1
    assert refused == 400 if is_truncated else refused > 40
