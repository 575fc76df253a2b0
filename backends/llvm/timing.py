"""Plans compiled so that each launch is timed: what `program.profile` runs.

A timed module is the normal one with a *stamp* before the first launch and after every launch: each
thread writes down when it arrives, then waits for the others. The table keeps the latest arrival
(the clock never goes back, so that nothing need be cleared), and a launch lasts from one latest
arrival to the next. So launches that the normal program lets overlap are apart, and each bears the
30 ns of a look at the clock and, where several threads work, a barrier; time for which the system
takes a core away counts for the launch that waits. The kernels, and so the results, are the same.

    @graphc.times = [nanoseconds, one for each stamp][threads of the last run]

One run at a time: the table belongs to the code.
"""

from __future__ import annotations

import ctypes
import itertools
import time

from graphc.backends.llvm.build import CLOCK
from graphc.backends.llvm.writer import Writer

TIMES = "graphc.times"

_STAMP = """\
declare i32 @{function}(i32, ptr)

define internal void @graphc.stamp(ptr %at, ptr %team, i64 %threads) noinline nounwind {{
  %now = alloca [2 x i64], align 8
  %r = call i32 @{function}(i32 {clock}, ptr %now)
  %seconds = load i64, ptr %now
  %fraction.at = getelementptr i64, ptr %now, i64 1
  %fraction = load i64, ptr %fraction.at
  %whole = mul i64 %seconds, 1000000000
  %time = add i64 %whole, %fraction
  %old = atomicrmw umax ptr %at, i64 %time monotonic
  call void @graphc.barrier(ptr %team, i64 %threads)
  ret void
}}"""


def declarations(launches: int) -> str:
    """Return the clock and the table of a module with so many launches."""
    table = f"@{TIMES} = global [{launches + 2} x i64] zeroinitializer, align 64"
    return _STAMP.format(function=CLOCK, clock=time.CLOCK_MONOTONIC) + f"\n\n{table}"


def write_threads(writer: Writer, is_first: str, launches: int) -> None:
    """Write code that keeps how many threads there are."""
    with writer.guarded(is_first):
        writer.line(f"store i64 %threads, ptr {_word(writer, launches + 1)}")


def write_stamp(writer: Writer, number: int) -> None:
    """Write stamp `number`; behind it all that was launched before is done."""
    at = _word(writer, number)
    writer.line(f"call void @graphc.stamp(ptr {at}, ptr %team, i64 %threads)")


def _word(writer: Writer, number: int) -> str:
    return writer.emit(f"getelementptr i64, ptr @{TIMES}, i64 {number}")


def read_times(address: int, launches: int) -> tuple[list[float], int]:
    """Return the seconds of each launch of the last run, and the number of its threads."""
    words = list((ctypes.c_int64 * (launches + 2)).from_address(address))
    stamps, threads = words[:-1], words[-1]
    return [(end - start) / 1e9 for start, end in itertools.pairwise(stamps)], threads
