"""Fetching the next row: in the last pass over a row, where rows come from a far cache."""

from __future__ import annotations

import pytest

from graphc.kernel_text import parse_kernel
from graphc.kernel_verifier import verify
from graphc.passes.memory_hints import add_memory_hints
from graphc.target import Target
from tests.passes.test_memory_hints import ROWS

FAR = Target("far", "cpu", 64, 32, 2, cache_bytes=(256, 4096, 10**6))


def test_the_last_pass_asks_for_the_next_row_and_its_results() -> None:
    hinted = add_memory_hints(parse_kernel(ROWS), FAR)
    hints = "prefetch x[i + 1, l] into 1\n      prefetch y[i + 1, l] into 1"
    assert str(hinted) == ROWS.replace("%b = load", f"{hints}\n      %b = load")
    verify(hinted)


def test_each_of_the_rows_of_an_iteration_is_fetched() -> None:
    text = ROWS.replace("i < 64", "i < 32").replace("x[i, l]", "x[2*i, l]")
    text = text.replace("y[i, l]", "y[2*i, l]")
    inside = text[text.index("    scratch") : text.index("    %g")]
    other = inside.replace("2*i", "2*i + 1").replace("total", "other")
    for name in "abcdef":
        other = other.replace(f"%{name}", f"%{name}{name}")
    hinted = str(add_memory_hints(parse_kernel(text.replace("    %g", f"{other}    %g")), FAR))
    assert hinted.count("prefetch") == 4
    assert "prefetch x[2*i + 2, l]" in hinted and "prefetch x[2*i + 3, l]" in hinted


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("%a = load x[i, l]", "%a = load x[l, i]"),  # one pass alone reads rows
        ("load x[i, l]", "load x[l, i]"),  # they read columns
        ("load x[i, l]", "load x[0, l]"),  # each reads the same row
    ],
)
def test_nothing_else_is_fetched(old: str, new: str) -> None:
    assert "prefetch" not in str(add_memory_hints(parse_kernel(ROWS.replace(old, new)), FAR))


def test_near_rows_are_not_fetched() -> None:
    near = Target("near", "cpu", 64, 32, 2, cache_bytes=(256, 10**5, 10**6))
    assert add_memory_hints(parse_kernel(ROWS), near) == parse_kernel(ROWS)
