"""How graphc's element types and constants are spelled in LLVM IR.

Every dtype has a *register* type, in which values are held, and a *memory* type. They differ for
bool alone: i1 in registers, a byte in memory. float16 and bfloat16 are i16 in both: no arithmetic
happens on them, and LLVM's own half and bfloat conversions are library calls on many CPUs.
A type of more than one lane is a vector, `<16 x float>`; one lane is the scalar itself.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from graphc import dtypes
from graphc.dtypes import DType

_REGISTER = {dtypes.bool_: "i1", dtypes.float32: "float", dtypes.float64: "double"}


def register(dtype: DType, lanes: int = 1) -> str:
    """Return the LLVM type of values of `dtype`: `float`, `<8 x i32>`, `i1`."""
    return vector(_REGISTER.get(dtype, f"i{dtype.bits}"), lanes)


def memory(dtype: DType, lanes: int = 1) -> str:
    """Return the LLVM type of `dtype` in memory: as in registers, but a bool is an i8."""
    return vector("i8", lanes) if dtype is dtypes.bool_ else register(dtype, lanes)


def vector(element: str, lanes: int) -> str:
    """Return `element` itself for one lane, else the vector of `lanes` of them."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def constant(dtype: DType, value: Any) -> str:
    """Return `value`, exactly representable in `dtype`, as a constant of its register type."""
    if dtype is dtypes.bool_:
        return "true" if value else "false"
    if dtype.is_integer:
        return str(as_signed(int(value), dtype.bits))
    if dtype.bits == 16:
        return str(int(np.asarray(value, dtype.numpy).view(np.uint16)))
    return f"0x{struct.unpack('<Q', struct.pack('<d', float(value)))[0]:016X}"


def as_signed(value: int, bits: int) -> int:
    """Return the signed number with the same low `bits`: LLVM's constants are signed."""
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


def number(bits: int, value: int, lanes: int) -> str:
    """Return the integer `value`, wrapped to `bits` bits, in every lane (without its type)."""
    return splat(f"i{bits}", str(as_signed(value, bits)), lanes)


def splat(element: str, value: str, lanes: int) -> str:
    """Return the constant `value` in every lane (without its type)."""
    return value if lanes == 1 else f"splat ({element} {value})"


def literal(dtype: DType, value: Any, lanes: int = 1) -> str:
    """Return the constant `value` of `dtype` in every lane (without its type)."""
    return splat(register(dtype), constant(dtype, value), lanes)


def ramp(bits: int, lanes: int, stride: int = 1) -> str:
    """Return the constant vector 0, stride, 2*stride, … of integers (without its type)."""
    return (
        "<" + ", ".join(f"i{bits} {as_signed(lane * stride, bits)}" for lane in range(lanes)) + ">"
    )


def suffix(element: str, lanes: int) -> str:
    """Return a type as it stands in the names of intrinsics: `v16f32`, `i64`."""
    short = {"float": "f32", "double": "f64", "half": "f16", "ptr": "p0"}.get(element, element)
    return short if lanes == 1 else f"v{lanes}{short}"


def quoted(name: str) -> str:
    """Return a global name, quoted so that any text may stand in it."""
    safe = "".join(c if c.isalnum() or c in "._-<>[]," else "_" for c in name)
    return f'@"{safe}"'
