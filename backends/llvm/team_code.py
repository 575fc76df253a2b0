"""The native code of the team: how its threads wait, are woken, meet at barriers, and take work.

A team lies in one block of memory, each word that threads spin on in a cache line of its own:

    0    lock: 1 while a call uses the team
    64   the job: function, table, number of threads
    128  arrived: threads that have reached the barrier
    192  phase: counts barriers passed; sleepers behind it
    256  pending: workers that have not finished the job; sleepers behind it
    320  size: the members, the caller counted as number 0
    384  one line for each worker: epoch (its jobs so far), sleepers, team, number

Who waits for a word to change spins briefly, then counts itself among the sleepers and asks the
kernel (futex) to sleep while the word still has its old value. Who changes a word afterwards looks
for sleepers. Both sides use sequentially consistent operations, so one of the two always sees the
other.
"""

from __future__ import annotations

import platform
import sys

FIRST_WORKER = 384
LINE = 64
SIZE_OFFSET = 320
SPINS = 400

_FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221, "s390x": 238}
_PAUSE = {
    "x86_64": "call void @llvm.x86.sse2.pause()",
    "aarch64": "call void @llvm.aarch64.hint(i32 1)",
}

_FUTEX_WAITING = """\
declare i64 @syscall(i64, ...)

define internal void @sleep(ptr %word, i32 %old) nounwind {{
  %r = call i64 (i64, ...) @syscall(i64 {number}, ptr %word, i64 128, i32 %old, ptr null)
  ret void
}}

define internal void @wake(ptr %word) nounwind {{
  %r = call i64 (i64, ...) @syscall(i64 {number}, ptr %word, i64 129, i64 2147483647)
  ret void
}}
"""

# Without futexes a waiting thread looks again after a short sleep.
_POLLED_WAITING = """\
declare i32 @usleep(i32)

define internal void @sleep(ptr %word, i32 %old) nounwind {
  %r = call i32 @usleep(i32 50)
  ret void
}

define internal void @wake(ptr %word) nounwind {
  ret void
}
"""

_COMMON = """\
define internal void @wait(ptr %word, i32 %old) nounwind {{
entry:
  br label %spin
spin:
  %i = phi i32 [ 0, %entry ], [ %i.next, %again ]
  %seen = load atomic i32, ptr %word acquire, align 4
  %changed = icmp ne i32 %seen, %old
  br i1 %changed, label %done, label %again
again:
  {pause}
  %i.next = add i32 %i, 1
  %more = icmp ult i32 %i.next, {spins}
  br i1 %more, label %spin, label %count
count:
  %sleepers = getelementptr i8, ptr %word, i64 4
  %c = atomicrmw add ptr %sleepers, i32 1 seq_cst
  br label %look
look:
  %now = load atomic i32, ptr %word seq_cst, align 4
  %same = icmp eq i32 %now, %old
  br i1 %same, label %rest, label %leave
rest:
  call void @sleep(ptr %word, i32 %old)
  br label %look
leave:
  %d = atomicrmw sub ptr %sleepers, i32 1 seq_cst
  br label %done
done:
  ret void
}}

define internal i32 @change(ptr %word, i32 %by) nounwind {{
entry:
  %old = atomicrmw add ptr %word, i32 %by seq_cst
  %place = getelementptr i8, ptr %word, i64 4
  %sleepers = load atomic i32, ptr %place seq_cst, align 4
  %some = icmp ne i32 %sleepers, 0
  br i1 %some, label %wake, label %done
wake:
  call void @wake(ptr %word)
  br label %done
done:
  ret i32 %old
}}

define void @barrier(ptr %team, i64 %threads) nounwind {{
entry:
  %arrived = getelementptr i8, ptr %team, i64 128
  %phase = getelementptr i8, ptr %team, i64 192
  %old = load atomic i32, ptr %phase acquire, align 4
  %before = atomicrmw add ptr %arrived, i32 1 acq_rel
  %all = trunc i64 %threads to i32
  %now = add i32 %before, 1
  %last = icmp eq i32 %now, %all
  br i1 %last, label %open, label %wait
open:
  store atomic i32 0, ptr %arrived release, align 4
  %p = call i32 @change(ptr %phase, i32 1)
  ret void
wait:
  call void @wait(ptr %phase, i32 %old)
  ret void
}}

define void @run(ptr %team, ptr %job, ptr %table, i64 %wanted) nounwind {{
entry:
  %size.at = getelementptr i8, ptr %team, i64 320
  %size = load atomic i64, ptr %size.at acquire, align 8
  %fewer = icmp slt i64 %size, %wanted
  %threads = select i1 %fewer, i64 %size, i64 %wanted
  %alone = icmp sle i64 %threads, 1
  br i1 %alone, label %single, label %try
try:
  %pair = cmpxchg ptr %team, i32 0, i32 1 acquire monotonic
  %free = extractvalue {{ i32, i1 }} %pair, 1
  br i1 %free, label %start, label %single
single:
  call void %job(ptr %table, ptr %team, i64 0, i64 1)
  ret void
start:
  %job.at = getelementptr i8, ptr %team, i64 64
  store ptr %job, ptr %job.at
  %table.at = getelementptr i8, ptr %team, i64 72
  store ptr %table, ptr %table.at
  %threads.at = getelementptr i8, ptr %team, i64 80
  store i64 %threads, ptr %threads.at
  %pending = getelementptr i8, ptr %team, i64 256
  %count = trunc i64 %threads to i32
  %others = sub i32 %count, 1
  store atomic i32 %others, ptr %pending release, align 4
  br label %call
call:
  %i = phi i64 [ 1, %start ], [ %i.next, %call ]
  %skip = sub i64 %i, 1
  %lines = mul i64 %skip, 64
  %offset = add i64 %lines, 384
  %epoch = getelementptr i8, ptr %team, i64 %offset
  %e = call i32 @change(ptr %epoch, i32 1)
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %threads
  br i1 %more, label %call, label %work
work:
  call void %job(ptr %table, ptr %team, i64 0, i64 %threads)
  br label %finish
finish:
  %left = load atomic i32, ptr %pending acquire, align 4
  %none = icmp eq i32 %left, 0
  br i1 %none, label %done, label %hold
hold:
  call void @wait(ptr %pending, i32 %left)
  br label %finish
done:
  store atomic i32 0, ptr %team release, align 4
  ret void
}}

define ptr @worker(ptr %line) nounwind {{
entry:
  %team.at = getelementptr i8, ptr %line, i64 8
  %team = load ptr, ptr %team.at
  %number.at = getelementptr i8, ptr %line, i64 16
  %number = load i64, ptr %number.at
  %job.at = getelementptr i8, ptr %team, i64 64
  %table.at = getelementptr i8, ptr %team, i64 72
  %threads.at = getelementptr i8, ptr %team, i64 80
  %pending = getelementptr i8, ptr %team, i64 256
  br label %next
next:
  %seen = phi i32 [ 0, %entry ], [ %new, %next ]
  call void @wait(ptr %line, i32 %seen)
  %new = add i32 %seen, 1
  %job = load ptr, ptr %job.at
  %table = load ptr, ptr %table.at
  %threads = load i64, ptr %threads.at
  call void %job(ptr %table, ptr %team, i64 %number, i64 %threads)
  %p = call i32 @change(ptr %pending, i32 -1)
  br label %next
}}
"""


def has_futex() -> bool:
    """Return whether this system has the futex call that the code uses."""
    return sys.platform == "linux" and platform.machine() in _FUTEX


def needed_symbol() -> str:
    """Return the C function that the code calls in order to wait."""
    return "syscall" if has_futex() else "usleep"


def text() -> str:
    """Return the module of the team's functions."""
    waiting = _POLLED_WAITING
    if has_futex():
        waiting = _FUTEX_WAITING.format(number=_FUTEX[platform.machine()])
    pause = _PAUSE.get(platform.machine(), "")
    return waiting + "\n" + _COMMON.format(pause=pause, spins=SPINS)
