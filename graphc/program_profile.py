"""Profiles: how long each launch of a program takes, and how far that is from the machine's limits.

A profile runs the program compiled anew with a clock between its launches, in turn with the program
itself, on the same arguments; so data is as warm as in a loop of calls, and what launches share or
overlap in the normal program is apart. Bytes and operations are those of `graphc.explain`. The
roofline is what the machine could do at best (`graphc.roofline`), measured once in a process.

All variables are locked meanwhile if the program has some, and those it writes are restored
afterwards, so that profiling a training step trains nothing; within the profile every repeat goes
on from the one before.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.executable import Executable, LaunchTime, Profilable
from graphc.explain import bytes_moved, operations
from graphc.group import Group, Grouping
from graphc.kernel import Access
from graphc.plan import STATUS, PlanBranch, PlanLoop, Step
from graphc.program import Program
from graphc.roofline import Limits
from graphc.state import STATE_LOCK, VariableState

MOST_ROWS_PRINTED = 40


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One step. Times are in seconds, rates a second and from the median time.

    A loop or a branch is a row, and the steps of its bodies are rows behind it, with the time of
    all their iterations.

    launch      the number of the row
    group       the number of the group in `program.explain()`; None for a copy besides
    lines       the user's lines that it came from, those of its results first
    share       of the median times of all steps outside of bodies, 0 to 1
    bytes       moved in one run
    operations  of one run
    roofline    the least time the machine could do it in, divided by the median time; above 1
                where data came from a nearer cache than its size lets expect
    depth       how many loops and branches are around it
    runs        how often it ran; None where that is known only when the program runs, and then
                there are no rates
    """

    launch: int
    group: int | None
    kernel: str
    lines: tuple[str, ...]
    threads: int
    median: float
    minimum: float
    share: float
    bytes: int
    operations: int
    bytes_per_second: float
    operations_per_second: float
    roofline: float
    depth: int = 0
    runs: int | None = 1


@dataclass(frozen=True, slots=True)
class Profile:
    """The steps of a program in their order; prints as a table, the most expensive first.

    call_median and call_minimum are seconds of whole calls of the program without any clock in it.
    `restored` names the variables that the runs changed and that have their old values again.
    """

    program: str
    repeat: int
    call_median: float
    call_minimum: float
    limits: Limits
    rows: tuple[ProfileRow, ...]
    restored: tuple[str, ...]

    def to_json(self) -> str:
        """Return everything as one JSON object, under the names of the fields."""
        return json.dumps(asdict(self), indent=2)

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def profile(
    program: Program, compiled: Executable, arguments: Sequence[Any], repeat: int
) -> Profile:
    """Return the profile of `program` on `arguments`, from `repeat` runs after one to warm up.

    `compiled` is what the program runs.

    Raises GraphcValueError where the backend cannot time its launches, and what a call raises.
    """
    if isinstance(repeat, bool) or not hasattr(repeat, "__index__"):
        raise GraphcTypeError(f"repeat takes a whole number, not {repeat!r}")
    if repeat < 1:
        raise GraphcValueError(f"cannot repeat a profile {repeat} times")
    if not isinstance(compiled, Profilable) or program.stages.plan is None:
        raise GraphcValueError(
            f"the {program.backend} backend does not time its kernels",
            hint='profile the program compiled with backend="llvm"',
        )
    executable = compiled.timed()
    timed = Program(executable, program.stages, program.backend)
    limits = executable.limits()
    calls, launches = [], []
    with _restoring(program) as restored:
        timed(*_undonated(program, arguments)), program(*_undonated(program, arguments))
        for _ in range(repeat):
            timed(*_undonated(program, arguments))
            launches.append(executable.launch_times())
            given = _undonated(program, arguments)
            start = time.perf_counter()
            program(*given)
            calls.append(time.perf_counter() - start)
    rows = _rows(program, launches, limits)
    call_median = statistics.median(calls)
    name = program.graph.name
    return Profile(name, repeat, call_median, min(calls), limits, rows, restored)


_MADE_ARRAYS = (bool, int, float, list, tuple)


def _undonated(program: Program, arguments: Sequence[Any]) -> list[Any]:
    """Return the arguments, those copied that the program may write over.

    Numbers and lists are made arrays by each call anyway.
    """
    plan = program.stages.plan
    donated = plan.donated.values() if plan is not None else ()
    return [
        np.copy(a) if number in donated and not isinstance(a, _MADE_ARRAYS) else a
        for number, a in enumerate(arguments)
    ]


@contextmanager
def _restoring(program: Program) -> Iterator[tuple[str, ...]]:
    """Keep other programs from the variables, and give them their old values in the end."""
    plan = program.stages.plan
    assert plan is not None
    with STATE_LOCK if plan.variables else nullcontext(), ExitStack() as stack:
        written = [plan.variables[number] for number in sorted(plan.written)]
        for state in written:
            stack.callback(_restore, state, state.host().copy())
        yield tuple(state.name or f"a variable {state.type}" for state in written)


def _restore(state: VariableState, value: np.ndarray[Any, Any]) -> None:
    state.assign(value)


def _rows(
    program: Program, runs: Sequence[Sequence[LaunchTime]], limits: Limits
) -> tuple[ProfileRow, ...]:
    plan, grouping = program.stages.plan, program.stages.grouping
    assert plan is not None and grouping is not None
    seconds = np.array([[time.seconds for time in run] for run in runs])
    medians, minima = np.median(seconds, axis=0), seconds.min(axis=0)
    listed = _listed(plan.steps, grouping)
    total = float(sum(medians[n] for n, found in enumerate(listed) if not found.depth))
    rows = []
    for number, found in enumerate(listed):
        launch = found.step
        group = None if launch.group is None else found.grouping.groups[launch.group]
        median = max(float(medians[number]), 1e-9)  # the clock's unit
        nbytes, count = _work(launch, group)
        times = found.runs or 0
        least = limits.least_seconds(nbytes * times, count * times, _itemsize(launch))
        rows.append(
            ProfileRow(
                launch=number,
                group=launch.group,
                kernel=launch.routine.name,
                lines=_source(group),
                threads=max(run[number].threads for run in runs),
                median=float(medians[number]),
                minimum=float(minima[number]),
                share=float(medians[number]) / total if total else 0.0,
                bytes=nbytes,
                operations=count,
                bytes_per_second=nbytes * times / median,
                operations_per_second=count * times / median,
                roofline=least / median,
                depth=found.depth,
                runs=found.runs,
            )
        )
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class _Listed:
    """A step, the groups among which its own is, and where it stands."""

    step: Step
    grouping: Grouping
    depth: int = 0
    runs: int | None = 1


def _listed(steps: Sequence[Step], grouping: Grouping) -> list[_Listed]:
    """Return steps and, behind loops and branches, those of their bodies."""
    listed = []
    pending = [_Listed(step, grouping) for step in reversed(steps)]
    while pending:
        found = pending.pop()
        listed.append(found)
        routine = found.step.routine
        if not isinstance(routine, PlanLoop | PlanBranch):
            continue
        length = routine.length if isinstance(routine, PlanLoop) else None
        runs = None if length is None or found.runs is None else length * found.runs
        for body in reversed(routine.bodies):
            inner = reversed(body.plan.steps)
            pending += [_Listed(step, body.grouping, found.depth + 1, runs) for step in inner]
    return listed


def _work(launch: Step, group: Group | None) -> tuple[int, int]:
    """Return the bytes and the operations of a launch; a copy reads and writes its array."""
    if group is None:
        return sum(buffer.type.nbytes for buffer in launch.routine.buffers), 0
    return bytes_moved(group), operations(group)


def _itemsize(launch: Step) -> int:
    """Return the size of the widest elements among the results."""
    results = (b for b in launch.routine.buffers if b.access is not Access.IN and b.name != STATUS)
    return max((b.type.dtype.itemsize for b in results), default=4)


def _source(group: Group | None) -> tuple[str, ...]:
    if group is None:
        return ()
    nodes = (*group.outputs, *reversed(group.members))
    return tuple(dict.fromkeys(str(node.line) for node in nodes if node.line))


# --- as text --------------------------------------------------------------------------------------

_HEADER = ("share", "median", "minimum", "threads", "GB/s", "GFLOP/s", "roofline", "kernel")


def _lines(found: Profile) -> Iterator[str]:
    outer = [row for row in found.rows if not row.depth]
    yield (
        f"{found.program}: {len(outer)} launches, "
        f"{time_text(sum(row.median for row in outer))} in kernels; "
        f"a call takes {time_text(found.call_median)}, "
        f"at least {time_text(found.call_minimum)} (medians of {found.repeat})"
    )
    yield _limits_text(found.limits)
    if found.restored:
        yield f"restored: {len(found.restored)} variables that the runs changed"
    yield ""
    ranked = _ranked(found.rows)
    shown = ranked[:MOST_ROWS_PRINTED]
    yield from _table(shown)
    if len(ranked) > len(shown):
        rest = ranked[len(shown) :]
        share = sum(row.share for row in rest if not row.depth)
        yield f"and {len(rest)} more, {share:.1%} of the time"


def _ranked(rows: Sequence[ProfileRow]) -> list[ProfileRow]:
    """Return the rows, the most expensive first, those of bodies behind what runs them."""
    families: list[list[ProfileRow]] = []
    for row in rows:
        families.append([row]) if not row.depth else families[-1].append(row)
    families.sort(key=lambda family: -family[0].median)
    return [row for family in families for row in family]


def _limits_text(limits: Limits) -> str:
    near = "".join(
        f"{b.bytes_per_second / 1e9:.0f} GB/s up to {b.most_bytes / 1024**2:g} MiB, "
        for b in limits.bandwidths
        if b.most_bytes is not None
    )
    far = f"{limits.bandwidths[-1].bytes_per_second / 1e9:.0f} GB/s in memory"
    threads = "1 thread" if limits.threads == 1 else f"{limits.threads} threads"
    peak = limits.operations_per_second / 1e9
    return f"roofline of {threads}: {peak:.0f} GFLOP/s, {near}{far}"


def _table(rows: Sequence[ProfileRow]) -> Iterator[str]:
    cells = [_HEADER, *map(_cells, rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(_HEADER))]
    for line, row in zip(cells, (None, *rows), strict=True):
        *numbers, kernel = line
        columns = [text.rjust(width) for text, width in zip(numbers, widths, strict=False)]
        yield "  ".join([*columns, kernel])
        for source in row.lines if row else ():
            yield f"{' ' * (sum(widths[:-1]) + 2 * len(widths))}{source}"


def _cells(row: ProfileRow) -> tuple[str, ...]:
    place = "copy" if row.group is None else f"group {row.group}"
    rates = (
        f"{row.bytes_per_second / 1e9:.1f}",
        f"{row.operations_per_second / 1e9:.1f}",
        f"{row.roofline:.0%}",
    )
    return (
        f"{row.share:.1%}",
        time_text(row.median),
        time_text(row.minimum),
        str(row.threads),
        *(rates if row.runs is not None else ("-",) * len(rates)),
        f"{'  ' * row.depth}{place} {row.kernel}",
    )


def time_text(seconds: float) -> str:
    """Return a time with its unit, three digits of it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
