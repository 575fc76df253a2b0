"""Scans in segments of several steps: unrolled, or computed again by derivatives.

Both put segments of equal length under an outer scan, and the steps that are left over beside it.
The order of the steps, and so every bit, stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from graphc import ops
from graphc.body import Body
from graphc.capture import new_parameter
from graphc.graph import Graph
from graphc.node import Node
from graphc.ops.loops import items
from graphc.ops.views import cut, reshaped


@dataclass(frozen=True)
class Steps:
    """A scan that is not built yet: its body, its operands by kind, and how it goes."""

    body: Body
    carries: tuple[Node, ...]
    constants: tuple[Node, ...]
    stacked: tuple[Node, ...]
    length: int
    reverse: bool

    def build(self, *, recompute: bool = False) -> tuple[Node, ...]:
        """Return the results of the scan."""
        if not self.body.outputs:
            return ()
        return items(
            ops.scan(
                *self.carries, *self.constants, *self.stacked,
                body=self.body, carries=len(self.carries), constants=len(self.constants),
                length=self.length, reverse=self.reverse, recompute=recompute,
            )
        )  # fmt: skip

    def part(self, start: int, stop: int, carries: Sequence[Node]) -> Steps:
        """Return the steps from `start` to `stop`, which begin with `carries`."""
        stacked = tuple(_rows(x, start, stop) for x in self.stacked)
        return replace(self, carries=tuple(carries), stacked=stacked, length=stop - start)


def _rows(node: Node, start: int, stop: int) -> Node:
    if (start, stop) == (0, node.shape[0]):
        return node
    first = (start,) + (0,) * (len(node.shape) - 1)
    return cut(node, first, (stop - start, *node.shape[1:]))


def build(steps: Steps, unroll: int, every: int) -> tuple[Node, ...]:
    """Return the results of a scan with `unroll` steps in a row.

    Derivatives keep the carries of every `every`-th step alone, if that is not 0.
    """
    if every and every < steps.length:
        return _in_segments(steps, every, lambda part: build(part, unroll, 0), recompute=True)
    if 1 < unroll <= steps.length:
        return _in_segments(steps, unroll, _in_a_row, recompute=False)
    return steps.build()


def _in_segments(
    steps: Steps, size: int, run: Callable[[Steps], tuple[Node, ...]], *, recompute: bool
) -> tuple[Node, ...]:
    """Return the results of `steps`, `size` of which are one step, run by `run`, of a scan."""
    whole = steps.length // size * size
    rest = steps.length - whole
    if not rest:
        return _whole_segments(steps, size, run, recompute=recompute)
    runs: list[tuple[tuple[int, int], Callable[[Steps], tuple[Node, ...]]]] = [
        ((0, whole), lambda part: _whole_segments(part, size, run, recompute=recompute)),
        ((whole, steps.length), run),
    ]  # the segments are the first rows, in either direction: these need no copy
    (first_rows, first_run), (second_rows, second_run) = runs[:: -1 if steps.reverse else 1]
    first = first_run(steps.part(*first_rows, steps.carries))
    count = len(steps.carries)
    second = second_run(steps.part(*second_rows, first[:count]))
    pairs = zip(first[count:], second[count:], strict=True)
    ordered = [(b, a) if steps.reverse else (a, b) for a, b in pairs]
    return (*second[:count], *(ops.concat(*pair, axis=0) for pair in ordered))


def _whole_segments(
    steps: Steps, size: int, run: Callable[[Steps], tuple[Node, ...]], *, recompute: bool
) -> tuple[Node, ...]:
    carries = tuple(new_parameter(n.type) for n in steps.carries)
    constants = tuple(new_parameter(n.type) for n in steps.constants)
    segments = [reshaped(x, (x.shape[0] // size, size, *x.shape[1:])) for x in steps.stacked]
    slices = tuple(new_parameter(n.type.with_shape(n.shape[1:])) for n in segments)
    inner = run(replace(steps, carries=carries, constants=constants, stacked=slices, length=size))
    outer = replace(
        steps,
        body=Body(Graph([*carries, *constants, *slices], inner)),
        stacked=tuple(segments),
        length=steps.length // size,
    )
    results = outer.build(recompute=recompute)
    outputs = [reshaped(y, (steps.length, *y.shape[2:])) for y in results[len(carries) :]]
    return (*results[: len(carries)], *outputs)


def _in_a_row(steps: Steps) -> tuple[Node, ...]:
    """Return the results of `steps`, one body after another, without a loop."""
    carries = steps.carries
    outputs: list[tuple[Node, ...]] = [()] * steps.length
    order = range(steps.length)[:: -1 if steps.reverse else 1]
    for step in order:
        slices = [reshaped(_rows(x, step, step + 1), x.shape[1:]) for x in steps.stacked]
        results = steps.body.apply(*carries, *steps.constants, *slices)
        carries = results[: len(carries)]
        outputs[step] = results[len(carries) :]
    stacks = zip(*outputs, strict=True)
    lifted = [[reshaped(y, (1, *y.shape)) for y in stack] for stack in stacks]
    return (*carries, *(ops.concat(*stack, axis=0) for stack in lifted))
