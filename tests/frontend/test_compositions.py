"""Every transform of forty functions, and compositions of them, against one another and NumPy.

Each function takes a float64 vector of four elements (and closes over what it likes) and gives a
tensor of any shape. What is held against what:

    grad, vjp, jvp, jacobian   central finite differences
    hessian, hvp               central differences of the gradient
    vmap of each of them       each of them, example by example
    grad of vmap               vmap of grad
    vmap of vmap               two loops
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
import graphc.frontend as gc
from graphc import nn
from tests.frontend.evaluation import Array, run

SIZE, EXAMPLES = 4, 3
RANDOM = np.random.default_rng(5)
MATRIX = RANDOM.uniform(-1, 1, (SIZE, SIZE))
OTHER = RANDOM.uniform(0.5, 1.5, (2, SIZE))
PLACES = np.array([2, 0, 2, 3])
X = RANDOM.uniform(0.3, 1.7, SIZE)
BATCH = RANDOM.uniform(0.3, 1.7, (EXAMPLES, SIZE))
GRID = RANDOM.uniform(0.3, 1.7, (2, EXAMPLES, SIZE))

cube = gc.custom_vjp(lambda x: x * x * x)
cube.defvjp(lambda x: (x * x * x, x), lambda x, cotangent: (3 * x * x * cotangent,))

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "identity": lambda x: x,
    "affine": lambda x: 2 * x + 1,
    "square": lambda x: x * x,
    "exp": gc.exp,
    "log": gc.log,
    "tanh of sin": lambda x: gc.tanh(gc.sin(x)),
    "power": lambda x: x**2.5,
    "quotient": lambda x: gc.cos(x) / (1 + x * x),
    "sum": lambda x: (x * x * x).sum(),
    "mean": lambda x: gc.exp(x).mean(),
    "prod": gc.prod,
    "max": lambda x: gc.max(x * x),
    "min": lambda x: gc.min(gc.sin(x)),
    "norm": lambda x: gc.sqrt((x * x).sum()),
    "softmax": nn.softmax,
    "log softmax": nn.log_softmax,
    "logsumexp": lambda x: gc.log(gc.exp(x).sum()),
    "layer norm": nn.layer_norm,
    "gelu": nn.gelu,
    "silu": nn.silu,
    "softplus": nn.softplus,
    "matrix": lambda x: gc.constant(MATRIX) @ x,
    "vector by matrix": lambda x: gc.tanh(x @ MATRIX) @ MATRIX,
    "quadratic form": lambda x: x @ (gc.constant(MATRIX) @ x),
    "outer": lambda x: x[:, None] * gc.sin(x)[None, :],
    "matrix product": lambda x: x.reshape(2, 2) @ x.reshape(2, 2),
    "einsum": lambda x: gc.einsum("ij,j,kj->ik", gc.constant(MATRIX), x, gc.constant(OTHER)),
    "transpose": lambda x: (x.reshape(2, 2).T * OTHER[:, :2]).sum(axis=0),
    "slice": lambda x: x[1:3] * x[0],
    "reverse slice": lambda x: x[::-1] * x,
    "strided": lambda x: x[::2] / x[1::2],
    "index": lambda x: x[2] * x[-1],
    "concat": lambda x: gc.concat([x, x * x, x[:1]]),
    "stack": lambda x: gc.stack([x.sum(), x[0], gc.exp(x[1])]),
    "pad": lambda x: gc.pad(x, [(1, 2)]) * np.arange(1.0, 8.0),
    "pad with the last": lambda x: gc.pad(x, [(1, 2)], constant_values=x[0] * 2) ** 2,
    "where": lambda x: gc.where(x > 1, x * x, 3 * x),
    "clip": lambda x: gc.clip(x, 0.5, 1.2) * x,
    "take": lambda x: gc.take(x * x, gc.constant(PLACES)),
    "take of an argmax": lambda x: gc.take(x * x, gc.argmax(x)),
    "one hot": lambda x: (gc.one_hot(gc.argmin(x), SIZE, dtype="float64") * gc.exp(x)).sum(),
    "stopped": lambda x: x * gc.stop_gradient(x * 0 + 2) + x * x,
    "constant": lambda x: gc.constant(OTHER),
    "checkpoint": gc.checkpoint(lambda x: gc.tanh(x * gc.sin(x)) @ MATRIX),
    "checkpoint that keeps": gc.checkpoint(
        lambda x: gc.tanh(gc.constant(MATRIX) @ gc.sin(x)) * x, policy="contractions"
    ),
    "custom vjp": lambda x: cube(x) * x,
    "scan": lambda x: gc.scan(lambda c, a: (gc.sin(c * a) + x, c), x, gc.stack([x[0], x[1]]))[0],
    "while loop": lambda x: gc.while_loop(
        lambda c: c.sum() < 9, lambda c: c * x + 1, x, max_iterations=5
    ),
    "cond": lambda x: gc.cond(x.sum() > 1, gc.sin, gc.exp, x * x),
    "nested grad": lambda x: gc.grad(lambda y: (y * y * y * x).sum())(x),
    "nested vmap": lambda x: gc.vmap(lambda y: gc.sin(y) * x)(x * x),
    "nested jacobian": gc.jacobian(lambda y: gc.sin(y) * y.sum()),
    "nested jvp": lambda x: gc.jvp(lambda y: gc.sin(y * x), [x], [x * x])[1],
}
pytestmark = pytest.mark.parametrize("name", FUNCTIONS)


def differences(function: Callable[[Array], Array], at: Array) -> Array:
    """Return the Jacobian by central differences: the shape of the result, then that of `at`."""
    step = 1e-5
    columns = []
    for place in range(at.size):
        move = np.zeros(at.size)
        move[place] = step
        columns.append((function(at + move) - function(at - move)) / (2 * step))
    return np.stack(columns, axis=-1)


def assert_near(got: Any, want: Any, tolerance: float = 1e-7) -> None:
    assert got.shape == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def scalar(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a scalar function that has the function's derivatives in it."""

    def projected(x: Any) -> Any:
        result = gc.sin(function(x) * 0.7)
        weights = np.linspace(0.5, 1.5, result.size).reshape(result.shape)
        return (result * weights).sum()

    return projected


def test_first_derivatives(name: str) -> None:
    function = FUNCTIONS[name]
    value = run(function, X)
    want = differences(lambda x: run(function, x), X)
    for mode in ("reverse", "forward", "auto"):
        assert_near(run(gc.jacobian(function, mode=mode), X), want)
    direction = np.linspace(-1, 1, SIZE)
    result, derivative = run(lambda x, t: gc.jvp(function, [x], [t]), X, direction)
    assert_near(result, value)
    assert_near(derivative, want @ direction)
    cotangent = np.linspace(1, 2, value.size).reshape(value.shape)
    (pulled,) = run(lambda x, u: gc.vjp(function, x)[1](u), X, cotangent)
    assert_near(pulled, np.tensordot(cotangent, want, value.ndim))
    loss = scalar(function)
    assert_near(run(gc.grad(loss), X), differences(lambda x: run(loss, x), X))


def test_second_derivatives(name: str) -> None:
    loss = scalar(FUNCTIONS[name])
    hessian = run(gc.hessian(loss), X)
    assert_near(hessian, differences(lambda x: run(gc.grad(loss), x), X), 1e-6)
    direction = np.linspace(-1, 1, SIZE)
    (product,) = run(lambda x, v: gc.hvp(loss, [x], [v]), X, direction)
    assert_near(product, hessian @ direction)
    forward = gc.jacobian(gc.jacobian(loss, mode="reverse"), mode="forward")
    assert_near(run(forward, X), hessian)
    outer = gc.grad(lambda x: gc.jvp(loss, [x], [gc.constant(direction)])[1])
    assert_near(run(outer, X), hessian @ direction)


def test_vmap_of_every_transform(name: str) -> None:
    function, loss = FUNCTIONS[name], scalar(FUNCTIONS[name])
    direction = gc.constant(np.linspace(-1, 1, SIZE))
    transformed: list[Callable[[Any], Any]] = [
        function,
        gc.grad(loss),
        gc.jacobian(function),
        gc.hessian(loss),
        lambda x: gc.jvp(function, [x], [direction])[1],
        lambda x: gc.vjp(loss, x)[1](gc.constant(2.0, dtype="float64"))[0],
        lambda x: gc.hvp(loss, [x], [direction])[0],
    ]
    for one in transformed:
        want = np.stack([run(one, x) for x in BATCH])
        assert_near(run(gc.vmap(one), BATCH), want)
        assert_near(run(gc.vmap(one, in_axes=1, out_axes=-1), BATCH.T), np.moveaxis(want, 0, -1))


def test_vmap_nests_and_is_differentiated(name: str) -> None:
    function, loss = FUNCTIONS[name], scalar(FUNCTIONS[name])
    want = np.stack([np.stack([run(function, x) for x in row]) for row in GRID])
    assert_near(run(gc.vmap(gc.vmap(function)), GRID), want)
    assert_near(run(gc.vmap(gc.vmap(function), in_axes=1, out_axes=1), GRID), want)
    by_example = run(gc.vmap(gc.grad(loss)), BATCH)
    assert_near(run(gc.grad(lambda xs: gc.vmap(loss)(xs).sum()), BATCH), by_example)
    (product,) = run(lambda x: gc.hvp(lambda xs: gc.vmap(loss)(xs).sum(), [x], [x]), BATCH)
    rows = [run(gc.hessian(loss), x) @ x for x in BATCH]
    assert_near(product, np.stack(rows))


def test_native_code(name: str) -> None:
    function, loss = FUNCTIONS[name], scalar(FUNCTIONS[name])
    composed = (gc.vmap(function), gc.vmap(gc.grad(loss)), gc.vmap(gc.hessian(loss)))
    got = graphc.compile(lambda x: [each(x) for each in composed])(BATCH)
    for native, each in zip(got, composed, strict=True):
        assert_near(native, run(each, BATCH), 1e-9)
