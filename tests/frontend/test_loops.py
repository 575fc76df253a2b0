"""Loops and branches as users write them: values, structures, variables, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc
import graphc.frontend as gc
from graphc import nn, optim
from graphc.body import bodies_of
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError, TracingError
from graphc.graph import Graph
from graphc.node import Node
from graphc.op import Scan, Switch, While
from tests.frontend.evaluation import close, run, same, step

F32 = np.float32
X = np.arange(12, dtype=F32).reshape(4, 3)


def loop_of(function: Callable[..., Any], *arrays: Any) -> Node:
    """Return the only loop of the graph of a function."""
    graph = gc.trace(function, [np.asarray(a) for a in arrays]).graph
    (found,) = (n for n in graph.nodes if isinstance(n.op.lowering, Scan | While | Switch))
    return found


def computed(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes if node.inputs]


class Pair(NamedTuple):
    left: Any
    right: Any


def test_scan_gives_the_last_carry_and_the_stacked_outputs() -> None:
    last, sums = run(lambda x: gc.scan(lambda c, x: (c + x, c), gc.zeros(3), x), X)
    same(last, X.sum(0))
    same(sums, np.vstack([np.zeros(3, F32), X.cumsum(0)[:-1]]))


def test_reverse_runs_from_the_end_and_leaves_outputs_in_their_places() -> None:
    last, sums = run(lambda x: gc.scan(lambda c, x: (c + x, c + x), 0.0, x, reverse=True), X[:, 0])
    same(last, F32(18))
    same(sums, X[::-1, 0].cumsum()[::-1])


def test_structures_come_back_as_they_were() -> None:
    def f(x: Any) -> Any:
        def body(carry: Pair, row: dict[str, Any]) -> Any:
            assert type(carry) is Pair
            assert list(row) == ["x", "none"] and row["none"] is None
            return Pair(carry.left + row["x"], carry.right), [carry.left, {"k": row["x"]}]

        return gc.scan(body, Pair(gc.zeros(3), (gc.ones(()),)), {"x": x, "none": None})

    last, ys = run(f, X)
    assert isinstance(last, Pair) and isinstance(last.right, tuple)
    same(last.left, X.sum(0))
    same(ys[1]["k"], X)


def test_numbers_in_the_carry_take_the_dtype_of_the_step() -> None:
    x = np.arange(4.0)
    same(run(lambda x: gc.scan(lambda c, x: (c + x, None), 0, x)[0], x), np.float64(6))
    same(run(lambda x: gc.fori_loop(0, 3, lambda i, c: c * 2, 1.5), x), F32(12))
    same(run(lambda x: gc.scan(lambda c, x: (x > 2, None), False, x)[0], x), np.bool_(True))
    same(run(lambda x: gc.scan(lambda c, x: (7, None), c0(x), x)[0], x.astype(np.int8)), np.int8(7))


def c0(x: Any) -> Any:
    return x[0]


def test_length_without_slices_and_no_steps_at_all() -> None:
    same(run(lambda c: gc.scan(lambda c, _: (c * 2, None), c, length=5)[0], F32(1)), F32(32))
    last, ys = run(lambda x: gc.scan(lambda c, x: (c + x, x), gc.ones(3), x), X[:0])
    same(last, np.ones(3, F32))
    same(ys, X[:0])
    same(run(lambda c: gc.fori_loop(3, 1, lambda i, c: c + i, c), 1), np.int64(1))


def test_map_and_fori_loop() -> None:
    same(run(lambda x: gc.map(lambda row: (row.max(), row * 2), x), X)[0], X.max(1))
    same(run(lambda c: gc.fori_loop(2, 6, lambda i, c: c + i, c), 0), np.int64(14))
    bounds = np.int64(2), np.int64(6)
    same(run(lambda a, b: gc.fori_loop(a, b, lambda i, c: c + i, 0), *bounds), np.int64(14))
    same(run(lambda b: gc.fori_loop(4, b, lambda i, c: c + i, 0), bounds[0]), np.int64(0))


def test_while_loop() -> None:
    def f(n: Any, most: int | None = None) -> Any:
        return gc.while_loop(lambda s: s[0] < 100, lambda s: (s[0] * 2, s[1] + 1), (n, 0), most)

    assert [int(v) for v in run(f, 3)] == [192, 6]
    assert [int(v) for v in run(f, 100)] == [100, 0]
    assert [int(v) for v in run(lambda n: f(n, 4), 3)] == [48, 4]
    assert [int(v) for v in run(lambda n: f(n, 9), 3)] == [192, 6]
    assert [int(v) for v in run(lambda n: f(n, 0), 3)] == [3, 0]


def test_cond_and_switch() -> None:
    def f(p: Any, x: Any) -> Any:
        return gc.cond(p, lambda x, y: (x, y), lambda x, y: (y, 0), x, 2.0)

    assert [float(v) for v in run(f, True, F32(5))] == [5, 2]
    assert [float(v) for v in run(f, False, F32(5))] == [2, 0]
    branches = [lambda x: x, lambda x: x * 10, lambda x: -x]
    for index in (-3, 0, 1, 2, 9):
        for dtype in (np.int8, np.int64, np.uint16) if index >= 0 else (np.int32,):
            got = run(lambda i, x: gc.switch(i, branches, x), dtype(index), F32(5))
            same(got, F32([5, 50, -5][min(max(index, 0), 2)]))


def test_numbers_of_branches_take_the_dtype_of_the_tensor() -> None:
    same(run(lambda x: gc.cond(x > 0, lambda: x, lambda: 0), F32(-1)), F32(0))
    same(run(lambda x: gc.cond(x > 0, lambda: 1, lambda: 0.5), F32(-1)), F32(0.5))


def test_what_does_not_change_is_computed_before_the_loop() -> None:
    def f(x: Any, k: Any) -> Any:
        return gc.scan(lambda c, x: (c + gc.exp(k) * x, None), gc.zeros(3), x)[0]

    loop = loop_of(f, X, X[0])
    assert computed(loop.attributes["body"].graph) == ["multiply", "add"]
    assert [n.op.name for n in loop.inputs] == ["broadcast_to", "exp", "input"]


def test_large_constants_are_operands_and_small_ones_stay() -> None:
    large, small = np.ones((40, 40), F32), np.ones((3,), F32)
    loop = loop_of(lambda x: gc.map(lambda x: (large * x[0], small * x), x), X)
    assert [n.shape for n in loop.inputs] == [(40, 40), (4, 3)]


def test_branches_compute_what_they_make_and_get_what_was_there() -> None:
    def f(p: Any, x: Any) -> Any:
        before = gc.exp(x)
        return gc.cond(p, lambda: before * gc.sin(x), lambda: x)

    loop = loop_of(f, True, X[0])
    assert {n.op.name for n in loop.inputs} == {"cast", "exp", "input"}
    inside = [computed(body.graph) for body in bodies_of(loop)]
    assert inside == [[], ["sin", "multiply"]]


def test_indices_out_of_range_raise_only_where_the_body_runs() -> None:
    def f(n: Any, x: Any, i: Any) -> Any:
        return gc.while_loop(lambda n: n > 0, lambda n: n - gc.take(x, i).astype(n.dtype), n)

    same(run(f, 0, np.ones(3), 9), np.int64(0))
    with pytest.raises(graphc.GraphcIndexError):
        run(f, 1, np.ones(3), 9)


def test_variables_are_read_and_assigned_in_loops() -> None:
    total, scale = gc.Variable(np.zeros(3, F32), name="total"), gc.Variable(F32(2))

    def f(x: Any) -> Any:
        def body(c: Any, x: Any) -> Any:
            total.assign(total + x * scale)
            return c + total.sum(), total

        return gc.scan(body, 0.0, x), total * 1

    (last, seen), after = step(f, X)
    same(seen, 2 * X.cumsum(0))
    same(last, F32(2 * X.cumsum(0).sum()))
    same(after, 2 * X.sum(0))
    same(total.value, 2 * X.sum(0))


def test_variables_in_while_loops_and_nested_ones() -> None:
    count = gc.Variable(0, name="count")

    def inner(i: Any, c: Any) -> Any:
        count.assign(count + i)
        return c

    def f(n: Any) -> Any:
        def body(n: Any) -> Any:
            return gc.fori_loop(0, 3, inner, n) + 1

        return gc.while_loop(lambda n: (n < 4) & (count < 100), body, n)

    same(step(f, 0), np.int64(4))
    assert int(count.value) == 12


def test_variables_in_branches_have_the_branchs_value_or_the_old_one() -> None:
    a, b = gc.Variable(F32(1), name="a"), gc.Variable(F32(2), name="b")

    def f(p: Any) -> Any:
        def yes() -> Any:
            a.assign(a * 10)
            return a + b

        def no() -> Any:
            b.assign(5.0)
            return a * 1

        return gc.cond(p, yes, no)

    assert (float(step(f, True)), float(a.value), float(b.value)) == (12, 10, 2)
    assert (float(step(f, False)), float(a.value), float(b.value)) == (10, 10, 5)


def test_the_same_tensor_is_no_variable_even_if_it_is_its_value() -> None:
    total = gc.Variable(F32(1), name="total")

    def f(x: Any) -> Any:
        total.assign(x)  # from here on total reads as x itself

        def body(c: Any, _: Any) -> Any:
            total.assign(total + x)
            return c, None

        gc.scan(body, 0, length=3)
        return total * 1

    same(step(f, F32(2)), F32(8))


def test_training_in_a_scan_is_training_in_python() -> None:
    x, y = np.random.default_rng(1).normal(size=(2, 5, 4)).astype(F32)

    def make() -> tuple[Any, Callable[[Any, Any], Any]]:
        model, optimizer = nn.Linear(4, 1, seed=0), optim.Adam(0.1)

        def train(x: Any, y: Any) -> Any:
            loss = ((model(x) - y[:1]) ** 2).mean()
            optimizer.minimize(loss, model.parameters())
            return loss

        return model, train

    model, train = make()
    wanted = [step(train, x[i], y[i]) for i in range(5)]
    other, train_in_scan = make()
    losses = step(lambda x, y: gc.map(lambda p: train_in_scan(*p), (x, y)), x, y)
    close(losses, np.array(wanted))
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        close(mine.value, theirs.value)


def test_arrays_are_computed_at_once() -> None:
    last, ys = graphc.scan(lambda c, x: (c + x, c * x), np.zeros(3, F32), X)
    same(last, X.sum(0))
    assert isinstance(ys, np.ndarray)
    same(graphc.while_loop(lambda n: n < 9, lambda n: n * 2, np.int64(1)), np.int64(16))
    same(graphc.cond(np.bool_(True), lambda x: x + 1, lambda x: x, F32(1)), F32(2))
    same(graphc.fori_loop(0, 3, lambda i, c: c + X[0], np.zeros(3, F32)), 3 * X[0])


def test_loops_over_arrays_that_read_symbols_are_symbolic() -> None:
    w = gc.input((3,), name="w")
    last, ys = gc.scan(lambda c, x: (c + w * x, None), np.zeros(3, F32), X)
    assert isinstance(last, gc.Tensor) and ys is None
    program = graphc.compile([last], inputs=[w])
    same(program(X[1])[0], X[1] * X.sum(0))


def bad_step(c: Any, x: Any) -> Any:
    return c.astype(graphc.float64), x


REFUSED: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda x: gc.scan(bad_step, x[0], x), GraphcTypeError, r"carry is float32\[3\] before a s.*6"),
    (lambda x: gc.scan(lambda c, x: (c[None], x), x[0], x), GraphcTypeError, r"float32\[1, 3\]"),
    (lambda x: gc.scan(lambda c, x: (c * x, x), 1.0, x), GraphcTypeError, r"carry is float32\[\]"),
    (
        lambda x: gc.scan(lambda c, x: ({"b": x}, x), {"a": x[0]}, x),
        GraphcTypeError, "carry.b in the place of carry.a",
    ),
    (lambda x: gc.scan(lambda c, x: c, x[0], x), GraphcTypeError, "gives a pair"),
    (lambda x: gc.scan(lambda c, x: (c, x), x[0], (x, x[1:])), ShapeError, "give 4 and 3 steps"),
    (lambda x: gc.scan(lambda c, x: (c, x), x[0], x, 3), ShapeError, "give 4 and 3 steps"),
    (lambda x: gc.scan(lambda c, x: (c, x), x[0]), GraphcValueError, "how many steps"),
    (lambda x: gc.scan(lambda c, x: (c, x), x[0], x.sum()), ShapeError, "has no slices"),
    (lambda x: gc.scan(lambda c, x: (c, x), x[0], x, unroll=0), GraphcValueError, "unroll= is at"),
    (lambda x: gc.scan(lambda c, x: (c, x), x, None, -1), GraphcValueError, "length= is at least"),
    (lambda x: gc.scan(lambda c, x: (c, x), x, unroll=x), GraphcTypeError, "a whole number"),
    (lambda x: gc.while_loop(lambda x: x, lambda x: x, x), GraphcTypeError, "is a bool scalar"),
    (lambda x: gc.while_loop(lambda x: x.sum() > 0, lambda x: x[0], x), GraphcTypeError, "carry"),
    (lambda x: gc.cond(x.sum(), lambda: x, lambda: x), GraphcTypeError, "is a bool scalar"),
    (lambda x: gc.cond(True, lambda: x, lambda: x[0]), GraphcTypeError, "false_f and float32.4"),
    (lambda x: gc.cond(True, lambda: x, lambda: (x,)), GraphcTypeError, "gives result.0, true_f"),
    (lambda x: gc.switch(x[0, 0], [lambda: x]), GraphcTypeError, "by an integer, not float32"),
    (lambda x: gc.switch(0, []), GraphcValueError, "no branches"),
    (lambda x: gc.switch(0, [lambda: 1, lambda: x]), GraphcTypeError, "branch 0 and float32.4, 3"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "match"), REFUSED)
def test_what_does_not_fit_is_refused_with_the_users_line(
    make: Callable[[Any], Any], kind: type[Exception], match: str
) -> None:
    with pytest.raises(kind, match=match) as caught:
        run(make, X)
    assert "test_loops.py" in str(caught.value)


def test_variables_are_assigned_where_something_is_traced() -> None:
    v, x = gc.Variable(F32(0)), gc.input((3,))
    with pytest.raises(TracingError, match="in a loop only while a function is traced"):
        gc.map(v.assign, x)


def test_arrays_may_be_assigned_to_variables_at_once() -> None:
    v = gc.Variable(np.zeros(3, F32))
    graphc.map(lambda x: v.assign(v + x), X)
    same(v.value, X.sum(0))


def test_tensors_of_a_body_do_not_leave_it() -> None:
    leaked: list[Any] = []

    def body(c: Any, x: Any) -> Any:
        leaked.append(c * x)
        return c, None

    with pytest.raises(
        GraphcValueError, match=r"to scan is .* carry .float32\[3\].*, slice"
    ) as caught:
        run(lambda x: (gc.scan(body, gc.zeros(3), x), leaked[0])[1], X)
    assert "gc.scan(body" in caught.value.line


TRANSFORMS: dict[str, Callable[[Callable[[Any], Any]], Any]] = {
    "map": lambda f: lambda x: gc.map(f, x),
    "fori_loop": lambda f: lambda x: gc.fori_loop(0, 2, lambda i, c: f(c), x),
    "while_loop": lambda f: lambda x: gc.while_loop(lambda c: c.sum() < 0, f, x),
    "cond": lambda f: lambda x: gc.cond(x.sum() > 0, f, f, x),
    "vmap": gc.vmap,
    "checkpoint": gc.checkpoint,
    "a derivative": lambda f: gc.grad(lambda x: f(x).sum()),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_what_leaves_a_function_is_told_whose_it_was(name: str) -> None:
    leaked: list[Any] = []

    def keep(x: Any) -> Any:
        leaked.append(x * 2)
        return x

    with pytest.raises(GraphcValueError, match=f"given to {name} is used outside of it"):
        run(lambda x: (TRANSFORMS[name](keep)(x), leaked[0])[1], X)
    with pytest.raises(GraphcValueError, match=f"given to {name} is used outside of it"):
        graphc.evaluate(leaked[0])


@pytest.mark.parametrize("upper", [5, gc.asarray(5)])
def test_messages_name_the_function_that_was_called(upper: Any) -> None:
    """The counter of a `fori_loop` is int64, which the hint says; no carry of its own shows."""
    hint = "counter is int64, and makes float64 of floats: compute with i.astype"
    with pytest.raises(GraphcTypeError, match=r"fori_loop: carry is float32.*") as caught:
        gc.fori_loop(0, upper, lambda i, c: c + i, F32(1))
    assert hint in caught.value.hint
    with pytest.raises(GraphcTypeError, match=r"fori_loop: carry\.a is float32.*"):
        gc.fori_loop(0, upper, lambda i, c: {"a": c["a"] + i}, {"a": F32(1)})
    found = run(lambda x: gc.fori_loop(0, upper, lambda i, c: c + i.astype(c.dtype), x), F32(1))
    same(found, F32(11))
    with pytest.raises(ShapeError, match="map: xs holds a scalar"):
        gc.map(lambda x: x, F32(1))
    with pytest.raises(GraphcTypeError, match="while_loop: carry is"):
        gc.while_loop(lambda c: c < 3, lambda c: c + np.float64(1), F32(1))
