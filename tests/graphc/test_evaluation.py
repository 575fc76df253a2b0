"""`graphc.evaluate` computes what needs no input, and refuses the rest."""

from __future__ import annotations

import pytest

import graphc


def test_evaluate_gives_values_of_tensors_without_inputs() -> None:
    assert graphc.evaluate(graphc.arange(3) * 2).tolist() == [0, 2, 4]
    first, second = graphc.evaluate(graphc.arange(2), graphc.eye(2))
    assert first.tolist() == [0, 1] and second.tolist() == [[1, 0], [0, 1]]
    with pytest.raises(graphc.GraphcValueError, match=r"the input x \(float32\[3\]\)") as caught:
        graphc.evaluate(graphc.ones((2,)), graphc.input((3,), name="x") + 1)
    assert "graphc.compile" in caught.value.hint and "graphc.input((3,)" in caught.value.line


def test_what_is_no_tensor_is_refused() -> None:
    with pytest.raises(graphc.GraphcTypeError, match="int is no tensor"):
        graphc.evaluate(3)  # type: ignore[arg-type]  # the mistake
