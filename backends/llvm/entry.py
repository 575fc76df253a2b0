"""The functions of a plan in LLVM IR: what every thread of a team runs, step after step.

    define void @main(ptr table, ptr team, i64 thread, i64 threads)

Kernels that several threads share are called by all of them, small ones and those that cannot be
divided by thread 0, and so are host functions. A barrier stands between two steps only if the plan
asks for one and some thread could be ahead of another. A long plan is several functions, which
@main calls one after the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.backends.llvm import host_calls, polling, timing, work
from graphc.backends.llvm.kernels import Written
from graphc.backends.llvm.layout import POLL, Slots
from graphc.backends.llvm.module import Module
from graphc.backends.llvm.writer import Writer
from graphc.kernel import Kernel
from graphc.plan import HostFunction, Place, Space, Step

# LLVM's simplification of branches takes a time that grows with the square of a function's blocks,
# and stops the process when it has gone over one function a thousand times.
_STEPS_A_FUNCTION = 64


@dataclass(frozen=True, slots=True)
class Context:
    """What the functions of one program share.

    written  the functions of its kernels
    hosts    the numbers of its host functions
    stride   the bytes of a thread's workspace
    """

    module: Module
    written: Mapping[Kernel, Written]
    hosts: Mapping[HostFunction, int]
    stride: int
    is_timed: bool
    is_polled: bool


def add_main(context: Context, slots: Slots, steps: Sequence[Step], commit: int) -> None:
    """Add @main; a long plan is split into functions that it calls one after the other.

    Where the plan commits, all threads meet, and go home together if a check has failed.
    """
    module, entry = context.module, _Entry(context, slots, len(steps))
    starts = sorted({*range(0, len(steps), _STEPS_A_FUNCTION), min(commit, len(steps))})
    if len(starts) <= 1:
        module.add("@main", _FUNCTION.format(name="main", body=entry.steps(0, steps)))
        return
    calls = []
    for start, stop in itertools.pairwise([*starts, len(steps)]):
        if 0 < start == commit:
            calls.append(_COMMIT.format(status=slots.status))
            entry.is_owed = entry.is_ahead = False
        name = f"main.{start}"
        body = entry.steps(start, steps[start:stop])
        module.add(f"@{name}", _FUNCTION.format(name=name, body=body))
        calls.append(f"  call void @{name}({_ARGUMENTS}) noinline")
    body = "\n".join([*calls, "  br label %done", "done:", "  ret void"])
    module.add("@main", _FUNCTION.format(name="main", body=body))


@dataclass
class _Entry:
    """Writes steps in their order.

    is_owed    a barrier that the plan asked for and thread 0 alone did not need
    is_ahead   some thread may have more to do than another since the last barrier
    unpolled   the work of the steps written since the last poll
    """

    context: Context
    slots: Slots
    count: int  # of all steps
    is_owed: bool = False
    is_ahead: bool = False
    unpolled: int = 0

    def steps(self, start: int, steps: Sequence[Step]) -> str:
        """Return the body of the function that runs `steps`, of which the first is `start`."""
        writer = Writer()
        is_first = writer.pure("icmp eq i64 %thread, 0")
        base = writer.pure(f"load ptr, ptr {_slot(writer, self.slots.workspace)}")
        offset = writer.pure(f"mul i64 %thread, {self.context.stride}")
        workspace = writer.pure(f"getelementptr i8, ptr {base}, i64 {offset}")
        if self.context.is_timed and start == 0:
            timing.write_threads(writer, is_first, self.count)
            timing.write_stamp(writer, 0)
        for number, step in enumerate(steps, start):
            threads = work.threads_for(step.routine)
            self._barrier(writer, number, step, threads)
            self._poll(writer, step)
            if isinstance(step.routine, Kernel):
                self._launch(writer, step, threads, is_first, workspace)
            else:
                self._call_host(writer, step, step.routine, is_first)
            if self.context.is_timed:
                timing.write_stamp(writer, number + 1)
                self.is_owed = self.is_ahead = False
        return writer.text()

    def _barrier(self, writer: Writer, number: int, step: Step, threads: int) -> None:
        self.is_owed |= step.barrier and number > 0
        if self.is_owed and (self.is_ahead or threads > 1):
            writer.line("call void @graphc.barrier(ptr %team, i64 %threads)")
            self.is_owed = self.is_ahead = False

    def _launch(
        self, writer: Writer, step: Step, threads: int, is_first: str, workspace: str
    ) -> None:
        assert isinstance(step.routine, Kernel)
        given = [f"ptr {_address(writer, self.slots, place)}" for place in step.places]
        is_shared = threads > 1
        count = ["i64 %thread", "i64 %threads"] if is_shared else ["i64 0", "i64 1"]
        given += [f"ptr {workspace}", "ptr %team", *count]
        if self.context.is_polled:
            given.append(f"ptr {self._control(writer)}")
        function = self.context.written[step.routine].function
        call = f"call void {function}({', '.join(given)})"
        if is_shared:
            writer.line(call)
            self.is_ahead = True
            return
        with writer.guarded(is_first):
            writer.line(call)

    def _call_host(self, writer: Writer, step: Step, routine: HostFunction, is_first: str) -> None:
        functions = writer.pure(f"load ptr, ptr {_slot(writer, self.slots.hosts)}")
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
        return _address(writer, self.slots, Place(Space.STATUS))


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
