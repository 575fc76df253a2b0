"""What a backend is to the rest of graphc: something that turns a plan into something that runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from graphc.plan import Plan
from graphc.target import Target


class Executable(Protocol):
    """A compiled plan. May be run by many threads at once."""

    def run(self, arguments: Sequence[np.ndarray[Any, Any]]) -> tuple[np.ndarray[Any, Any], ...]:
        """Run once on dense, native-endian arrays of exactly the plan's input types.

        Never writes to them. Returns fresh arrays; updates the plan's variables in place, under
        their locks. Raises GraphcIndexError where one of the plan's checks failed (then no variable
        is changed in an order the user can rely on).
        """

    def text(self, stage: str) -> str:
        """Return a stage of this backend as text ("llvm", "asm", "opencl")."""


# Takes the arguments of a program one by one. Returns None, with nothing done, where it refuses.
NativeCall: TypeAlias = "Callable[..., list[np.ndarray[Any, Any]] | None]"


@runtime_checkable
class HasNativeCall(Protocol):
    """An executable that may also be called without Python's help."""

    def native(self) -> NativeCall | None:
        """Return a function that takes plain arrays of exactly the plan's input types one by one.

        It does what `run` does with them, or returns None where `run` has to decide: for all other
        arguments, and for what `run` raises. None instead of a function where there is none.
        """


class Backend(Protocol):
    """A way to run plans. Modules backends/llvm and backends/opencl each hold one, `BACKEND`."""

    name: str
    stages: tuple[str, ...]

    def target(self) -> Target:
        """Return the limits of the device; raises BackendError where there is none."""

    def compile(self, plan: Plan) -> Executable:
        """Return `plan` as something that runs."""
