"""Conversions between element types in LLVM IR, each with one rounding, the same on every CPU.

Floats to integers truncate, saturate, and give 0 for NaN. float16 uses the CPU's own conversion
where there is one and integer arithmetic elsewhere; bfloat16 is always integer arithmetic (the
AVX-512 instruction flushes subnormals). Wider numbers reach the 16-bit floats by way of a float32
*rounded to odd*: truncated, with the last bit set if anything was lost, so that the second
rounding sees that.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc import dtypes
from graphc.backends.llvm import spelling
from graphc.backends.llvm.module import Features
from graphc.backends.llvm.writer import Writer
from graphc.dtypes import DType, bfloat16, bool_, float16, float32, float64, int32, int64, uint32


@dataclass(frozen=True, slots=True)
class Code:
    """Writes single instructions over `lanes` lanes."""

    writer: Writer
    features: Features
    lanes: int

    def cast(self, name: str, source: DType, result: DType, value: str) -> str:
        """Write one of LLVM's conversion instructions."""
        return self.cast_types(name, spelling.register(source), spelling.register(result), value)

    def cast_types(self, name: str, source: str, result: str, value: str) -> str:
        """Write a conversion between two element types, spelled as LLVM does."""
        before, after = spelling.vector(source, self.lanes), spelling.vector(result, self.lanes)
        return value if before == after else self.writer.pure(f"{name} {before} {value} to {after}")

    def binary(self, name: str, dtype: DType, a: str, b: str | float) -> str:
        """Write an instruction or a comparison (`icmp slt`) of two values; `b` may be a number."""
        right = b if isinstance(b, str) else spelling.literal(dtype, b, self.lanes)
        return self.writer.pure(f"{name} {spelling.register(dtype, self.lanes)} {a}, {right}")

    def select(self, dtype: DType, condition: str, yes: str | float, no: str | float) -> str:
        """Write a choice in each lane; the choices may be numbers."""
        type_, mask = spelling.register(dtype, self.lanes), spelling.vector("i1", self.lanes)
        yes, no = (
            v if isinstance(v, str) else spelling.literal(dtype, v, self.lanes) for v in (yes, no)
        )
        return self.writer.pure(f"select {mask} {condition}, {type_} {yes}, {type_} {no}")

    def bits(self, source: DType, result: DType, value: str) -> str:
        """Write a reinterpretation of the bits."""
        return self.cast("bitcast", source, result, value)


def convert(code: Code, source: DType, result: DType, value: str) -> str:
    """Write the conversion of `value` to `result` and return it."""
    if source is result:
        return value
    if result is bool_:
        return _to_bool(code, source, value)
    if _is_half(source):
        return convert(code, float32, result, _FROM_HALF[source](code, value))
    if _is_half(result):
        return _TO_HALF[result](code, _to_float32_for_half(code, source, result, value))
    if source.is_float and result.is_float:
        name = "fpext" if source.bits < result.bits else "fptrunc"
        return code.cast(name, source, result, value)
    if source.is_float:
        return _saturate(code, source, result, value)
    if result.is_float:
        return code.cast("sitofp" if source.kind == "int" else "uitofp", source, result, value)
    return _resize(code, source, result, value)


def _is_half(dtype: DType) -> bool:
    return dtype.is_float and dtype.bits == 16


def _resize(code: Code, source: DType, result: DType, value: str) -> str:
    if source is bool_ or source.bits < result.bits:
        return code.cast("sext" if source.kind == "int" else "zext", source, result, value)
    return code.cast("trunc", source, result, value)


def _to_bool(code: Code, source: DType, value: str) -> str:
    if source.is_integer:
        return code.binary("icmp ne", source, value, 0)
    if source.bits == 16:
        magnitude = code.binary("and", dtypes.int16, value, 0x7FFF)
        return code.binary("icmp ne", dtypes.int16, magnitude, 0)
    return code.binary("fcmp une", source, value, 0.0)


def _saturate(code: Code, source: DType, result: DType, value: str) -> str:
    """Compare before converting: LLVM's instruction is undefined out of range."""
    low, high = _limits(result)
    at_least = code.binary("fcmp oge", source, value, float(low))
    below_high = code.binary("fcmp olt", source, value, float(high + 1))
    inside = code.binary("and", bool_, at_least, below_high)
    safe = code.select(source, inside, value, 0.0)
    wide = int32 if result.bits < 32 else result
    name = "fptosi" if wide.kind == "int" else "fptoui"
    whole = _resize(code, wide, result, code.cast(name, source, wide, safe))
    below = code.binary("fcmp olt", source, value, float(low))
    above = code.binary("fcmp oge", source, value, float(high + 1))
    return code.select(result, above, high, code.select(result, below, low, whole))


def _limits(dtype: DType) -> tuple[int, int]:
    if dtype.kind == "uint":
        return 0, 2**dtype.bits - 1
    return -(2 ** (dtype.bits - 1)), 2 ** (dtype.bits - 1) - 1


# --- float32 with a last bit that tells what was lost ---------------------------------------------


def make_odd(code: Code, dtype: DType, nearest: str, error: str) -> str:
    """Return, where `error` (exact minus nearest) is not 0, the neighbour with an odd last bit."""
    word = int64 if dtype is float64 else int32
    bits = code.bits(dtype, word, nearest)
    even = code.binary("icmp eq", word, code.binary("and", word, bits, 1), 0)
    inexact = code.binary("fcmp one", dtype, error, 0.0)
    # outwards, away from zero, if the error has the sign of the nearest: then the bits grow
    signs = code.binary("xor", word, bits, code.bits(dtype, word, error))
    step = code.select(word, code.binary("icmp sge", word, signs, 0), 1, -1)
    moved = code.binary("add", word, bits, step)
    chosen = code.select(word, code.binary("and", bool_, even, inexact), moved, bits)
    return code.bits(word, dtype, chosen)


def _round_to_odd(code: Code, value: str) -> str:
    """Return a float64 as a float32 rounded to odd; infinities and NaN as they are."""
    nearest = code.cast("fptrunc", float64, float32, value)
    back = code.cast("fpext", float32, float64, nearest)
    bits = code.bits(float32, int32, nearest)
    even = code.binary("icmp eq", int32, code.binary("and", int32, bits, 1), 0)
    inexact = code.binary("fcmp one", float64, back, value)
    magnitude, limit = _absolute(code, value), _absolute(code, back)
    too_large = code.binary("fcmp ogt", float64, limit, magnitude)
    moved = code.binary("add", int32, bits, code.select(int32, too_large, -1, 1))
    chosen = code.select(int32, code.binary("and", bool_, even, inexact), moved, bits)
    return code.bits(int32, float32, chosen)


def _absolute(code: Code, value: str) -> str:
    bits = code.binary("and", int64, code.bits(float64, int64, value), 2**63 - 1)
    return code.bits(int64, float64, bits)


def _to_float32_for_half(code: Code, source: DType, result: DType, value: str) -> str:
    """Return a float32 that rounds to the same 16-bit float as `value` does."""
    if source is float32:
        return value
    if source is float64:
        return _round_to_odd(code, value)
    # float16: integers that float32 cannot hold are beyond float16's largest number
    if result is float16 or source is bool_ or source.bits <= 16:
        return convert(code, source, float32, value)
    if source.bits == 64:
        value = _fold_low_bits(code, source, value)
    return _round_to_odd(code, convert(code, source, float64, value))


def _fold_low_bits(code: Code, source: DType, value: str) -> str:
    """Return a 64-bit integer as float64 can hold it, its lost bits folded into the last kept."""
    low = code.binary("and", source, value, 2047)
    sticky = code.cast("zext", bool_, source, code.binary("icmp ne", source, low, 0))
    shift = "ashr" if source.kind == "int" else "lshr"
    high = code.binary("or", source, code.binary(shift, source, value, 11), sticky)
    folded = code.binary("shl", source, high, 11)
    if source.kind == "uint":
        large = code.binary("icmp ugt", source, value, 2**52)
    else:
        offset = code.binary("add", source, value, 2**52)
        large = code.binary("icmp ugt", source, offset, 2**53)
    return code.select(source, large, folded, value)


# --- 16-bit floats --------------------------------------------------------------------------------


def _from_bfloat16(code: Code, value: str) -> str:
    wide = code.cast_types("zext", "i16", "i32", value)
    return code.bits(int32, float32, code.binary("shl", int32, wide, 16))


def _to_bfloat16(code: Code, value: str) -> str:
    bits = code.bits(float32, uint32, value)
    high = code.binary("lshr", uint32, bits, 16)
    last = code.binary("and", uint32, high, 1)
    nearest = code.binary("add", uint32, code.binary("add", uint32, bits, 0x7FFF), last)
    rounded = code.binary("lshr", uint32, nearest, 16)
    quiet = code.binary("or", uint32, high, 0x40)
    is_nan = code.binary("fcmp uno", float32, value, value)
    return code.cast_types("trunc", "i32", "i16", code.select(uint32, is_nan, quiet, rounded))


def _from_float16(code: Code, value: str) -> str:
    if code.features.half:
        half = code.cast_types("bitcast", "i16", "half", value)
        return code.cast_types("fpext", "half", "float", half)
    wide = code.cast_types("zext", "i16", "i32", value)
    magnitude = code.binary("and", int32, wide, 0x7FFF)
    shifted = code.binary("shl", int32, magnitude, 13)
    # the exponents' biases differ by 112; the product is exact, of subnormals too
    scaled = code.binary("fmul", float32, code.bits(int32, float32, shifted), 2.0**112)
    special = code.binary("icmp sge", int32, magnitude, 0x7C00)
    extreme = code.binary("or", int32, shifted, 0x7F800000)
    bits = code.select(int32, special, extreme, code.bits(float32, int32, scaled))
    sign = code.binary("shl", int32, code.binary("and", int32, wide, 0x8000), 16)
    return code.bits(int32, float32, code.binary("or", int32, bits, sign))


def _to_float16(code: Code, value: str) -> str:
    if code.features.half:
        half = code.cast_types("fptrunc", "float", "half", value)
        return code.cast_types("bitcast", "half", "i16", half)
    bits = code.bits(float32, uint32, value)
    magnitude = code.binary("and", uint32, bits, 0x7FFFFFFF)
    last = code.binary("and", uint32, code.binary("lshr", uint32, magnitude, 13), 1)
    rebiased = code.binary("add", uint32, magnitude, 2**32 - (112 << 23) + 0xFFF)
    normal = code.binary("lshr", uint32, code.binary("add", uint32, rebiased, last), 13)
    # below 2**-14 the sum with 0.5 rounds at 2**-24, the least subnormal of float16
    raised = code.binary("fadd", float32, code.bits(uint32, float32, magnitude), 0.5)
    tiny = code.binary("sub", uint32, code.bits(float32, uint32, raised), 0x3F000000)
    result = code.select(
        uint32, code.binary("icmp ult", uint32, magnitude, 0x38800000), tiny, normal
    )
    overflow = code.binary("icmp uge", uint32, magnitude, 0x47800000)
    result = code.select(uint32, overflow, 0x7C00, result)
    is_nan = code.binary("icmp ugt", uint32, magnitude, 0x7F800000)
    result = code.select(uint32, is_nan, 0x7E00, result)
    sign = code.binary("and", uint32, code.binary("lshr", uint32, bits, 16), 0x8000)
    return code.cast_types("trunc", "i32", "i16", code.binary("or", uint32, result, sign))


_FROM_HALF = {float16: _from_float16, bfloat16: _from_bfloat16}
_TO_HALF = {float16: _to_float16, bfloat16: _to_bfloat16}
