"""A whole plan in LLVM IR: the functions of its kernels, and the entry that runs its steps.

    define void @run(ptr table, ptr team, i64 threads)                called once for each call

`table` is an array of addresses, in the order of `Slots`. `team` may be null where `threads` is 1;
more threads than the work is worth are not used. All of them run @main, see `entry`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from graphc.backends.llvm import host_calls, polling, timing, work
from graphc.backends.llvm.buffer_facts import Use, facts_of
from graphc.backends.llvm.entry import Context, add_main
from graphc.backends.llvm.layout import BARRIER, DISPATCH, HOST, Layout, Slots, slots_of
from graphc.backends.llvm.machine import Machine
from graphc.backends.llvm.module import ModuleText
from graphc.backends.llvm.module_parts import Parts, part_count, size_of
from graphc.backends.llvm.team_code import MOST_MEMBERS
from graphc.kernel import Kernel
from graphc.plan import Plan

_LONG_STEPS = 16_384  # about a microsecond; giving up the interpreter and back takes 0.1


@dataclass(frozen=True, slots=True)
class Program:
    """The modules of a plan, and what a call needs to know of it.

    The first module has the entry, `run`; it calls what the others export.
    """

    modules: tuple[ModuleText, ...]
    layout: Layout


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
    uses: dict[Kernel, list[Use]] = {}
    every = plan.all_steps
    for _, step in every:
        if isinstance(step.routine, Kernel):
            uses.setdefault(step.routine, []).append(step.places)
    is_polled, threads = polling.is_polled(plan.steps), _most_threads(plan)
    count = part_count(uses, plan.target.cores)
    barrier = _TEAM_BARRIER if threads > 1 else _NO_BARRIER
    parts = Parts(uses, count, machine.code_features, barrier, finished, is_polled=is_polled)
    names = {kernel: _function_name(number, kernel) for number, kernel in enumerate(uses)}
    order = sorted(uses, key=size_of, reverse=True) if count > 1 else uses
    written = {k: parts.write(k, facts_of(k, uses[k]), names[k]) for k in order}
    # one stride for all kernels, so that a thread's workspace is the same place in each
    stride = max((w.workspace_bytes for w in written.values()), default=0)
    slots, exports = slots_of(plan), ["run"]
    if is_timed:
        parts.entry.add(f"@{timing.TIMES}", timing.declarations(len(every)))
        exports.append(timing.TIMES)
    hosts = {function: number for number, function in enumerate(plan.host_functions)}
    if hosts:
        parts.entry.add(f"@{HOST}", host_calls.DECLARATION)
    context = Context(parts.entry, written, hosts, stride, len(every), is_timed, is_polled)
    # where nothing can stop a call, nothing has to be agreed upon before variables are written
    commit = polling.first_write(plan.steps) if plan.commit or is_polled else 0
    add_main(context, plan, commit if plan.written else 0)
    may_end = bool(plan.checks or is_polled or hosts or len(every) > len(plan.steps))
    parts.entry.add("@run", _run(slots, threads, may_end))
    is_long = sum(work.steps(step.routine) for step in plan.steps) > _LONG_STEPS
    layout = Layout(slots, stride, threads, is_long, is_polled, bool(hosts))
    return Program(parts.texts(exports), layout)


def _most_threads(plan: Plan) -> int:
    """Return how many threads the step that is worth the most of them keeps busy."""
    if plan.target.cores <= 1:
        return 1
    wanted = max((work.threads_for(step.routine) for step in plan.steps), default=1)
    return min(wanted, MOST_MEMBERS)


def _run(slots: Slots, threads: int, may_end: bool) -> str:
    """Return the entry; what ends a call early is cleared first."""
    clear = _CLEAR.format(status=slots.status) if may_end else ""
    return (_RUN_TEAM if threads > 1 else _RUN_ALONE).format(threads=threads, clear=clear)


def _function_name(number: int, kernel: Kernel) -> str:
    return f"kernel.{number}.{kernel.name}"


# --- the entry ----------------------------------------------------------------------------------


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
