"""What a module is compiled for, which passes go over it, and what LLVM says of this computer.

Plain values: they are part of the key under which an object is kept, and hold nothing of LLVM's.
"""

from __future__ import annotations

from dataclasses import dataclass

# the passes in their order
PASSES = ("always_inliner", "sroa", "simplify_cfg")
FULL_LEVEL, LEAST_LEVEL = 2, 0  # of code generation: 0 takes a quarter of the time


@dataclass(frozen=True, slots=True)
class Order:
    """What to compile for, by LLVM's names; `level` is that of code generation, 0 to 3."""

    triple: str
    cpu: str
    features: str
    level: int = FULL_LEVEL
    relocation: str = "pic"
    code_model: str = "small"


@dataclass(frozen=True, slots=True)
class Host:
    """What LLVM says of this computer, and its own version."""

    cpu: str
    features: frozenset[str]
    triple: str
    version: tuple[int, ...]
