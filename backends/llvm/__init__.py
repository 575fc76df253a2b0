"""The LLVM backend: kernels to native code for the CPU, and the threads that run it.

The way of a plan, on which `build` takes it: `program` writes one module (`kernels` a function for
each kernel, by way of `operations`, `primitives`, `conversions`, `addresses` and `memory`),
`compilation` turns it into machine code for a `machine` or finds it in the `object_cache`, the
`loader` puts it into memory, `executable` calls it, and the `team` shares the work. `call_native`
and `call_code` are the same call without Python, `call_outputs` the memory of its results. LLVM's
`library` is loaded when something must be compiled, and called by `direct`.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.backends.llvm import ahead, library, object_cache
from graphc.backends.llvm.build import build, recall, remember
from graphc.backends.llvm.compilation import cache_key
from graphc.backends.llvm.executable import LlvmExecutable, TimedExecutable
from graphc.backends.llvm.machine import describe, machine_of
from graphc.executable import Executable
from graphc.plan import Plan
from graphc.plan_record import Leaves
from graphc.target import Target


class LlvmBackend:
    """Native code for the CPU; see `graphc.executable.Backend`."""

    name = "llvm"
    stages: tuple[str, ...] = ("llvm", "asm")
    takes_donations = True

    def target(self, cpu: str | None = None) -> Target:
        """Return the limits of the host, or of a lesser CPU: `cpu`, else what GRAPHC_CPU names.

        Raises BackendError for a CPU whose code this host cannot run.
        """
        return describe(cpu)

    def get_ready(self, *, is_missing: bool = False) -> None:
        """Begin to load LLVM beside the caller, where a program will have to be compiled.

        That is where one `is_missing` on disk, or nothing there tells what this computer is.
        """
        if is_missing or not library.is_host_known():
            ahead.begin()

    def compile(self, plan: Plan) -> LlvmExecutable:
        """Return `plan` in machine code for the CPU that its target names."""
        return LlvmExecutable(build(plan, machine_of(plan.target)))

    def remembers(self) -> bool:
        """Return whether compiled programs are kept on disk; see `graphc.executable.Remembers`."""
        return object_cache.configured() is not None

    def remember(self, key: bytes, executable: Executable, leaves: Leaves) -> None:
        """Keep a compiled program under `key`."""
        assert isinstance(executable, LlvmExecutable)
        remember(key, executable.built, leaves)

    def recall(
        self, key: bytes, leaves: Leaves, target: Target, plan: Callable[[], Plan]
    ) -> LlvmExecutable | None:
        """Return the program kept under `key`, or None."""
        built = recall(key, leaves, target, plan)
        return None if built is None else LlvmExecutable(built)

    def compile_timed(self, plan: Plan) -> TimedExecutable:
        """Return `plan` in machine code with a clock between its launches."""
        return TimedExecutable(build(plan, machine_of(plan.target), is_timed=True))

    def machine_text(self) -> str:
        """Return a digest of the CPU, its features, and the versions of what makes code for it."""
        return cache_key("", machine_of(self.target())).hex()

    def find_record(self, key: bytes) -> bytes | None:
        """Return what the object cache holds under a key, or None."""
        cache = object_cache.configured()
        return None if cache is None else cache.load(key)

    def keep_record(self, key: bytes, record: bytes) -> None:
        """Keep a record in the object cache, if there is one."""
        cache = object_cache.configured()
        if cache is not None:
            cache.store(key, record)


BACKEND = LlvmBackend()
