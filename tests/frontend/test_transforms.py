"""Gradients of tensors and of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
import graphc.frontend as gc
from graphc.errors import GraphcTypeError, GraphcValueError, InternalError, ShapeError
from graphc.frontend import hooks, nn
from tests.frontend.evaluation import close, run, same, step, tensor

X = np.array([0.5, -1.5, 2.0])


def test_gradients_of_tensors() -> None:
    def function(x: Any, y: Any) -> Any:
        return gc.gradients((x * x * y).sum(), [x, y])

    dx, dy = run(function, X, X + 1)
    same(dx, 2 * X * (X + 1))
    same(dy, X * X)


def test_a_gradient_with_respect_to_one_tensor_is_one_tensor() -> None:
    v = gc.Variable(X)

    def function(x: Any) -> Any:
        return gc.gradients((x * x).sum(), x), gc.gradients((v * v * v).sum(), v)

    by_input, by_variable = run(function, X)
    same(by_input, 2 * X)
    same(by_variable, 3 * X * X)
    same(run(lambda x: gc.gradients(x * x, x, X), X), 2 * X * X)


def test_grad_and_value_and_grad_of_tensors() -> None:
    def function(x: Any, y: Any) -> Any:
        loss = (x * x * y).sum()
        value, both = gc.value_and_grad(loss, [x, y])
        again, by_y = gc.value_and_grad(loss, wrt=y)
        return (
            value,
            again,
            both,
            by_y,
            gc.grad(loss, x),
            gc.grad(loss, (x, y)),
            gc.grad(loss, wrt=y),
        )

    value, again, both, by_y, dx, pair, dy = run(function, X, X + 1)
    same(value, (X * X * (X + 1)).sum())
    same(again, value)
    assert isinstance(both, list) and isinstance(pair, list)
    for found in (both[0], dx, pair[0]):
        same(found, 2 * X * (X + 1))
    for found in (both[1], by_y, dy, pair[1]):
        same(found, X * X)


def test_cotangents_and_several_outputs() -> None:
    def function(x: Any) -> Any:
        return gc.gradients([x * 2, x.sum()], [x], [np.array([1.0, 2.0, 3.0]), 10.0])[0]

    same(run(function, X), np.array([12.0, 14.0, 16.0]))
    with pytest.raises(ShapeError, match="a cotangent of shape"):
        gc.gradients([tensor(3)], [tensor(3)], [np.zeros(2)])


def test_a_variable_means_its_current_value() -> None:
    v = gc.Variable(np.float64(3))

    def function() -> Any:
        first = gc.gradients(v * v, [v])[0]
        v.assign(v + 1)
        return first, gc.gradients(v * v, [v])[0]

    assert step(function) == (6, 8)


def test_grad_of_functions() -> None:
    same(run(gc.grad(lambda x: (x**3).sum()), X), 3 * X**2)
    both = run(gc.grad(lambda x, y: (x * y).sum(), argnums=(0, 1)), X, X + 1)
    same(both[0], X + 1)
    same(both[1], X)
    same(run(gc.grad(lambda x, y: (x * y).sum(), argnums=-1), X, X + 1), X)
    value, slope = run(gc.value_and_grad(lambda x: (x * x).sum()), X)
    same(value, (X * X).sum())
    same(slope, 2 * X)


def test_grad_composes_to_any_order() -> None:
    function: Callable[..., Any] = lambda x: x**4 + gc.sin(x)  # noqa: E731  # it is derived thrice
    expected = [4 * 2.0**3 + np.cos(2.0), 12 * 2.0**2 - np.sin(2.0), 24 * 2.0 - np.cos(2.0)]
    for value in expected:
        function = gc.grad(function)
        close(run(function, np.float64(2)), np.float64(value), 1e-12)


def test_gradients_have_the_structure_of_the_argument() -> None:
    def loss(parameters: Any, x: Any) -> Any:
        return (parameters["w"] * x + parameters["b"][0]).sum()

    found = run(lambda w, b, x: gc.grad(loss)({"w": w, "b": [b]}, x), np.ones(3), np.float64(1), X)
    same(found["w"], X)
    same(found["b"][0], np.float64(3))


def test_the_same_tensor_twice_is_two_arguments() -> None:
    def function(x: Any) -> Any:
        return gc.grad(lambda a, b: (a * a * b).sum(), argnums=(0, 1))(x, x)

    da, db = run(function, X)
    same(da, 2 * X * X)
    same(db, X * X)


def test_what_the_function_reads_by_other_ways_is_constant() -> None:
    def function(x: Any) -> Any:
        doubled = x * 2
        return gc.grad(lambda a: (a * (x * 2)).sum())(doubled)

    same(run(function, X), 2 * X)


def test_auxiliary_results_are_handed_through() -> None:
    def function(x: Any) -> Any:
        return (x * x).sum(), {"twice": x * 2, "name": "aux"}

    slope, aux = run(gc.grad(function, has_aux=True), X)
    same(slope, 2 * X)
    same(aux["twice"], 2 * X)
    (value, more), slope = run(gc.value_and_grad(function, has_aux=True), X)
    same(value, (X * X).sum())
    assert more["name"] == "aux"


def test_assignments_in_the_function_reach_the_program() -> None:
    count = gc.Variable(np.float64(0))

    def loss(x: Any) -> Any:
        count.assign(count + x.sum())
        return (x * count).sum()

    same(step(gc.grad(loss), X), np.full(3, X.sum()) + X.sum())
    assert count.value == X.sum()


def test_stop_gradient_is_a_constant() -> None:
    same(run(gc.grad(lambda x: (x * gc.stop_gradient(x)).sum()), X), X)
    assert gc.stop_gradient(gc.constant(3)).node.op.name == "constant"


def test_numbers_are_arguments_too() -> None:
    with gc.Trace():
        slope = gc.grad(lambda x: x * x)(3.0)
    assert slope.dtype.name == "float32"


def test_on_arrays_the_function_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []

    def compiler(function: Callable[..., Any]) -> Callable[..., Any]:
        compiled.append(function)
        return lambda *arrays: run(function, *arrays)

    monkeypatch.setitem(hooks._hooks, "compiler", compiler)
    slope = gc.grad(lambda x: (x * x).sum())
    same(slope(X), 2 * X)
    same(slope(X + 1), 2 * (X + 1))
    assert len(compiled) == 1


def test_without_hooks_the_fault_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(hooks._hooks, "differentiator")
    with pytest.raises(InternalError, match="no differentiator is set"):
        gc.gradients(tensor(), [tensor()])


MISUSES: list[tuple[Callable[..., Any], type[Exception], str]] = [
    (gc.grad(lambda x: x), ShapeError, "a scalar is needed"),
    (gc.grad(lambda x: (x > 0).sum()), GraphcTypeError, "int64 has no derivatives"),
    (gc.grad(lambda x: x.sum(), argnums=1), GraphcValueError, "argnums 1"),
    (gc.grad(lambda x: (x.sum(), 1)), GraphcTypeError, "has_aux=True"),
    (gc.grad(lambda x: 3.0), GraphcTypeError, "gives float, not a tensor"),
    (
        lambda x: gc.grad(lambda i: i.sum() * 1.0)(x.astype("int32")),
        GraphcTypeError,
        "int32 has no",
    ),
]


@pytest.mark.parametrize(("function", "kind", "message"), MISUSES)
def test_misuse_is_refused(function: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        function(tensor(3))


INF, NAN = np.inf, np.nan
# The table at the end of docs/semantics.md: a function, a point, and its gradient there.
SINGULAR: list[tuple[Callable[[Any], Any], list[float], list[float]]] = [
    (lambda x: gc.where(x > 0, gc.log(x), 0), [0, 2], [NAN, 0.5]),
    (lambda x: gc.where(x > 0, gc.sqrt(x), 0), [0, -1, 4], [NAN, NAN, 0.25]),
    (lambda x: gc.where(x > 0, gc.log(gc.where(x > 0, x, 1)), 0), [0, 2], [0, 0.5]),
    (lambda x: x.std(), [2, 2, 2], [NAN, NAN, NAN]),
    (lambda x: x.var(), [2, 2, 2], [0, 0, 0]),
    (lambda x: gc.sqrt(gc.square(x).sum()), [0, 0], [NAN, NAN]),
    (lambda x: gc.hypot(x[0], x[1]), [0, 0], [0, 0]),
    (lambda x: gc.sqrt(x) + gc.log(x) + x**0.5, [0], [INF]),
    (gc.logsumexp, [-INF, -INF], [NAN, NAN]),
    (gc.logsumexp, [INF, 0], [NAN, 0]),
    (gc.logsumexp, [-INF, 0], [0, 1]),
    (lambda x: gc.logaddexp(x[0], x[1]), [-INF, -INF], [0.5, 0.5]),
    (gc.softmax, [-INF, -INF], [NAN, NAN]),
]


@pytest.mark.parametrize(("function", "point", "expected"), SINGULAR)
def test_gradients_at_singular_points(
    function: Callable[[Any], Any], point: list[float], expected: list[float]
) -> None:
    got = run(lambda x: gc.gradients(function(x).sum(), x), np.array(point, float))
    np.testing.assert_array_equal(got, np.array(expected, float))


def test_with_has_aux_a_function_gives_a_pair() -> None:
    for wrong, what in (
        (lambda x: gc.stack([(x * x).sum(), x.sum()]), "a tensor"),
        (lambda x: (x.sum(), x, x), "a tuple of 3"),
        (lambda x: [x.sum(), x], "list"),
    ):
        with pytest.raises(GraphcTypeError, match=f"returns a pair .*{what}"):
            run(gc.grad(wrong, has_aux=True), X)
    (slope, others) = run(gc.grad(lambda x: ((x * x).sum(), x + 1), has_aux=True), X)
    same(slope, 2 * X)
    same(others, X + 1)


@pytest.mark.parametrize("transform", [graphc.jvp, graphc.hvp])
def test_primals_are_a_sequence(transform: Any) -> None:
    """An array would be taken for its rows."""
    with pytest.raises(GraphcTypeError, match=r"primals are a tuple or list.*not ndarray"):
        transform(lambda x: (x**3).sum(), X, [X])
    with pytest.raises(GraphcTypeError, match=r"s are a tuple or list.*not ndarray"):
        transform(lambda x: (x**3).sum(), [X], X)
    with pytest.raises(GraphcValueError, match="1 primals, but 2"):
        transform(lambda x: (x**3).sum(), [X], [X, X])


def test_vjp_hands_aux_through() -> None:
    value, pullback, aux = graphc.vjp(lambda x: (x * x, {"double": x * 2}), X, has_aux=True)
    same(value, X * X)
    same(aux["double"], X * 2)
    same(pullback(np.ones_like(X))[0], 2 * X)
    with pytest.raises(GraphcTypeError, match="returns a pair"):
        graphc.vjp(lambda x: x * x, X, has_aux=True)


def test_stop_gradient_of_a_nesting() -> None:
    def loss(x: Any) -> Any:
        fixed = gc.stop_gradient({"a": x, "rest": (x * 3, None, 2.0)})
        return (fixed["a"] * x + fixed["rest"][0] * x * fixed["rest"][2]).sum()

    same(run(gc.grad(loss), X), X + 6 * X)
    with pytest.raises(GraphcTypeError, match="an object of type Linear is no tensor"):
        gc.stop_gradient([X, nn.Linear(2, 2, seed=0)])


@pytest.mark.parametrize("wrong", ["x", None, True, (0, "x"), 0.5])
def test_argnums_are_numbers(wrong: Any) -> None:
    with pytest.raises(GraphcTypeError, match="argnums are numbers of positional arguments"):
        graphc.grad(lambda x: x.sum(), argnums=wrong)(X)


@pytest.mark.parametrize("static", [3, True, "mode"])
def test_a_static_argument_has_no_derivative(static: Any) -> None:
    with pytest.raises(GraphcTypeError, match="no derivative with respect to"):
        graphc.grad(lambda n, x: (x * x).sum())(static, X)
    same(graphc.grad(lambda n, x: (x * x).sum(), 1)(static, X), 2 * X)
