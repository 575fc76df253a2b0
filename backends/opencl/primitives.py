"""The primitives of `graphc.scalar` in OpenCL C 1.2: one table, a row per primitive.

A row makes a C expression of the result's type from operands that are names of variables. What the
standard leaves open is not used: integers wrap in unsigned arithmetic, signs of floats are changed
in their bits, conversions name their rounding. float32 division and square root are exact where
the device says that its own are, or else where it has float64 (53 bits are more than twice 24
and two, so rounding twice is rounding once: Figueroa 1995); on a device with neither they may be
off by the 2.5 and 3 ULP that the standard allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from graphc import dtypes
from graphc.backends.opencl.spelling import C_TYPES, is_16_bit_float, word
from graphc.dtypes import DType


@dataclass(frozen=True, slots=True)
class Features:
    """What a device can do, as far as the spelling of arithmetic depends on it."""

    has_float64: bool
    exact_division: bool  # float32 `/` and sqrt are correctly rounded


Row: TypeAlias = Callable[[list[str], list[DType], DType, Features], str]

# Helpers for the 16-bit floats. `odd` is a float32 rounded towards zero with its last bit set where
# that was inexact: rounding it once more to fewer bits gives what rounding once would have.
HELPERS = """\
float graphc_half_to_float(ushort h) {
  const uint sign = (uint)(h & 0x8000) << 16, rest = h & 0x7fff;
  if (rest >= 0x7c00) return as_float(sign | 0x7f800000U | (rest & 0x3ff) << 13);
  if (rest >= 0x0400) return as_float(sign | (rest + 0x1c000U) << 13);
  return as_float(sign | as_uint((float)(int)rest * 0x1p-24f));
}
ushort graphc_float_to_half(float f) {
  const uint bits = as_uint(f), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffffU;
  if (rest > 0x7f800000U) return (ushort)(sign | 0x7e00);
  if (rest >= 0x477ff000U) return (ushort)(sign | 0x7c00);
  if (rest < 0x33000000U) return (ushort)sign;
  const uint exponent = rest >> 23;
  const uint shift = exponent < 113 ? 126 - exponent : 13;
  const uint whole = exponent < 113 ? (rest & 0x7fffff) | 0x800000 : rest - 0x38000000U;
  const uint half_way = 1U << (shift - 1), kept = whole >> shift;
  return (ushort)(sign | (kept + ((whole & (2 * half_way - 1)) + (kept & 1) > half_way)));
}
float graphc_bfloat_to_float(ushort b) { return as_float((uint)b << 16); }
ushort graphc_float_to_bfloat(float f) {
  const uint bits = as_uint(f);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return (ushort)(bits >> 16 | 0x40);
  return (ushort)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
float graphc_odd_from_ulong(ulong a) {
  const int excess = 40 - (int)clz(a | 1);
  if (excess <= 0) return (float)a;
  const ulong kept = a >> excess;
  const ulong inexact = (kept << excess) != a;
  return (float)(kept | inexact) * as_float((uint)(excess + 127) << 23);
}
float graphc_odd_from_long(long a) {
  return a < 0 ? -graphc_odd_from_ulong(0UL - (ulong)a) : graphc_odd_from_ulong((ulong)a);
}
long graphc_floordiv(long a, long b) { return a / b - (a % b < 0); }
long graphc_mod(long a, long b) { const long r = a % b; return r < 0 ? r + b : r; }
"""

FLOAT64_HELPERS = """\
float graphc_odd_from_double(double d) {
  const ulong bits = as_ulong(d), rest = bits & 0x7fffffffffffffffUL;
  const uint sign = (uint)(bits >> 32) & 0x80000000U;
  if (rest >= 0x7ff0000000000000UL) return (float)d;
  if (rest >= 0x47f0000000000000UL) return as_float(sign | 0x7f7fffffU);
  const long exponent = (long)(rest >> 52) - 896;
  const ulong whole = (rest & 0xfffffffffffffUL) | 0x10000000000000UL;
  const long shift = exponent > 0 ? 29 : min(30 - exponent, 63L);
  const uint kept = (uint)(whole >> shift) & 0xffffffU;
  const uint inexact = ((ulong)kept << shift) != whole && rest != 0;
  const uint magnitude = exponent > 0 ? (uint)exponent << 23 | (kept & 0x7fffff) : kept;
  return as_float(sign | magnitude | inexact);
}
"""


def primitive(
    name: str, operands: list[str], given: list[DType], result: DType, features: Features
) -> str:
    """Return the C expression for a primitive other than `literal` and `lookup`."""
    return _ROWS[name](operands, given, result, features)


def convert(value: str, source: DType, target: DType) -> str:
    """Return the C expression for `value` of type `source` as the nearest `target`."""
    if source is target:
        return value
    if source is dtypes.float16:
        return convert(f"graphc_half_to_float({value})", dtypes.float32, target)
    if source is dtypes.bfloat16:
        return convert(f"graphc_bfloat_to_float({value})", dtypes.float32, target)
    if target is dtypes.bool_:
        return f"(uchar)({value} != 0)"
    if is_16_bit_float(target):
        return _to_16_bit(value, source, target)
    name = C_TYPES[target]
    if source.is_float and target.is_integer:
        return f"({value} != {value} ? ({name})0 : convert_{name}_sat_rtz({value}))"
    return f"({name}){value}"


def _to_16_bit(value: str, source: DType, target: DType) -> str:
    rounding = "graphc_float_to_half" if target is dtypes.float16 else "graphc_float_to_bfloat"
    if source is dtypes.float32:
        return f"{rounding}({value})"
    if source is dtypes.float64:
        return f"{rounding}(graphc_odd_from_double({value}))"
    kind = "long" if source.is_signed else "ulong"
    return f"{rounding}(graphc_odd_from_{kind}({value}))"


def _convert(operands: list[str], given: list[DType], result: DType, _features: Features) -> str:
    return convert(operands[0], given[0], result)


def _arithmetic(symbol: str) -> Row:
    """Integers are computed in an unsigned word, floats as they are."""

    def row(operands: list[str], given: list[DType], result: DType, _features: Features) -> str:
        a, b = operands
        if result.is_float:
            return f"{a} {symbol} {b}"
        unsigned = word(result)
        return f"({C_TYPES[result]})(({unsigned}){a} {symbol} ({unsigned}){b})"

    return row


def _small(symbol: str) -> Row:
    """C computes in int or wider; the result is brought back to its own type."""

    def row(operands: list[str], given: list[DType], result: DType, _features: Features) -> str:
        a, b = operands
        return f"({C_TYPES[result]})({a} {symbol} {b})"

    return row


def _comparison(symbol: str) -> Row:
    return lambda o, _g, _r, _f: f"(uchar)({o[0]} {symbol} {o[1]})"


def _function(name: str) -> Row:
    return lambda o, _g, _r, _f: f"{name}({', '.join(o)})"


def _division(operands: list[str], given: list[DType], result: DType, features: Features) -> str:
    a, b = operands
    if result is dtypes.float64 or features.exact_division or not features.has_float64:
        return f"{a} / {b}"
    return f"(float)((double){a} / (double){b})"


def _square_root(operands: list[str], given: list[DType], result: DType, features: Features) -> str:
    if result is dtypes.float64 or features.exact_division or not features.has_float64:
        return f"sqrt({operands[0]})"
    return f"(float)sqrt((double){operands[0]})"


def _negative(operands: list[str], given: list[DType], result: DType, _features: Features) -> str:
    a = operands[0]
    if not result.is_float:
        return f"({C_TYPES[result]})(0 - ({word(result)}){a})"
    if result is dtypes.float32:
        return f"as_float(as_uint({a}) ^ 0x80000000U)"
    return f"as_double(as_ulong({a}) ^ 0x8000000000000000UL)"


def _absolute(operands: list[str], given: list[DType], result: DType, _features: Features) -> str:
    a = operands[0]
    if not result.is_float:
        unsigned = word(result)
        return f"({C_TYPES[result]})({a} < 0 ? 0 - ({unsigned}){a} : ({unsigned}){a})"
    if result is dtypes.float32:
        return f"as_float(as_uint({a}) & 0x7fffffffU)"
    return f"as_double(as_ulong({a}) & 0x7fffffffffffffffUL)"


def _complement(operands: list[str], given: list[DType], result: DType, _features: Features) -> str:
    if result is dtypes.bool_:
        return f"(uchar)!{operands[0]}"
    return f"({C_TYPES[result]})~{operands[0]}"


def _shift_left(operands: list[str], given: list[DType], result: DType, _features: Features) -> str:
    a, count = operands
    return f"({C_TYPES[result]})(({word(result)}){a} << {count})"


def _select(operands: list[str], given: list[DType], result: DType, _features: Features) -> str:
    condition, yes, no = operands
    return f"({condition} ? {yes} : {no})"


def _bitcast(operands: list[str], given: list[DType], result: DType, _features: Features) -> str:
    return f"as_{C_TYPES[result]}({operands[0]})"


_ROWS: dict[str, Row] = {
    "add": _arithmetic("+"),
    "sub": _arithmetic("-"),
    "mul": _arithmetic("*"),
    "div": _division,
    "fma": _function("fma"),
    "neg": _negative,
    "abs": _absolute,
    "sqrt": _square_root,
    "floor": _function("floor"),
    "ceil": _function("ceil"),
    "trunc": _function("trunc"),
    "rint": _function("rint"),
    "copysign": _function("copysign"),
    "quotient": _small("/"),
    "modulus": _small("%"),
    "and": _small("&"),
    "or": _small("|"),
    "xor": _small("^"),
    "not": _complement,
    "shl": _shift_left,
    "shr": _small(">>"),
    "eq": _comparison("=="),
    "ne": _comparison("!="),
    "lt": _comparison("<"),
    "le": _comparison("<="),
    "select": _select,
    "convert": _convert,
    "bitcast": _bitcast,
}
