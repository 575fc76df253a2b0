"""A compiled function shows the stages of the program that it compiled last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphc
from graphc import nn

ONES = np.ones((2, 3), np.float32)


def test_a_function_shows_the_program_that_was_compiled_last(tmp_path: Path) -> None:
    dropout = nn.Dropout(0.5, seed=0)
    drop = graphc.compile(lambda x: dropout(x) + 1)
    with pytest.raises(graphc.GraphcValueError, match="is not compiled yet"):
        drop.draw(tmp_path / "none.svg")
    with pytest.raises(graphc.GraphcValueError, match="is not compiled yet"):
        _ = drop.graph
    drop(ONES)
    trained = drop.text()
    assert trained == drop.programs[0].text() and "float32[2, 3]" in drop.explain()
    drop(np.ones(7, np.float32))
    assert "float32[7]" in drop.text() and "kernel" in drop.text("kernels")
    dropout.eval()
    drop(ONES)  # the types of the first program, in another mode
    assert drop.text() == drop.programs[2].text() != trained
    assert drop.graph is drop.programs[2].graph and drop.kernels == drop.programs[2].kernels
    drop.draw(tmp_path / "drop.svg", groups=False)
    assert "float32[2, 3]" in (tmp_path / "drop.svg").read_text()
    scale = graphc.compile(lambda pair, factor: pair["x"] * factor)
    profile = scale.profile({"x": ONES}, factor=3, repeat=1)
    assert [row.bytes for row in profile.rows] == [48] and len(scale.programs) == 1
