"""Every primitive on every dtype, scalar and in vectors, at every CPU level, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import dtypes
from graphc.dtypes import DType
from graphc.scalar import COMPARISONS, PRIMITIVES
from tests.backends.llvm.harness import CPUS, Array, check, special_values

COUNT = 1024
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
    """List the right sides of assignments over %a, %b, %c, %p and the dtypes of their results."""
    found = []
    for row in _PLAIN:
        if dtype.kind in row.kinds:
            operands = ", ".join(["%a", "%b", "%c"][: row.arity])
            result = dtypes.bool_ if row.name in COMPARISONS else dtype
            found.append((f"{row.name}({operands})", result))
    found += [(f"convert(%a) : {d}", d) for d in dtypes.REAL]
    found.append(("select(%p, %a, %b)", dtype))
    if dtype.kind != "bool":
        same = [d for d in dtypes.REAL if d.bits == dtype.bits and d.kind != "bool"]
        found += [(f"bitcast(%a) : {d}", d) for d in same]
        wide = [d for d in dtypes.INTEGERS if d.kind == "uint" and d.bits == 2 * dtype.bits <= 32]
        found += [(f"pair(%a, %b) : {d}", d) for d in wide]
    if dtype is dtypes.uint32:
        found += [(f"{n}(%a, %b, %c)", dtype) for n in ("dot_int8", "dot_uint8")]
    if dtype.is_integer:
        found += [(f"{n}(%a, %d)", dtype) for n in ("quotient", "modulus")]
        found += [(f"{n}(%a, %n)", dtype) for n in ("shl", "shr")]
    return found


def kernel_text(dtype: DType, lanes: int) -> str:
    """Return a kernel that stores every operation's result in an output of its own."""
    rows = operations(dtype)
    inputs = "".join(f"{n}: {dtype}[{COUNT}] in, " for n in "abcdn") + f"p: bool[{COUNT}] in"
    outputs = "".join(f", o{i}: {d}[{COUNT}] out" for i, (_, d) in enumerate(rows))
    place = f"{lanes}*i + l" if lanes > 1 else "i"
    loads = "".join(f"%{n} = load {n}[{place}] : {dtype}\n" for n in "abcdn")
    loads += f"%p = load p[{place}] : bool\n"
    body = ""
    for i, (text, result) in enumerate(rows):
        typed = text if " : " in text else f"{text} : {result}"
        body += f"%r{i} = {typed}\nstore o{i}[{place}] = %r{i}\n"
    inner = f"for l < {lanes} vector {{ {loads}{body} }}" if lanes > 1 else loads + body
    return (
        f"kernel all_of_{dtype}({inputs}{outputs}) "
        f"{{ for i < {COUNT // lanes} parallel {{ {inner} }} }}"
    )


def arguments(dtype: DType) -> dict[str, Array]:
    """Return operands: special values, a divisor that is safe, a shift count in range."""
    arrays = {n: special_values(dtype, COUNT, seed) for seed, n in enumerate("abc")}
    divisor = special_values(dtype, COUNT, 7)
    if dtype.is_integer:
        divisor[(divisor == 0) | (divisor == dtype.numpy.type(-1 if dtype.is_signed else 0))] = 3
    arrays["d"] = divisor
    count = np.arange(COUNT) % max(dtype.bits, 1)
    arrays["n"] = count.astype(dtype.numpy) if dtype.is_integer else divisor
    arrays["p"] = np.arange(COUNT) % 3 == 0
    return arrays


@pytest.mark.parametrize("dtype", dtypes.REAL, ids=str)
@pytest.mark.parametrize("lanes", [1, 16])
def test_every_primitive_has_the_interpreters_bits(dtype: DType, lanes: int) -> None:
    check(kernel_text(dtype, lanes), arguments(dtype), CPUS)


@pytest.mark.parametrize("lanes", [2, 4, 8, 32, 64])
@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.int8, dtypes.float16], ids=str)
def test_vector_widths(dtype: DType, lanes: int) -> None:
    check(kernel_text(dtype, lanes), arguments(dtype), CPUS[:2])


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64], ids=str)
@pytest.mark.parametrize("lanes", [1, 8])
def test_fused_multiply_add_rounds_once(dtype: DType, lanes: int) -> None:
    """The product lies half-way between two numbers, and the summand alone decides."""
    digits = 24 if dtype is dtypes.float32 else 53
    factor = 1 + 2.0 ** -(digits // 2)
    text = f"""kernel fused(a: {dtype}[16] in, c: {dtype}[16] in, y: {dtype}[16] out) {{
      for i < {16 // lanes} parallel {{ for l < {lanes} vector {{
        %a = load a[{lanes}*i + l] : {dtype}  %c = load c[{lanes}*i + l] : {dtype}
        %y = fma(%a, %a, %c) : {dtype}  store y[{lanes}*i + l] = %y }} }} }}"""
    tiny = 2.0**-100
    summands = [tiny, -tiny, 0.0, -1.0, -1 - tiny, 2.0**-60, -(2.0**-60), 1e30, np.inf, np.nan]
    arrays = {
        "a": np.full(16, factor, dtype.numpy),
        "c": np.resize(np.array(summands), 16).astype(dtype.numpy),
    }
    check(text, arrays)
    overflow = {"a": np.full(16, np.finfo(dtype.numpy).max), "c": arrays["c"]}
    check(text, overflow)


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64], ids=str)
@pytest.mark.parametrize("lanes", [1, 2, 8, 16, 64])
def test_scale_rounds_once(dtype: DType, lanes: int) -> None:
    """Powers from where all results are 0 to where all are infinite, all digits set or one."""
    text = f"""kernel scaled(a: {dtype}[4096] in, b: {dtype}[4096] in, y: {dtype}[4096] out) {{
      for i < {4096 // lanes} parallel {{ for l < {lanes} vector {{
        %a = load a[{lanes}*i + l] : {dtype}  %b = load b[{lanes}*i + l] : {dtype}
        %y = scale(%a, %b) : {dtype}  store y[{lanes}*i + l] = %y }} }} }}"""
    limits = np.finfo(dtype.numpy)
    exponents = np.arange(limits.minexp - limits.nmant - 4, limits.maxexp + 4)
    numbers = np.random.default_rng(0).uniform(0.25, 4.0, 4096).astype(dtype.numpy)
    numbers[::7], numbers[1::7] = -(2.0 - limits.eps), 1.5
    arrays = {"a": numbers, "b": np.resize(exponents, 4096).astype(dtype.numpy)}
    arrays["a"][-2:] = arrays["b"][-2:] = np.nan
    check(text, arrays, CPUS)


@pytest.mark.parametrize("dtype", dtypes.REAL, ids=str)
@pytest.mark.parametrize("lanes", [1, 8])
def test_literals_and_tables(dtype: DType, lanes: int) -> None:
    if dtype.kind == "bool":
        values = "[true, false, true]"
    elif dtype.is_float:
        values = "[1.5, -0.0, inf]"
    else:
        values = f"[{np.iinfo(dtype.numpy).max}, 0, {np.iinfo(dtype.numpy).min}]"
    one = values[1:-1].split(",")[0]
    text = f"""kernel tables(i: int32[{4 * lanes}] in, x: {dtype}[{4 * lanes}] out,
                            y: {dtype}[{4 * lanes}] out) {{
      for k < 4 parallel {{ for l < {lanes} vector {{
        %i = load i[{lanes}*k + l] : int32
        %x = lookup(%i) {values} : {dtype}
        %y = literal() {one} : {dtype}
        store x[{lanes}*k + l] = %x
        store y[{lanes}*k + l] = %y }} }} }}"""
    check(text, {"i": (np.arange(4 * lanes) % 3).astype(np.int32)})


@pytest.mark.parametrize("entries", [2, 7, 8, 11, 16, 32, 64])
@pytest.mark.parametrize("lanes", [1, 2, 8, 16, 64])
def test_tables_of_any_length(lanes: int, entries: int) -> None:
    """Those of up to two registers are permuted; any index of a power of two of them counts."""
    numbers = [0.1 * n - 1 for n in range(entries)]
    text = f"""kernel tables(i: uint32[{COUNT}] in, x: float32[{COUNT}] out, y: int32[{COUNT}] out,
                            z: float64[{COUNT}] out) {{
      for k < {COUNT // lanes} parallel {{ for l < {lanes} vector {{
        %i = load i[{lanes}*k + l] : uint32
        %x = lookup(%i) {np.asarray(numbers, np.float32).tolist()} : float32
        %y = lookup(%i) {[7 * n - 9 for n in range(entries)]} : int32
        %z = lookup(%i) {numbers} : float64
        store x[{lanes}*k + l] = %x
        store y[{lanes}*k + l] = %y
        store z[{lanes}*k + l] = %z }} }} }}"""
    index = special_values(dtypes.uint32, COUNT)
    if entries & (entries - 1):
        index = index % entries
    check(text, {"i": index}, CPUS)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 64])
def test_dot_products_of_pairs_of_bfloat16(lanes: int) -> None:
    """Normal numbers give the interpreter's bits everywhere, on CPUs with an instruction too."""
    text = f"""kernel dots(a: uint32[{COUNT}] in, b: uint32[{COUNT}] in, c: float32[{COUNT}] in,
                           y: float32[{COUNT}] out) {{
      for i < {COUNT // lanes} parallel {{ for l < {lanes} vector {{
        %a = load a[{lanes}*i + l] : uint32  %b = load b[{lanes}*i + l] : uint32
        %c = load c[{lanes}*i + l] : float32
        %y = dot_bfloat16(%a, %b, %c) : float32  store y[{lanes}*i + l] = %y }} }} }}"""
    random = np.random.default_rng(0)
    words = [
        np.asarray(random.normal(size=2 * COUNT), dtypes.bfloat16.numpy).view(np.uint32)
        for _ in range(2)
    ]
    sums = random.normal(size=COUNT).astype(np.float32)
    sums[:4] = np.inf, -np.inf, np.nan, -0.0
    check(text, {"a": words[0], "b": words[1], "c": sums}, CPUS)
