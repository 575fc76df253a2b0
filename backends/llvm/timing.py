"""Plans compiled so that each launch is timed: what `program.profile` runs.

A timed module is the normal one with a *stamp* before the first step and after every step, those in
the bodies of loops too: each thread writes down when it arrives, then waits for the others. The
latest arrival counts (the clock never goes back, so that nothing need be cleared), and a step lasts
from one latest arrival to the next; thread 0 adds that to what the step took before, in earlier
iterations. So steps that the normal program lets overlap are apart, and each bears the 30 ns of a
look at the clock and, where several threads work, a barrier or two; time for which the system takes
a core away counts for the step that waits. The kernels, and so the results, are the same.

    @graphc.times = [nanoseconds of each step][the last stamp][threads of the last run]
                    [latest arrival behind each step][and at the start]

One run at a time: the table belongs to the code.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence

from graphc.backends.llvm.build import CLOCK
from graphc.backends.llvm.writer import Writer

TIMES = "graphc.times"

_STAMP = """\
declare i32 @{function}(i32, ptr)

define internal void @graphc.stamp(ptr %at, ptr %sum, ptr %before, i1 %repeated, ptr %team,
                                   i64 %thread, i64 %threads) noinline nounwind {{
  %now = alloca [2 x i64], align 8
  %r = call i32 @{function}(i32 {clock}, ptr %now)
  %seconds = load i64, ptr %now
  %fraction.at = getelementptr i64, ptr %now, i64 1
  %fraction = load i64, ptr %fraction.at
  %whole = mul i64 %seconds, 1000000000
  %time = add i64 %whole, %fraction
  %old = atomicrmw umax ptr %at, i64 %time monotonic
  call void @graphc.barrier(ptr %team, i64 %threads)
  %first = icmp eq i64 %thread, 0
  br i1 %first, label %count, label %counted
count:
  %latest = load atomic i64, ptr %at monotonic, align 8
  %start = load i64, ptr %before
  %duration = sub i64 %latest, %start
  %so.far = load i64, ptr %sum
  %more = add i64 %so.far, %duration
  store i64 %more, ptr %sum
  store i64 %latest, ptr %before
  br label %counted
counted:
  br i1 %repeated, label %again, label %done
again:
  call void @graphc.barrier(ptr %team, i64 %threads)
  br label %done
done:
  ret void
}}"""


def declarations(steps: int) -> str:
    """Return the clock and the table of a module with so many steps."""
    table = f"@{TIMES} = global [{2 * steps + 3} x i64] zeroinitializer, align 64"
    return _STAMP.format(function=CLOCK, clock=time.CLOCK_MONOTONIC) + f"\n\n{table}"


def write_start(writer: Writer, is_first: str, steps: int) -> None:
    """Write code that clears the times, keeps how many threads there are, and starts the clock."""
    with writer.guarded(is_first):
        size = 8 * (steps + 2)
        writer.line(f"call void @llvm.memset.p0.i64(ptr @{TIMES}, i8 0, i64 {size}, i1 false)")
        writer.line(f"store i64 %threads, ptr {_word(writer, steps + 1)}")
    _write_stamp(writer, (2 * steps + 2, steps, steps), is_repeated=False)


def write_stamp(writer: Writer, number: int, steps: int, *, is_repeated: bool) -> None:
    """Write the stamp of step `number` of so many; behind it all that was before is done.

    `is_repeated` says that the same stamp may come again while threads look at it.
    """
    _write_stamp(writer, (steps + 2 + number, number, steps), is_repeated=is_repeated)


def _write_stamp(writer: Writer, words: tuple[int, int, int], *, is_repeated: bool) -> None:
    at = ", ".join(f"ptr {_word(writer, word)}" for word in words)
    repeated = str(is_repeated).lower()
    rest = f"i1 {repeated}, ptr %team, i64 %thread, i64 %threads"
    writer.line(f"call void @graphc.stamp({at}, {rest})")


def _word(writer: Writer, number: int) -> str:
    return writer.emit(f"getelementptr i64, ptr @{TIMES}, i64 {number}")


def read_times(address: int, steps: int) -> tuple[list[float], int]:
    """Return the seconds of each step of the last run, and the number of its threads.

    What a loop or a branch has is the time besides that of its bodies' steps.
    """
    words = list((ctypes.c_int64 * (steps + 2)).from_address(address))
    return [nanoseconds / 1e9 for nanoseconds in words[:steps]], words[-1]


def with_bodies(seconds: Sequence[float], depths: Sequence[int]) -> list[float]:
    """Return times of steps, of which those of loops and branches include their bodies' steps."""
    totals, inside = [*seconds], dict[int, float]()
    for number in reversed(range(len(totals))):
        depth = depths[number]
        totals[number] += inside.pop(depth + 1, 0.0)
        inside[depth] = inside.get(depth, 0.0) + totals[number]
    return totals
