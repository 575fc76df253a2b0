"""Each law of kernels, broken once."""

from __future__ import annotations

import pytest

from graphc.errors import VerificationError
from graphc.index import LoopVariable, as_index
from graphc.kernel_text import parse_kernel
from graphc.kernel_verifier import is_inside, verify

HEAD = "x: float32[4, 6] in, y: float32[4, 6] out, s: int32[1] inout, h: float16[8] in"


def check(body: str) -> None:
    verify(parse_kernel(f"kernel k({HEAD}) {{ {body} }}"))


GOOD = [
    "for i < 4 parallel { for j < 6 vector { %a = load x[i, j] : float32 store y[i, j] = %a } }",
    "for i < 8 serial { if i < 4 { %a = load x[i, 0] : float32 } }",
    "for i < 8 serial { %i = index(i) : int64 %n = literal() 4 : int64 %p = lt(%i, %n) : bool"
    " %a = load x[i, 0] where %p : float32 }",
    "for q < 24 parallel { %a = load x[((q) floordiv 6), ((q) mod 6)] : float32 }",
    "for i < 0 serial { %a = load x[i + 9, 0] : float32 }",
    "for i < 4 serial { prefetch x[i + 9, -1] into 3 }",
    "%a = misalignment x : int64 for i < 4 serial { %b = misalignment y : int64 }",
    "for l < 4 vector { %a = load x[l, 0] : float32 %b = ne(%a, %a) : bool"
    " %c = literal() 3 : int32 store s[0] = %c where %b }",
    "for l < 4 vector { scratch t : float32[2] register %a = load x[l, 0] : float32"
    " for u < 2 unrolled { store t[u] = %a } }",
    "for g < 4 group { scratch t : float32[6] local for w < 6 item {"
    " %a = load x[g, w] : float32 store t[w] = %a } barrier for k < 3 serial { for w < 6 item {"
    " %b = load t[w] : float32 for u < 2 unrolled { store y[g, w] = %b } } barrier } }",
    "for i < 4 serial {} barrier for i < 4 parallel { for j < 6 vector {} for j < 6 vector {} }",
    "%a = load h[0] : float16 %b = add(%a, %a) : float16 %c = convert(%b) : int8"
    " %d = eq(%c, %c) : bool %e = select(%d, %b, %a) : float16 %f = bitcast(%e) : uint16",
    "for i < 4 serial { %a = load h[2*i] by 2 : uint32 %b = load h[4] by 4 : uint64"
    " %c = load h[i] : float16 %d = pair(%c, %c) : uint32 %e = literal() 0.0 : float32"
    " %f = dot_bfloat16(%a, %d, %e) : float32 }",
    "%a = literal() 1 : uint32 %b = literal() 1 : int32 %c = dot_int8(%a, %a, %b) : int32",
]


@pytest.mark.parametrize("body", GOOD)
def test_lawful_kernels_pass(body: str) -> None:
    check(body)


BROKEN = [
    ("prefetch z[0, 0] into 1", "z is not known here"),
    ("prefetch x[0] into 1", "x has 2 axes"),
    ("%a = literal() 1.0 : float32 prefetch x[%a{0..1}, 0] into 1", "no integer"),
    ("prefetch x[0, 0] into 4", "level"),
    ("%a = misalignment z : int64", "z is no buffer"),
    ("%a = misalignment x : int32", "an int64"),
    ("%a = literal() 1 : int8 %a = literal() 1 : int8", "assigned once"),
    ("for i < 2 serial { %a = literal() 1 : int8 } %b = neg(%a) : int8", "not known here"),
    ("for i < 4 serial { for i < 4 serial {} }", "different variables"),
    ("for i < 4 serial {} for i < 5 serial {}", "one extent"),
    ("%a = literal() 1 : int8 %b = literal() 1 : int16 %c = add(%a, %b) : int8", "is not int8"),
    ("%a = literal() 1 : int8 %b = add(%a, %a) : int16", "add of int8, int8 is not int16"),
    ("%a = literal() 1 : int8 %b = lt(%a, %a) : int8", "is not int8"),
    ("%a = literal() 1 : int8 %b = sqrt(%a) : int8", "does not take"),
    ("%a = literal() 1 : int8 %b = add(%a) : int8", "2 operands"),
    ("%a = literal() 1 : int8 %b = neg(%a) 3 : int8", "payload"),
    ("%a = literal() 1 : int8 %b = bitcast(%a) : int16", "is not int16"),
    ("%a = literal() 1 : int8 %b = select(%a, %a, %a) : int8", "is not int8"),
    ("%a = literal() 1 : int8 %b = conjure(%a) : int8", "neither a primitive"),
    ("%a = index(3) : float32", "gives an integer"),
    ("%a = load x[0] : float32", "2 axes"),
    ("%a = load z[0] : float32", "z is not known"),
    ("%a = load x[0, 0] : float64", "holds float32"),
    ("%a = load x[0, 6] : float32", "out of bounds"),
    ("%a = load h[0] by 2 : uint16", "2 elements of float16 are no uint16"),
    ("%a = load h[0] by 2 : int32", "2 elements of float16 are no int32"),
    ("%a = load h[0] by 2 : float32", "are no float32"),
    ("for i < 4 serial { %a = load h[i] by 2 : uint32 }", "a multiple of its elements"),
    ("for i < 3 serial { %a = load h[4*i] by 2 : uint32 }", "out of bounds"),
    ("%a = load h[0] : float16 %b = pair(%a, %a) : uint64", "is not uint64"),
    ("%a = load x[0, 0] : float32 %b = pair(%a, %a) : uint64", "is not uint64"),
    ("%a = literal() 1 : uint32 %b = dot_int8(%a, %a, %a) : int32", "is not int32"),
    ("%a = literal() 1 : uint32 %b = dot_bfloat16(%a, %a, %a) : uint32", "is not uint32"),
    ("for i < 5 serial { %a = load x[i, 0] : float32 }", "out of bounds"),
    ("for i < 4 serial { %a = load x[i + -1, 0] : float32 }", "out of bounds"),
    ("%i = literal() 1 : int64 %a = load x[%i{0..4}, 0] : float32", "out of bounds"),
    ("%i = literal() 1.0 : float64 %a = load x[%i{0..3}, 0] : float32", "no integer"),
    ("%a = load x[0, 0] : float32 store x[0, 0] = %a", "only read"),
    ("%a = literal() 1 : int32 store y[0, 0] = %a", "holds float32"),
    ("%a = literal() 1 : int32 store s[0] = %a where %a", "a predicate is a bool"),
    ("for l < 4 vector { %a = index(l) : int32 store s[0] = %a }", "different values"),
    ("for l < 4 vector { scratch t : int32[] register %a = load t[] : int32 store s[0] = %a }",
     "different values"),
    ("for l < 4 vector { for k < 4 vector {} }", "does not stand in vector"),
    ("for l < 4 vector { for m < 2 serial { for k < 4 parallel {} } }", "does not stand in serial"),
    ("for l < 4 item {}", "does not stand in the top"),
    ("for l < 4 serial { for g < 4 group {} }", "does not stand in serial"),
    ("for g < 4 group { for i < 4 parallel {} }", "does not stand in group"),
    ("for g < 4 group { for i < 4 item { barrier } }", "a barrier stands"),
    ("for i < 4 serial { barrier }", "a barrier stands"),
    ("for g < 4 group { for l < 4 item { scratch t : int8[] local } }", "local scratch"),
    ("scratch x : int8[] register", "names of their own"),
    ("for i < 4 serial { scratch t : int8[] cache } %a = load t[] : int8", "t is not known"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "law"), BROKEN)
def test_each_law_is_checked(body: str, law: str) -> None:
    with pytest.raises(VerificationError, match=law):
        check(body)


def test_an_index_of_a_loop_that_is_over_is_found() -> None:
    kernel = parse_kernel("kernel k() { for i < 3 serial { %a = index(i) : int64 } }")
    (loop,) = kernel.body
    with pytest.raises(VerificationError, match="no loop over i"):
        verify(kernel.with_body(loop.body))  # type: ignore[union-attr]  # a loop


def test_bounds_of_quotients_and_remainders_are_found_by_trying() -> None:
    q = LoopVariable("q", 24)
    remainder = as_index(q) - (as_index(q) // 6) * 6
    assert is_inside(remainder, 6)
    assert not is_inside(remainder, 5)
    assert not is_inside(as_index(q), 23)
