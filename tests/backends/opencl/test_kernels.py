"""Kernels of every shape on the device: scheduled, as they were lowered, and hand-made ones."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from graphc import dtypes
from graphc.backends.opencl import BACKEND
from graphc.backends.opencl.emit import Part, emit_kernel
from graphc.backends.opencl.functions import Library
from graphc.backends.opencl.primitives import Features
from graphc.kernel import Barrier, Kernel, Loop, Statement, statements
from graphc.kernel_text import parse_kernel
from graphc.passes.schedule_gpu import schedule_gpu
from tests.backends.opencl import conftest
from tests.backends.opencl.harness import (
    assert_same_bits,
    buffer_values,
    check,
    expected,
    on_device,
    special_values,
)

MATMUL = """kernel matmul(a: float32[M, K] in, b: float32[K, N] in, c: float32[N] in,
                         y: float32[M, N] out) {
  for i < M parallel { for j < N parallel {
    %bias = load c[j] : float32
    scratch acc : float32[] register
    %zero = literal() 0.0 : float32
    store acc[] = %zero
    for k < K serial {
      %x = load a[i, k] : float32  %w = load b[k, j] : float32  %old = load acc[] : float32
      %new = fma(%x, %w, %old) : float32
      store acc[] = %new }
    %sum = load acc[] : float32
    %z = add(%sum, %bias) : float32
    store y[i, j] = %z } } }"""

# the mean-free part of each row: a sum in 16 lanes with a tail, then the row again
CENTRE = """kernel centre(x: float32[ROWS, 37] in, y: float32[ROWS, 37] out) {
  for i < ROWS parallel {
    scratch lane : float32[16] register
    for l < 16 parallel { %zero = literal() 0.0 : float32  store lane[l] = %zero }
    for s < 2 serial { for l2 < 16 parallel {
      %a = load x[i, 16*s + l2] : float32  %o = load lane[l2] : float32
      %n = add(%o, %a) : float32  store lane[l2] = %n } }
    for l3 < 5 parallel {
      %a3 = load x[i, l3 + 32] : float32  %o3 = load lane[l3] : float32
      %n3 = add(%o3, %a3) : float32  store lane[l3] = %n3 }
    TREE
    %sum = load lane[0] : float32
    %count = literal() 37.0 : float32
    %mean = div(%sum, %count) : float32
    for j < 37 parallel {
      %e = load x[i, j] : float32  %d = sub(%e, %mean) : float32  store y[i, j] = %d } } }"""
# each row without its first 64 sums: few items at first, many in the end
WIDE = """kernel wide(x: float32[ROWS, 640] in, y: float32[ROWS, 640] out) {
  for i < ROWS parallel {
    scratch lane : float32[64] register
    for l < 64 parallel { %zero = literal() 0.0 : float32  store lane[l] = %zero }
    for s < 10 serial { for m < 64 parallel {
      %a = load x[i, 64*s + m] : float32  %o = load lane[m] : float32
      %n = add(%o, %a) : float32  store lane[m] = %n } }
    for j < 640 parallel {
      %e = load x[i, j] : float32  %p = load lane[((j) mod 64)] : float32
      %d = sub(%e, %p) : float32  store y[i, j] = %d } } }"""
STEP = """for tN < N parallel { %pN = load lane[tN] : float32  %qN = load lane[tN + N] : float32
    %rN = add(%pN, %qN) : float32  store lane[tN] = %rN }"""


def centre(rows: int) -> Kernel:
    tree = "\n".join(STEP.replace("N", str(n)) for n in (8, 4, 2, 1))
    return parse_kernel(CENTRE.replace("TREE", tree).replace("ROWS", str(rows)))


def matmul(m: int, k: int, n: int, dtype: str = "float32") -> Kernel:
    text = MATMUL.replace("M", str(m)).replace("K", str(k)).replace("N", str(n))
    text = text if dtype == "float32" else text.replace("fma(%x, %w, %old)", "add(%old, %x)")
    return parse_kernel(text.replace("float32", dtype).replace("0.0", "0"))


needs_reports = pytest.mark.skipif(
    conftest.DEVICE != "Oclgrind", reason="only Oclgrind reports faults"
)


@needs_reports
def test_oclgrind_reports_a_race() -> None:
    """Without its barriers the kernel is racy: the check that guards all tests here can fail."""
    kernel = centre(2)
    scheduled = schedule_gpu(kernel, BACKEND.target())
    assert any(isinstance(s, Barrier) for s in statements(scheduled.body))
    on_device(without_barriers(scheduled), buffer_values(kernel))
    assert "data race" in conftest.reports()


def without_barriers(kernel: Kernel) -> Kernel:
    def strip(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        kept = (s for s in body if not isinstance(s, Barrier))
        return tuple(replace(s, body=strip(s.body)) if isinstance(s, Loop) else s for s in kept)

    return kernel.with_body(strip(kernel.body))


@needs_reports
def test_oclgrind_reports_an_access_out_of_bounds() -> None:
    text = """kernel wild(p: bool[1] in, y: float32[4] out) {
      for g < 1 group { for t < 4 item {
        %a = literal() 1.0 : float32  store y[t] = %a } } }"""
    kernel = parse_kernel(text.replace("store y[t]", "store y[t + 8]"))
    on_device(kernel, {"p": np.ones(1, bool)})
    assert "Invalid write" in conftest.reports()


@pytest.mark.parametrize("rows", [1, 5, 300])
def test_rows(rows: int) -> None:
    kernel = centre(rows)
    check(kernel, buffer_values(kernel), unscheduled=rows == 1)


@pytest.mark.parametrize(
    ("m", "k", "n"), [(16, 16, 16), (35, 37, 18), (8, 5, 8), (17, 33, 1), (3, 40, 50), (64, 4, 9)]
)
def test_matmul(m: int, k: int, n: int) -> None:
    kernel = matmul(m, k, n)
    check(kernel, buffer_values(kernel), unscheduled=m == 8)


@pytest.mark.parametrize("dtype", ["int32", "float64"])
def test_matmul_of_other_types(dtype: str) -> None:
    kernel = matmul(17, 19, 21, dtype)
    check(kernel, buffer_values(kernel))


def emitted(kernel: Kernel, cores: int) -> tuple[str, tuple[Part, ...]]:
    library = Library(Features(has_float64=True, exact_division=True))
    return emit_kernel(kernel, library, "k", frozenset(), most_items=256, cores=cores)


@pytest.mark.parametrize(("cores", "items"), [(1, 64), (16, 64), (17, 256), (1000, 256)])
def test_groups_are_as_wide_as_fills_the_device(cores: int, items: int) -> None:
    """Of 512 rows the sum has 64 items at work, the rest 256."""
    kernel = parse_kernel(WIDE.replace("ROWS", "512"))
    _, (part,) = emitted(schedule_gpu(kernel, BACKEND.target()), cores)
    assert (part.groups, part.items) == (512, items)


@pytest.mark.parametrize("rows", [1, 40])
def test_rows_wider_than_their_groups(rows: int) -> None:
    kernel = parse_kernel(WIDE.replace("ROWS", str(rows)))
    check(kernel, buffer_values(kernel))


@pytest.mark.parametrize(
    ("body", "times"),
    [
        ("%n = add(%o, %a) : float32", "64"),
        ("%b = mul(%a, %a) : float32  %n = fma(%b, %a, %o) : float32", "32"),
        ("%n = tanh(%a) : float32", None),  # long enough to fill the time
    ],
)
def test_short_loops_that_read_have_many_loads_in_flight(body: str, times: str | None) -> None:
    text = f"""kernel k(x: float32[50, 40] in, y: float32[40] out) {{ for i < 40 parallel {{
      scratch t : float32[] register
      %z = literal() 0.0 : float32  store t[] = %z
      for k < 50 serial {{
        %a = load x[k, i] : float32  %o = load t[] : float32  {body}  store t[] = %n }}
      %r = load t[] : float32  store y[i] = %r }} }}"""
    kernel = parse_kernel(text)
    source, _ = emitted(check(kernel, buffer_values(kernel)), cores=1)
    found = re.search(r"#pragma unroll (\d+)\n", source)
    assert (found[1] if found else None) == times


def test_the_passes_of_a_group_over_a_wide_loop_are_counted() -> None:
    """For 640 iterations 64 items go round ten times, for 700 eleven, the last time not all."""
    for width, head in ((640, "pass < 10;"), (700, "pass < 11 && 64 * pass + item < 700;")):
        text = WIDE.replace("ROWS, 640", f"ROWS, {width}").replace("j < 640", f"j < {width}")
        kernel = parse_kernel(text.replace("ROWS", "512"))
        source, _ = emitted(schedule_gpu(kernel, BACKEND.target()), cores=1)
        assert f"#pragma unroll\n  for (int pass = 0; {head}" in source


def test_the_results_of_an_item_are_in_registers() -> None:
    kernel = schedule_gpu(matmul(130, 20, 260), replace(BACKEND.target(), cores=1))
    source, _ = emitted(kernel, cores=1)
    accumulators = re.search(r"\n  float b_acc\[(\d+)\];", source)
    assert accumulators and accumulators[1] == "64"
    assert source.count("#pragma unroll") >= 6  # rows and columns: to start, to add, to store


@pytest.mark.parametrize("cores", [1, 10, 10**6])
def test_matmul_under_a_mask(cores: int) -> None:
    """A third operand is read where the result lies, which must not be beyond the edge."""
    text = MATMUL.replace("y: float32[M, N] out)", "m: float32[M, N] in, y: float32[M, N] out)")
    text = text.replace("%x = load", "%m = load m[i, j] : float32  %xm = load")
    text = text.replace("%new =", "%x = mul(%xm, %m) : float32  %new =")
    kernel = parse_kernel(text.replace("M", "35").replace("K", "19").replace("N", "50"))
    arrays = buffer_values(kernel)
    scheduled = schedule_gpu(kernel, replace(BACKEND.target(), cores=cores))
    assert_same_bits(on_device(scheduled, arrays), expected(kernel, arrays), "the device")


def test_long_sums_in_blocks() -> None:
    text = """kernel long(x: float32[70, 64] in, y: float32[64] out) {
      for one < 1 parallel {
      scratch total : float32[64] register
      for l < 64 parallel { %z = literal() 0.0 : float32  store total[l] = %z }
      for b < 7 serial {
        scratch block : float32[64] register
        for l1 < 64 parallel { %z1 = literal() 0.0 : float32  store block[l1] = %z1 }
        for s < 10 serial { for l2 < 64 parallel {
          %a = load x[10*b + s, l2] : float32  %o = load block[l2] : float32
          %n = add(%o, %a) : float32  store block[l2] = %n } }
        for l3 < 64 parallel {
          %t = load total[l3] : float32  %u = load block[-1*l3 + 63] : float32
          %w = add(%t, %u) : float32  store total[l3] = %w } }
      for l4 < 64 parallel { %r = load total[l4] : float32  store y[l4] = %r } } }"""
    kernel = parse_kernel(text)
    check(kernel, buffer_values(kernel), unscheduled=True)


# Kernels that a single work-item must run: there is nothing to share out, or not lawfully.
SERIAL = {
    "no loop": """kernel k(x: float32[3] in, y: float32[3] inout) {
      %a = load x[1] : float32  %b = add(%a, %a) : float32  store y[2] = %b }""",
    "barriers between serial nests": """kernel k(x: float32[4] in, y: float32[4] inout) {
      for i < 4 serial { %a = load x[i] : float32  store y[i] = %a }
      barrier
      for j < 3 serial {
        %b = load y[j] : float32  %c = load y[j + 1] : float32
        %d = add(%b, %c) : float32  store y[j + 1] = %d } }""",
    "vectors in a guard": """kernel k(x: float32[10] in, y: float32[10] inout) {
      for i < 3 parallel { for l < 4 vector { if 4*i + l < 10 {
        scratch own : float32[2] register
        %a = load x[4*i + l] : float32  store own[1] = %a
        %b = load own[1] : float32  store y[4*i + l] = %b } } } }""",
    "an unrolled loop": """kernel k(x: int32[6] in, y: int32[6] inout) {
      for i < 2 parallel { for u < 3 unrolled {
        %n = index(((-5*i + u) floordiv 2) + 9) : int32
        %m = index(((-5*i + u) mod 4)) : int32
        %a = load x[3*i + u] : int32  %p = mul(%n, %a) : int32  %q = add(%p, %m) : int32
        store y[3*i + u] = %q } } }""",
    "a misalignment": """kernel k(x: int64[4] in, y: int64[4] inout) {
      for i < 4 serial {
        %m = misalignment x : int64  %n = sub(%m, %m) : int64
        %a = load x[i] : int64  %b = add(%a, %n) : int64  store y[i] = %b } }""",
    "a store in a group": """kernel k(x: float32[8] in, y: float32[8] inout) {
      for g < 2 group {
        scratch t : float32[4] local
        for i < 4 item { %a = load x[4*g + i] : float32  store t[i] = %a }
        barrier
        %b = load t[3] : float32
        store y[4*g] = %b } }""",
}


@pytest.mark.parametrize("text", SERIAL.values(), ids=SERIAL.keys())
def test_whatever_cannot_be_shared_out(text: str) -> None:
    kernel = parse_kernel(text)
    arrays = buffer_values(kernel)
    assert_same_bits(on_device(kernel, arrays), expected(kernel, arrays), "the device")


# Groups that the schedule does not make, but the representation allows.
GROUPS = {
    "registers of the group that items share": """kernel k(x: float32[2, 4] in,
                                                          y: float32[2, 4] out) {
      for g < 2 group {
        scratch t : float32[4] register
        for i < 4 item { %a = load x[g, i] : float32  store t[i] = %a }
        barrier
        for j < 4 item { %b = load t[-1*j + 3] : float32  store y[g, j] = %b } } }""",
    "registers of the group that all items read": """kernel k(x: float32[2, 4] in,
                                                            y: float32[2, 4] out) {
      for g < 2 group {
        scratch t : float32[4] register
        for i < 4 item { %a = load x[g, i] : float32  store t[i] = %a }
        barrier
        %b = load t[2] : float32
        for j < 4 item { store y[g, j] = %b } } }""",
    "registers of which each item has a part": """kernel k(x: float32[2, 4, 3] in,
                                                       y: float32[2, 4, 3] out) {
      for g < 2 group {
        scratch t : float32[4, 3] register
        for i < 4 item { for u < 3 unrolled { %a = load x[g, i, u] : float32  store t[i, u] = %a } }
        for j < 4 item { for v < 3 unrolled {
          %b = load t[j, -1*v + 2] : float32  store y[g, j, v] = %b } } } }""",
    "registers that two nests part differently": """kernel k(x: float32[4, 4, 2] in,
                                                         y: float32[4, 4, 2] out) {
      for g < 1 group {
        scratch t : float32[4, 4, 2] register
        for i < 4 item { for j < 4 item { for u < 2 unrolled {
          %a = load x[i, j, u] : float32  store t[i, j, u] = %a } } }
        barrier
        for k < 4 item { for l < 4 item { for m < 2 item {
          %b = load t[k, l, m] : float32  store y[k, l, m] = %b } } } } }""",
    "more items than a group has": """kernel k(x: float32[2, 700] in, y: float32[2, 700] out) {
      for g < 2 group {
        scratch t : float32[700] local
        for i < 700 item { %a = load x[g, i] : float32  store t[i] = %a }
        barrier
        for j < 350 item { for k < 2 item {
          %b = load t[-1*k + -2*j + 699] : float32  store y[g, 2*j + k] = %b } } } }""",
    "groups in groups": """kernel k(x: float32[3, 2, 5] in, y: float32[3, 2, 5] out) {
      for g < 3 group {
        %n = index(g) : int32
        %f = convert(%n) : float32
        for h < 2 group {
          scratch t : float32[5] local
          for i < 5 item { %a = load x[g, h, i] : float32  store t[i] = %a }
          barrier
          for j < 5 item {
            %b = load t[-1*j + 4] : float32  %c = add(%b, %f) : float32
            store y[g, h, j] = %c } } } }""",
    "no iterations": """kernel k(x: float32[4] in, y: float32[4] out) {
      for g < 0 group { for i < 4 item { %a = load x[i] : float32  store y[i] = %a } }
      barrier
      for h < 1 group {
        for i0 < 0 item { for i1 < 4 item { %z = load x[i1 + i0] : float32  store y[i1] = %z } }
        for i2 < 4 item { %b = load x[i2] : float32  store y[i2] = %b } } }""",
    "loads and stores under predicates": """kernel k(x: float32[6] in, p: bool[6] in,
                                                  y: float32[6] out) {
      for g < 2 group { for i < 3 item {
        %p = load p[3*g + i] : bool
        %a = load x[7*g + 3*i] where %p : float32
        %z = literal() 2.0 : float32
        %q = not(%p) : bool
        store y[3*g + i] = %z where %q
        store y[3*g + i] = %a where %p } } }""",
}


@pytest.mark.parametrize("text", GROUPS.values(), ids=GROUPS.keys())
def test_groups(text: str) -> None:
    kernel = parse_kernel(text)
    arrays = buffer_values(kernel)
    if "p" in arrays:
        arrays["p"] = np.array([True, False, False, False, False, False])
    assert_same_bits(on_device(kernel, arrays), expected(kernel, arrays), "the device")


def test_indices_past_32_bits() -> None:
    text = """kernel k(x: int64[6] in, y: int64[6] out) {
      for g < 2 group { for i < 3 item {
        %a = load x[((2000000000*g + 1000000000*i) floordiv 1000000000)] : int64
        %n = index(-2000000000*g + -1000000000*i) : int64
        %b = add(%a, %n) : int64
        store y[3*g + i] = %b } } }"""
    kernel = parse_kernel(text)
    arrays = buffer_values(kernel)
    assert_same_bits(on_device(kernel, arrays), expected(kernel, arrays), "the device")


NAMES = {
    "names that C has": """kernel void.int(float: float32[4] in, half.x: float32[4] in,
                                           half_x: float32[4] out) {
      for int < 1 group { for while < 4 item {
        %for = load float[while] : float32  %fma = load half.x[while] : float32
        %exp = fma(%for, %fma, %for) : float32
        store half_x[while] = %exp } } }""",
    "names that look like those made up": """kernel k(x: float16[4] in, x_skip: float16[4] in,
                                                    skip_b_x: float16[4] out) {
      for i < 1 group { for item < 4 item {
        %a = load x[item] : float16  %a_0 = load x_skip[item] : float16
        %a_1 = add(%a, %a_0) : float16  %f = mul(%a_1, %a) : float16  %a_f = sub(%f, %a) : float16
        store skip_b_x[item] = %a_f } } }""",
}


@pytest.mark.parametrize("text", NAMES.values(), ids=NAMES.keys())
def test_names_do_not_meet(text: str) -> None:
    kernel = parse_kernel(text)
    arrays = buffer_values(kernel)
    assert_same_bits(on_device(kernel, arrays), expected(kernel, arrays), "the device")


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


def test_words_of_small_elements() -> None:
    arrays = {
        name: special_values(dtype, 48, 1).reshape(6, 8)
        for name, dtype in (("x", dtypes.bfloat16), ("b", dtypes.int8))
    }
    check(WORDS % ("serial", "serial"), arrays)
