"""The primitives of `graphc.scalar` in OpenCL C 1.2: one table, a row per primitive.

A row makes a C expression of the result's type from operands that are names of variables. What the
standard leaves open is not used: integers wrap in unsigned arithmetic, signs of floats are changed
in their bits, conversions name their rounding. float32 division and square root are exact where
the device says that its own are, or else where it has float64 (53 bits are more than twice 24
and two, so rounding twice is rounding once: Figueroa 1995); on a device with neither they may be
off by the 2.5 and 3 ULP that the standard allows. Functions called graphc_… are in `helpers`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from graphc import dtypes
from graphc.backends.opencl.spelling import C_TYPES, constant, is_16_bit_float, word
from graphc.dtypes import DType


@dataclass(frozen=True, slots=True)
class Features:
    """What a device can do, as far as the spelling of arithmetic depends on it."""

    has_float64: bool
    exact_division: bool  # float32 `/` and sqrt are correctly rounded


Row: TypeAlias = Callable[[list[str], list[DType], DType, Features], str]


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
    if source.is_integer and source.bits == 64 and target is dtypes.float32:
        return f"graphc_{C_TYPES[source]}_to_float({value})"
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
        return f"({C_TYPES[result]})abs({a})"
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


def _pair(operands: list[str], given: list[DType], result: DType, _features: Features) -> str:
    half, whole = f"u{C_TYPES[given[0]].lstrip('u')}", C_TYPES[result]
    low, high = (f"({whole})({half}){operand}" for operand in operands)
    return f"({whole})({low} | {high} << {given[0].bits})"


def _scale(operands: list[str], given: list[DType], result: DType, _features: Features) -> str:
    """Multiply by two powers of two, since one may lie outside the range of numbers."""
    a, b = operands
    mantissa, bias = (23, 127) if result is dtypes.float32 else (52, 1023)
    unsigned, power = word(result), f"as_{C_TYPES[result]}"
    bits = f"as_{unsigned}({b} + {constant(1.5 * 2.0**mantissa + 2 * bias, result)})"
    half = f"({bits} >> 1)"
    return f"{a} * {power}({half} << {mantissa}) * {power}(({bits} - {half}) << {mantissa})"


def _dot_bfloat16(
    operands: list[str], given: list[DType], result: DType, _features: Features
) -> str:
    a, b, c = operands
    high, low = "as_float({0} & 0xffff0000U)", "as_float({0} << 16)"
    inner = f"fma({high.format(a)}, {high.format(b)}, {c})"
    return f"fma({low.format(a)}, {low.format(b)}, {inner})"


def _dot_of_bytes(kind: str) -> Row:
    def row(operands: list[str], given: list[DType], result: DType, _features: Features) -> str:
        a, b, c = operands
        products = (f"(uint)((int)as_{kind}4({a}).s{n} * as_{kind}4({b}).s{n})" for n in range(4))
        return f"({C_TYPES[result]})((uint){c} + {' + '.join(products)})"

    return row


_ROWS: dict[str, Row] = {
    "add": _arithmetic("+"),
    "sub": _arithmetic("-"),
    "mul": _arithmetic("*"),
    "div": _division,
    "fma": _function("fma"),
    "pair": _pair,
    "dot_bfloat16": _dot_bfloat16,
    "dot_int8": _dot_of_bytes("char"),
    "dot_uint8": _dot_of_bytes("uchar"),
    "neg": _negative,
    "abs": _absolute,
    "sqrt": _square_root,
    "floor": _function("floor"),
    "ceil": _function("ceil"),
    "trunc": _function("trunc"),
    "rint": _function("rint"),
    "copysign": _function("copysign"),
    "scale": _scale,
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
