"""Small pieces of LLVM IR that several rows and statements share, and helper functions of a module.

`fused_multiply_add` names the function that rounds a * b + c once on this CPU: the intrinsic where
the CPU has the instruction, and elsewhere a function of our own: float32 is computed in double
(the product is exact, the sum is rounded to odd, and rounded once more to float32: Boldo and
Melquiond 2008), float64 calls the C library's `fma` in each lane.
"""

from __future__ import annotations

from graphc import dtypes
from graphc.backends.llvm import conversions, spelling
from graphc.backends.llvm.module import Module
from graphc.backends.llvm.writer import Writer
from graphc.dtypes import DType


def from_memory(writer: Writer, dtype: DType, lanes: int, loaded: str) -> str:
    """Return a loaded value in its register type: any byte but 0 is True."""
    if dtype is not dtypes.bool_:
        return loaded
    zero = spelling.splat("i8", "0", lanes)
    return writer.pure(f"icmp ne {spelling.vector('i8', lanes)} {loaded}, {zero}")


def to_memory(writer: Writer, dtype: DType, lanes: int, value: str) -> str:
    """Return a value in its memory type."""
    if dtype is not dtypes.bool_:
        return value
    return writer.pure(f"zext {spelling.vector('i1', lanes)} {value} to {_bytes(lanes)}")


def _bytes(lanes: int) -> str:
    return spelling.vector("i8", lanes)


def gather(
    writer: Writer, element: str, lanes: int, places: str, mask: str = "", alignment: int = 0
) -> str:
    """Return the elements at a vector of addresses, zero where the mask does not hold."""
    type_, mask = spelling.vector(element, lanes), mask or spelling.splat("i1", "true", lanes)
    size = alignment or {"i8": 1, "i16": 2, "i32": 4, "float": 4}.get(element, 8)
    return writer.emit(
        f"call {type_} @llvm.masked.gather.{spelling.suffix(element, lanes)}.v{lanes}p0("
        f"<{lanes} x ptr> align {size} {places}, <{lanes} x i1> {mask}, {type_} zeroinitializer)"
    )


def splat(writer: Writer, element: str, value: str, lanes: int) -> str:
    """Return the scalar `value`, a name or a constant, in every lane."""
    if lanes == 1 or not value.startswith("%"):
        return spelling.splat(element, value, lanes)
    type_ = spelling.vector(element, lanes)
    first = writer.pure(f"insertelement {type_} poison, {element} {value}, i64 0")
    zeros = f"<{lanes} x i32> zeroinitializer"
    return writer.pure(f"shufflevector {type_} {first}, {type_} poison, {zeros}")


def is_any(writer: Writer, mask: str, lanes: int) -> str:
    """Return whether the mask holds in some lane, an i1."""
    if lanes == 1:
        return mask
    bits = writer.pure(f"bitcast <{lanes} x i1> {mask} to i{lanes}")
    return writer.pure(f"icmp ne i{lanes} {bits}, 0")


def fused_multiply_add(module: Module, dtype: DType, lanes: int) -> str:
    """Return the name of the function (a, b, c) -> a * b + c, rounded once, over `lanes` lanes."""
    suffix = spelling.suffix(spelling.register(dtype), lanes)
    if module.features.fma:
        return f"@llvm.fma.{suffix}"
    name = f"@fma.{suffix}"
    if dtype is dtypes.float64:
        return module.require(name, lambda n: _fused_by_library(module, n, lanes))
    return module.require(name, lambda n: _fused_by_double(module, n, lanes))


def _fused_by_library(module: Module, name: str, lanes: int) -> str:
    module.require("@fma", lambda n: f"declare double {n}(double, double, double) memory(none)")
    writer, type_ = Writer(), spelling.vector("double", lanes)
    if lanes == 1:
        result = writer.emit("call double @fma(double %a, double %b, double %c)")
    else:
        result = "poison"
        for lane in range(lanes):
            a, b, c = (writer.emit(f"extractelement {type_} {v}, i64 {lane}") for v in _PARAMETERS)
            one = writer.emit(f"call double @fma(double {a}, double {b}, double {c})")
            result = writer.emit(f"insertelement {type_} {result}, double {one}, i64 {lane}")
    return function(name, type_, tuple((type_, v) for v in _PARAMETERS), writer, result)


_PARAMETERS = ("%a", "%b", "%c")


def _fused_by_double(module: Module, name: str, lanes: int) -> str:
    writer = Writer()
    code = conversions.Code(writer, module.features, lanes)
    a, b, c = (code.cast("fpext", dtypes.float32, dtypes.float64, v) for v in _PARAMETERS)
    d = spelling.vector("double", lanes)
    product = writer.pure(f"fmul {d} {a}, {b}")
    total = writer.pure(f"fadd {d} {product}, {c}")
    shadow = writer.pure(f"fsub {d} {total}, {product}")
    rest = writer.pure(f"fsub {d} {total}, {shadow}")
    left, right = writer.pure(f"fsub {d} {product}, {rest}"), writer.pure(f"fsub {d} {c}, {shadow}")
    error = writer.pure(f"fadd {d} {left}, {right}")
    odd = conversions.make_odd(code, dtypes.float64, total, error)
    result = code.cast("fptrunc", dtypes.float64, dtypes.float32, odd)
    type_ = spelling.vector("float", lanes)
    return function(name, type_, tuple((type_, v) for v in _PARAMETERS), writer, result)


def function(
    name: str, type_: str, parameters: tuple[tuple[str, str], ...], writer: Writer, result: str,
    attributes: str = "noinline",
) -> str:  # fmt: skip
    """Return the text of an internal function without side effects."""
    head = ", ".join(f"{kind} {parameter}" for kind, parameter in parameters)
    return (
        f"define internal {type_} {name}({head}) {attributes} nounwind {{\n"
        f"{writer.text(f'{type_} {result}')}\n}}"
    )
