"""A whole plan in LLVM IR: the functions of its kernels, and the entry that runs its steps.

    define void @run(ptr table, ptr team, i64 threads)                called once for each call

`table` is an array of addresses, in the order of `Slots`. `team` may be null where `threads` is 1;
more threads than the work is worth are not used. All of them run @main, see `entry`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from graphc.backends.llvm import host_calls, polling, timing, work
from graphc.backends.llvm.buffer_facts import Use, facts_of
from graphc.backends.llvm.entry import Context, add_main
from graphc.backends.llvm.kernels import BufferFacts, Written, write_kernel
from graphc.backends.llvm.layout import BARRIER, DISPATCH, HOST, POLL, Layout, Slots, slots_of
from graphc.backends.llvm.machine import Machine
from graphc.backends.llvm.module import Module, ModuleText
from graphc.backends.llvm.team_code import MOST_MEMBERS
from graphc.kernel import Guard, Kernel, Loop, LoopKind, Statement
from graphc.plan import Plan

_LONG_STEPS = 16_384  # about a microsecond; giving up the interpreter and back takes 0.1


@dataclass(frozen=True, slots=True)
class Program:
    """The modules of a plan, and what a call needs to know of it.

    The first module has the entry, `run`; it calls what the others export.
    """

    modules: tuple[ModuleText, ...]
    layout: Layout


def write_program(plan: Plan, machine: Machine, *, is_timed: bool = False) -> Program:
    """Return `plan` as the text of modules for `machine`; `timing` says what `is_timed` adds."""
    uses: dict[Kernel, list[Use]] = {}
    every = plan.all_steps
    for depth, step in every:
        if isinstance(step.routine, Kernel):
            uses.setdefault(step.routine, []).append(Use(step.places, depth > 0))
    is_polled = polling.is_polled(plan.steps)
    parts = _Parts(_part_count(uses, plan.target.cores), machine, is_polled=is_polled)
    written = {
        kernel: parts.write(kernel, facts_of(kernel, given), _function_name(number, kernel))
        for number, (kernel, given) in enumerate(uses.items())
    }
    # one stride for all kernels, so that a thread's workspace is the same place in each
    stride = max((w.workspace_bytes for w in written.values()), default=0)
    threads = _most_threads(plan)
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
    modules = parts.texts(_TEAM_BARRIER if threads > 1 else _NO_BARRIER, exports)
    return Program(modules, Layout(slots, stride, threads, is_long, is_polled, bool(hosts)))


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


# LLVM takes some ten milliseconds for so many statements, a third of it for a module of none.
_STATEMENTS_A_PART = 300
_MOST_PARTS = 8


def _part_count(kernels: Iterable[Kernel], cores: int) -> int:
    """Return how many modules to write, which are compiled at the same time."""
    size = sum(_size(kernel.body) for kernel in kernels)
    return max(1, min(cores, size // _STATEMENTS_A_PART, _MOST_PARTS))


def _size(body: tuple[Statement, ...]) -> int:
    """Return how many statements are written for `body`."""
    total = 0
    for statement in body:
        if isinstance(statement, Loop):
            copies = statement.variable.extent if statement.kind is LoopKind.UNROLLED else 1
            total += copies * _size(statement.body)
        else:
            total += _size(statement.body) if isinstance(statement, Guard) else 1
    return total


class _Parts:
    """The modules under construction; each kernel goes to the one that is the shortest so far."""

    def __init__(self, count: int, machine: Machine, *, is_polled: bool) -> None:
        self._is_polled = is_polled
        self._modules = [Module(machine.code_features) for _ in range(count)]
        self._exports: list[list[str]] = [[] for _ in range(count)]
        self._lengths = [0] * count

    @property
    def entry(self) -> Module:
        """The module that has the entry."""
        return self._modules[0]

    def write(self, kernel: Kernel, facts: tuple[BufferFacts, ...], name: str) -> Written:
        """Write a kernel, and declare it where the entry is."""
        number = self._lengths.index(min(self._lengths))
        module = self._modules[number]
        is_polled, is_exported = self._is_polled, number > 0
        written = write_kernel(
            module, kernel, facts, name, is_exported=is_exported, is_polled=is_polled
        )
        self._lengths[number] = module.length
        if number > 0:
            self._exports[number].append(name)
            pointers = ", ".join(["ptr"] * (len(kernel.buffers) + 2))
            control = ", ptr" if self._is_polled else ""
            declaration = f"declare void {written.function}({pointers}, i64, i64{control})"
            self.entry.add(written.function, declaration)
        return written

    def texts(self, barrier: str, exports: list[str]) -> tuple[ModuleText, ...]:
        """Return the modules; the first exports `exports`."""
        for module in self._modules:
            module.add("@graphc.barrier", barrier)
            if self._is_polled:
                module.add(f"@{POLL}", polling.DECLARATION)
        pairs = zip(self._modules, [exports, *self._exports[1:]], strict=True)
        return tuple(ModuleText(module.text(), tuple(names)) for module, names in pairs)


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
