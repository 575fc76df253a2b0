"""Barriers in bodies: where data crosses from one iteration to the next, and nowhere else."""

from __future__ import annotations

from graphc.api import compile_graph
from graphc.graph import Graph
from graphc.plan import PlanLoop, Step
from tests.backends.llvm.loop_graphs import (
    LLVM,
    V,
    graph_of,
    scan,
    typed,
    while_loop,
)
from tests.graphc.loop_graphs import close

M = typed(8, 8)


def steps_of(graph: Graph) -> list[Step]:
    """Return the steps of an iteration of the only loop of a graph."""
    plan = compile_graph(graph, LLVM).stages.plan
    assert plan is not None
    (loop,) = (s.routine for s in plan.steps if isinstance(s.routine, PlanLoop))
    return [step for body in loop.bodies for step in body.plan.steps]


def test_what_reads_a_carry_waits_for_the_iteration_before() -> None:
    moving = close(lambda m, a: (m @ a,), M, M)
    (step,) = steps_of(graph_of(lambda m, a: scan(moving, [m], [a], length=4), M, M))
    assert step.barrier
    still = close(lambda c: (c * 2,), V)
    (step,) = steps_of(graph_of(lambda c: scan(still, [c], length=4), V))
    assert step.barrier


def test_what_reads_slices_alone_waits_for_nobody() -> None:
    body = close(lambda x: (x / x.sum(),), typed(8))
    steps = steps_of(graph_of(lambda x: scan(body, [], [], [x], length=5), typed(5, 8)))
    assert not steps[0].barrier


def test_a_value_made_and_read_in_one_iteration_is_not_made_again_too_early() -> None:
    # sums between the products, so that none of it can be taken out of the loop
    body = close(lambda k, x: ((((x / x.sum()) @ k) @ k).sum(),), M, M)
    first, *others = steps_of(
        graph_of(lambda k, x: scan(body, [], [k], [x], length=5), M, typed(5, 8, 8))
    )
    assert others and all(step.barrier for step in others)  # read what the one before made
    assert first.barrier  # makes anew what the others of the iteration before may still read


def test_a_condition_waits_for_the_body_and_the_body_for_what_it_reads() -> None:
    more = close(lambda m, a: (m.sum() < 100,), M, M)
    body = close(lambda m, a: (m @ a,), M, M)
    condition, *rest = steps_of(graph_of(lambda m, a: while_loop(more, body, [m], [a]), M, M))
    assert condition.barrier and len(rest) >= 1


def test_the_slices_of_an_old_carry_are_memory_of_their_own() -> None:
    body = close(lambda m, a: (m @ a, m), M, M)
    (step,) = steps_of(graph_of(lambda m, a: scan(body, [m], [a], length=4), M, M))
    assert step.barrier and len(step.places) == 3  # no copy beside it
