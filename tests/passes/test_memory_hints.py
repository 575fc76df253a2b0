"""Memory hints: what is larger than the caches is stored past them and fetched ahead, once."""

from __future__ import annotations

import pytest

from graphc.kernel import Access, Prefetch, Store, statements
from graphc.kernel_text import parse_kernel
from graphc.passes.memory_hints import AHEAD, add_memory_hints
from graphc.target import Target

SMALL_CACHES = Target("small", "cpu", 64, 32, 2, cache_bytes=(256, 512, 4096))
ROWS = """\
kernel rows(x: float32[64, 64] in, w: float32[64] in, y: float32[64, 64] out, z: float32[64] out) {
  for i < 64 parallel {
    scratch total : float32[64] register
    for l < 64 vector {
      %a = load x[i, l] : float32
      store total[l] = %a
    }
    for l < 64 vector {
      %b = load x[i, l] : float32
      %c = load w[l] : float32
      %d = load total[l] : float32
      %e = mul(%b, %c) : float32
      %f = add(%d, %e) : float32
      store y[i, l] = %f
    }
    %g = load total[0] : float32
    store z[i] = %g
  }
}
"""


def test_large_buffers_get_hints_where_they_are_first_read_and_written() -> None:
    kernel = parse_kernel(ROWS)
    text = str(add_memory_hints(kernel, SMALL_CACHES))
    hint = f"prefetch x[i, l + {AHEAD // 4}] into 1\n      %a = load x[i, l]"
    hinted = ROWS.replace("%a = load x[i, l]", hint)
    assert text == hinted.replace("store y[i, l] = %f", "store y[i, l] = %f streaming")


def test_what_fits_in_the_caches_gets_none() -> None:
    kernel = parse_kernel(ROWS)
    assert add_memory_hints(kernel, Target("large", "cpu", 64, 32, 2)) == kernel


@pytest.mark.parametrize(
    "load",
    ["x[l, i]", "x[((i + l) mod 64), 0]", "x[i, l] where %p", "x[%n{0..63}, l]"],
)
def test_only_adjacent_elements_are_fetched_ahead(load: str) -> None:
    kernel = parse_kernel(
        f"""kernel k(x: float32[64, 64] in, y: float32[64, 64] out) {{
          for i < 64 parallel {{
            %n = index(i) : int64
            %p = literal() true : bool
            for l < 64 vector {{
              %a = load {load} : float32
              store y[i, l] = %a
            }}
          }}
        }}"""
    )
    found = add_memory_hints(kernel, SMALL_CACHES)
    assert not any(isinstance(s, Prefetch) for s in statements(found.body))


def test_what_is_gathered_does_not_count() -> None:
    kernel = parse_kernel(
        """kernel k(x: float32[1024, 64] in, n: int64[16] in, y: float32[16, 64] out) {
          for i < 16 parallel {
            %n = load n[i] : int64
            for l < 64 vector {
              %a = load x[%n{0..1023}, l] : float32
              store y[i, l] = %a
            }
          }
        }"""
    )
    assert add_memory_hints(kernel, Target("c", "cpu", 64, 32, 2, (256, 512, 8192))) == kernel
    small = Target("c", "cpu", 64, 32, 2, (256, 512, 4096))
    assert str(add_memory_hints(kernel, small)).count("streaming") == 1


def test_what_is_read_again_and_again_or_read_and_written_gets_none() -> None:
    kernel = parse_kernel(
        """kernel k(x: float32[64, 64] in, y: float32[64, 64] out) {
          for i < 64 parallel {
            for k < 64 serial {
              for l < 64 vector {
                %a = load x[k, l] : float32
                %b = load y[i, l] : float32
                %c = add(%a, %b) : float32
                store y[i, l] = %c
              }
            }
          }
        }"""
    )
    assert kernel.buffer("y").access is Access.OUT
    found = add_memory_hints(kernel, SMALL_CACHES)
    assert not any(isinstance(s, Prefetch) for s in statements(found.body))
    assert not any(s.is_streaming for s in statements(found.body) if isinstance(s, Store))


COLUMNS = """\
kernel sums(x: float32[64, 64] in, y: float32[64] out) {
  for i < 64 vector {
    scratch total : float32[] register
    %zero = literal() 0.0 : float32
    store total[] = %zero
    for k < 64 serial {
      %a = load x[k, i] : float32
      %b = load total[] : float32
      %c = add(%b, %a) : float32
      store total[] = %c
    }
    %d = load total[] : float32
    store y[i] = %d
  }
}
"""
LAST_HOLDS_IT = Target("last", "cpu", 64, 32, 2, cache_bytes=(256, 512, 2**20))


@pytest.mark.parametrize("target", [SMALL_CACHES, LAST_HOLDS_IT])
def test_sums_of_adjacent_vectors_are_fetched_ahead_from_memory_and_the_last_cache(
    target: Target,
) -> None:
    text = str(add_memory_hints(parse_kernel(COLUMNS), target))
    hint = f"prefetch x[k, i + {AHEAD // 4}] into 1\n      %a = load x[k, i]"
    assert text == COLUMNS.replace("%a = load x[k, i]", hint)


def test_vectors_that_are_not_adjacent_are_not() -> None:
    apart = COLUMNS.replace("i < 64 vector", "i < 32 vector").replace(
        "y: float32[64]", "y: float32[32]"
    )
    kernel = parse_kernel(apart)
    assert add_memory_hints(kernel, SMALL_CACHES) == kernel


def test_what_is_written_to_the_last_cache_too_gets_none() -> None:
    kernel = parse_kernel(
        ROWS.replace("x[i, l] : float32\n      store", "x[0, l] : float32\n      store")
    )
    assert add_memory_hints(kernel, LAST_HOLDS_IT) == kernel
