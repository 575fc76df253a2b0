"""Loop transformations, text to text, and their meaning before and after by the interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.errors import InternalError
from graphc.index import as_index
from graphc.kernel import Kernel, Loop, LoopKind, Statement
from graphc.kernel_interpreter import run
from graphc.kernel_text import parse_kernel, print_statements
from graphc.kernel_verifier import verify
from graphc.passes.rewrite_statements import Body, Names, copy, substitute
from graphc.passes.transform_loops import (
    collapse,
    distribute,
    enclose,
    hoist,
    interchange,
    mark,
    over,
    sink,
    split,
    split_off_tail,
    split_with_guard,
    vectorise,
)
from graphc.passes.unroll_and_jam import unroll_and_jam

SCALE = """kernel k(x: int32[6, 10] in, y: int32[6, 10] out) {
  for i < 6 parallel {
    for j < 10 parallel {
      %a = load x[i, j] : int32
      %c = literal() 3 : int32
      %b = mul(%a, %c) : int32
      store y[i, j] = %b
    }
  }
}
"""

ROWS = """kernel k(x: int32[6, 10] in, y: int32[6, 10] out) {
  for i < 6 parallel {
    scratch total : int32[] register
    %z = literal() 0 : int32
    %first = load x[i, 0] : int32
    store total[] = %z
    for k < 10 serial {
      %w = load x[3, k] : int32
      %a = load x[i, k] : int32
      %p = mul(%a, %w) : int32
      %t = load total[] : int32
      %s = add(%t, %p) : int32
      store total[] = %s
    }
    %r = load total[] : int32
    %q = add(%r, %first) : int32
    %f = add(%q, %z) : int32
    store y[i, 1] = %f
  }
}
"""


def outermost(kernel: Kernel) -> Loop:
    (loop,) = kernel.body
    assert isinstance(loop, Loop)
    return loop


def inner(loop: Loop) -> Loop:
    (found,) = loop.body
    assert isinstance(found, Loop)
    return found


def text(body: Body) -> str:
    return "\n".join(print_statements(body, ""))


def check_same(kernel: Kernel, body: tuple[Statement, ...]) -> None:
    """Check that another body is lawful and gives the same arrays."""
    changed = kernel.with_body(body)
    verify(changed)
    assert parse_kernel(str(changed)) == changed
    results: list[Any] = []
    for one in (kernel, changed):
        for serial in (False, True):
            x = np.random.default_rng(3).integers(-99, 99, (6, 10)).astype(np.int32)
            arrays = {"x": x, "y": np.zeros((6, 10), np.int32)}
            run(one, arrays, serial=serial)
            results.append(arrays["y"])
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.fixture
def scale() -> Kernel:
    return parse_kernel(SCALE)


@pytest.fixture
def rows() -> Kernel:
    return parse_kernel(ROWS)


def test_split(scale: Kernel) -> None:
    loop = split(inner(outermost(scale)), 5, Names(scale), LoopKind.VECTOR)
    assert text((loop,)) == (
        "for j_1 < 2 parallel {\n  for j_2 < 5 vector {\n    %a = load x[i, 5*j_1 + j_2] : int32\n"
        "    %c = literal() 3 : int32\n    %b = mul(%a, %c) : int32\n"
        "    store y[i, 5*j_1 + j_2] = %b\n  }\n}"
    )
    check_same(scale, (Loop(outermost(scale).variable, LoopKind.PARALLEL, (loop,)),))
    with pytest.raises(InternalError, match="does not divide"):
        split(inner(outermost(scale)), 3, Names(scale))


@pytest.mark.parametrize("factor", [1, 2, 4, 6, 7, 10, 11])
def test_splits_of_any_factor(scale: Kernel, factor: int) -> None:
    outer = outermost(scale)
    guarded = split_with_guard(inner(outer), factor, Names(scale))
    check_same(scale, (Loop(outer.variable, LoopKind.PARALLEL, (guarded,)),))
    parts = [p for p in split_off_tail(inner(outer), factor, Names(scale)) if p is not None]
    check_same(scale, (Loop(outer.variable, LoopKind.PARALLEL, tuple(parts)),))
    assert sum(p.variable.extent for p in parts) == 10
    assert parts[0].variable.extent % factor == 0 or len(parts) == 1


@pytest.mark.parametrize("width", [2, 4, 8, 16])
def test_vectorise(scale: Kernel, width: int) -> None:
    outer = outermost(scale)
    body = vectorise(inner(outer), width, Names(scale))
    check_same(scale, (Loop(outer.variable, LoopKind.PARALLEL, body),))
    vectors = [s for s in print_statements(body) if "vector" in s]
    assert len(vectors) == (1 if width in (2, 16) else 2)


def test_collapse_and_interchange(scale: Kernel) -> None:
    both = collapse(outermost(scale), Names(scale))
    assert text((both,)).startswith(
        "for i_1 < 60 parallel {\n  %a = load x[((i_1) floordiv 10), ((i_1) mod 10)] : int32"
    )
    check_same(scale, (both,))
    exchanged = interchange(outermost(scale))
    assert exchanged.variable.name == "j"
    check_same(scale, (exchanged,))
    with pytest.raises(InternalError):
        interchange(inner(outermost(scale)))


def test_marks_promise_nothing_new(rows: Kernel) -> None:
    assert mark(outermost(rows), LoopKind.SERIAL).kind is LoopKind.SERIAL
    serial = next(s for s in outermost(rows).body if isinstance(s, Loop))
    with pytest.raises(InternalError, match="independent"):
        mark(serial, LoopKind.VECTOR)


def test_distribute_expands_scratch_and_values(rows: Kernel) -> None:
    loop = outermost(rows)
    groups = [loop.body[:4], loop.body[4:5], loop.body[5:]]
    arrays, loops = distribute(loop, groups, Names(rows))
    assert text(arrays) == (
        "scratch total : int32[6] register\nscratch first_2 : int32[6] register"
    )
    assert len(loops) == 3
    enclosed = Loop(Names(rows).variable(loop.variable, 1), LoopKind.SERIAL, (*arrays, *loops))
    check_same(rows, (enclosed,))
    check_same(rows, (Loop(enclosed.variable, LoopKind.SERIAL, (*arrays, *map(sink, loops))),))
    with pytest.raises(InternalError, match="independent"):
        distribute(Loop(loop.variable, LoopKind.SERIAL, loop.body), groups, Names(rows))


def test_sunk_loops_leave_behind_what_they_do_not_change(rows: Kernel) -> None:
    loop = outermost(rows)
    _, loops = distribute(loop, [loop.body[:4], loop.body[4:5], loop.body[5:]], Names(rows))
    sunk = sink(loops[1])
    assert sunk.variable.name == "k"
    before = hoist(inner(sunk))
    assert text(before[:-1]) == "%w = load x[3, k] : int32"
    last = before[-1]
    assert isinstance(last, Loop) and last.variable.name == "i"


def test_hoist_leaves_loads_of_what_is_stored(rows: Kernel) -> None:
    kernel = parse_kernel(
        "kernel k(y: int32[2] inout) { for i < 2 serial {"
        " %a = load y[0] : int32 %b = literal() 1 : int32 %c = add(%a, %b) : int32"
        " store y[i] = %c } }"
    )
    assert text(hoist(outermost(kernel))[:-1]) == "%b = literal() 1 : int32"


def test_hoist_takes_a_store_that_nothing_else_touches() -> None:
    kernel = parse_kernel(
        "kernel k(p: bool[] in, y: int32[2] inout, z: int32[] inout) { for i < 2 parallel {"
        " %p = load p[] : bool %a = literal() 1 : int32 store z[] = %a where %p store y[0] = %a"
        " %b = load y[i] : int32 } }"
    )
    *before, loop = hoist(outermost(kernel))
    assert text(tuple(before)).splitlines()[-1] == "store z[] = %a where %p"
    assert isinstance(loop, Loop) and len(loop.body) == 2


def test_loops_of_no_or_one_iteration(scale: Kernel) -> None:
    names = Names(scale)
    loop = outermost(scale)
    assert over(names.variable(loop.variable, 0), LoopKind.SERIAL, loop.body) == ()
    one = over(names.variable(loop.variable, 1), LoopKind.SERIAL, loop.body)
    assert one == loop.body


def test_copies_share_no_names(scale: Kernel) -> None:
    names = Names(scale)
    loop = outermost(scale)
    again = copy(loop.body, names)
    assert substitute(loop.body, {}) == loop.body
    half = Loop(loop.variable, loop.kind, substitute(loop.body, {loop.variable: as_index(0)}))
    check_same(scale, (half, Loop(loop.variable, loop.kind, again)))


def test_unrolled_copies_share_the_serial_loop(rows: Kernel) -> None:
    loop = outermost(rows)
    names = Names(rows)
    jammed = unroll_and_jam(loop.variable, loop.body, names)
    check_same(rows, enclose(jammed, names))
    serial = [s for s in jammed if isinstance(s, Loop) and s.kind is LoopKind.SERIAL]
    assert [s.variable.name for s in serial] == ["k"]
    assert text(serial[0].body).startswith("%w = load x[3, k] : int32\nfor i < 6 unrolled {")
