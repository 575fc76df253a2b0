"""The element types of tensors, and the promotion of one to another.

Fifteen types exist, each a single immutable `DType` object compared by identity: `bool_`, four
signed and four unsigned integers, four floats, and two complex types. `bfloat16` is stored through
the NumPy extension type of `ml_dtypes`. float16 and bfloat16 are *stored* in 16 bits and *computed*
in float32 (`DType.compute`). A complex number is a pair of floats (`DType.real`) side by side, and
kernels know the pairs alone: `REAL` are the types that they have. Promotion follows the Python
array API standard (2024.12), completed by NumPy's rule for the mixed kinds that the standard leaves
open. Nothing here knows about tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import ml_dtypes
import numpy as np

from graphc.errors import GraphcTypeError
from graphc.source import user_line

Kind: TypeAlias = Literal["bool", "int", "uint", "float", "complex"]


@dataclass(frozen=True, eq=False, slots=True)
class DType:
    """One element type. There is exactly one object of each, so `is` compares them."""

    name: str
    kind: Kind
    bits: int
    numpy: np.dtype[Any]

    def __repr__(self) -> str:
        return f"graphc.{self.name}" if self.name != "bool" else "graphc.bool_"

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (as_dtype, (self.name,))

    @property
    def itemsize(self) -> int:
        """Bytes of one element in memory (bool takes one)."""
        return self.numpy.itemsize

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def is_complex(self) -> bool:
        return self.kind == "complex"

    @property
    def is_inexact(self) -> bool:
        """True of floats and complex numbers, which are what has derivatives."""
        return self.kind in ("float", "complex")

    @property
    def is_integer(self) -> bool:
        """True of signed and unsigned integers, false of bool."""
        return self.kind in ("int", "uint")

    @property
    def is_signed(self) -> bool:
        return self.kind in ("int", "float", "complex")

    @property
    def compute(self) -> DType:
        """The type in which arithmetic is carried out: float32 for the 16-bit floats."""
        return float32 if self.kind == "float" and self.bits == 16 else self

    @property
    def real(self) -> DType:
        """The type of the real and the imaginary parts of complex numbers; of others, itself."""
        return _PARTS.get(self.name, self)

    @property
    def complex(self) -> DType:
        """The type of complex numbers with such parts: complex128 for all but floats of 32 bits
        and fewer."""
        if self.is_complex:
            return self
        return complex64 if self.compute is float32 else complex128


def _declare(name: str, kind: Kind, bits: int, storage: Any) -> DType:
    return DType(name, kind, bits, np.dtype(storage))


bool_ = _declare("bool", "bool", 8, np.bool_)
int8 = _declare("int8", "int", 8, np.int8)
int16 = _declare("int16", "int", 16, np.int16)
int32 = _declare("int32", "int", 32, np.int32)
int64 = _declare("int64", "int", 64, np.int64)
uint8 = _declare("uint8", "uint", 8, np.uint8)
uint16 = _declare("uint16", "uint", 16, np.uint16)
uint32 = _declare("uint32", "uint", 32, np.uint32)
uint64 = _declare("uint64", "uint", 64, np.uint64)
float16 = _declare("float16", "float", 16, np.float16)
bfloat16 = _declare("bfloat16", "float", 16, ml_dtypes.bfloat16)
float32 = _declare("float32", "float", 32, np.float32)
float64 = _declare("float64", "float", 64, np.float64)
complex64 = _declare("complex64", "complex", 64, np.complex64)
complex128 = _declare("complex128", "complex", 128, np.complex128)

REAL: tuple[DType, ...] = (
    bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64,
    float16, bfloat16, float32, float64,
)  # fmt: skip
COMPLEX = (complex64, complex128)
ALL = REAL + COMPLEX
FLOATS = tuple(d for d in ALL if d.is_float)
INTEGERS = tuple(d for d in ALL if d.is_integer)

_BY_NAME = {d.name: d for d in ALL}
_BY_NUMPY = {d.numpy: d for d in ALL}
_BY_PYTHON: dict[type, DType] = {
    bool: bool_,
    int: int64,
    float: float32,
    complex: complex64,
}
_PARTS = {"complex64": float32, "complex128": float64}

DTypeLike: TypeAlias = "DType | str | np.dtype[Any] | type"


def as_dtype(like: DTypeLike) -> DType:
    """Return the `DType` that `like` names: a DType, a name, a NumPy type, or a type of Python.

    Python's `int` is int64, `float` is float32, the default float of graphc, and `complex` is
    complex64. Raises GraphcTypeError for anything else, strings included.
    """
    if isinstance(like, DType):
        return like
    if isinstance(like, str) and like in _BY_NAME:
        return _BY_NAME[like]
    if isinstance(like, type) and like in _BY_PYTHON:
        return _BY_PYTHON[like]
    try:
        found = _BY_NUMPY.get(np.dtype(like).newbyteorder("="))
    except (TypeError, ValueError, SyntaxError):  # all three come of strings
        found = None
    if found is None:
        raise GraphcTypeError(
            f"{like!r} is not an element type of graphc",
            hint="the types are " + ", ".join(_BY_NAME),
            line=str(user_line() or ""),
        )
    return found


def promote(*dtypes: DType) -> DType:
    """Return the smallest type that every one of `dtypes` converts to, as `numpy.result_type` does.

    int32 with float32 is float64 and uint64 with int64 is float64, as in NumPy. bfloat16 behaves as
    float16 does with every other type, except that the two together are float32.
    """
    result = dtypes[0]
    for other in dtypes[1:]:
        result = _promote_pair(result, other)
    return result


def _promote_pair(a: DType, b: DType) -> DType:
    if a is b:
        return a
    if bfloat16 in (a, b):
        other = b if a is bfloat16 else a
        if other is float16:
            return float32
        promoted = _promote_pair(float16, other)
        return bfloat16 if promoted is float16 else promoted
    return _BY_NUMPY[np.result_type(a.numpy, b.numpy)]
