"""The primitives of `graphc.scalar` in LLVM IR: one table, a row per primitive.

A row is a template for each kind of operand, or a function where one instruction does not do.
Every instruction means the same in all lanes, on every CPU: no fast-math flag, no contraction,
nothing that is undefined for an input that a formula may give it, and no intrinsic that some
target cannot select.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from graphc.backends.llvm import conversions, dot_products, helpers, lookups, scaling, spelling
from graphc.backends.llvm.module import Module
from graphc.backends.llvm.writer import Writer
from graphc.dtypes import DType, float32, int32, uint32
from graphc.errors import InternalError


@dataclass(frozen=True, slots=True)
class Site:
    """Where a primitive is written: the code around it, the types, and how many lanes there are."""

    writer: Writer
    module: Module
    source: DType  # of the first operand, or of the result where there is none
    result: DType
    lanes: int
    payload: Any = None


_Function: TypeAlias = Callable[..., str]
_Row: TypeAlias = "Mapping[str, str] | _Function"

TRAPPING = frozenset({"quotient", "modulus"})


def write(name: str, site: Site, operands: tuple[str, ...]) -> str:
    """Write primitive `name` over `operands`, each of `site.lanes` lanes, and return its result."""
    row = _ROWS[name]
    if callable(row):
        return row(site, *operands)
    template = row.get(_kind(site.source))
    if template is None:
        raise InternalError(f"{name} of {site.source} is not an instruction")
    element = spelling.register(site.source)
    text = template.format(
        *operands,
        t=spelling.vector(element, site.lanes),
        c=spelling.vector("i1", site.lanes),
        s=spelling.suffix(element, site.lanes),
        zero=spelling.literal(site.source, 0, site.lanes),
        ones=spelling.splat(element, "true" if element == "i1" else "-1", site.lanes),
    )
    return site.writer.emit(text) if name in TRAPPING else site.writer.pure(text)


def _kind(dtype: DType) -> str:
    return "half" if dtype.is_float and dtype.bits == 16 else dtype.kind


def _literal(site: Site) -> str:
    return spelling.literal(site.result, site.payload, site.lanes)


def _absolute(site: Site, a: str) -> str:
    type_ = spelling.register(site.source, site.lanes)
    if site.source.is_float:
        suffix = spelling.suffix(spelling.register(site.source), site.lanes)
        return site.writer.pure(f"call {type_} @llvm.fabs.{suffix}({type_} {a})")
    zero = spelling.literal(site.source, 0, site.lanes)
    negated = site.writer.pure(f"sub {type_} {zero}, {a}")
    negative = site.writer.pure(f"icmp slt {type_} {a}, {zero}")
    condition = spelling.vector("i1", site.lanes)
    return site.writer.pure(f"select {condition} {negative}, {type_} {negated}, {type_} {a}")


def _fused(site: Site, a: str, b: str, c: str) -> str:
    function = helpers.fused_multiply_add(site.module, site.source, site.lanes)
    type_ = spelling.register(site.source, site.lanes)
    return site.writer.pure(f"call {type_} {function}({type_} {a}, {type_} {b}, {type_} {c})")


def _scale(site: Site, a: str, b: str) -> str:
    if site.module.features.scale:
        return scaling.by_instruction(site.writer, site.source, site.lanes, a, b)
    code = conversions.Code(site.writer, site.module.features, site.lanes)
    return scaling.by_products(code, site.source, a, b)


def _select(site: Site, condition: str, yes: str, no: str) -> str:
    type_ = spelling.register(site.result, site.lanes)
    mask = spelling.vector("i1", site.lanes)
    return site.writer.pure(f"select {mask} {condition}, {type_} {yes}, {type_} {no}")


def _convert(site: Site, a: str) -> str:
    code = conversions.Code(site.writer, site.module.features, site.lanes)
    return conversions.convert(code, site.source, site.result, a)


def _bitcast(site: Site, a: str) -> str:
    source = spelling.register(site.source, site.lanes)
    result = spelling.register(site.result, site.lanes)
    return a if source == result else site.writer.pure(f"bitcast {source} {a} to {result}")


def _pair(site: Site, low: str, high: str) -> str:
    source, result = (spelling.register(d, site.lanes) for d in (site.source, site.result))
    shift = spelling.literal(site.result, site.source.bits, site.lanes)
    low, high = (site.writer.pure(f"zext {source} {half} to {result}") for half in (low, high))
    high = site.writer.pure(f"shl {result} {high}, {shift}")
    return site.writer.pure(f"or {result} {low}, {high}")


def _dot_bfloat16(site: Site, a: str, b: str, c: str) -> str:
    if site.module.features.dot_bfloat16:
        return dot_products.pairs_of_bfloat16(site.writer, site.lanes, a, b, c)
    code = conversions.Code(site.writer, site.module.features, site.lanes)
    for half in (_high_bfloat16, _low_bfloat16):
        c = _fused(replace(site, source=float32), half(code, a), half(code, b), c)
    return c


def _dot_of_bytes(site: Site, a: str, b: str, c: str, *, signed: bool) -> str:
    features = site.module.features
    if signed and features.dot_int8:
        return dot_products.fours_of_int8(site.writer, site.lanes, a, b, c)
    if features.multiply_add:
        width = features.multiply_add // 4
        return dot_products.bytes_by_pairs(site.writer, site.lanes, width, a, b, c, signed=signed)
    code = conversions.Code(site.writer, features, site.lanes)
    for byte in range(4):
        left, right = (_byte(code, word, byte, signed=signed) for word in (a, b))
        c = code.binary("add", int32, c, code.binary("mul", int32, left, right))
    return c


def _byte(code: conversions.Code, word: str, number: int, *, signed: bool) -> str:
    """Return a byte of a word as an int32."""
    top = code.binary("shl", uint32, word, 24 - 8 * number)
    return code.binary("ashr" if signed else "lshr", int32, top, 24)


def _high_bfloat16(code: conversions.Code, word: str) -> str:
    return code.bits(uint32, float32, code.binary("and", uint32, word, 0xFFFF0000))


def _low_bfloat16(code: conversions.Code, word: str) -> str:
    return code.bits(uint32, float32, code.binary("shl", uint32, word, 16))


def _lookup(site: Site, a: str) -> str:
    index = (site.source, a)
    return lookups.write(site.writer, site.module, site.result, site.lanes, site.payload, index)


_INT, _BITS = ("int", "uint"), ("bool", "int", "uint")


def _same(template: str, kinds: tuple[str, ...]) -> dict[str, str]:
    return dict.fromkeys(kinds, template)


def _intrinsic(name: str) -> dict[str, str]:
    return {"float": f"call {{t}} @llvm.{name}.{{s}}({{t}} {{0}})"}


def _compare(predicate: str, unsigned: str, float_: str) -> dict[str, str]:
    return {
        "bool": f"icmp {unsigned} {{t}} {{0}}, {{1}}",
        "uint": f"icmp {unsigned} {{t}} {{0}}, {{1}}",
        "int": f"icmp {predicate} {{t}} {{0}}, {{1}}",
        "float": f"fcmp {float_} {{t}} {{0}}, {{1}}",
    }


_ROWS: dict[str, _Row] = {
    "literal": _literal,
    "add": {**_same("add {t} {0}, {1}", _INT), "float": "fadd {t} {0}, {1}"},
    "sub": {**_same("sub {t} {0}, {1}", _INT), "float": "fsub {t} {0}, {1}"},
    "mul": {**_same("mul {t} {0}, {1}", _INT), "float": "fmul {t} {0}, {1}"},
    "div": {"float": "fdiv {t} {0}, {1}"},
    "fma": _fused,
    "neg": {"int": "sub {t} {zero}, {0}", "float": "fneg {t} {0}"},
    "abs": _absolute,
    "sqrt": _intrinsic("sqrt"),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "trunc": _intrinsic("trunc"),
    "rint": _intrinsic("rint"),
    "copysign": {"float": "call {t} @llvm.copysign.{s}({t} {0}, {t} {1})"},
    "scale": _scale,
    "quotient": {"int": "sdiv {t} {0}, {1}", "uint": "udiv {t} {0}, {1}"},
    "modulus": {"int": "srem {t} {0}, {1}", "uint": "urem {t} {0}, {1}"},
    "and": _same("and {t} {0}, {1}", _BITS),
    "or": _same("or {t} {0}, {1}", _BITS),
    "xor": _same("xor {t} {0}, {1}", _BITS),
    "not": _same("xor {t} {0}, {ones}", _BITS),
    "shl": _same("shl {t} {0}, {1}", _INT),
    "shr": {"int": "ashr {t} {0}, {1}", "uint": "lshr {t} {0}, {1}"},
    "eq": _compare("eq", "eq", "oeq"),
    "ne": _compare("ne", "ne", "une"),
    "lt": _compare("slt", "ult", "olt"),
    "le": _compare("sle", "ule", "ole"),
    "select": _select,
    "convert": _convert,
    "bitcast": _bitcast,
    "lookup": _lookup,
    "pair": _pair,
    "dot_bfloat16": _dot_bfloat16,
    "dot_int8": partial(_dot_of_bytes, signed=True),
    "dot_uint8": partial(_dot_of_bytes, signed=False),
}
