"""Types of tensors: what is a shape, and how large one may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import dtypes
from graphc.errors import GraphcError, GraphcTypeError, GraphcValueError, ShapeError
from graphc.tensor_type import MAX_RANK, TensorType, as_shape, read_type, tensor_type

X = graphc.input((2,), name="x")
MISTAKES: list[tuple[Callable[[], Any], type[GraphcError], str]] = [
    (lambda: graphc.broadcast_to(X[:1], (2**40, 2**30)), ShapeError, "fewer than 2..63 bytes"),
    (lambda: graphc.input((2**60, 0, 2**3)), ShapeError, "fewer than 2..63 bytes"),
    (lambda: graphc.linspace(0, 1, 2**70), ShapeError, "fewer than 2..63 bytes"),
    (lambda: graphc.arange(2**62), ShapeError, "fewer than 2..63 bytes"),
    (lambda: X[:, None] + graphc.zeros((2**62, 1, 1), "int8"), ShapeError, "fewer than 2..63"),
    (lambda: graphc.reshape(X, (1,) * 69 + (2,)), ShapeError, "at most 64 axes, not 70"),
    (lambda: graphc.input((1,) * 65), ShapeError, "at most 64 axes, not 65"),
    (lambda: graphc.input((True,)), GraphcTypeError, "made of integers"),
    (lambda: graphc.zeros(True), GraphcTypeError, "made of integers"),
    (lambda: X.reshape((2, True)), GraphcTypeError, "integers are needed"),
    (lambda: graphc.input((2.0,)), GraphcTypeError, "made of integers"),  # type: ignore[arg-type]  # the mistake
    (lambda: graphc.input((2, -1)), ShapeError, "no negative extents"),
]


@pytest.mark.parametrize(("mistake", "kind", "message"), MISTAKES)
def test_what_is_no_shape_names_the_line(
    mistake: Callable[[], Any], kind: type[GraphcError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        mistake()
    assert caught.value.line.startswith(f"{__file__}:{mistake.__code__.co_firstlineno}")


def test_the_largest_types() -> None:
    assert tensor_type((2**63 - 1,), "int8").nbytes == 2**63 - 1
    assert tensor_type((2**60 - 1, 0), "float64").size == 0
    assert tensor_type((1,) * MAX_RANK).rank == MAX_RANK
    with pytest.raises(ShapeError):
        TensorType((2**61,), dtypes.float32)


def test_extents_of_every_integer_type() -> None:
    assert as_shape(np.int8(3)) == (3,)
    assert as_shape([np.int64(2), 3]) == (2, 3)
    assert as_shape(np.array([2, 3])) == (2, 3)
    assert as_shape(n for n in (4, 5)) == (4, 5)
    assert as_shape(()) == ()


def test_types_are_read_as_they_print() -> None:
    for type_ in (tensor_type(()), tensor_type((2, 0, 3), "int8"), tensor_type((7,), "bfloat16")):
        assert read_type(f" {type_} ") == type_
    for text in ("x", "float32", "float33[2]", "float32[-1]", "float32[1 2]", "float32[2]]"):
        with pytest.raises(GraphcValueError, match="is no type"):
            read_type(text)
