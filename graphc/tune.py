"""Tuning: measuring the schedules of kernels on this machine, and keeping the fastest.

    tuner = Tuner(backend, target)              what `compile(…, tune=True)` gives the passes
    tuner(lowered)                              choices for each kernel that has some
    tuner.found                                 what was found, by the names of kernels

Kernel by kernel: from the cost model's choices to the best that is one change away, until nothing
better is found or the time is over. Schedules run in turn, on the same random arrays and with the
threads that the program will use; the least time of each counts, and those far behind leave the
race early. A winner has to beat the cost model's own schedule by a few per cent in a last race of
the two. Results have the same bits whatever wins, since no schedule changes the order of sums.

What was found is kept on disk under a digest of the kernel, the schedule that the cost model takes,
the target, the machine and the versions; where it is known, nothing is measured. A kernel that
updates an array in place, and one that finds its random indices out of bounds, stay as they are.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import time
from collections.abc import Mapping
from dataclasses import replace

from graphc.errors import GraphcIndexError
from graphc.executable import TimedExecutable, Tunable
from graphc.kernel import Access, Kernel
from graphc.passes.lower import Lowered
from graphc.passes.schedule_candidates import candidates
from graphc.plan import STATUS, Check, Place, Plan, Space, Step
from graphc.progress import progress
from graphc.random_arrays import random_arrays
from graphc.schedule_choices import MODEL, ScheduleChoices, Tuned, tuned_from_json
from graphc.target import Target
from graphc.tensor_type import TensorType
from graphc.version import __version__

SECONDS = 10.0  # for each kernel, about
RACE_SECONDS = 0.15  # for each schedule in a race, at most
MOST_ROUNDS = 100
TOGETHER = 8  # schedules in a race with the best so far; each has memory of its own
BEHIND = 1.3  # times the best: out of the race after two rounds
WORTH = 0.97  # of the cost model's time is a win
INTEGERS_BELOW = 10

_SPACES = {Access.IN: Space.ARGUMENT, Access.OUT: Space.OUTPUT}


class Tuner:
    """Finds choices for the kernels of one program; `found` tells what it found, by their names."""

    def __init__(self, backend: Tunable, target: Target) -> None:
        self.backend, self.target = backend, target
        self.found: dict[str, Tuned] = {}

    def __call__(self, lowered: Lowered) -> Mapping[Kernel, ScheduleChoices]:
        """Return the choices for each kernel for which there are different schedules."""
        kernels = lowered.kernels
        with progress("tuning kernels", len(kernels)) as advance:
            for kernel in kernels:
                found = self._tuned(kernel, lowered.checks)
                if found is not None:
                    self.found[kernel.name] = found
                advance()
        return {k: self.found[k.name].choices for k in kernels if k.name in self.found}

    def _tuned(self, kernel: Kernel, checks: tuple[Check, ...]) -> Tuned | None:
        schedules = candidates(kernel, self.target)
        in_place = any(b.access is Access.INOUT and b.name != STATUS for b in kernel.buffers)
        if len(schedules) < 2 or in_place:
            return None
        key = self._key(kernel, next(iter(schedules)))
        record = self.backend.find_record(key)
        known = None if record is None else tuned_from_json(record)
        if known is not None:
            return known
        try:
            found = _Search(self.backend, self.target, kernel, checks).run()
        except GraphcIndexError:
            return None
        self.backend.keep_record(key, found.to_json())
        return found

    def _key(self, kernel: Kernel, scheduled: Kernel) -> bytes:
        """Return the digest of all that the best schedule depends on."""
        texts = [str(replace(k, name="kernel")) for k in (kernel, scheduled)]
        parts = ("schedule", __version__, self.target, self.backend.machine_text(), *texts)
        return hashlib.sha256(repr(parts).encode()).digest()


class _Search:
    """Looks for the best schedule of one kernel."""

    def __init__(
        self, backend: Tunable, target: Target, kernel: Kernel, checks: tuple[Check, ...]
    ) -> None:
        self.backend, self.target, self.kernel, self.checks = backend, target, kernel, checks
        extents = (n for buffer in kernel.buffers for n in buffer.type.shape)
        below = max(1, min(extents, default=1))
        self.arguments = random_arrays(_inputs(kernel), min(below, INTEGERS_BELOW))
        self.end = time.perf_counter() + SECONDS
        self.runners: dict[Kernel, TimedExecutable] = {}
        self.threads, self.measured = 1, 0

    def run(self) -> Tuned:
        """Return the best that was found in the time there is."""
        model = next(iter(candidates(self.kernel, self.target)))
        choices, winner, start = {model: MODEL}, model, None
        while winner is not start and self.has_time:
            start = winner
            around = candidates(self.kernel, self.target, choices[winner])
            fresh = [kernel for kernel in around if kernel not in choices]
            choices |= {kernel: around[kernel] for kernel in fresh}
            for first in range(0, len(fresh), TOGETHER):
                if self.has_time:
                    winner = self.winner_of(winner, fresh[first : first + TOGETHER])
                    self.runners = {k: r for k, r in self.runners.items() if k in (model, winner)}
        times = self.race([model, winner])
        if times[winner] > WORTH * times[model]:
            winner = model
        return Tuned(choices[winner], times[winner], times[model], self.measured, self.threads)

    @property
    def has_time(self) -> bool:
        return time.perf_counter() < self.end

    def winner_of(self, best: Kernel, others: list[Kernel]) -> Kernel:
        """Return the fastest of `others` if it is clearly faster than `best`, else that."""
        times = self.race([best, *others])
        fastest = min(times, key=times.__getitem__)
        return fastest if times[fastest] <= WORTH * times[best] else best

    def runner(self, kernel: Kernel) -> TimedExecutable:
        if kernel not in self.runners:
            plan = plan_of(kernel, self.target, self.checks)
            self.runners[kernel] = self.backend.compile_timed(plan)
            self.measured += 1
        return self.runners[kernel]

    def race(self, kernels: list[Kernel]) -> dict[Kernel, float]:
        """Return the least seconds of each schedule, run in turn; at least two rounds of all."""
        best = dict.fromkeys(dict.fromkeys(kernels), math.inf)
        racing = list(best)
        for kernel in racing:
            self.seconds(kernel)  # the first run warms up
        start = time.perf_counter()
        for number in range(MOST_ROUNDS):
            for kernel in racing:
                best[kernel] = min(best[kernel], self.seconds(kernel))
            if number > 0:
                least = min(best.values())
                racing = [k for k in racing if best[k] <= BEHIND * least]
                if time.perf_counter() - start > RACE_SECONDS * len(racing):
                    break
        return best

    def seconds(self, kernel: Kernel) -> float:
        runner = self.runner(kernel)
        runner.run(self.arguments)
        (launch,) = runner.launch_times()
        self.threads = max(self.threads, launch.threads)
        return max(launch.seconds, 1e-9)  # the clock's unit


def plan_of(kernel: Kernel, target: Target, checks: tuple[Check, ...] = ()) -> Plan:
    """Return a plan of one launch of `kernel`, from arguments to outputs."""
    numbers = {Access.IN: itertools.count(), Access.OUT: itertools.count()}
    places = tuple(
        Place(Space.STATUS)
        if buffer.name == STATUS
        else Place(_SPACES[buffer.access], next(numbers[buffer.access]))
        for buffer in kernel.buffers
    )
    outputs = (b for b in kernel.buffers if b.access is Access.OUT and b.name != STATUS)
    return Plan(
        name="candidate",
        steps=(Step(kernel, places, group=0),),
        inputs=tuple(_inputs(kernel)),
        outputs=tuple(buffer.type for buffer in outputs),
        variables=(),
        written=frozenset(),
        constants=(),
        arena_bytes=0,
        checks=checks,
        target=target,
    )


def _inputs(kernel: Kernel) -> list[TensorType]:
    return [buffer.type for buffer in kernel.buffers if buffer.access is Access.IN]
