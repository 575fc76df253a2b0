"""Statements of kernels: memory, masks, scratch, loops, and indices, against the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import dtypes
from graphc.dtypes import DType
from graphc.kernel_text import parse_kernel
from tests.backends.llvm.harness import (
    CPUS,
    Array,
    check,
    compile_kernel,
    run_native,
    special_values,
)

FLOAT32 = dtypes.float32


def values(count: int, dtype: DType = FLOAT32, seed: int = 0) -> Array:
    return special_values(dtype, count, seed)


PLACES = (
    "l + 8*i", "i", "-1*l + 8*i + 7", "3*l + i", "-2*l + 40 + i", "((l + 3*i) floordiv 3)",
    "((5*l + i) mod 7)", "((l + -4*i) floordiv 3) + 20", "((l + -9*i) mod 6)",
    "((l + -9*i) mod 8) + ((l + -5*i) floordiv 4) + 30", "((((l + 3*i) floordiv 2) + 5) mod 9)",
)  # fmt: skip


@pytest.mark.parametrize("dtype", [FLOAT32, dtypes.bool_, dtypes.int8, dtypes.float64], ids=str)
@pytest.mark.parametrize("kind", ["vector", "serial"])
def test_loads(dtype: DType, kind: str) -> None:
    buffers = "".join(f", {n}{k}: {dtype}[8, 8] out" for k in range(len(PLACES)) for n in "yzw")
    body = "".join(
        f"""%a{k} = load x[{place}] : {dtype}
            %b{k} = load x[{place}] where %p : {dtype}
            %c{k} = load x[{place}] where %q : {dtype}
            store y{k}[i, l] = %a{k}
            store z{k}[i, l] = %b{k}
            store w{k}[i, l] = %c{k}
        """
        for k, place in enumerate(PLACES)
    )
    text = f"""kernel loads(x: {dtype}[64] in, p: bool[64] in{buffers}) {{
      for i < 8 parallel {{ %q = load p[i] : bool
        for l < 8 {kind} {{ %p = load p[l + 8*i] : bool {body} }} }} }}"""
    check(text, {"x": values(64, dtype), "p": values(64, dtypes.bool_)})


@pytest.mark.parametrize("dtype", [FLOAT32, dtypes.bool_, dtypes.int16], ids=str)
@pytest.mark.parametrize("where", ["", "where %p", "where %q"])
def test_stores(dtype: DType, where: str) -> None:
    places = ["l + 8*i", "-1*l + 8*i + 7", "3*l + 24*i", "-2*l + 16*i + 14"]
    buffers = "".join(f", y{k}: {dtype}[192] inout" for k in range(len(places)))
    body = " ".join(f"store y{k}[{place}] = %a {where}" for k, place in enumerate(places))
    text = f"""kernel stores(x: {dtype}[64] in, p: bool[64] in{buffers}) {{
      for i < 8 parallel {{ %q = load p[i] : bool
        for l < 8 vector {{
          %p = load p[l + 8*i] : bool
          %a = load x[l + 8*i] : {dtype}
          {body} }} }} }}"""
    old = {f"y{k}": values(192, dtype, k + 1) for k in range(len(places))}
    check(text, {"x": values(64, dtype), "p": values(64, dtypes.bool_), **old})


@pytest.mark.parametrize("extent", [1, 8, 23])
@pytest.mark.parametrize("lanes", [4, 64])
@pytest.mark.parametrize("index", ["v", "-1*v + top"])
def test_guarded_tails(extent: int, lanes: int, index: str) -> None:
    position = f"{lanes}*i + l"
    reverse = f"-{lanes}*i + -1*l + {extent - 1}"
    place = position if index == "v" else reverse
    text = f"""kernel tail(x: float32[{extent}] in, y: float32[{extent}] out,
                           z: int32[{extent}] out) {{
      for i < {-(-extent // lanes)} parallel {{ for l < {lanes} vector {{
        if {position} < {extent} {{
          %a = load x[{place}] : float32
          %b = mul(%a, %a) : float32
          %n = index({position}) : int32
          store y[{position}] = %b
          store z[{place}] = %n }} }} }} }}"""
    check(text, {"x": values(extent)})


def test_guards_of_all_kinds() -> None:
    text = """kernel guards(x: float32[12, 16] in, y: float32[12, 16] inout) {
      for i < 14 parallel { for l < 16 vector {
        if i < 12 and 2*l < 3*i + 4 and 1 < l {
          if ((l + i) mod 3) < 1 { %a = load x[i, l] : float32  store y[i, l] = %a }
          if i < 3 { %b = load x[i, -1*l + 15] : float32  store y[i, l] = %b } } } } }"""
    check(text, {"x": values(192).reshape(12, 16), "y": values(192, seed=1).reshape(12, 16)})


def test_division_in_lanes_that_a_guard_leaves_out() -> None:
    text = """kernel divide(x: int32[5] in, z: int32[5] in, y: int32[5] out) {
      for l < 8 vector { if l < 5 {
        %a = load x[l] : int32
        %z = load z[l] : int32
        %b = quotient(%a, %z) : int32
        %c = modulus(%a, %z) : int32
        %d = add(%b, %c) : int32
        store y[l] = %d } } }"""
    arrays = {
        "x": np.array([3, -4, 5, 2**31 - 1, -(2**31)], np.int32),
        "z": np.array([2, 3, -4, 5, 7], np.int32),
    }
    check(text, arrays)


def test_gather_and_scatter_through_values() -> None:
    text = """kernel gather(n: int64[64] in, m: uint8[4] in, x: float32[50, 6] in,
                            y: float32[64, 6] out, z: float32[64, 6] out) {
      for i < 4 parallel {
        %m = load m[i] : uint8
        for l < 16 vector { %n = load n[l + 16*i] : int64
        for k < 6 serial {
          %a = load x[%n{0..49}, k] : float32
          %b = load x[%m{0..49}, ((%n{0..49} + k) mod 6)] : float32
          store y[l + 16*i, k] = %a
          store z[l + 16*i, k] = %b } } } }"""
    generator = np.random.default_rng(0)
    arrays = {
        "n": generator.permutation(64).clip(0, 49),
        "m": np.array([0, 49, 7, 3], np.uint8),
        "x": values(300).reshape(50, 6),
    }
    check(text, arrays)


def test_stores_to_gathered_places() -> None:
    text = """kernel scatter(n: int32[16] in, x: bool[16] in, y: bool[16] out) {
      for l < 16 vector { %n = load n[l] : int32  %x = load x[l] : bool
        store y[%n{0..15}] = %x } }"""
    order = np.random.default_rng(1).permutation(16).astype(np.int32)
    check(text, {"n": order, "x": values(16, dtypes.bool_)})


def test_out_of_bounds_indices_behind_a_false_where() -> None:
    text = """kernel checked(n: int64[16] in, x: float32[5] in, y: float32[16] out,
                             s: int32[1] inout) {
      for l < 16 vector {
        %n = load n[l] : int64
        %zero = literal() 0 : int64
        %five = literal() 5 : int64
        %low = le(%zero, %n) : bool
        %high = lt(%n, %five) : bool
        %ok = and(%low, %high) : bool
        %bad = not(%ok) : bool
        %i = select(%ok, %n, %zero) : int64
        %a = load x[%i{0..4}] where %ok : float32
        %one = literal() 1 : int32
        store s[0] = %one where %bad
        store y[l] = %a } }"""
    good = np.arange(16) % 5
    arrays = {"n": good, "x": values(5), "s": np.zeros(1, np.int32)}
    check(text, arrays)
    bad = good.copy()
    bad[[3, 7]] = 2**62, -(2**63)
    check(text, {**arrays, "n": bad})


@pytest.mark.parametrize("guard", ["l < 9", "8 < l", "l < 0"])
def test_uniform_stores_under_masks(guard: str) -> None:
    text = f"""kernel uniform(x: float32[4] in, p: bool[16] in, y: float32[4] inout,
                             z: float32[4] inout) {{
      for i < 4 parallel {{ for l < 16 vector {{ if {guard} {{
        %x = load x[i] : float32
        %p = load p[l] : bool
        %q = load p[i] : bool
        store z[i] = %x where %p
        store y[i] = %x where %q }} }} }} }}"""
    old = np.ones(4, np.float32)
    check(text, {"x": values(4, seed=3), "p": values(16, dtypes.bool_), "y": old, "z": old})


def test_lanes_that_agree_where_it_matters_store_their_value() -> None:
    text = """kernel agreed(x: float32[4] in, p: bool[4, 16] in, y: float32[4] inout) {
      for i < 4 parallel { for l < 16 vector {
        %p = load p[i, l] : bool
        %x = load x[i] where %p : float32
        store y[i] = %x where %p } } }"""
    p = np.zeros((4, 16), np.bool_)
    p[0, 3:7] = p[1, 15] = p[3, :] = True
    kernel = parse_kernel(text)  # the verifier knows values by name only and would refuse it
    arrays = {"x": np.arange(4, dtype=np.float32) + 1, "p": p, "y": np.zeros(4, np.float32)}
    for cpu in CPUS:
        assert run_native(kernel, arrays, cpu)["y"].tolist() == [1, 2, 0, 4]


def test_nothing_is_read_where_a_guard_does_not_hold() -> None:
    text = """kernel far(x: float32[8] in, y: float32[8] inout, z: float32[8, 8] inout) {
      for i < 8 parallel {
        if i < 1 { %a = load x[1000000000*i] : float32  store y[i] = %a }
        for k < 2 serial { if 7 < i + k {
          %b = load x[-1000000000*i + 7000000000] : float32  store y[i] = %b } }
        for l < 8 vector { if 8*i + l < 3 {
          %c = load x[2000000000*i] : float32  store z[i, l] = %c } } } }"""
    check(text, {"x": values(8), "y": values(8, seed=1), "z": values(64).reshape(8, 8)})


def test_indices_beyond_32_bits() -> None:
    text = """kernel large(y: int64[16] out, z: int64[16] out, w: int8[16] out) {
      for l < 16 vector {
        %y = index(3000000000*l + -20000000000) : int64
        %z = index(((3000000000*l + 5) floordiv 7) + ((5000000000*l) mod 1000000007)) : int64
        store y[l] = %y
        if 4000000000*l < 30000000000 { store z[l] = %z }
        if 29999999999 < 4000000000*l { store z[l] = %y }
        %w = index(((3000000000*l + 5) mod 100)) : int8
        store w[l] = %w } }"""
    check(text, {})


def test_scratch_of_lanes_and_of_loops() -> None:
    text = """kernel scratches(x: float32[6, 16, 5] in, y: float32[6, 16] out, z: float32[6] out) {
      for i < 6 parallel {
        scratch lane : float32[16] register
        scratch large : float32[4000] cache
        for l < 16 vector {
          scratch acc : float32[] register
          scratch last : float32[5] cache
          scratch wide : float64[600] cache
          %zero = literal() 0.0 : float32
          store acc[] = %zero
          for k < 5 serial {
            %v = load x[i, l, k] : float32
            %a = load acc[] : float32
            %s = add(%a, %v) : float32
            store acc[] = %s
            store last[((k + l) mod 5)] = %s
            %d = convert(%s) : float64
            store wide[k + 100] = %d
          }
          %r = load last[((2*l) mod 5)] : float32
          %w = load wide[104] : float64
          %n = convert(%w) : float32
          %t = sub(%r, %n) : float32
          store y[i, l] = %t
          store lane[l] = %t
          store large[l + 16*i] = %t
        }
        for t < 8 parallel {
          %p = load lane[t] : float32
          %q = load large[t + 8 + 16*i] : float32
          %m = mul(%p, %q) : float32
          store lane[t] = %m
        }
        %f = load lane[7] : float32
        store z[i] = %f } }"""
    x = np.random.default_rng(0).normal(size=(6, 16, 5)).astype(np.float32)
    check(text, {"x": x}, cores=2)


def test_guarded_accumulation_in_vector_loops() -> None:
    text = """kernel tails(x: int32[13, 7] in, y: int32[13] out) {
      for i < 2 parallel { for l < 8 vector { if l + 8*i < 13 {
          scratch acc : int32[] register
          %zero = literal() 0 : int32
          store acc[] = %zero
          for k < 7 serial {
            %v = load x[l + 8*i, k] : int32
            %a = load acc[] : int32
            %s = add(%a, %v) : int32
            if k < 3 + l { store acc[] = %s } }
          %r = load acc[] : int32
          %q = quotient(%r, %r) : int32
          store y[l + 8*i] = %q } } } }"""
    check(text, {"x": np.random.default_rng(0).integers(1, 99, (13, 7)).astype(np.int32)})


def test_in_vector_loops_uniform_values_stay_usable() -> None:
    text = """kernel uniform(x: float32[3] in, p: bool[3] in, y: float32[3, 32] out) {
      for i < 3 parallel { for l < 32 vector {
        %x = load x[i] : float32
        %p = load p[i] : bool
        %i = index(3*i + 5) : uint8
        %n = index(300*l + -7*i) : int8
        %a = convert(%i) : float32
        %b = convert(%n) : float32
        %c = select(%p, %a, %b) : float32
        %d = select(%p, %x, %c) : float32
        store y[i, l] = %d } } }"""
    check(text, {"x": values(3), "p": np.array([True, False, True])})


def test_much_scratch_is_not_on_the_stack() -> None:
    text = """kernel deep(x: float32[4] in, y: float32[200] out) {
      for i < 2 parallel { for u < 100 unrolled {
        scratch s : float32[2000] register
        %a = load x[((i + u) mod 4)] : float32
        store s[19*u] = %a
        %b = load s[19*u] : float32
        store y[100*i + u] = %b } } }"""
    check(text, {"x": values(4)})
    executable, _, _ = compile_kernel(parse_kernel(text), {"x": values(4)})
    assert executable.text("llvm").count("alloca") == 8


def test_unrolled_loops_and_odd_vector_extents() -> None:
    text = """kernel unrolled(x: float32[4, 12] in, y: float32[4, 12] out, z: float32[12] out) {
      for u < 4 unrolled { for l < 12 vector {
        %a = load x[u, l] : float32  %b = neg(%a) : float32  store y[u, l] = %b } }
      for i < 1 parallel { for l < 12 vector {
        scratch acc : float32[2] register
        %one = literal() 1.0 : float32
        store acc[0] = %one
        for u < 4 unrolled {
          %p = load acc[0] : float32
          %q = load x[u, l] : float32
          %s = fma(%p, %q, %q) : float32
          store acc[0] = %s }
        %r = load acc[0] : float32
        store z[l] = %r } } }"""
    check(text, {"x": np.random.default_rng(0).normal(size=(4, 12)).astype(np.float32)})


def test_unscheduled_reduction_with_scratch_at_the_top() -> None:
    text = """kernel total(x: float32[100] in, y: float32[] out, n: int64[3] out) {
      scratch lane : float32[16] register
      for l < 16 parallel { %zero = literal() 0.0 : float32  store lane[l] = %zero }
      for s < 6 serial { for l < 16 parallel {
        %v = load x[16*s + l] : float32  %a = load lane[l] : float32
        %b = add(%a, %v) : float32  store lane[l] = %b } }
      for m < 4 parallel {
        %w = load x[96 + m] : float32  %c = load lane[m] : float32
        %d = add(%c, %w) : float32  store lane[m] = %d }
      for t < 8 parallel { %e = load lane[t] : float32  %f = load lane[t + 8] : float32
        %g = add(%e, %f) : float32 store lane[t] = %g }
      %r = load lane[0] : float32
      store y[] = %r
      for u < 3 parallel { %u = index(u) : int64 store n[u] = %u } }"""
    check(text, {"x": np.random.default_rng(0).normal(size=100).astype(np.float32)}, cores=2)


def test_empty_loops_and_arrays() -> None:
    text = """kernel nothing(x: float32[0, 4] in, y: float32[0] out, z: float32[2] inout) {
      for i < 0 parallel { for j < 4 parallel {
        %a = load x[i, j] : float32  store y[i] = %a } }
      for k < 2 parallel { for e < 0 vector {
        %b = load z[k] : float32  %c = neg(%b) : float32  store z[k] = %c } } }"""
    check(text, {"x": np.zeros((0, 4), np.float32), "z": values(2)})


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16], ids=str)
def test_16_bit_floats_are_computed_in_float32(dtype: DType) -> None:
    text = f"""kernel halves(x: {dtype}[64] in, y: {dtype}[64] in, z: {dtype}[64] out,
                            p: bool[64] out) {{
      for i < 4 parallel {{ for l < 16 vector {{
        %x = load x[16*i + l] : {dtype}
        %y = load y[16*i + l] : {dtype}
        %s = add(%x, %y) : {dtype}
        %m = fma(%s, %y, %x) : {dtype}
        %p = lt(%x, %m) : bool
        store z[16*i + l] = %m
        store p[16*i + l] = %p }} }} }}"""
    check(text, {"x": values(64, dtype, 1), "y": values(64, dtype, 2)})


def test_any_byte_but_zero_is_true() -> None:
    text = """kernel truth(x: bool[16] in, y: bool[16] out) {
      for l < 16 vector { %x = load x[l] : bool  %y = not(%x) : bool  store y[l] = %y } }"""
    odd = np.arange(16, dtype=np.uint8).view(np.bool_)
    for cpu in CPUS:
        given = run_native(parse_kernel(text), {"x": odd}, cpu)["y"]
        assert given.tolist() == [True] + [False] * 15
        assert set(given.view(np.uint8).tolist()) == {0, 1}


@pytest.mark.parametrize("kind", ["vector", "serial"])
def test_prefetches_change_nothing_wherever_they_point(kind: str) -> None:
    text = f"""kernel prefetches(x: float32[64] in, y: float32[64] out) {{
      for i < 8 parallel {{ for l < 8 {kind} {{
        prefetch x[100000*i + l + -5000000] into 1
        prefetch x[100000*i] into 2
        prefetch x[((l + 3*i) floordiv 3)] into 3
        %a = load x[l + 8*i] : float32
        store y[l + 8*i] = %a }} }} }}"""
    check(text, {"x": values(64)})
    executable, _, _ = compile_kernel(parse_kernel(text), {"x": values(64)})
    assert "prefetch" in executable.text("asm")


WORDS = """kernel words(x: bfloat16[6, 8] in, b: int8[6, 8] in, y: uint32[6, 4] out,
                        z: uint32[6, 2] out) {
  for i < 6 parallel {
    for l < 4 %s { %%a = load x[i, 2*l] by 2 : uint32  store y[i, l] = %%a }
    for m < 2 %s {
      %%m = index(m) : int32  %%i = index(i) : int32  %%p = ne(%%m, %%i) : bool
      %%c = load b[i, 4*m] by 4 where %%p : uint32  store z[i, m] = %%c
    }
  }
}"""


@pytest.mark.parametrize("kind", ["serial", "vector"])
def test_words_of_small_elements(kind: str) -> None:
    arrays = {
        name: special_values(dtype, 48, 1).reshape(6, 8)
        for name, dtype in (("x", dtypes.bfloat16), ("b", dtypes.int8))
    }
    check(WORDS % (kind, kind), arrays)


STREAMING = (("32*i + l", "", True), ("32*i + l + 1", "", False), ("32*i + l", "where %p", False),
             ("32*i + -1*l + 31", "", False), ("2*l + 64*i", "", False))  # fmt: skip


@pytest.mark.parametrize(("place", "where", "is_whole"), STREAMING)
@pytest.mark.parametrize("cpu", CPUS)
def test_streaming_stores_of_whole_lines_go_past_the_caches(
    place: str, where: str, is_whole: bool, cpu: str
) -> None:
    text = f"""kernel k(x: float32[600] in, y: float32[600] inout) {{
      for i < 9 parallel {{ for l < 32 vector {{
        prefetch x[32*i + l + 64] into 1
        %a = load x[32*i + l] : float32
        %p = lt(%a, %a) : bool
        store y[{place}] = %a {where} streaming }} }}
      barrier
      for i < 9 parallel {{ for l < 32 vector {{
        %b = load y[32*i + l] : float32
        store y[32*i + l] = %b }} }} }}"""
    arrays = {"x": values(600), "y": values(600, seed=1)}
    check(text, arrays)
    executable, _, _ = compile_kernel(parse_kernel(text), arrays, cpu)
    assembly = executable.text("asm")
    assert ("vmovntps" in assembly or "movntps" in assembly) == is_whole
    assert assembly.count("sfence") == is_whole
    assert "prefetch" in assembly
