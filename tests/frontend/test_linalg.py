"""graphc.linalg against NumPy, and what it raises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.ops.loops import items

Array = np.ndarray[Any, Any]


def definite(*shape: int, dtype: str = "float64") -> Array:
    a = np.random.default_rng(0).standard_normal(shape)
    matrices = a @ np.swapaxes(a, -1, -2) + np.eye(shape[-1])
    return np.asarray((matrices + np.swapaxes(matrices, -1, -2)) / 2).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 3), (5, 4, 4), (2, 3, 2, 2), (0, 2, 2), (1, 1)])
def test_cholesky_is_numpys(shape: tuple[int, ...], dtype: str) -> None:
    a = definite(*shape, dtype=dtype)
    lower: Any = graphc.compile(graphc.linalg.cholesky)(a)
    assert lower.tobytes() == np.linalg.cholesky(a).tobytes()
    upper: Any = graphc.compile(lambda a: graphc.linalg.cholesky(a, upper=True))(a)
    assert upper.tobytes() == np.ascontiguousarray(np.swapaxes(lower, -1, -2)).tobytes()


def test_the_gradient_of_a_determinant() -> None:
    """log |a| is twice the sum of the logarithms on the factor's diagonal; its gradient a^-1."""

    def log_determinant(a: graphc.Tensor) -> graphc.Tensor:
        factor = graphc.linalg.cholesky(a)
        diagonal = (factor * graphc.eye(4, dtype="float64")).sum(axis=-1)
        return 2 * graphc.log(diagonal).sum()

    a = definite(3, 4, 4)
    given = graphc.compile(graphc.grad(log_determinant))(a)
    np.testing.assert_allclose(given, np.linalg.inv(a), rtol=1e-10, atol=1e-12)


def test_what_has_no_factor() -> None:
    factor = graphc.compile(graphc.linalg.cholesky)
    for _ in range(5):
        with pytest.raises(GraphcValueError, match="not positive definite") as caught:
            factor(-np.eye(3, dtype=np.float32))
        assert caught.value.hint
    with pytest.raises(ShapeError, match="square"):
        graphc.linalg.cholesky(graphc.input((2, 3)))
    with pytest.raises(ShapeError, match="square"):
        graphc.linalg.cholesky(graphc.input((3,)))
    with pytest.raises(GraphcTypeError, match="floats"):
        graphc.ops.cholesky(graphc.input((3, 3), "int64").node)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["svd", "eigh", "pinv"])
def test_values_that_are_not_finite_are_refused_at_every_size(
    name: str, value: float, size: int
) -> None:
    a = np.eye(size)
    a[-1, 0] = value  # in the lower triangle
    function = graphc.compile(getattr(graphc.linalg, name))
    with pytest.raises(GraphcValueError, match=r"test_linalg\.py"):
        function(a)


def test_eigenvalues_do_not_look_at_the_upper_triangle() -> None:
    a = graphc.input((2, 2), "float64", name="a")
    values = graphc.Tensor(items(graphc.ops.eigh(a.node))[0])
    given = graphc.compile([values], inputs=[a])(np.array([[2.0, np.nan], [0.0, 3.0]]))
    assert given[0].tolist() == [2, 3]


def test_full_matrices_are_refused_where_they_differ() -> None:
    """NumPy's words for what is here are taken; what is not here is no silent reduction."""
    random = np.random.default_rng(0)
    square, tall, wide = (random.normal(size=shape) for shape in ((3, 3), (4, 3), (3, 4)))
    for matrix, full in ((square, False), (tall, False), (wide, False), (square, True)):
        found = graphc.compile(lambda x, full=full: graphc.linalg.svd(x, full_matrices=full)[1])
        np.testing.assert_allclose(found(matrix), np.linalg.svd(matrix)[1], atol=1e-12)
    complete = graphc.compile(lambda x: graphc.linalg.qr(x, mode="complete")[0])
    np.testing.assert_allclose(complete(wide), np.linalg.qr(wide, "complete")[0], atol=1e-12)
    for wrong in (
        lambda x: graphc.linalg.svd(x, full_matrices=True),
        lambda x: graphc.linalg.qr(x, mode="complete"),
        lambda x: graphc.linalg.qr(x, mode="r"),
    ):
        with pytest.raises(GraphcValueError, match=r"full matrices|complete q|mode is"):
            graphc.compile(wrong)(tall)
