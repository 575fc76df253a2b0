"""What a backend is to the rest of graphc: something that turns a plan into something that runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import numpy as np

from graphc.plan import Plan
from graphc.plan_record import Leaves
from graphc.roofline import Limits
from graphc.target import Target


class Executable(Protocol):
    """A compiled plan. May be run by many threads at once."""

    def run(self, arguments: Sequence[np.ndarray[Any, Any]]) -> tuple[np.ndarray[Any, Any], ...]:
        """Run once on dense, native-endian arrays of exactly the plan's input types.

        Writes to none of them but those that the plan says are donated. Returns fresh arrays, and
        views of donated ones; updates the plan's variables in place, under `STATE_LOCK`. Raises
        GraphcIndexError where one of the plan's checks failed, and what a handler of a signal
        raises; no variable is changed then.
        """

    def text(self, stage: str) -> str:
        """Return a stage of this backend as text ("llvm", "asm", "opencl")."""


@runtime_checkable
class RunsInto(Protocol):
    """An executable that can put its outputs into arrays that it is given."""

    def run_into(
        self,
        arguments: Sequence[np.ndarray[Any, Any]],
        outputs: Sequence[np.ndarray[Any, Any] | None],
    ) -> tuple[np.ndarray[Any, Any], ...]:
        """Do what `run` does with these arrays in place of fresh ones, where there is one.

        They are dense, aligned to their elements, of exactly the plan's output types, and share no
        memory with one another, an argument or a variable. Where the call raises they hold
        anything.
        """


@dataclass(frozen=True, slots=True)
class LaunchTime:
    """How long one launch took, and how many threads worked on it."""

    seconds: float
    threads: int


class TimedExecutable(Executable, Protocol):
    """An executable that times its launches; one run at a time. Results have the same bits."""

    def launch_times(self) -> Sequence[LaunchTime]:
        """Return the times of the last run, one for each launch of the plan."""

    def limits(self) -> Limits:
        """Return what the device can do at best."""


@runtime_checkable
class Profilable(Protocol):
    """An executable of a backend that can time its launches."""

    def timed(self) -> TimedExecutable:
        """Return the same plan compiled anew, with its launches timed."""


# Stands between the arguments of a native call and the arrays that take its outputs. No caller of a
# program has this object, so that one argument too many is never taken for such an array.
INTO: Final = object()

# Takes the arguments of a program one by one. Returns None, with nothing done, where it refuses.
NativeCall: TypeAlias = "Callable[..., list[np.ndarray[Any, Any]] | None]"


@runtime_checkable
class HasNativeCall(Protocol):
    """An executable that may also be called without Python's help."""

    def native(self) -> NativeCall | None:
        """Return a function that takes plain arrays of exactly the plan's input types one by one.

        It does what `run` does with them, or returns None where `run` has to decide: for all other
        arguments, and for what `run` raises. The arguments may be followed by `INTO` and an array
        for each output, as `RunsInto` takes them. None instead of a function where there is none.
        """


class Backend(Protocol):
    """A way to run plans. Modules backends/llvm and backends/opencl each hold one, `BACKEND`."""

    name: str
    stages: tuple[str, ...]
    takes_donations: bool  # whether its executables heed `Plan.donated`

    def target(self) -> Target:
        """Return the limits of the device; raises BackendError where there is none."""

    def compile(self, plan: Plan) -> Executable:
        """Return `plan` as something that runs."""


@runtime_checkable
class Remembers(Backend, Protocol):
    """A backend that keeps compiled programs on disk, each under a digest of all it depends on."""

    def get_ready(self, *, is_missing: bool = False) -> None:
        """Take note, before a graph is there, that one will be compiled or recalled.

        `is_missing`: it is not on disk, or not looked for there.
        """

    def remembers(self) -> bool:
        """Return whether anything is kept, as the user's settings are now."""

    def machine_text(self) -> str:
        """Return what code depends on besides plan and target: what the CPU has, not its name
        alone, and the versions of what makes code for it."""

    def remember(self, key: bytes, executable: Executable, leaves: Leaves) -> None:
        """Keep what `compile` made of the plan of a graph with these leaves."""

    def recall(
        self, key: bytes, leaves: Leaves, target: Target, plan: Callable[[], Plan]
    ) -> Executable | None:
        """Return the executable kept under `key`, over other leaves of the same kind, or None.

        `plan()` makes the plan anew, for whoever wants to see more than results.
        """


@runtime_checkable
class Tunable(Protocol):
    """A backend on which schedules can be measured, and that keeps what was found on disk."""

    def compile_timed(self, plan: Plan) -> TimedExecutable:
        """Return `plan` as something that runs and times its launches."""

    def machine_text(self) -> str:
        """Return what the times of a kernel depend on besides itself and its target."""

    def find_record(self, key: bytes) -> bytes | None:
        """Return what is kept under a key of 32 bytes, whole and unaltered, or None."""

    def keep_record(self, key: bytes, record: bytes) -> None:
        """Keep a record under a key of 32 bytes, unless the user wants nothing kept."""
