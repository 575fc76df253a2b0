"""The order of groups: it respects what depends on what, and gives memory back early."""

from __future__ import annotations

import random

from graphc.passes.memory_order import Step, memory_order


def edges(steps: list[Step[str]]) -> dict[int, list[int]]:
    """Return, for each step, the steps that read what it makes."""
    makers = {value: n for n, step in enumerate(steps) for value in step.makes}
    after: dict[int, list[int]] = {n: [] for n in range(len(steps))}
    for number, step in enumerate(steps):
        for value in step.reads:
            after[makers[value]].append(number)
    return after


def peak(steps: list[Step[str]], order: tuple[int, ...]) -> int:
    """Return the most bytes that are alive at once."""
    left = {value: sum(value in s.reads for s in steps) for step in steps for value in step.makes}
    alive: dict[str, int] = {}
    most = 0
    for number in order:
        alive |= steps[number].makes
        most = max(most, sum(alive.values()))
        for value in steps[number].reads:
            left[value] -= 1
        alive = {value: n for value, n in alive.items() if left[value]}
    return most


def backward(layers: int) -> list[Step[str]]:
    """A chain of cotangents, and then the gradient of each layer's weights, which lies outside."""
    chain = [Step((), {"c0": 8})]
    chain += [Step((f"c{n}",), {f"c{n + 1}": 8}) for n in range(layers)]
    return chain + [Step((f"c{n}",), {}) for n in range(layers + 1)]


def test_what_frees_memory_runs_at_once() -> None:
    steps = backward(10)
    order = memory_order(steps, edges(steps))
    assert sorted(order) == list(range(len(steps)))
    assert peak(steps, tuple(range(len(steps)))) == 88
    assert peak(steps, order) == 16


def test_where_nothing_is_gained_the_order_stays() -> None:
    steps: list[Step[str]] = [Step((), {"a": 1}), Step((), {"b": 1}), Step(("a", "b"), {"c": 9})]
    steps.append(Step(("c",), {"d": 10}))
    assert memory_order(steps, edges(steps)) == (0, 1, 2, 3)


def test_edges_without_values_are_respected() -> None:
    steps = [Step((), {"a": 4}), Step((), {"b": 9}), Step(("a",), {})]
    after = edges(steps)
    assert memory_order(steps, after) == (0, 2, 1)
    after[1].append(2)
    assert memory_order(steps, after) == (0, 1, 2)


def test_random_orders_are_possible_and_mostly_better() -> None:
    rng = random.Random(1)
    better = worse = 0
    for _ in range(300):
        steps: list[Step[str]] = []
        values: list[str] = []
        for number in range(rng.randrange(1, 30)):
            reads = tuple(dict.fromkeys(rng.choices(values, k=3))) if values else ()
            makes = {f"v{number}": rng.randrange(1, 9)} if rng.random() < 0.7 else {}
            steps.append(Step(reads, makes))
            values += makes
        after = edges(steps)
        order = memory_order(steps, after)
        place = {number: n for n, number in enumerate(order)}
        assert sorted(order) == list(range(len(steps)))
        assert all(place[n] < place[k] for n, later in after.items() for k in later)
        before, now = peak(steps, tuple(range(len(steps)))), peak(steps, order)
        better, worse = better + (now < before), worse + (now > before)
    assert better > 5 * worse
