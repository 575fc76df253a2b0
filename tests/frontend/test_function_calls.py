"""`checkpoint` and `custom_vjp`: values, memory, and rules that are not the function's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
import graphc.frontend as gc
from graphc.errors import GraphcError, GraphcTypeError, GraphcValueError, ShapeError
from graphc.gradient_check import GradientError, check_grads
from tests.frontend.evaluation import close, run, same, step

X = np.random.default_rng(1).normal(size=(4, 4))
KEPT: dict[str, dict[str, Any]] = {
    "nothing": {},
    "contractions": {"policy": "contractions"},
    "everything": {"policy": "everything"},
    "by name": {"policy": lambda name: name == "tanh"},
    "a little": {"max_memory": 130},
}


def block(x: Any, w: Any) -> Any:
    inner = gc.tanh(x @ w)
    return gc.sin(inner @ w.T) + inner


def plan_of(layers: int, each: Callable[..., Any]) -> Any:
    """Return the plan of the gradients of a chain of blocks."""
    x = graphc.input((64, 32), name="x")
    weights = [graphc.input((32, 32), name=f"w{n}") for n in range(layers)]
    h = x
    for w in weights:
        h = each(h, w)
    program = graphc.compile(gc.gradients((h * h).sum(), weights), inputs=[x, *weights])
    return program.stages.plan


# --- checkpoint ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:checkpoint")
@pytest.mark.parametrize("name", KEPT)
def test_derivatives_have_the_bits_of_those_without(name: str) -> None:
    again = gc.checkpoint(block, **KEPT[name])

    def loss(each: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x, w: (each(each(x, w), w) ** 2).sum()

    same(run(again, X, X), run(block, X, X))
    for wanted, got in zip(
        graphc.grad(loss(block), (0, 1))(X, X), graphc.grad(loss(again), (0, 1))(X, X), strict=True
    ):
        close(got, wanted, 1e-12)


def test_memory_is_that_of_one_block_and_grows_with_what_is_kept() -> None:
    one = 64 * 32 * 4  # bytes of one activation
    plain = plan_of(10, block).arena_bytes
    bare = plan_of(10, gc.checkpoint(block)).arena_bytes
    some = plan_of(10, gc.checkpoint(block, policy="contractions")).arena_bytes
    most = plan_of(10, gc.checkpoint(block, policy="everything")).arena_bytes
    assert bare < min(some, most) and max(some, most) <= 1.05 * plain  # copies of both are read
    assert bare <= (10 + 6) * one
    assert some <= bare + 2 * 10 * one


LEAST = 15 * 2**16  # what the network below needs: 16 times 2 activations, cut at the best places


@pytest.mark.parametrize("budget", [LEAST, 2**20, 2_000_000, 2_500_000, 10**9])
def test_a_whole_network_keeps_a_budget(budget: int) -> None:
    def network(x: Any, w: Any) -> Any:
        for _ in range(16):
            x = gc.sin(gc.tanh(x @ w) @ w)
        return x

    x, w = graphc.input((2048, 8), "float32", name="x"), graphc.input((8, 8), "float32", name="w")
    found = []
    for each in (network, gc.checkpoint(network, max_memory=budget)):
        program = graphc.compile([gc.gradients((each(x, w) ** 2).sum(), w)], inputs=[x, w])
        found.append(program.stages.plan.arena_bytes)  # type: ignore[union-attr]  # this backend has it
    plain, kept = found
    assert plain > 3 * 2**20
    assert kept <= budget
    assert kept > 0.6 * min(budget, plain)  # what there is room for is kept


def test_where_everything_fits_nothing_is_computed_again() -> None:
    x = graphc.input((4, 4), "float64", name="x")
    plain, kept = (each(x, x) for each in (block, gc.checkpoint(block, max_memory=10**6)))
    assert kept.node is plain.node


def test_what_loops_keep_counts() -> None:
    def network(h: Any, w: Any) -> Any:
        return gc.scan(lambda h, _: (gc.tanh(h @ w), None), h, length=1000)[0]

    with pytest.warns(RuntimeWarning, match="cannot be kept"):
        run(gc.grad(lambda x: gc.checkpoint(network, max_memory=10_000)(x, x).sum()), X[:, :2][:2])


def test_a_budget_that_cannot_be_kept_is_warned_of() -> None:
    with pytest.warns(RuntimeWarning, match=r"max_memory=0 cannot be kept, \d+ bytes") as caught:
        run(gc.grad(lambda x: gc.checkpoint(block, max_memory=0)(x, x).sum()), X)
    assert caught[0].filename == __file__


RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("budget", [0, 500, 2_000, 10**6])
@pytest.mark.filterwarnings("ignore:checkpoint")
def test_functions_in_segments_have_the_same_derivatives(budget: int) -> None:
    state = graphc.Variable(np.ones(4), name="state")

    def function(pair: Any, scale: Any) -> Any:
        x, y = pair["x"], pair["y"]
        constant = gc.asarray(np.arange(4.0)) * 2  # depends on nothing
        skip = gc.tanh(x * scale)
        for _ in range(5):
            x = gc.sin(x @ y) + skip[:, ::-1] + constant
        rows, total = x.reshape(-1), gc.scan(lambda c, v: (c * 0.5 + v, None), x[0], x)[0]
        return {"rows": rows, "x": pair["x"], "total": total, "constant": constant, "s": skip}

    def gradients(each: Callable[..., Any]) -> Callable[..., Any]:
        def function(x: Any, y: Any) -> Any:
            result = each({"x": x, "y": y}, 0.5 * state)
            loss = sum((value**2).sum() * (n + 1) for n, value in enumerate(result.values()))
            return gc.gradients(loss, [x, y, state])

        return function

    arrays = RANDOM.uniform(-1, 1, (3, 4)), RANDOM.uniform(-1, 1, (4, 4))
    again = gc.checkpoint(function, max_memory=budget)
    pairs = zip(run(gradients(again), *arrays), run(gradients(function), *arrays), strict=True)
    for given, wanted in pairs:
        close(given, wanted, 1e-12)


def test_what_is_read_besides_the_arguments_has_gradients() -> None:
    w = graphc.Variable(X, name="w")

    def gradient(x: Any) -> Any:
        return gc.grad((gc.checkpoint(lambda x: gc.tanh(x @ w))(x)).sum(), w)

    close(run(gradient, X), run(lambda x: gc.grad(gc.tanh(x @ w).sum(), w), X), 1e-12)


def test_variables_are_assigned_and_nested_results_come_back() -> None:
    count = graphc.Variable(0.0)

    @gc.checkpoint
    def counted(pair: Any, *, scale: Any) -> Any:
        count.assign(count + 1)
        return {"a": pair[0] * scale, "b": (count * 1.0, pair[1])}

    got = step(lambda x: counted((x, x + 1), scale=2.0), X.astype(np.float32))
    same(got["a"], 2 * X.astype(np.float32))
    same(got["b"][0], np.float32(1))
    assert count.value == 1
    same(graphc.checkpoint(lambda x: x * 2)(X), X * 2)  # on arrays


MISUSE: dict[str, tuple[Callable[[], Any], str]] = {
    "policy": (lambda: gc.checkpoint(block, policy="some"), "no policy 'some'"),
    "both": (lambda: gc.checkpoint(block, policy="everything", max_memory=1), "both say"),
    "negative": (lambda: gc.checkpoint(block, max_memory=-1), "count of bytes"),
    "fraction": (lambda: gc.checkpoint(block, max_memory=0.5), "count of bytes"),  # type: ignore[arg-type]  # this is what is refused
}


def test_the_budget_may_be_an_integer_of_numpy() -> None:
    network = gc.checkpoint(block, max_memory=np.int64(10**6))  # type: ignore[arg-type]  # a number all the same
    same(
        run(gc.grad(lambda x: network(x, x).sum()), X), run(gc.grad(lambda x: block(x, x).sum()), X)
    )


@pytest.mark.parametrize("name", MISUSE)
def test_checkpoint_refuses_misuse(name: str) -> None:
    call, message = MISUSE[name]
    with pytest.raises(GraphcValueError, match=message):
        call()


# --- custom_vjp ----------------------------------------------------------------------------------


def clipping() -> Any:
    """Return an identity whose cotangents are clipped, which is not its own derivative."""
    clipped = gc.custom_vjp(lambda x: x * 1.0)
    clipped.defvjp(lambda x: (x * 1.0, None), lambda _, u: (gc.clip(u, -1, 1),))
    return clipped


def test_the_rule_is_asked_and_not_the_function() -> None:
    clipped = clipping()
    same(run(clipped, X), X)
    same(run(gc.grad(lambda x: (5 * clipped(x)).sum()), X), np.ones_like(X))
    same(run(gc.vmap(gc.grad(lambda x: (5 * clipped(x)).sum())), X), np.ones_like(X))
    same(run(gc.grad(lambda x: gc.vmap(lambda r: (5 * clipped(r)).sum())(x).sum()), X), X * 0 + 1)
    same(graphc.grad(lambda x: (5 * clipped(x)).sum())(X), np.ones_like(X))


def test_the_rule_of_a_batched_function_sums_for_shared_operands() -> None:
    product = gc.custom_vjp(lambda x, w: x * w)
    product.defvjp(lambda x, w: (x * w, (x, w)), lambda r, u: (r[1] * u * 10, r[0] * u * 100))

    def loss(x: Any, w: Any) -> Any:
        return gc.vmap(product, (0, None))(x, w).sum()

    by_x, by_w = run(gc.grad(loss, (0, 1)), X, X[0])
    same(by_x, np.broadcast_to(10 * X[0], X.shape))
    close(by_w, 100 * X.sum(0), 1e-12)


def test_nested_arguments_residuals_and_no_cotangent() -> None:
    scaled = gc.custom_vjp(lambda pair, k: {"sum": pair[0] * k + pair[1]})

    def forward(pair: Any, k: Any) -> Any:
        return {"sum": pair[0] * k + pair[1]}, {"k": k}

    def backward(kept: Any, cotangent: Any) -> Any:
        return (cotangent["sum"] * kept["k"], 7 * cotangent["sum"]), None

    scaled.defvjp(forward, backward)

    def loss(pair: Any, k: Any) -> Any:
        return scaled(pair, k)["sum"].sum()

    (first, second), by_k = run(lambda a, k: gc.grad(loss, (0, 1))((a, a), k), X, X)
    same(first, X)
    same(second, np.full_like(X, 7))
    same(by_k, np.zeros_like(X))


def test_check_grads_finds_a_wrong_rule() -> None:
    with pytest.raises(GradientError) as caught:
        check_grads(lambda x: 5 * clipping()(x), X)
    assert {fault.op for fault in caught.value.report.faults} == {"custom_vjp"}
    right = gc.custom_vjp(gc.sin)
    right.defvjp(lambda x: (gc.sin(x), x), lambda x, u: (u * gc.cos(x),))
    assert check_grads(lambda x: right(x) * x, X).is_right


def rule(backward: Callable[..., Any], forward: Callable[..., Any] | None = None) -> Any:
    function = gc.custom_vjp(gc.sin)
    function.defvjp(forward or (lambda x: (gc.sin(x), x)), backward)
    return gc.grad(lambda x: function(x).sum())


WRONG: dict[str, tuple[Callable[[], Any], type[GraphcError], str]] = {
    "no rule": (lambda: gc.custom_vjp(gc.sin)(X), GraphcTypeError, "no derivative yet"),
    "no tuple": (lambda: rule(lambda x, u: u)(X), GraphcTypeError, "tuple of 1"),
    "shape": (lambda: rule(lambda x, u: (u.sum(),))(X), ShapeError, "cotangent"),
    "no pair": (lambda: rule(lambda x, u: (u,), gc.sin)(X), GraphcTypeError, "a pair"),
    "backward": (lambda: rule(lambda u: (u,))(X), GraphcTypeError, "backward cannot be called"),
    "forward": (
        lambda: rule(lambda x, u: (u,), lambda: None)(X),
        GraphcTypeError,
        "forward cannot be called",
    ),
    "another result": (
        lambda: rule(lambda x, u: (u,), lambda x: (x.sum(), x))(X),
        GraphcTypeError,
        "forward gives",
    ),
    "another structure": (
        lambda: rule(lambda x, u: (u,), lambda x: ([x], x))(X),
        GraphcTypeError,
        "forward gives",
    ),
    "keywords": (
        lambda: gc.custom_vjp(lambda x, *, k: x * k)(X, k=2.0),
        GraphcTypeError,
        "positional",
    ),
    "unknown keyword": (lambda: clipping()(X, k=2.0), GraphcTypeError, "unexpected keyword"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_rules_are_refused(name: str) -> None:
    call, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        call()


def test_keywords_and_defaults_stand_for_positional_arguments() -> None:
    scaled = gc.custom_vjp(lambda x, k=2.0: x * k)
    scaled.defvjp(lambda x, k: (x * k, k), lambda k, u: (10 * u * k, None))
    for call, factor in ((lambda x: scaled(x, k=3.0), 3), (lambda x: scaled(x=x), 2)):
        same(run(call, X), X * factor)
        same(run(gc.grad(lambda x, call=call: call(x).sum()), X), np.full_like(X, 10 * factor))


@pytest.mark.parametrize("wrap", ["alone", "vmap", "scan", "checkpoint"])
def test_a_derivative_by_what_a_rule_knows_nothing_of_is_refused(wrap: str) -> None:
    weight = gc.Variable(np.float64(3), name="weight")

    def scaled_by(factor: Callable[[], Any]) -> Callable[..., Any]:
        function = gc.custom_vjp(lambda x: x * factor())
        function.defvjp(lambda x: (x * factor(), None), lambda _, u: (u * factor(),))
        wrapped: dict[str, Callable[..., Any]] = {
            "alone": function,
            "vmap": gc.vmap(function),
            "scan": lambda x: gc.scan(lambda c, v: (c, function(v)), 0.0, x)[1],
            "checkpoint": gc.checkpoint(function),
        }
        return wrapped[wrap]

    open_, held = scaled_by(lambda: weight), scaled_by(lambda: gc.stop_gradient(weight))
    same(run(gc.grad(lambda x: open_(x).sum()), X), np.full_like(X, 3))
    with pytest.raises(GraphcTypeError, match="none of its arguments") as caught:
        run(lambda x: gc.gradients(open_(x).sum(), weight), X)
    assert "test_function_calls.py" in str(caught.value)
    same(run(lambda x: gc.gradients(held(x).sum(), weight), X), np.zeros(()))


def test_float32_functions_with_rules_are_checked_under_vmap() -> None:
    sine = gc.custom_vjp(gc.sin)
    sine.defvjp(lambda x: (gc.sin(x), x), lambda x, u: (u * gc.cos(x),))
    assert check_grads(lambda x: gc.vmap(sine)(x).sum(), X.astype(np.float32)).is_right
