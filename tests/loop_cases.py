"""Functions with loops and branches, and the same without: what each is held to.

A case is a function of `Loops`, which are graphc's own or Python loops over symbolic tensors, so
that both are one text. Arrays are float64, for finite differences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc
from graphc import Tensor
from tests.loop_kinds import Compiled, Unrolled, tree

Array = np.ndarray[Any, np.dtype[Any]]
Make = Callable[[Compiled], Callable[..., Any]]


@dataclass(frozen=True)
class Case:
    """`make(loops)` is the function; `shapes` are those of its arguments."""

    name: str
    make: Make
    shapes: tuple[tuple[int, ...], ...]
    slow: bool = False  # second derivatives are held to the unrolled ones alone
    is_plain: bool = True  # differences of the values are what the derivative is to be

    @property
    def arrays(self) -> list[Array]:
        """Its arguments: away from kinks, and small."""
        rng = np.random.default_rng(len(self.name) + sum(map(ord, self.name)))
        return [rng.uniform(0.3, 1.2, shape) for shape in self.shapes]


CASES: list[Case] = []


def case(
    *shapes: tuple[int, ...], slow: bool = False, is_plain: bool = True
) -> Callable[[Make], Make]:
    def declare(make: Make) -> Make:
        CASES.append(Case(make.__name__, make, shapes, slow, is_plain))
        return make

    return declare


V, M = (3,), (3, 3)


@case((), (5,))
def cumulative_sum(do: Compiled) -> Any:
    return lambda c, x: do.scan(lambda c, x: (c + x, c + x), c, x)


@case((), (7,))
def cumulative_product_in_reverse(do: Compiled) -> Any:
    return lambda c, x: do.scan(lambda c, x: (c * x, c), c, x, reverse=True)


@case(V, M, V, (5, 3))
def recurrent_network(do: Compiled) -> Any:
    def f(h: Tensor, w: Tensor, b: Tensor, x: Tensor) -> Any:
        def step(h: Tensor, x: Tensor) -> Any:
            h = graphc.tanh(h @ w + x + b)
            return h, h

        return do.scan(step, h, x)

    return f


@case((2, 3), M, M, V, (4, 2, 3), slow=True)
def recurrent_network_of_batches(do: Compiled) -> Any:
    def f(h: Tensor, u: Tensor, w: Tensor, b: Tensor, x: Tensor) -> Any:
        def step(h: Tensor, x: Tensor) -> Any:
            h = graphc.tanh(x @ u + h @ w.T + b)
            return h, h.sum()

        return do.scan(step, h, x)

    return f


@case((2,), (2,), (3, 8), (2, 8), (8,), (4, 3), slow=True)
def long_short_term_memory(do: Compiled) -> Any:
    def f(h: Tensor, c: Tensor, u: Tensor, w: Tensor, b: Tensor, x: Tensor) -> Any:
        def step(state: Any, x: Tensor) -> Any:
            h, c = state
            gates = x @ u + h @ w + b
            i, f, g, o = (gates[2 * k : 2 * k + 2] for k in range(4))
            c = graphc.sigmoid(f) * c + graphc.sigmoid(i) * graphc.tanh(g)
            h = graphc.sigmoid(o) * graphc.tanh(c)
            return (h, c), h

        return do.scan(step, (h, c), x)

    return f


@case(V, M, M, (4, 3), slow=True)
def gated_recurrent_unit(do: Compiled) -> Any:
    def f(h: Tensor, u: Tensor, w: Tensor, x: Tensor) -> Any:
        def step(h: Tensor, x: Tensor) -> Any:
            z = graphc.sigmoid(x @ u + h @ w)
            return (1 - z) * h + z * graphc.tanh(x @ w + h @ u), None

        return do.scan(step, h, x)[0]

    return f


@case(V, (2, 3))
def no_stacked_outputs(do: Compiled) -> Any:
    return lambda c, x: do.scan(lambda c, x: (c * x + graphc.sin(c), None), c, x)[0]


@case((4, 3), V)
def no_carries(do: Compiled) -> Any:
    return lambda x, w: do.map(lambda x: graphc.exp(x * w).sum(), x)


@case(V)
def no_slices(do: Compiled) -> Any:
    return lambda c: do.scan(lambda c, _: (c * c, c.sum()), c, None, length=3)


@case(V, (1, 3))
def one_step(do: Compiled) -> Any:
    return lambda c, x: do.scan(lambda c, x: (c * x, c - x), c, x)


@case(V, (0, 3))
def no_step(do: Compiled) -> Any:
    if isinstance(do, Unrolled):
        return lambda c, x: c * 1
    return lambda c, x: do.scan(lambda c, x: (c * x, c - x), c, x)[0] * 1


@case(V, (13, 3))
def a_prime_number_of_steps(do: Compiled) -> Any:
    return lambda c, x: do.scan(lambda c, x: (graphc.cos(c) + x, c * x), c, x)


@case(V, V, (3, 3))
def carries_change_places(do: Compiled) -> Any:
    return lambda a, b, x: do.scan(lambda c, x: ((c[1], c[0] * x), c[0]), (a, b), x)


@case(V, (4, 3))
def the_old_carry_is_stacked(do: Compiled) -> Any:
    return lambda c, x: do.scan(lambda c, x: (c * x, c), c, x)[1]


@case(V, (4, 3))
def slices_are_stacked_unchanged(do: Compiled) -> Any:
    return lambda c, x: do.scan(lambda c, x: (c + x, x), c, x)


@case(V, V, (4, 3))
def a_constant_is_stacked(do: Compiled) -> Any:
    return lambda c, k, x: do.scan(lambda c, x: (c * x, k), c, x)


@case(V, (4, 3))
def a_carry_never_changes(do: Compiled) -> Any:
    return lambda c, x: do.scan(lambda c, x: ((c[0] * x, c[1]), c[1] * x), (c, c * 2), x)


@case(V, (4, 3))
def results_repeat(do: Compiled) -> Any:
    return lambda c, x: do.scan(lambda c, x: ((c[0] * x,) * 2, (c[0], c[1], c[0])), (c, c), x)


@case(V, (3, 3), (3,))
def nested_slices(do: Compiled) -> Any:
    def f(c: Tensor, x: Tensor, y: Tensor) -> Any:
        return do.scan(
            lambda c, s: ({"a": c["a"] * s["x"] + s["y"]}, (s["y"], c["a"])),
            {"a": c},
            {"x": x, "y": y},
        )

    return f


@case(V, (4, 3))
def an_integer_is_carried(do: Compiled) -> Any:
    def step(carry: Any, x: Tensor) -> Any:
        c, n = carry
        scale = n.astype(graphc.float64) * 0.1
        return (c * x + scale, n + 1), c * scale

    return lambda c, x: tree(lambda y: y.astype(graphc.float64), do.scan(step, (c, np.int64(1)), x))


@case(V, (4, 3))
def integers_are_slices(do: Compiled) -> Any:
    table = np.array([2, 0, 1, 1])
    return lambda c, x: do.scan(
        lambda c, s: (c + graphc.take(c, s[1]) * s[0], c), c, (x, graphc.constant(table))
    )


@case(V, M)
def constants_only_in_some_steps(do: Compiled) -> Any:
    return lambda c, w: do.fori_loop(1, 5, lambda i, c: graphc.tanh(c @ w) * i, c)


@case(V, V)
def an_expensive_constant(do: Compiled) -> Any:
    return lambda c, k: do.fori_loop(0, 4, lambda i, c: c * graphc.exp(graphc.sin(k)), c)


@case((), V)
def broadcast_constants(do: Compiled) -> Any:
    return lambda s, c: do.scan(lambda c, _: (c * s + s, (c + s).sum()), c, None, length=4)


@case((2, 3), (3, 3), (4, 3))
def constants_in_two_products(do: Compiled) -> Any:
    def f(c: Tensor, w: Tensor, x: Tensor) -> Any:
        return do.scan(lambda c, x: (graphc.tanh(c @ w + x @ w), (c @ w.T).sum()), c, x)

    return f


@case((2, 3), (2, 3, 3))
def weights_are_slices(do: Compiled) -> Any:
    return lambda c, w: do.scan(lambda c, w: (graphc.sin(c @ w), None), c, w)[0]


@case((3, 4))
def map_of_a_reduction(do: Compiled) -> Any:
    return lambda x: do.map(lambda row: graphc.logsumexp(row, axis=0), x)


@case((2, 3), V)
def map_over_a_map(do: Compiled) -> Any:
    return lambda x, w: do.map(lambda row: do.map(lambda e: e * e * w.sum(), row), x)


@case(V, (2, 3, 3), slow=True)
def scan_in_scan(do: Compiled) -> Any:
    def f(c: Tensor, x: Tensor) -> Any:
        def inner(c: Tensor, x: Tensor) -> Any:
            return graphc.sin(c) * x, c

        def step(c: Tensor, rows: Tensor) -> Any:
            c, ys = do.scan(inner, c, rows)
            return c + 1, (ys * ys).sum()

        return do.scan(step, c, x)

    return f


@case(V, M, (2, 2, 3), slow=True)
def scan_in_scan_in_reverse_with_weights(do: Compiled) -> Any:
    def f(c: Tensor, w: Tensor, x: Tensor) -> Any:
        def inner(c: Tensor, x: Tensor) -> Any:
            return graphc.tanh(c @ w) + x, c.sum()

        def step(c: Tensor, rows: Tensor) -> Any:
            c, ys = do.scan(inner, c, rows, reverse=True)
            return c, ys

        return do.scan(step, c, x)

    return f


@case(V, (3, 3))
def loop_in_scan(do: Compiled) -> Any:
    def step(c: Tensor, x: Tensor) -> Any:
        return do.fori_loop(0, 3, lambda i, c: c * x + i, c), c

    return lambda c, x: do.scan(step, c, x)


@case(V, V)
def cond_takes_a_branch(do: Compiled) -> Any:
    return lambda x, y: do.cond(
        x.sum() > 0, lambda x, y: x * y, lambda x, y: graphc.exp(x) * y, x, y
    )


@case(V, V)
def cond_takes_the_other_branch(do: Compiled) -> Any:
    return lambda x, y: do.cond(x.sum() < 0, lambda: x * 2, lambda: graphc.exp(x) * y)


@case(V)
def branches_return_what_they_get(do: Compiled) -> Any:
    return lambda x: do.cond(x.sum() > 0, lambda x: (x, x), lambda x: (x, x * 2), x)


@case(V, (4, 3))
def cond_in_scan(do: Compiled) -> Any:
    def step(c: Tensor, x: Tensor) -> Any:
        return do.cond(x.sum() > 2.2, lambda c: c * x, graphc.sin, c), c

    return lambda c, x: do.scan(step, c, x)


@case((4, 3), V)
def switch_in_map(do: Compiled) -> Any:
    def f(x: Tensor, w: Tensor) -> Any:
        def one(pair: Any) -> Any:
            row, number = pair
            return do.switch(number, [lambda: row, lambda: row * w, lambda: graphc.exp(row)])

        return do.map(one, (x, graphc.constant(np.array([0, 2, 1, 7]))))

    return f


@case(V)
def scan_in_a_branch(do: Compiled) -> Any:
    def long(x: Tensor) -> Any:
        return do.scan(lambda c, _: (graphc.sin(c) + x, None), x, None, length=3)[0]

    return lambda x: do.cond(x.sum() > 0, long, lambda x: x, x)


@case(())
def bounded_loop(do: Compiled) -> Any:
    return lambda x: do.while_loop(lambda x: x < 10, lambda x: x * x + 1, x, 6)


@case(V, ())
def bounded_loop_that_does_not_end(do: Compiled) -> Any:
    return lambda x, y: do.while_loop(
        lambda s: s[0].sum() > -1, lambda s: (graphc.sin(s[0]) * y, s[1] + 1), (x, 0), 4
    )[0]


@case(V, V)
def bounded_loop_that_never_begins(do: Compiled) -> Any:
    return lambda x, y: do.while_loop(lambda x: x.sum() < 0, lambda x: x * y, x, 3)


@case(V, M)
def power_iteration(do: Compiled) -> Any:
    def step(i: Tensor, v: Tensor) -> Any:
        del i
        return v

    def f(v: Tensor, a: Tensor) -> Any:
        def once(i: Tensor, v: Tensor) -> Any:
            u = a @ step(i, v)
            return u / graphc.sqrt((u * u).sum())

        return do.fori_loop(0, 5, once, v)

    return f


@case((2,), ())
def ordinary_differential_equation(do: Compiled) -> Any:
    def f(state: Tensor, rate: Tensor) -> Any:
        def slope(s: Tensor) -> Tensor:
            return graphc.stack([s[1], -rate * graphc.sin(s[0])])

        def step(s: Tensor, _: None) -> Any:
            k1 = slope(s)
            k2 = slope(s + 0.05 * k1)
            return s + 0.1 * k2, s

        return do.scan(step, state, None, length=6)

    return f


@case((4,), (4,))
def polynomial_by_horner(do: Compiled) -> Any:
    return lambda a, x: do.scan(lambda c, a: (c * x + a, None), graphc.zeros_like(x), a)[0]


@case((5, 3), V, is_plain=False)
def stopped_gradients(do: Compiled) -> Any:
    def step(c: Tensor, x: Tensor) -> Any:
        return graphc.stop_gradient(c) * x + c * 0.5, c * x

    return lambda x, c: do.scan(step, c, x)


@case((6, 2), (2, 2))
def elements_are_written_to_a_table(do: Compiled) -> Any:
    def f(x: Tensor, table: Tensor) -> Any:
        def step(table: Tensor, x: Tensor) -> Any:
            row = table[0] * x
            return graphc.concat([table[1:], row[None, :]], axis=0), row.max()

        return do.scan(step, table, x)

    return f
