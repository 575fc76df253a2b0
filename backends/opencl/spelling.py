"""How OpenCL C spells graphc's element types and constants.

An element is held in one C type in memory and in variables alike: bool is a `uchar` of 0 or 1,
float16 and bfloat16 are the bits in a `ushort`. Constants keep every bit: finite floats are
hexadecimal, the others are given by their bits.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from graphc import dtypes
from graphc.dtypes import DType

C_TYPES: dict[DType, str] = {
    dtypes.bool_: "uchar",
    dtypes.int8: "char",
    dtypes.int16: "short",
    dtypes.int32: "int",
    dtypes.int64: "long",
    dtypes.uint8: "uchar",
    dtypes.uint16: "ushort",
    dtypes.uint32: "uint",
    dtypes.uint64: "ulong",
    dtypes.float16: "ushort",
    dtypes.bfloat16: "ushort",
    dtypes.float32: "float",
    dtypes.float64: "double",
}


def is_16_bit_float(dtype: DType) -> bool:
    """Return whether the type is stored as bits in a `ushort` and computed in float32."""
    return dtype.compute is not dtype


def word(dtype: DType) -> str:
    """Return the unsigned C type in which integers of this type wrap without undefined steps."""
    return "ulong" if dtype.bits == 64 else "uint"


def constant(value: Any, dtype: DType) -> str:
    """Return a C expression of type `C_TYPES[dtype]` for `value`, converted to `dtype` first."""
    with np.errstate(all="ignore"):
        exact = np.asarray(value).astype(dtype.numpy)
    if dtype is dtypes.bool_:
        return str(int(exact))
    if dtype.is_integer:
        return _integer(int(exact), dtype)
    if is_16_bit_float(dtype):
        return f"((ushort)0x{int(exact.view(np.uint16)):04x})"
    return _float(exact, dtype)


def _integer(value: int, dtype: DType) -> str:
    if value == -(2**63):
        return "(-9223372036854775807L - 1L)"
    suffix = {"int64": "L", "uint64": "UL", "uint32": "U"}.get(dtype.name, "")
    if value == -(2**31):
        return "(-2147483647 - 1)"
    return f"(({C_TYPES[dtype]}){value}{suffix})"


def _float(value: np.ndarray[Any, Any], dtype: DType) -> str:
    number = float(value)
    if math.isfinite(number):
        digits = re.sub(r"\.?0*p", "p", number.hex())
        return f"({digits}{'f' if dtype is dtypes.float32 else ''})"
    if dtype is dtypes.float32:
        return f"as_float(0x{int(value.view(np.uint32)):08x}U)"
    return f"as_double(0x{int(value.view(np.uint64)):016x}UL)"


def identifier(name: str) -> str:
    """Return `name` with whatever C does not allow in an identifier replaced by `_`."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


class Names:
    """Gives each key an identifier of its own that shows the name it stands for."""

    def __init__(self) -> None:
        self._by_key: dict[Any, str] = {}
        self._used: set[str] = set()

    def __call__(self, key: Any, wish: str) -> str:
        if key not in self._by_key:
            base = identifier(wish)
            chosen, number = base, 1
            while chosen in self._used:
                number += 1
                chosen = f"{base}_{number}"
            self._used.add(chosen)
            self._by_key[key] = chosen
        return self._by_key[key]
