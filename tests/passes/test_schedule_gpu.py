"""Schedules for a GPU: the bits of the naive kernel, the shape that is chosen, the barriers."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from graphc.kernel import (
    Access,
    Barrier,
    Guard,
    Kernel,
    Loop,
    LoopKind,
    Scope,
    Scratch,
    statements,
)
from graphc.kernel_interpreter import run
from graphc.kernel_text import parse_kernel, print_kernel
from graphc.kernel_verifier import verify
from graphc.passes.group_barriers import with_barriers
from graphc.passes.schedule_gpu import schedule_gpu
from graphc.target import Target

GPU = Target("gpu", "gpu", 16, 16, 8, local_bytes=32768, group_items=256)
SMALL = Target("small", "gpu", 16, 16, 8, local_bytes=1024, group_items=64)
TINY = Target("tiny", "gpu", 16, 16, 1, local_bytes=64, group_items=1)
TARGETS = (GPU, SMALL, TINY)

ELEMENTWISE = """kernel double(x: float32[M, N] in, y: float32[N, M] out) {
  for i < M parallel { for j < N parallel {
    %a = load x[i, j] : float32  %b = add(%a, %a) : float32  store y[j, i] = %b } } }"""

MATMUL = """kernel matmul(a: float32[2, M, K] in, b: float32[2, N, K] in, c: float32[N] in,
                         y: float32[2, M, N] out, z: float32[2, M, N] out) {
  for h < 2 parallel { for i < M parallel { for j < N parallel {
    %bias = load c[j] : float32
    %twice = add(%bias, %bias) : float32
    scratch acc : float32[] register
    %zero = literal() 0.0 : float32
    store acc[] = %zero
    for k < K serial {
      %x = load a[h, i, k] : float32  %w = load b[h, j, k] : float32  %o = load acc[] : float32
      %n = fma(%x, %w, %o) : float32  store acc[] = %n }
    %r = load acc[] : float32
    %s = add(%r, %twice) : float32
    store y[h, i, j] = %r
    store z[h, i, j] = %s } } } }"""

ROWS = """kernel rows(x: float32[R, N] in, y: float32[R, N] out) {
  for i < R parallel {
    scratch lane : float32[16] register
    for l < 16 parallel { %zero = literal() 0.0 : float32  store lane[l] = %zero }
    for s < 2 serial { for m < 16 parallel {
      %a = load x[i, 16*s + m] : float32  %o = load lane[m] : float32
      %n = add(%o, %a) : float32  store lane[m] = %n } }
    for t < 8 parallel {
      %p = load lane[t] : float32  %q = load lane[t + 8] : float32
      %u = add(%p, %q) : float32  store lane[t] = %u }
    %r = load lane[0] : float32
    for j < N parallel {
      %e = load x[i, j] : float32  %d = sub(%e, %r) : float32  store y[i, j] = %d } } }"""

SCATTER = """kernel scatter(x: float32[40, 5] in, p: int64[7] in, u: float32[7, 5] in,
                           y: float32[40, 5] inout) {
  for i < 40 parallel { for j < 5 parallel { %a = load x[i, j] : float32  store y[i, j] = %a } }
  barrier
  for k < 7 serial {
    %n = load p[k] : int64
    for m < 5 parallel {
      %b = load u[k, m] : float32  %o = load y[%n{0..39}, m] : float32
      %s = add(%o, %b) : float32  store y[%n{0..39}, m] = %s } } }"""


def sized(text: str, **extents: int) -> Kernel:
    for name, extent in extents.items():
        text = text.replace(f"[{name}", f"[{extent}").replace(f", {name}]", f", {extent}]")
        text = text.replace(f", {name},", f", {extent},").replace(f"< {name} ", f"< {extent} ")
    return parse_kernel(text)


def values(kernel: Kernel) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {}
    for b in kernel.buffers:
        made[b.name] = rng.integers(0, 40, b.type.shape).astype(b.type.dtype.numpy)
        if b.type.dtype.is_float:
            made[b.name] = rng.normal(size=b.type.shape).astype(b.type.dtype.numpy)
    return made


def check(kernel: Kernel, target: Target) -> Kernel:
    """Return the schedule of `kernel`, which is lawful and leaves the same bits."""
    scheduled = schedule_gpu(kernel, target)
    verify(scheduled)
    assert all(
        isinstance(s, Barrier) or (isinstance(s, Loop) and s.kind is LoopKind.GROUP)
        for s in scheduled.body
    )
    given = values(kernel)
    wanted, got = ({n: a.copy() for n, a in given.items()} for _ in range(2))
    run(kernel, wanted)
    run(scheduled, got)
    for buffer in kernel.buffers:
        if buffer.access is not Access.IN:
            np.testing.assert_array_equal(got[buffer.name], wanted[buffer.name])
    return scheduled


def scratch_of(kernel: Kernel, scope: Scope) -> list[Scratch]:
    found = [s for s in statements(kernel.body) if isinstance(s, Scratch)]
    return [s for s in found if s.scope is scope]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize(("m", "n"), [(16, 16), (1, 1), (7, 13), (33, 31), (0, 4), (4, 0)])
def test_elementwise(m: int, n: int, target: Target) -> None:
    check(sized(ELEMENTWISE, M=m, N=n), target)


def test_a_flat_nest_has_a_guarded_tail() -> None:
    few = replace(GPU, cores=1)
    text = print_kernel(check(sized(ELEMENTWISE, M=20, N=20), few))
    assert "for i_1 < 2 group" in text and "for i_2 < 256 item" in text
    assert "if 256*i_1 + i_2 < 400" in text
    assert "if" not in print_kernel(check(sized(ELEMENTWISE, M=32, N=16), few))


@pytest.mark.parametrize(("cores", "items"), [(1, 256), (4, 256), (8, 128), (100, 32)])
def test_a_flat_nest_is_spread_over_the_cores(cores: int, items: int) -> None:
    text = print_kernel(schedule_gpu(sized(ELEMENTWISE, M=32, N=32), replace(GPU, cores=cores)))
    assert f"< {1024 // items} group" in text and f"< {items} item" in text


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize(
    ("m", "n", "k"), [(8, 16, 16), (17, 19, 18), (8, 8, 4), (9, 8, 21), (3, 20, 5), (10, 9, 3)]
)
def test_matmul(m: int, n: int, k: int, target: Target) -> None:
    check(sized(MATMUL, M=m, N=n, K=k), target)


def shapes(kernel: Kernel, scope: Scope) -> list[tuple[int, ...]]:
    return [s.type.shape for s in scratch_of(kernel, scope)]


@pytest.mark.parametrize(
    ("target", "side", "outputs", "depth"),
    [
        (GPU, 16, (8, 8), 8),
        (replace(GPU, cores=60), 16, (4, 8), 8),
        (replace(GPU, cores=500), 16, (2, 2), 32),
        (replace(GPU, cores=10**6), 16, (1, 1), 32),
        (replace(GPU, local_bytes=8000), 16, (4, 4), 8),
        (SMALL, 8, (1, 1), 8),
    ],
)
def test_a_matmul_is_tiled_as_the_target_allows(
    target: Target, side: int, outputs: tuple[int, int], depth: int
) -> None:
    kernel = schedule_gpu(sized(MATMUL, M=512, N=512, K=80), target)
    extents = [side * n for n in outputs]
    assert shapes(kernel, Scope.LOCAL) == [(depth, extent + 4) for extent in extents]
    fetched = [(side, side, depth * extent // side**2) for extent in extents]
    assert shapes(kernel, Scope.REGISTER) == [*fetched, (side, side, *outputs)]


def test_the_next_step_is_fetched_before_the_sums_of_this_one() -> None:
    """Of two steps, one is loaded before them all, and the other during the first."""
    text = print_kernel(check(sized(MATMUL, M=16, N=16, K=64), GPU))
    assert text.count("load a[") == 2 and text.index("load a[") < text.index("for k_1 < 2 serial")
    body = text[text.index("for k_1 < 2 serial") :]
    order = [body.index(mark) for mark in ("store panel_a", "barrier", "load a[", "fma(")]
    assert order == sorted(order)
    assert "if k_1 + 1 < 2" in body
    assert "+ 1 <" not in print_kernel(check(sized(MATMUL, M=16, N=16, K=32), GPU))


def test_a_matmul_is_not_tiled_where_groups_are_too_small() -> None:
    kernel = schedule_gpu(sized(MATMUL, M=40, N=40, K=40), TINY)
    assert not scratch_of(kernel, Scope.LOCAL)
    assert shapes(kernel, Scope.REGISTER) == [()]


def test_tiles_fit_the_edges() -> None:
    """A tile four times as large as the result would leave three of four items without work."""
    kernel = check(sized(MATMUL, M=33, N=16, K=20), replace(GPU, cores=1))
    assert shapes(kernel, Scope.REGISTER)[-1] == (16, 16, 4, 1)


@pytest.mark.parametrize(
    ("change", "is_guarded"),
    [
        (("", ""), False),
        (("%w, %o)", "%m, %o)"), True),
        (("fma(%x, %w, %o)", "quotient(%x, %w)"), True),
    ],
    ids=["products", "a mask", "may trap"],
)
def test_sums_beyond_the_edge_are_left_out_where_they_would_be_seen(
    change: tuple[str, str], is_guarded: bool
) -> None:
    text = MATMUL.replace(
        "z: float32[2, M, N] out)", "z: float32[2, M, N] out, m: float32[M, N] in)"
    )
    if "%m" in change[1]:
        text = text.replace("%x = load", "%m = load m[i, j] : float32  %x = load")
    text = text.replace(*change)
    if "quotient" in text:
        text = text.replace("float32", "int32").replace("0.0", "0")
    kernel = schedule_gpu(sized(text, M=20, N=20, K=40), GPU)
    sums = [s for s in statements(kernel.body) if isinstance(s, Loop) and s.kind is LoopKind.SERIAL]
    assert len(sums) == 3  # along k: the steps, the products of one, and the rest of them
    for loop in sums[1:]:
        assert any(isinstance(s, Guard) for s in statements(loop.body)) == is_guarded


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize(("r", "n"), [(1, 32), (3, 50), (300, 40), (2, 700), (0, 33)])
def test_rows(r: int, n: int, target: Target) -> None:
    check(sized(ROWS, R=r, N=n), target)


def test_a_row_is_a_group_and_what_crosses_items_is_local() -> None:
    scheduled = check(sized(ROWS, R=3, N=50), GPU)
    assert [s.name for s in scratch_of(scheduled, Scope.LOCAL)] == ["lane"]
    (nest,) = scheduled.body
    assert isinstance(nest, Loop)
    kinds = ["barrier" if isinstance(s, Barrier) else "" for s in nest.body]
    assert kinds.count("barrier") == 2  # before the tree, and before the row is read


def test_rows_that_do_not_fit_local_memory_are_one_to_an_item() -> None:
    text = ROWS.replace("lane[", "big[").replace(
        "scratch lane : float32[16]", "scratch big : float32[500]"
    )
    assert not scratch_of(check(sized(text, R=3, N=50), SMALL), Scope.LOCAL)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_a_scatter_keeps_its_order(target: Target) -> None:
    scheduled = check(parse_kernel(SCATTER), target)
    assert isinstance(scheduled.body[1], Barrier)


def test_loops_are_not_exchanged_where_iterations_meet() -> None:
    """In every step an item adds to the place of another: the steps must stay in order."""
    text = """kernel k(x: float32[7, 32] in, y: float32[32] out) {
      for r < 1 parallel {
        scratch t : float32[32] register
        for i < 32 parallel { %z = literal() 0.0 : float32  store t[i] = %z }
        for s < 7 serial { for l < 32 parallel {
          %a = load x[s, l] : float32  %o = load t[((5*s + l) mod 32)] : float32
          %n = add(%a, %o) : float32  store t[((5*s + l) mod 32)] = %n } }
        for j < 32 parallel { %r = load t[j] : float32  store y[j] = %r } } }"""
    scheduled = check(parse_kernel(text), GPU)
    assert "for s < 7 serial {\n      barrier" in print_kernel(scheduled)


@pytest.mark.parametrize(
    ("place", "is_own"),
    [("l", True), ("16*s + l", True), ("-2*l + 32*s + 31", True), ("8*s + l", False),
     ("15*s + 2*l", False), ("((l + s) mod 16)", False)],
)  # fmt: skip
def test_items_go_on_alone_where_their_places_are_their_own(place: str, is_own: bool) -> None:
    text = f"""kernel k(x: float32[3, 16] in, y: float32[112] inout) {{
      for r < 1 parallel {{
        scratch t : float32[112] register
        for z < 112 parallel {{ %z = literal() 0.0 : float32  store t[z] = %z }}
        for s < 3 serial {{ for l < 16 parallel {{
          %a = load x[s, l] : float32  store t[{place}] = %a }} }}
        for j < 112 parallel {{ %r = load t[j] : float32  store y[j] = %r }} }} }}"""
    lines = print_kernel(check(parse_kernel(text), GPU))
    assert ("for s < 3 serial {\n        %a" in lines) == is_own


def test_statements_outside_of_loops_are_one_group() -> None:
    text = """kernel k(x: float32[3] in, y: float32[3] out) {
      scratch t : float32[3] register
      for i < 3 parallel { %a = load x[i] : float32  store t[i] = %a }
      %b = load t[1] : float32
      store y[0] = %b
      for j < 2 parallel { %c = load t[-1*j + 2] : float32  store y[j + 1] = %c } }"""
    check(parse_kernel(text), GPU)


def with_places(text: str) -> Kernel:
    """Return a group over `text`, where `write P` and `read P` access the local scratch at P."""
    parts = re.split(r"(write|read) (.*?);", text)
    body = parts[0]
    triples = zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    for n, (verb, place, rest) in enumerate(triples):
        made = f"%v{n} = literal() 1.0 : float32 store t[{place}] = %v{n}"
        body += (made if verb == "write" else f"%v{n} = load t[{place}] : float32") + rest
    scratch = "scratch t : float32[9] local"
    return parse_kernel(f"kernel k(x: float32[1] in) {{ for g < 2 group {{ {scratch} {body} }} }}")


BARRIERS = {
    "own places": ("for i < 9 item { write i; } for j < 5 item { read j; }", 0),
    "other places": ("for i < 9 item { write i; } for j < 5 item { read j + 1; }", 1),
    "read, then written": ("for i < 9 item { read i; } for j < 5 item { write -1*j + 8; }", 1),
    "only read": ("for i < 9 item { read 2; } for j < 5 item { read 3; }", 0),
    "the first item": ("for i < 1 item { write 3; } for j < 1 item { read 3; }", 0),
    "the first item, then all": (
        "for i < 1 item { write 3; } read 3; for j < 9 item { read 4; }",
        1,
    ),
    "round a loop": (
        "for s < 3 serial { for i < 9 item { read 0; } for j < 9 item { write j; } }",
        2,
    ),
    "round a loop, own": (
        "for s < 3 serial { for i < 9 item { write i; } for j < 9 item { read j; } }",
        0,
    ),
    "own places of different nests": (
        "for i < 3 item { for j < 2 item { write 0; } } for k < 2 item { read 1; }",
        1,
    ),
    "two writers": ("for i < 9 item { write i; } for j < 9 item { write -1*j + 8; }", 1),
    "anybody twice": ("for i < 9 item { write 2; } for j < 9 item { write 3; }", 1),
    "the first item, then each its own": (
        "for i < 1 item { write 3; } for j < 9 item { read j; }",
        1,
    ),
    "nests of one extent": (
        "for i < 3 item { for j < 3 item { write 3*i + j; } } for k < 9 item { read k; }",
        1,
    ),
}


@pytest.mark.parametrize(("text", "count"), BARRIERS.values(), ids=BARRIERS.keys())
def test_barriers_stand_where_they_are_needed(text: str, count: int) -> None:
    (group,) = with_places(text).body
    assert isinstance(group, Loop)
    body = with_barriers(group.body)
    assert sum(isinstance(s, Barrier) for s in statements(body)) == count
