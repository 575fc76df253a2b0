"""Kernels as text: what is printed is read back, and what cannot be read names its line."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest

from graphc import dtypes
from graphc.errors import ParseError
from graphc.index import FloorDiv, LoopVariable, Mod, as_index
from graphc.kernel import Kernel, Let, Value
from graphc.kernel_text import MAX_DEPTH, parse_kernel, print_kernel
from tests.mutations import mutations

FLOATS = (0.0, -0.0, 0.1, 1e-45, 5e-324, 1.5e300, 1e16, math.inf, -math.inf, math.nan, -math.nan)

EVERYTHING = """\
kernel everything(x: float32[3, 5] in, y: bfloat16[] out, s: int32[1] inout) {
  scratch panel : float64[16, 2] cache
  for i < 3 parallel {
    %p = literal() true : bool
    %m = misalignment x : int64
    %w = load x[2*i, 0] by 2 where %p : uint64
    for j < 5 vector {
      %a = load x[i, ((j + 3) mod 5)] where %p : float32
      %b = load x[i, j] where %p : float32
      %c = load x[i, j] : float32
      %q = index(3*i + -2*((4*j + i + 3) floordiv 5) + -7) : int64
      %t = lookup(%q) [1.0, -2.5e-10, nan] : float32
      if j < %q{-1..4} + i + 1 and 3 < i {
        scratch w : float32[] register
        store w[] = %a where %p
        prefetch x[i + 1, 3*j + -9] into 2
        store w[] = %a where %p streaming
        store w[] = %a streaming
      }
    }
  }
  barrier
  for g < 0 group {
    scratch tile : int8[4] local
    for l < 64 item {
      for u < 1 unrolled {
      }
      for v < 2 serial {
        %z = literal() 0 : int64
        %f = add(%z, %z) : int64
      }
    }
  }
}
"""


def test_text_is_read_back_as_it_was() -> None:
    kernel = parse_kernel(EVERYTHING)
    assert print_kernel(kernel) == EVERYTHING
    assert str(kernel) == EVERYTHING
    assert parse_kernel(str(kernel)) == kernel


@pytest.mark.parametrize(
    "number",
    [*FLOATS, True, False, 0, -7, 2**63, -(2**63)],
)
def test_constants_are_exact(number: float) -> None:
    kernel = parse_kernel("kernel k() { %a = literal() 1.0 : float64 }")
    (let,) = kernel.body
    assert isinstance(let, Let)
    changed = kernel.with_body((Let(let.result, "literal", (), number),))
    again = parse_kernel(str(changed))
    (read,) = again.body
    assert isinstance(read, Let)
    assert type(read.payload) is type(number)
    assert repr(read.payload) == repr(number)
    assert math.copysign(1, read.payload) == math.copysign(1, number)
    assert again == changed


def test_constants_that_differ_in_sign_or_kind_make_different_kernels() -> None:
    value = Value("a", dtypes.float32)
    numbers = (0.0, -0.0, 0, False, math.nan, -math.nan, (0.0,), (-0.0,))
    kernels = {Kernel("k", (), (Let(value, "literal", (), number),)) for number in numbers}
    assert len(kernels) == len(numbers)
    not_a_number = float(np.float32("nan"))
    assert Let(value, "literal", (), not_a_number) == Let(value, "literal", (), math.nan)


def test_indices_are_read_as_they_are_written() -> None:
    kernel = parse_kernel("kernel k(x: int8[9] in) { for i < 9 serial {} }")
    i = LoopVariable("i", 9)
    for index in (
        as_index(i) * -3 + 4,
        (as_index(i) + 5) // 2 * 7 + as_index(i),
        ((as_index(i) * 5 + 3) // 4) % 3,
        as_index(0),
        as_index(-2),
    ):
        text = str(kernel).replace("{\n  }", "{ %a = load x[" + str(index) + "] : int8 }")
        loop = parse_kernel(text).body[0]
        assert loop.body[0].indices == (index,)  # type: ignore[union-attr]  # a load in a loop
    assert isinstance(((as_index(i) + 5) // 2).terms[0][0], FloorDiv)
    assert isinstance(((as_index(i) + 5) % 2).terms[0][0], Mod)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kernel", "line 1: expected the kernel's name, found the end"),
        ("kernel k() {\n  for i < 3 sideways {}\n}", "line 2: expected a loop kind, found 'sidew"),
        ("kernel k(\nx: float31[] in) {}", "line 2: expected a dtype, found 'float31'"),
        ("kernel k(x: int8[] in) {\n\n  %a = load x[i] : int8 }", "line 3: expected a loop var"),
        ("kernel k() {\n  %a = neg(%b) : int8 }", "line 2: expected a value that is known here"),
        ("kernel k() {\n  %a = literal() 1..2 : int8 }", "line 2: expected ':', found '..'"),
        ("kernel k() {\n  jump\n}", "line 2: expected a statement, found 'jump'"),
        ("kernel k() {} }", "line 1: expected the end"),
        ("kernel k() { for i < 3 serial { if ((i) mod 0) < 1 {} } }", "a positive divisor"),
        ("kernel k() { §", "expected a statement"),
        ("kernel k(\nx0: , y0: int8[] in) {}", "line 2: expected a dtype, found ','"),
        ("kernel k(x: float[] in) {}", "expected a dtype, found 'float'"),
        ("kernel k(x: int8[-1] in) {}", "line 1: a shape has no negative extents"),
        ("kernel k(x: int64[\n9223372036854775807] in) {}", "line 2: a tensor has fewer than"),
        ("kernel k(x: int8[" + "9" * 5000 + "] in) {}", "line 1: expected an integer"),
        ("kernel k() {\n" + "for i < 1 serial {\n" * 5000, "line 102: expected at most 100"),
        ("kernel k() { if " + "((" * 5000, "expected at most 100 levels"),
    ],
)
def test_bad_text_names_its_line(text: str, message: str) -> None:
    with pytest.raises(ParseError, match="line") as caught:
        parse_kernel(text)
    assert message in str(caught.value)


def test_the_deepest_kernel_that_is_read() -> None:
    depth = MAX_DEPTH - 1
    text = "kernel k() {" + "for i < 1 serial {" * depth + "}" * depth + "}"
    assert parse_kernel(str(parse_kernel(text))) == parse_kernel(text)


@pytest.mark.parametrize("seed", range(20))
def test_mutated_text_is_read_or_is_a_parse_error(seed: int) -> None:
    for mutated in mutations(EVERYTHING, 100, seed):
        with contextlib.suppress(ParseError):
            assert parse_kernel(mutated).name
