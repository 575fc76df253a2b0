"""The native code of the team: how its threads wait, are woken, meet at barriers, take work, stop.

A team lies in one block of memory, each word that threads spin on in a cache line of its own:

    0    lock: 1 while a call uses the team
    64   the job: function, table, number of threads
    128  arrived: threads that have reached the barrier
    192  phase: counts barriers passed; sleepers behind it
    256  pending: workers that have not finished the job; sleepers behind it
    320  size: the members, the caller counted as number 0; where the caller is, its thread; the
         cores there are; how long the job spins; whether it is crowded
    384  one line for each worker: epoch (its jobs so far), sleepers, team, number, id of its thread

Who waits for a word to change spins briefly, then counts itself among the sleepers and asks the
kernel (futex) to sleep while the word still has its old value. A job of more threads than cores is
*crowded*: who spun would keep a core from those it waits for, so nobody does. Who changes a word
afterwards looks for sleepers. Both sides use sequentially consistent operations, so one of the two
always sees the other.
"""

from __future__ import annotations

import platform
import sys
import time

from graphc.backends.llvm import polling
from graphc.backends.llvm.team_places import PLACED, UNPLACED

FIRST_WORKER = 384
LINE = 64
SIZE_OFFSET = 320
HOME_OFFSET = 328
CORES_OFFSET = 344
SPINS_OFFSET = 352
SPIN_NANOSECONDS = 50_000  # about as long as it takes to wake a thread
MOST_MEMBERS = 256

_SYSTEM_CALLS = {  # futex, gettid
    "x86_64": (202, 186),
    "aarch64": (98, 178),
    "riscv64": (98, 178),
    "ppc64le": (221, 207),
    "s390x": (238, 236),
}
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

PYTHON_FUNCTIONS = (
    "PyEval_SaveThread",
    "PyEval_RestoreThread",
    "PyGILState_Ensure",
    "PyGILState_Release",
    "PyErr_CheckSignals",
    "PyLong_FromVoidPtr",
    "PyObject_CallOneArg",
    "Py_DecRef",
)
MAIN_THREAD, SPINS = "graphc.main_thread", "graphc.spins"

_PYTHON = """\
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare i32 @PyGILState_Ensure()
declare void @PyGILState_Release(i32)
declare i32 @PyErr_CheckSignals()
declare ptr @PyLong_FromVoidPtr(ptr)
declare ptr @PyObject_CallOneArg(ptr, ptr)
declare void @Py_DecRef(ptr)
declare i32 @clock_gettime(i32, ptr)
declare i64 @pthread_self()

@graphc.main_thread = external global i64
@graphc.spins = external global i32
"""

_COMMON = """\
define void @pauses(i32 %count) nounwind {{
entry:
  br label %spin
spin:
  %i = phi i32 [ 0, %entry ], [ %i.next, %spin ]
  {pause}
  %i.next = add i32 %i, 1
  %more = icmp ult i32 %i.next, %count
  br i1 %more, label %spin, label %done
done:
  ret void
}}

; returns whether it slept
define internal i1 @wait(ptr %team, ptr %word, i32 %old) nounwind {{
entry:
  %spins.at = getelementptr i8, ptr %team, i64 352
  %spins = load atomic i32, ptr %spins.at monotonic, align 4
  br label %spin
spin:
  %i = phi i32 [ 0, %entry ], [ %i.next, %again ]
  %seen = load atomic i32, ptr %word acquire, align 4
  %changed = icmp ne i32 %seen, %old
  br i1 %changed, label %done, label %again
again:
  {pause}
  %i.next = add i32 %i, 1
  %more = icmp ult i32 %i.next, %spins
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
  ret i1 true
done:
  ret i1 false
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
  %slept = call i1 @wait(ptr %team, ptr %phase, i32 %old)
  br i1 %slept, label %look, label %done
look:
  %caller.at = getelementptr i8, ptr %team, i64 336
  %caller = load i64, ptr %caller.at
  %self = call i64 @pthread_self()
  %is.caller = icmp eq i64 %self, %caller
  br i1 %is.caller, label %place, label %done
place:
  call void @settle(ptr %team, i64 %threads)
  br label %done
done:
  ret void
}}

define void @run(ptr %team, ptr %job, ptr %table, i64 %wanted) nounwind {{
entry:
  %one = icmp sle i64 %wanted, 1
  br i1 %one, label %single, label %measure
measure:
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
  %self = call i64 @pthread_self()
  %caller.at = getelementptr i8, ptr %team, i64 336
  store i64 %self, ptr %caller.at
  %cores.at = getelementptr i8, ptr %team, i64 344
  %cores = load i64, ptr %cores.at
  %crowded = icmp sgt i64 %threads, %cores
  %as.number = zext i1 %crowded to i32
  %crowded.at = getelementptr i8, ptr %team, i64 356
  store i32 %as.number, ptr %crowded.at
  %usual = load i32, ptr @graphc.spins
  %spins = select i1 %crowded, i32 0, i32 %usual
  %spins.at = getelementptr i8, ptr %team, i64 352
  store atomic i32 %spins, ptr %spins.at monotonic, align 4
  call void @settle(ptr %team, i64 %size)
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
  %slept = call i1 @wait(ptr %team, ptr %pending, i32 %left)
  br label %finish
done:
  store atomic i32 0, ptr %team release, align 4
  ret void
}}

; runs an entry apart from the interpreter; raises what `poll` left
define void @apart(ptr %entry, ptr %table, ptr %team, i64 %threads) {{
  %state = call ptr @PyEval_SaveThread()
  call void %entry(ptr %table, ptr %team, i64 %threads)
  call void @PyEval_RestoreThread(ptr %state)
  ret void
}}

define internal i64 @nanoseconds() nounwind {{
  %now = alloca [2 x i64], align 8
  %r = call i32 @clock_gettime(i32 {clock}, ptr %now)
  %seconds = load i64, ptr %now
  %fraction.at = getelementptr i64, ptr %now, i64 1
  %fraction = load i64, ptr %fraction.at
  %whole = mul i64 %seconds, 1000000000
  %time = add i64 %whole, %fraction
  ret i64 %time
}}

define i1 @poll(ptr %control, i64 %thread) nounwind {{
entry:
  %stop.at = getelementptr i8, ptr %control, i64 {stop}
  %stop = load atomic i32, ptr %stop.at monotonic, align 4
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %yes, label %who
who:
  %other = icmp ne i64 %thread, 0
  br i1 %other, label %no, label %when
when:
  %closed.at = getelementptr i8, ptr %control, i64 {closed}
  %closed = load i32, ptr %closed.at
  %is.closed = icmp ne i32 %closed, 0
  br i1 %is.closed, label %no, label %look
look:
  %seen.at = getelementptr i8, ptr %control, i64 {seen}
  %seen = load i64, ptr %seen.at
  %now = call i64 @nanoseconds()
  %first = icmp eq i64 %seen, 0
  br i1 %first, label %begin, label %compare
begin:
  store i64 %now, ptr %seen.at
  br label %no
compare:
  %passed = sub i64 %now, %seen
  %early = icmp slt i64 %passed, {interval}
  br i1 %early, label %no, label %ask
ask:
  %self = call i64 @pthread_self()
  %main = load i64, ptr @graphc.main_thread
  %is.main = icmp eq i64 %self, %main
  br i1 %is.main, label %handle, label %later
handle:
  %held = call i32 @PyGILState_Ensure()
  %raised = call i32 @PyErr_CheckSignals()
  call void @PyGILState_Release(i32 %held)
  %failed = icmp ne i32 %raised, 0
  br i1 %failed, label %halt, label %later
later:
  %then = call i64 @nanoseconds()
  store i64 %then, ptr %seen.at
  br label %no
halt:
  store atomic i32 1, ptr %stop.at monotonic, align 4
  br label %yes
yes:
  ret i1 true
no:
  ret i1 false
}}

; calls function(places) under Python's lock, unless the call shall stop; returns whether it was
; done. What the function raises stays with the calling thread, and stops the call.
define i1 @host(ptr %control, ptr %function, ptr %places) nounwind {{
entry:
  %stop.at = getelementptr i8, ptr %control, i64 {stop}
  %stop = load atomic i32, ptr %stop.at monotonic, align 4
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %no, label %begin
begin:
  %held = call i32 @PyGILState_Ensure()
  %address = call ptr @PyLong_FromVoidPtr(ptr %places)
  %none = icmp eq ptr %address, null
  br i1 %none, label %raised, label %ask
ask:
  %result = call ptr @PyObject_CallOneArg(ptr %function, ptr %address)
  call void @Py_DecRef(ptr %address)
  %failed = icmp eq ptr %result, null
  br i1 %failed, label %raised, label %done
done:
  call void @Py_DecRef(ptr %result)
  call void @PyGILState_Release(i32 %held)
  ret i1 true
raised:
  call void @PyGILState_Release(i32 %held)
  store atomic i32 1, ptr %stop.at monotonic, align 4
  br label %no
no:
  ret i1 false
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
  call void @enrol(ptr %team, ptr %line)
  br label %next
next:
  %seen = phi i32 [ 0, %entry ], [ %new, %next ]
  %slept = call i1 @wait(ptr %team, ptr %line, i32 %seen)
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
    return sys.platform == "linux" and platform.machine() in _SYSTEM_CALLS


def needed_symbols() -> tuple[str, ...]:
    """Return the C functions that the code calls."""
    common = ("clock_gettime", "pthread_self")
    if not has_futex():
        return ("usleep", *common)
    placed = ("sched_getcpu", "sched_getaffinity", "sched_setaffinity", "memset")
    return ("syscall", *placed, *common)


def text() -> str:
    """Return the module of the team's functions."""
    waiting = _POLLED_WAITING + UNPLACED
    if has_futex():
        futex, gettid = _SYSTEM_CALLS[platform.machine()]
        waiting = _FUTEX_WAITING.format(number=futex) + PLACED.format(gettid=gettid)
    pause = _PAUSE.get(platform.machine(), "")
    common = _COMMON.format(
        pause=pause,
        clock=time.CLOCK_MONOTONIC,
        stop=polling.STOP,
        closed=polling.CLOSED,
        seen=polling.SEEN,
        interval=polling.NANOSECONDS,
    )
    return "\n".join([waiting, _PYTHON, common])
