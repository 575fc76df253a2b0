"""Barriers in the bodies of loops, where data also crosses from one iteration to the next.

The steps of two iterations in a row are given barriers as any steps are; a step waits in every
iteration if it waits in one of the two. In the second the places have the names they have for the
first: the argument of a carry is where the first one put its output, slices are memory of their
own. That is enough if all threads meet in every iteration, so that none is two of them ahead:
whoever runs a loop without a barrier in it adds one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from graphc.passes.barriers import set_barriers
from graphc.plan import BodyPlan, Place, Plan, Space, Step

_APART = 1 << 32  # added to the numbers of places that are other memory


def set_loop_barriers(
    bodies: tuple[BodyPlan, ...], carries: int, shared: int
) -> tuple[BodyPlan, ...]:
    """Return the plans of an iteration, of which the last has the outputs, with barriers set.

    `shared` are the first arguments that are no slices; `carries` of them change.
    """
    body = bodies[-1].plan
    renamed: list[list[Step]] = []
    for iteration in (0, 1):
        for plan in (b.plan for b in bodies):
            place = _renaming(plan, body, iteration, carries, shared)
            renamed.append([_moved(step, place) for step in plan.steps])
    steps = set_barriers([step for part in renamed for step in part])
    count = len(steps) // 2
    waits = [a.barrier or b.barrier for a, b in zip(steps[:count], steps[count:], strict=True)]
    return _with_barriers(bodies, waits)


def _renaming(
    plan: Plan, body: Plan, iteration: int, carries: int, shared: int
) -> Callable[[Place], Place]:
    def place(given: Place) -> Place:
        if given.space is Space.ARGUMENT and given.at >= shared:
            return replace(given, at=given.at + _APART * iteration)
        is_changed = given.at < carries and given.at not in body.donated
        if given.space is Space.ARGUMENT and is_changed and iteration:
            return Place(Space.OUTPUT, given.at)
        if given.space is not Space.OUTPUT:
            return given
        if plan is not body:  # the condition's flag
            return replace(given, at=given.at + _APART * (2 + iteration))
        if given.at >= carries:
            return replace(given, at=given.at + _APART * iteration)
        return Place(Space.ARGUMENT, given.at) if iteration else given

    return place


def _moved(step: Step, place: Callable[[Place], Place]) -> Step:
    return replace(step, places=tuple(map(place, step.places)))


def _with_barriers(bodies: Sequence[BodyPlan], waits: Sequence[bool]) -> tuple[BodyPlan, ...]:
    given = iter(waits)
    return tuple(
        BodyPlan(
            replace(
                body.plan, steps=tuple(replace(s, barrier=next(given)) for s in body.plan.steps)
            ),
            body.grouping,
        )
        for body in bodies
    )
