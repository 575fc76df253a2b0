"""Memory planning: where every buffer of every call lies, and what must be copied besides.

Results lie in the caller's outputs, assigned values in their variables where no reader of the old
value is left, everything else in one arena, by lifetime. A result takes over the memory of an
operand that it is the last to read, where the kernel reads every element before it writes it.
An output may also lie in an argument that the user donated, if nothing reads that afterwards.
Outputs that are no kernel's own (an input, a variable, a constant, a second copy) are copied; every
assignment sees the old value of every variable.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.graph import Graph
from graphc.kernel import Access, Kernel
from graphc.node import ArrayData, Node
from graphc.passes.arena import Lifetime, place_blocks
from graphc.passes.barriers import set_barriers
from graphc.passes.in_place import replaceable_inputs
from graphc.passes.lower import Lowered, copy_kernel
from graphc.plan import STATUS, Call, Operand, Place, Plan, PlanLoop, Space, Step, Temporary
from graphc.plan_loops import parts_of_loop
from graphc.target import Target
from graphc.tensor_type import TensorType


def plan_memory(
    lowered: Lowered,
    graph: Graph,
    target: Target,
    name: str = "main",
    donated: Collection[int] = (),
    carries: int = 0,
) -> Plan:
    """Return the plan that runs the calls in their order, over memory laid out by lifetime.

    `donated` are the numbers of the inputs that may be written over; in the body of a loop each
    of the first `carries` outputs may lie in the input of its number.
    """
    planner = _Planner(lowered.calls, graph, donated, carries)
    steps = planner.steps()
    return Plan(
        name=name,
        steps=set_barriers(steps),
        inputs=tuple(node.type for node in graph.inputs),
        outputs=tuple(node.type for node in graph.outputs),
        variables=tuple(node.attributes["state"] for node in graph.variables),
        written=frozenset(planner.variables[target] for target, _ in graph.assignments),
        constants=tuple(planner.constants),
        arena_bytes=planner.arena_bytes,
        checks=lowered.checks,
        target=target,
        commit=planner.commit,
        donated=planner.donated,
    )


def _checks_first(calls: tuple[Call, ...]) -> list[int]:
    """Return the order of calls: those that test values, and what they depend on, before others."""
    makers: dict[Operand, int] = {}
    for number, call in enumerate(calls):
        for buffer, node in zip(call.routine.buffers, call.operands, strict=True):
            if buffer.access is not Access.IN:
                makers[node] = number
    early: set[int] = set()
    for number in reversed(range(len(calls))):
        if number in early or STATUS in calls[number].operands:
            early.add(number)
            early.update(makers[node] for node in calls[number].operands if node in makers)
    return [*sorted(early), *(number for number in range(len(calls)) if number not in early)]


def _fit(source: TensorType, result: TensorType) -> bool:
    return (source.size, source.dtype) == (result.size, result.dtype)


def _kept_carries(graph: Graph, carries: int) -> dict[int, int]:
    """Return the outputs of a body that are old carries, one for each such carry.

    The carry then lies in the slices of that output, and nothing is copied.
    """
    numbers = {node: n for n, node in enumerate(graph.inputs[:carries])}
    found: dict[int, int] = {}
    for output, node in enumerate(graph.outputs):
        carry = numbers.get(node)
        is_new = output >= carries and carry not in found.values()
        if carry is not None and is_new and graph.outputs[carry] is not node:
            found[output] = carry
    return found


def _starts_in_place(
    call: Call, loop: PlanLoop, source: Node | Temporary, result: Node | Temporary
) -> bool:
    """Return whether a carry may begin in the memory of `source` and end there as `result`."""
    parts, body = parts_of_loop(loop), loop.body.plan
    places = [parts.carries[number] for number in body.donated if number < loop.carries]
    starts = {call.operands[place]: call.operands[parts.last[place]] for place in places}
    return call.operands.count(source) == 1 and starts.get(source) is result


@dataclass
class _Value:
    """What a call makes: its number, that of the last to read it, and where it lies."""

    node: Node | Temporary
    made: int
    last: int
    place: Place | None = None
    block: int | None = None  # in the arena


@dataclass
class _Block:
    """A piece of the arena that values share one after another."""

    nbytes: int
    first: int
    last: int


@dataclass(frozen=True)
class _Copy:
    """A copy of a whole array, between a node, a place and a block of the arena (by its number)."""

    source: Node | int
    target: Place | int
    type: TensorType


class _Planner:
    def __init__(
        self, calls: tuple[Call, ...], graph: Graph, donated: Collection[int], carries: int
    ) -> None:
        self.groups = _checks_first(calls)  # the group of each call, in the order of the calls
        self.calls = [calls[group] for group in self.groups]
        self.graph, self.carries = graph, carries
        self.donated: dict[int, int] = {}  # the input in whose memory an output lies
        self._kept_carries = _kept_carries(graph, carries)
        self._free_inputs = [graph.inputs[number] for number in sorted(donated)]
        self.inputs = {node: number for number, node in enumerate(graph.inputs)}
        self.variables = {node: number for number, node in enumerate(graph.variables)}
        self.constants: list[np.ndarray[Any, Any]] = []
        self._constant_numbers: dict[ArrayData, int] = {}
        self._replaceable: dict[int, frozenset[tuple[str, str]]] = {}
        self._names: dict[int, dict[Operand, str]] = {}  # of a call's operands in its kernel
        self.blocks: list[_Block] = []
        self.first_copies: list[_Copy] = []
        self.last_copies: list[_Copy] = []
        self.offsets: list[int] = []
        self.arena_bytes = 0
        self.last_reads: dict[Node | Temporary, int] = {}
        checks = (number for number, call in enumerate(self.calls) if STATUS in call.operands)
        self.last_check = max(checks, default=-1)
        self.values: dict[Node | Temporary, _Value] = {}
        self._find_lifetimes()

    def steps(self) -> list[Step]:
        """Return all steps: copies of old values, the calls, copies of new values."""
        self._place_outputs()
        self._place_assignments()
        self._place_in_arena()
        blocks = [Lifetime(b.nbytes, b.first, b.last) for b in self.blocks]
        self.offsets, self.arena_bytes = place_blocks(blocks)
        before, after = map(self._copy, self.first_copies), map(self._copy, self.last_copies)
        return [*before, *(self._step(i, call) for i, call in enumerate(self.calls)), *after]

    @property
    def commit(self) -> int:
        """The first step that no check follows, where there are checks and assignments."""
        if self.last_check < 0 or not self.graph.assignments:
            return 0
        return len(self.first_copies) + self.last_check + 1

    def _find_lifetimes(self) -> None:
        for number, call in enumerate(self.calls):
            for buffer, node in zip(call.routine.buffers, call.operands, strict=True):
                if isinstance(node, str):
                    continue
                if buffer.access is Access.IN:
                    self.last_reads[node] = number
                else:
                    self.values[node] = _Value(node, number, number)
        for node, value in self.values.items():
            value.last = max(value.made, self.last_reads.get(node, 0))

    # --- outputs and assignments -----------------------------------------------------------------

    def _place_outputs(self) -> None:
        for number, node in enumerate(self.graph.outputs):
            place, value = Place(Space.OUTPUT, number), self.values.get(node)
            if number < self.carries and node is self.graph.inputs[number]:
                self.donated[number] = number
            elif number in self._kept_carries:
                self.donated[number] = self._kept_carries[number]
            elif value is None:
                self.first_copies.append(_Copy(node, place, node.type))
            elif value.place is None:
                value.place = self._in_donated(number, value) or place
            else:
                self.last_copies.append(_Copy(node, place, node.type))

    def _in_donated(self, number: int, value: _Value) -> Place | None:
        """Return the place of an input that an output may lie in, if there is one."""
        if number < self.carries:
            return self._in_carry(number, value)
        assigned = {node for _, node in self.graph.assignments}
        for source in self._free_inputs:
            # an input that is assigned is read when all is done
            is_candidate = source not in assigned and _fit(source.type, value.node.type)
            if is_candidate and self._may_overwrite(source, value):
                self._free_inputs.remove(source)
                self.donated[number] = self.inputs[source]
                return Place(Space.ARGUMENT, self.inputs[source])
        return None

    def _in_carry(self, number: int, value: _Value) -> Place | None:
        source = self.graph.inputs[number]
        if number in self._kept_carries.values() or not self._is_dead(source, value):
            return None
        self.donated[number] = number
        return Place(Space.ARGUMENT, number)

    def _place_assignments(self) -> None:
        assigned = {variable for variable, _ in self.graph.assignments}
        for variable, node in self.graph.assignments:
            place = Place(Space.VARIABLE, self.variables[variable])
            value = self.values.get(node)
            if node is variable:
                continue
            if value is not None and value.place is None and self._may_overwrite(variable, value):
                value.place = place
            elif node in assigned:
                self._copy_by_way_of_arena(node, place)
            else:
                self.last_copies.append(_Copy(node, place, node.type))
                if value is not None:
                    value.last = len(self.calls)

    def _copy_by_way_of_arena(self, variable: Node, place: Place) -> None:
        """Keep the old value of a variable that is itself assigned until the end."""
        block = len(self.blocks)
        self.blocks.append(_Block(variable.type.nbytes, -1, len(self.calls)))
        self.first_copies.append(_Copy(variable, block, variable.type))
        self.last_copies.append(_Copy(block, place, variable.type))

    def _may_overwrite(self, variable: Node, value: _Value) -> bool:
        """Return whether no call reads the old value of `variable`, or tests one, after that.

        The same of an input in the place of a variable.
        """
        return value.made > self.last_check and self._is_dead(variable, value)

    def _is_dead(self, variable: Node, value: _Value) -> bool:
        """Return whether the memory of a leaf may hold `value` from when it is made."""
        last = self.last_reads.get(variable, -1)
        if last != value.made:
            return last < value.made
        return self._is_replaceable(self.calls[last], variable, value.node)

    def _is_replaceable(
        self, call: Call, source: Node | Temporary, result: Node | Temporary
    ) -> bool:
        routine = call.routine
        if isinstance(routine, PlanLoop):
            return _starts_in_place(call, routine, source, result)
        if not isinstance(routine, Kernel):
            return False
        if id(routine) not in self._replaceable:
            self._replaceable[id(routine)] = replaceable_inputs(routine)
        if id(call) not in self._names:
            buffers = (buffer.name for buffer in routine.buffers)
            self._names[id(call)] = dict(zip(call.operands, buffers, strict=True))
        names = self._names[id(call)]
        return (names[source], names[result]) in self._replaceable[id(routine)]

    # --- the arena -------------------------------------------------------------------------------

    def _place_in_arena(self) -> None:
        for number, call in enumerate(self.calls):
            made = [v for o in call.operands if (v := self._made_by(o, number)) is not None]
            for value in made:
                if value.place is None:
                    value.block = self._take_over(call, number, value)
            for value in made:
                if value.place is None and value.block is None:
                    value.block = len(self.blocks)
                    self.blocks.append(_Block(value.node.type.nbytes, value.made, value.last))

    def _made_by(self, operand: Operand, number: int) -> _Value | None:
        value = None if isinstance(operand, str) else self.values.get(operand)
        return value if value is not None and value.made == number else None

    def _take_over(self, call: Call, number: int, value: _Value) -> int | None:
        """Return the block of an operand that dies here and may be written over, if any."""
        for operand in call.operands:
            old = None if isinstance(operand, str) else self.values.get(operand)
            if old is None or old.block is None or old.last != number or old.made == number:
                continue
            block = self.blocks[old.block]
            if block.last == number and self._is_replaceable(call, old.node, value.node):
                block.last = max(block.last, value.last)
                old.last = -1  # nobody else takes it over
                return old.block
        return None

    # --- steps --------------------------------------------------------------------------------

    def _step(self, number: int, call: Call) -> Step:
        places = tuple(self._place_of(operand) for operand in call.operands)
        return Step(call.routine, places, group=self.groups[number])

    def _copy(self, copy: _Copy) -> Step:
        source = self._place_of(copy.source) if isinstance(copy.source, Node) else None
        target = copy.target if isinstance(copy.target, Place) else None
        places = (source or self._in_arena(copy.source), target or self._in_arena(copy.target))
        return Step(copy_kernel(copy.type), places)

    def _in_arena(self, block: object) -> Place:
        assert isinstance(block, int)
        return Place(Space.ARENA, self.offsets[block])

    def _place_of(self, operand: Operand) -> Place:
        if isinstance(operand, str):
            return Place(Space.STATUS)
        value = self.values.get(operand)
        if value is not None and value.block is not None:
            return self._in_arena(value.block)
        if value is not None and value.place is not None:
            return value.place
        assert isinstance(operand, Node)  # a temporary is a value
        if operand in self.inputs:
            return Place(Space.ARGUMENT, self.inputs[operand])
        if operand in self.variables:
            return Place(Space.VARIABLE, self.variables[operand])
        return Place(Space.CONSTANT, self._constant_number(operand.attributes["value"]))

    def _constant_number(self, data: ArrayData) -> int:
        if data not in self._constant_numbers:
            self._constant_numbers[data] = len(self.constants)
            self.constants.append(data.array)
        return self._constant_numbers[data]
