"""Every primitive on every dtype, bit for bit, against the kernel interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import dtypes
from graphc.dtypes import DType
from graphc.scalar import COMPARISONS, PRIMITIVES
from tests.backends.opencl.harness import Array, check, special_values

COUNT = 700
_SPECIAL = {
    "literal",
    "convert",
    "bitcast",
    "lookup",
    "select",
    "quotient",
    "modulus",
    "shl",
    "shr",
    "pair",
    "scale",
    "dot_bfloat16",
    "dot_int8",
    "dot_uint8",
}
_PLAIN = [row for name, row in PRIMITIVES.items() if name not in _SPECIAL]


def operations(dtype: DType) -> list[tuple[str, DType]]:
    """List the right sides of assignments over %a, %b, %c, %d, %n, %p and their dtypes."""
    found = []
    for row in _PLAIN:
        if dtype.kind in row.kinds:
            operands = ", ".join(["%a", "%b", "%c"][: row.arity])
            found.append((f"{row.name}({operands})", _result(row.name, dtype)))
    found += [("convert(%a)", d) for d in dtypes.REAL]
    found.append(("select(%p, %a, %b)", dtype))
    if dtype.kind != "bool":
        found += [
            ("bitcast(%a)", d) for d in dtypes.REAL if d.bits == dtype.bits and d.kind != "bool"
        ]
    wide = [d for d in dtypes.INTEGERS if d.kind == "uint" and d.bits == 2 * dtype.bits <= 32]
    found += [("pair(%a, %b)", d) for d in wide if dtype.kind != "bool"]
    if dtype is dtypes.float32:
        found.append(("dot_bfloat16(%u, %v, %c)", dtype))
    if dtype is dtypes.uint32:
        found += [("dot_int8(%a, %b, %c)", dtype), ("dot_uint8(%a, %b, %c)", dtype)]
    if dtype.is_integer:
        found += [(f"{n}(%a, %d)", dtype) for n in ("quotient", "modulus")]
        found += [(f"{n}(%a, %n)", dtype) for n in ("shl", "shr")]
        table = "[0.5, -0.0, inf, -inf, nan, 1e-45, 3.0]"
        found.append((f"lookup(%m) {table}", dtypes.float32))
        found.append(("lookup(%a) [0.5, -0.0, inf, 3.0]", dtypes.float32))
        found.append(("lookup(%m) [-128, -1, 0, 1, 2, 3, 127]", dtypes.int8))
    return found


def _result(name: str, dtype: DType) -> DType:
    return dtypes.bool_ if name in COMPARISONS else dtype


def kernel_text(dtype: DType) -> str:
    """Return a kernel that stores the result of each operation in an output of its own."""
    rows = operations(dtype)
    inputs = "".join(f"{n}: {dtype}[{COUNT}] in, " for n in "abcdnm") + f"p: bool[{COUNT}] in"
    outputs = "".join(f", o{i}: {d}[{COUNT}] out" for i, (_, d) in enumerate(rows))
    body = "".join(f"%{n} = load {n}[i] : {dtype}\n" for n in "abcdnm")
    body += "%p = load p[i] : bool\n"
    if dtype is dtypes.float32:
        body += "%u = bitcast(%a) : uint32\n%v = bitcast(%b) : uint32\n"
    for i, (text, result) in enumerate(rows):
        body += f"%r{i} = {text} : {result}\nstore o{i}[i] = %r{i}\n"
    return f"kernel all_of_{dtype}({inputs}{outputs}) {{ for i < {COUNT} parallel {{ {body} }} }}"


def arguments(dtype: DType) -> dict[str, Array]:
    """Return operands: special values, a divisor that is safe, a shift count and a place."""
    arrays = {n: special_values(dtype, COUNT, seed) for seed, n in enumerate("abc")}
    divisor = special_values(dtype, COUNT, 7)
    if dtype.is_integer:
        minus_one = divisor.astype(np.float64) == -1
        divisor = np.where((divisor == 0) | minus_one, 3, divisor)
    arrays["d"] = divisor.astype(dtype.numpy)
    arrays["n"] = (np.arange(COUNT) % dtype.bits).astype(dtype.numpy)
    arrays["m"] = (np.arange(COUNT) % 7).astype(dtype.numpy)
    arrays["p"] = np.arange(COUNT) % 3 == 0
    return arrays


@pytest.mark.parametrize("dtype", dtypes.REAL, ids=str)
def test_every_primitive_has_the_interpreters_bits(dtype: DType) -> None:
    check(kernel_text(dtype), arguments(dtype))


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64], ids=str)
def test_scale_rounds_once(dtype: DType) -> None:
    """Powers from where all results are 0 to where all are infinite."""
    limits = np.finfo(dtype.numpy)
    exponents = np.arange(limits.minexp - limits.nmant - 4, limits.maxexp + 4, 3)
    count = len(exponents)
    numbers = np.random.default_rng(0).uniform(0.25, 4.0, count).astype(dtype.numpy)
    numbers[::7] = -(2.0 - limits.eps)
    text = f"""kernel scaled(a: {dtype}[{count}] in, b: {dtype}[{count}] in,
                             y: {dtype}[{count}] out) {{
      for i < {count} parallel {{
        %a = load a[i] : {dtype}  %b = load b[i] : {dtype}
        %y = scale(%a, %b) : {dtype}  store y[i] = %y }} }}"""
    check(text, {"a": numbers, "b": exponents.astype(dtype.numpy)})


@pytest.mark.parametrize("dtype", dtypes.REAL, ids=str)
def test_literals_keep_every_bit(dtype: DType) -> None:
    values = special_values(dtype, 60, 3)
    if dtype.is_integer:
        values[:2] = np.iinfo(dtype.numpy).min, np.iinfo(dtype.numpy).max
    literals = [v.item() if dtype.kind != "float" else float(v) for v in values]
    buffers = f"y: {dtype}[{len(literals)}] out"
    body = "".join(
        f"%v{i} = literal() {str(v).lower()} : {dtype}\nstore y[{i}] = %v{i}\n"
        for i, v in enumerate(literals)
    )
    check(f"kernel literals({buffers}) {{ for i < 1 parallel {{ {body} }} }}", {})


@pytest.mark.parametrize("target", [dtypes.float16, dtypes.bfloat16, dtypes.float32], ids=str)
@pytest.mark.parametrize(
    "source", [dtypes.int32, dtypes.int64, dtypes.uint64, dtypes.float64], ids=str
)
def test_conversions_round_once(source: DType, target: DType) -> None:
    """Values right beside the middle of two neighbours, where rounding twice goes wrong."""
    bits = {dtypes.float16: 11, dtypes.bfloat16: 8, dtypes.float32: 24}[target]
    rng = np.random.default_rng(0)
    middles = 2 * rng.integers(2 ** (bits - 1), 2**bits, 200) + 1
    shifts = rng.integers(0, 64 - source.is_signed - bits - 1, 200)
    values = middles.astype(np.uint64) << shifts.astype(np.uint64)
    if source.is_float:
        values = np.ldexp(middles.astype(np.float64), rng.integers(-165, 115, 200))
        beside = np.concatenate([np.nextafter(values, 0), values, np.nextafter(values, np.inf)])
    else:
        one = np.uint64(1)
        beside = np.concatenate([values - one, values, values + one]).astype(source.numpy)
    text = f"""kernel k(x: {source}[600] in, y: {target}[600] out) {{ for i < 600 parallel {{
      %a = load x[i] : {source}  %b = convert(%a) : {target}  store y[i] = %b }} }}"""
    check(text, {"x": beside})
