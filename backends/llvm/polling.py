"""Where long programs look whether their call shall stop: what lets Ctrl-C through.

    control ::= code: i32, stop: i32, closed: i32, padding: i32, seen: i64      (of one call)

A program whose work before its first write to a variable is at least `STEPS_PER_POLL` polls about
as often. `poll` gives a call's own thread back to Python for a moment, every `NANOSECONDS` and in
Python's main thread only, so that handlers of signals run; if one raises, `stop` is set. Every
thread that sees it leaves the nest of loops it is in and skips all later ones, but meets the others
at every barrier, so that nobody waits for ever. No kernel runs on what a stopped one left behind:
kernels look for `stop` when they are entered and behind their barriers.

Before the first write to a variable all threads meet, and thread 0 sets `closed`: from there on a
call is not stopped, and the handlers run when it is done. A call that stops has therefore changed
no variable; only the contents of its outputs are lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from graphc.backends.llvm import work
from graphc.backends.llvm.layout import POLL
from graphc.backends.llvm.writer import Writer
from graphc.kernel import Access, Barrier, Guard, Kernel, Load, Loop, Statement
from graphc.plan import Space, Step, kernels_of

STEPS_PER_POLL = 1 << 21  # 0.04 ms of the densest arithmetic, 40 ms of loads that all miss
NANOSECONDS = 30_000_000
STOP, CLOSED, SEEN = 4, 8, 16  # offsets in the control block

DECLARATION = f"declare i1 @{POLL}(ptr, i64) nounwind"


def first_write(steps: Sequence[Step]) -> int:
    """Return the number of the first step that writes a variable, or that of all steps."""
    for number, step in enumerate(steps):
        for buffer, place in zip(step.routine.buffers, step.places, strict=True):
            if place.space is Space.VARIABLE and buffer.access is not Access.IN:
                return number
    return len(steps)


def is_polled(steps: Sequence[Step]) -> bool:
    """Return whether so much work lies before the first write that it has to be interruptible."""
    count = sum(work.steps(step.routine) for step in steps[: first_write(steps)])
    return count >= STEPS_PER_POLL and all(map(_may_skip, kernels_of(steps)))


def _may_skip(kernel: Kernel) -> bool:
    """Return whether a kernel is safe on garbage once its nests are skipped.

    Where barriers stand between its nests it has to run to its end; what it loads outside of them
    must not lie where the garbage says.
    """
    if not has_barriers(kernel):
        return True
    return not any(isinstance(statement, Load) for statement in _outside_loops(kernel))


def has_barriers(kernel: Kernel) -> bool:
    """Return whether threads meet inside of a kernel."""
    return any(isinstance(statement, Barrier) for statement in _outside_loops(kernel))


def _outside_loops(kernel: Kernel) -> Iterator[Statement]:
    pending = [*kernel.body]
    while pending:
        statement = pending.pop()
        yield statement
        if isinstance(statement, Guard):
            pending.extend(statement.body)


def iterations_per_poll(loop: Loop) -> int:
    """Return after how many iterations of `loop` to poll; 0 where all of it is short."""
    inside = work.steps_of(loop.body)
    if inside * loop.variable.extent < STEPS_PER_POLL:
        return 0
    return max(1, STEPS_PER_POLL // max(1, inside))


def write_stopped(writer: Writer) -> str:
    """Write the test whether the call shall stop, and return it, an i1."""
    at = writer.pure(f"getelementptr i8, ptr %control, i64 {STOP}")
    stop = writer.emit(f"load atomic i32, ptr {at} monotonic, align 4")
    return writer.emit(f"icmp ne i32 {stop}, 0")


def leave_if(writer: Writer, condition: str, escape: str) -> None:
    """Write a branch to `escape` where `condition` holds."""
    go_on = writer.fresh("on")
    writer.line(f"br i1 {condition}, label {escape}, label {go_on}")
    writer.label(go_on)


@contextmanager
def chunks(
    writer: Writer, limits: tuple[str, str], count: int, escape: str
) -> Iterator[tuple[str, str]]:
    """Write a loop over chunks of `count` iterations, and give the limits of each.

    Before each it polls, and goes to the block `escape` where the call shall stop.
    """
    begin, end = limits
    length = writer.pure(f"sub i64 {end}, {begin}")
    more = writer.pure(f"add i64 {length}, {count - 1}")
    number = writer.pure(f"sdiv i64 {more}, {count}")  # of an empty loop: 0
    with writer.loop("0", number, "chunk", maybe_empty=True) as chunk:
        leave_if(writer, writer.emit(f"call i1 @{POLL}(ptr %control, i64 %thread)"), escape)
        skipped = writer.emit(f"mul i64 {chunk}, {count}")
        start = writer.emit(f"add i64 {begin}, {skipped}")
        full = writer.emit(f"add i64 {start}, {count}")
        is_last = writer.emit(f"icmp slt i64 {end}, {full}")
        yield start, writer.emit(f"select i1 {is_last}, i64 {end}, i64 {full}")
