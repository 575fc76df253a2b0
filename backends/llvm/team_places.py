"""Where the threads of the team run: workers keep off the core of the caller, as LLVM IR.

A caller that finds itself on another core than before keeps the workers off it (`settle`): a kernel
wakes a thread on the core of who wakes it unless it knows an idle one, and in a virtual machine it
often knows none, since a core that sleeps may have been taken away. The worker would then wait
until the caller has spun in vain and sleeps. In a crowded job they may be on every core, also that
of the caller. The layout of a team's block of memory is that of
`team_code`.
"""

from __future__ import annotations

PLACED = """\
declare i32 @sched_getcpu()
declare i32 @sched_getaffinity(i32, i64, ptr)
declare i32 @sched_setaffinity(i32, i64, ptr)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

; writes down the thread of a worker, and that it has to be placed
define internal void @enrol(ptr %team, ptr %line) nounwind {{
  %id = call i64 (i64, ...) @syscall(i64 {gettid})
  %short = trunc i64 %id to i32
  %id.at = getelementptr i8, ptr %line, i64 24
  store atomic i32 %short, ptr %id.at release, align 4
  %home = getelementptr i8, ptr %team, i64 328
  store atomic i32 -1, ptr %home release, align 4
  ret void
}}

define internal void @settle(ptr %team, i64 %size) nounwind {{
entry:
  %cpu = call i32 @sched_getcpu()
  %crowded.at = getelementptr i8, ptr %team, i64 356
  %crowded = load i32, ptr %crowded.at
  %is.crowded = icmp ne i32 %crowded, 0
  %kept.off = select i1 %is.crowded, i32 -2, i32 %cpu
  %home.at = getelementptr i8, ptr %team, i64 328
  %home = load atomic i32, ptr %home.at acquire, align 4
  %stays = icmp eq i32 %kept.off, %home
  br i1 %stays, label %done, label %move
move:
  store atomic i32 %kept.off, ptr %home.at monotonic, align 4
  call void @place(ptr %team, i32 %cpu, i1 %is.crowded, i64 %size)
  br label %done
done:
  ret void
}}

; lets the workers run on all cores of the caller, but for the one that it is on unless all shall
define internal void @place(ptr %team, i32 %cpu, i1 %all.cores, i64 %size) nounwind {{
entry:
  %mask = alloca i1024, align 8
  call void @llvm.memset.p0.i64(ptr %mask, i8 0, i64 128, i1 false)
  %got = call i32 @sched_getaffinity(i32 0, i64 128, ptr %mask)
  %failed = icmp slt i32 %got, 0
  %far = icmp ugt i32 %cpu, 1023
  %unknown = or i1 %failed, %far
  br i1 %unknown, label %done, label %cut
cut:
  %byte = lshr i32 %cpu, 3
  %at = getelementptr i8, ptr %mask, i32 %byte
  %old = load i8, ptr %at
  %low = trunc i32 %cpu to i8
  %place = and i8 %low, 7
  %own = shl i8 1, %place
  %bit = select i1 %all.cores, i8 0, i8 %own
  %others = xor i8 %bit, -1
  %new = and i8 %old, %others
  store i8 %new, ptr %at
  %all = load i1024, ptr %mask
  %none = icmp eq i1024 %all, 0
  br i1 %none, label %done, label %worker
worker:
  %i = phi i64 [ 1, %cut ], [ %i.next, %next ]
  %some = icmp slt i64 %i, %size
  br i1 %some, label %look, label %done
look:
  %skip = sub i64 %i, 1
  %lines = mul i64 %skip, 64
  %offset = add i64 %lines, 408
  %id.at = getelementptr i8, ptr %team, i64 %offset
  %id = load atomic i32, ptr %id.at acquire, align 4
  %started = icmp ne i32 %id, 0
  br i1 %started, label %set, label %next
set:
  %r = call i32 @sched_setaffinity(i32 %id, i64 128, ptr %mask)
  br label %next
next:
  %i.next = add i64 %i, 1
  br label %worker
done:
  ret void
}}
"""

# Elsewhere the system decides.
UNPLACED = """\
define internal void @enrol(ptr %team, ptr %line) nounwind {
  ret void
}

define internal void @settle(ptr %team, i64 %size) nounwind {
  ret void
}
"""
