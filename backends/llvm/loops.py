"""Loops and branches in LLVM IR: what calls the functions of bodies, with tables of addresses.

    define void @loop(ptr buffer…, ptr workspace, ptr hosts, ptr control,
                      ptr team, i64 thread, i64 threads)

Every thread has its own tables, on its stack, and its own counter. A table is filled before the
loop; an iteration changes only what moves: the slices, and the carries that go back and forth
between two blocks of memory. The first iteration reads these from where their first values lie.
Where threads share a loop they take every decision alike: whether a condition holds, and whether
the call shall end, is written by thread 0 into one of two flags, which all read behind a barrier;
there is one in every iteration, so that a flag is not written again before all have read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.backends.llvm import polling, work
from graphc.backends.llvm.layout import POLL, slots_of
from graphc.backends.llvm.module import Module
from graphc.plan import HostFunction, Plan, PlanBranch, PlanLoop, nested_steps
from graphc.plan_loops import loop_memory, parts_of_branch, parts_of_loop
from graphc.state import ALIGNMENT


@dataclass(frozen=True, slots=True)
class LoopStyle:
    """How a loop is run: by all threads, which meet in every iteration or not; polled; ended."""

    is_shared: bool
    meets: bool
    is_polled: bool
    may_end: bool


def add_loop(
    module: Module, loop: PlanLoop, name: str, bodies: Sequence[str], style: LoopStyle
) -> None:
    """Add the function of a loop, which calls the functions `bodies`."""
    module.require("@graphc.copy", lambda _: _COPY)
    _add(module, name, len(loop.buffers), _LoopText(loop, bodies, style).lines())


def add_branch(module: Module, branch: PlanBranch, name: str, bodies: Sequence[str]) -> None:
    """Add the function of a branch, which calls one of the functions `bodies`."""
    _add(module, name, len(branch.buffers), _branch_lines(branch, bodies))


def _add(module: Module, name: str, buffers: int, lines: Sequence[str]) -> None:
    parameters = [f"ptr %b{number}" for number in range(buffers)]
    head = ", ".join([*parameters, _REST])
    body = "\n".join(lines)
    module.add(f"@{name}", f"define internal void @{name}({head}) noinline nounwind {{\n{body}\n}}")


_REST = "ptr %workspace, ptr %hosts, ptr %control, ptr %team, i64 %thread, i64 %threads"
_BARRIER = "  call void @graphc.barrier(ptr %team, i64 %threads)"


class _Table:
    """The lines that fill a table called `name` for a plan; `entries` begins their names."""

    def __init__(self, name: str, plan: Plan, entries: str) -> None:
        self.name, self.slots, self.lines = name, slots_of(plan), list[str]()
        self._entries, self._count = entries, 0

    def put(self, slot: int, address: str) -> None:
        """Store an address."""
        self._count += 1
        at = f"{self._entries}.{self._count}"
        self.lines += [
            f"  {at} = getelementptr ptr, ptr {self.name}, i64 {slot}",
            f"  store ptr {address}, ptr {at}",
        ]

    def put_common(self, arena: str, kept: Sequence[int]) -> None:
        """Store what every body has, and its constants."""
        slots = self.slots
        for number, buffer in enumerate(kept):
            self.put(slots.constant + number, f"%b{buffer}")
        self.put(slots.arena, arena)
        self.put(slots.status, "%control")
        self.put(slots.workspace, "%workspace")
        self.put(slots.hosts, "%hosts")

    def take(self) -> list[str]:
        """Return the lines so far, which are then gone."""
        lines, self.lines = self.lines, []
        return lines


def _call(function: str, table: _Table) -> str:
    rest = "ptr %team, i64 %thread, i64 %threads"
    return f"  call void @{function}(ptr {table.name}, {rest})"


class _LoopText:
    """Writes the function of one loop."""

    def __init__(self, loop: PlanLoop, bodies: Sequence[str], style: LoopStyle) -> None:
        self.loop, self.bodies, self.style = loop, bodies, style
        self.body, self.parts = loop.body.plan, parts_of_loop(loop)
        plans = [body.plan for body in loop.bodies]
        self.memory = loop_memory(plans, self.body, loop.carries)
        self.arena = f"%b{self.parts.memory}"
        self.tables = [_Table(f"%table{n}", plan, f"%entry{n}") for n, plan in enumerate(plans)]
        self.moving = [*self.memory.seconds]  # carries that go back and forth
        self.polls_every = _polls_every(loop)

    def lines(self) -> list[str]:
        """Return the lines of the function."""
        if self.loop.length == 0:
            return ["entry:", *self._copies(range(self.loop.carries)), "  ret void"]
        return [
            *self._entry(),
            *self._head(),
            *self._condition(),
            "body:",
            *self._run_body(),
            *self._poll(),
            *self._end_early(),
            *self._tail(),
            "done:",
            *self._last_copies(),
            "  ret void",
        ]

    # --- before the first iteration ---------------------------------------------------------------

    def _entry(self) -> list[str]:
        sizes = [(table.name, table.slots.count) for table in self.tables]
        lines = ["entry:", *(f"  {name} = alloca [{n} x ptr], align 64" for name, n in sizes)]
        for table, kept in zip(self.tables, self.parts.kept, strict=True):
            for number in self.parts.constants:
                table.put(number, f"%b{number}")
            table.put_common(self.arena, kept)
            for carry in self.body.donated:
                table.put(carry, f"%b{self.parts.last[carry]}")
            lines += table.take()
        copies = self._copies([*self.body.donated])
        lines += copies
        if copies and self.style.is_shared:
            lines.append(_BARRIER)
        for carry, offset in self.memory.seconds.items():
            lines.append(f"  %second{carry} = getelementptr i8, ptr {self.arena}, i64 {offset}")
        if self.loop.condition is not None or self._agrees_to_end:
            flags = self.memory.flags
            lines.append(f"  %flags = getelementptr i8, ptr {self.arena}, i64 {flags}")
        return [*lines, "  br label %head"]

    def _copies(self, carries: Sequence[int]) -> list[str]:
        """Return copies of first values to where the last ones shall be."""
        parts = self.parts
        return [self._copy(carry, f"%b{parts.carries[carry]}") for carry in carries]

    def _copy(self, carry: int, source: str) -> str:
        to, size = f"%b{self.parts.last[carry]}", self.body.outputs[carry].nbytes
        rest = "i64 %thread, i64 %threads"
        return f"  call void @graphc.copy(ptr {to}, ptr {source}, i64 {size}, {rest})"

    # --- an iteration -----------------------------------------------------------------------------

    def _head(self) -> list[str]:
        """Return the counter and, for each moving carry, where it is and where it goes."""
        lines = ["head:", "  %i = phi i64 [ 0, %entry ], [ %i.next, %tail ]"]
        # an odd number of iterations ends where the first one writes
        is_odd = self.loop.length is None or self.loop.length % 2 == 1
        for c in self.moving:
            last, second = f"%b{self.parts.last[c]}", f"%second{c}"
            to, other = (last, second) if is_odd else (second, last)
            first = f"%b{self.parts.carries[c]}"
            lines += [
                f"  %at{c} = phi ptr [ {first}, %entry ], [ %to{c}, %tail ]",
                f"  %to{c} = phi ptr [ {to}, %entry ], [ %other{c}, %tail ]",
                f"  %other{c} = phi ptr [ {other}, %entry ], [ %to{c}, %tail ]",
            ]
        return lines

    def _condition(self) -> list[str]:
        if self.loop.condition is None:
            return ["  br label %body"]
        table = self.tables[0]
        for carry in self.moving:
            table.put(carry, f"%at{carry}")
        table.put(table.slots.output, "%flag")
        lines = [*self._flag("%i"), *table.take(), _call(self.bodies[0], table)]
        if self.style.is_shared:
            return [*lines, *self._agree(), *_GO_ON]
        return [*lines, *_ended("alone"), *_CONDITION_ALONE]

    def _flag(self, number: str) -> list[str]:
        return [
            f"  %odd = and i64 {number}, 1",
            f"  %flag.offset = mul i64 %odd, {ALIGNMENT}",
            "  %flag = getelementptr i8, ptr %flags, i64 %flag.offset",
        ]

    def _agree(self) -> list[str]:
        """Let thread 0 take the flag back if the call shall end, and all threads meet."""
        return [
            "  %is.first = icmp eq i64 %thread, 0",
            "  br i1 %is.first, label %look, label %together",
            "look:",
            *_ended("call"),
            "  br i1 %call.ended, label %stop, label %together",
            "stop:",
            "  store i8 0, ptr %flag",
            "  br label %together",
            "together:",
            _BARRIER,
        ]

    def _run_body(self) -> list[str]:
        table, parts, carries = self.tables[-1], self.parts, self.loop.carries
        for carry in self.moving:
            table.put(carry, f"%at{carry}")
            table.put(table.slots.output + carry, f"%to{carry}")
        lines = []
        if parts.stacked or parts.outputs:
            last = f"sub i64 {(self.loop.length or 0) - 1}, %i"
            lines.append(f"  %slice = {last if self.loop.is_reversed else 'add i64 %i, 0'}")
        first = carries + self.loop.constants
        places = [(first + n, b, self.body.inputs[first + n]) for n, b in enumerate(parts.stacked)]
        places += [
            (table.slots.output + carries + n, b, self.body.outputs[carries + n])
            for n, b in enumerate(parts.outputs)
        ]
        for slot, buffer, type_ in places:
            lines += [
                f"  %skip{buffer} = mul i64 %slice, {type_.nbytes}",
                f"  %slice{buffer} = getelementptr i8, ptr %b{buffer}, i64 %skip{buffer}",
            ]
            table.put(slot, f"%slice{buffer}")
        lines += [*table.take(), _call(self.bodies[-1], table)]
        return [*lines, _BARRIER] if self.style.is_shared and not self.style.meets else lines

    def _poll(self) -> list[str]:
        if not self.style.is_polled:
            return []
        poll = f"  call i1 @{POLL}(ptr %control, i64 %thread)"
        if self.polls_every == 1:
            return [poll]
        return [
            f"  %since = and i64 %i, {self.polls_every - 1}",
            f"  %due = icmp eq i64 %since, {self.polls_every - 1}",
            "  br i1 %due, label %poll, label %polled",
            "poll:",
            poll,
            "  br label %polled",
            "polled:",
        ]

    @property
    def _agrees_to_end(self) -> bool:
        """Whether a loop without a condition may end early, by agreement of several threads."""
        return self.style.may_end and self.loop.condition is None and self.style.is_shared

    def _end_early(self) -> list[str]:
        if not self.style.may_end or self.loop.condition is not None:
            return ["  br label %tail"]
        if not self.style.is_shared:
            return [*_ended("early"), "  br i1 %early.ended, label %done, label %tail"]
        every = self.polls_every
        return [
            f"  %round = and i64 %i, {every - 1}",
            f"  %asks = icmp eq i64 %round, {every - 1}",
            "  br i1 %asks, label %ask, label %tail",
            "ask:",
            f"  %question = udiv i64 %i, {every}",
            *self._flag("%question"),
            "  %is.first = icmp eq i64 %thread, 0",
            "  br i1 %is.first, label %early.look, label %together",
            "early.look:",
            *_ended("early"),
            "  %goes.on = xor i1 %early.ended, true",
            "  %answer = zext i1 %goes.on to i8",
            "  store i8 %answer, ptr %flag",
            "  br label %together",
            "together:",
            _BARRIER,
            "  %told = load i8, ptr %flag",
            "  %on = icmp ne i8 %told, 0",
            "  br i1 %on, label %tail, label %done",
        ]

    def _tail(self) -> list[str]:
        lines = ["tail:", "  %i.next = add i64 %i, 1"]
        if self.loop.length is None:
            return [*lines, "  br label %head"]
        return [
            *lines,
            f"  %more = icmp ult i64 %i.next, {self.loop.length}",
            "  br i1 %more, label %head, label %done",
        ]

    def _last_copies(self) -> list[str]:
        """Bring the carries of a loop of unknown length to where their last values shall be."""
        if self.loop.length is not None:
            return []
        return [self._copy(carry, f"%at{carry}") for carry in self.moving]


def _ended(hint: str) -> list[str]:
    """Return the lines that look whether a check has failed or the call shall stop."""
    return [
        f"  %{hint}.status = load atomic i64, ptr %control monotonic, align 8",
        f"  %{hint}.ended = icmp ne i64 %{hint}.status, 0",
    ]


_GO_ON = (
    "  %told = load i8, ptr %flag",
    "  %on = icmp ne i8 %told, 0",
    "  br i1 %on, label %body, label %done",
)
_CONDITION_ALONE = (
    "  %told = load i8, ptr %flag",
    "  %holds = icmp ne i8 %told, 0",
    "  %runs = xor i1 %alone.ended, true",
    "  %on = and i1 %holds, %runs",
    "  br i1 %on, label %body, label %done",
)


def _polls_every(loop: PlanLoop) -> int:
    """Return after how many iterations, a power of two, to look whether the call shall end."""
    steps = nested_steps([s for body in loop.bodies for s in body.plan.steps])
    if any(isinstance(step.routine, HostFunction) for _, step in steps):
        return 1
    count = polling.STEPS_PER_POLL // work.steps_of_iteration(loop)
    return 1 << max(0, count.bit_length() - 1)


# Each thread copies its share; nothing where the value lies there already.
_COPY = """\
define internal void @graphc.copy(ptr %to, ptr %from, i64 %bytes, i64 %thread, i64 %threads) {
  %same = icmp eq ptr %to, %from
  br i1 %same, label %done, label %divide
divide:
  %lines = add i64 %bytes, 63
  %all = lshr i64 %lines, 6
  %first = mul i64 %all, %thread
  %following = add i64 %first, %all
  %begin.line = udiv i64 %first, %threads
  %end.line = udiv i64 %following, %threads
  %begin = shl i64 %begin.line, 6
  %end.all = shl i64 %end.line, 6
  %is.last = icmp ult i64 %bytes, %end.all
  %end = select i1 %is.last, i64 %bytes, i64 %end.all
  %some = icmp ult i64 %begin, %end
  br i1 %some, label %copy, label %done
copy:
  %size = sub i64 %end, %begin
  %target = getelementptr i8, ptr %to, i64 %begin
  %source = getelementptr i8, ptr %from, i64 %begin
  call void @llvm.memcpy.p0.p0.i64(ptr %target, ptr %source, i64 %size, i1 false)
  br label %done
done:
  ret void
}"""


def _branch_lines(branch: PlanBranch, bodies: Sequence[str]) -> list[str]:
    parts, index = parts_of_branch(branch), branch.buffers[0].type.dtype
    plans, word = [body.plan for body in branch.bodies], f"i{index.bits}"
    count = max(slots_of(plan).count for plan in plans)
    last = len(plans) - 1
    cases = " ".join(f"{word} {number}, label %branch{number}" for number in range(last))
    lines = [
        "entry:",
        f"  %table = alloca [{count} x ptr], align 64",
        f"  %given = load {word}, ptr %b0",
        f"  %low = icmp slt {word} %given, 0",
        f"  %number = select i1 %low, {word} 0, {word} %given",
        f"  switch {word} %number, label %branch{last} [ {cases} ]",
    ]
    for number, (plan, function) in enumerate(zip(plans, bodies, strict=True)):
        table = _Table("%table", plan, f"%entry{number}")
        for place, buffer in enumerate(parts.operands):
            table.put(place, f"%b{buffer}")
        table.put_common(f"%b{parts.memory}", parts.kept[number])
        for place, buffer in enumerate(parts.results):
            table.put(table.slots.output + place, f"%b{buffer}")
        lines += [f"branch{number}:", *table.take(), _call(function, table), "  br label %done"]
    return [*lines, "done:", "  ret void"]
