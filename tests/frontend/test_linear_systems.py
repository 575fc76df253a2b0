"""graphc.linalg's systems, factorisations and norms against NumPy; gradients; what they raise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import linalg
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError

Array = np.ndarray[Any, Any]
SHAPES = [(3, 3), (4, 2), (2, 4), (3, 5, 5), (2, 3, 4, 3), (0, 3, 3), (1, 1)]
SQUARES = [shape for shape in SHAPES if shape[-1] == shape[-2]]
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def matrix(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> Array:
    x = np.random.default_rng(seed).uniform(-1, 1, shape)
    diagonal = np.eye(shape[-2], shape[-1]) * np.arange(2.0, 2.0 + 2 * shape[-1], 2.0)
    return np.asarray(x + diagonal).astype(dtype)


def mirrored(a: Array) -> Array:
    return np.asarray((a + np.swapaxes(a, -1, -2)) / 2)


UNARY: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "inv": (linalg.inv, np.linalg.inv),
    "det": (linalg.det, np.linalg.det),
    "slogdet": (linalg.slogdet, np.linalg.slogdet),
    "power": (lambda a: linalg.matrix_power(a, 5), lambda a: np.linalg.matrix_power(a, 5)),
    "power_0": (lambda a: linalg.matrix_power(a, 0), lambda a: np.linalg.matrix_power(a, 0)),
    "root": (lambda a: linalg.matrix_power(a, -2), lambda a: np.linalg.matrix_power(a, -2)),
    "eigh": (linalg.eigh, lambda a: np.linalg.eigh(mirrored(a))),
    "eigvalsh": (linalg.eigvalsh, lambda a: np.linalg.eigvalsh(mirrored(a))),
}
ANY: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "pinv": (linalg.pinv, np.linalg.pinv),
    "qr": (linalg.qr, np.linalg.qr),
    "svd": (linalg.svd, lambda a: np.linalg.svd(a, full_matrices=False)),
    "svdvals": (linalg.svdvals, np.linalg.svdvals),
    "trace": (linalg.trace, lambda a: np.trace(a, axis1=-2, axis2=-1)),
    "diagonal": (linalg.diagonal, np.linalg.diagonal),
    "up": (lambda a: linalg.diagonal(a, offset=1), lambda a: np.linalg.diagonal(a, offset=1)),
    "down": (lambda a: linalg.trace(a, offset=-1), lambda a: np.linalg.trace(a, offset=-1)),
    "off": (lambda a: linalg.diagonal(a, offset=9), lambda a: np.linalg.diagonal(a, offset=9)),
    **{
        f"norm_{order}": (
            lambda a, order=order: linalg.matrix_norm(a, ord=order),
            lambda a, order=order: np.linalg.matrix_norm(a, ord=order),
        )
        for order in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    },
    **{
        f"vector_{order}": (
            lambda a, order=order: linalg.vector_norm(a, axis=-1, ord=order, keepdims=True),
            lambda a, order=order: np.linalg.vector_norm(a, axis=-1, ord=order, keepdims=True),
        )
        for order in (0, 1, 2, 3, 0.5, -1, np.inf, -np.inf)
    },
    "norm": (linalg.norm, np.linalg.norm),
    "norm_axis": (
        lambda a: linalg.norm(a, 2, axis=(-1, 0), keepdims=True),
        lambda a: np.linalg.norm(a, 2, axis=(-1, 0), keepdims=True),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*UNARY, *ANY])
def test_values_are_numpys(name: str, dtype: str) -> None:
    ours, numpys = (UNARY | ANY)[name]
    for shape in SQUARES if name in UNARY else SHAPES:
        if shape[0] == 0 and name == "norm_axis":
            continue
        a = matrix(shape, dtype)
        got, want = graphc.compile(ours)(a), numpys(a)
        pairs = zip(got, want, strict=True) if isinstance(got, tuple) else [(got, want)]
        for left, right in pairs:
            assert left.dtype == np.dtype(dtype)
            np.testing.assert_allclose(
                left, right, rtol=100 * TOLERANCE[dtype], atol=10 * TOLERANCE[dtype]
            )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("left", "right"),
    [((3, 3), (3,)), ((3, 3), (3, 2)), ((5, 3, 3), (3, 2)), ((2, 2), (4, 2, 1)), ((5, 3, 3), (3,)),
     ((2, 1, 3, 3), (4, 3, 2))],
)  # fmt: skip
def test_solutions(left: tuple[int, ...], right: tuple[int, ...], dtype: str) -> None:
    a, b = matrix(left, dtype), np.random.default_rng(1).uniform(-1, 1, right).astype(dtype)
    for solver in (linalg.solve, linalg.lstsq):
        x = graphc.compile(solver)(a, b)
        np.testing.assert_allclose(x, np.linalg.solve(a, b), atol=TOLERANCE[dtype])


@pytest.mark.parametrize("lower", [False, True])
def test_triangular_systems(lower: bool) -> None:
    a, b = matrix((2, 3, 3)), np.random.default_rng(1).uniform(-1, 1, 3)
    want = np.linalg.solve(np.tril(a) if lower else np.triu(a), b)
    got = graphc.compile(lambda a, b: linalg.solve_triangular(a, b, lower=lower))(a, b)
    np.testing.assert_allclose(got, want, atol=1e-12)


def test_ranks() -> None:
    a = np.stack([np.diag([1.0, 0, 0]), np.eye(3), np.zeros((3, 3)), np.diag([1, 1e-3, 0])])
    for rtol in (None, 1e-2):
        got = graphc.compile(lambda a, r=rtol: linalg.matrix_rank(a, rtol=r))(a)
        np.testing.assert_array_equal(got, [1, 3, 0, 2 if rtol is None else 1])
    assert graphc.compile(linalg.matrix_rank)(np.zeros((0, 3))) == 0


@pytest.mark.parametrize("shape", [(5, 3), (3, 5)])
def test_least_squares(shape: tuple[int, int]) -> None:
    a, b = matrix(shape), np.random.default_rng(1).uniform(-1, 1, (shape[0], 2))
    want = np.linalg.lstsq(a, b)[0]
    np.testing.assert_allclose(graphc.compile(linalg.lstsq)(a, b), want, atol=1e-12)
    np.testing.assert_allclose(graphc.compile(linalg.lstsq)(a, b[:, 0]), want[:, 0], atol=1e-12)


SCALARS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "solve": (lambda a: linalg.solve(a, a[..., :2] * a[..., :2]).sum(), (3, 3)),
    "inv": (lambda a: linalg.inv(a).sum(), (2, 3, 3)),
    "det": (lambda a: linalg.det(a).sum(), (2, 3, 3)),
    "slogdet": (lambda a: linalg.slogdet(a)[1].sum(), (3, 3)),
    "pinv": (lambda a: (linalg.pinv(a) ** 3).sum(), (4, 3)),
    "pinv_wide": (lambda a: (linalg.pinv(a) ** 3).sum(), (2, 3)),
    "lstsq": (lambda a: (linalg.lstsq(a, a[:, 0] ** 2) ** 2).sum(), (4, 3)),
    "lstsq_wide": (lambda a: (linalg.lstsq(a, a[:, 0] ** 2) ** 2).sum(), (2, 4)),
    "qr": (lambda a: (linalg.qr(a)[0] ** 3).sum() + (linalg.qr(a)[1] ** 3).sum(), (4, 3)),
    "qr_wide": (lambda a: (linalg.qr(a)[0] ** 3).sum() + (linalg.qr(a)[1] ** 3).sum(), (2, 4)),
    "svd": (lambda a: sum((r**4).sum() for r in linalg.svd(a)), (4, 3)),
    "svd_wide": (lambda a: sum((r**4).sum() for r in linalg.svd(a)), (2, 2, 3)),
    "svdvals": (lambda a: (linalg.svdvals(a) ** 3).sum(), (3, 3)),
    "eigh": (lambda a: sum((r**4).sum() for r in linalg.eigh(a)), (3, 3)),
    "nuclear": (lambda a: linalg.matrix_norm(a, ord="nuc"), (3, 3)),
    "frobenius": (linalg.norm, (3, 3)),
    "power": (lambda a: linalg.matrix_power(a, 3).sum() + linalg.trace(a) ** 2, (3, 3)),
    "inverse_power": (lambda a: linalg.matrix_power(a, -2).sum(), (3, 3)),
    "norm_3": (lambda a: linalg.vector_norm(a, ord=3), (3, 4)),
}


@pytest.mark.parametrize("name", SCALARS)
def test_gradients_of_both_orders(name: str) -> None:
    function, shape = SCALARS[name]
    graphc.check_grads(function, matrix(shape, seed=3), order=2)


def test_batches_of_one_example() -> None:
    a = matrix((4, 5, 3))
    for function in (linalg.svd, linalg.qr, linalg.pinv, lambda a: linalg.norm(a, "nuc")):
        got, want = graphc.compile(graphc.vmap(function))(a), [function(example) for example in a]
        columns = zip(*want, strict=True) if isinstance(want[0], tuple) else [want]
        for left, right in zip(got if isinstance(got, tuple) else [got], columns, strict=True):
            stacked = np.stack([graphc.evaluate(one) for one in right])
            np.testing.assert_allclose(left, stacked, atol=1e-13)


# --- at the edge ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (linalg.inv, "inv"),
        (lambda a: linalg.solve(a, a), "solve"),
        (graphc.grad(lambda a: linalg.slogdet(a)[1]), "inv"),
        (graphc.grad(lambda a: linalg.qr(a)[0].sum()), "solve_triangular"),
        (graphc.grad(lambda a: graphc.grad(linalg.det)(a).sum()), "inv"),
    ],
)
def test_a_singular_matrix_is_refused(function: Callable[..., Any], operation: str) -> None:
    singular = np.array([[1.0, 0.0], [2.0, 0.0]])
    with pytest.raises(GraphcValueError, match=f"{operation}: a matrix is singular") as caught:
        graphc.compile(function)(singular)
    assert caught.value.hint and "test_linear_systems.py" in str(caught.value)


def test_singular_matrices_that_have_a_derivative() -> None:
    """That of det is the cofactors; those of a matrix of rank n - 2 are 0."""
    slope = graphc.compile(graphc.grad(linalg.det))
    np.testing.assert_allclose(slope(np.array([[1.0, 2.0], [2.0, 4.0]])), [[4, -2], [-2, 1]])
    np.testing.assert_allclose(slope(np.zeros((3, 3))), np.zeros((3, 3)))
    found: Any = graphc.compile(linalg.slogdet)(np.zeros((2, 2)))
    assert [float(part) for part in found] == [0, -np.inf]


def test_equal_values() -> None:
    """Of values alone there is a derivative; of their vectors there is none, and no NaN."""
    identity = np.eye(3)
    nuclear = graphc.grad(lambda a: linalg.matrix_norm(a, ord="nuc"))
    np.testing.assert_allclose(graphc.compile(nuclear)(identity), identity)
    total = graphc.grad(lambda a: linalg.eigvalsh(a).sum())
    np.testing.assert_allclose(graphc.compile(total)(identity), identity)
    for vectors in (
        lambda a: linalg.svd(a)[0],
        lambda a: linalg.svd(a)[2],
        lambda a: linalg.eigh(a)[1],
    ):
        slope = graphc.compile(graphc.grad(lambda a, f=vectors: (f(a) ** 3).sum()))
        with pytest.raises(GraphcValueError, match="two values are equal") as caught:
            slope(identity)
        assert "test_linear_systems.py" in str(caught.value)
    tall = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    with pytest.raises(GraphcValueError, match="two values are equal"):
        graphc.compile(graphc.grad(lambda a: (linalg.svd(a)[0] ** 3).sum()))(tall)


def test_norms_at_the_origin() -> None:
    for function in (linalg.norm, lambda a: linalg.vector_norm(a, ord=3)):
        slope: Any = graphc.compile(graphc.grad(function))(np.zeros((2, 3)))
        np.testing.assert_array_equal(slope, np.zeros((2, 3)))


@pytest.mark.parametrize("function", [linalg.svd, linalg.eigh, linalg.pinv])
def test_what_is_not_finite(function: Callable[..., Any]) -> None:
    with pytest.raises(GraphcValueError, match="LAPACK found no"):
        graphc.compile(function)(np.full((3, 3), np.nan))


def test_what_is_refused() -> None:
    x = graphc.input((2, 3))
    for square in (linalg.inv, linalg.det, linalg.slogdet, linalg.eigh):
        with pytest.raises(ShapeError, match="square"):
            square(x)
    for function in (linalg.qr, linalg.svd, linalg.pinv, linalg.matrix_norm):
        with pytest.raises(ShapeError, match="takes matrices"):
            function(graphc.input((3,)))
        with pytest.raises(GraphcTypeError, match="takes floats"):
            function(graphc.input((3, 3), "int32"))
    with pytest.raises(ShapeError, match="do not broadcast"):
        linalg.solve(graphc.input((2, 3, 3)), graphc.input((5, 3, 1)))
    with pytest.raises(ShapeError, match="right sides"):
        linalg.lstsq(graphc.input((3, 3)), graphc.input((4, 1)))
    with pytest.raises(GraphcValueError, match="ord is one of"):
        linalg.matrix_norm(x, ord=3)
    with pytest.raises(GraphcValueError, match="3 axes"):
        linalg.norm(graphc.input((2, 3, 4)), "fro")


def test_systems_in_a_loop() -> None:
    """Implicit steps of a linear equation: each solves a system, gradients through all of them."""
    a, start = matrix((3, 3)) / 10, np.ones(3)

    def last(a: Any) -> Any:
        def step(x: graphc.Tensor, _: Any) -> tuple[graphc.Tensor, None]:
            return linalg.solve(graphc.eye(3, dtype="float64") + a, x), None

        return graphc.scan(step, graphc.asarray(start), None, length=5)[0]

    found: Any = graphc.compile(last)(a)
    power = np.linalg.matrix_power(np.linalg.inv(np.eye(3) + a), 5)
    np.testing.assert_allclose(found, power @ start, atol=1e-13)
    graphc.check_grads(lambda a: (last(a) ** 2).sum(), a, order=2)
