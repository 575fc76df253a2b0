"""Words read as one: before and after as text, and the bits of both by the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernel_interpreter import run
from graphc.kernel_text import parse_kernel
from graphc.kernel_verifier import verify
from graphc.passes.join_words import join_words
from graphc.passes.loop_analysis import buffer_shapes

KERNEL = """kernel k(x: int8[4, {columns}] in, y: uint16[4, 3] out, z: uint32[4, 2] out) {{
  for i < 4 parallel {{
    for j < 3 parallel {{
      %a = load x[i, 2*j{shift}] : int8
      %b = load x[i, 2*j + {next}] : int8
      %c = pair(%a, %b) : uint16
      store y[i, j] = %c
    }}
    for m < 2 parallel {{
      %d = load x[i, 4*m] : int8
      %e = load x[i, 4*m + 1] : int8
      %f = load x[i, 4*m + 2] : int8
      %g = load x[i, 4*m + 3] : int8
      %h = pair(%d, %e) : uint16
      %k = pair(%f, %g) : uint16
      %l = pair(%h, %k) : uint32
      store z[i, m] = %l
    }}
  }}
}}"""
PAIR = "%c = load x[i, 2*j] by 2 : uint16"
QUAD = "%l = load x[i, 4*m] by 4 : uint32"


@pytest.mark.parametrize(
    ("columns", "shift", "next_", "joined"),
    [
        (8, "", 1, [PAIR, QUAD]),
        (10, "", 1, [PAIR]),  # rows do not begin at a multiple of four: pairs of pairs
        (9, "", 1, []),
        (8, " + 1", 2, [QUAD]),
        (8, "", 2, [QUAD]),
    ],
)
def test_neighbours_are_read_as_words(
    columns: int, shift: str, next_: int, joined: list[str]
) -> None:
    before = parse_kernel(KERNEL.format(columns=columns, shift=shift, next=next_))
    after = before.with_body(join_words(before.body, buffer_shapes(before)))
    verify(after)
    text = str(after)
    assert [line for line in (PAIR, QUAD) if line in text] == joined
    assert ("%a" in text) is (PAIR not in joined)
    assert ("%k = pair" in text) is (columns == 9)
    found = []
    for kernel in (before, after):
        x = np.arange(4 * columns, dtype=np.int8).reshape(4, columns)
        y, z = np.zeros((4, 3), np.uint16), np.zeros((4, 2), np.uint32)
        run(kernel, {"x": x, "y": y, "z": z})
        found.append((y.tolist(), z.tolist()))
    assert found[0] == found[1]
