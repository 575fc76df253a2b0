"""The functions of plans in LLVM IR: what every thread of a team runs, step after step.

    define void @main(ptr table, ptr team, i64 thread, i64 threads)

Kernels that several threads share are called by all of them, small ones and those that cannot be
divided by thread 0, and so are host functions. A barrier stands between two steps only where
`waiting` says so. A long plan is several functions, which its own calls one after the other. The
body of a loop or a branch is a function like @main, with a table of its own; `loops` writes what
calls it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from graphc.backends.llvm import host_calls, loops, polling, timing, work
from graphc.backends.llvm.kernels import Written
from graphc.backends.llvm.layout import POLL, Slots, slots_of
from graphc.backends.llvm.module import Module
from graphc.backends.llvm.waiting import Waiting, in_steady_state
from graphc.backends.llvm.writer import Writer
from graphc.kernel import Kernel
from graphc.plan import HostFunction, Place, Plan, PlanBranch, PlanLoop, Space, Step
from graphc.plan_loops import needs_status

# LLVM's simplification of branches takes a time that grows with the square of a function's blocks,
# and stops the process when it has gone over one function a thousand times.
_STEPS_A_FUNCTION = 64


@dataclass(frozen=True, slots=True)
class Context:
    """What the functions of one program share.

    written  the functions of its kernels
    hosts    the numbers of its host functions
    stride   the bytes of a thread's workspace
    count    how many steps it has, those of bodies too
    numbers  those of its steps, each before those of its bodies
    names    numbers for functions
    """

    module: Module
    written: Mapping[Kernel, Written]
    hosts: Mapping[HostFunction, int]
    stride: int
    count: int
    is_timed: bool
    is_polled: bool
    numbers: Iterator[int] = field(default_factory=itertools.count)
    names: Iterator[int] = field(default_factory=itertools.count)


def add_main(context: Context, plan: Plan, commit: int) -> None:
    """Add @main. Where the plan commits, all threads meet, and go home together if it failed."""
    _add_plan(context, plan, _Entry(context, slots_of(plan), Waiting()), "main", commit)


def _add_plan(context: Context, plan: Plan, entry: _Entry, name: str, commit: int = 0) -> None:
    """Add the function of a plan; a long one calls others, one after the other."""
    module, steps = context.module, plan.steps
    starts = sorted({*range(0, len(steps), _STEPS_A_FUNCTION), min(commit, len(steps))})
    if len(starts) <= 1:
        module.add(f"@{name}", _FUNCTION.format(name=name, body=entry.steps(0, steps)))
        return
    calls = []
    for start, stop in itertools.pairwise([*starts, len(steps)]):
        if 0 < start == commit:
            calls.append(_COMMIT.format(status=entry.slots.status))
            entry.waiting.met()
        part = f"{name}.{start}"
        body = entry.steps(start, steps[start:stop])
        module.add(f"@{part}", _FUNCTION.format(name=part, body=body))
        calls.append(f"  call void @{part}({_ARGUMENTS}) noinline")
    body = "\n".join([*calls, "  br label %done", "done:", "  ret void"])
    module.add(f"@{name}", _FUNCTION.format(name=name, body=body))


def _add_body(context: Context, plan: Plan, waiting: Waiting) -> str:
    """Add the function of a body and return its name."""
    name = f"body.{next(context.names)}"
    _add_plan(context, plan, _Entry(context, slots_of(plan), waiting, is_body=True), name)
    return name


def _add_loop(context: Context, loop: PlanLoop) -> str:
    """Add the function of a loop, and those of its bodies; return its name."""
    is_shared = work.threads_for(loop) > 1
    # behind the condition all threads meet
    first, *rest = (body.plan for body in loop.bodies)
    around = [*(s for plan in rest for s in plan.steps), *first.steps]
    waiting, meets = in_steady_state(around if rest else first.steps)
    if rest:
        waiting, meets = _before_condition(rest[0], first), True
    elif not meets:
        waiting = Waiting()
    bodies = [_add_body(context, first, waiting)]
    bodies += [_add_body(context, plan, Waiting()) for plan in rest]
    name = f"loop.{next(context.names)}"
    style = loops.LoopStyle(
        is_shared=is_shared,
        meets=meets,
        is_polled=context.is_polled,
        may_end=context.is_polled or needs_status(loop.bodies),
    )
    loops.add_loop(context.module, loop, name, bodies, style)
    return name


def _before_condition(body: Plan, condition: Plan) -> Waiting:
    """Return what holds before the condition, after a body that began when all had met."""
    waiting = Waiting()
    for step in body.steps:
        is_shared = work.threads_for(step.routine) > 1
        waiting.before(asked=step.barrier, is_shared=is_shared)
        waiting.after(is_shared=is_shared)
    return waiting


def _add_branch(context: Context, branch: PlanBranch) -> str:
    """Add the function of a branch, and those of its bodies; return its name."""
    bodies = [_add_body(context, body.plan, Waiting()) for body in branch.bodies]
    name = f"branch.{next(context.names)}"
    loops.add_branch(context.module, branch, name, bodies)
    return name


@dataclass
class _Entry:
    """Writes steps in their order; `unpolled` is the work of those written since the last poll."""

    context: Context
    slots: Slots
    waiting: Waiting
    is_body: bool = False
    unpolled: int = 0

    def steps(self, start: int, steps: Sequence[Step]) -> str:
        """Return the body of the function that runs `steps`, of which the first is `start`."""
        writer = Writer()
        is_first = writer.pure("icmp eq i64 %thread, 0")
        base = writer.pure(f"load ptr, ptr {_slot(writer, self.slots.workspace)}")
        offset = writer.pure(f"mul i64 %thread, {self.context.stride}")
        workspace = writer.pure(f"getelementptr i8, ptr {base}, i64 {offset}")
        if self.context.is_timed and start == 0 and not self.is_body:
            timing.write_start(writer, is_first, self.context.count)
        for number, step in enumerate(steps, start):
            is_shared = work.threads_for(step.routine) > 1
            asked = step.barrier and (number > 0 or self.is_body)
            if self.waiting.before(asked=asked, is_shared=is_shared):
                writer.line("call void @graphc.barrier(ptr %team, i64 %threads)")
            self._poll(writer, step)
            stamp = next(self.context.numbers)
            self._step(writer, step, is_shared, is_first, workspace)
            self.waiting.after(is_shared=is_shared)
            if self.context.is_timed:
                timing.write_stamp(writer, stamp, self.context.count, is_repeated=self.is_body)
                self.waiting.met()
        return writer.text()

    def _step(
        self, writer: Writer, step: Step, is_shared: bool, is_first: str, workspace: str
    ) -> None:
        if isinstance(step.routine, HostFunction):
            self._call_host(writer, step, step.routine, is_first)
            return
        count = ["i64 %thread", "i64 %threads"] if is_shared else ["i64 0", "i64 1"]
        given = [f"ptr {_address(writer, self.slots, place)}" for place in step.places]
        if isinstance(step.routine, Kernel):
            function = self.context.written[step.routine].function
            given += [f"ptr {workspace}", "ptr %team", *count]
            if self.context.is_polled:
                given.append(f"ptr {self._control(writer)}")
        else:
            function = "@" + self._add_routine(step.routine)
            slots = (self.slots.workspace, self.slots.hosts, self.slots.status)
            given += [f"ptr {_loaded(writer, slot)}" for slot in slots]
            given += ["ptr %team", *count]
        call = f"call void {function}({', '.join(given)})"
        if is_shared:
            writer.line(call)
            return
        with writer.guarded(is_first):
            writer.line(call)

    def _add_routine(self, routine: PlanLoop | PlanBranch) -> str:
        if isinstance(routine, PlanLoop):
            return _add_loop(self.context, routine)
        return _add_branch(self.context, routine)

    def _call_host(self, writer: Writer, step: Step, routine: HostFunction, is_first: str) -> None:
        functions = _loaded(writer, self.slots.hosts)
        at = f"getelementptr ptr, ptr {functions}, i64 {self.context.hosts[routine]}"
        function = writer.pure(f"load ptr, ptr {writer.pure(at)}")
        control = self._control(writer)
        addresses = [_address(writer, self.slots, place) for place in step.places]
        with writer.guarded(is_first):
            host_calls.write_call(writer, routine, function, control, addresses)

    def _poll(self, writer: Writer, step: Step) -> None:
        """Poll once the steps since the last poll are long together."""
        if not self.context.is_polled:
            return
        self.unpolled += work.steps(step.routine)
        if self.unpolled >= polling.STEPS_PER_POLL:
            writer.line(f"call i1 @{POLL}(ptr {self._control(writer)}, i64 %thread)")
            self.unpolled = 0

    def _control(self, writer: Writer) -> str:
        return _loaded(writer, self.slots.status)


def _loaded(writer: Writer, slot: int) -> str:
    return writer.pure(f"load ptr, ptr {_slot(writer, slot)}")


def _slot(writer: Writer, number: int) -> str:
    return writer.pure(f"getelementptr ptr, ptr %table, i64 {number}")


def _address(writer: Writer, slots: Slots, place: Place) -> str:
    first = {
        Space.ARGUMENT: 0,
        Space.OUTPUT: slots.output,
        Space.VARIABLE: slots.variable,
        Space.CONSTANT: slots.constant,
        Space.ARENA: slots.arena,
        Space.STATUS: slots.status,
    }[place.space]
    is_arena = place.space is Space.ARENA
    slot = _slot(writer, first if is_arena or place.space is Space.STATUS else first + place.at)
    address = writer.pure(f"load ptr, ptr {slot}")
    if not is_arena or place.at == 0:
        return address
    return writer.pure(f"getelementptr i8, ptr {address}, i64 {place.at}")


_ARGUMENTS = "ptr %table, ptr %team, i64 %thread, i64 %threads"
_FUNCTION = """\
define internal void @{name}(ptr noalias readonly %table, ptr %team, i64 %thread, i64 %threads) {{
{body}
}}"""

# thread 0 lets no poll stop the call from here on; whether one did is the same for all threads then
_COMMIT = f"""\
  %slot = getelementptr ptr, ptr %table, i64 {{status}}
  %control = load ptr, ptr %slot
  %first = icmp eq i64 %thread, 0
  br i1 %first, label %close, label %meet
close:
  %closed = getelementptr i8, ptr %control, i64 {polling.CLOSED}
  store i32 1, ptr %closed
  br label %meet
meet:
  call void @graphc.barrier(ptr %team, i64 %threads)
  %status = load atomic i64, ptr %control monotonic, align 8
  %failed = icmp ne i64 %status, 0
  br i1 %failed, label %done, label %commit
commit:"""
