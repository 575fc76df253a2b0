"""Which inputs of a kernel may be written over: by loops, guards and the order of statements."""

from __future__ import annotations

import pytest

from graphc import ops
from graphc.graph import Graph
from graphc.kernel import Access
from graphc.kernel_text import parse_kernel
from graphc.passes.fuse import fuse
from graphc.passes.in_place import replaceable_inputs
from graphc.passes.lower import lower
from graphc.passes.schedule import schedule
from tests.passes.networks import TARGET, matmul, placeholder, softmax


def test_what_is_read_elsewhere_is_not_overwritten() -> None:
    x = placeholder((16, 16))
    for result in (
        ops.permute_dims(x, axes=(1, 0)),
        ops.slice_(x, start=(15, 0), stop=(-1, 16), step=(-1, 1)),
        matmul(x, x),
        ops.add(x, ops.permute_dims(x, axes=(1, 0))),
    ):
        (naive,) = lower(fuse(Graph([x], [result]), TARGET)).kernels
        for kernel in (naive, schedule(naive, TARGET)):
            assert not replaceable_inputs(kernel)


def test_what_is_read_where_it_is_written_may_be_overwritten_scheduled_or_not() -> None:
    x, y = placeholder((37, 5)), placeholder((37, 5))
    (naive,) = lower(fuse(Graph([x, y], [ops.add(ops.exp(x), y)]), TARGET)).kernels
    for kernel in (naive, schedule(naive, TARGET)):
        assert replaceable_inputs(kernel) == {("x0", "y0"), ("x1", "y0")}


@pytest.mark.parametrize("shape", [(5, 7), (37, 100), (8, 1000)])
def test_rows_that_are_read_several_times_may_be_overwritten(shape: tuple[int, ...]) -> None:
    x, y = placeholder(shape), placeholder(shape)
    total = ops.add(x, y)
    for results in ([softmax(total)], [total, ops.sum_(total, axes=(1,))]):
        (naive,) = lower(fuse(Graph([x, y], results), TARGET)).kernels
        (out,) = (b.name for b in naive.buffers if b.access is Access.OUT and b.type == x.type)
        for kernel in (naive, schedule(naive, TARGET)):
            assert replaceable_inputs(kernel) == {("x0", out), ("x1", out)}


ROWS = """kernel k(x: float32[4, 8] in, y: float32[4, 8] out, z: float32[4] out) {
  for i < 4 %s {
    scratch a : float32[] register
    for j < 8 %s {
      %%a = load x[%s] : float32
      store a[] = %%a
    }
    for k < 8 %s {
      %%b = load a[] : float32
      store y[%s] = %%b
    }
    %%c = load a[] : float32
    store z[i] = %%c
  }
}"""


@pytest.mark.parametrize(
    ("kinds", "loaded", "stored", "may"),
    [
        (("parallel", "serial", "serial"), "i, j", "i, k", True),
        (("parallel", "vector", "serial"), "i, j", "i, -1*k + 7", True),
        (("parallel", "serial", "serial"), "i, ((3*j + 1) floordiv 4)", "i, k", False),
        (("parallel", "serial", "serial"), "-1*i + 3, j", "i, k", False),  # of another row
        (("parallel", "serial", "serial"), "i, j + -1", "i, k", False),  # of the row before, too
        (("parallel", "serial", "serial"), "((i + 1) mod 4), j", "i, k", False),
        (("group", "item", "item"), "i, j", "i, k", False),  # items do not wait for one another
    ],
)
def test_rows_are_told_from_what_other_iterations_write(
    kinds: tuple[str, ...], loaded: str, stored: str, may: bool
) -> None:
    outer, first, second = kinds
    kernel = parse_kernel(ROWS % (outer, first, loaded, second, stored))
    assert replaceable_inputs(kernel) == ({("x", "y")} if may else set())


def test_rows_that_are_written_before_they_are_read_are_not_overwritten() -> None:
    text = """kernel k(x: float32[4, 8] in, y: float32[4, 8] out, z: float32[4, 8] out) {
      for i < 4 parallel {
        for j < 8 vector { %a = load x[i, j] : float32 store y[i, j] = %a }
        for k < 8 vector { %b = load x[i, k] : float32 store z[i, k] = %b }
      }
    }"""
    assert replaceable_inputs(parse_kernel(text)) == {("x", "z")}


DELAYED = """kernel k(x: float32[12, 8] in, y: float32[12, 8] out, z: float32[12, 8] out) {
  for b < 3 parallel {
    for t < 6 serial {
      for j < 8 %s {
        if %s { %%a = load x[4*b + t + %s, j] : float32 store z[4*b + t + %s, j] = %%a }
        if %s { %%b = literal() 1.0 : float32 store y[4*b + t + %s, j] = %%b }
      }
    }
  }
}"""


@pytest.mark.parametrize(
    ("load", "store", "may"),
    [
        (("t < 4", 0), ("1 < t", -2), True),
        (("0 < t and t < 5", -1), ("1 < t", -2), True),
        (("1 < t", -2), ("1 < t", -2), True),  # in one turn, the load first
        (("1 < t", -2), ("t < 4", 0), False),  # the store comes first
        (("t < 4", 0), ("0 < t", -2), False),  # reaches the rows of another block
        (("t < 5", 0), ("1 < t", -2), False),
    ],
)
def test_rows_under_way_are_told_by_their_guards(
    load: tuple[str, int], store: tuple[str, int], may: bool
) -> None:
    text = DELAYED % ("vector", load[0], load[1], load[1], store[0], store[1])
    assert (("x", "y") in replaceable_inputs(parse_kernel(text))) is may


def test_turns_that_threads_share_come_in_no_order() -> None:
    text = DELAYED % ("vector", "t < 4", 0, 0, "1 < t", -2)
    shared = text.replace("t < 6 serial", "t < 6 parallel")
    assert ("x", "y") not in replaceable_inputs(parse_kernel(shared))


def test_nests_beside_one_another_do_not_wait() -> None:
    text = """kernel k(x: float32[8] in, y: float32[8] out, z: float32[8] out) {
      for i < 8 parallel { %a = load x[i] : float32 store z[i] = %a }
      for j < 8 parallel { %b = literal() 0.0 : float32 store y[j] = %b }
    }"""
    assert replaceable_inputs(parse_kernel(text)) == {("x", "z")}
