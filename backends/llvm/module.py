"""One LLVM module while it is written: its functions, its tables of constants, and what the CPU
can do.

Functions are asked for by name and written once: the declared ops that kernels use (one for each
combination of dtypes and lanes), and the few helpers that a CPU without an instruction needs.
Intrinsics need no declaration: LLVM knows them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphc.backends.llvm import spelling
from graphc.backends.llvm.order import FULL_LEVEL
from graphc.dtypes import DType


@dataclass(frozen=True, slots=True)
class Features:
    """What code generation must know of the CPU.

    fma            has fused multiply-add
    half           converts float16
    dot_bfloat16   adds products of pairs of bfloat16, in vectors of 4, 8 and 16 sums
    dot_int8       adds products of four bytes, in such vectors
    scale          multiplies by powers of two, in vectors of 16, 32 and 64 bytes
    multiply_add   adds the products of a pair of int16, in vectors of this many bytes at most
    permutation    permutes registers of this many words by the words of another; 0 for none
    fence          the instruction after which stores past the caches are in order; empty for none
    """

    fma: bool
    half: bool
    dot_bfloat16: bool = False
    dot_int8: bool = False
    scale: bool = False
    multiply_add: int = 0
    permutation: int = 0
    fence: str = ""


@dataclass(frozen=True, slots=True)
class ModuleText:
    """A module as it was written, the names by which others reach what is in it, and the care that
    its code is made with (LLVM's level of code generation)."""

    text: str
    exports: tuple[str, ...]
    level: int = FULL_LEVEL


ZEROS = "@graphc.zeros"
_ZEROS = f"{ZEROS} = private unnamed_addr constant [512 x i8] zeroinitializer, align 64"


class Module:
    """Collects the parts of a module; `text` puts them together."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self._parts: dict[str, str] = {ZEROS: _ZEROS}
        self._tables: dict[str, str] = {}
        # how many lines the functions so far have, by which the time that LLVM takes grows
        self.length = 0

    def add(self, name: str, text: str) -> None:
        """Add a global or a function under a name that is new."""
        self._parts[name] = text
        self.length += text.count("\n")

    def require(self, name: str, write: Callable[[str], str]) -> str:
        """Return `name`, having added `write(name)` if the module does not hold it yet."""
        if name not in self._parts:
            self._parts[name] = ""
            self.add(name, write(name))
        return name

    def table(self, dtype: DType, entries: tuple[Any, ...]) -> str:
        """Return the name of a constant array of `entries`."""
        element = spelling.memory(dtype)
        values = ", ".join(f"{element} {_entry(dtype, entry)}" for entry in entries)
        contents = f"[{len(entries)} x {element}] [{values}]"
        if contents not in self._tables:
            name = self._tables[contents] = f"@table.{len(self._parts)}"
            self.add(name, f"{name} = private unnamed_addr constant {contents}, align 64")
        return self._tables[contents]

    def text(self) -> str:
        """Return the module as text."""
        return "\n\n".join(part for part in self._parts.values() if part) + "\n"


def _entry(dtype: DType, value: Any) -> str:
    text = spelling.constant(dtype, value)
    return {"true": "1", "false": "0"}.get(text, text)
