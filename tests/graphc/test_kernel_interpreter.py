"""The interpreter of kernels: small kernels with known results, lane-wise and serially."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from graphc.errors import InternalError, VerificationError
from graphc.kernel_interpreter import run
from graphc.kernel_text import parse_kernel
from graphc.kernel_verifier import verify

CONTRACTION = """kernel k(a: float32[5, 7] in, b: float32[7, 11] in, c: float32[5, 11] out) {
  for i < 5 parallel { for j < 11 parallel {
    scratch acc : float32[] register
    %z = literal() 0.0 : float32
    store acc[] = %z
    for k < 7 serial {
      %a = load a[i, k] : float32
      %b = load b[k, j] : float32
      %c = load acc[] : float32
      %d = fma(%a, %b, %c) : float32
      store acc[] = %d
    }
    %r = load acc[] : float32
    store c[i, j] = %r
  } } }"""


def outcome(text: str, serial: bool, **arrays: Any) -> dict[str, Any]:
    kernel = parse_kernel(text)
    verify(kernel)
    copies = {name: np.array(array) for name, array in arrays.items()}
    run(kernel, copies, serial=serial)
    return copies


both = pytest.mark.parametrize("serial", [False, True])


@both
def test_contraction(serial: bool) -> None:
    random = np.random.default_rng(1)
    a = random.integers(-9, 9, (5, 7)).astype(np.float32)
    b = random.integers(-9, 9, (7, 11)).astype(np.float32)
    done = outcome(CONTRACTION, serial, a=a, b=b, c=np.empty((5, 11), np.float32))
    np.testing.assert_array_equal(done["c"], a @ b)


@both
def test_guards_and_predicates_choose_lanes(serial: bool) -> None:
    text = """kernel k(x: int32[6] in, y: int32[9] inout, s: int32[1] inout) {
      for i < 9 parallel {
        scratch t : int32[2] register
        %n = index(i) : int32
        store t[1] = %n
        if i < 6 and 0 < i {
          %a = load x[i] : int32
          %b = load t[1] : int32
          %c = add(%a, %b) : int32
          store y[i] = %c
        }
        %six = literal() 6 : int32
        %p = lt(%n, %six) : bool
        %d = load x[i] where %p : int32
        %big = literal() 104 : int32
        %q = lt(%big, %d) : bool
        store s[0] = %six where %q
      } }"""
    x = np.arange(100, 106, dtype=np.int32)
    done = outcome(text, serial, x=x, y=np.full(9, -1, np.int32), s=np.zeros(1, np.int32))
    assert done["y"].tolist() == [-1, 102, 104, 106, 108, 110, -1, -1, -1]
    assert done["s"].tolist() == [6]


@both
def test_gathers_and_remainders(serial: bool) -> None:
    text = """kernel k(x: float64[3, 4] in, p: int64[5] in, y: float64[5] out) {
      for i < 5 vector {
        %p = load p[i] : int64
        %a = load x[%p{0..2}, ((i + 2) mod 4)] : float64
        store y[i] = %a
      } }"""
    x = np.arange(12.0).reshape(3, 4)
    p = np.array([2, 0, 1, 1, 2])
    done = outcome(text, serial, x=x, p=p, y=np.zeros(5))
    np.testing.assert_array_equal(done["y"], x[p, (np.arange(5) + 2) % 4])
    with pytest.raises(VerificationError, match="as large as 3"):
        outcome(text, serial, x=x, p=p + 1, y=np.zeros(5))


@both
def test_accesses_out_of_bounds_are_found(serial: bool) -> None:
    text = "kernel k(y: int8[3] out) { for i < 4 parallel { %a = literal() 1 : int8 BODY } }"
    stray = parse_kernel(text.replace("BODY", "store y[i] = %a"))
    with pytest.raises(VerificationError, match="out of the bounds"):
        run(stray, {"y": np.zeros(3, np.int8)}, serial=serial)
    guarded = text.replace("BODY", "if i < 3 { store y[i] = %a }")
    assert outcome(guarded, serial, y=np.zeros(3, np.int8))["y"].all()


@both
def test_16_bit_floats_are_computed_in_32_bits_and_rounded(serial: bool) -> None:
    text = """kernel k(x: bfloat16[4] in, y: bfloat16[4] out, z: bool[4] out) { for i < 4 parallel {
      %a = load x[i] : bfloat16
      %b = mul(%a, %a) : bfloat16
      %c = add(%b, %a) : bfloat16
      %d = lt(%a, %c) : bool
      store y[i] = %c
      store z[i] = %d
    } }"""
    x = np.array([1.0078125, -0.0, np.inf, 3.0e38], np.float32).astype(ml_dtypes.bfloat16)
    done = outcome(text, serial, x=x, y=np.zeros_like(x), z=np.zeros(4, np.bool_))
    wide = x.astype(np.float32)
    with np.errstate(over="ignore"):
        square = (wide * wide).astype(ml_dtypes.bfloat16).astype(np.float32)
        expected = (square + wide).astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(done["y"].view(np.uint16), expected.view(np.uint16))
    assert done["z"].tolist() == [True, False, False, True]


@both
def test_index_values_wrap_and_scratch_is_private(serial: bool) -> None:
    text = """kernel k(y: int8[3] out) { for i < 3 parallel {
      scratch t : int8[] cache
      for k < 2 serial { %v = index(100*i + 100*k) : int8 store t[] = %v }
      %r = load t[] : int8
      store y[i] = %r
    } }"""
    assert outcome(text, serial, y=np.zeros(3, np.int8))["y"].tolist() == [100, -56, 44]


@both
def test_work_groups(serial: bool) -> None:
    text = """kernel k(x: int32[2, 4] in, y: int32[2, 4] out) { for g < 2 group {
      scratch t : int32[4] local
      for l < 4 item { %a = load x[g, l] : int32 store t[l] = %a }
      barrier
      for l < 4 item { %b = load t[-1*l + 3] : int32 store y[g, l] = %b }
    } }"""
    x = np.arange(8, dtype=np.int32).reshape(2, 4)
    done = outcome(text, serial, x=x, y=np.zeros_like(x))
    np.testing.assert_array_equal(done["y"], x[:, ::-1])


def test_arrays_of_another_type_are_refused() -> None:
    kernel = parse_kernel("kernel k(y: int8[3] out) {}")
    for array in (np.zeros(3), np.zeros(2, np.int8), np.zeros(6, np.int8)[::2]):
        with pytest.raises(InternalError):
            run(kernel, {"y": array})


def test_words_hold_the_first_element_in_their_low_bits() -> None:
    text = """kernel words(x: int8[2, 12] in, y: uint32[3] out, z: uint16[3] out) {
      for i < 3 vector {
        %a = load x[0, 4*i] by 4 : uint32  store y[i] = %a
        %b = load x[1, 2*i] by 2 : uint16  store z[i] = %b
      }
    }"""
    x = np.arange(24, dtype=np.int8).reshape(2, 12)
    y, z = np.zeros(3, np.uint32), np.zeros(3, np.uint16)
    run(parse_kernel(text), {"x": x, "y": y, "z": z})
    assert y.tolist() == [0x03020100, 0x07060504, 0x0B0A0908]
    assert z.tolist() == [0x0D0C, 0x0F0E, 0x1110]
