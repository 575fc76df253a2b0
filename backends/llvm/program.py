"""A whole plan in LLVM IR: the functions of its kernels, and the entry that launches them.

    define void @main(ptr table, ptr team, i64 thread, i64 threads)   every thread of a team runs it
    define void @run(ptr table, ptr team, i64 threads)                called once for each call

`table` is an array of addresses, in the order of `Slots`. Kernels that several threads share are
called by all of them, small ones and those that cannot be divided by thread 0. A barrier stands
between two launches only if the plan asks for one and some thread could be ahead of another.
`team` may be null where `threads` is 1; more threads than the work is worth are not used.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from graphc.backends.llvm import polling, timing, work
from graphc.backends.llvm.division import is_divisible
from graphc.backends.llvm.kernels import BufferFacts, Written
from graphc.backends.llvm.layout import BARRIER, DISPATCH, POLL, Layout, Slots, slots_of
from graphc.backends.llvm.machine import Machine
from graphc.backends.llvm.module import Module, ModuleText
from graphc.backends.llvm.parts import Parts, part_count, size_of
from graphc.backends.llvm.team_code import MOST_MEMBERS
from graphc.backends.llvm.writer import Writer
from graphc.kernel import Kernel
from graphc.plan import Launch, Place, Plan, Space
from graphc.tensor_type import TensorType

_LONG_STEPS = 16_384  # about a microsecond; giving up the interpreter and back takes 0.1


@dataclass(frozen=True, slots=True)
class Program:
    """The modules of a plan, and what a call needs to know of it.

    The first module has the entry, `run`; it calls what the others export.
    """

    modules: tuple[ModuleText, ...]
    layout: Layout


@dataclass(frozen=True, slots=True)
class _Step:
    """One launch, and the function that it calls; `threads` is how many its work keeps busy."""

    launch: Launch
    written: Written
    threads: int


def _ignore(_: ModuleText) -> None:
    pass


def write_program(
    plan: Plan,
    machine: Machine,
    *,
    is_timed: bool = False,
    finished: Callable[[ModuleText], None] = _ignore,
) -> Program:
    """Return `plan` as the text of modules for `machine`; `timing` says what `is_timed` adds.

    `finished` is called with each module but the first as soon as it is complete.
    """
    launches: dict[Kernel, list[Launch]] = {}
    for launch in plan.launches:
        launches.setdefault(launch.kernel, []).append(launch)
    is_polled = polling.is_polled(plan.launches)
    threads_of = {kernel: threads_for(kernel) for kernel in launches}
    threads = max(threads_of.values(), default=1) if plan.target.cores > 1 else 1
    threads = min(threads, MOST_MEMBERS)
    count = part_count(launches, plan.target.cores)
    parts = Parts(
        launches,
        count,
        machine.code_features,
        _TEAM_BARRIER if threads > 1 else _NO_BARRIER,
        finished,
        is_polled=is_polled,
    )
    names = {kernel: _function_name(number, kernel) for number, kernel in enumerate(launches)}
    steps: dict[int, _Step] = {}
    for kernel in sorted(launches, key=size_of, reverse=True) if count > 1 else launches:
        uses = launches[kernel]
        written = parts.write(kernel, _facts(kernel, uses), names[kernel])
        steps |= {id(launch): _Step(launch, written, threads_of[kernel]) for launch in uses}
    order = [steps[id(launch)] for launch in plan.launches]
    # one stride for all kernels, so that a thread's workspace is the same place in each
    stride = max((step.written.workspace_bytes for step in order), default=0)
    slots, exports = slots_of(plan), ["run"]
    if is_timed:
        parts.entry.add(f"@{timing.TIMES}", timing.declarations(len(order)))
        exports.append(timing.TIMES)
    # where nothing can stop a call, nothing has to be agreed upon before variables are written
    commit = polling.first_write(plan.launches) if plan.commit or is_polled else 0
    entry = _Entry(slots, stride, len(order), is_timed, is_polled)
    _add_main(parts.entry, order, entry, commit if plan.written else 0)
    run = _RUN_TEAM if threads > 1 else _RUN_ALONE
    clear = _CLEAR.format(status=slots.status) if plan.checks or is_polled else ""
    parts.entry.add("@run", run.format(threads=threads, clear=clear))
    is_long = sum(work.steps(k) * len(uses) for k, uses in launches.items()) > _LONG_STEPS
    return Program(parts.texts(exports), Layout(slots, stride, threads, is_long, is_polled))


def _function_name(number: int, kernel: Kernel) -> str:
    return f"kernel.{number}.{kernel.name}"


def threads_for(kernel: Kernel) -> int:
    """Return how many threads the work of one launch keeps busy."""
    if not is_divisible(kernel):
        return 1
    return max(1, work.parallel_steps(kernel) // work.STEPS_PER_THREAD)


# --- what the plan proves of buffers --------------------------------------------------------------


def _facts(kernel: Kernel, launches: list[Launch]) -> tuple[BufferFacts, ...]:
    return tuple(
        BufferFacts(
            all(_is_alone(launch, i) for launch in launches),
            min(_alignment(launch, i) for launch in launches),
        )
        for i in range(len(kernel.buffers))
    )


def _is_alone(launch: Launch, number: int) -> bool:
    place, type_ = launch.places[number], launch.kernel.buffers[number].type
    others = zip(launch.places, launch.kernel.buffers, strict=True)
    return not any(
        _overlap(place, type_, other, buffer.type)
        for i, (other, buffer) in enumerate(others)
        if i != number
    )


def _overlap(a: Place, a_type: TensorType, b: Place, b_type: TensorType) -> bool:
    if a.space is not b.space:
        return False
    if a.space is not Space.ARENA:
        return a.at == b.at
    return a.at < b.at + b_type.nbytes and b.at < a.at + a_type.nbytes


def _alignment(launch: Launch, number: int) -> int:
    if launch.places[number].space is not Space.ARGUMENT:
        return 64
    return launch.kernel.buffers[number].type.dtype.itemsize


# --- the entry ------------------------------------------------------------------------------------


# LLVM's simplification of branches takes a time that grows with the square of a function's blocks,
# and stops the process when it has gone over one function a thousand times.
_LAUNCHES_A_FUNCTION = 64


def _add_main(module: Module, steps: list[_Step], entry: _Entry, commit: int) -> None:
    """Add @main; a long plan is split into functions that it calls one after the other.

    Where the plan commits, all threads meet, and go home together if a check has failed.
    """
    starts = sorted({*range(0, len(steps), _LAUNCHES_A_FUNCTION), min(commit, len(steps))})
    if len(starts) <= 1:
        module.add("@main", _MAIN.format(name="main", body=entry.launches(0, steps)))
        return
    calls = []
    for start, stop in itertools.pairwise([*starts, len(steps)]):
        if 0 < start == commit:
            calls.append(_COMMIT.format(status=entry.slots.status))
            entry.is_owed = entry.is_ahead = False
        name = f"main.{start}"
        body = entry.launches(start, steps[start:stop])
        module.add(f"@{name}", _MAIN.format(name=name, body=body))
        calls.append(f"  call void @{name}({_MAIN_ARGUMENTS}) noinline")
    body = "\n".join([*calls, "  br label %done", "done:", "  ret void"])
    module.add("@main", _MAIN.format(name="main", body=body))


@dataclass
class _Entry:
    """Writes launches in their order.

    is_owed    a barrier that the plan asked for and thread 0 alone did not need
    is_ahead   some thread may have more to do than another since the last barrier
    unpolled   steps of the launches written since the last poll
    """

    slots: Slots
    stride: int
    count: int  # of all launches
    is_timed: bool
    is_polled: bool
    is_owed: bool = False
    is_ahead: bool = False
    unpolled: int = 0

    def launches(self, start: int, steps: list[_Step]) -> str:
        """Return the body of the function that launches `steps`, of which the first is `start`."""
        writer = Writer()
        is_first = writer.pure("icmp eq i64 %thread, 0")
        base = writer.pure(f"load ptr, ptr {_slot(writer, self.slots.workspace)}")
        offset = writer.pure(f"mul i64 %thread, {self.stride}")
        workspace = writer.pure(f"getelementptr i8, ptr {base}, i64 {offset}")
        if self.is_timed and start == 0:
            timing.write_threads(writer, is_first, self.count)
            timing.write_stamp(writer, 0)
        for number, step in enumerate(steps, start):
            self._barrier(writer, number, step)
            self._launch(writer, step, is_first, workspace)
            if self.is_timed:
                timing.write_stamp(writer, number + 1)
                self.is_owed = self.is_ahead = False
        return writer.text()

    def _barrier(self, writer: Writer, number: int, step: _Step) -> None:
        self.is_owed |= step.launch.barrier and number > 0
        if self.is_owed and (self.is_ahead or step.threads > 1):
            writer.line("call void @graphc.barrier(ptr %team, i64 %threads)")
            self.is_owed = self.is_ahead = False

    def _launch(self, writer: Writer, step: _Step, is_first: str, workspace: str) -> None:
        places = step.launch.places
        given = [f"ptr {_address(writer, self.slots, place)}" for place in places]
        is_shared = step.threads > 1
        count = ["i64 %thread", "i64 %threads"] if is_shared else ["i64 0", "i64 1"]
        given += [f"ptr {workspace}", "ptr %team", *count]
        if self.is_polled:
            control = _address(writer, self.slots, Place(Space.STATUS))
            self._poll(writer, step, control)
            given.append(f"ptr {control}")
        call = f"call void {step.written.function}({', '.join(given)})"
        if is_shared:
            writer.line(call)
            self.is_ahead = True
            return
        with writer.guarded(is_first):
            writer.line(call)

    def _poll(self, writer: Writer, step: _Step, control: str) -> None:
        """Poll once the launches since the last poll are long together."""
        self.unpolled += work.steps(step.launch.kernel)
        if self.unpolled >= polling.STEPS_PER_POLL:
            writer.line(f"call i1 @{POLL}(ptr {control}, i64 %thread)")
            self.unpolled = 0


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


_MAIN_ARGUMENTS = "ptr %table, ptr %team, i64 %thread, i64 %threads"
_MAIN = """\
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

_CLEAR = """\
  %slot = getelementptr ptr, ptr %table, i64 {status}
  %control = load ptr, ptr %slot
  store <4 x i64> zeroinitializer, ptr %control, align 64"""

_RUN_ALONE = """\
define void @run(ptr %table, ptr %team, i64 %threads) nounwind {{
{clear}
  call void @main(ptr %table, ptr null, i64 0, i64 1)
  ret void
}}"""

_RUN_TEAM = f"""\
declare void @{DISPATCH}(ptr, ptr, ptr, i64)

define void @run(ptr %table, ptr %team, i64 %threads) nounwind {{{{
{{clear}}
  %fewer = icmp slt i64 %threads, {{threads}}
  %wanted = select i1 %fewer, i64 %threads, i64 {{threads}}
  call void @{DISPATCH}(ptr %team, ptr @main, ptr %table, i64 %wanted)
  ret void
}}}}"""

_NO_BARRIER = """\
define internal void @graphc.barrier(ptr %team, i64 %threads) alwaysinline nounwind {
  ret void
}"""

_TEAM_BARRIER = f"""\
declare void @{BARRIER}(ptr, i64)

define internal void @graphc.barrier(ptr %team, i64 %threads) alwaysinline nounwind {{
entry:
  %many = icmp sgt i64 %threads, 1
  br i1 %many, label %wait, label %done
wait:
  call void @{BARRIER}(ptr %team, i64 %threads)
  br label %done
done:
  ret void
}}"""
